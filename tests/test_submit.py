"""The contest's files, written by an Eraser of hand-made networks."""

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dehw import config
from dehw.commands import main, submit
from dehw.commands.submit import files
from dehw.commands.submit.choice import Choice, choose_pipeline
from dehw.config import load_pipeline
from dehw.eraser import Eraser
from dehw.errors import ConfigError, ExitCode, InputError, WeightsError
from dehw.files.find import find_pages
from dehw.files.images import read_image, read_mask, write_image, write_mask

SCRIPTS = Path(__file__).resolve().parents[1] / "work" / "pre_and_submit"
PIPELINE = """
segment: {network: {type: segformer_b0, weights: NAME_seg.pdparams}, window: 64, stride: 32}
mask: {dilate: 1}
erase: {networks: [{type: erasenet, weights: NAME_gen.pdparams}], tile: 64, margin: 13}
train: sh train.sh
"""
INK = slice(10, 14), slice(5, 30)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """An empty project folder that knows the pipelines lite, big and nomask."""
    configs = tmp_path / "configs"
    configs.mkdir()
    for name in ("lite", "big", "smoke"):
        (configs / f"{name}.yml").write_text(PIPELINE.replace("NAME", name))
    (configs / "nomask.yml").write_text(
        "erase: {networks: [{type: erasenet, weights: n.pdparams}], tile: 64, margin: 13, cmp: false}"
    )
    monkeypatch.setattr(config.pipeline, "PIPELINES", configs)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def finish(name, when="2024-05-01T10:00:00", pipeline=None, leave_out=()):
    """Leave what a complete training leaves in output/NAME."""
    pipeline = pipeline or name
    folder = Path("output", name, "weights")
    folder.mkdir(parents=True)
    for part in ("seg", "gen"):
        if part not in leave_out:
            (folder / f"{pipeline}_{part}.pdparams").write_bytes(f"{name} {part}".encode())
    record = {"pipeline": pipeline, "weights": str(folder), "finished": when, "networks": []}
    (folder.parent / "finished.json").write_text(json.dumps(record))
    return folder


def write_test_pages(folder, *names, size=(60, 80)):
    for name in names:
        page = np.full((*size, 3), 230, np.uint8)
        page[INK] = 30
        write_image(Path(folder, name), page)
    return find_pages([folder])


def hand_made(pipeline):
    def dark(tiles):
        return (tiles.mean(1, keepdims=True) < 0.5).astype(np.float32)

    return Eraser(pipeline, dark, [(lambda tiles, mask: np.ones_like(tiles), 1.0)])


@pytest.fixture
def chosen(project):
    return Choice(load_pipeline("big"), finish("big"), "for the test")


# -- which pipeline ------------------------------------------------------------------------------------------


def test_the_shipped_pipeline_is_taken_where_nothing_is_trained(project):
    choice = choose_pipeline("output")
    assert (choice.pipeline.name, choice.weights) == ("lite", None)
    assert "ships" in choice.why and "no finished training" in choice.why


def test_the_newest_complete_training_is_taken(project):
    finish("lite", "2024-05-01T10:00:00")
    weights = finish("big", "2024-06-01T10:00:00")
    choice = choose_pipeline("output")
    assert (choice.pipeline.name, choice.weights) == ("big", weights)
    assert "2024-06-01" in choice.why


def test_the_first_seed_s_scripts_prefer_trainings_with_a_segmenter(project):
    weights = finish("big", "2024-05-01T10:00:00")
    newer = finish("nomask", "2024-06-01T10:00:00")
    (newer / "n.pdparams").write_bytes(b"")
    assert choose_pipeline("output").weights == newer
    assert choose_pipeline("output", by_mask=True).weights == weights
    (weights.parent / "finished.json").unlink()
    assert choose_pipeline("output", by_mask=True).weights == newer


