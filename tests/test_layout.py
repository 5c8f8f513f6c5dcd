"""Print is measured on pages drawn to a known height, whatever is written, shaded or drawn beside it."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from drawn import INK, PAPER, print_page, scribble, shade

from dehw.files.images import read_image
from dehw.page.layout import measure, print_height

SAMPLES = sorted((Path(__file__).parents[1] / "data" / "sample" / "images").iterdir())


@pytest.mark.parametrize("height", [12, 20, 30, 55])
def test_square_characters_measure_what_they_are(height):
    assert print_height(print_page(height)) == pytest.approx(height, rel=0.05)


@pytest.mark.parametrize("height", [17, 28, 42])
def test_latin_letters_measure_as_their_capitals(height):
    assert print_height(print_page(height, letters=True)) == pytest.approx(height, rel=0.1)


@pytest.mark.parametrize("ink", [(50, 50, 50), (200, 40, 40), (40, 60, 200)])
def test_handwriting_does_not_count(ink):
    assert print_height(scribble(print_page(30), ink=ink)) == pytest.approx(30, rel=0.1)


def test_shadow_and_figures_do_not_count():
    page = print_page(30)
    cv2.circle(page, (500, 700), 200, (INK,) * 3, 4)
    cv2.rectangle(page, (100, 100), (900, 400), (INK,) * 3, 3)
    assert print_height(shade(page)) == pytest.approx(30, rel=0.1)


@pytest.mark.parametrize("factor", [0.5, 0.7, 1.4, 3.0])
def test_height_follows_the_page_s_size(factor):
    page = scribble(print_page(30))
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    resized = cv2.resize(page, None, fx=factor, fy=factor, interpolation=method)
    assert print_height(resized) == pytest.approx(30 * factor, rel=0.1)


@pytest.mark.parametrize("degrees", [-8, 3, 8])
def test_tilted_pages_measure_alike(degrees):
    page = print_page(30)
    turn = cv2.getRotationMatrix2D((500, 700), degrees, 1)
    tilted = cv2.warpAffine(page, turn, (1000, 1400), borderValue=(PAPER,) * 3)
    assert print_height(tilted) == pytest.approx(30, rel=0.2)  # a tilted square's box is taller


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (300, 5), (600, 600), (1, 20000)])
def test_pages_without_print_have_no_height(size):
    assert print_height(np.full((*size, 3), PAPER, np.uint8)) is None


def test_handwriting_alone_has_no_height():
    page = np.full((1400, 1000, 3), PAPER, np.uint8)
    assert print_height(scribble(page, count=60)) is None


def test_the_factor_brings_print_to_the_target():
    found = measure(print_page(30))
    assert found.factor(15) == pytest.approx(0.5, rel=0.05)
    assert found.factor(45) == pytest.approx(1.5, rel=0.05)
    assert found.factor(2) == 0.25
    assert found.factor(300) == 2
    assert found.factor(300, high=4) == 4


def test_the_factor_leaves_pages_alone_that_need_none():
    found = measure(print_page(30))
    assert found.factor(None) == 1
    assert found.factor(32) == 1
    assert measure(np.full((100, 100, 3), PAPER, np.uint8)).factor(15) == 1


@pytest.mark.parametrize("turns, sideways", [(0, False), (1, True), (2, False), (3, True)])
@pytest.mark.parametrize("letters", [False, True])
def test_drawn_pages_tell_which_way_their_lines_run(turns, sideways, letters):
    page = shade(scribble(print_page(letters=letters)))
    assert measure(np.ascontiguousarray(np.rot90(page, turns))).sideways == sideways


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_sample_pages_tell_which_way_their_lines_run(path):
    page = read_image(path)
    assert not measure(page).sideways
    assert measure(np.ascontiguousarray(np.rot90(page))).sideways


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (200, 150)])
def test_a_page_without_print_lies_as_it_is(size):
    found = measure(np.full((*size, 3), 240, np.uint8))
    assert not found.sideways and found.letters.shape == (0, 4)


@pytest.mark.parametrize("height", [24, 80])  # the second page is larger than what is looked at
def test_boxes_lie_on_the_characters(height):
    page = print_page(height=height, size=(50 * height, 40 * height))
    boxes = measure(page).letters
    assert len(boxes) > 200
    for left, top, width, tall in boxes.tolist():
        assert (width, tall) == (pytest.approx(height, abs=0.12 * height), pytest.approx(height, abs=0.12 * height))
        inside = page[round(top) : round(top + tall), round(left) : round(left + width)]
        assert inside.min() == 40 and inside[:, :3].min() < 150  # their left stroke is where the box begins


@pytest.mark.parametrize("turns", [1, 3])
def test_a_turned_page_s_print_measures_alike(turns):
    page = print_page(28, letters=True)
    turned = measure(np.ascontiguousarray(np.rot90(page, turns)))
    assert turned.sideways and turned.height == pytest.approx(print_height(page), rel=0.15)
