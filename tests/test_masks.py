"""Masks mark handwriting with 1, count differences without overflow, and survive their files."""

import numpy as np
import pytest

from dehw.errors import InputError
from dehw.page import masks


def page(*pixels):
    """A page of one row."""
    return np.array([pixels], np.uint8)


# by channel: equal; 30 darker; 12 lighter, which wraps around in uint8; only blue differs by 60
IMAGE = page((200, 200, 200), (170, 170, 170), (12, 12, 12), (0, 0, 60))
GT = page((200, 200, 200), (200, 200, 200), (0, 0, 0), (0, 0, 0))
APART = np.array([[0, 30, 12, 20]], np.float32)


def test_difference_is_the_mean_over_colours():
    result = masks.difference(IMAGE, GT)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, APART, atol=1e-5)
    np.testing.assert_array_equal(masks.difference(GT, IMAGE), result)


def test_soft_mask_is_full_from_the_ceiling_on():
    soft = masks.soft_mask(IMAGE, GT)
    np.testing.assert_allclose(soft, [[0, 1, 0.6, 1]], atol=1e-6)
    assert soft.dtype == np.float32


def test_hard_mask_is_above_the_threshold():
    np.testing.assert_array_equal(masks.hard_mask(IMAGE, GT, 20), [[False, True, False, False]])
    np.testing.assert_array_equal(masks.hard_mask(IMAGE, GT, 11), [[False, True, True, True]])


def test_dilation_grows_by_a_rectangle():
    mask = np.zeros((7, 7), bool)
    mask[3, 3] = True
    grown = masks.dilate(mask, 3)
    assert grown.dtype == bool and grown.sum() == 9 and grown[2:5, 2:5].all()
    for k in (0, 1):
        np.testing.assert_array_equal(masks.dilate(mask, k), mask)


def test_dilation_of_a_soft_mask_takes_the_highest():
    soft = np.array([[0.2, 0.0, 0.0, 0.7]], np.float32)
    np.testing.assert_array_equal(masks.dilate(soft, 3), np.array([[0.2, 0.2, 0.7, 0.7]], np.float32))


def test_threshold_includes_its_value():
    np.testing.assert_array_equal(masks.threshold(np.array([0.49, 0.5, 0.51]), 0.5), [False, True, True])


def test_clean_gt_is_the_page_wherever_they_hardly_differ():
    rng = np.random.default_rng(0)
    image = rng.integers(100, 200, (20, 20, 3)).astype(np.uint8)
    gt = (image + rng.integers(-3, 4, image.shape)).astype(np.uint8)  # what compression does to a page
    gt[8:10, 8:10] = image[8:10, 8:10] + 50  # a stroke
    cleaned = masks.clean_gt(image, gt, threshold=10)
    inside = np.zeros((20, 20), bool)
    inside[7:11, 7:11] = True
    np.testing.assert_array_equal(cleaned[inside], gt[inside])
    np.testing.assert_array_equal(cleaned[~inside], image[~inside])


@pytest.mark.parametrize("mask", [np.array([[True, False]]), np.array([[1.0, 0.0]], np.float32)])
def test_files_hold_255_for_handwriting(mask):
    stored = masks.to_file(mask)
    assert stored.dtype == np.uint8
    np.testing.assert_array_equal(stored, [[255, 0]])


def test_soft_masks_come_back_from_their_files():
    levels = np.arange(256, dtype=np.uint8)[None]
    np.testing.assert_array_equal(masks.to_file(masks.from_file(levels)), levels)
    assert masks.from_file(levels).dtype == np.float32
    assert masks.from_file(levels).max() == 1
    np.testing.assert_array_equal(masks.to_file(np.array([[-0.1, 1.2]])), [[0, 255]])


# -- sensitivity and boxes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [0.05, 0.35, 0.5, 0.6, 0.97])
def test_the_threshold_falls_as_sensitivity_rises(threshold):
    sensitivities = np.linspace(0, 1, 21)
    moved = [masks.sensitive_threshold(threshold, sensitivity) for sensitivity in sensitivities]
    assert moved[10] == threshold  # in the middle it is the pipeline's own, to the last bit
    assert all(np.diff(moved) < 0) and 0 < moved[-1] < threshold < moved[0] < 1
    odds = np.log(np.array(moved) / (1 - np.array(moved)))
    np.testing.assert_allclose(np.diff(odds), -masks.ODDS_RANGE / 20, rtol=1e-6)  # even steps of log-odds


def test_sensitivity_ends_where_it_says_for_a_threshold_of_a_half():
    ends = [masks.sensitive_threshold(0.5, sensitivity) for sensitivity in (0.0, 1.0)]
    assert ends == [pytest.approx(0.982, abs=1e-3), pytest.approx(0.018, abs=1e-3)]


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_a_threshold_at_an_end_stays_there(threshold):
    assert {masks.sensitive_threshold(threshold, sensitivity) for sensitivity in (0, 0.3, 1)} == {threshold}


@pytest.mark.parametrize("sensitivity", [-0.01, 1.01, float("nan")])
def test_sensitivity_lies_between_0_and_1(sensitivity):
    with pytest.raises(InputError, match="sensitivity"):
        masks.sensitive_threshold(0.5, sensitivity)


def test_boxes_say_where_a_page_may_be_erased():
    assert masks.allowed((2, 3)).tolist() == [[True] * 3] * 2
    assert masks.allowed((2, 3), only=[(1, 0, 3, 1)]).tolist() == [[False, True, True], [False] * 3]
    assert masks.allowed((2, 3), keep=[(0, 0, 1, 2)]).tolist() == [[False, True, True]] * 2
    both = masks.allowed((2, 3), keep=[(2, 0, 3, 2)], only=[(0, 0, 1, 1), (1, 0, 3, 1)])  # keep has the last word
    assert both.tolist() == [[True, True, False], [False] * 3]


@pytest.mark.parametrize("box", [(0, 0, 4, 1), (0, 0, 1, 3), (-1, 0, 1, 1), (2, 0, 2, 1), (0, 1, 1, 1), (2, 1, 1, 0)])
def test_a_box_lies_on_the_page(box):
    with pytest.raises(InputError, match="3 px wide and 2 px high"):
        masks.allowed((2, 3), only=[box])


@pytest.mark.parametrize("box", [(0.5, 0, 2, 1), (0, 0, 1), (0, 0, 1, 1, 1), "0,0,1,1", (0, 0, float("nan"), 1)])
def test_what_is_no_box_is_told(box):
    with pytest.raises(InputError, match="whole pixels"):
        masks.allowed((2, 3), keep=[box])
    assert masks.allowed((2, 3), keep=[tuple(np.array([0, 0, 1, 2]))]).sum() == 4