@pytest.mark.parametrize("damage", ["weights", "record", "unfinished", "unknown"])
def test_an_incomplete_training_is_passed_over_and_named(project, damage):
    finish("big", leave_out=["gen"] if damage == "weights" else ())
    record = Path("output/big/finished.json")
    if damage == "record":
        record.write_text("{")
    elif damage == "unfinished":
        record.unlink()
    elif damage == "unknown":
        record.write_text('{"pipeline": "never heard of", "finished": "2024"}')
    choice = choose_pipeline("output")
    assert (choice.pipeline.name, choice.weights) == ("lite", None)
    if damage == "weights":
        assert "big_gen.pdparams" in choice.why


def test_the_smoke_training_is_never_taken_unasked(project):
    weights = finish("smoke", "2030-01-01T00:00:00")
    assert choose_pipeline("output").pipeline.name == "lite"
    assert choose_pipeline("output", "smoke").weights == weights
    for folder in (weights, weights.parent):
        choice = choose_pipeline("output", weights=folder)
        assert (choice.pipeline.name, choice.weights) == ("smoke", weights)


def test_a_smoke_training_of_a_real_pipeline_is_not_that_pipeline(project):
    finish("smoke", pipeline="lite")
    assert choose_pipeline("output", "lite").weights is None


def test_other_smoke_trainings_are_not_taken_either(project):
    finish("smoke_lite", "2030-01-01T00:00:00", pipeline="lite")
    assert choose_pipeline("output").weights is None


def test_a_pipeline_s_own_file_is_kept_with_trained_weights(project):
    """A file with other settings than those of configs/pipelines runs as it is written."""
    trained = finish("big")
    own = project / "big.yml"
    own.write_text(PIPELINE.replace("NAME", "big").replace("dilate: 1", "dilate: 7"))
    for weights in (None, trained, trained.parent):
        choice = choose_pipeline("output", str(own), weights)
        assert (choice.pipeline.mask.dilate, choice.weights) == (7, trained)
    with pytest.raises(WeightsError, match="lite_seg"):
        choose_pipeline("output", "lite", trained)


def test_what_is_asked_for_is_taken(project):
    trained = finish("big")
    assert choose_pipeline("output", "big").weights == trained
    assert choose_pipeline("output", "lite").weights is None
    other = project / "elsewhere"
    other.mkdir()
    assert choose_pipeline("output", "big", other).weights == other
    assert choose_pipeline("output", weights=other).pipeline.name == "lite"
    with pytest.raises(ConfigError):
        choose_pipeline("output", "bigg")
    with pytest.raises(InputError, match="missing"):
        choose_pipeline("output", weights=project / "missing")


# -- the two steps -------------------------------------------------------------------------------------------


def test_masks_then_pages_then_a_flat_zip(chosen):
    pages = write_test_pages("pages", "b.jpg", "sub/a.png")
    eraser = hand_made(chosen.pipeline)
    assert files.write_masks(pages, chosen, eraser, Path("segoutput")) == []
    mask = read_mask("segoutput/a.png") > 0.5
    truth = np.zeros((60, 80), bool)
    truth[INK] = True
    np.testing.assert_array_equal(mask, truth)
    assert files.write_pages(pages, chosen, eraser, Path("segoutput"), Path("submit")) == []
    assert sorted(os.listdir("submit")) == ["SHA256SUMS", "a.png", "b.png", "readme.txt", "result.zip"]
    expected = read_image("pages/sub/a.png")
    expected[INK] = 255
    np.testing.assert_array_equal(read_image("submit/a.png"), expected)
    with zipfile.ZipFile("submit/result.zip") as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == ["a.png", "b.png", "readme.txt"]
        for name in archive.namelist():
            assert archive.read(name) == Path("submit", name).read_bytes()


def test_the_two_steps_equal_the_eraser(chosen):
    """The contest's scripts are no second way to erase a page."""
    pages = write_test_pages("pages", "a.png", size=(150, 130))
    eraser = hand_made(chosen.pipeline)
    files.write_masks(pages, chosen, eraser, Path("segoutput"))
    files.write_pages(pages, chosen, eraser, Path("segoutput"), Path("submit"))
    np.testing.assert_array_equal(read_image("submit/a.png"), eraser(read_image("pages/a.png")).page)


