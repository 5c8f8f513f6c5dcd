"""`dehw erase`: places are checked before the work, what fails is one page, and what is killed leaves nothing.

As tests may run as root, who may do anything, folders are made unwritable by what stands in their place.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from files import damage_page, files, page, pages_of, report, run, save_pdf, save_tiff, whitened
from PIL import Image

from dehw.eraser import Eraser
from dehw.errors import ExitCode
from dehw.files import documents, find, images
from dehw.files.images import read_image, write_image

POSIX = pytest.mark.skipif(os.name == "nt", reason="Windows has no such thing")
SUFFIXES = ("png", "jpg", "tif", "pdf")


def save(path, *pictures):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    suffix = Path(path).suffix[1:]
    {"tif": save_tiff, "pdf": save_pdf}.get(suffix, write_image)(path, *(pictures or [page()]))


def statuses():
    return {Path(each["input"]).name: each["status"] for each in report()["pages"]}


# -- places are checked before the work -----------------------------------------------------------------------


@pytest.fixture
def unloaded(eraser, monkeypatch):
    """No network may be loaded: the run is to end before."""
    monkeypatch.setattr(Eraser, "load", None)


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
@pytest.mark.parametrize("place", ["in/a.png", "in/b.png", "out/a.png", "out/a.mask.png", "out", "in", "out/a.png/r"])
def test_a_report_replaces_no_page_and_stands_in_no_ones_way(unloaded, capsys, overwrite, place):
    for name in ("in/a.png", "in/b.png"):
        write_image(name, page())
    before = {name: Path(name).read_bytes() for name in files()}
    assert run("in", "-o", "out", "--save-mask", "--report", place, *overwrite) == ExitCode.USAGE
    assert {name: Path(name).read_bytes() for name in files()} == before
    assert "choose another" in capsys.readouterr().err


@pytest.mark.parametrize("place", ["r" * 300, "r" * 300 + "/r.json"])
def test_a_report_that_cannot_be_is_told_before_the_work(unloaded, capsys, place):
    write_image("in/a.png", page())
    assert run("in", "-o", "out", "--report", place) == ExitCode.USAGE
    assert "choose another file for --report" in capsys.readouterr().err


def test_a_report_replaces_a_file_only_when_asked_or_its_own_when_the_run_resumes(eraser, capsys):
    write_image("in/a.png", page())
    Path("notes.txt").write_text("precious")
    for resume in ([], ["--resume"]):
        assert run("in", "-o", "out", "--report", "notes.txt", *resume) == ExitCode.USAGE
        assert "notes.txt is there already" in capsys.readouterr().err
    assert Path("notes.txt").read_text() == "precious" and not Path("out").exists()
    assert run("in", "-o", "out", "--report", "report.json") == ExitCode.OK
    assert run("in", "-o", "out2", "--report", "report.json") == ExitCode.USAGE
    assert run("in", "-o", "out", "--report", "report.json", "--resume") == ExitCode.OK
    assert statuses() == {"a.png": "skipped"}
    assert run("in", "-o", "out", "--report", "notes.txt", "--overwrite") == ExitCode.OK


@POSIX
@pytest.mark.parametrize("arguments", [["--report", "special"], ["-o", "out", "--save-mask"], ["-o", "special/out"]])
def test_a_device_or_pipe_is_replaced_by_nothing(unloaded, capsys, arguments):
    """A pipe stands for all of them: it can be made without being root."""
    write_image("a.png", page())
    place = Path("out/a.mask.png" if "--save-mask" in arguments else "special")
    place.parent.mkdir(exist_ok=True)
    os.mkfifo(place)
    assert run("a.png", "--overwrite", *arguments) == ExitCode.USAGE
    assert place.is_fifo()


@pytest.mark.parametrize("arguments", [["-o", "file/out"], ["-o", "file/out.jpg"], ["--report", "file/report.json"]])
def test_a_file_where_a_folder_must_be_is_told_before_the_work(unloaded, capsys, arguments):
    write_image("a.png", page())
    Path("file").write_text("precious")
    assert run("a.png", *arguments) == ExitCode.USAGE
    assert "file is a file, not a folder" in capsys.readouterr().err and files() == ["a.png", "file"]


@pytest.mark.parametrize("arguments", [["-o", "locked/out"], ["--report", "locked/report.json"]])
def test_a_folder_that_may_not_be_written_in_is_told_before_the_work(unloaded, capsys, monkeypatch, arguments):
    write_image("a.png", page())
    Path("locked").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: Path(path).name != "locked")
    assert run("a.png", *arguments) == ExitCode.USAGE
    assert "locked may not be written in" in capsys.readouterr().err and files() == ["a.png"]


@POSIX
def test_a_link_that_leads_nowhere_is_not_overwritten_unasked(unloaded):
    write_image("a.png", page())
    os.symlink("nowhere", "a.clean.png")
    assert run("a.png") == ExitCode.USAGE
    assert os.readlink("a.clean.png") == "nowhere"


@pytest.mark.parametrize(
    ("pages", "arguments", "told"),
    [
        (["one/a.png", "two/A.png"], ["one", "two", "-o", "out"], "would end in out/"),
        (["one/é.png", "two/e\N{COMBINING ACUTE ACCENT}.png"], ["one", "two", "-o", "out"], "would end in out/"),
        (["one/X/a.png", "two/x/a.png"], ["one", "two", "-o", "out"], "would end in out/"),
        (["one/a.jpg", "two/A.jpeg"], ["one", "two", "-o", "out", "--format", "png"], "would end in out/"),
        (["a.png"], ["a.png", "-o", "A.PNG", "--overwrite"], "A.PNG would replace an original"),
        (["a.png"], ["a.png", "-o", "out", "--report", "OUT/A.png"], "is one of the pages"),
    ],
)
def test_names_that_a_file_system_takes_for_one_are_one(eraser, capsys, monkeypatch, pages, arguments, told):
    """As macOS, Windows and memory sticks do; elsewhere they are two."""
    for name in pages:
        write_image(name, page())
    before = files()
    with monkeypatch.context() as patch:
        patch.setattr(find, "folds", lambda folder: True)
        assert run(*arguments) == ExitCode.USAGE
    assert told in capsys.readouterr().err and files() == before
    if not find.folds(Path()):
        assert run(*arguments) == ExitCode.OK
        assert len(files()) == 2 * len(before) + ("--report" in arguments)


def test_whether_names_are_folded_is_tried_out(tmp_path):
    (tmp_path / "a").touch()
    folds = (tmp_path / "A").exists()
    assert find.folds(tmp_path / "not" / "there") == find.folds(tmp_path) == folds
    assert os.listdir(tmp_path) == ["a"]


@pytest.mark.parametrize("arguments", [[""], ["a.png", ""], ["a.png", "-o", ""], ["a.png", "--report", ""]])
def test_an_empty_name_is_not_the_current_folder(unloaded, capsys, arguments):
    write_image("a.png", page())
    with pytest.raises(SystemExit) as end:
        run(*arguments)
    assert end.value.code == ExitCode.USAGE
    assert "must not be empty" in capsys.readouterr().err and files() == ["a.png"]


@POSIX
def test_a_pipe_is_no_page(unloaded, capsys):
    os.mkfifo("pipe.png")
    assert run("pipe.png") == ExitCode.USAGE
    assert "pipe.png: neither a file nor a folder" in capsys.readouterr().err
    assert run(".") == ExitCode.USAGE  # in a folder it is passed over, and there is nothing else


# -- what fails is one page ----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("ink", [True, False])
def test_a_page_whose_folder_cannot_be_made_fails_alone(eraser, capsys, suffix, ink):
    save(f"in/a/1.{suffix}", page(ink))
    save(f"in/b/2.{suffix}")
    Path("out").mkdir()
    Path("out/a").write_text("a file, where a folder must be")
    assert run("in", "-o", "out", "--report", "report.json") == ExitCode.FAILED
    assert files("out") == ["a", f"b/2.{suffix}"]
    assert statuses() == {f"1.{suffix}": "failed", f"2.{suffix}": "erased"}
    assert f"out/a/1.{suffix} cannot be written" in capsys.readouterr().err


@pytest.fixture
def as_nobody(eraser, monkeypatch):
    """Makes the current folder one of everybody's; called, it makes root a user that permissions bind."""
    folder = tempfile.mkdtemp()  # those of pytest may only be entered by their owner
    os.chmod(folder, 0o777)
    monkeypatch.chdir(folder)
    umask, is_root = os.umask(0), os.geteuid() == 0
    yield lambda: is_root and os.setresuid(65534, 65534, 0)
    if is_root:
        os.setresuid(0, 0, 0)
    os.umask(umask)
    for path in Path(folder).rglob("*"):
        path.chmod(0o777)
    shutil.rmtree(folder)


