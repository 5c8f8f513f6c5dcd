"""Print comes back from under the mask; what was written, and all that lies outside the mask, stays as it is."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from dehw.page import layout, paper, printed

SIDE, HEIGHT, REACH = 240, 32, 61
PAPER, PRINT = 235, (30, 30, 30)
RED, BLUE, PENCIL = (200, 40, 50), (30, 50, 160), (165, 165, 165)
LEVEL = ((20, 120), (220, 120))


def drawn(*lines: tuple[tuple[int, int], tuple[int, int], tuple[int, int, int], int]) -> np.ndarray:
    """A page, (S, S, 3) uint8, of lines: start, end (x, y), colour, thickness. Words stand at its top."""
    page = np.full((SIDE, SIDE, 3), PAPER, np.uint8)
    cv2.putText(page, "12 words 34", (10, 30), cv2.FONT_HERSHEY_SIMPLEX, 0.9, PRINT, 2)
    for start, end, colour, thickness in lines:
        cv2.line(page, start, end, colour, thickness)
    return page


def written(page: np.ndarray, colour: tuple[int, int, int], draw: Callable) -> tuple[np.ndarray, np.ndarray]:
    """A page with ink over it, which takes light as a filter does, and a mask that is 2 px wider than the ink."""
    ink = np.full_like(page, 255)
    draw(ink, colour)
    mask = cv2.dilate((ink < 255).any(axis=2).astype(np.uint8), np.ones((5, 5), np.uint8)).view(bool)
    return (page.astype(np.uint16) * ink // 255).astype(np.uint8), mask


def restore(page: np.ndarray, painted: np.ndarray, mask: np.ndarray) -> None:
    printed.restore_letters(page, painted, mask, paper.tone(page, mask, REACH), HEIGHT)
    printed.restore_rules(page, painted, mask, layout.dark_pixels(page), HEIGHT)


def covering(*boxes: tuple[int, int, int, int]) -> np.ndarray:
    mask = np.zeros((SIDE, SIDE), bool)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = True
    return mask


def restored(page: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """What becomes of a page that was painted with paper everywhere."""
    painted = np.full_like(page, PAPER)
    restore(page, painted, mask)
    assert (painted[~mask] == PAPER).all()
    return painted


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


def test_ink_through_the_pale_rules_of_squared_paper_leaves_no_trace():
    pale, pen = (150, 165, 205), (80, 95, 135)  # of one hue
    page = drawn((*LEVEL, pale, 2))
    clean = page.copy()
    cv2.line(page, (120, 90), (120, 150), pen, 4)
    mask = covering((116, 86, 125, 154))
    np.testing.assert_array_equal(restored(page, mask)[mask], clean[mask])


@pytest.mark.parametrize("thickness", [2, 4])
def test_a_line_drawn_by_pen_stays_erased(thickness):
    page, mask = drawn((*LEVEL, PRINT, thickness)), covering((14, 112, 200, 128))
    assert (restored(page, mask)[mask] == PAPER).all()


def test_a_rule_that_a_thin_mask_covers_as_a_whole_stays_erased():
    page = drawn((*LEVEL, PRINT, 2))
    mask = cv2.dilate((page[:, :, 0] < 100).view(np.uint8), np.ones((1, 3), np.uint8)).view(bool)
    mask[:60] = False
    assert (restored(page, mask)[mask] == PAPER).all()


def test_strokes_of_words_and_thick_bars_are_no_rules():
    page = drawn(((20, 120), (54, 120), PRINT, 2), ((20, 180), (220, 180), PRINT, 9))
    mask = covering((40, 0, 80, SIDE))
    assert (restored(page, mask)[mask] == PAPER).all()


@pytest.mark.parametrize("colour", [RED, BLUE, PENCIL])
@pytest.mark.parametrize(
    "draw",
    [
        lambda page, colour: cv2.line(page, (60, 5), (80, 40), colour, 3),
        lambda page, colour: cv2.ellipse(page, (90, 22), (62, 22), 0, 0, 360, colour, 3),
    ],
    ids=["tick", "circle"],
)
def test_letters_under_coloured_and_faint_ink_come_back(colour, draw):
    clean = drawn()
    page, mask = written(clean, colour, draw)
    letters = (clean < PAPER).any(axis=2) & mask
    assert np.count_nonzero(letters) > 40
    off = np.abs(restored(page, mask).astype(int) - clean)[mask]
    assert (off[letters[mask]] <= 30).mean() > 0.95  # black under ink is a little blacker
    assert (off[~letters[mask]] <= 3).all()


def test_black_writing_beside_a_red_tick_stays_erased():
    page = drawn()
    cv2.putText(page, "abc", (80, 160), cv2.FONT_HERSHEY_SCRIPT_SIMPLEX, 1, PRINT, 2)
    page, mask = written(page, RED, lambda page, colour: cv2.line(page, (90, 130), (120, 170), colour, 3))
    mask |= cv2.dilate((page[..., 0] < 100).astype(np.uint8), np.ones((5, 5), np.uint8)).view(bool)
    mask[:60] = False
    assert (restored(page, mask)[mask] == PAPER).all()


def test_the_rims_of_coloured_strokes_on_a_page_of_pale_print_stay_erased():
    """Where rules are all the print there is, a stroke's rim is as dark as print usually is."""
    page = np.full((SIDE, SIDE, 3), PAPER, np.uint8)
    page[::24] = page[:, ::24] = (165, 185, 215)
    page, mask = written(page, BLUE, lambda page, colour: cv2.ellipse(page, (120, 118), (50, 30), 9, 0, 360, colour, 4))
    page = cv2.GaussianBlur(page, (0, 0), 1)
    mask = cv2.dilate(mask.view(np.uint8), np.ones((5, 5), np.uint8)).view(bool)
    painted = np.full_like(page, PAPER)
    printed.restore_letters(page, painted, mask, paper.tone(page, mask, REACH), HEIGHT)
    assert (painted == PAPER).all()