def test_the_readme_tells_what_made_the_pages(chosen):
    pages = write_test_pages("pages", "a.png", "b.png")
    eraser = hand_made(chosen.pipeline)
    files.write_masks(pages, chosen, eraser, Path("segoutput"))
    run = json.loads(Path("segoutput/run.json").read_text())
    run["seconds"] = {"a": 1.0, "b": 2.0}
    Path("segoutput/run.json").write_text(json.dumps(run))
    files.write_pages(pages, chosen, eraser, Path("segoutput"), Path("submit"))
    readme = Path("submit/readme.txt").read_text()
    assert "pipeline: big (for the test)" in readme and "device: cpu" in readme and "engine: paddle" in readme
    for part in ("seg", "gen"):
        digest = hashlib.sha256(f"big {part}".encode()).hexdigest()
        assert f"big_{part}.pdparams  sha256 {digest}" in readme
    assert "pages: 2" in readme and "(masks 1.50, erasing 0." in readme
    assert "failed" not in readme


def test_folder_and_zip_hold_this_run_s_pages_only(chosen, capsys):
    eraser = hand_made(chosen.pipeline)

    def run(*names):
        pages = write_test_pages(names[0], *(f"{name}.png" for name in names))
        files.write_masks(pages, chosen, eraser, Path("segoutput"))
        files.write_pages(pages, chosen, eraser, Path("segoutput"), Path("submit"))
        with zipfile.ZipFile("submit/result.zip") as archive:
            return sorted(archive.namelist()), sorted(path.name for path in Path("submit").glob("*.*"))

    run("old", "both", "changed")
    Path("submit/changed.png").write_bytes(b"somebody's own by now")
    Path("submit/notes.txt").write_text("mine")
    kept = ["changed.png", "notes.txt"]
    zipped, there = run("new", "both")
    assert zipped == ["both.png", "new.png", "readme.txt"]
    assert there == sorted([*zipped, *kept, "result.zip"])
    assert ", ".join(kept) in capsys.readouterr().err
    sums = subprocess.run(["sha256sum", "--check", "SHA256SUMS"], cwd="submit", capture_output=True, text=True)
    assert sums.stdout.splitlines() == ["both.png: OK", "new.png: OK"]


def test_what_a_cut_run_wrote_is_cleared_too_and_what_failed_is_not_there(chosen, monkeypatch):
    eraser = hand_made(chosen.pipeline)
    pages = write_test_pages("pages", "a.png", "b.png")
    files.write_masks(pages, chosen, eraser, Path("segoutput"))

    def cut(pages, work, label):
        work(pages[0])
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(files, "for_each", cut)
        files.write_pages(pages, chosen, eraser, Path("segoutput"), Path("submit"))
    assert Path("submit/a.png").is_file()
    Path("segoutput/a.png").unlink()
    assert files.write_pages(pages, chosen, eraser, Path("segoutput"), Path("submit")) == pages[:1]
    assert sorted(path.name for path in Path("submit").glob("*.*")) == ["b.png", "readme.txt", "result.zip"]


def test_a_bad_page_is_named_and_the_others_are_done(chosen, capsys):
    write_test_pages("pages", "good.png")
    Path("pages/bad.png").write_bytes(b"no image")
    pages, eraser = find_pages(["pages"]), hand_made(chosen.pipeline)
    write_test_pages("segoutput", "bad.png")  # left over from an earlier run
    for step in (
        lambda: files.write_masks(pages, chosen, eraser, Path("segoutput")),
        lambda: files.write_pages(pages, chosen, eraser, Path("segoutput"), Path("submit")),
    ):
        assert [page.path.name for page in step()] == ["bad.png"]
        assert "bad.png cannot be read" in capsys.readouterr().err
    with zipfile.ZipFile("submit/result.zip") as archive:
        assert sorted(archive.namelist()) == ["good.png", "readme.txt"]
        assert "failed: pages/bad.png" in archive.read("readme.txt").decode()


