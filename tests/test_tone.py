"""The generator's error of tone is taken from what it paints, and nothing else is."""

import numpy as np
import pytest

from dehw import tone

SIDE, REACH = 96, 21


@pytest.fixture
def page() -> np.ndarray:
    """Tinted paper that grows darker to the right, (3, S, S) in [0, 1], without print."""
    shade = np.linspace(0.9, 0.6, SIDE, dtype=np.float32)[None, None]
    return np.float32([1, 0.95, 0.8])[:, None, None] * np.repeat(shade, SIDE, axis=1)


@pytest.fixture
def mask() -> np.ndarray:
    strokes = np.zeros((SIDE, SIDE), bool)
    strokes[40:46, 10:80] = strokes[10:80, 50:56] = True
    return strokes


def test_an_even_error_goes_and_ink_under_the_mask_does_not_matter(page, mask):
    generated = page + np.float32([0.05, -0.02, 0.08])[:, None, None]
    written = np.where(mask, 0.1, page).astype(np.float32)
    np.testing.assert_allclose(tone.match(written, generated, mask, REACH), page, atol=1e-5)


def test_print_that_was_not_redrawn_does_not_darken_what_is_painted(page, mask):
    printed = page.copy()
    printed[:, 48:52, 0:40] = 0.1
    np.testing.assert_allclose(tone.match(printed, page, mask, REACH)[:, mask], page[:, mask], atol=1e-5)


def test_the_mean_is_over_reach_alone(page, mask):
    generated = page.copy()
    generated[:, :, :20] += 0.05
    matched = tone.match(page, generated, mask, REACH)
    np.testing.assert_array_equal(matched[:, :, 31:], generated[:, :, 31:])
    np.testing.assert_allclose(matched[:, :, :9], page[:, :, :9], atol=1e-5)


def test_where_nothing_is_told_nothing_changes(page):
    everywhere = np.ones((SIDE, SIDE), bool)
    np.testing.assert_array_equal(tone.match(page * 0.5, page, everywhere, REACH), page)