def test_letters_under_black_ink_are_not_told_from_it():
    page, mask = written(drawn(), PRINT, lambda page, colour: cv2.line(page, (60, 5), (80, 40), colour, 3))
    assert (restored(page, mask)[mask] == PAPER).all()


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (50, 2), (1100, 30), (30, 1100)])
def test_pages_of_all_shapes(shape):
    page, mask = np.full((*shape, 3), 200, np.uint8), np.ones(shape, bool)
    painted = page - 5
    restore(page, painted, mask)
    assert (painted == 195).all()


def spared(page: np.ndarray, mask: np.ndarray, prob: np.ndarray) -> np.ndarray:
    left = mask.copy()
    printed.spare(left, layout.dark_pixels(page), prob.astype(np.float32), 0.5, HEIGHT)
    assert not (left & ~mask).any()
    return left


STEM = ((60, 126), (60, 139), PRINT, 4)  # as tall as the words' letters


@pytest.mark.parametrize("colour", [PRINT, BLUE])
def test_a_letter_that_ink_touches_keeps_its_strokes(colour):
    """A pen's line runs along the foot of a printed stem: the mask leaves the line, and what lies under it."""
    page = drawn(STEM, ((60, 142), (200, 142), colour, 4))
    ink = covering((56, 140, 206, 145))
    near = cv2.dilate(ink.astype(np.uint8), np.ones((9, 9), np.uint8)) > 0
    prob = np.where(ink, 0.9, np.where(near, 0.4, 0))
    stem = covering((50, 110, 70, 140)) & (page != PAPER).any(axis=2)
    assert (stem & near).any()
    left = spared(page, near, prob)
    assert left[ink].all() and not left[stem].any()
    assert left[near & ~stem].all()  # the paper about the ink


@pytest.mark.parametrize(("inside", "prob", "stays"), [(0.9, 0.4, True), (0.3, 0.4, False), (0.3, 0.6, True)])
def test_neither_what_the_mask_holds_most_of_nor_what_is_likely_handwriting_is_spared(inside, prob, stays):
    page = drawn(STEM)
    dark = covering((50, 110, 70, 150)) & (page != PAPER).any(axis=2)
    rows = np.flatnonzero(dark.any(axis=1))
    mask = covering((50, round(rows[-1] + 1 - inside * len(rows)), 70, 150))
    assert spared(page, mask, np.full(mask.shape, prob))[mask & dark].all() == stays


def test_a_rule_does_not_spare_the_ink_that_stands_on_it():
    page = drawn((*LEVEL, PRINT, 2), ((80, 110), (80, 119), BLUE, 3))
    mask = covering((70, 100, 90, 130))
    assert spared(page, mask, np.full(mask.shape, 0.4))[mask].all()