def test_a_mask_left_over_from_an_earlier_run_is_not_taken(chosen, capsys):
    eraser = hand_made(chosen.pipeline)
    files.write_masks(write_test_pages("first", "a.png"), chosen, eraser, Path("segoutput"))
    files.write_masks(write_test_pages("second", "b.png"), chosen, eraser, Path("segoutput"))
    failed = files.write_pages(find_pages(["first"]), chosen, eraser, Path("segoutput"), Path("submit"))
    assert [page.path.name for page in failed] == ["a.png"]
    assert "no mask" in capsys.readouterr().err


def test_masks_from_elsewhere_are_taken_and_said_so(chosen):
    pages = write_test_pages("pages", "a.png")
    mask = np.zeros((60, 80), bool)
    mask[40:, 40:] = True
    write_mask("own/a.png", mask)
    assert files.write_pages(pages, chosen, hand_made(chosen.pipeline), Path("own"), Path("submit")) == []
    expected = np.where(mask[..., None], 255, read_image("pages/a.png"))
    np.testing.assert_array_equal(read_image("submit/a.png"), expected)
    assert "masks: given" in Path("submit/readme.txt").read_text()


def test_a_mask_of_another_size_fails_its_page(chosen, capsys):
    pages = write_test_pages("pages", "a.png")
    write_mask("own/a.png", np.ones((80, 60), bool))
    eraser = hand_made(chosen.pipeline)
    assert files.write_pages(pages, chosen, eraser, Path("own"), Path("submit")) == pages
    assert "(80, 60)" in capsys.readouterr().err


def test_two_pages_of_one_stem_end_before_work_starts(chosen):
    pages = write_test_pages("pages", "a.png", "sub/a.jpg", "b.png")
    eraser = hand_made(chosen.pipeline)
    for step in (
        lambda: files.write_masks(pages, chosen, eraser, Path("segoutput")),
        lambda: files.write_pages(pages, chosen, eraser, Path("segoutput"), Path("submit")),
    ):
        with pytest.raises(InputError) as error:
            step()
        assert "a.png" in str(error.value) and "a.jpg" in str(error.value) and "b.png" not in str(error.value)
    assert not Path("segoutput").exists() and not Path("submit").exists()


@pytest.mark.parametrize(
    ("command", "page", "told"),
    [
        (lambda: submit.masks_command(["own", "--output", "own"]), "own/a.png", "own/a.png would be replaced"),
        (lambda: submit.pages_command(["own", "--output", "own"]), "own/a.png", "own/a.png would be replaced"),
        (lambda: submit.pages_command(["a.png", "--masks", "own", "--output", "own"]), "own/a.png", "holds the masks"),
        (lambda: main.main(["submit", "submit"]), "submit/a.png", "submit/a.png would be replaced"),
        (lambda: main.main(["submit", "segoutput"]), "segoutput/a.png", "segoutput/a.png would be replaced"),
        (lambda: main.main(["submit", "--root", "a.png", "own"]), "own/a.png", "is a file, not a folder"),
    ],
)
def test_no_page_and_no_mask_is_replaced(project, capsys, command, page, told):
    """Nor are networks loaded to find that out."""
    write_test_pages(".", page)
    Path("a.png").write_bytes(Path(page).read_bytes())
    before = Path(page).read_bytes()
    assert main.guarded(command) == ExitCode.USAGE
    assert told in capsys.readouterr().err and Path(page).read_bytes() == before
    assert sorted(str(path) for path in Path().rglob("*.*") if path.is_file()) == sorted(
        ["a.png", page, *(f"configs/{name}.yml" for name in ("big", "lite", "nomask", "smoke"))]
    )


@pytest.mark.parametrize("seconds", ['{"a": "x"}', '{"a": null}', "3", '[["a"]]'])
def test_a_damaged_note_of_the_masks_is_named(chosen, seconds):
    pages, eraser = write_test_pages("pages", "a.png"), hand_made(chosen.pipeline)
    files.write_masks(pages, chosen, eraser, Path("segoutput"))
    Path("segoutput/run.json").write_text(f'{{"pipeline": "big", "seconds": {seconds}}}')
    with pytest.raises(InputError, match=r"run.json is damaged"):
        files.write_pages(pages, chosen, eraser, Path("segoutput"), Path("submit"))


