"""`dehw watch`: each file that comes is erased once, also over restarts."""

import json
import os

import numpy as np
import pytest
from PIL import Image
from visits import make_eraser, page

from dehw.commands import main
from dehw.commands.watch import RECORD
from dehw.eraser import Eraser
from dehw.errors import INTERRUPTED, ExitCode
from dehw.files.atomic import atomic_path
from dehw.files.images import read_image


@pytest.fixture
def eraser(monkeypatch):
    made = make_eraser()
    monkeypatch.setattr(Eraser, "load", lambda *args, **options: made)
    return made


@pytest.fixture
def inbox(tmp_path):
    (tmp_path / "in" / "class").mkdir(parents=True)
    return tmp_path / "in"


def put(path, picture=None):
    Image.fromarray(page() if picture is None else picture).save(path)


def watch(inbox, *options):
    return main.main(["watch", str(inbox), str(inbox.parent / "out"), "--every", "0.1", *options])


def written(inbox):
    found = [path for path in (inbox.parent / "out").rglob("*") if path.is_file() and path.name != RECORD]
    return sorted(path.relative_to(inbox.parent / "out").as_posix() for path in found)


def test_what_is_there_is_erased_under_its_own_name(eraser, inbox):
    put(inbox / "a.png")
    put(inbox / "class" / "b.png")
    put(inbox / ".hidden.png")
    assert watch(inbox, "--once") == ExitCode.OK
    assert written(inbox) == ["a.png", "class/b.png"]
    np.testing.assert_array_equal(read_image(inbox.parent / "out" / "a.png"), eraser(page()).page)
    assert (read_image(inbox / "a.png") == page()).all(), "the original stays"


def test_a_restart_erases_nothing_twice_and_goes_on_with_what_came(eraser, inbox):
    put(inbox / "a.png")
    watch(inbox, "--once")
    looks = eraser.segmenter.count
    (inbox.parent / "out" / "a.png").unlink()  # somebody took it
    put(inbox / "b.png")
    watch(inbox, "--once", "--sensitivity", "0.7")
    assert eraser.segmenter.count == looks + 1 and written(inbox) == ["b.png"]
    np.testing.assert_array_equal(read_image(inbox.parent / "out" / "b.png"), eraser(page(), 0.7).page)


def test_a_file_that_changes_is_erased_again(eraser, inbox):
    put(inbox / "a.png")
    watch(inbox, "--once")
    put(inbox / "a.png", np.full((30, 30, 3), 200, np.uint8))
    watch(inbox, "--once")
    assert read_image(inbox.parent / "out" / "a.png").shape == (30, 30, 3)


def test_files_are_taken_when_they_are_whole_and_ctrl_c_ends_it(eraser, inbox, monkeypatch, capsys):
    content = []
    put(inbox / "whole.png")
    whole = (inbox / "whole.png").read_bytes()

    def pause(seconds):
        """Copies a file in slowly: a third of it between two looks."""
        content.append(written(inbox))
        if len(content) == 6:
            raise KeyboardInterrupt
        end = min(len(content), 3) * len(whole) // 3
        if (inbox / "slow.png").exists() and (inbox / "slow.png").stat().st_size == end:
            return
        (inbox / "slow.png").write_bytes(whole[:end])

    monkeypatch.setattr("time.sleep", pause)
    assert watch(inbox) == INTERRUPTED
    assert content == [[], ["whole.png"], ["whole.png"], ["whole.png"], *[["slow.png", "whole.png"]] * 2]
    assert "cannot be read" not in capsys.readouterr().err


def test_one_bad_file_is_named_once_and_the_others_are_erased(eraser, inbox, capsys):
    put(inbox / "a.png")
    (inbox / "b.png").write_bytes((inbox / "a.png").read_bytes()[:60])
    (inbox / "notes.txt").write_text("hello")
    put(inbox / "z.png")
    assert watch(inbox, "--once") == ExitCode.FAILED
    told = capsys.readouterr().err
    assert "b.png" in told and "notes.txt: passed over" in told and written(inbox) == ["a.png", "z.png"]
    assert watch(inbox, "--once") == ExitCode.OK
    assert "b.png" not in capsys.readouterr().err


@pytest.mark.skipif(os.name == "nt", reason="no pipes in folders there")
def test_a_pipe_is_no_page(eraser, inbox):
    os.mkfifo(inbox / "a.png")
    (inbox / "b.png").symlink_to("a.png")
    put(inbox / "page.png")
    assert watch(inbox, "--once") == ExitCode.OK
    assert written(inbox) == ["page.png"]


def test_an_output_folder_inside_the_watched_one_is_not_watched(eraser, tmp_path):
    put(tmp_path / "a.png")
    for _ in range(2):
        assert main.main(["watch", str(tmp_path), str(tmp_path / "clean"), "--every", "0.1", "--once"]) == ExitCode.OK
    assert sorted(path.name for path in (tmp_path / "clean").iterdir()) == [RECORD, "a.png"]
    assert eraser.segmenter.count == 1


def test_a_folder_that_goes_away_is_waited_for(eraser, inbox, monkeypatch):
    away = inbox.parent / "away"
    put(inbox / "a.png")
    steps = [lambda: inbox.rename(away), lambda: None, lambda: away.rename(inbox), lambda: None, lambda: None]

    def pause(seconds):
        if not steps:
            raise KeyboardInterrupt
        steps.pop(0)()

    monkeypatch.setattr("time.sleep", pause)
    assert watch(inbox) == INTERRUPTED and written(inbox) == ["a.png"]


@pytest.mark.parametrize("kept", ["{", "[]", "[" * 100_000, '{"a": 1}', '{"a": ["x", 1]}'])
def test_a_damaged_record_is_named(kept, eraser, inbox, capsys):
    out = inbox.parent / "out"
    out.mkdir()
    (out / RECORD).write_text(kept)
    assert watch(inbox, "--once") == ExitCode.USAGE
    assert f"{RECORD} is damaged" in capsys.readouterr().err


def test_folders_that_make_no_sense_are_refused(eraser, inbox, capsys):
    assert main.main(["watch", str(inbox), str(inbox)]) == ExitCode.USAGE
    assert main.main(["watch", str(inbox / "none"), str(inbox)]) == ExitCode.USAGE
    told = capsys.readouterr().err
    assert "choose another one" in told and "is no folder" in told


def test_the_record_lists_what_was_done(eraser, inbox):
    put(inbox / "a.png")
    watch(inbox, "--once")
    kept = json.loads((inbox.parent / "out" / RECORD).read_text())
    status = os.stat(inbox / "a.png")
    assert kept == {"a.png": [status.st_size, status.st_mtime_ns]}


def test_what_a_killed_run_left_is_swept(eraser, inbox):
    with atomic_path(inbox.parent / "out" / "class" / "b.png") as temporary:
        temporary.touch()
        name = temporary.name
    (inbox.parent / "out" / "class" / "b.png").unlink()
    (inbox.parent / "out" / "class" / name).touch()
    put(inbox / "a.png")
    watch(inbox, "--once")
    assert written(inbox) == ["a.png"]


def test_photos_become_sheets_where_that_is_asked_for(eraser, inbox):
    put(inbox / "a.png")
    assert watch(inbox, "--once", "--scan") == ExitCode.OK
    result = read_image(inbox.parent / "out" / "a.png")
    assert np.median(result) > 245, "paper of 230 is white"
