import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from erasers import constant, dark, eraser_with
from PIL import Image

from dehw.commands import evaluate, main
from dehw.eraser import Eraser
from dehw.errors import DeviceError, ExitCode, WeightsError
from dehw.files.images import read_image, write_image, write_mask
from dehw.page import metrics

WORK = Path(__file__).resolve().parents[1] / "work"
INK = slice(10, 14), slice(5, 30)


@pytest.fixture
def networks(tmp_path, monkeypatch):
    """Let `dehw erase` find dark pixels and whiten them, with no weights; lists how it was loaded."""
    loads = []

    def load(*arguments, engine):
        loads.append((*arguments, engine))
        return eraser_with(constant(1.0), segmenter=dark, device="cpu")

    monkeypatch.setattr(Eraser, "load", load)
    monkeypatch.chdir(tmp_path)
    return loads


def page(ink=True, size=(60, 80)):
    picture = np.full((*size, 3), 230, np.uint8)
    if ink:
        picture[INK] = 30
    return picture


def whitened():
    picture = page()
    picture[INK] = 255
    return picture


def run(*arguments):
    return main.main([str(argument) for argument in arguments])


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


# -- erase ---------------------------------------------------------------------------------------------------


def test_without_o_the_clean_page_stands_beside_the_input(networks):
    write_image("a.png", page())
    original = Path("a.png").read_bytes()
    assert run("erase", "a.png") == ExitCode.OK
    assert files(".") == ["a.clean.png", "a.png"]
    np.testing.assert_array_equal(read_image("a.clean.png"), whitened())
    assert Path("a.png").read_bytes() == original


def test_with_o_relative_paths_and_names_are_kept(networks):
    for name in ("in/1.png", "in/sub/1.png", "in/sub/2.bmp", "single.tif"):
        write_image(name, page())
    assert run("erase", "in", "single.tif", "-o", "out") == ExitCode.OK
    assert files("out") == ["1.png", "single.tif", "sub/1.png", "sub/2.bmp"]
    np.testing.assert_array_equal(read_image("out/sub/2.bmp"), whitened())


def test_a_file_is_no_output_folder(networks, capsys):
    write_image("a.png", page())
    Path("out").write_bytes(b"precious")
    assert run("erase", "a.png", "-o", "out", "--overwrite") == ExitCode.USAGE
    assert networks == [] and "out is a file" in capsys.readouterr().err


def test_choices_are_handed_to_the_eraser(networks):
    write_image("a.png", page())
    run("erase", "a.png", "--pipeline", "erasenet", "--device", "gpu", "--weights", "w", "--engine", "paddle")
    assert networks == [("erasenet", "gpu", Path("w"), "paddle")]


def test_nothing_is_overwritten_unless_asked(networks, capsys):
    for name in ("a.png", "b.png"):
        write_image(f"in/{name}", page())
    Path("out").mkdir()
    Path("out/b.png").write_bytes(b"precious")
    assert run("erase", "in", "-o", "out") == ExitCode.USAGE
    assert files("out") == ["b.png"] and Path("out/b.png").read_bytes() == b"precious"
    assert networks == [] and "b.png" in capsys.readouterr().err
    assert run("erase", "in", "-o", "out", "--overwrite") == ExitCode.OK
    np.testing.assert_array_equal(read_image("out/b.png"), whitened())


def test_an_original_is_never_replaced(networks):
    write_image("in/a.png", page())
    before = Path("in/a.png").read_bytes()
    assert run("erase", "in", "-o", "in", "--overwrite") == ExitCode.USAGE
    assert run("erase", "in/a.png", "-o", "in/../in", "--overwrite") == ExitCode.USAGE
    assert Path("in/a.png").read_bytes() == before


def test_two_inputs_ending_at_one_output_end_before_work(networks, capsys):
    for name in ("x/a.png", "y/a.png", "y/b.png"):
        write_image(name, page())
    assert run("erase", "x", "y", "-o", "out") == ExitCode.USAGE
    message = capsys.readouterr().err
    assert "x/a.png" in message and "y/a.png" in message and "b.png" not in message
    assert not Path("out").exists() and networks == []