def test_a_machine_without_a_clock_packs_its_pages(chosen, monkeypatch):
    pages, eraser = write_test_pages("pages", "a.png"), hand_made(chosen.pipeline)
    files.write_masks(pages, chosen, eraser, Path("segoutput"))
    monkeypatch.setattr(files, "_keep_only", lambda folder, sums: [os.utime(folder / name, (0, 0)) for name in sums])
    assert files.write_pages(pages, chosen, eraser, Path("segoutput"), Path("submit")) == []
    assert zipfile.ZipFile("submit/result.zip").testzip() is None


def test_a_damaged_record_of_pages_loses_none(chosen):
    pages, eraser = write_test_pages("pages", "a.png"), hand_made(chosen.pipeline)
    files.write_masks(pages, chosen, eraser, Path("segoutput"))
    Path("submit").mkdir()
    Path("submit/SHA256SUMS").write_bytes(b"\xff\xfe\n")
    assert files.write_pages(pages, chosen, eraser, Path("segoutput"), Path("submit")) == []
    assert zipfile.ZipFile("submit/result.zip").namelist() == ["a.png", "readme.txt"]


def test_a_garbled_name_ends_before_work_starts_and_a_garbled_folder_does_not(chosen):
    """As names in GBK look that were unpacked on Linux: no zip or JSON could hold them."""
    eraser, folder = hand_made(chosen.pipeline), os.fsdecode(b"\xca\xd4\xbe\xed")
    write_test_pages(folder, "good.png")
    Path(folder, "bad.png").write_bytes(b"no image")
    pages = find_pages([folder])
    files.write_masks(pages, chosen, eraser, Path("segoutput"))
    failed = files.write_pages(pages, chosen, eraser, Path("segoutput"), Path("submit"))
    assert len(failed) == 1 and "bad.png" in Path("submit/readme.txt").read_text()
    write_test_pages("pages", f"{folder}.png")
    with pytest.raises(InputError, match="not UTF-8"):
        files.write_masks(find_pages(["pages"]), chosen, eraser, Path("segoutput"))


def test_a_pipeline_without_segmenter_needs_no_masks(project, capsys):
    write_test_pages("pages", "a.png")
    assert submit.masks_command(["pages", "--pipeline", "nomask"]) == ExitCode.OK
    assert "nothing to do" in capsys.readouterr().err and not Path("segoutput").exists()
    pipeline = load_pipeline("nomask")
    Path("n.pdparams").write_bytes(b"")
    choice = Choice(pipeline, Path("."), "for the test")
    eraser = hand_made(pipeline)
    assert files.write_pages(find_pages(["pages"]), choice, eraser, Path("none"), Path("submit")) == []
    assert (read_image("submit/a.png") == 255).all()


def test_default_pages_are_the_test_set_else_the_samples(project):
    with pytest.raises(InputError, match="sample"):
        files.default_pages("data")
    write_test_pages("data/sample/images", "s.png")
    assert [page.path.name for page in files.default_pages("data")] == ["s.png"]
    write_test_pages("data/dehw_testB_dataset", "t.jpg")
    assert [page.path.name for page in files.default_pages("data")] == ["t.jpg"]


def test_both_commands_make_the_same_choice(project, monkeypatch, capsys):
    weights = finish("big")
    write_test_pages("data/sample/images", "s.png")
    asked = []

    def load(pipeline, device, folder, parts, engine):
        asked.append((pipeline.name, device, folder, parts, engine))
        return hand_made(pipeline)

    monkeypatch.setattr(Eraser, "load", load)
    arguments = ["--device", "cpu", "--engine", "paddle"]
    assert submit.masks_command(arguments) == ExitCode.OK
    assert submit.pages_command(arguments) == ExitCode.OK
    assert asked == [("big", "cpu", weights, [part], "paddle") for part in ("segment", "erase")]
    assert capsys.readouterr().err.count("1 pages; pipeline big: trained in output/big") == 2
    assert zipfile.ZipFile("submit/result.zip").namelist() == ["s.png", "readme.txt"]
    Path("data/sample/images/broken.jpg").write_bytes(b"")
    assert submit.masks_command([]) == ExitCode.FAILED
    assert submit.pages_command([]) == ExitCode.FAILED