@pytest.mark.skipif(not hasattr(os, "setresuid"), reason="changes the user")
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_page_in_a_folder_that_may_not_be_written_in_fails_alone(as_nobody, capsys, suffix):
    for name in ("in/a/1", "in/b/2", "in/c/3"):
        save(f"{name}.{suffix}")
    assert run("in", "-o", "warm", "-q") == ExitCode.OK  # imports what nobody may not read
    os.chmod("in/a", 0o555)
    os.chmod("in/b", 0o000)
    as_nobody()
    assert run("in", "--report", "report.json") == ExitCode.FAILED
    assert statuses() == {f"1.{suffix}": "failed", "b": "failed", f"3.{suffix}": "erased"}
    told = capsys.readouterr().err
    assert f"in/a/1.clean.{suffix} cannot be written: Permission denied" in told
    assert "in/b cannot be read: Permission denied" in told
    assert run("in", "-o", "in/a/out") == ExitCode.USAGE


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_name_too_long_with_what_is_added_fails_alone(eraser, capsys, suffix):
    long = "x" * 250
    save(f"in/a.{suffix}")
    os.rename(f"in/a.{suffix}", f"in/{long[:-4]}.{suffix}")
    save(f"in/z.{suffix}")
    assert run("in", "--report", "report.json") == ExitCode.FAILED
    assert statuses() == {f"{long[:-4]}.{suffix}": "failed", f"z.{suffix}": "erased"}
    assert f".clean.{suffix} cannot be written: File name too long" in capsys.readouterr().err
    assert files("in") == [f"{long[:-4]}.{suffix}", f"z.clean.{suffix}", f"z.{suffix}"]
    assert run(f"in/{long[:-4]}.{suffix}", "-o", "out") == ExitCode.OK


