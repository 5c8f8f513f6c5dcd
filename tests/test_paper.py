"""What the mask holds becomes the paper about it; what lies outside stays as it is."""

import cv2
import numpy as np
import pytest

from dehw.page import paper

SIDE, REACH = 160, 41


@pytest.fixture
def page() -> np.ndarray:
    """Tinted paper that grows darker to the right, (S, S, 3) uint8, without print."""
    shade = np.linspace(240, 180, SIDE)[None, :, None] * np.float32([1, 0.95, 0.8])
    return np.repeat(shade, SIDE, axis=0).round().astype(np.uint8)


@pytest.fixture
def mask() -> np.ndarray:
    strokes = np.zeros((SIDE, SIDE), bool)
    strokes[60:66, 10:140] = strokes[10:140, 70:76] = True
    return strokes


def seen(page: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return paper.enlarge(paper.tone(page, mask, REACH), mask.shape, 0).astype(int)


def test_the_tone_is_the_papers_whatever_is_written_or_printed(page, mask):
    written = page.copy()
    written[mask] = 20
    written[100:103, 5:150] = 40  # print: rules and a letter
    written[20:32, 100:108] = 90
    found = seen(written, mask)
    inner = np.s_[:, 24:-24]  # at the border the mean has one side alone
    assert np.abs(found - page)[inner].max() <= 3
    assert np.abs(seen(page, np.zeros_like(mask)) - page)[inner].max() <= 1


def painted(page: np.ndarray, mask: np.ndarray) -> np.ndarray:
    result = page.copy()
    paper.paint(result, mask, paper.tone(page, mask, REACH))
    np.testing.assert_array_equal(result[~mask], page[~mask])
    return result


def test_ink_becomes_paper(page, mask):
    written = page.copy()
    written[mask] = 20
    assert np.abs(painted(written, mask).astype(int) - page)[:, 24:136].max() <= 2


def test_a_hole_wider_than_the_reach_becomes_paper_of_further_off(page):
    mask = np.zeros((SIDE, SIDE), bool)
    mask[20:140, 20:140] = True
    written = page.copy()
    written[mask] = 20
    off = np.abs(painted(written, mask).astype(int) - page)[mask]
    assert off.max() <= 40 and off.mean() < 12  # shade falls by 60 levels from left to right


def test_a_tint_is_seen_close_by():
    """Ink in a tinted cell becomes the tint, though there is more white paper about."""
    page, mask = np.full((SIDE, SIDE, 3), 250, np.uint8), np.zeros((SIDE, SIDE), bool)
    page[50:110] = tint = (250, 220, 160)  # a row of REACH and some more
    mask[76:84, 20:140] = True
    written = page.copy()
    written[mask] = 20
    assert np.abs(painted(written, mask).astype(int)[mask] - tint).max() <= 2


def test_where_no_paper_is_seen_it_is_white(page):
    assert (painted(page // 2, np.ones((SIDE, SIDE), bool)) == paper.UNSEEN).all()


def test_the_mean_is_opencvs_where_all_is_seen(page):
    cells = cv2.resize(page, (SIDE // 4,) * 2, interpolation=cv2.INTER_AREA)
    expected = cv2.blur(np.float32(cells), (11, 11), borderType=cv2.BORDER_REFLECT)
    np.testing.assert_allclose(paper._mean(cells, np.ones(cells.shape[:2], bool), 11)[0], expected, atol=1e-3)


@pytest.mark.parametrize("shape", [(1200, 90), (1027, 33), (512, 40), (5, 2)])
def test_cells_are_enlarged_as_opencv_does_it(shape):
    cells = np.random.default_rng(0).integers(100, 160, (-(-shape[0] // 4), -(-shape[1] // 4), 3), np.uint8)
    rows = [paper.enlarge(cells, shape, top) for top in range(0, shape[0], paper.BAND)]
    expected = cv2.resize(cells, shape[::-1], interpolation=cv2.INTER_LINEAR)
    assert np.abs(np.concatenate(rows).astype(int) - expected).max() <= 4  # warpAffine rounds places to 1/32 px


@pytest.mark.parametrize("shape", [(1, 1), (3, 50), (7, 5)])
def test_small_pages(shape):
    page, mask = np.full((*shape, 3), 200, np.uint8), np.zeros(shape, bool)
    mask[0, 0] = True
    assert (painted(page, mask) == np.where(mask.all(), 255, 200)).all()
