"""dehw bench: a stopwatch, counts, made-up pages, the winners' loop, and straight lines."""

import json
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dehw.commands import bench, main
from dehw.commands.bench import growth, measure, reference
from dehw.commands.bench.growth import Line
from dehw.commands.bench.measure import Bench, Stopwatch
from dehw.config import Erase, Mask, NetworkConfig, Pipeline, Segment
from dehw.engine import machine, weights
from dehw.eraser import STAGES, Eraser
from dehw.errors import ExitCode
from dehw.files.images import read_image, write_image
from dehw.page import masks
from dehw.page.layout import Layout

SEGMENTER = NetworkConfig("segformer_b0", "s.pdparams", {"embedding_dim": 16})
GENERATOR = NetworkConfig("erasenet", "e.pdparams", {"width": 0.0625, "spectral_norm": False})


def tiny(views=("identity",)):
    """An eraser that finds dark pixels and whitens them."""
    pipeline = Pipeline(
        name="tiny",
        segment=Segment(network=SEGMENTER, window=64, stride=32, views=list(views)),
        mask=Mask(dilate=1),
        erase=Erase(networks=[GENERATOR], tile=64, margin=13, views=list(views)),
    )
    segmenter = lambda tiles: (tiles.mean(1, keepdims=True) < 0.5).astype(np.float32)  # noqa: E731
    return Eraser(pipeline, segmenter, [(lambda tiles, mask: np.ones_like(tiles), 1.0)])


def picture(height=60, width=80):
    page = np.full((height, width, 3), 230, np.uint8)
    page[10:14, 5:30] = 30
    return page


# -- stages and passes


def test_the_stopwatch_gives_the_time_to_the_stage_that_runs(monkeypatch):
    now = iter([0.0, 1.0, 3.0, 4.0, 7.0, 15.0])
    monkeypatch.setattr(measure.time, "perf_counter", lambda: next(now))
    clock = Stopwatch()  # at 0
    for stage, done in (("prepare", 0), ("segment", 0), ("segment", 1), ("erase", 0), ("erase", 2), ("compose", 0)):
        clock.progress(stage, done, 2)  # at 1, 3, 4 and 7
    assert clock.take() == dict.fromkeys(measure.STAGES, 0.0) | {"other": 1, "segment": 3, "erase": 3, "compose": 8}
    assert not any(clock.seconds.values())


def test_every_stage_of_the_eraser_has_its_place_in_the_table():
    assert set(measure.STAGE_OF) == set(STAGES) and set(measure.STAGE_OF.values()) <= set(measure.STAGES)


def test_the_stages_add_up_to_the_page_and_each_gets_its_own(tmp_path):
    write_image(tmp_path / "page.png", picture())
    eraser = tiny()

    def slow(network, seconds):
        return lambda *tiles: (time.sleep(seconds), network(*tiles))[1]

    eraser.segmenter = slow(eraser.segmenter, 0.05)
    eraser.generators = [(slow(network, 0.07), weight) for network, weight in eraser.generators]
    started = time.perf_counter()
    measured = Bench(eraser, tmp_path / "out").page(tmp_path / "page.png")
    assert sum(measured.seconds.values()) <= time.perf_counter() - started
    assert measured.seconds["segment"] >= 0.05 and measured.seconds["erase"] >= 0.07
    assert measured.seconds["read"] > 0 and measured.seconds["write"] > 0
    assert measured.networks == pytest.approx(
        sum(measured.seconds.values()) - measured.seconds["read"] - measured.seconds["write"]
    )


@pytest.mark.parametrize("views", [["identity"], ["identity", "hflip"]])
def test_passes_are_tiles_times_views(tmp_path, views):
    """60x80: 1 x 2 windows of 64, 32 apart; of 2 x 3 tiles with 38 kept pixels one holds ink."""
    write_image(tmp_path / "page.png", picture())
    measured = Bench(tiny(views), tmp_path / "out").page(tmp_path / "page.png")
    assert measured.passes == (2 * len(views), 1 * len(views))
    assert (measured.height, measured.width, measured.scaled) == (60, 80, (60, 80))
    assert measured.share == pytest.approx(4 * 25 / (60 * 80))
    np.testing.assert_array_equal(read_image(tmp_path / "out" / "page.png")[10:14, 5:30], 255)


