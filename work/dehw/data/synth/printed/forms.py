"""Pages to be filled in by pen: answer sheets, ballots, forms, receipts, letter grids, and paper without print.

Each function fills the page of a Typesetter and says where its fields are.
"""

from __future__ import annotations

import string

import numpy as np

from dehw.data.synth.printed.drawings import Ink
from dehw.data.synth.printed.scripts import rule
from dehw.data.synth.printed.typeset import Typesetter
from dehw.data.synth.words import everyday_hanzi, nonsense, sentence, words

LABELS = (
    "Name",
    "Date",
    "Signature",
    "Address",
    "Phone",
    "Class",
    "Total",
    "No.",
    "Amount",
    "City",
    "Email",
    "Remarks",
)
HANZI_LABELS = ("姓名", "日期", "签名", "地址", "电话", "班级", "金额", "学号", "性别", "备注", "单位", "审核")
SIGNS = tuple(string.digits + string.digits + string.ascii_uppercase)
OPTIONS = ("ABCD", "ABCDE", "TF", "1234567890", "对错", "ABCDEFG", "   ", "①②③④")


def answer_sheet(sheet: Typesetter) -> None:
    """Questions with ovals to fill, columns of digits for a number, boxes for a name, marks for a machine's timing."""
    rng = sheet.rng
    ink = (int(rng.integers(0, 70)),) * 3 if rng.random() < 0.5 else sheet.colour()
    sheet.title()
    if rng.random() < 0.6:
        comb(sheet, int(rng.integers(5, 16)), ink)
    if rng.random() < 0.5:
        _number(sheet, ink)
    shape, options = _oval_shape(sheet), str(rng.choice(OPTIONS))
    wide = sheet.size * rng.uniform(1.0, 1.7)
    column = sheet.size * 2.5 + len(options) * wide * 1.25 + sheet.size
    columns = max(1, int((sheet.right - sheet.left) / column))
    top, pitch = sheet.y, sheet.size * rng.uniform(1.35, 2.0)
    rows = int(rng.uniform(0.4, 1) * (sheet.image.height - top - 3 * sheet.size) / pitch)
    for number in range(rows * columns if rows > 0 else 0):
        x, sheet.y = sheet.left + number // rows * column, round(top + number % rows * pitch)
        sheet.text(x, str(number + 1), "latin", 0.8, ink)
        for place, letter in enumerate(options):
            oval(sheet, x + 2.2 * sheet.size + place * wide * 1.25, wide, shape, letter, number, ink)
    if rng.random() < 0.6:
        _timing(sheet)


def oval(sheet: Typesetter, x: float, wide: float, shape: str, letter: str, group: int, ink: Ink) -> None:
    """One place to mark on the current line, `wide` px wide, with a letter in it."""
    high = wide * (1.0 if shape in ("circle", "box") else 0.62)
    top = sheet.y + (sheet.size - high) / 2
    if shape == "bracket":
        for text, at in (("[", x), ("]", x + wide * 0.75)):
            sheet.text(at, text, "latin", 1.0, ink)
    else:
        sheet.box(x, top, wide, high, ink, "rectangle" if shape in ("box", "flat box") else "ellipse")
    font = sheet.font("cjk", 0.65 * high / sheet.size + 0.1)
    sheet.pen.text((x + wide / 2, top + high / 2), letter, font=font, fill=ink, anchor="mm")
    sheet.field("ovals", x, top, wide, high, group)


def _oval_shape(sheet: Typesetter) -> str:
    return str(sheet.rng.choice(["oval", "circle", "box", "flat box", "bracket"], p=[0.35, 0.25, 0.15, 0.15, 0.1]))


