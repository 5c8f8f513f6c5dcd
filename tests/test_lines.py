"""Which way lines run, on pages drawn to a known size (as for test_scale.py) and on the sample pages."""

from pathlib import Path

import numpy as np
import pytest
from test_scale import print_page, scribble, shade

from dehw.files.images import read_image
from dehw.page.lines import covered, find_lines

SAMPLES = sorted((Path(__file__).parents[1] / "data" / "sample" / "images").iterdir())


@pytest.mark.parametrize("turns, sideways", [(0, False), (1, True), (2, False), (3, True)])
@pytest.mark.parametrize("letters", [False, True])
def test_drawn_pages_tell_which_way_their_lines_run(turns, sideways, letters):
    page = shade(scribble(print_page(letters=letters)))
    assert find_lines(np.ascontiguousarray(np.rot90(page, turns))).sideways == sideways


@pytest.mark.parametrize("path", SAMPLES, ids=lambda path: path.stem)
def test_sample_pages_tell_which_way_their_lines_run(path):
    page = read_image(path)
    assert not find_lines(page).sideways
    assert find_lines(np.ascontiguousarray(np.rot90(page))).sideways


@pytest.mark.parametrize("size", [(1, 1), (3, 900), (200, 150)])
def test_a_page_without_print_lies_as_it_is(size):
    found = find_lines(np.full((*size, 3), 240, np.uint8))
    assert not found.sideways and found.boxes.shape == (0, 4) and covered(found, np.ones(size, bool)) == 0


@pytest.mark.parametrize("height", [24, 80])  # the second page is larger than what is looked at
def test_boxes_lie_on_the_characters(height):
    page = print_page(height=height, size=(50 * height, 40 * height))
    boxes = find_lines(page).boxes
    assert len(boxes) > 200
    for left, top, width, tall in boxes:
        assert (width, tall) == (pytest.approx(height, abs=0.12 * height), pytest.approx(height, abs=0.12 * height))
        inside = page[round(top) : round(top + tall), round(left) : round(left + width)]
        assert inside.min() == 40 and inside[:, :3].min() < 150  # their left stroke is where the box begins


@pytest.mark.parametrize("turns", [0, 1])
def test_what_a_mask_takes_is_counted(turns):
    page = np.ascontiguousarray(np.rot90(print_page(), turns))
    found = find_lines(page)
    mask = np.zeros(page.shape[:2], bool)
    assert covered(found, mask) == 0
    axis = turns  # half of the page along the lines
    half = [slice(None), slice(None)]
    half[1 - axis] = slice(0, page.shape[1 - axis] // 2)
    mask[tuple(half)] = True
    assert covered(found, mask) == pytest.approx(len(found.boxes) / 2, rel=0.1)
    mask[:] = True
    assert covered(found, mask) == len(found.boxes)
    thin = np.zeros_like(mask)
    thin[::3] = True  # a third of each box
    assert covered(found, thin) == 0