@pytest.mark.parametrize("share, inked", [(0.0, 0), (0.25, 3), (1 / 3, 4), (0.5, 6), (1.0, 12)])
def test_blots_ink_their_share_of_the_tiles(tmp_path, share, inked):
    """100x150 px are 3 x 4 tiles of 38 kept pixels."""
    page = np.full((100, 150, 3), 200, np.uint8)
    blots = (measure.blotted(tiny(), page, share) != page).any(axis=2)
    tiles = tiny().generator_tiles(100, 150)
    assert len(tiles) == 12 and sum(blots[tile.keep].any() for tile in tiles) == inked
    write_image(tmp_path / "page.png", page)
    assert Bench(tiny(), tmp_path / "out", share).page(tmp_path / "page.png").passes[1] == inked


def test_blots_lie_right_on_a_page_that_is_scaled(monkeypatch):
    monkeypatch.setattr(Layout, "factor", lambda self, target: 0.5)
    page = np.full((200, 300, 3), 200, np.uint8)
    blots = (measure.blotted(tiny(), page, 0.5) != page).any(axis=2)
    small = masks.threshold(blots.reshape(100, 2, 150, 2).mean((1, 3)), 0.5)
    assert sum(small[tile.keep].any() for tile in tiny().generator_tiles(100, 150)) == 6


def test_a_folder_is_inked_as_its_pages_are(tmp_path):
    from dehw.files.find import find_pages

    write_image(tmp_path / "in" / "a.png", np.full((100, 150, 3), 200, np.uint8))
    bench = Bench(tiny(), tmp_path / "out", 1.0)
    bench.folder_seconds(find_pages([tmp_path / "in"]))
    assert bench.generators[0].passes == len(tiny().generator_tiles(100, 150))


def test_a_folder_is_erased_as_by_dehw_erase(tmp_path):
    from dehw.files.find import find_pages

    for name in ("a.png", "b.png"):
        write_image(tmp_path / "in" / name, picture())
    seconds = Bench(tiny(), tmp_path / "out").folder_seconds(find_pages([tmp_path / "in"]))
    assert seconds > 0
    for name in ("a.png", "b.png"):
        assert read_image(tmp_path / "out" / "folder" / name).min() > 200


# -- pages put together


def test_a_mosaic_repeats_or_cuts_a_page():
    page = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    np.testing.assert_array_equal(measure.mosaic(page, 1, 2), page[:1, :2])
    large = measure.mosaic(page, 5, 7)
    assert large.shape == (5, 7, 3)
    for y in range(5):
        for x in range(7):
            np.testing.assert_array_equal(large[y, x], page[y % 2, x % 3])


# -- the command


@pytest.fixture
def command(tmp_path, monkeypatch):
    """`dehw bench` on two pages with the tiny eraser, whose networks have saved weights for Paddle."""
    from dehw import models

    for network in (SEGMENTER, GENERATOR):
        weights.save(models.build(network), tmp_path / "weights" / network.weights)
    for name in ("a.jpg", "b.png"):
        write_image(tmp_path / "pages" / name, picture())
    monkeypatch.setattr(Eraser, "load", lambda *arguments, **options: tiny())
    monkeypatch.setattr("dehw.config.load_pipeline", lambda name: tiny().pipeline)
    monkeypatch.chdir(tmp_path)
    common = ["bench", "--pages", "pages", "--weights", "weights", "--json", "all.json"]
    return lambda *arguments: main.main([*common, *map(str, arguments)])


def test_the_command_prints_a_table_and_writes_all_of_it(command, capsys):
    assert command() == ExitCode.OK
    printed = capsys.readouterr().out
    rows = {line.split()[0]: line.split()[1:] for line in printed.splitlines() if line.strip()}
    assert [name for name in rows if name in measure.STAGES] == list(measure.STAGES)
    facts = json.loads(Path("all.json").read_text())
    assert len(facts["pages"]) == 2 and [page["passes"] for page in facts["pages"]] == [[2, 1], [2, 1]]
    mean = np.mean([page["seconds"]["segment"] for page in facts["pages"]])
    assert float(rows["segment"][0]) == pytest.approx(mean, abs=6e-4)
    assert float(rows["segment"][1]) == pytest.approx(mean / 0.0048, abs=6e-4)
    assert "2.0 of the segmenter, 1.0 of generators" in printed
    assert 0 < facts["ready"] < facts["first_page"] and 20 < facts["memory"] and facts["folder"] > 0
    assert not list(Path("pages").glob("*clean*"))