@POSIX
@pytest.mark.parametrize("pages", [1, 3])
def test_a_tiff_cut_short_by_a_full_disk_fails_alone(eraser, capsys, pages):
    """A limit on the size of files fails as a full disk does, wherever the last byte is."""
    import resource

    rng = np.random.default_rng(0)
    noise = rng.integers(130, 256, (60, 80, 3), np.uint8)
    noise[10:14, 5:30] = 30
    save("in/a.tif", *[noise] * pages)
    save("in/b.tif", page(size=(20, 30)))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    for most in (8, 1000, 9_000, 16_000):
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
        try:
            code = run("in/a.tif", "-q", "-o", "out")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert code == ExitCode.FAILED and "out/a.tif cannot be written: File too large" in capsys.readouterr().err
        assert list(Path("out").iterdir()) == []
    resource.setrlimit(resource.RLIMIT_FSIZE, (9_000, before[1]))
    try:
        assert run("in", "-o", "out", "--report", "report.json") == ExitCode.FAILED
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert set(statuses().values()) == {"failed", "erased"} and files("out") == ["b.tif"]


def test_what_an_encoder_raises_fails_its_page_alone(eraser, monkeypatch):
    """As a TIFF's writer does where it finds less than it wrote."""
    for name in "ab":
        save(f"in/{name}.tif")
    save_as, errors = images.save, iter([RuntimeError("wrote only 2 bytes but wanted 4")])

    def cut_short(*arguments, **options):
        for error in errors:
            raise error
        save_as(*arguments, **options)

    monkeypatch.setattr(documents.images, "save", cut_short)
    assert run("in", "-o", "out", "--report", "report.json") == ExitCode.FAILED
    assert statuses() == {"a.tif": "failed", "b.tif": "erased"}


