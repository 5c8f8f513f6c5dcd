"""Made-up pages: what is written is in the mask, what is printed stays in the ground truth."""

import gc
from pathlib import Path

import cv2
import matplotlib
import numpy as np
import pytest
from fontTools import subset
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFont

from dehw.data.materials import InkBank, cut_ink, load_families
from dehw.data.synth.camera.photo import photograph
from dehw.data.synth.ink import pen
from dehw.data.synth.ink.writer import Pen
from dehw.data.synth.mix import load_mix
from dehw.data.synth.pages import make_page
from dehw.data.synth.printed.drawings import DRAWINGS, Place, qr_code
from dehw.data.synth.printed.fonts import system_fonts
from dehw.data.synth.printed.kinds import KINDS
from dehw.data.synth.printed.typeset import Typesetter
from dehw.data.synth.words import everyday_hanzi, sentence
from dehw.data.synth.worksheet import Printed, Worksheet
from dehw.errors import InputError

FONT_FOLDER = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
FONTS = {
    role: [str(FONT_FOLDER / "DejaVuSans.ttf")]
    for role in ("cjk", "latin", "cjk bold", "latin bold", "italic", "math", "mono")
}


MIX = load_mix()


@pytest.fixture(scope="module")
def printed() -> Printed:
    kind = KINDS["exam"]._replace(high=(30, 30), wide=(23, 23))
    return kind.typeset(np.random.default_rng(3), 14, FONTS)


def test_typeset_prints_dark_text_of_the_size_asked_for(printed):
    ink = (printed.page.min(axis=2) < 128).astype(np.uint8)
    heights = cv2.connectedComponentsWithStats(ink)[2][1:, cv2.CC_STAT_HEIGHT]
    assert printed.page.shape == (420, 322, 3) and 0.01 < ink.mean() < 0.3
    assert 5 <= np.median(heights) <= 18


def test_sentences_are_of_everyday_characters_and_seldom_twice_the_same():
    everyday = everyday_hanzi()
    assert len(set(everyday)) == 3755 and {"一", "的", "座"} < set(everyday) and "龘" not in everyday
    rng = np.random.default_rng(0)
    chinese, english = ({sentence(rng, language) for _ in range(200)} for language in (True, False))
    assert len(chinese) > 90 and len(english) > 90 and all(text.isascii() for text in english)


def test_page_is_reproducible_from_its_seed(printed):
    one, two = (make_page(np.random.default_rng(5), printed, InkBank(), 14, MIX) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, two))
    other = make_page(np.random.default_rng(6), printed, InkBank(), 14, MIX)
    assert not np.array_equal(one.image, other.image)


def test_handwriting_darkens_the_page_inside_the_mask_alone(printed):
    darker_inside = outside = inside = 0
    for seed in range(8):
        page = make_page(np.random.default_rng(seed), printed, InkBank(), 14, MIX)
        drop = page.gt.astype(int).mean(axis=2) - page.image.astype(int).mean(axis=2)
        far = ~cv2.dilate(page.mask.astype(np.uint8), np.ones((25, 25), np.uint8)).astype(bool)
        inside += page.mask.sum()
        darker_inside += (drop > 5)[page.mask].sum()
        outside = max(outside, np.abs(drop[far]).max(initial=0))
    assert inside > 500 and darker_inside / inside > 0.75
    assert outside < 40  # JPEG of two different pages alone


def test_ink_over_print_leaves_black_black():
    sheet = np.full((40, 40, 3), 255, np.uint8)
    sheet[:, 20:] = 0
    paper = Worksheet(sheet)
    paper.add(np.ones((10, 40), np.float32), np.float32([200, 0, 0]), (5, 0), 1.0)
    assert np.allclose(paper.page[10, 5], [200, 0, 0]) and np.allclose(paper.page[10, 30], 0)
    assert paper.mask[10].all() and not paper.mask[20].any()


def test_place_avoids_print_or_seeks_it():
    sheet = np.full((200, 200, 3), 255, np.uint8)
    sheet[:, 100:] = 0
    paper, rng = Worksheet(sheet), np.random.default_rng(0)
    for _ in range(20):
        free, over = paper.place(rng, (20, 20), False), paper.place(rng, (20, 20), True)
        assert free is None or free[1] + 20 <= 101
        assert over[1] > 60
    assert paper.place(rng, (300, 20), False) is None


