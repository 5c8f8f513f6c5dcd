"""Printed rules come back from under the mask; lines drawn by pen, and all that lies outside the mask, stay as they are."""

import cv2
import numpy as np
import pytest

from dehw import rules

SIDE, HEIGHT, LENGTH = 240, 20, 2
PAPER, PRINT, RED = 235, (30, 30, 30), (200, 40, 50)
LEVEL = ((20, 120), (220, 120))


def drawn(*lines: tuple[tuple[int, int], tuple[int, int], tuple[int, int, int], int]) -> np.ndarray:
    """A page, (S, S, 3) uint8, of lines: start, end (x, y), colour, thickness. Words stand at its top."""
    page = np.full((SIDE, SIDE, 3), PAPER, np.uint8)
    cv2.putText(page, "12 words 34", (10, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.9, PRINT, 2)
    for start, end, colour, thickness in lines:
        cv2.line(page, start, end, colour, thickness)
    return page


def covering(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = True
    return mask


def restored(page: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """What becomes of a page on which a generator painted paper everywhere."""
    generated = np.full_like(page, PAPER)
    rules.restore(page, generated, mask, HEIGHT, LENGTH)
    assert (generated[~mask] == PAPER).all()
    return generated


@pytest.mark.parametrize("end", [(220, 120), (220, 127), (220, 112)])
@pytest.mark.parametrize("upright", [False, True])
def test_a_rule_under_an_answer_comes_back(end, upright):
    """Level or slanting by two degrees, along the page and down it."""
    page, mask = drawn(((20, 120), end, PRINT, 2)), covering((60, 100, 100, 130), (150, 100, 180, 130))
    page[:60] = PAPER  # the words, which lie across when the page is upended
    if upright:
        page, mask = (np.ascontiguousarray(each.swapaxes(0, 1)) for each in (page, mask))
    differs = (restored(page, mask) != page).any(axis=2) & mask
    rule = (page != PAPER).any(axis=2) & mask
    assert np.count_nonzero(differs) <= (0.03 if end != LEVEL[1] else 0) * np.count_nonzero(rule)  # corners of steps


def test_a_tick_through_a_rule_leaves_no_red():
    page = drawn((*LEVEL, PRINT, 2))
    clean = page.copy()
    cv2.line(page, (90, 95), (120, 140), RED, 4)
    mask = covering((84, 90, 126, 146))
    np.testing.assert_array_equal(restored(page, mask)[mask], clean[mask])


@pytest.mark.parametrize("thickness", [2, 4])
def test_a_line_drawn_by_pen_stays_erased(thickness):
    page, mask = drawn((*LEVEL, PRINT, thickness)), covering((14, 112, 200, 128))
    assert (restored(page, mask)[mask] == PAPER).all()


def test_strokes_of_words_and_thick_bars_are_no_rules():
    page = drawn(((20, 120), (54, 120), PRINT, 2), ((20, 180), (220, 180), PRINT, 9))
    mask = covering((40, 0, 80, SIDE))
    assert (restored(page, mask)[mask] == PAPER).all()


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (50, 2)])
def test_small_pages(shape):
    page, mask = np.full((*shape, 3), 200, np.uint8), np.ones(shape, bool)
    generated = page - 5
    rules.restore(page, generated, mask, HEIGHT, LENGTH)
    assert (generated == 195).all()
