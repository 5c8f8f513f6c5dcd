"""The printing press: lines of marked-up text, formulas, tables and drawings set on a Sheet.

Marks inside a text: $formula$, ~chemical formula~, **bold**, `code`, [[answer]] or [[answer|width in em]]
on a line, ((answer)) in brackets, <<answer|width>> in plain room; the pupil's pen over print: <o>circled</o>,
<u>underlined</u>, <w>underlined by a wave</w>, <s>struck out</s>.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFont

from dehw.data.synth.typeset import Sheet
from dehw.errors import InputError
from samples.boxes import Box, Slot, Stroke, formula, row, run

SERIF = {
    "cjk": "NotoSerifCJK-Regular.ttc",
    "cjk bold": "NotoSansCJK-Bold.ttc",
    "latin": "LiberationSerif-Regular.ttf",
    "bold": "LiberationSerif-Bold.ttf",
    "italic": "LiberationSerif-Italic.ttf",
    "math": "FreeSerif.ttf",
    "mono": "LiberationMono-Regular.ttf",
    "dejavu": "DejaVuSans.ttf",
}
SANS = SERIF | {
    "cjk": "NotoSansCJK-Regular.ttc",
    "latin": "LiberationSans-Regular.ttf",
    "bold": "LiberationSans-Bold.ttf",
    "mono": "DejaVuSansMono.ttf",
}
ROLES = {
    "plain": ("latin", "math", "dejavu", "cjk"),
    "bold": ("bold", "cjk bold", "math"),
    "mono": ("mono", "cjk"),
    "italic": ("italic", "math"),
}
SIMPLIFIED = 2  # the simplified Chinese face in Noto's CJK collections
INK = (24, 24, 26)
MARKS = {"o": "circle", "u": "underline", "w": "wave", "s": "strike"}
MARKUP = re.compile(
    r"\$(?P<formula>[^$]+)\$|\*\*(?P<bold>[^*]+)\*\*|`(?P<code>[^`]+)`|\[\[(?P<blank>.*?)\]\]|\(\((?P<bracket>.*?)\)\)"
    r"|<<(?P<room>.*?)>>|~(?P<chemical>[^~]+)~|<(?P<mark>[ouws])>(?P<marked>.+?)</(?P=mark)>"
)
# what may not be parted at the end of a line: a word with its space, a character with the signs around it
WORD = re.compile(r"[（《“【]*(?:[⺀-鿿豈-﫿○□△①-⑳]|[^\s⺀-鿿＀-￯　-〿“”]+|.)[，。；：？！、）》”】]*[ ]*")
CLOSING = re.compile(r"[，。；：？！、）》”】.,;:?!)]+ *")


def find_fonts(folder: Path, names: dict[str, str]) -> dict[str, list[str]]:
    """Paths of the printing fonts by role, as Sheet takes them."""
    paths = {role: sorted(Path(folder).rglob(name)) for role, name in names.items()}
    if missing := sorted({names[role] for role, found in paths.items() if not found}):
        raise InputError(
            f"{folder}: no {', '.join(missing)}; install fonts-noto-cjk, fonts-noto-cjk-extra, "
            "fonts-liberation, fonts-dejavu and fonts-freefont-ttf, or name their folder"
        )
    return {role: [str(found[0])] for role, found in paths.items()}


@lru_cache(maxsize=64)
def face(path: str, size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.truetype(path, size, index=SIMPLIFIED if path.endswith(".ttc") else 0)


@lru_cache(maxsize=16)
def letters(path: str) -> frozenset[int]:
    """Code points that a font draws."""
    return frozenset(TTFont(path, fontNumber=SIMPLIFIED if path.endswith(".ttc") else -1, lazy=True).getBestCmap())


def written_width(answer: str) -> float:
    """About how many em a handwritten answer needs."""
    return sum(1.0 if char > "\u2e80" else 0.6 for char in re.sub(r"\\\w+|[{}]", "", answer))


class Press(Sheet):
    """A Sheet that sets given text instead of text drawn by chance.

    size: px an em. left, right: the column being set. y: where its next line begins.
    """

    def __init__(self, width: int, height: int, em: int, fonts: dict[str, list[str]], margin: float = 0.075):
        super().__init__(np.random.default_rng(0), height, width, em / 1.1, fonts)
        self.size, self.y, self.leading = em, round(0.045 * height), 1.62
        self.left, self.right = round(margin * width), round((1 - margin) * width)
        self.written: list[Slot] = []  # what the pupil does to what has been set

    def runs(self, text: str, style: str) -> list[tuple[str, str]]:
        """Split a text into (font file, characters) by the first font of the style that has a character."""
        parts: list[tuple[str, str]] = []
        for char in text:
            paths = [self.fonts[role][0] for role in ROLES[style]]
            path = next((p for p in paths if ord(char) in letters(p)), self.fonts["cjk"][0])
            before = parts.pop()[1] if parts and parts[-1][0] == path else ""
            parts.append((path, before + char))
        return parts

    def measure(self, text: str, size: float, style: str) -> float:
        return sum(face(path, round(size)).getlength(part) for path, part in self.runs(text, style))

    def put(self, box: Box, x: float, y: float, pen: ImageDraw.ImageDraw | None = None) -> None:
        """Print a box with its left end at x and its baseline at y; its slots are kept for the pupil.

        pen: of the picture to print on, if it is not the page itself.
        """
        pen = pen or self.pen
        for part in box.at(x, y):
            if isinstance(part, Slot):
                self.written.append(part)
            elif isinstance(part, Stroke):
                line = [(part.x + a, part.y + b) for a, b in part.points]
                pen.line(line, fill=INK, width=max(1, round(part.size / 16)))
            else:
                x = part.x
                for path, text in self.runs(part.text, part.style):
                    pen.text((x, part.y), text, font=face(path, round(part.size)), fill=INK, anchor="ls")
                    x += face(path, round(part.size)).getlength(text)

    def answers(self, count: int) -> list[Slot]:
        """The places of the answers set last."""
        return [slot for slot in self.written if slot.kind == "answer"][-count:] if count else []

    def blank(self, content: str, em: float) -> Box:
        answer, _, width = content.partition("|")
        w = em * float(width or max(3.0, written_width(answer) + 1.5))
        parts = [Stroke(0, 0.16 * em, ((0, 0), (w, 0)), em), Slot(0, 0, "answer", w, em, answer)]
        return Box(w + 0.15 * em, 0.8 * em, 0.3 * em, parts)

    def room(self, content: str, em: float) -> Box:
        answer, _, width = content.partition("|")
        w = em * float(width or max(1.5, written_width(answer) + 0.5))
        return Box(w, 0.8 * em, 0.22 * em, [Slot(0, 0, "answer", w, em, answer)])

    def bracket(self, answer: str, em: float) -> Box:
        w = em * max(1.6, written_width(answer) + 0.6)
        inside = Box(w, 0, 0, [Slot(0, 0, "answer", w, em, answer)])
        left, right = (run(sign, em, "plain", self.measure) for sign in "()")
        return row([left, inside, right, Box(0.1 * em, 0, 0)])

    def marked(self, kind: str, text: str, em: float) -> Box:
        box = self.line(text, em)
        box.parts.append(Slot(0, 0, MARKS[kind], box.width, em))
        return box

    def atoms(self, text: str, em: float, style: str = "plain") -> list[Box]:
        """The boxes of a marked-up text, between which a line may break."""
        boxes, end = [], 0
        makers = {
            "formula": lambda t: formula(t, em, self.measure),
            "bold": lambda t: run(t, em, "bold", self.measure),
            "code": lambda t: run(t, 0.92 * em, "mono", self.measure),
            "blank": lambda t: self.blank(t, em),
            "bracket": lambda t: self.bracket(t, em),
            "room": lambda t: self.room(t, em),
            "chemical": lambda t: formula(t, em, self.measure, letters=""),
        }
        for match in MARKUP.finditer(text):
            boxes += self.words(text[end : match.start()], em, style, boxes)
            kind = match.lastgroup or ""
            if kind == "marked":
                boxes.append(self.marked(match["mark"], match["marked"], em))
            else:
                boxes.append(makers[kind](match[kind]))
            end = match.end()
        return boxes + self.words(text[end:], em, style, boxes)

    def words(self, text: str, em: float, style: str, before: list[Box]) -> list[Box]:
        """The boxes of plain text; signs that close are joined to the last box `before`."""
        closing = CLOSING.match(text)
        if closing and before:
            before[-1] = row([before[-1], run(closing[0], em, style, self.measure)])
            text = text[closing.end() :]
        return [run(word, em, style, self.measure) for word in WORD.findall(text)]

    def line(self, text: str, em: float, style: str = "plain") -> Box:
        return row(self.atoms(text, em, style))

    def lines(self, text: str, em: float, room: float, style: str = "plain") -> list[Box]:
        """Break a text into lines at most `room` px wide."""
        rows: list[list[Box]] = [[]]
        for box in self.atoms(text, em, style):
            if rows[-1] and sum(b.width for b in rows[-1]) + box.width > room + 0.4 * em:
                rows.append([])
            rows[-1].append(box)
        return [row(boxes) for boxes in rows]

    def set(
        self,
        text: str,
        factor: float = 1.0,
        style: str = "plain",
        indent: float = 0,
        hang: float = 0,
        align: str = "left",
    ) -> tuple[float, float]:
        """Set a paragraph at y and move on below it; returns where its last line ends (x, baseline).

        factor: em relative to the page's. indent, hang: em before the first line and before the others.
        """
        em, x, y = self.size * factor, 0.0, 0.0
        room = self.right - self.left - max(indent, hang) * self.size
        for i, box in enumerate(self.lines(text, em, room, style)):
            x = self.left + (hang if i else indent) * self.size
            if align == "centre":
                x = (self.left + self.right - box.width) / 2
            y = self.y + (self.leading - 1) / 2 * em + max(box.up, 0.8 * em)
            self.put(box, x, y)
            x += box.width
            self.y = round(y + max(box.down, 0.22 * em) + (self.leading - 1) / 2 * em)
        return x, y

    def columns(self, texts: Sequence[str], count: int, indent: float = 1.0) -> None:
        """Set short texts (options, sums) side by side, `count` to a line."""
        step = (self.right - self.left - indent * self.size) / count
        for start in range(0, len(texts), count):
            boxes = [self.line(t, self.size) for t in texts[start : start + count]]
            y = self.y + (self.leading - 1) / 2 * self.size + max(box.up for box in boxes)
            for i, box in enumerate(boxes):
                self.put(box, self.left + indent * self.size + i * step, y)
            self.y = round(y + max(box.down for box in boxes) + (self.leading - 1) / 2 * self.size)

    def gap(self, lines: float) -> None:
        self.y += round(lines * self.size * self.leading)

    def rule(self, x0: float, y0: float, x1: float, y1: float, weight: int = 1, grey: int = 24) -> None:
        self.pen.line([x0, y0, x1, y1], fill=(grey,) * 3, width=weight)

    def table(self, rows: Sequence[Sequence[str]], widths: Sequence[float], height: float = 1.9) -> None:
        """Set a ruled table; widths in shares of the column, height of a row in em."""
        edges = self.left + np.cumsum([0.0, *widths]) / sum(widths) * (self.right - self.left)
        step, top = round(height * self.size), self.y
        for i, cells in enumerate(rows):
            for j, cell in enumerate(cells):
                box = self.line(cell, self.size * 0.95, "plain" if i else "bold")
                middle = top + i * step + step / 2
                self.put(box, (edges[j] + edges[j + 1] - box.width) / 2, middle + (box.up - box.down) / 2)
        bottom = top + len(rows) * step
        for i in range(len(rows) + 1):
            self.rule(edges[0], top + i * step, edges[-1], top + i * step, 2 if i in (0, len(rows)) else 1)
        for j, edge in enumerate(edges):
            self.rule(edge, top, edge, bottom, 2 if j in (0, len(edges) - 1) else 1)
        self.y = bottom + round(0.5 * self.size)


class Drawing:
    """A figure drawn finely and set on the page scaled down; coordinates in em from its top left corner."""

    FINE = 4

    def __init__(self, press: Press, width: float, height: float):
        self.press, self.scale = press, press.size * self.FINE
        self.image = Image.new("RGB", (round(width * self.scale), round(height * self.scale)), "white")
        self.pen = ImageDraw.Draw(self.image)

    def points(self, points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        return [(x * self.scale, y * self.scale) for x, y in points]

    def line(self, *points: tuple[float, float], weight: float = 1.0, colour: tuple = INK) -> None:
        self.pen.line(self.points(points), fill=colour, width=round(weight * self.scale / 15), joint="curve")

    def dashes(self, start: tuple[float, float], end: tuple[float, float], step: float = 0.3) -> None:
        a, b = np.array(start), np.array(end)
        count = max(1, round(float(np.hypot(*(b - a))) / step / 2))
        for i in range(count):
            self.line(tuple(a + (b - a) * i / count), tuple(a + (b - a) * (i + 0.5) / count), weight=0.8)

    def polygon(self, *points: tuple[float, float], fill: tuple | None = None, weight: float = 1.0) -> None:
        if fill:
            self.pen.polygon(self.points(points), fill=fill)
        self.line(*points, points[0], weight=weight)

    def circle(self, x: float, y: float, radius: float, fill: tuple | None = None, weight: float = 1.0) -> None:
        box = self.points([(x - radius, y - radius), (x + radius, y + radius)])
        self.pen.ellipse([*box[0], *box[1]], fill=fill, outline=INK, width=round(weight * self.scale / 15))

    def arrow(self, start: tuple[float, float], end: tuple[float, float], weight: float = 1.0) -> None:
        self.line(start, end, weight=weight)
        a, b = np.array(start), np.array(end)
        along = (b - a) / np.hypot(*(b - a)) * 0.42
        side = np.array([-along[1], along[0]]) * 0.32
        self.pen.polygon(self.points([tuple(b), tuple(b - along + side), tuple(b - along - side)]), fill=INK)

    def label(self, x: float, y: float, text: str, factor: float = 0.9) -> None:
        """Write a formula or words with their middle at (x, y)."""
        em = self.press.size * factor
        box = self.press.line(text, em * self.FINE)
        self.press.put(box, x * self.scale - box.width / 2, y * self.scale + 0.35 * em * self.FINE, self.pen)

    def set(self, left: float, top: float) -> tuple[float, float]:
        """Put the figure on the page, its corner at (left, top) px; returns that corner."""
        size = (self.image.width // self.FINE, self.image.height // self.FINE)
        small = self.image.resize(size, Image.Resampling.BOX)
        self.press.image.paste(small, (round(left), round(top)))
        return round(left), round(top)