def _number(sheet: Typesetter, ink: Ink) -> None:
    """A number of some digits to be marked in columns of ovals from 0 to 9, with boxes over them."""
    top, count = sheet.y, int(sheet.rng.integers(4, 10))
    step, shape = sheet.size * 1.5, _oval_shape(sheet)
    for place in range(count):
        x = sheet.left + place * step * 1.1
        sheet.y = top
        sheet.box(x, top, step, 1.3 * sheet.size, ink)
        sheet.field("cells", x, top, step, 1.3 * sheet.size, -1)
        for digit in string.digits:
            sheet.y += round(1.4 * sheet.size)
            oval(sheet, x + 0.15 * step, 0.7 * step, shape, digit, -2 - place, ink)
    sheet.y = top
    sheet.feed(10.5)


def _timing(sheet: Typesetter) -> None:
    """Black bars along an edge and squares in the corners, by which a machine finds its way."""
    width, height = sheet.image.size
    bar = sheet.size * 0.9
    for y in np.arange(bar * 2, height - bar * 2, sheet.size * sheet.rng.uniform(1.4, 3)):
        sheet.pen.rectangle([bar * 0.4, y, bar * 1.2, y + bar * 0.4], fill=(10,) * 3)
    for x, y in ((bar, bar), (width - 2 * bar, bar), (bar, height - 2 * bar), (width - 2 * bar, height - 2 * bar)):
        sheet.pen.rectangle([x, y, x + bar, y + bar], fill=(10,) * 3)


def ballot(sheet: Typesetter) -> None:
    """Columns of contests, each with names beside ovals or boxes and rules between them."""
    rng = sheet.rng
    sheet.title()
    top, columns = sheet.y, int(rng.integers(1, 4))
    step, shape, behind = (sheet.right - sheet.left) / columns, _oval_shape(sheet), rng.random() < 0.3
    ink, group = (int(rng.integers(0, 50)),) * 3, 0
    for column in range(columns):
        left, sheet.y = sheet.left + column * step, top
        while sheet.y < sheet.image.height - 9 * sheet.size:
            sheet.text(left, sentence(rng, False)[: int(1.6 * step / sheet.size)], "latin bold", 1.0, ink)
            sheet.feed(1.2)
            group += 1
            for _ in range(int(rng.integers(2, 6))):
                name = f"{nonsense(rng).capitalize()} {nonsense(rng).capitalize()}"
                x = left + (step - 3 * sheet.size if behind else 0.3 * sheet.size)
                oval(sheet, x, 1.4 * sheet.size, shape, "", group, ink)
                start = left + (0.3 if behind else 2.2) * sheet.size
                sheet.text(start, name[: int(step / sheet.size)], "latin", 1.0, ink)
                sheet.feed(1.0)
                sheet.pen.line([left, sheet.y - 3, left + 0.95 * step, sheet.y - 3], fill=(150,) * 3)
            sheet.feed(0.8)


def comb(sheet: Typesetter, count: int, ink: Ink) -> None:
    """A label and a row of boxes for a letter each, apart or in one frame, or with ticks alone between them."""
    rng = sheet.rng
    x = sheet.text(sheet.left, str(rng.choice(LABELS)) + "  ", "latin", 1.0, ink)
    wide, high, top = (sheet.size * n for n in (rng.uniform(1.2, 1.7), rng.uniform(1.3, 1.8), 0))
    apart, group = rng.choice([1.0, 1.0, 1.25]), int(rng.integers(1, 10**6))
    top = sheet.y - 0.2 * sheet.size
    count = max(1, min(count, int((sheet.right - x) / (wide * apart))))
    open_above = rng.random() < 0.25
    for place in range(count):
        left = x + place * wide * apart
        if open_above:
            sheet.pen.line([left, top + 0.6 * high, left, top + high, left + wide, top + high], fill=ink)
        else:
            sheet.box(left, top, wide, high, ink)
        sheet.field("cells", left, top, wide, high, group)
    sheet.feed(1.6)


