"""What earlier runs wrote into a folder of pages is passed over there, as their report tells."""

from pathlib import Path

import pytest
from files import files, page, report, run

from dehw.errors import ExitCode
from dehw.files.images import write_image


@pytest.fixture
def folder(eraser):
    write_image("in/a.png", page())
    return Path("in")


@pytest.mark.parametrize("place", ["in/report.json", "in/sub/report.json"])
def test_outputs_that_a_report_in_the_folder_lists_are_no_pages(folder, capsys, place):
    assert run("in", "-o", "in/first", "--compare", "--report", place) == ExitCode.OK
    assert run("in/a.png", "-o", "in/same.png", "--report", "in/other.json") == ExitCode.OK
    capsys.readouterr()
    assert run("in", "-o", "out") == ExitCode.OK
    assert files("out") == ["a.png"]
    written = capsys.readouterr().err
    assert "outputs of earlier runs are left out: 3 files" in written and "passed over" not in written


def test_names_in_a_report_are_those_of_the_folder_it_was_made_in(folder, monkeypatch):
    assert run("in", "-o", "in/first", "--report", "in/report.json") == ExitCode.OK
    Path("elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    assert run("../in", "-o", "out") == ExitCode.OK
    assert files("out") == ["a.png"]


def test_the_report_that_is_named_tells_too(folder):
    assert run("in", "-o", "in/first", "--report", "report.json") == ExitCode.OK
    assert run("in", "-o", "out", "--report", "report.json", "--overwrite") == ExitCode.OK
    assert files("out") == ["a.png"]


def test_a_report_with_the_line_ends_of_windows_tells_too(folder):
    assert run("in", "-o", "in/first", "--report", "in/report.json") == ExitCode.OK
    report = Path("in/report.json")
    report.write_bytes(report.read_bytes().replace(b"\n", b"\r\n"))
    assert run("in", "-o", "out") == ExitCode.OK
    assert files("out") == ["a.png"]


def test_pages_erased_in_place_are_still_pages(folder):
    assert run("in", "--in-place", "--report", "in/report.json") == ExitCode.OK
    assert run("in", "-o", "out") == ExitCode.OK
    assert files("out") == ["a.png"]


def test_an_output_named_itself_is_a_page(folder):
    assert run("in", "-o", "in/first", "--report", "in/report.json") == ExitCode.OK
    assert run("in/first/a.png", "-o", "out") == ExitCode.OK


NO_REPORTS = ['{\n  "pipeline": ' + "[" * 100_000, '{"pages": 3}', '{\n  "pipeline": "x", "pages": [{}]}', "no JSON"]


@pytest.mark.parametrize("content", NO_REPORTS)
def test_what_only_looks_like_a_report_hides_nothing(folder, content):
    Path("in/other.json").write_text(content)
    assert run("in", "-o", "out", "--report", "report.json") == ExitCode.OK
    assert files("out") == ["a.png"]
    assert report()["unknown"] == ([] if content.startswith("{\n") else ["in/other.json"])