def test_a_folder_that_may_not_be_looked_into_is_told(eraser, capsys, monkeypatch):
    for name in ("in/a.png", "in/locked/b.png", "in/z.png"):
        write_image(name, page())
    look = os.scandir

    def refused(path="."):
        if Path(os.fsdecode(path)).name == "locked":
            raise PermissionError(13, "Permission denied", str(path))
        return look(path)

    monkeypatch.setattr(os, "scandir", refused)
    Path("out/locked").mkdir(parents=True)
    for resume in ([], ["--resume"]):
        assert run("in", "-o", "out", "--report", "report.json", *resume) == ExitCode.FAILED
        assert statuses()["locked"] == "failed" and len(statuses()) == 3
        assert "in/locked cannot be read" in capsys.readouterr().err
    assert files("out") == ["a.png", "z.png"]


def test_a_document_that_memory_does_not_suffice_to_open_fails_alone(eraser, monkeypatch):
    for name in "ab":
        save(f"in/{name}.tif")
    frames = documents._tiff_pages

    def counted(image):
        if image.filename.endswith("a.tif"):
            raise MemoryError
        return frames(image)

    monkeypatch.setattr(documents, "_tiff_pages", counted)
    assert run("in", "-o", "out", "--report", "report.json") == ExitCode.FAILED
    assert statuses() == {"a.tif": "failed", "b.tif": "erased"}


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts them there")
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("ink", [True, False])
def test_a_page_that_changes_while_it_is_erased_is_not_replaced(eraser, monkeypatch, capsys, suffix, ink):
    save(f"in/a.{suffix}", page(ink, size=(60, 90)))
    save(f"in/b.{suffix}", page())
    called = Eraser.__call__

    def changing(self, image, **options):
        if image.shape[1] != 80:
            save(f"in/a.{suffix}", page(size=(60, 100)))
        return called(self, image, **options)

    monkeypatch.setattr(Eraser, "__call__", changing)
    assert run("in", "--in-place", "--report", "report.json") == ExitCode.FAILED
    assert statuses() == {f"a.{suffix}": "failed", f"b.{suffix}": "erased"}
    assert f"a.{suffix} changed while it was erased" in capsys.readouterr().err
    [after] = pages_of(f"in/a.{suffix}")
    assert (after < 128).any() and files("in") == [f"a.{suffix}", f"b.{suffix}"]


@pytest.mark.parametrize("suffix", ["tif", "pdf"])
@pytest.mark.parametrize("before", [[page()], []])
def test_a_document_that_has_more_pages_than_at_the_start_loses_none(eraser, monkeypatch, suffix, before):
    save(f"in/a.{suffix}", *before)
    if not before:
        Path(f"in/a.{suffix}").write_bytes(Path(f"in/a.{suffix}").read_bytes()[:40])  # it is on its way
    monkeypatch.setattr(Eraser, "load", lambda *a, **o: (save(f"in/a.{suffix}", page(), page()), eraser)[1])
    assert run("in", "-o", "out", "--format", "png", "--report", "report.json") == ExitCode.FAILED
    assert statuses() == {f"a.{suffix}": "failed"} and not Path("out").exists()


@POSIX
def test_a_run_whose_current_folder_is_gone_tells_what_it_did(eraser, tmp_path):
    write_image("in/a.png", page())
    os.mkdir("gone")
    os.chdir("gone")
    os.rmdir(tmp_path / "gone")
    assert run(tmp_path / "in", "-o", tmp_path / "out", "--report", tmp_path / "report.json") == ExitCode.OK
    os.chdir(tmp_path)
    assert statuses() == {"a.png": "erased"} and files("out") == ["a.png"]


