import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dehw.commands.erase import progress
from dehw.commands.erase.progress import Progress

# What an eraser says of two pages: the second has no handwriting, so that no tile is erased.
CALLS = [("segment", 1, 4), ("segment", 4, 4), ("erase", 1, 2), ("erase", 2, 2), None, ("segment", 1, 1), None]


def play(shown):
    seen = []
    for call in CALLS:
        shown.pages() if call is None else shown.tiles(*call)
        seen.append(shown.done)
    return seen


def test_tiles_are_parts_of_pages_and_it_ends_at_the_total():
    assert play(Progress(2)) == [0.125, 0.5, 0.75, 1.0, 1.0, 1.5, 2.0]


def test_it_never_goes_back():
    """A page that failed half-way is done; networks that tell too much or twice take nothing away."""
    shown = Progress(3)
    shown.tiles("erase", 1, 2)
    shown.tiles("segment", 1, 2)
    assert shown.done == 0.75
    shown.tiles("erase", 5, 2)
    assert shown.done == 1.0
    shown.pages(2)
    assert shown.done == 2.0


def test_json_is_one_object_a_line_on_stderr(capsys, monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 0)
    with progress.shown("json", 2) as shown:
        play(shown)
        shown.message("a page\nfailed")
    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.err.splitlines()]
    assert [line.get("done") for line in lines] == [0.125, 0.5, 0.75, 1.0, 1.5, 2.0, None]
    assert all(line["total"] == 2 for line in lines[:-1]) and lines[-1] == {"message": "a page\nfailed"}
    assert captured.out == ""


NATIVE = """
import os, sys, warnings
from dehw.commands.erase.progress import json_alone, tell_json
with json_alone():
    os.write(2, b"of a library in C\\n")
    warnings.warn("of a library")
    tell_json("of ours", erased=1)
    print("of another", file=sys.stderr)
    os.write(2, b"the last, not ended \\xff")
os.write(2, b"after\\n")
"""


def test_what_libraries_write_becomes_json_too():
    env = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1] / "work")}
    done = subprocess.run([sys.executable, "-c", NATIVE], env=env, capture_output=True, text=True, check=True)
    *lines, last = done.stderr.splitlines()
    told = [json.loads(line) for line in lines if line != "of another"]
    assert {each["message"] for each in told} == {
        "of a library in C",
        "of a library",
        "of ours",
        "the last, not ended \\xff",
    }
    assert {"message": "of ours", "erased": 1} in told and last == "after"


def test_json_between_pages_is_not_a_flood(capsys, monkeypatch):
    monkeypatch.setattr(progress, "EVERY", 1000)
    with progress.shown("json", 2) as shown:
        shown.last = float("inf")
        play(shown)
    assert [json.loads(line)["done"] for line in capsys.readouterr().err.splitlines()] == [1.0, 2.0]


@pytest.mark.parametrize("kind, bar", [("bar", True), ("none", False), ("quiet", False)])
def test_the_bar_shows_and_none_does_not(capsys, kind, bar):
    with progress.shown(kind, 2) as shown:
        play(shown)
        shown.message("a page failed")
        shown.note("it is done")
    captured = capsys.readouterr()
    assert "dehw: a page failed\n" in captured.err and captured.out == ""
    assert ("100%" in captured.err and "2.0/2 pages" in captured.err) == bar
    assert ("dehw: it is done\n" in captured.err) == (kind != "quiet")


def test_off_a_terminal_the_bar_is_lines(capsys, monkeypatch):
    with progress.shown("bar", 2) as shown:
        play(shown)
    assert capsys.readouterr().err == "dehw: 100%, 2.0/2 pages [00:00<00:00]\n"  # at the end, if not before
    monkeypatch.setattr(progress, "LINES_EVERY", 0)
    with progress.shown("bar", 2) as shown:
        play(shown)
    written = capsys.readouterr().err
    assert "\r" not in written and [line.split(",")[0] for line in written.splitlines()] == [
        "dehw: 6%",
        "dehw: 25%",
        "dehw: 38%",
        "dehw: 50%",
        "dehw: 75%",
        "dehw: 100%",
    ]


def test_on_a_terminal_it_is_a_bar(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    with progress.shown("bar", 2) as shown:
        play(shown)
        shown.message("a page failed")
    shown.note("it is done")
    written = capsys.readouterr().err
    assert "\r" in written and "dehw: a page failed\n" in written and written.endswith("dehw: it is done\n")
