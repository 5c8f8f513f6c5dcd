"""The tools that measure and draw: what docs/ says they measure, and the pictures they make of docs/."""

import re
import shutil
from importlib import util
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dehw.config import load_pipeline
from dehw.files.images import read_image
from tools import pictures
from tools.ablation import variants

ROOT = Path(__file__).resolve().parents[1]
HAS_BROWSER = any(map(shutil.which, pictures.BROWSERS))


@pytest.mark.parametrize("name", ["lite", "erasenet", "full"])
def test_each_variant_differs_from_the_pipeline(name):
    pipeline = load_pipeline(name)
    found = variants(pipeline)
    assert found.pop("as it is") == pipeline and len(found) > 6
    assert all(changed != pipeline for variant, changed in found.items() if "mirrored" not in variant)


def test_the_results_have_a_row_for_each_variant():
    table = (ROOT / "docs" / "results.md").read_text(encoding="utf-8").split("| trick |")[1].split("\n\n")[0]
    assert re.findall(r"^\| ([^|]+?) \| 0\.", table, re.MULTILINE) == list(variants(load_pipeline("lite")))


def run(monkeypatch, *argv):
    monkeypatch.setattr("sys.argv", ["pictures", *map(str, argv)])
    return pictures.main()


def test_the_pictures_of_readme_can_be_made():
    shown = set(re.findall(r"\(docs/([^)]+\.(?:jpg|png))\)", (ROOT / "README.md").read_text(encoding="utf-8")))
    assert shown and shown <= {file for file, _ in pictures.PICTURES.values()}


def test_an_unknown_picture_is_refused_before_any_is_made(monkeypatch, tmp_path, capsys):
    with pytest.raises(SystemExit):
        run(monkeypatch, "failures", "success", "-o", tmp_path)
    assert "success" in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_without_a_browser_it_says_what_to_install(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert run(monkeypatch, "serve", "-o", tmp_path) == 2
    assert "apt install chromium" in capsys.readouterr().err and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_pages_are_set_beside_what_becomes_of_them(monkeypatch, tmp_path):
    assert run(monkeypatch, "failures", "-o", tmp_path) == 0
    with Image.open(tmp_path / "failures.jpg") as made, Image.open(ROOT / "docs" / "failures.jpg") as kept:
        assert made.size == kept.size and made.width == pictures.WIDTH


@pytest.mark.slow
@pytest.mark.skipif(not HAS_BROWSER or not util.find_spec("playwright"), reason="not installed: chromium, playwright")
def test_the_web_page_is_photographed(monkeypatch, tmp_path):
    assert run(monkeypatch, "serve", "serve.zh-CN", "-o", tmp_path) == 0
    made = [tmp_path / "serve.jpg", tmp_path / "serve.zh-CN.jpg"]
    shots = [read_image(path) for path in made]
    assert all(shot.shape[1] == pictures.WIDTH and len(np.unique(shot)) > 200 for shot in shots)
    assert (np.abs(shots[0].astype(int) - shots[1]).max(2) > 60).mean() > 0.002, "two languages"
    assert sum(path.stat().st_size for path in made) < 250_000
