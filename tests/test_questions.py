"""Questions found on pages, and sheets of them."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from dehw.page import questions

SIZE = 30  # px, of the font
FONT = ImageFont.load_default(SIZE)


def printed(*texts, size=(1400, 1000), bold=()):
    """A page, (H, W, 3) uint8, with texts (x, y, words), and its lines as a layout has them. bold: such words."""
    image = Image.new("RGB", size[::-1], (235, 233, 230))
    pen, lines = ImageDraw.Draw(image), []
    for x, y, words in texts:
        pen.text((x, y), words, (40, 40, 40), FONT, stroke_width=int(words in bold))
        left, top, right, bottom = pen.textbbox((x, y), words, FONT)
        lines.append(((left + right) / 2, (top + bottom) / 2, right - left + 12, 1.5 * (bottom - top), 0))
    return np.array(image), np.array(lines, np.float32)


def holds(box, x, y):
    return box[0] <= x <= box[2] and box[1] <= y + 8 and y + SIZE <= box[3]  # letters begin lower


@pytest.mark.parametrize(
    ("words", "is_one"),
    [("1. How long", True), ("12. Where", True), ("108, a", True), ("How 1. long", False), ("(1) so", False),
     ("2024 was", False), ("Read it. So", False), ("- 3. no", False), ("", False)],
)  # fmt: skip
def test_numbers_are_told_by_their_look(words, is_one):
    page, lines = printed((100, 100, words or " "))
    assert len(questions.find(page, lines)) == is_one


def test_a_question_reaches_from_its_number_to_the_next_one():
    texts = [(300, 60, "A test of many things"), (100, 200, "1. How long is it?"), (150, 260, "A. a metre"),
             (500, 260, "B. a mile"), (100, 400, "2. Where did they"), (100, 460, "go in the end?"),
             (100, 700, "10. Who was it?")]  # fmt: skip
    page, lines = printed(*texts)
    page[760:900, 150:400] = 90  # a figure
    found = questions.find(page, lines)
    inside = [[words for x, y, words in texts if holds(box, x, y)] for box in found]
    assert [[words.split()[0] for words in each] for each in inside] == [["1.", "A.", "B."], ["2.", "go"], ["10."]]
    assert 900 <= found[2][3] <= 930, "its figure, and no empty paper"
    assert found[0][2] < 760


def test_the_heading_of_the_next_section_ends_a_question():
    texts = [(100, 60, "Part I"), (100, 140, "1. How long is it?"), (100, 200, "Where did they go?"),
             (150, 260, "A. home"), (100, 340, "Part II"), (100, 400, "Read this and answer."),
             (100, 480, "11. Who was it?"), (150, 540, "Part of it")]  # fmt: skip
    page, lines = printed(*texts, bold=("Part I", "Part II", "Part of it"))
    page = np.random.default_rng(0).normal(page, 4).clip(0, 255).astype(np.uint8)  # as photos have it
    found = questions.find(page, lines)
    inside = [[words for x, y, words in texts if holds(box, x, y)] for box in found]
    plain = [words for _, _, words in texts]
    assert inside == [plain[1:4], plain[6:]], "indented lines belong to the question, however bold"
    whole = questions.find(*printed(*texts))
    assert [sum(holds(box, x, y) for x, y, _ in texts) for box in whole] == [5, 2], "nothing heads a section"
    numbered = tuple(words for words in plain if words[0] == "1")
    assert questions.find(*printed(*texts, bold=("Part II", *numbered)))[0][3] > 380, "it is as bold as all others"


def test_columns_come_one_after_the_other():
    left = [(60, 100 + 200 * each, f"{each + 1}. What is this?") for each in range(4)]
    right = [(560, 130 + 200 * each, f"{each + 5}. What is that?") for each in range(4)]
    found = questions.find(*printed(*left, *right))
    assert len(found) == 8
    assert all(holds(box, x, y) for box, (x, y, _) in zip(found, left + right))


def test_options_beside_each_other_are_no_columns():
    rows = [(60, 100 + 200 * each, f"{each + 1}. What?") for each in range(4)]
    options = [(x, 160 + 200 * row, f"{a}. so") for row in range(4) for x, a in ((100, "A"), (350, "B"), (620, "C"))]
    found = questions.find(*printed(*rows, *options))
    assert len(found) == 4
    assert all(holds(found[row], 620, 160 + 200 * row) for row in range(4))


def test_a_page_without_numbers_has_none():
    assert questions.find(*printed((100, 100, "Once there was"), (100, 160, "a king"))) == []
    assert questions.find(np.full((50, 40, 3), 255, np.uint8), np.zeros((0, 5), np.float32)) == []


def test_cuts_have_one_scale_and_fit_on_a_sheet():
    page = np.full((1400, 1000, 3), 255, np.uint8)
    width = questions.A4[1] - 2 * questions.EDGE
    assert questions.cut(page, (0, 0, 1000, 100)).shape == (round(100 * width / 1000), width, 3)
    assert questions.cut(page, (200, 0, 700, 100)).shape[1] == width // 2
    tall = questions.cut(np.full((5000, 1000, 3), 255, np.uint8), (0, 0, 1000, 5000))
    assert tall.shape[0] <= questions.A4[0] - 2 * questions.EDGE


def test_sheets_hold_each_question_once_in_order_with_space_below():
    greys = [10 * (each + 1) for each in range(9)]
    heights = [80, 700, 300, 60, 60, 1200, 60, 2000, 60]
    cuts = [np.full((height, 900, 3), grey, np.uint8) for height, grey in zip(heights, greys)]
    seen = []
    for sheet in questions.sheets(cuts):
        assert sheet.shape == (*questions.A4, 3)
        column = sheet[:, questions.EDGE + 5, 0]
        edges = np.flatnonzero(np.diff(column.astype(int), prepend=255, append=255))
        spans = list(zip(edges[:-1], edges[1:]))
        for top, bottom in spans[::2]:
            seen.append((column[top], bottom - top))
        for (_, bottom), (top, _) in zip(spans[::2], spans[2::2]):
            assert top - bottom >= questions.SPACE
        assert column[-questions.EDGE :].min() == 255
    assert seen == list(zip(greys, heights))
    assert list(questions.sheets([])) == []
