"""Folders and pages whose names are no UTF-8, as zips made on Windows leave them, end no command after its work."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dehw.commands import main
from dehw.config import load_pipeline
from dehw.eraser import Eraser
from dehw.errors import ExitCode
from dehw.files.atomic import write_json
from dehw.files.images import write_image

WORK = Path(__file__).parents[1] / "work"
NAME = os.fsdecode(b"\xca\xd4\xbe\xed")


@pytest.fixture
def pages(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    page = np.full((40, 50, 3), 220, np.uint8)
    page[10:14, 5:30] = 30
    write_image(f"{NAME}/{NAME}.png", page)
    return Path(NAME)


@pytest.fixture
def eraser(monkeypatch) -> None:
    """Networks that take dark pixels for handwriting, and paint white."""

    def dark(tiles):
        return (tiles.mean(1, keepdims=True) < 0.5).astype(np.float32)

    def load(pipeline, *arguments, **options):
        named = pipeline if not isinstance(pipeline, str) else load_pipeline(pipeline)
        return Eraser(named, dark, [(lambda tiles, mask: np.ones_like(tiles), 1.0)])

    monkeypatch.setattr(Eraser, "load", load)


def test_json_holds_such_names(tmp_path):
    write_json(tmp_path / "a.json", {NAME: [NAME, "试卷"]})
    text = (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads(text) == {NAME: [NAME, "试卷"]} and "试卷" in text


def test_erase_reports_them(pages, eraser):
    assert main.main(["erase", NAME, "-o", "out", "--report", "report.json"]) == ExitCode.OK
    (page,) = json.loads(Path("report.json").read_text(encoding="utf-8"))["pages"]
    assert page["output"] == f"out/{NAME}.png" and Path(page["output"]).is_file()


def test_evaluate_prints_them(pages):
    """In a process of its own: here pytest has taken the place of stdout."""
    command = [sys.executable, "-m", "dehw", "evaluate", NAME, NAME, NAME]
    env = {**os.environ, "PYTHONPATH": str(WORK), "PYTHONIOENCODING": "utf-8:strict"}
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == ExitCode.OK, done.stderr
    assert done.stdout.splitlines()[1].startswith(r"\udcca") and "mean" in done.stdout


def test_submit_refuses_them_by_name_before_any_work(pages, eraser, capsys):
    assert main.main(["submit", NAME]) == ExitCode.USAGE
    assert "its name is not UTF-8" in capsys.readouterr().err and not Path("submit").exists()


def test_submit_takes_pages_from_such_a_folder(pages, eraser, capsys):
    (pages / f"{NAME}.png").rename(pages / "a.png")
    assert main.main(["submit", NAME]) == ExitCode.OK
    assert capsys.readouterr().out == "submit/result.zip\n"
