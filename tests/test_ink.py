import numpy as np
import pytest
from PIL import Image

from dehw.page import ink


def random_pages(seed, low=0, high=256):
    rng = np.random.default_rng(seed)
    return [rng.integers(low, high, (80, 90, 3), np.uint8) for _ in range(2)], rng.random((80, 90)) < 0.4


@pytest.mark.parametrize("low, high", [(0, 256), (225, 256), (0, 12)])
def test_page_and_ink_give_the_original_back(low, high):
    """Any page over any other, light paper and near black; by our own laying and by Pillow's."""
    (image, erased), mask = random_pages(0, low, high)
    erased[~mask] = image[~mask]  # as cmp leaves it
    layer = ink.lift(image, erased, mask)
    assert layer.shape == (80, 90, 4) and layer.dtype == np.uint8
    assert not layer[~mask].any()
    back = ink.lay(erased, layer)
    assert np.abs(back.astype(int) - image).max() <= 1
    np.testing.assert_array_equal(back[~mask], image[~mask])
    pillows = Image.fromarray(erased).convert("RGBA")
    pillows.alpha_composite(Image.fromarray(layer))
    assert np.abs(np.array(pillows)[..., :3].astype(int) - image).max() <= 1


def test_opacity_follows_the_contrast():
    """Black on white is opaque black, half as dark is half as opaque, unchanged paper is not there at all."""
    erased = np.full((1, 4, 3), 255, np.uint8)
    image = np.array([[[0, 0, 0], [128, 128, 128], [255, 255, 255], [0, 0, 255]]], np.uint8)
    layer = ink.lift(image, erased, np.ones((1, 4), bool))
    np.testing.assert_array_equal(layer[0], [[0, 0, 0, 255], [0, 0, 0, 127], [0, 0, 0, 0], [0, 0, 255, 255]])


def test_ink_is_as_see_through_as_it_can_be():
    """One level of opacity less, and no colour from 0 to 255 would give the image back."""
    (image, erased), mask = random_pages(3, 30, 226)
    layer = ink.lift(image, erased, mask)
    alpha = layer[mask][:, 3:].astype(float)
    less = (alpha - 1) / 255
    before, after = image[mask].astype(float), erased[mask].astype(float)
    colour = after + np.divide(before - after, less, out=np.full_like(before, np.inf), where=less > 0)
    within = (colour >= 0) & (colour <= 255) | (before == after)
    assert not within.all(axis=1)[alpha[:, 0] > 1].any()


def test_the_ink_lies_on_other_paper_too():
    yellow = np.full((1, 1, 3), (250, 240, 120), np.uint8)
    half = ink.lift(np.full((1, 1, 3), 100, np.uint8), np.full((1, 1, 3), 200, np.uint8), np.ones((1, 1), bool))
    np.testing.assert_allclose(ink.lay(yellow, half)[0, 0], [125, 120, 60], atol=1)


def test_a_large_page_is_lifted_in_bands():
    """As one by one: rows on both sides of a band's edge."""
    rng = np.random.default_rng(5)
    image, erased = (rng.integers(0, 256, (2 * ink.BAND + 7, 9, 3), np.uint8) for _ in range(2))
    mask = rng.random(image.shape[:2]) < 0.5
    whole = ink.lift(image, erased, mask)
    for row in (0, ink.BAND - 1, ink.BAND, 2 * ink.BAND, 2 * ink.BAND + 6):
        one = slice(row, row + 1)
        np.testing.assert_array_equal(whole[one], ink.lift(image[one], erased[one], mask[one]))


def test_nothing_erased_leaves_an_empty_layer():
    page = np.full((5, 5, 3), 77, np.uint8)
    assert not ink.lift(page, page, np.zeros((5, 5), bool)).any()
    assert not ink.lift(page, page, np.ones((5, 5), bool)).any()
