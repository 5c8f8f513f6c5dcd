"""Lines are measured where they are, whatever way a page lies, and a page without any is scaled by its size."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn import READER, print_page, scribble

from dehw.config import load_pipeline
from dehw.engine import pick
from dehw.files.images import read_image
from dehw.page import layout
from dehw.page.layout import SIDE, USUAL, Layout, Reader, find_lines, measure

SAMPLES = sorted((Path(__file__).parents[1] / "data" / "sample" / "images").iterdir())
BLANK = np.full((SIDE, 960, 3), 240, np.uint8)  # as large as the detector sees it
LEVEL = [((480, y), (601, 11), 0) for y in (300, 400, 500, 600)]


def marking(*boxes, scale=1.0):
    """A reader that finds these boxes: centre, sides, degrees, in pixels of the page."""

    def read(tiles):
        assert tiles.shape == (1, 3, SIDE, SIDE) and tiles.dtype == np.float32 and 0 <= tiles.min() <= tiles.max() <= 1
        prob = np.zeros((SIDE, SIDE), np.float32)
        for (x, y), sides, degrees in boxes:
            corners = cv2.boxPoints(((x * scale, y * scale), ((sides[0] - 1) * scale, (sides[1] - 1) * scale), degrees))
            cv2.fillConvexPoly(prob, np.rint(corners).astype(np.int32), 0.9)
        return prob[None, None]

    return Reader(read)


@pytest.fixture(scope="module")
def shipped():
    """The networks that ship, by whichever engine is installed."""
    return pick.reader(load_pipeline("lite"), None, pick.engine())


def test_a_shrunk_box_is_grown_to_its_line():
    """By area * 1.5 / perimeter on each side: 601 * 11 * 1.5 / 612 = 16.2 px in all."""
    (line,) = find_lines(BLANK, marking(LEVEL[0]).lines)
    np.testing.assert_allclose(line, [480.5, 300.5, 617.2, 27.2, 0], atol=0.2)


@pytest.mark.parametrize("degrees", [-40, -12, 3, 30, 80, 90, 100])
def test_lines_slant_as_they_do(degrees):
    (line,) = find_lines(BLANK, marking(((480, 600), (601, 11), degrees)).lines)
    np.testing.assert_allclose(line, [480.5, 600.5, 617, 27, degrees], atol=3.5)  # slanting edges take a pixel


@pytest.mark.parametrize("size", [(640, 480), (SIDE, 960), (3840, 2880)])
def test_lines_are_told_in_pixels_of_the_page(size):
    scale = SIDE / size[0]
    (line,) = find_lines(np.full((*size, 3), 240, np.uint8), marking(LEVEL[0]).lines)
    np.testing.assert_allclose(line[:4], np.array([480.5, 300.5, 617.2, 27.2]) / scale, rtol=0.01)


def test_small_pages_are_enlarged_twice_at_the_most():
    (line,) = find_lines(np.full((500, 400, 3), 240, np.uint8), marking(LEVEL[0]).lines)
    np.testing.assert_allclose(line[:4], np.array([480.5, 300.5, 617.2, 27.2]) / 2, rtol=0.01)


def test_lines_are_sorted_from_the_top():
    lines = find_lines(BLANK, marking(*LEVEL[::-1]).lines)
    assert lines[:, 1].tolist() == sorted(lines[:, 1]) and len(lines) == 4


def test_writing_and_headings_are_taller_than_the_page_s_lines():
    headings = [((480, y), (401, 31), 0) for y in (800, 900, 1000)]
    assert measure(BLANK, marking(*LEVEL, *headings)).height == pytest.approx(27.2, abs=0.3)


def test_short_boxes_count_where_there_are_no_long_lines():
    labels = [((x, 800), (40, 21), 0) for x in range(100, 900, 100)]
    assert measure(BLANK, marking(*LEVEL, *labels)).height == pytest.approx(27.2, abs=0.3)
    assert measure(BLANK, marking(*labels)).height == pytest.approx(42, abs=1)


@pytest.mark.parametrize(("rules", "kept"), [(1, True), (4, True), (5, False)])
@pytest.mark.parametrize("tilt", [0, 2])
def test_music_says_nothing_of_the_height_of_text(rules, kept, tilt):
    """Staves have five rules; words stand on one or, on paper for writing, within four."""
    page = BLANK.copy()
    for number in range(rules):
        y = 800 + 20 * (number - rules // 2)
        cv2.line(page, (100, y - 7 * tilt), (860, y + 7 * tilt), (30, 30, 30), 3)
    staff = ((480, 800), (700, 60), tilt)
    found = measure(page, marking(staff, *LEVEL[:2]))
    assert len(found.lines) == 2 + kept
    assert measure(page, marking(staff)).guessed != kept


@pytest.mark.parametrize("degrees", [-9, 0, 5])
def test_a_page_s_tilt_is_its_lines(degrees):
    tilted = [(place, sides, degrees) for place, sides, _ in LEVEL]
    found = measure(BLANK, marking(*tilted))
    assert found.tilt == pytest.approx(degrees, abs=0.3) and found.turns == 0


def test_bubbles_in_columns_do_not_turn_a_page():
    bubbles = [((x, y), (40, 20), 90) for x in range(100, 900, 50) for y in range(700, 1200, 60)]
    assert measure(BLANK, marking(*LEVEL, *bubbles)).turns == 0


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (300, 5), (600, 450), (1, 20000)])
def test_a_page_without_lines_is_scaled_by_its_size(size):
    found = measure(np.full((*size, 3), 240, np.uint8), marking())
    assert found.lines.shape == (0, 5) and found.guessed and (found.turns, found.tilt) == (0, 0)
    assert found.height == USUAL * max(size)


def test_the_factor_brings_lines_to_the_target():
    found = Layout(np.zeros((0, 5), np.float32), height=30.0)
    assert (found.factor(15), found.factor(45)) == (0.5, 1.5)
    assert (found.factor(2), found.factor(300), found.factor(300, high=4)) == (0.25, 2, 4)
    assert found.factor(None) == 1 and found.factor(31) == 31 / 30


def test_a_page_that_nobody_read_stays_as_it_is():
    assert layout.UNREAD.factor(15) == 1 and layout.UNREAD.turns == 0


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_drawn_pages_are_brought_upright(turns):
    page = scribble(print_page(letters=True), count=20)
    found = measure(np.ascontiguousarray(np.rot90(page, turns)), READER)
    assert found.turns == -turns % 4


@pytest.mark.parametrize("turns", [1, 3])
def test_a_turned_page_s_lines_lie_where_they_are(turns):
    page = print_page(28, letters=True)
    expected = measure(page, READER)
    turned = np.ascontiguousarray(np.rot90(page, turns))
    found = measure(turned, READER)
    assert found.height == pytest.approx(expected.height, rel=0.05)
    (x, y), (height, width) = expected.lines[:, :2].T, page.shape[:2]
    places = {1: np.stack([y, width - x], 1), 3: np.stack([height - y, x], 1)}[turns]
    nearest = np.abs(found.lines[:, None, :2] - places).sum(2).min(0)
    assert len(found.lines) == len(expected.lines) and nearest.max() < 5
    assert (np.abs(found.lines[:, 4] - 90) < 3).all()


def test_directions_are_asked_of_pieces_of_the_longest_lines():
    """A page whose lines are dark at their head: the pieces are as high as the lines, level, BGR in [-1, 1]."""
    page = np.full((400, 800, 3), 255, np.uint8)
    page[180:200, 100:700] = (255, 0, 0)
    lines = np.array([[400, 200, 600, 40, 0], [400, 300, 50, 40, 0]], np.float32)
    pieces = layout.crops(page, lines)
    assert pieces.shape == (3 + 1, 3, 48, 192) and pieces.dtype == np.float32
    np.testing.assert_allclose(pieces[1, :, 10, 90], [-1, -1, 1], atol=0.02)
    np.testing.assert_allclose(pieces[1, :, 40, 90], 1, atol=0.02)
    assert (pieces[3, :, :, 60:] == 0).all()  # shorter than a piece
    (turned,) = layout.crops(page, np.array([[400, 200, 160, 40, 180]], np.float32))
    np.testing.assert_allclose(turned[:, 40, 90], [-1, -1, 1], atol=0.02)


@pytest.mark.parametrize("share, turns", [(0.0, 0), (0.7, 0), (0.8, 2)])
def test_a_page_is_turned_round_where_its_lines_agree(share, turns):
    odds = lambda pieces: np.eye(2)[(np.arange(len(pieces)) < share * len(pieces)).astype(int)]  # noqa: E731
    found = measure(BLANK, Reader(marking(*LEVEL).lines, odds))
    assert found.turns == turns


def test_a_single_line_says_more_than_bubbles():
    """The bubbles of an answer sheet look upside down, and are asked only where no line is longer than they are."""
    bubbles = [((x, y), (40, 21), 0) for x in range(100, 900, 100) for y in (800, 900)]
    odds = lambda pieces: np.eye(2)[(pieces.min((1, 2, 3)) >= 0).astype(int)]  # noqa: E731
    page = BLANK.copy()
    page[295:305, 180:780:20] = 0  # the line is written on
    reader = lambda boxes: Reader(marking(*boxes).lines, odds)  # noqa: E731
    assert measure(page, reader([LEVEL[0], *bubbles])).turns == 0
    assert measure(page, reader(bubbles)).turns == 2


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_the_shipped_networks_bring_sample_pages_upright(shipped, turns):
    page = np.ascontiguousarray(np.rot90(read_image(SAMPLES[turns]), turns))
    assert measure(page, shipped).turns == -turns % 4


def test_the_shipped_networks_measure_a_page_alike_at_other_sizes(shipped):
    page = read_image(SAMPLES[5])
    whole = measure(page, shipped)
    half = measure(cv2.resize(page, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), shipped)
    assert not whole.guessed and whole.height == pytest.approx(33, abs=2)  # its characters are 21 px
    assert half.height == pytest.approx(whole.height / 2, rel=0.08)


def test_the_shipped_networks_find_no_line_on_blank_paper(shipped):
    assert measure(BLANK, shipped).guessed
