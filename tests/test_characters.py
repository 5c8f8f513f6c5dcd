"""Print is measured on pages drawn to a known height, whatever is written, shaded or drawn beside it."""

import cv2
import numpy as np
import pytest
from drawn import INK, PAPER, print_page, scribble, shade

from dehw.page.characters import print_height


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