def form(sheet: Typesetter) -> None:
    """A form: labels with lines or boxes behind them, combs, boxes to tick, a table, a place to sign."""
    rng = sheet.rng
    ink = (int(rng.integers(0, 60)),) * 3 if rng.random() < 0.7 else sheet.colour()
    labels = HANZI_LABELS if rng.random() < 0.35 else LABELS
    sheet.title()
    parts = (_labelled, _ticks, _frames, lambda s, i, n: comb(s, int(s.rng.integers(4, 18)), i), _form_table)
    while sheet.y < sheet.image.height - 8 * sheet.size:
        parts[rng.choice(len(parts), p=[0.4, 0.15, 0.2, 0.15, 0.1])](sheet, ink, labels)
        if rng.random() < 0.2:
            sheet.text(sheet.left, sentence(rng, labels is HANZI_LABELS), "cjk", 0.8, ink)
            sheet.feed()
    end = sheet.text(sheet.left, labels[2] + ": ", "cjk", 1.0, ink)
    rule(sheet, end, (end + sheet.right) / 2)


def _labelled(sheet: Typesetter, ink: Ink, labels: tuple[str, ...]) -> None:
    """One to three labels on a line, each with a rule behind it."""
    columns = int(sheet.rng.integers(1, 4))
    step = (sheet.right - sheet.left) / columns
    for column in range(columns):
        left = sheet.left + column * step
        end = sheet.text(left, str(sheet.rng.choice(labels)) + ": ", "cjk", 1.0, ink)
        rule(sheet, end, max(end + sheet.size, left + 0.95 * step))
    sheet.feed(1.4)


def _ticks(sheet: Typesetter, ink: Ink, labels: tuple[str, ...]) -> None:
    """Boxes to tick, with words behind them."""
    x, group, shape = float(sheet.left), int(sheet.rng.integers(10**6)), str(sheet.rng.choice(["box", "circle"]))
    while x < sheet.right - 7 * sheet.size:
        oval(sheet, x, 0.9 * sheet.size, shape, "", group, ink)
        x = sheet.text(x + 1.3 * sheet.size, nonsense(sheet.rng), "latin", 1.0, ink) + sheet.size
    sheet.feed(1.2)


def _frames(sheet: Typesetter, ink: Ink, labels: tuple[str, ...]) -> None:
    """Frames side by side with a small label in the corner of each."""
    columns, high = int(sheet.rng.integers(1, 5)), sheet.size * sheet.rng.uniform(2, 3)
    step = (sheet.right - sheet.left) / columns
    tint = tuple(int(n) for n in sheet.rng.integers(215, 256, 3)) if sheet.rng.random() < 0.3 else None
    for column in range(columns):
        x = sheet.left + column * step
        if tint:
            sheet.pen.rectangle([x, sheet.y, x + step, sheet.y + high], fill=tint)
        sheet.box(x, sheet.y, step, high, ink)
        sheet.text(x + 3, str(sheet.rng.choice(labels)), "cjk", 0.6, ink)
        sheet.field("lines", x + 0.3 * sheet.size, sheet.y + 0.7 * sheet.size, step - sheet.size, high - sheet.size)
    sheet.y += round(high)
    sheet.feed(0.4)


def _form_table(sheet: Typesetter, ink: Ink, labels: tuple[str, ...]) -> None:
    """A table with a head, its cells for numbers and words."""
    rows, columns = int(sheet.rng.integers(3, 8)), int(sheet.rng.integers(2, 6))
    step, high = (sheet.right - sheet.left) / columns, sheet.size * sheet.rng.uniform(1.5, 2.2)
    for row in range(rows):
        for column in range(columns):
            x = sheet.left + column * step
            sheet.box(x, sheet.y, step, high, ink)
            if row == 0 or column == 0 and sheet.rng.random() < 0.5:
                sheet.text(x + 4, str(sheet.rng.choice(labels)), "cjk", 0.85, ink)
            else:
                kind = str(sheet.rng.choice(["amounts", "lines"]))
                sheet.field(kind, x + 3, sheet.y + 0.15 * high, step - 6, 0.7 * high)
        sheet.y += round(high)
    sheet.feed(0.6)


