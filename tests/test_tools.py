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
from tools import browser, pictures
from tools.ablation import variants

ROOT = Path(__file__).resolve().parents[1]
HAS_BROWSER = any(map(shutil.which, browser.NAMES))


@pytest.mark.parametrize("name", ["lite", "lite_chain", "erasenet", "full", "seed001"])
def test_each_variant_differs_from_the_pipeline(name):
    pipeline = load_pipeline(name)
    found = variants(pipeline)
    assert found.pop("as it is") == pipeline and len(found) > (4 if pipeline.segment else 2)
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


def test_each_row_of_small_trainings_leaves_out_what_its_name_says():
    pytest.importorskip("paddleseg")
    from dehw.config import load
    from dehw.train.erase import EraseTraining
    from tools.recipes import VARIANTS

    def rates(*opts):
        recipes = load(ROOT / "configs/mtrnet.yml", EraseTraining, opts).crops.recipes
        return {"MixUp": recipes.mixup, "handwriting": recipes.handwriting, "mistaken print": recipes.distractors}

    configured = rates()
    assert rates(*VARIANTS["all"].opts("crops")) == configured  # as the configuration has them
    for name in configured:
        (row,) = (variant for title, variant in VARIANTS.items() if title.startswith(f"no {name}"))
        assert rates(*row.opts("crops")) == {**configured, name: 0} and row.clean
    assert not any(rates(*VARIANTS["none"].opts("crops")).values()) and not VARIANTS["none"].clean


def test_tiles_are_those_with_most_handwriting(tmp_path):
    pytest.importorskip("paddleseg")
    from dehw.files.images import read_image, write_image
    from tools.recipes import cut_tiles

    for number in range(2):
        gt = np.full((90, 95, 3), 240, np.uint8)
        image = gt.copy()
        image[35:38, 70:75], image[70:80, 5:25], image[2, 2] = 0, 0, 0
        for folder, page in (("images", image), ("gts", gt)):
            write_image(tmp_path / f"set/{folder}/{number}.png", page)
    cut = cut_tiles(tmp_path / "set", tmp_path / "tiles", 30)
    names = sorted(path.name for path in (cut / "images").iterdir())
    assert names == [f"dehw_train_{n}_{place}.png" for n in (0, 1) for place in ("30_60", "60_0")]
    np.testing.assert_array_equal(read_image(cut / "images" / names[1]), image[60:90, 0:30])
    assert (read_image(cut / "gts" / names[1]) == 240).all()
