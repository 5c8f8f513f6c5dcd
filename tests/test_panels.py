import numpy as np
import pytest

from dehw.files.panels import GAP, INK_COLOUR, contact_sheet, side_by_side, tint


def test_side_by_side_keeps_both_pages_pixel_by_pixel():
    rng = np.random.default_rng(0)
    before, after = rng.integers(0, 256, (2, 5, 7, 3), np.uint8)
    picture = side_by_side(before, after)
    assert picture.shape == (5, 14 + GAP, 3) and picture.dtype == np.uint8
    np.testing.assert_array_equal(picture[:, :7], before)
    np.testing.assert_array_equal(picture[:, -7:], after)
    assert len(np.unique(picture[:, 7:-7])) == 1


def test_side_by_side_shows_the_mask_in_between():
    before, after = np.full((4, 6, 3), 200, np.uint8), np.full((4, 6, 3), 255, np.uint8)
    mask = np.zeros((4, 6), bool)
    mask[1, 2] = True
    picture = side_by_side(before, after, mask)
    assert picture.shape == (4, 18 + 2 * GAP, 3)
    middle = picture[:, 6 + GAP : 12 + GAP]
    np.testing.assert_array_equal(middle, tint(before, mask))
    assert (middle != before).any(2).sum() == 1


def test_tint_mixes_page_and_colour_in_halves_and_leaves_the_page():
    page = np.full((2, 2, 3), 255, np.uint8)
    mask = np.array([[True, False], [False, False]])
    shown = tint(page, mask)
    np.testing.assert_allclose(shown[0, 0], (255 + np.array(INK_COLOUR)) / 2, atol=1)
    assert (page == 255).all() and (shown[~mask] == 255).all()


def test_unequal_sizes_are_refused():
    with pytest.raises(ValueError, match="unequal"):
        side_by_side(np.zeros((4, 6, 3), np.uint8), np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(ValueError, match="mask"):
        tint(np.zeros((4, 6, 3), np.uint8), np.zeros((6, 4), bool))


def test_contact_sheet_lays_pictures_out_in_rows():
    sizes = [(10, 20, 10), (30, 20, 20), (5, 5, 30)]
    pictures = [np.full((height, width, 3), level, np.uint8) for height, width, level in sizes]
    sheet = contact_sheet(pictures, columns=2, width=20)
    assert sheet.shape == (30 + GAP + 20, 40 + GAP, 3)
    assert (sheet[:10, :20] == 10).all() and (sheet[:30, 20 + GAP :] == 20).all()
    assert (sheet[30 + GAP :, :20] == 30).all()
    background = sheet[0, 20]
    assert (sheet[10:30, :20] == background).all() and (sheet[30 + GAP :, 20:] == background).all()