def receipt(sheet: Typesetter) -> None:
    """A till receipt with prices; at its end lines for a tip, a sum and a name."""
    rng = sheet.rng
    role = str(rng.choice(["mono", "mono", "latin"]))
    sheet.faces[role] = str(rng.choice(sheet.fonts[role]))
    for _ in range(int(rng.integers(1, 4))):
        text = sentence(rng, rng.random() < 0.3)[:18].upper()
        x = (sheet.left + sheet.right - sheet.font("cjk", 1.2).getlength(text)) / 2
        sheet.text(max(2, x), text, "cjk", 1.2)
        sheet.feed()
    while sheet.y < sheet.image.height - 11 * sheet.size:
        price = f"{rng.integers(0, 200)}.{rng.integers(100):02d}"
        sheet.text(sheet.left, f"{rng.integers(1, 9)} {nonsense(rng)} {nonsense(rng)}"[:16].upper(), role)
        sheet.text(sheet.right - sheet.font(role).getlength(price), price, role)
        sheet.feed(0.85)
        if rng.random() < 0.12:
            sheet.text(sheet.left, "-" * int((sheet.right - sheet.left) / sheet.font(role).getlength("-")), role)
            sheet.feed(0.85)
    for label in rng.permutation(["TIP", "TOTAL", "CASH", "SIGN X", "DATE", "TABLE"])[: rng.integers(1, 5)]:
        end = sheet.text(sheet.left, f"{label} ", role, 1.1)
        rule(sheet, end, sheet.right, "amounts" if label in ("TIP", "TOTAL", "CASH") else "lines")
        sheet.feed(1.2)


def letter_grid(sheet: Typesetter) -> None:
    """Squares for a letter each: a crossword, a square of numbers, a table of names, rows of words to spell."""
    rng = sheet.rng
    sheet.title()
    side, ink = sheet.size * rng.uniform(1.4, 2.4), (int(rng.integers(0, 60)),) * 3
    given, black = rng.choice([0.0, 0.3]), rng.choice([0.0, 0.0, 0.25])
    while sheet.y < sheet.image.height - 5 * side:
        columns = int(rng.integers(5, max(6, round((sheet.right - sheet.left) / side))))
        for _ in range(int(min(rng.integers(1, 12), (sheet.image.height - sheet.y) / side - 1))):
            line = given if rng.random() < 0.8 else 1.0  # some rows are printed, such as the values of places
            role = str(rng.choice(["latin", "latin bold"]))
            for column in range(columns):
                x = sheet.left + column * side
                if rng.random() < black:
                    sheet.pen.rectangle([x, sheet.y, x + side, sheet.y + side], fill=ink)
                    continue
                sheet.box(x, sheet.y, side, side, ink)
                if rng.random() < line:
                    sheet.text(x + 0.3 * side, str(rng.choice(SIGNS)), role, 0.6 * side / sheet.size, ink)
                else:
                    sheet.field("cells", x, sheet.y, side, side, sheet.y)
                if black and rng.random() < 0.3:
                    sheet.text(x + 1, str(rng.integers(1, 60)), "latin", 0.45, ink)
            sheet.y += round(side)
        sheet.feed(0.8)
        sheet.text(sheet.left, sentence(rng, rng.random() < 0.5), "cjk")
        sheet.feed(1.4)


def loose(sheet: Typesetter) -> None:
    """Paper to write on: plain, ruled, squared, by the millimetre, four lines, squares for characters.

    Most has no print; on some a heading or a task stands at its head.
    """
    rng = sheet.rng
    width, height = sheet.image.size
    pitch = sheet.size * rng.uniform(1.5, 2.2)
    ink = tuple(int(n) for n in rng.choice([[150, 170, 215], [190, 190, 190], [225, 160, 160], [150, 195, 170]]))
    ink = tuple(int(np.clip(n + rng.normal(0, 15), 60, 235)) for n in ink)
    margin = rng.choice([0, 0.08, 0.15]) * width
    RULINGS[rng.choice(len(RULINGS), p=RULINGS_OFTEN)](sheet, pitch, ink)
    if margin and rng.random() < 0.5:
        sheet.pen.line([margin, 0, margin, height], fill=(220, 120, 120))
    first = rng.choice([0, pitch * 2])
    if not sheet.fields:
        if rng.random() < HEADED:
            for _ in range(int(rng.integers(1, 7))):
                (Typesetter.heading, Typesetter.question, Typesetter.formula)[rng.integers(3)](sheet)
            first = sheet.y
        for y in np.arange(first + pitch * 0.15, height - pitch, pitch):
            sheet.field("notes", margin + 0.5 * pitch, y, width - margin - pitch, pitch)


