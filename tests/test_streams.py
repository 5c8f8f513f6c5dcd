"""`dehw erase -`: a page from stdin, erased to stdout."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from files import damage_page, files, page, report, run, save_pdf, save_tiff, whitened
from PIL import Image

from dehw.errors import ExitCode
from dehw.files.images import read_image, write_image


@pytest.fixture
def stdin(monkeypatch):
    """Puts bytes into stdin."""

    def put(content):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))

    return put


def encoded(kind="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(page()).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("output", [[], ["-o", "-"]])
@pytest.mark.parametrize("kind, form", [("PNG", None), ("JPEG", None), ("BMP", "png"), ("PNG", "pdf")])
def test_stdin_goes_to_stdout_in_its_kind_or_the_one_asked_for(eraser, stdin, capfdbinary, output, kind, form):
    stdin(encoded(kind))
    chosen = ["--format", form] if form else []
    assert run("-", *output, *chosen, "--report", "report.json") == ExitCode.OK
    captured = capfdbinary.readouterr()
    Path("out").write_bytes(captured.out)
    if form == "pdf":
        assert captured.out.startswith(b"%PDF-")
    else:
        with Image.open("out") as image:
            assert image.format == (form or kind).upper()
            difference = np.abs(np.array(image).astype(int) - whitened(page()))
            assert difference.max() <= (40 if image.format == "JPEG" else 0)
    [told] = report()["pages"]
    assert (told["input"], told["output"], told["status"]) == ("stdin", "stdout", "erased")
    assert b"1 page erased" in captured.err and b"written to stdout" in captured.err
    assert files() == ["out", "report.json"]


def test_a_file_goes_to_stdout_and_stdin_to_files(eraser, stdin, capfdbinary):
    write_image("a.png", page())
    assert run("a.png", "-o", "-") == ExitCode.OK
    Path("out.png").write_bytes(capfdbinary.readouterr().out)
    np.testing.assert_array_equal(read_image("out.png"), whitened(page()))
    stdin(encoded("JPEG"))
    assert run("-", "-o", "named.png", "--save-mask") == ExitCode.OK
    stdin(encoded("JPEG"))
    assert run("-", "-o", "folder") == ExitCode.OK
    assert files() == ["a.png", "folder/stdin.jpg", "named.mask.png", "named.png", "out.png"]
    assert capfdbinary.readouterr().out == b""


def test_documents_of_many_pages_pass_whole(eraser, stdin, capfdbinary):
    save_pdf("in.pdf", page(), page(ink=False))
    stdin(Path("in.pdf").read_bytes())
    assert run("-", "--format", "tif") == ExitCode.OK
    with Image.open(io.BytesIO(capfdbinary.readouterr().out)) as image:
        assert image.n_frames == 2


def test_a_page_that_fails_among_others_goes_to_stdout_as_it_was_and_is_told(eraser, stdin, capfdbinary):
    save_tiff("in.tif", page(), page())
    damage_page("in.tif", 1)
    stdin(Path("in.tif").read_bytes())
    assert run("-") == ExitCode.FAILED
    captured = capfdbinary.readouterr()
    assert b"stdin, page 2, cannot be read" in captured.err
    with Image.open(io.BytesIO(captured.out)) as image:
        assert image.n_frames == 2


@pytest.mark.parametrize(
    "content, arguments, message",
    [
        (b"", ["-"], b"stdin is empty"),
        (b"hello", ["-"], b"stdin: not a kind of file"),
        (encoded(), ["-", "a.png"], b"- is stdin, which is read alone"),
        (encoded(), ["-", "--in-place"], b"- is stdin, which is read alone"),
        (encoded(), ["-", "--save-mask"], b"no side files"),
        (encoded(), ["a.png", "b.png", "-o", "-"], b"stdout takes one document"),
    ],
)
def test_what_cannot_be_streamed_ends_before_work(eraser, stdin, capfdbinary, content, arguments, message):
    for name in ("a.png", "b.png"):
        write_image(name, page())
    stdin(content)
    assert run(*arguments) == ExitCode.USAGE
    captured = capfdbinary.readouterr()
    assert message in captured.err and captured.out == b"" and files() == ["a.png", "b.png"]


def test_a_broken_page_leaves_stdout_empty(eraser, stdin, capfdbinary):
    stdin(encoded()[:60])
    assert run("-") == ExitCode.FAILED
    captured = capfdbinary.readouterr()
    assert captured.out == b"" and b"stdin cannot be read" in captured.err and b"dehw-" not in captured.err


def test_no_page_is_written_to_a_terminal(eraser, monkeypatch, capsys):
    write_image("a.png", page())
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert run("a.png", "-o", "-") == ExitCode.USAGE
    assert "terminal" in capsys.readouterr().err


STREAM = """
import sys
from erasers import constant, dark, eraser_with
from dehw.commands import main
from dehw.eraser import Eraser
Eraser.load = lambda *arguments, **options: eraser_with(constant(1.0), segmenter=dark, device="cpu")
sys.exit(main.main(["erase", *sys.argv[1:]]))
"""


@pytest.mark.skipif(os.name == "nt", reason="pipes end otherwise there")
def test_a_pipe_that_closes_is_told(tmp_path):
    tests = Path(__file__).parent
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent / "work")])}
    read, write = os.pipe()
    os.close(read)
    write_image(tmp_path / "a.png", page(size=(300, 400)))
    command = [sys.executable, "-c", STREAM, str(tmp_path / "a.png"), "-o", "-"]
    done = subprocess.run(command, env=env, stdout=write, stderr=subprocess.PIPE, text=True)
    os.close(write)
    assert done.returncode == ExitCode.FAILED
    assert "stdout cannot be written: " in done.stderr and "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="a shell's way to close streams")
@pytest.mark.parametrize(
    ("arguments", "closed", "code", "told"),
    [
        ("a.png -o out.png", "<&-", ExitCode.OK, "1 page erased"),
        ("a.png -o out.png", ">&-", ExitCode.OK, "1 page erased"),
        ("a.png -o out.png", "2>&-", ExitCode.OK, ""),
        ("a.png -o out.png --progress json", "2>&-", ExitCode.OK, ""),
        ("a.png -o out.png", "<&- >&- 2>&-", ExitCode.OK, ""),
        ("- -o out.png", "<&-", ExitCode.USAGE, "stdin is empty"),
        ("a.png -o -", ">&-", ExitCode.USAGE, "stdout is closed"),
    ],
)
def test_closed_streams_are_in_nobodys_way(tmp_path, arguments, closed, code, told):
    tests = Path(__file__).parent
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent / "work")])}
    write_image(tmp_path / "a.png", page())
    command = ["sh", "-c", f'"$0" -c "$1" {arguments} {closed}', sys.executable, STREAM]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (code, "")
    assert told in done.stderr and "Traceback" not in done.stderr
    if code == ExitCode.OK:
        np.testing.assert_array_equal(read_image(tmp_path / "out.png"), whitened(page()))
