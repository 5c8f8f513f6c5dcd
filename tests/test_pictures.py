"""Pillow pictures go through the eraser and come back as the kind of picture they were."""

import numpy as np
import pytest
from erasers import constant, dark, eraser_with
from PIL import Image

from dehw.errors import InputError, PageError

INK = slice(10, 14), slice(5, 30)


def page(paper=230, ink=30):
    picture = np.full((60, 80, 3), paper, np.uint8)
    picture[INK] = ink
    return picture


@pytest.fixture
def eraser():
    return eraser_with(constant(1.0), segmenter=dark)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "LA", "1"])
def test_a_picture_comes_back_in_its_mode(eraser, mode):
    picture = Image.fromarray(page(255, 0)).convert(mode, dither=Image.Dither.NONE)
    erased = eraser(picture)
    assert isinstance(erased.page, Image.Image) and erased.page.mode == mode and erased.page.size == (80, 60)
    assert isinstance(erased.mask, np.ndarray) and erased.share == pytest.approx(4 * 25 / 4800)
    np.testing.assert_array_equal(np.array(erased.page.convert("RGB")), np.full((60, 80, 3), 255))
    assert np.array(picture.convert("L")).min() == 0  # the one given stays as it was


@pytest.mark.parametrize("mode, expected", [("P", "RGB"), ("CMYK", "RGB"), ("YCbCr", "RGB"), ("I;16", "L"), ("I", "L")])
def test_other_modes_come_back_as_rgb_or_grey(eraser, mode, expected):
    grey = page()[..., 0]
    if mode.startswith("I"):
        dtype = np.uint16 if mode == "I;16" else np.int32
        picture = Image.fromarray(grey.astype(dtype) * 256)
        assert picture.mode == mode
    else:
        picture = Image.fromarray(page())
        picture = picture.quantize(4) if mode == "P" else picture.convert(mode)
    erased = eraser(picture)
    assert erased.page.mode == expected
    shown = np.array(erased.page.convert("L"))
    assert shown[INK].min() == 255 and np.abs(shown[20:].astype(int) - 230).max() <= 1


def test_transparency_stays_but_for_what_was_erased(eraser):
    pixels = np.dstack([page(), np.full((60, 80), 90, np.uint8)])
    pixels[INK] = (0, 0, 0, 255)
    pixels[40:, :] = (0, 0, 0, 0)  # see-through: white paper, whatever its colour
    erased = eraser(Image.fromarray(pixels))
    expected = pixels.copy()
    expected[INK] = 255
    np.testing.assert_array_equal(np.array(erased.page), expected)
    assert erased.share == pytest.approx(4 * 25 / 4800)


def test_a_turned_photo_comes_back_upright_with_what_it_says(eraser, tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Camera"
    Image.fromarray(page()).convert("L").save(tmp_path / "a.png", exif=exif, dpi=(300, 300))
    with Image.open(tmp_path / "a.png") as picture:
        for _ in range(2):  # the one given stays as it was, tag included
            erased = eraser(picture)
    assert erased.page.size == (60, 80) and erased.mask.shape == (80, 60) and erased.page.mode == "L"
    turned = np.rot90(page()[..., 0], -1)
    np.testing.assert_array_equal(np.array(erased.page), np.where(turned < 128, 255, turned))
    erased.page.save(tmp_path / "b.png", dpi=erased.page.info["dpi"], exif=erased.page.info["exif"])
    with Image.open(tmp_path / "b.png") as saved:
        assert saved.info["dpi"] == pytest.approx((300, 300), abs=0.1)
        assert saved.getexif()[0x010F] == "Camera" and 0x0112 not in saved.getexif()


def test_pixels_outside_the_mask_are_the_picture_s_own(eraser):
    noisy = np.random.default_rng(0).integers(140, 256, (60, 80, 4), np.uint8)
    noisy[..., 3] = np.maximum(noisy[..., 3], 1)
    noisy[INK] = (0, 0, 0, 255)
    for mode in ("RGB", "RGBA"):
        picture = Image.fromarray(noisy).convert(mode)
        erased = eraser(picture)
        same = np.array(erased.page) == np.array(picture)
        assert same[~erased.mask].all() and not same[INK].all()


def test_options_reach_the_page_under_a_picture(eraser):
    assert eraser(Image.fromarray(page()), keep=[(0, 0, 80, 60)]).share == 0


def test_what_is_neither_array_nor_picture_is_refused(eraser, tmp_path):
    for wrong in ("page.jpg", tmp_path, None, [[1, 2], [3, 4]]):
        with pytest.raises(InputError, match="PIL.Image.open"):
            eraser(wrong)


def test_a_damaged_picture_is_named(eraser, tmp_path):
    path = tmp_path / "cut.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:2000])
    with Image.open(path) as picture, pytest.raises(PageError, match="cut.jpg cannot be read"):
        eraser(picture)
