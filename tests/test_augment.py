import cv2
import numpy as np
import pytest

from dehw.data.augment import PAPER, Window, cut, draw, pad


@pytest.fixture
def page() -> np.ndarray:
    """A smooth page, (80, 100, 3) uint8, so that resampling twice differs little from once."""
    noise = np.random.default_rng(0).integers(0, 256, (10, 12, 3)).astype(np.uint8)
    return cv2.resize(noise, (100, 80), interpolation=cv2.INTER_CUBIC)


def test_a_straight_window_is_the_page_itself(page):
    window = Window(top=7, left=31, size=40)
    np.testing.assert_array_equal(cut(page, window), page[7:47, 31:71])
    mirrored = Window(top=7, left=31, size=40, flip=True)
    np.testing.assert_array_equal(cut(page, mirrored), np.fliplr(page[7:47, 31:71]))


def test_a_window_is_a_copy(page):
    before = page.copy()
    cut(page, Window(0, 0, 40))[:] = 0
    np.testing.assert_array_equal(page, before)


@pytest.mark.parametrize("degrees", [-10.0, 3.0, 10.0])
@pytest.mark.parametrize("flip", [False, True])
def test_a_tilted_window_is_that_window_of_the_tilted_page(page, degrees, flip):
    matrix = cv2.getRotationMatrix2D((49.5, 39.5), degrees, 1.0)
    turned = cv2.warpAffine(page, matrix, (100, 80), borderValue=(255, 255, 255))
    expected = turned[30:70, 5:45]
    got = cut(page, Window(30, 5, 40, degrees, flip))
    np.testing.assert_allclose(got, np.fliplr(expected) if flip else expected, atol=4)


def test_a_tilt_turns_counter_clockwise():
    page = np.zeros((101, 101), np.uint8)
    page[50, 90] = 255  # right of the centre
    turned = cut(page, Window(0, 0, 101, degrees=90.0), fill=0)
    assert np.unravel_index(turned.argmax(), turned.shape) == (10, 50)  # above it


def test_beyond_the_page_lies_paper_and_no_ink():
    page = np.zeros((64, 64, 3), np.uint8)
    corner = Window(0, 0, 32, degrees=10.0)
    assert set(np.unique(cut(page, corner)[:2, :2])) == {PAPER}
    ink = np.full((64, 64), 255, np.uint8)
    assert cut(ink, corner, fill=0)[0, 0] == 0


def test_a_small_page_is_mirrored_up_to_the_size():
    page = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
    np.testing.assert_array_equal(pad(page, 12), np.pad(page, ((0, 7), (0, 5), (0, 0)), "reflect"))
    np.testing.assert_array_equal(pad(page[..., 0], 6), np.pad(page[..., 0], ((0, 1), (0, 0)), "reflect"))
    assert pad(page, 5) is page
    assert pad(page[:1, :1], 4).shape == (4, 4, 3)


def test_windows_lie_inside_the_page_and_reach_its_corners():
    rng = np.random.default_rng(0)
    windows = [draw(rng, 10, 12, 8) for _ in range(400)]
    assert {window.top for window in windows} == {0, 1, 2}
    assert {window.left for window in windows} == {0, 1, 2, 3, 4}
    assert all(window.degrees == 0 and not window.flip for window in windows)


def test_mirroring_and_tilt_come_with_their_probabilities():
    rng = np.random.default_rng(0)
    windows = [draw(rng, 10, 12, 8, hflip=0.3, rotate=0.3, degrees=10.0) for _ in range(2000)]
    tilts = np.array([window.degrees for window in windows if window.degrees])
    assert abs(np.mean([window.flip for window in windows]) - 0.3) < 0.04
    assert abs(len(tilts) / 2000 - 0.3) < 0.04
    assert -10 <= tilts.min() < -9 and 9 < tilts.max() <= 10
