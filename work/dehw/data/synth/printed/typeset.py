"""The printed side of made-up pages: exam sheets typeset from fonts."""

from __future__ import annotations

import string

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dehw.data.materials import characters, open_font
from dehw.data.synth.ink.blanks import Room
from dehw.data.synth.printed.drawings import DRAWINGS, Ink, Place
from dehw.data.synth.printed.fonts import legible
from dehw.data.synth.printed.formulas import FACES, formula
from dehw.data.synth.words import everyday_hanzi, nonsense, sentence, words
from dehw.data.synth.worksheet import Field, Printed

VOWELS = "aāáǎàoōóǒòeēéěèiīíǐìuūúǔù"  # of pinyin
NUMERATORS, DENOMINATORS = ("x+1", "1", "dy", "n", "2ab"), ("2", "dx", "x²−1", "n!", "c")
BLANKS = ("（    ）", "________", "(      )", "□", "______ ", "○", "【   】")
PICTURES = range(0x1F300, 0x1FA00)  # code points of Unicode's pictures
CELLS = ("得分", "题号", "x", "10", "3.5", "总分", "评卷人", "y", "一", "二", "甲")


class Typesetter:
    """A white page being typeset from top to bottom.

    height, width: px. print_height: px of a printed character. fonts: printing fonts by role, see fonts.PATTERNS.
    """

    def __init__(
        self, rng: np.random.Generator, height: int, width: int, print_height: float, fonts: dict[str, list[str]]
    ):
        self.rng, self.size, self.fonts = rng, max(7, round(print_height * 1.1)), fonts
        self.image = Image.new("RGB", (width, height), "white")
        self.pen = ImageDraw.Draw(self.image)
        self.left = int(width * rng.uniform(0.05, 0.12))
        self.right = width - self.left
        self.y = int(height * rng.uniform(0.03, 0.08))
        self.faces = {role: str(rng.choice(fonts[role])) for role in ("cjk", "latin", "cjk bold", "latin bold")}
        self.tint = self.colour() if rng.random() < 0.06 else None  # some sheets are printed in blue or green
        self.fields: list[Field] = []

    def font(self, role: str, factor: float = 1.0) -> ImageFont.FreeTypeFont:
        path = self.faces.get(role) or str(self.rng.choice(self.fonts[role]))
        return open_font(path, max(6, round(self.size * factor)))

    def text(self, x: float, text: str, role: str, factor: float = 1.0, fill: Ink | None = None) -> float:
        """Print text at x on the current line; returns where it ends."""
        font = self.font(role, factor)
        text = legible(font, text)
        self.pen.text((x, self.y), text, font=font, fill=fill or self.tint or (int(self.rng.integers(0, 50)),) * 3)
        return x + font.getlength(text)

    def field(self, kind: str, x: float, y: float, w: float, h: float, group: int = 0) -> None:
        """Say that a box of the page, in px, is meant to be written in."""
        self.fields.append(Field(kind, Room(round(x), round(y), round(w), round(h)), group))

    def box(self, x: float, y: float, w: float, h: float, fill: Ink, shape: str = "rectangle") -> None:
        """Draw the outline of a "rectangle" or an "ellipse"."""
        draw = getattr(self.pen, shape)
        draw([x, y, x + w, y + h], outline=fill, width=max(1, round(self.size * 0.06)))

    def cross(self, x: float, y: float, side: float, fill: Ink) -> None:
        """Dashes through the middle of a square, level and upright, as for characters."""
        for dash in np.arange(0, side, 5):
            self.pen.line([x + dash, y + side / 2, x + dash + 2, y + side / 2], fill=fill)
            self.pen.line([x + side / 2, y + dash, x + side / 2, y + dash + 2], fill=fill)

    def four_lines(self, left: float, right: float, y: float, high: float, fill: Ink) -> None:
        """Four level lines from y down, for the first letters or pinyin."""
        for line in range(4):
            self.pen.line([left, y + line * high / 3, right, y + line * high / 3], fill=fill)

    def printed(self) -> Printed:
        """The page as it is, with the fields that lie wholly on it."""
        return Printed(np.array(self.image), self.fields).window(Room(0, 0, *self.image.size))

    def colour(self) -> Ink:
        """A colour to print with: a strong one."""
        return tuple(int(c) for c in self.rng.permutation([self.rng.integers(0, 90), *self.rng.integers(0, 230, 2)]))

    def accent(self) -> Ink | None:
        """What a part of the page is printed in: now and then a colour of its own."""
        if self.rng.random() > 0.1:
            return None
        return self.colour() if self.rng.random() < 0.6 else (30, int(self.rng.integers(30, 110)), 200)

    def feed(self, lines: float = 1.0) -> None:
        self.y += int(self.size * self.rng.uniform(1.35, 1.9) * lines)

    # the elements of an exam page -----------------------------------------------------------------------------------

    def title(self) -> None:
        own = sentence(self.rng, self.rng.random() < 0.6).strip(".")
        text = str(self.rng.choice(words("titles"))) if self.rng.random() < 0.4 else own
        role, factor = ("cjk" if not text.isascii() else "latin"), self.rng.uniform(1.2, 2.2)
        role += " bold" if self.rng.random() < 0.6 else ""
        width = self.font(role, factor).getlength(text)
        self.text(max(self.left, (self.left + self.right - width) / 2), text, role, factor)
        self.feed(1 + factor / 2)
        self.text(self.left, "姓名________  班级________  学号____________  得分______", "cjk")
        self.feed(1.5)

    def heading(self) -> None:
        """The title of a section, bold, with its points."""
        chinese = self.rng.random() < 0.6
        number = self.rng.choice(
            ["一、", "二、", "三、", "第三部分 "] if chinese else ["1. ", "2. ", "Part B: ", "IV. "]
        )
        points = self.rng.choice(["", "（10分）", "（每空2分，共16分）"] if chinese else ["", " (8 points)", " [20]"])
        text, factor = f"{number}{sentence(self.rng, chinese)}{points}", self.rng.uniform(1.0, 1.5)
        self.feed(self.rng.uniform(0, 0.6))
        self.text(self.left, text, "cjk bold" if chinese else "latin bold", factor, self.accent())
        self.feed(factor)

    def items(self) -> None:
        """Short questions in columns, each with a blank or more."""
        columns = int(self.rng.integers(1, 5))
        step = (self.right - self.left) / columns
        label, colour = self.rng.choice(["{}) ", "({}) ", "{}. ", ""]), self.accent()
        for i in range(columns * int(self.rng.integers(1, 4))):
            if i and i % columns == 0:
                self.feed(1.3)
            draw = {"n": self.rng.integers(100), "m": self.rng.integers(10), "w": nonsense(self.rng)}
            text = str(self.rng.choice(words("items"))).format(c=self.rng.choice(everyday_hanzi()), **draw)
            letters = max(5, int(step / self.size * (2 if text.isascii() else 1.3)))
            text = (label.format("abcdefghijkl"[i]) + text)[:letters]
            self.text(self.left + i % columns * step, text, "cjk", fill=colour)
        self.feed(1.4)

    def dictation(self) -> None:
        """Pinyin over brackets for the characters."""
        columns = int(self.rng.integers(3, 7))
        step = (self.right - self.left) / columns
        for i in range(columns):
            sounds = (
                "".join(self.rng.choice(list(part)) for part in (string.ascii_lowercase, VOWELS, "n ng")) for _ in "12"
            )
            self.text(self.left + i * step, " ".join(sounds), "latin")
        self.feed(1.1)
        for i in range(columns):
            self.text(self.left + i * step, "（" + "　" * int(self.rng.integers(1, 4)) + "）", "cjk")
        self.feed(1.3)

    def brackets(self) -> None:
        """Statements to be judged, each with brackets before or behind it for one letter."""
        chinese, first = self.rng.random() < 0.6, self.rng.random() < 0.4
        pair, room = ("（", "）") if chinese else ("(", ")"), "　　" if chinese else "      "
        role = "cjk" if chinese else "latin"
        for number in range(1, int(self.rng.integers(2, 6))):
            text = sentence(self.rng, chinese)[: int((self.right - self.left) / self.size) - 6]
            x = self.text(self.left, f"{number}. ", role)
            if not first:
                x = min(self.text(x, text, role) + self.size, self.right - 4 * self.size)
            start = self.text(x, pair[0], role)
            end = start + self.font(role).getlength(room)
            x = self.text(end, pair[1], role)
            self.field("brackets", start, self.y, end - start, self.size)
            if first:
                self.text(x, text, role)
            self.feed()

    def sums(self) -> None:
        """Columns of small sums, each with room for its result right behind the "="."""
        columns, role = int(self.rng.integers(2, 6)), str(self.rng.choice(["latin", "math", "cjk"]))
        step = (self.right - self.left) / columns
        most, signs = 10 ** int(self.rng.integers(1, 4)), list("+−×÷")[: self.rng.integers(1, 5)]
        for _ in range(int(self.rng.integers(2, 7))):
            for x in self.left + step * np.arange(columns):
                a, b = (int(n) for n in self.rng.integers(0, most, 2))
                end = self.text(x, f"{a} {self.rng.choice(signs)} {b} = ", role)
                if end < x + step - self.size:
                    self.field("amounts", end, self.y, x + step - end, self.size)
            self.feed(1.2)

    def question(self) -> None:
        number = self.rng.choice(["{}.", "({})", "{}、", "{})", "第{}题"]).format(self.rng.integers(1, 30))
        colour = self.accent()
        x = self.text(self.left, number + " ", "cjk", fill=colour)
        chinese = self.rng.random() < 0.65
        for _ in range(int(self.rng.integers(1, 8))):
            text, role = self.clause(chinese)
            for word in text if role == "cjk" else text.split(" "):
                piece = word if role == "cjk" else word + " "
                if x + self.size * len(piece) * (1 if role == "cjk" else 0.5) > self.right:
                    self.feed()
                    x = self.left + self.size
                x = self.text(x, piece, role, fill=colour)
        self.feed()

    def clause(self, chinese: bool) -> tuple[str, str]:
        """A part of a question, a formula, a blank or words, and the role of the font it is printed in."""
        kind = self.rng.random()
        if kind < 0.2:
            return str(self.rng.choice(words("symbols"))), "math"
        if kind < 0.35:
            return str(self.rng.choice(BLANKS)), "cjk"
        return (sentence(self.rng, True) + "，", "cjk") if chinese else (sentence(self.rng, False) + " ", "latin")

    def choices(self) -> None:
        columns = int(self.rng.choice([2, 4]))
        step = (self.right - self.left) / columns
        for i, letter in enumerate("ABCD"):
            if i and i % columns == 0:
                self.feed()
            role = str(self.rng.choice(["math", "cjk", "latin"]))
            text = str(self.rng.choice(words("symbols"))) if role == "math" else sentence(self.rng, role == "cjk")
            letters = max(2, int(step / self.size * (2 if role == "latin" else 1)) - 3)
            self.text(self.left + i % columns * step, f"{letter}. {text[:letters]}", role)
        self.feed()

    def formula(self) -> None:
        x = self.left + self.size * self.rng.uniform(2, 8)
        base = self.y
        for _ in range(int(self.rng.integers(1, 4))):
            x = self.text(x, str(self.rng.choice(words("symbols"))) + " ", "italic")
            top, bottom = (str(self.rng.choice(terms)) for terms in (NUMERATORS, DENOMINATORS))
            self.y = base - int(self.size * 0.6)
            end = self.text(x + 3, top, "italic")
            self.y = base + int(self.size * 0.65)
            end = max(end, self.text(x + 3, bottom, "italic"))
            self.pen.line(
                [x, base + self.size * 0.6, end + 3, base + self.size * 0.6],
                fill=(20,) * 3,
                width=max(1, self.size // 14),
            )
            x, self.y = end + self.size * 0.4, base
        self.feed(1.6)

    def table(self) -> None:
        rows, columns = int(self.rng.integers(2, 6)), int(self.rng.integers(2, 9))
        height, width = int(self.size * 1.8), (self.right - self.left) // columns
        line = max(1, self.size // 16)
        for _ in range(rows):
            for j in range(columns):
                x = self.left + j * width
                self.pen.rectangle([x, self.y, x + width, self.y + height], outline=(30,) * 3, width=line)
                if self.rng.random() < 0.6:
                    self.y += height // 5
                    self.text(x + width * 0.2, str(self.rng.choice(CELLS)), "cjk", 0.9)
                    self.y -= height // 5
            self.y += height
        self.feed(0.7)

    def displayed(self) -> None:
        """Formulas below each other as books set them, now and then with words before them."""
        face, bold = str(self.rng.choice(FACES)), bool(self.rng.random() < 0.3)
        fill, left = self.tint or (int(self.rng.integers(0, 60)),) * 3, self.left + self.size * self.rng.uniform(0, 6)
        for _ in range(int(self.rng.integers(1, 5))):
            x = (
                left
                if self.rng.random() < 0.6
                else self.text(left, sentence(self.rng, True)[:3] + " ", "cjk", fill=fill)
            )
            alpha = formula(self.rng, self.size * self.rng.uniform(0.9, 1.2), face, bold)[:, : self.right - int(x)]
            self.image.paste(fill, (int(x), self.y), Image.fromarray((255 * alpha).astype(np.uint8)))
            self.y += max(len(alpha), self.size)
            self.feed(0.3)

    def figure(self) -> None:
        """A drawing with small print about it."""
        size = int(self.size * self.rng.uniform(5, 16))
        x = int(self.rng.integers(self.left, max(self.left + 1, self.right - size)))
        ink = (int(self.rng.integers(0, 70)),) * 3 if self.rng.random() < 0.75 else self.colour()
        draw = DRAWINGS[self.rng.integers(len(DRAWINGS))]
        corners = self.rng.integers(0, size, (int(self.rng.integers(3, 6)), 2))
        points = [(x + int(a), self.y + int(b)) for a, b in corners]
        line = max(1, self.size // 12)
        size = draw(self.rng, Place(self.image, self.pen, x, self.y, size, line, self.size, ink, points))
        self.labels(x, size)
        self.text(x + size // 3, str(self.rng.choice(["A", "B", "O", "图1", "x", "R"])), "cjk", 0.9)
        self.y += size
        self.feed(0.8)

    def pictures(self) -> None:
        """Line drawings in a row, as of tasks for the young and of readers."""
        if "pictures" not in self.fonts:
            return
        path = str(self.rng.choice(self.fonts["pictures"]))
        known = [chr(code) for code in PICTURES if code in characters(path)]
        size, x, ink = int(self.size * self.rng.uniform(3, 14)), float(self.left), self.accent() or (20,) * 3
        font = open_font(path, size)
        for picture in self.rng.choice(known, int(self.rng.integers(1, 6))):
            if x + size > self.right:
                break
            self.pen.text((x, self.y), picture, font=font, fill=ink)
            x += font.getlength(picture) + self.size * self.rng.uniform(0, 4)
        self.y += int(1.1 * size)
        self.feed(0.8)

    def boxes(self) -> None:
        """Frames to write an answer in, side by side or below each other, now and then with a number in one."""
        width, height = (int(self.size * self.rng.uniform(*span)) for span in ((1.5, 12), (1.3, 4)))
        line, apart = max(1, round(self.size * self.rng.uniform(0.04, 0.12))), int(self.size * self.rng.uniform(0, 3))
        fill, down = (int(self.rng.integers(0, 60)),) * 3, self.rng.random() < 0.4
        left = x = self.left + int(self.rng.uniform(0, 0.5) * (self.right - self.left))
        for _ in range(int(self.rng.integers(1, 7))):
            if x + width > self.right:
                break
            self.pen.rectangle([x, self.y, x + width, self.y + height], outline=fill, width=line)
            if self.rng.random() < 0.15:
                self.text(x + width * 0.3, str(self.rng.integers(1, 40)), "latin bold", self.rng.uniform(0.8, 1.4))
            x, self.y = (left, self.y + height + apart) if down else (x + width + apart, self.y)
        self.y += 0 if down else height
        self.feed(0.8)

    def copybook(self) -> None:
        """Groups of four lines, or squares for characters below their pinyin, for a word or a line of writing."""
        grey, pitch = (int(self.rng.integers(60, 200)),) * 3, int(self.size * self.rng.uniform(1.6, 2.4))
        if self.rng.random() < 0.5:
            for _ in range(int(self.rng.integers(1, 4))):
                self.four_lines(self.left, self.right, self.y, pitch, grey)
                self.field("notes", self.left + pitch / 2, self.y, self.right - self.left - pitch, pitch)
                self.y += int(1.5 * pitch)
        else:
            x, top = self.left, self.y
            while x + 2 * pitch < self.right and self.rng.random() < 0.9:
                self.y = top
                self.text(x, nonsense(self.rng)[:6], "latin", 0.9)
                self.y = top + int(1.4 * self.size)
                for column in range(int(self.rng.integers(1, 5))):
                    if x + pitch > self.right:
                        break
                    self.box(x, self.y, pitch, pitch, grey)
                    self.cross(x, self.y, pitch, grey)
                    self.field("cells", x, self.y, pitch, pitch, column)
                    x += pitch
                x += pitch
            self.y = top + int(1.4 * self.size) + pitch
        self.feed(0.8)

    def labels(self, x: int, size: int) -> None:
        """Small print about a figure `size` px wide: names of points, values of parts, numbers at axes."""
        top, role, factor = self.y, str(self.rng.choice(["italic", "math", "latin"])), self.rng.uniform(0.6, 1.0)
        for _ in range(int(self.rng.integers(0, 10))):
            self.y = top + int(self.rng.uniform(-0.05, 0.95) * size)
            self.text(x + self.rng.uniform(-0.15, 1.0) * size, str(self.rng.choice(words("labels"))), role, factor)
        self.y = top

    def code(self) -> None:
        for line in self.rng.permutation(words("code"))[: self.rng.integers(2, 7)]:
            self.text(self.left + self.size * 2, str(line), "mono")
            self.feed(0.85)

    def rules(self) -> None:
        for _ in range(int(self.rng.integers(1, 5))):
            dark = (int(self.rng.integers(0, 160)),) * 3
            self.feed(1.3)
            self.pen.line([self.left, self.y, self.right, self.y], fill=dark, width=max(1, self.size // 18))

    def space(self) -> None:
        self.feed(self.rng.uniform(2, 7))


# How often each element of a page comes.
ELEMENTS = {
    Typesetter.question: 8,
    Typesetter.heading: 3,
    Typesetter.items: 3,
    Typesetter.brackets: 1.5,
    Typesetter.sums: 0.7,
    Typesetter.dictation: 0.7,
    Typesetter.choices: 3,
    Typesetter.formula: 2,
    Typesetter.displayed: 1,
    Typesetter.table: 0.8,
    Typesetter.figure: 1.5,
    Typesetter.pictures: 0.4,
    Typesetter.boxes: 0.8,
    Typesetter.copybook: 0.5,
    Typesetter.code: 0.5,
    Typesetter.rules: 0.4,
    Typesetter.space: 2.5,
}


def exam(sheet: Typesetter) -> None:
    """An exam page: elements below each other down to the end of the page."""
    elements, weights = list(ELEMENTS), np.array(list(ELEMENTS.values()))
    if sheet.rng.random() < 0.7:
        sheet.title()
    while sheet.y < sheet.image.height - 4 * sheet.size:
        elements[sheet.rng.choice(len(elements), p=weights / weights.sum())](sheet)