def plain(sheet: Typesetter, pitch: float, ink: Ink) -> None:
    """No lines at all."""


def ruled(sheet: Typesetter, pitch: float, ink: Ink) -> None:
    """Level lines."""
    for y in np.arange(pitch, sheet.image.height, pitch):
        sheet.pen.line([0, y, sheet.image.width, y], fill=ink)


def squared(sheet: Typesetter, pitch: float, ink: Ink) -> None:
    """Squares, half as wide as a line of writing is high, or all of it."""
    step = pitch * sheet.rng.choice([0.5, 1.0])
    ruled(sheet, step, ink)
    for x in np.arange(step, sheet.image.width, step):
        sheet.pen.line([x, 0, x, sheet.image.height], fill=ink)


def millimetre(sheet: Typesetter, pitch: float, ink: Ink) -> None:
    """Fine squares, every fifth line darker."""
    step = max(4.0, pitch / 5)
    for axis, side in enumerate(sheet.image.size):
        for number, at in enumerate(np.arange(0, side, step)):
            line = [at, 0, at, sheet.image.height] if axis == 0 else [0, at, sheet.image.width, at]
            sheet.pen.line(line, fill=ink if number % 5 == 0 else tuple(235 - (235 - c) // 3 for c in ink))


def four_lines(sheet: Typesetter, pitch: float, ink: Ink) -> None:
    """Groups of four lines, for the first letters or pinyin."""
    for y in np.arange(pitch, sheet.image.height - pitch, 1.5 * pitch):
        sheet.four_lines(0, sheet.image.width, y, pitch, ink)
        sheet.field("notes", 0.5 * pitch, y, sheet.image.width - pitch, pitch)


def characters(sheet: Typesetter, pitch: float, ink: Ink) -> None:
    """Squares for a character each (tian-zi-ge), crossed by dashes or not, now and then with a printed model."""
    side, cross = 1.3 * pitch, sheet.rng.random() < 0.7
    for row, y in enumerate(np.arange(side, sheet.image.height - side, side * sheet.rng.choice([1, 1.35]))):
        for x in np.arange(side / 2, sheet.image.width - side, side):
            sheet.box(x, y, side, side, ink)
            if cross:
                sheet.cross(x, y, side, ink)
            if sheet.rng.random() < 0.06:
                role = "kai" if "kai" in sheet.fonts else "cjk"
                letter = str(sheet.rng.choice(everyday_hanzi()))
                sheet.pen.text((x + side / 2, y + side / 2), letter, font=sheet.font(role, 1.3), fill=ink, anchor="mm")
            else:
                sheet.field("cells", x, y, side, side, row)


RULINGS = (plain, ruled, squared, millimetre, four_lines, characters)
HEADED = 0.4  # of papers
RULINGS_OFTEN = (0.25, 0.28, 0.17, 0.08, 0.08, 0.14)


def quiz(sheet: Typesetter) -> None:
    """Columns of small sums and statements to judge, with little else."""
    sheet.title()
    while sheet.y < sheet.image.height - 12 * sheet.size:
        (Typesetter.sums, Typesetter.brackets)[sheet.rng.integers(2)](sheet)
        if sheet.rng.random() < 0.3:
            sheet.text(sheet.left, str(sheet.rng.choice(words("chinese"))), "cjk bold", 1.2)
            sheet.feed(1.3)