def test_pages_of_a_size_are_put_together(command, capsys):
    assert command("--size", "150x100", "--inked", "0.5") == ExitCode.OK
    facts = json.loads(Path("all.json").read_text())
    assert [(page["width"], page["height"], page["passes"][1]) for page in facts["pages"]] == [(150, 100, 6)] * 2


@pytest.mark.parametrize("wrong", [["--size", "150"], ["--size", "0x9"], ["--inked", "2"], ["--pages", "nowhere"]])
def test_wrong_arguments_end_before_the_networks_load(command, capsys, wrong, monkeypatch):
    monkeypatch.setattr(Eraser, "load", None)
    assert command(*wrong) == ExitCode.USAGE
    assert not Path("all.json").exists() and wrong[1] in capsys.readouterr().err


def test_without_sample_pages_the_command_says_what_to_do(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(bench, "SAMPLES", tmp_path / "nowhere")
    assert main.main(["bench"]) == ExitCode.USAGE
    assert "--pages" in capsys.readouterr().err


def test_untrained_networks_need_no_weights_and_leave_the_cache_alone(command, monkeypatch):
    """They are saved, and asked for, in a folder that goes again."""
    import os

    seen = []

    def load(pipeline, device, folder, engine):
        seen.append((os.environ["DEHW_CACHE"], sorted(path.name for path in folder.glob("*.pdparams"))))
        return tiny()

    before = os.environ["DEHW_CACHE"]
    monkeypatch.setattr(Eraser, "load", load)
    assert command("--untrained") == ExitCode.OK
    assert seen[0][0] != before == os.environ["DEHW_CACHE"] and seen[0][1] == ["e.pdparams", "s.pdparams"]
    assert json.loads(Path("all.json").read_text())["pages"][0]["passes"][1] == 1  # a third of three tiles


# -- the winners' way


@pytest.mark.parametrize("size, looped, distinct", [((2000, 1500), 48, 35), ((4628, 3300), 204, 176), ((90, 60), 4, 1)])
def test_the_winners_loop_repeats_tiles(size, looped, distinct):
    """Counts from the seed: 192 and 816 passes of two networks and two flips."""
    corners = reference.loop(*size)
    assert (len(corners), len(set(corners))) == (looped, distinct)
    assert looped * 4 == {48: 192, 204: 816}.get(looped, looped * 4)
    height, width = (max(side + 212, 512) for side in size)
    covered = np.zeros((height, width), bool)
    for top, left in corners:
        assert top + 512 <= height and left + 512 <= width
        covered[top + 106 : top + 406, left + 106 : left + 406] = True
    assert covered[106 : 106 + size[0], 106 : 106 + size[1]].all()


def test_windows_are_those_of_paddleseg():
    assert reference.windows(2000, 1500) == 7 * 5
    assert reference.windows(512, 400) == 1


def test_the_comparison_scales_timed_passes_up(command, capsys, monkeypatch):
    timed = []

    def time_passes(layer, page, segments, limit):
        timed.append((type(layer).__name__, segments, limit))
        return (0.5 if segments else 2.0), 3

    monkeypatch.setattr(reference, "_time", time_passes)
    assert command("--size", "1500x2000", "--inked", "0", "--against", "reference", "--tiles", "3") == ExitCode.OK
    assert timed == [("SegFormer", True, 3), ("EraseNet", False, 3)]
    facts = json.loads(Path("all.json").read_text())
    rows = {row["name"]: row for row in facts["against"]["manners"]}
    passes = [(row["segment_passes"], row["erase_passes"], row["seconds"]) for row in rows.values()]
    assert passes == [(70, 96, 70 * 0.5 + 96 * 2), (70, 70, 70 * 0.5 + 70 * 2), (35, 35, 35 * 0.5 + 35 * 2)]
    printed = capsys.readouterr().out
    mean = np.mean([sum(page["seconds"].values()) for page in facts["pages"]])
    files = np.mean([page["seconds"]["read"] + page["seconds"]["write"] for page in facts["pages"]])
    ratio = float(next(line for line in printed.splitlines() if line.startswith("their loop")).split()[-1][:-1])
    assert ratio == pytest.approx(227 / (mean - files), rel=0.01, abs=0.06)
    assert "3 passes of each timed, and scaled up to all" in printed


def test_a_few_passes_are_timed_or_all(tmp_path):
    """By the networks themselves: each tile as it is and mirrored, and one more to warm up."""
    layer, page = reference._plain(GENERATOR, _saved(GENERATOR, tmp_path)), picture(300, 200)
    assert len(reference.loop(300, 200)) == 4
    calls = []
    infer, layer.infer = layer.infer, lambda *given: calls.append([list(each.shape) for each in given]) or given[0]
    seconds, timed = reference._time(layer, page, False, 3)
    assert timed == 3 and len(calls) == 4 and calls[0] == [[1, 3, 512, 512], [1, 1, 512, 512]] and seconds > 0
    assert reference._time(layer, page, False, 0)[1] == 8
    assert infer.__self__ is layer


def _saved(network, folder):
    from dehw import models

    weights.save(models.build(network), folder / network.weights)
    return folder / network.weights


# -- growth


def test_a_line_is_fitted_and_its_largest_deviation_told():
    exact = Line.fit([1, 2, 5], [5, 7, 13])
    assert (exact.start, exact.slope) == pytest.approx((3, 2)) and exact.deviation == pytest.approx(0, abs=1e-9)
    bent = Line.fit([0, 1, 2], [0, 3, 0])  # the mean, 1, is the best line
    assert (bent.start, bent.slope, bent.deviation, bent.relative) == pytest.approx((1, 0, 2, 2 / 3))


def test_scale_draws_a_chart_and_tells_the_lines(command, capsys, monkeypatch):
    monkeypatch.setattr(growth, "AREAS", (0.01, 0.02))
    monkeypatch.setattr(growth, "SHARES_AREA", 0.02)
    assert command("--scale", "chart.png", "--largest", "0.03") == ExitCode.OK
    with Image.open("chart.png") as chart:
        assert chart.format == "PNG" and chart.width > 1000
        assert len(np.unique(np.array(chart.convert("RGB")).reshape(-1, 3), axis=0)) > 10  # not an empty one
    facts = json.loads(Path("all.json").read_text())
    assert [round(page["height"] * page["width"] / 1e6, 2) for page in facts["by_area"]] == [0.01, 0.02, 0.03]
    assert [page["inked"] for page in facts["by_share"]] == list(growth.SHARES)
    tiles = [page["passes"][1] for page in facts["by_share"]]
    assert tiles == sorted(tiles) and tiles[0] == 0 and tiles[-1] == len(tiny().generator_tiles(163, 122))
    printed = capsys.readouterr().out
    assert "a megapixel" in printed and "bytes a pixel" in printed and "times the inked share" in printed


# -- the machine


def test_peak_memory_sees_what_was_held_and_forgets_it():
    before = machine.peak_memory()
    held = np.ones(200 << 20, np.uint8)
    assert machine.peak_memory() >= before and machine.peak_memory() > 200 << 20
    del held
    if Path("/proc/self/clear_refs").exists():
        peak = machine.peak_memory()
        machine.forget_peak()
        assert machine.peak_memory() < peak - (100 << 20)


def test_the_time_since_the_start_runs():
    first = machine.since_start()
    time.sleep(0.05)
    assert 0.04 <= machine.since_start() - first < 5
    assert 0 < first < 36_000


@pytest.mark.skipif(not Path("/proc/self/comm").exists(), reason="only Linux keeps a process's name there")
def test_a_process_may_be_named_in_cut_characters():
    """As Linux cuts that of a script with a long Chinese name."""
    path = Path("/proc/self/comm")
    before = path.read_bytes()
    try:
        path.write_bytes("擦除手写文字".encode()[:14])
        assert machine.peak_memory() > 1 << 20
        assert 0 < machine.since_start() < 36_000
    finally:
        path.write_bytes(before.strip())


def test_a_system_that_does_not_tell_its_memory_gets_a_line_all_the_same():
    assert growth.Line.fit([1, 2, 3], [0, 0, 0]).relative == 0
