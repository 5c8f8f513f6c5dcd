"""Photos of sheets: the sheet found, laid flat and whitened. Truth comes from the pose that the photo was made by."""

import cv2
import numpy as np
import pytest
from drawn import print_page
from erasers import constant, dark, eraser_with
from PIL import Image

from dehw.data.synth.camera.pose import posed
from dehw.errors import InputError
from dehw.page.layout import Reader
from dehw.page.scan import baselines, papers
from dehw.page.scan.find import Quad, completed, find
from dehw.page.scan.straighten import straighten
from dehw.page.scan.trace import trace
from dehw.page.scan.warp import laid
from dehw.page.scan.whiten import SHARP, sharpen, whiten

SIZE = (800, 600)
NO_TEXT = np.zeros((0, 5), np.float32)
DESKS = {"dark": 60, "light": 190, "planks": None}


def sheet():
    return cv2.resize(print_page(height=24, size=(1414, 1000)), (500, 707), interpolation=cv2.INTER_AREA)


def photo_of(page, pose, desk="dark"):
    """A photo of a sheet on a desk, in light that falls off to one side."""
    height, width = SIZE
    level = DESKS[desk]
    ground = (
        np.full((*SIZE, 3), 255.0) * (0.35 + 0.15 * (np.arange(width) // 70 % 2))[:, None] if level is None else level
    )
    where = ((pose.maps(*SIZE) + (0.5, pose.ratio / 2)) * page.shape[1] - 0.5).astype(np.float32)
    on = cv2.remap(np.ones(page.shape[:2], np.float32), where, None, cv2.INTER_LINEAR)[..., None]
    shown = cv2.remap(page, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) * 0.9
    image = (shown * on + ground * (1 - on)) * np.linspace(1, 0.7, width)[:, None]
    return cv2.GaussianBlur(image + np.random.default_rng(0).normal(0, 2, image.shape), (0, 0), 0.7).astype(np.uint8)


def pose_of(turn=6.0, lean=12.0, curl=0.02, seed=1):
    return posed(np.random.default_rng(seed), SIZE, 707 / 500, turn, lean, curl)


def test_a_pose_knows_the_way_there_and_back():
    pose = pose_of(15, 20, 0.03)
    points = np.mgrid[-0.5:0.5:9j, -0.7:0.7:9j].transpose(1, 2, 0)
    np.testing.assert_allclose(pose.shown(pose.seen(points)), points, atol=1e-3)
    assert (pose.corners > 0).all() and (pose.corners < SIZE[::-1]).all()


@pytest.mark.parametrize("desk", DESKS)
@pytest.mark.parametrize("turn, lean, curl", [(-14.0, 0.0, 0.0), (5.0, 20.0, 0.01), (10.0, -12.0, 0.03)])
def test_the_corners_of_a_sheet_are_found(desk, turn, lean, curl):
    pose = pose_of(turn, lean, curl)
    photo = photo_of(sheet(), pose, desk)
    quad = find(photo, NO_TEXT)
    assert quad and all(quad.seen)
    corners = trace(photo, quad).corners
    side = np.linalg.norm(pose.corners[0] - pose.corners[1])
    assert np.linalg.norm(corners - pose.corners, axis=1).max() < 0.01 * side


def test_a_corner_that_straight_lines_miss_is_traced():
    pose = pose_of(3, 8, 0.02)
    side = np.linalg.norm(pose.corners - np.roll(pose.corners, 1, axis=0), axis=1).mean()
    quad = Quad(pose.corners - np.array([[0, 0], [0, 0], [0.075 * side, 0], [0, 0]]), (True,) * 4, 1.0)
    corners = trace(photo_of(sheet(), pose), quad).corners
    assert np.linalg.norm(corners - pose.corners, axis=1).max() < 0.01 * side


def test_a_curled_sheet_is_laid_flat_in_its_proportions():
    pose = pose_of(8, 10, 0.015)
    found = straighten(photo_of(sheet(), pose))
    height, width = found.warp.size
    assert found.page.shape == (height, width, 3) and not found.warnings
    assert height / width == pytest.approx(2**0.5, rel=0.002)
    rows, columns = np.mgrid[0.03:0.97:20j, 0.03:0.97:20j]
    seen = pose.shown(found.warp.place(np.stack([columns * width, rows * height], 2)))[..., 1]
    assert np.ptp(seen, axis=1).max() < 0.01  # of the width; a line of print is 0.034 high


@pytest.mark.parametrize("page", [sheet(), np.full((300, 200, 3), 230, np.uint8), np.zeros((1, 1, 3), np.uint8)])
def test_a_page_that_fills_the_picture_stays_as_it_is(page):
    found = straighten(page)
    np.testing.assert_array_equal(found.page, page)
    assert found.outline is None and "no edge of a sheet" in found.warnings[0]


def test_text_that_a_rectangle_would_cut_off_is_kept():
    page = np.full((800, 600, 3), 240, np.uint8)
    page[150:650, 100:500] = 150  # a grey box, as clear as a sheet
    inside = find(page, NO_TEXT)
    assert inside and all(inside.seen)
    text = np.array([[300, y, 500, 20, 0] for y in range(60, 760, 40)], np.float32)  # runs out of it
    assert find(page, text) is None


def test_what_is_seen_of_a_cut_off_sheet_is_kept_whole():
    pose = pose_of(4, 10, 0)
    photo = photo_of(sheet(), pose)[:500]
    quad = find(photo, NO_TEXT)
    assert quad and quad.seen == (True, True, False, True)
    outline = trace(photo, completed(quad, photo.shape, NO_TEXT))
    points = np.mgrid[0.02:0.98:15j, 0.02:0.98:15j].reshape(2, -1).T  # of the sheet
    seen = pose.seen(points * (1, pose.ratio) - (0.5, pose.ratio / 2))
    seen = seen[(seen[:, 1] < 499) & (seen[:, 1] > 0)]
    assert (
        min(cv2.pointPolygonTest(outline.corners.astype(np.float32), tuple(map(float, each)), True) for each in seen)
        > -1
    )
    assert laid(outline, photo.shape)(photo).min(2).max() == 255 or outline.corners[:, 1].max() < 501


def test_without_edges_a_picture_is_turned_as_its_text_runs():
    slant = np.array([[300, y, 400, 20, 3.0] for y in range(100, 700, 50)], np.float32)
    turned = completed(None, SIZE, slant)
    top = turned.corners[1] - turned.corners[0]
    assert np.degrees(np.arctan2(top[1], top[0])) == pytest.approx(3, abs=0.01)
    frame = cv2.contourArea(turned.corners.astype(np.float32))
    assert frame > SIZE[0] * SIZE[1]  # nothing is cut off
    level = completed(None, SIZE, slant - (0, 0, 0, 0, 2.9))
    np.testing.assert_allclose(level.corners, [[-0.5, -0.5], [599.5, -0.5], [599.5, 799.5], [-0.5, 799.5]])


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_page_is_turned_as_numpy_turns_it(turns):
    photo = np.random.default_rng(0).integers(0, 255, (40, 64, 3), np.uint8)
    corners = np.array([[-0.5, -0.5], [63.5, -0.5], [63.5, 39.5], [-0.5, 39.5]])
    flat = laid(trace(photo, Quad(corners, (False,) * 4, 0)), photo.shape)
    np.testing.assert_array_equal(flat(photo), photo)
    np.testing.assert_array_equal(flat.turned(turns)(photo), np.rot90(photo, turns))


def test_lines_tell_how_a_page_is_bent():
    x = np.linspace(40, 560, 30)

    def low(x, y):
        return 6 * np.sin(x / 180) * (y / 800)

    lines = [np.stack([x, y + low(x, y)], 1) for y in range(80, 780, 50)]
    surface = baselines.fit(lines, (800, 600), True, False)
    for y in (200, 600):
        found = surface(2 * x / 600 - 1, np.full_like(x, 2 * y / 800 - 1))
        true = low(x, y)
        np.testing.assert_allclose(found - found.mean(), true - true.mean(), atol=0.6)
    assert baselines.fit(lines[:3], (800, 600), True, True) is None
    assert baselines.fit([line - (0, 1) * low(*line.T)[:, None] for line in lines], (800, 600), False, False) is None


def test_a_page_that_needs_no_turn_is_read_once():
    asked = []

    def lines(tile):
        asked.append(tile.copy())
        return np.zeros((1, 1, *tile.shape[2:]), np.float32)

    straighten(photo_of(sheet(), pose_of()), Reader(lines))
    assert len(asked) == 2 and not np.array_equal(*asked), "the photo, and the page"


def test_paper_becomes_white_and_print_and_figures_keep_their_colours():
    page = print_page(height=24, size=(1400, 1000))
    page[page == page.max()] = 255
    page[900:1100, 300:600] = (190, 40, 40)
    page[1150:1250, 300:600] = (235, 235, 120)
    light = np.linspace(0.5, 0.95, 1000)[:, None] * np.array([0.95, 0.9, 0.8])
    light = np.where((np.arange(1400) > 700)[:, None, None], light * 0.6, light)  # a hard shadow over the lower half
    photo = (page * light + np.random.default_rng(0).normal(0, 2, page.shape)).clip(0, 255).astype(np.uint8)
    whiten(photo)
    paper = cv2.erode((page.min(2) > 250).astype(np.uint8), np.ones((9, 9))) > 0
    paper[690:710] = False
    assert (photo.min(2)[paper] > 245).mean() > 0.97
    assert np.median(photo[page.max(2) < 60]) < 40
    red, green, blue = np.median(photo[950:1050, 350:550], axis=(0, 1))
    assert red > 2.5 * max(green, blue)
    yellow = np.median(photo[1175:1225, 350:550], axis=(0, 1))
    assert yellow[2] < 0.7 * yellow[:2].min()


def test_sharpening_in_bands_is_that_of_the_whole():
    page = print_page(height=24, size=(700, 300))
    blurred = cv2.GaussianBlur(page, (0, 0), 0.8)
    whole = cv2.addWeighted(page, 1 + SHARP, blurred, -SHARP, 0)
    sharpen(page)
    assert np.abs(page.astype(int) - whole).max() <= 1


@pytest.mark.parametrize(
    "shape, paper, inches", [((1400, 1000), "a4", (8.27, 11.69)), ((500, 900), "letter", (11, 8.5))]
)
def test_a_page_on_paper_has_its_size_and_margins(shape, paper, inches):
    placed, dpi = papers.on_paper(np.zeros((*shape, 3), np.uint8), paper)
    assert (placed.shape[1] / dpi, placed.shape[0] / dpi) == pytest.approx(inches, abs=0.01)
    rows, columns = np.nonzero(placed.min(2) == 0)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) == shape
    margins = rows.min(), placed.shape[0] - 1 - rows.max(), columns.min(), placed.shape[1] - 1 - columns.max()
    assert min(margins) / dpi * 25.4 == pytest.approx(papers.MARGIN, abs=0.3)
    with pytest.raises(InputError, match="too thin"):
        papers.on_paper(np.broadcast_to(np.uint8(0), (2000, 100, 3)), paper)
    with pytest.raises(InputError, match="choose one of a3"):
        papers.on_paper(placed, "napkin")


def test_an_eraser_scans_before_it_erases_and_whitens_after():
    photo = photo_of(sheet(), pose_of())
    eraser = eraser_with(constant(0.8), segmenter=dark, device="cpu")
    result = eraser(photo, scan=True, keep=[(0, 0, 20, 20)])
    assert result.straightened.outline and result.page.shape == result.straightened.page.shape
    assert result.mask.shape == result.page.shape[:2] and result.mask.any() and not result.mask[:20, :20].any()
    assert np.median(result.page) == 255
    assert np.percentile(result.straightened.page, 90) < 240  # still a photo
    transparent = Image.fromarray(np.dstack([photo, np.full(SIZE, 255, np.uint8)]))
    assert eraser(transparent, scan=True).page.size == result.page.shape[1::-1]