def test_no_descriptor_is_left_open(eraser):
    for suffix in (*SUFFIXES, "bmp", "webp"):
        save(f"in/good{suffix}.{suffix}")
        content = Path(f"in/good{suffix}.{suffix}").read_bytes()
        for share in (0.2, 0.5, 0.9):
            Path(f"in/cut{share}{suffix}.{suffix}").write_bytes(content[: int(len(content) * share)])
    save("in/many.tif", page(), page(), page(ink=False))
    damage_page("in/many.tif", 1)
    Path("in/end.jpg").write_bytes(Path("in/goodjpg.jpg").read_bytes()[:-2])
    frames = [Image.fromarray(page(ink)) for ink in (True, False)]
    frames[0].save("in/moving.webp", save_all=True, append_images=frames[1:])
    Path("file").write_text("")
    run("in", "-o", "out", "-q")  # imports and the first use of libraries
    before = sorted(os.listdir("/proc/self/fd"))
    for arguments in (["in", "-o", "out", "--overwrite"], ["in", "-o", "out2", "--format", "tif"]):
        assert run(*arguments, "-q") == ExitCode.FAILED
        assert sorted(os.listdir("/proc/self/fd")) == before


# -- stopped and killed --------------------------------------------------------------------------------------

SLOW = """
import sys, time
from erasers import constant, dark, eraser_with
from dehw.commands import main
from dehw.eraser import Eraser
from dehw.files import documents
made = eraser_with(constant(1.0), segmenter=dark, device="cpu")
Eraser.load = lambda *arguments, **options: made
if sys.argv[1] == "erasing":
    called = Eraser.__call__
    def slow(self, image, **options):
        if image.shape[1] > 80:
            print("now", flush=True)
            time.sleep(60)
        return called(self, image, **options)
    Eraser.__call__ = slow
else:
    save = documents.images.save
    def slow(target, image, *arguments, **options):
        save(target, image, *arguments, **options)
        if image.shape[1] > 80:
            print("now", flush=True)
            time.sleep(60)
    documents.images.save = slow
sys.exit(main.main(["erase", *sys.argv[2:]]))
"""


def stopped(when, number, *arguments):
    """Run `dehw erase` until it is at a page wider than 80 pixels, send it a signal; its exit code and stderr."""
    tests = Path(__file__).parent
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent / "work")])}
    command = [sys.executable, "-c", SLOW, when, *arguments]
    with subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stdout.readline() == "now\n"
        time.sleep(0.1)
        process.send_signal(number)
        return process.wait(30), process.stderr.read()


@POSIX
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_sigterm_ends_a_run_as_ctrl_c_does(eraser, number):
    write_image("in/a.png", page())
    write_image("in/b.png", page(size=(60, 90)))
    code, told = stopped("erasing", number, "in", "-o", "out", "--report", "report.json")
    assert code == 130 and "dehw: stopped; the pages done so far are whole" in told and "Traceback" not in told
    assert statuses() == {"a.png": "erased"} and files("out") == ["a.png"]
    np.testing.assert_array_equal(read_image("out/a.png"), whitened(page()))


@POSIX
@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_what_a_kill_leaves_is_swept_by_the_next_run(eraser, suffix):
    save(f"in/a.{suffix}", page(size=(60, 90)))
    code, _ = stopped("writing", signal.SIGKILL, "in", "-o", "out")
    assert code == -signal.SIGKILL
    [left] = files("out")
    assert left.startswith(".dehw-")
    assert run("in", "-o", "out", "--resume") == ExitCode.OK
    assert files("out") == [f"a.{suffix}"]


@POSIX
def test_what_a_killed_merge_leaves_is_swept_by_the_next_one(eraser):
    save("in/a.png", page(size=(60, 90)))
    os.mkdir("out")
    code, _ = stopped("erasing", signal.SIGKILL, "in", "--merge", "out/all.pdf")
    assert code == -signal.SIGKILL and os.listdir("out") != []
    assert run("in", "--merge", "out/all.pdf") == ExitCode.OK
    assert os.listdir("out") == ["all.pdf"]