def test_a_second_run_over_a_folder_does_not_take_its_own_outputs(networks):
    write_image("in/a.png", page())
    for _ in range(2):
        assert run("erase", "in", "--overwrite") == ExitCode.OK
    assert files("in") == ["a.clean.png", "a.png"]
    for _ in range(2):
        assert run("erase", "in", "-o", "in/out", "--overwrite") == ExitCode.OK
    assert files("in") == ["a.clean.png", "a.png", "out/a.png"]


def test_an_output_folder_above_the_input_takes_nothing_away(networks):
    write_image("all/in/a.png", page())
    assert run("erase", "all/in", "-o", "all") == ExitCode.OK
    assert files("all") == ["a.png", "in/a.png"]


def test_a_page_without_handwriting_is_copied_byte_for_byte(networks):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(page(ink=False)).save("empty.jpg", quality=60, exif=exif)
    assert run("erase", "empty.jpg", "-o", "out") == ExitCode.OK
    assert Path("out/empty.jpg").read_bytes() == Path("empty.jpg").read_bytes()


def test_jpeg_keeps_resolution_and_camera_and_stands_upright(networks):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Camera"
    Image.fromarray(page()).save("turned.jpg", quality=95, exif=exif, dpi=(300, 300))
    assert run("erase", "turned.jpg") == ExitCode.OK
    with Image.open("turned.clean.jpg") as image:
        assert image.size == (60, 80) and image.info["dpi"] == (300, 300)
        assert image.getexif()[0x010F] == "Camera" and 0x0112 not in image.getexif()
        assert {tuple(component[1:3]) for component in image.layer} == {(1, 1)}


def test_a_bad_page_is_named_and_the_others_are_done(networks, capsys):
    write_image("in/a.png", page())
    Path("in/b.png").write_bytes(b"no image")
    write_image("in/c.png", page(ink=False))
    assert run("erase", "in", "-o", "out") == ExitCode.FAILED
    assert files("out") == ["a.png", "c.png"]
    captured = capsys.readouterr()
    assert "in/b.png cannot be read" in captured.err
    assert "1 page erased, 1 without handwriting copied, 1 failed" in captured.err
    assert captured.out == ""


def test_errors_end_in_one_line_and_their_exit_code(networks, monkeypatch, capsys):
    write_image("a.png", page())
    assert run("erase", "nowhere.png") == ExitCode.USAGE
    assert "nowhere.png" in capsys.readouterr().err

    def failing(error):
        def load(*arguments, **options):
            raise error

        return load

    cases = [
        (WeightsError("no weights"), 3, "dehw: no weights\n"),
        (MemoryError(), 4, "memory; close other programs"),
        (DeviceError("no GPU"), 5, "dehw: no GPU\n"),
        (KeyboardInterrupt(), 130, "stopped"),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "dehw: a file cannot be read or written: No space left"),
        (PermissionError(errno.EACCES, "Permission denied", "x.onnx"), 1, "dehw: x.onnx cannot be read or written: "),
    ]
    for error, code, message in cases:
        monkeypatch.setattr(Eraser, "load", failing(error))
        assert run("erase", "a.png") == code
        written = capsys.readouterr().err
        assert message in written and "Traceback" not in written and written.count("\n") == 1
    with pytest.raises(OSError):  # of the program's own doing
        monkeypatch.setattr(Eraser, "load", failing(OSError(errno.EBADF, "Bad file descriptor")))
        run("erase", "a.png")


def test_interrupted_work_leaves_whole_pages_only(networks, monkeypatch):
    for name in ("a.png", "b.png"):
        write_image(f"in/{name}", page())
    save = Image.Image.save

    def interrupted(image, path, **options):
        save(image, path, **options)
        if len(files("out")) == 2:  # the second page's temporary file
            raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", interrupted)
    assert run("erase", "in", "-o", "out") == 130
    assert files("out") == ["a.png"]


@pytest.mark.skipif(os.name == "nt", reason="Windows forks no processes")
def test_workers_are_ended_by_their_pool_in_silence(capfd):
    """What ends a command does not end up in the processes that it forks off: a pool ends these by SIGTERM too."""

    def command():
        runs, told = os.pipe()
        if (child := os.fork()) == 0:
            os.write(told, b".")  # a signal before Python runs again in here would be forgotten
            time.sleep(30)
            os._exit(0)
        os.read(runs, 1)
        os.kill(child, signal.SIGTERM)
        return os.WTERMSIG(os.waitpid(child, 0)[1])

    before = signal.getsignal(signal.SIGTERM)
    assert main.guarded(command) == signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) is before and capfd.readouterr().err == ""


