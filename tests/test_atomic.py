import json
import os
import stat
import subprocess
import sys

import pytest

from dehw.files import atomic
from dehw.files.atomic import atomic_path, sha256, sweep, write_json


def test_atomic_path_shows_the_file_only_when_whole(tmp_path):
    path = tmp_path / "new folder" / "page.png"
    with atomic_path(path) as temporary:
        temporary.write_bytes(b"whole")
        assert not path.exists()
        assert temporary.parent == path.parent and temporary.suffix == ".png"
        assert temporary.name.startswith(".")
    assert path.read_bytes() == b"whole"
    assert os.listdir(path.parent) == ["page.png"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_atomic_path_keeps_the_old_file_on_failure(tmp_path, error):
    path = tmp_path / "page.png"
    path.write_bytes(b"old")
    with pytest.raises(error), atomic_path(path) as temporary:
        temporary.write_bytes(b"half")
        raise error
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["page.png"]


def test_atomic_path_replaces_and_leaves_usual_permissions(tmp_path):
    plain, path = tmp_path / "plain", tmp_path / "atomic"
    plain.write_text("")
    path.write_text("old")
    with atomic_path(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


@pytest.fixture
def ended():
    """The number of a process that has ended."""
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    return child.pid


def left(folder, process, name="page.png"):
    """A temporary file as a process makes it, which was killed before its end."""
    with atomic_path(folder / name) as temporary:
        made = temporary.name
        temporary.write_bytes(b"half")
    path = folder / made.replace(f"-{os.getpid()}-", f"-{process}-")
    os.rename(folder / name, path)
    return path


def test_sweep_removes_what_killed_processes_left(tmp_path, ended):
    page, folder = left(tmp_path, ended), left(tmp_path, ended, "draft")
    folder.unlink()
    (folder / "inside").mkdir(parents=True)
    (tmp_path / "page.png").write_bytes(b"whole")
    (tmp_path / ".dehw-of-the-user").write_bytes(b"")
    sweep(tmp_path)
    assert not page.exists() and sorted(os.listdir(tmp_path)) == [".dehw-of-the-user", "page.png"]
    sweep(tmp_path / "none")


def test_sweep_leaves_what_others_are_writing(tmp_path, ended, monkeypatch):
    running = left(tmp_path, os.getppid())
    with monkeypatch.context() as patch:
        patch.setattr(atomic.platform, "node", lambda: "another machine")
        new, old = left(tmp_path, ended), left(tmp_path, ended)
    os.utime(old, (0, 0))
    sweep(tmp_path)
    assert set(tmp_path.iterdir()) == {running, new}


def test_sha256_of_published_vectors(tmp_path):
    path = tmp_path / "data"
    path.write_bytes(b"abc")
    assert sha256(path) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    path.write_bytes(b"a" * 1_000_000)  # FIPS 180-2, one million times "a"
    assert sha256(path) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"


def test_write_json_round_trip(tmp_path):
    path = tmp_path / "facts.json"
    write_json(path, {"name": "试卷", "steps": 3})
    text = path.read_text(encoding="utf-8")
    assert "试卷" in text and text.endswith("}\n")
    assert json.loads(text) == {"name": "试卷", "steps": 3}


def test_write_json_of_what_json_cannot_hold_leaves_the_old_file(tmp_path):
    path = tmp_path / "facts.json"
    write_json(path, 1)
    with pytest.raises(TypeError):
        write_json(path, object())
    assert path.read_text() == "1\n" and os.listdir(tmp_path) == ["facts.json"]
