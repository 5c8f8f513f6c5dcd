"""Watermarks: the generator of them, and the same EraseNet learning to take them off."""

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("visualdl")
from PIL import ImageFont  # noqa: E402

from dehw import models  # noqa: E402
from dehw.config import load, load_pipeline  # noqa: E402
from dehw.data.pairs import find_pairs  # noqa: E402
from dehw.data.synth import watermark  # noqa: E402
from dehw.eraser import Eraser  # noqa: E402
from dehw.files.images import read_image  # noqa: E402
from dehw.page import masks  # noqa: E402
from dehw.train import erase  # noqa: E402

CONFIG = Path(__file__).parents[1] / "configs" / "watermark.yml"


def picture(number, size=(96, 128)):
    """Smooth light colours and a dark disc: (H, W, 3) uint8."""
    rng = np.random.default_rng(number)
    page = cv2.resize(rng.integers(170, 256, (2, 3, 3)).astype(np.uint8), size[::-1])
    cv2.circle(page, (30 + 10 * number, size[0] // 2), size[0] // 5, (60, 90, 160), -1)
    return page


def psnr(a, b):
    return -10 * np.log10(np.mean((a / 255 - b / 255) ** 2))


def test_a_watermark_is_a_translucent_layer():
    """Wherever the mark is full, the picture is page * (1 - share) + colour * share, with one colour and one share."""
    for seed in range(20):
        page = picture(seed % 3, (300, 400))
        image, gt, mask = watermark.watermark(np.random.default_rng(seed), page)
        np.testing.assert_array_equal(gt, page)
        assert 0.005 < mask.mean() < 0.5
        changed = (image.astype(int) - gt)[mask]
        inside = cv2.erode(mask.astype(np.uint8), np.ones((3, 3))).astype(bool)
        slopes = [np.polyfit(gt[inside][:, c], image[inside][:, c], 1)[0] for c in range(3)]
        assert np.allclose(slopes, slopes[0], atol=0.1), seed
        assert 0.35 < np.mean(slopes) < 0.8, seed
        assert np.abs(changed).mean() > 10


def test_what_lies_off_the_mark_is_untouched():
    page = picture(0, (200, 300))
    image, _, mask = watermark.watermark(np.random.default_rng(3), page)
    away = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9))) == 0
    assert away.mean() > 0.2
    np.testing.assert_array_equal(image[away], page[away])


def test_marks_come_once_and_all_over():
    counts = []
    for seed in range(12):
        mask = watermark.watermark(np.random.default_rng(seed), picture(0, (400, 400))).mask
        halves = [mask[:200, :200], mask[:200, 200:], mask[200:, :200], mask[200:, 200:]]
        counts.append(sum(half.any() for half in halves) == 4 and mask[:40].any() and mask[-40:].any())
    assert 2 <= sum(counts) <= 10


@pytest.mark.parametrize("light", [True, False])
def test_a_mark_shows_on_any_ground(light):
    page = np.full((120, 160, 3), 250 if light else 5, np.uint8)
    for seed in range(8):
        image, gt, mask = watermark.watermark(np.random.default_rng(seed), page)
        assert np.abs(image.astype(int) - gt).max(2)[mask].mean() > 10


def test_a_seed_gives_the_same_mark_again():
    page = picture(1)
    a, b, c = (watermark.watermark(np.random.default_rng(seed), page).image for seed in (1, 1, 2))
    np.testing.assert_array_equal(a, b)
    assert (a != c).any()


@pytest.mark.parametrize("font", [False, True])
def test_capitals_are_as_high_as_asked_for(font, tmp_path):
    path = None
    if font:
        default = ImageFont.load_default(20)
        if not isinstance(default, ImageFont.FreeTypeFont):
            pytest.skip("this Pillow brings no font")
        path = str(tmp_path / "font.ttf")
        Path(path).write_bytes(default.font_bytes)
    rows = np.flatnonzero((watermark.lettering("HE", 40, path) > 0.5).any(1))
    assert 36 <= rows[-1] - rows[0] + 1 <= 46


def test_pairs_are_written_in_the_layout_of_the_configuration(tmp_path):
    watermark.write_pairs(tmp_path, {"bg_image_00001": picture(1), "bg_image_00002": picture(2)}, per_page=2)
    pairs = find_pairs(tmp_path)
    assert [pair.stem for pair in pairs] == [f"bg_image_0000{page}_000{copy}" for page in (1, 2) for copy in (1, 2)]
    np.testing.assert_array_equal(read_image(pairs[0].gt), picture(1))
    images = [read_image(pair.image) for pair in pairs]
    assert (images[0] != images[1]).any() and (images[0] != picture(1)).any()


def test_the_pipeline_finds_no_mask_and_writes_the_whole_picture():
    pipeline = load_pipeline("watermark")
    assert pipeline.segment is None and not pipeline.erase.cmp
    assert pipeline.erase.tile - 2 * pipeline.erase.margin == 800
    config = load(CONFIG, erase.EraseTraining)
    assert config.pipeline == "watermark" and config.validate_mask == "none"
    network = erase.choose_network(pipeline, config.network)
    assert models.summary(models.build(network), 32)[0] == 19_737_615


def narrow_pipeline(folder):
    path = folder / "narrow.yml"
    path.write_text(
        "erase: {networks: [{type: erasenet, weights: w.pdparams, args: {width: 0.0625, spectral_norm: false}}],"
        " tile: 64, margin: 0, cmp: false}"
    )
    return path


@pytest.mark.parametrize(
    ("steps", "under", "whole"), [(80, 2.0, -4.0), pytest.param(500, 6.0, 1.0, marks=pytest.mark.slow)]
)
def test_a_narrow_network_trained_by_the_configuration_takes_marks_off_two_pages(tmp_path, steps, under, whole):
    """under, whole: decibels that pages erased as in use are nearer to the clean ones than the watermarked, under
    the mark and all over. The third page is for validation.
    """
    watermark.write_pairs(tmp_path / "data", {f"page{n}": picture(n, (64, 64)) for n in range(3)}, 1, seed=2)
    pipeline = narrow_pipeline(tmp_path)
    opts = [f"pipeline={pipeline}", f"stage1.steps={steps}", "stage1.learning_rate=5e-3", "stage1.decay_every=200"]
    opts += ["stage1.multiscale=true", "stage2=null", "batch=2", "workers=0", "val_count=1", "validate_every=100"]
    opts += ["crops.size=64", "crops.hflip=0", "crops.buffer=2"]
    path = erase.train(str(CONFIG), opts, [str(tmp_path / "data")], str(tmp_path / "output"), "cpu")
    eraser = Eraser.load(load_pipeline(pipeline), "cpu", path.parent, engine="paddle")
    learnt = erase.split(find_pairs(tmp_path / "data"), 1)[0]
    assert len(learnt) == 2
    for pair in learnt:
        image, gt = read_image(pair.image), read_image(pair.gt)
        page, mark = eraser(image).page, masks.soft_mask(image, gt) > 0.5
        assert mark.mean() > 0.05
        assert psnr(page[mark], gt[mark]) > psnr(image[mark], gt[mark]) + under
        assert psnr(page, gt) > psnr(image, gt) + whole
