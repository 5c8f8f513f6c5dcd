"""Lines and formulas as boxes of glyphs, laid out alike for print and for handwriting.

Formulas are written as in TeX, as far as an exam needs it: \\frac{a}{b}, \\sqrt{a}, \\lim{x→0}, x^2, a_{n+1};
\\no{a} is struck out.
All coordinates are px; y runs down and is 0 on the baseline.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Protocol

COMMAND = re.compile(r"\\(frac|sqrt|lim|no)(?={)")
FUNCTION = re.compile(r"(?<![a-zA-Z])(sin|cos|tan|ln)(?![a-z])")
LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZαπ"
OPERATORS = "+−=<>≤≥×÷±≠→∈∪∩"


class Measure(Protocol):
    def __call__(self, text: str, size: float, style: str) -> float:
        """Width in px of `text` set at `size` px an em."""


@dataclass(frozen=True)
class Glyphs:
    """A run of characters; x is its left end, y its baseline."""

    x: float
    y: float
    text: str
    size: float
    style: str


@dataclass(frozen=True)
class Stroke:
    """A polyline through `points` relative to (x, y): fraction bars, root signs, blanks."""

    x: float
    y: float
    points: tuple[tuple[float, float], ...]
    size: float


@dataclass(frozen=True)
class Slot:
    """Where a hand writes `text` (kind "answer") or draws the mark `kind` over a box above the baseline."""

    x: float
    y: float
    kind: str
    width: float
    size: float
    text: str = ""


@dataclass
class Box:
    """Something that stands on a line: `width` wide, `up` above and `down` below the baseline."""

    width: float
    up: float
    down: float
    parts: list[Glyphs | Stroke | Slot] = field(default_factory=list)

    def at(self, x: float, y: float) -> list[Glyphs | Stroke | Slot]:
        return [replace(part, x=part.x + x, y=part.y + y) for part in self.parts]


def row(boxes: list[Box]) -> Box:
    """Stand boxes side by side on one baseline."""
    whole = Box(0, 0, 0)
    for box in boxes:
        whole.parts += box.at(whole.width, 0)
        whole.width += box.width
        whole.up, whole.down = max(whole.up, box.up), max(whole.down, box.down)
    return whole


def run(text: str, size: float, style: str, measure: Measure) -> Box:
    """Set plain characters."""
    return Box(measure(text, size, style), 0.8 * size, 0.22 * size, [Glyphs(0, 0, text, size, style)])


def group(text: str, start: int) -> tuple[str, int]:
    """The argument that begins at `start` ({...} or one character) and where it ends."""
    if text[start] != "{":
        return text[start], start + 1
    depth = 0
    for i in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[i], 0)
        if depth == 0:
            return text[start + 1 : i], i + 1
    raise ValueError(f"no closing brace: {text}")


def fraction(top: Box, bottom: Box, size: float) -> Box:
    width, axis, gap = max(top.width, bottom.width) + 0.2 * size, 0.28 * size, 0.14 * size
    parts = top.at((width - top.width) / 2, -axis - gap - top.down)
    parts += bottom.at((width - bottom.width) / 2, -axis + gap + bottom.up)
    parts.append(Stroke(0.04 * size, -axis, ((0, 0), (width - 0.08 * size, 0)), size))
    return Box(width, axis + gap + top.down + top.up, gap - axis + bottom.up + bottom.down, parts)


def root(body: Box, size: float) -> Box:
    lead, top = 0.55 * size, -body.up - 0.06 * size
    sign = (
        (0, -0.3 * size),
        (0.12 * size, -0.36 * size),
        (0.28 * size, body.down),
        (0.5 * size, top),
        (lead + body.width, top),
    )
    parts = [*body.at(lead, 0), Stroke(0, 0, sign, size)]
    return Box(lead + body.width + 0.08 * size, 0.1 * size - top, body.down, parts)


def scripts(base: Box, upper: Box | None, lower: Box | None, size: float) -> Box:
    rise, drop = max(0.36 * size, base.up - 0.42 * size), max(0.2 * size, base.down - 0.08 * size)
    parts, width, up, down = list(base.parts), 0.0, base.up, base.down
    if upper:
        parts += upper.at(base.width, -rise)
        width, up = upper.width, max(up, rise + upper.up)
    if lower:
        parts += lower.at(base.width, drop)
        width, down = max(width, lower.width), max(down, drop + lower.down)
    return Box(base.width + width + 0.04 * size, up, down, parts)


def under(head: Box, below: Box, size: float) -> Box:
    width = max(head.width, below.width)
    parts = head.at((width - head.width) / 2, 0) + below.at((width - below.width) / 2, 0.62 * size)
    return Box(width + 0.15 * size, head.up, 0.75 * size, parts)


def character(char: str, before: str, size: float, measure: Measure, small: bool, letters: str) -> Box:
    """One character of a formula: letters slanted, room around operators, integral and sum tall."""
    if char in "∫∑":
        tall = run(char, 1.5 * size, "plain", measure)
        return Box(tall.width, 1.1 * size, 0.4 * size, tall.at(0, 0.16 * size))
    box = run(char, size, "italic" if char in letters else "plain", measure)
    sign = char in "+−" and (not before or before in OPERATORS + "([{,，|")
    if small or sign or char not in OPERATORS:
        return box
    return row([Box(0.2 * size, 0, 0), box, Box(0.2 * size, 0, 0)])


def formula(text: str, size: float, measure: Measure, small: bool = False, letters: str = LETTERS) -> Box:
    """Lay out a formula at `size` px an em; `small` sets it tight, as an exponent; `letters` are slanted."""
    boxes: list[Box] = []
    text, i = text.replace("-", "−"), 0
    while i < len(text):
        if command := COMMAND.match(text, i):
            argument, i = group(text, command.end())
            body = formula(argument, size * (0.68 if command[1] == "lim" else 1), measure, small, letters)
            if command[1] == "frac":
                below, i = group(text, i)
                body = fraction(body, formula(below, size, measure, small, letters), size)
            elif command[1] == "sqrt":
                body = root(body, size)
            elif command[1] == "lim":
                body = under(run("lim", size, "plain", measure), body, size)
            else:
                body.parts.append(Slot(0, 0, "strike", body.width, size))
            boxes.append(body)
        elif text[i] in "^_":
            marks: dict[str, Box] = {}
            while i < len(text) and text[i] in "^_":
                kind, (argument, i) = text[i], group(text, i + 1)
                marks[kind] = formula(argument, size * 0.68, measure, True, letters)
            base = boxes.pop() if boxes else Box(0, 0.8 * size, 0)
            boxes.append(scripts(base, marks.get("^"), marks.get("_"), size))
        elif word := FUNCTION.match(text, i):
            gap, i = Box(0.12 * size, 0, 0), word.end()
            boxes += [gap, run(word[0], size, "plain", measure), gap]
        else:
            boxes.append(character(text[i], text[:i].rstrip()[-1:], size, measure, small, letters))
            i += 1
    return row(boxes)