# -- evaluate ------------------------------------------------------------------------------------------------


@pytest.fixture
def judged(tmp_path, monkeypatch):
    """Two pages of 200x200 with print and ink, their gts, and predictions that left the ink half as dark."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for stem in ("p2", "p10"):
        gt = rng.integers(200, 256, (200, 200, 3), np.uint8)
        gt[100:110, 20:30] = 10
        image, out = gt.copy(), gt.copy()
        image[50:60, 50:150] = 20
        out[50:60, 50:150] = (gt[50:60, 50:150].astype(int) + 20) // 2
        write_image(f"images/{stem}.png", image)
        write_image(f"gts/{stem}.png", gt)
        write_image(f"out/{stem}.png", out)
    return tmp_path


def rows(text):
    header, *lines = [line.split() for line in text.splitlines()]
    return {line[0]: dict(zip(header[1:], line[1:])) for line in lines}


def test_evaluate_prints_a_row_a_page_and_the_mean(judged, capsys):
    assert run("evaluate", "images", "gts", "out") == ExitCode.OK
    table = rows(capsys.readouterr().out)
    assert sorted(table) == ["mean", "p10", "p2"] and list(table)[-1] == "mean"
    for stem in ("p2", "p10"):
        read = [read_image(f"{folder}/{stem}.png") for folder in ("images", "gts", "out")]
        scores = metrics.evaluate(*read)
        for column in evaluate.COLUMNS:
            assert float(table[stem][column]) == pytest.approx(getattr(scores, column), abs=0.006)
        assert float(table[stem]["residual"]) == pytest.approx(0.5, abs=0.01)
    mean = (float(table["p2"]["psnr"]) + float(table["p10"]["psnr"])) / 2
    assert float(table["mean"]["psnr"]) == pytest.approx(mean, abs=0.01)


def test_evaluate_prints_what_the_winners_published(judged, capsys):
    assert run("evaluate", "images", "gts", "out") == ExitCode.OK
    plain = rows(capsys.readouterr().out)
    assert run("evaluate", "images", "gts", "out", "--contest") == ExitCode.OK
    captured = capsys.readouterr()
    table = rows(captured.out)
    figures = {name: table.pop(name)["psnr"] for name in list(table) if name.startswith("published")}
    assert figures == {"published-erasenet": "38.68", "published-erasenet-nonlocal": "38.06"}
    assert table == plain
    assert "81 pages" in captured.err


def test_evaluate_takes_masks_and_valid(judged, capsys):
    """With only an untouched corner valid there is no ink to judge, and no error."""
    for stem in ("p2", "p10"):
        valid = np.zeros((200, 200), bool)
        valid[:40, :40] = True
        write_mask(f"valid/{stem}.png", valid)
        write_mask(f"masks/{stem}.png", np.zeros((200, 200), bool))
    assert run("evaluate", "images", "gts", "out", "--valid", "valid") == ExitCode.OK
    assert rows(capsys.readouterr().out)["p2"]["residual"] == "-"
    assert run("evaluate", "images", "gts", "out", "--masks", "masks") == ExitCode.OK
    table = rows(capsys.readouterr().out)
    assert table["p2"]["residual"] == "-" and float(table["p2"]["touched"]) == pytest.approx(0.025, abs=0.002)


def test_evaluate_lists_every_problem_at_once(judged, capsys):
    os.remove("gts/p2.png")
    write_image("out/p10.png", page())
    write_image("out/extra.png", page())
    assert run("evaluate", "images", "gts", "out", "--masks", "nowhere") == ExitCode.USAGE
    captured = capsys.readouterr()
    assert captured.out == ""
    for part in ("p2", "out/p10.png", "extra.png", "nowhere"):
        assert part in captured.err


def test_evaluate_names_a_damaged_page_and_judges_the_others(judged, capsys):
    whole = Path("out/p10.png").read_bytes()
    Path("out/p10.png").write_bytes(whole[: len(whole) // 2])  # its header still tells the size
    assert run("evaluate", "images", "gts", "out") == ExitCode.FAILED
    captured = capsys.readouterr()
    assert sorted(rows(captured.out)) == ["mean", "p2"] and "out/p10.png cannot be read" in captured.err


@pytest.mark.parametrize("which, residual", [("images", "1.0000"), ("gts", "0.0000")])
def test_evaluate_untouched_and_perfect_pages(judged, capsys, which, residual):
    assert run("evaluate", "images", "gts", which) == ExitCode.OK
    mean = rows(capsys.readouterr().out)["mean"]
    assert (mean["residual"], mean["lost"]) == (residual, "0.0000")


def test_the_mean_leaves_out_what_is_exact_and_says_so(judged, capsys):
    write_image("out/p2.png", read_image("gts/p2.png"))
    assert run("evaluate", "images", "gts", "out") == ExitCode.OK
    captured = capsys.readouterr()
    table = rows(captured.out)
    assert table["p2"]["psnr"] == table["p2"]["contest"] == "inf"
    assert (table["mean"]["psnr"], table["mean"]["contest"]) == (table["p10"]["psnr"], table["p10"]["contest"])
    assert float(table["mean"]["residual"]) == pytest.approx(float(table["p10"]["residual"]) / 2, abs=1e-4)
    assert "without the 1 pages that are exact" in captured.err
    assert run("evaluate", "images", "gts", "gts") == ExitCode.OK  # all are: then inf is the mean
    captured = capsys.readouterr()
    assert rows(captured.out)["mean"]["psnr"] == "inf" and "without" not in captured.err


# -- models, help --------------------------------------------------------------------------------------------


def test_models_of_a_pipeline(tmp_path, capsys):
    path = tmp_path / "tiny.yml"
    path.write_text("erase: {networks: [{type: erasenet, weights: tiny.pdparams, args: {width: 0.0625}}]}")
    assert run("models", "--pipeline", path) == ExitCode.OK
    header, line = capsys.readouterr().out.splitlines()
    name, parameters, gmacs, weights = line.split()
    assert (name, weights) == ("erasenet", "tiny.pdparams")
    assert 0 < int(parameters.replace(",", "")) < 19_737_615 / 100 and 0 < float(gmacs) < 115.8 / 20


@pytest.mark.slow
def test_models_lists_the_published_sizes(capsys):
    assert run("models") == ExitCode.OK
    table = {line.split()[0]: line.split()[1:3] for line in capsys.readouterr().out.splitlines()}
    assert table["erasenet"] == ["19,737,615", "115.8"]
    assert table["segformer_b2"] == ["27,348,162", "56.6"]


@pytest.mark.parametrize("arguments", [["--help"], ["erase", "--help"], ["--version"]])
def test_help_answers_at_once(arguments):
    command = [sys.executable, "-X", "importtime", "-m", "dehw", *arguments]
    seconds = []
    for _ in range(3):  # the quickest of three: the machine may be busy
        started = time.perf_counter()
        result = subprocess.run(command, cwd=WORK, capture_output=True, text=True, check=True)
        seconds.append(time.perf_counter() - started)
    assert "dehw" in result.stdout
    for library in ("paddle", "numpy", "cv2", "PIL", "yaml"):
        assert f" {library}\n" not in result.stderr
    assert min(seconds) < 1


def test_wrong_arguments_exit_with_2(capsys):
    for arguments in (
        [],
        ["erase"],
        ["erase", "a.png", "--device", "tpu"],
        ["serve", "--port", "-1"],
        ["serve", "--max-pages", "0"],
        ["bench", "--tiles", "-1"],
        ["bench", "--largest", "0"],
        ["synth", "0", "-o", "out"],
        ["synth", "1", "-o", "out", "--print-height", "3"],
        ["synth", "1", "-o", "out", "--print-height", "nan"],
        ["synth", "1", "-o", "out", "--seed", "-1"],
        ["watch", "in", "out", "--every", "inf"],
    ):
        with pytest.raises(SystemExit) as end:
            main.parser().parse_args(arguments)
        assert end.value.code == ExitCode.USAGE