@pytest.mark.parametrize("seed", range(6))
def test_marks_and_writing_are_opacities(seed):
    rng = np.random.default_rng(seed)
    for patch in (pen.mark(rng, 20, 2), pen.writing(rng, InkBank(), 20, 2)):
        assert patch.dtype == np.float32 and patch.ndim == 2
        assert 0 <= patch.min() and patch.max() <= 1 and patch.max() > 0.5


def test_draw_hits_the_points_with_the_width():
    line = pen.draw([np.float32([[0, 0], [60, 0]])], 4, np.random.default_rng(0))
    column = line[:, line.shape[1] // 2]
    assert 2.5 <= column.sum() <= 5.5


def test_glyph_strokes_are_written_with_a_bank():
    cross = [np.float32([[0, 0.5], [1, 0.5]]), np.float32([[0.5, 0], [0.5, 1]])]
    line = pen.glyph_line(np.random.default_rng(1), [cross] * 3, 30, 2)
    assert line.shape[1] > 1.5 * line.shape[0] > 30


def test_fonts_are_gathered_by_family_and_refused_where_missing(tmp_path):
    families = {family.name: family for family in load_families(FONT_FOLDER)}
    assert families["DejaVu Sans Book"].covers("Ab 12") and not families["DejaVu Sans Book"].covers("汉")
    fonts = [families["DejaVu Sans Book"]]
    assert pen.font_line(np.random.default_rng(0), fonts, "x = 2", 20).max() > 0.9
    assert pen.font_line(np.random.default_rng(0), fonts, "汉", 20) is None
    with pytest.raises(InputError, match="no font file"):
        load_families(tmp_path)
    with pytest.raises(InputError, match="cjk"):
        system_fonts(tmp_path)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux lists a process's open files there")
def test_fonts_are_closed_when_read():
    gc.collect()
    gc.disable()  # which would close them now and then
    try:
        before = len(list(Path("/proc/self/fd").iterdir()))
        load_families(FONT_FOLDER)
        assert len(list(Path("/proc/self/fd").iterdir())) <= before
    finally:
        gc.enable()


@pytest.fixture
def web_font(tmp_path) -> Path:
    """A folder with one WOFF2 font, which has the letters a, e and x."""
    pytest.importorskip("brotli")
    font = TTFont(FONT_FOLDER / "DejaVuSans.ttf")
    subsetter = subset.Subsetter()
    subsetter.populate(text="aex")
    subsetter.subset(font)
    font.flavor = "woff2"
    font.save(tmp_path / "hand.woff2")
    return tmp_path


def test_web_fonts_are_written_with(web_font):
    [family] = load_families(web_font)
    assert family.covers("axe") and not family.covers("b")
    letters = [family.font("e", 40), ImageFont.truetype(FONT_FOLDER / "DejaVuSans.ttf", 40)]
    drawn = [np.array(letter.getmask("e")) for letter in letters]
    np.testing.assert_array_equal(*drawn)
    assert pen.font_line(np.random.default_rng(0), [family], "axe", 20).max() > 0.9


def test_a_web_font_names_what_it_needs(web_font, monkeypatch):
    monkeypatch.setattr("fontTools.ttLib.woff2.haveBrotli", False)
    with pytest.raises(InputError, match="hand.woff2.*pip install brotli"):
        load_families(web_font)


def test_no_two_letters_of_a_hand_are_alike():
    fonts = [family for family in load_families(FONT_FOLDER) if family.name == "DejaVu Sans Book"]
    line = pen.font_line(np.random.default_rng(1), fonts, "l l l l l l", 40)
    letters = cv2.connectedComponentsWithStats((line > 0.5).astype(np.uint8))[2][1:]
    assert len(letters) == 6
    assert len({tuple(box[2:5]) for box in letters}) == 6  # type would give each the same width, height and area
    assert np.ptp(letters[:, cv2.CC_STAT_TOP]) > 2


def test_askew_keeps_a_letter_whole():
    letter = np.full((20, 40), 255, np.uint8)
    turned = pen.askew(letter, 5, 1.1)
    assert turned.shape == (30, 60) and not turned[0].any() and not turned[:, 0].any()
    assert turned.sum() / 255 == pytest.approx(20 * 40 * 1.1**2, rel=0.02)


def test_a_pencil_leaves_less_and_grainier_ink_than_gel():
    gel, pencil = (pen.pressure(np.random.default_rng(0), (30, 90), grain) for grain in (0, 1))
    assert (gel == 1).all()
    assert 0.2 < pencil.min() < pencil.mean() < 0.8 and pencil.std() > 0.05


def test_traces_of_a_pen_are_in_the_mask_however_faint():
    paper = Worksheet(np.full((40, 40, 3), 255, np.uint8))
    rng = np.random.default_rng(0)
    Pen.random(rng, "pencil").trace(rng, paper, np.ones((10, 40), np.float32), (5, 0))
    assert (paper.mask[5:15] == 1).all() and not paper.mask[20:].any()
    inked = paper.page[5:15].mean(axis=2)
    assert inked.max() < 230 and inked.std() > 2


def test_figures_carry_labels_and_parts_of_a_page_have_colours():
    sheet = Typesetter(np.random.default_rng(0), 400, 400, 20, FONTS)
    sheet.y = 100
    for _ in range(5):
        sheet.labels(100, 200)
    rows, columns = np.nonzero(np.array(sheet.image).min(axis=2) < 128)
    assert sheet.y == 100 and len(rows) > 200
    assert rows.min() > 60 and rows.max() < 330 and columns.min() > 50
    coloured = [colour for colour in (sheet.accent() for _ in range(500)) if colour]
    assert 25 < len(coloured) < 80 and all(np.ptp(colour) > 0 for colour in coloured)


def test_qr_codes_can_be_read():
    code = cv2.copyMakeBorder(qr_code(np.random.default_rng(0), 200), *[30] * 4, cv2.BORDER_CONSTANT, value=(255,) * 3)
    text = cv2.QRCodeDetector().detectAndDecode(code)[0]
    assert 8 <= len(text) < 60 and text.isalnum()


def test_boxes_are_closed_frames_within_the_margins():
    for seed in range(5):
        sheet = Typesetter(np.random.default_rng(seed), 800, 600, 20, FONTS)
        top = sheet.y
        sheet.boxes()
        paper = np.array(sheet.image).min(axis=2)[top : sheet.y] > 128
        stats = cv2.connectedComponentsWithStats(paper.astype(np.uint8))[2][1:]
        outside = stats[:, cv2.CC_STAT_AREA].argmax()
        inner = np.delete(stats, outside, axis=0)
        assert (inner[:, cv2.CC_STAT_WIDTH] > 20).any()  # room that nothing outside reaches
        assert (inner[:, cv2.CC_STAT_LEFT] + inner[:, cv2.CC_STAT_WIDTH] <= sheet.right).all()


def test_real_ink_is_cut_out_as_opacity():
    gt = np.full((80, 120, 3), 200, np.uint8)
    image, mask = gt.copy(), np.zeros((80, 120), bool)
    mask[20:40, 10:40] = True
    image[mask] = 50
    (piece,) = cut_ink(image, gt, mask, reach=5)
    assert piece.max() == pytest.approx(0.75) and np.count_nonzero(piece) == 600


def test_camera_moves_image_gt_and_mask_together():
    page = np.full((160, 160, 3), 255, np.uint8)
    page[60:90, 50:110] = 0
    mask = np.zeros((160, 160), np.float32)
    mask[60:90, 50:110] = 1
    for seed in range(12):
        image, gt, moved = photograph(np.random.default_rng(seed), page, page, mask, MIX.camera)
        assert np.abs(image.astype(int) - gt).max() == 0
        inside, outside = moved > 0.9, moved < 0.1
        assert image[inside].mean() + 30 < image[outside].mean()


def test_pencil_is_paler_than_ink():
    rng = np.random.default_rng(0)
    assert Pen.random(rng, "pencil").colour.mean() > Pen.random(rng, "black").colour.mean()


@pytest.mark.parametrize("draw", DRAWINGS, ids=lambda draw: draw.__name__)
@pytest.mark.parametrize("seed", range(4))
def test_a_drawing_is_as_high_as_it_says_and_begins_where_it_is_put(draw, seed):
    rng, em = np.random.default_rng(seed), 16
    image = Image.new("RGB", (700, 700), (255,) * 3)
    points = [(250 + int(a), 250 + int(b)) for a, b in rng.integers(0, 160, (4, 2))]
    height = draw(rng, Place(image, ImageDraw.Draw(image), 250, 250, 160, 2, em, (20,) * 3, points))
    rows = np.flatnonzero((np.asarray(image) < 255).any(axis=(1, 2)))
    assert len(rows) and rows[0] >= 250 - em and rows[-1] <= 250 + height + em