@pytest.mark.parametrize("script", ["1_predict_segformer.py", "2_predictgan.py"])
def test_the_scripts_run_from_anywhere_and_end_in_an_exit_code(tmp_path, script):
    command = [sys.executable, str(SCRIPTS / script), "missing.png"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert run.returncode == ExitCode.USAGE
    assert "missing.png: no such file" in run.stderr and "Traceback" not in run.stderr
    assert os.listdir(tmp_path) == []


# -- both steps in one -----------------------------------------------------------------------------------------


def load_hand_made(monkeypatch, fail: str = ""):
    """Have networks be hand-made ones; those of the part `fail` are missing. Returns the parts that were asked for."""
    parts = []

    def load(pipeline, device, folder, parts_asked=(), engine="auto", **options):
        parts.extend(options.get("parts", parts_asked))
        if fail in options.get("parts", parts_asked):
            raise WeightsError("no weights")
        return hand_made(pipeline)

    monkeypatch.setattr(Eraser, "load", load)
    return parts


def test_submit_makes_masks_then_pages_and_prints_the_zip(project, monkeypatch, capsys):
    parts = load_hand_made(monkeypatch)
    finish("big")
    write_test_pages("pages", "a.png", "b.png")
    assert main.main(["submit", "pages"]) == ExitCode.OK
    assert parts == ["segment", "erase"]
    assert capsys.readouterr().out == "submit/result.zip\n"
    assert zipfile.ZipFile("submit/result.zip").namelist() == ["a.png", "b.png", "readme.txt"]
    assert sorted(os.listdir("segoutput")) == ["a.png", "b.png", "run.json"]


def test_submit_packs_the_good_pages_and_says_so_by_its_exit_code(project, monkeypatch, capsys):
    load_hand_made(monkeypatch)
    finish("big")
    write_test_pages("pages", "good.png")
    Path("pages/bad.png").write_bytes(b"no image")
    assert main.main(["submit", "pages"]) == ExitCode.FAILED
    assert zipfile.ZipFile("submit/result.zip").namelist() == ["good.png", "readme.txt"]
    assert capsys.readouterr().out == "submit/result.zip\n"


@pytest.mark.parametrize(("fail", "parts"), [("segment", ["segment"]), ("erase", ["segment", "erase"])])
def test_submit_stops_at_the_step_whose_weights_are_missing(project, monkeypatch, capsys, fail, parts):
    asked = load_hand_made(monkeypatch, fail)
    finish("big")
    write_test_pages("pages", "a.png")
    assert main.main(["submit", "pages"]) == ExitCode.WEIGHTS
    assert asked == parts and capsys.readouterr().out == "" and not Path("submit").exists()


def test_submit_takes_paths_from_here_and_writes_below_the_root(project, monkeypatch, capsys):
    load_hand_made(monkeypatch)
    finish("big")
    (project / "else where").mkdir()
    monkeypatch.chdir(project / "else where")
    write_test_pages("lite", "a page.png")  # a folder that bears a pipeline's name
    assert main.main(["submit", "--root", str(project), "lite", "--pipeline", "big"]) == ExitCode.OK
    assert capsys.readouterr().out == f"{project}/submit/result.zip\n"
    assert (project / "segoutput/a page.png").is_file() and os.listdir(".") == ["lite"]


@pytest.mark.parametrize("option", ["--output", "--masks"])
def test_submit_has_no_folders_that_would_part_its_two_steps(project, option):
    with pytest.raises(SystemExit) as stopped:
        main.main(["submit", option, "x"])
    assert stopped.value.code == 2
