"""A hand that writes with one pen: handwriting fonts for text and formulas, strokes for signs and marks."""

from __future__ import annotations

import cv2
import numpy as np

from dehw.data.materials import Family, Glyph
from dehw.data.synth.pages import Paper, ink_colour
from dehw.data.synth.pen import draw, warp
from samples.boxes import Box, Glyphs, Slot, Stroke, formula

FINE = 2  # glyphs are rendered at twice the size and averaged


# Signs that handwriting fonts lack: width in em and strokes in em, y down from the baseline.
SIGNS: dict[str, tuple[float, list[list[tuple[float, float]]]]] = {
    "−": (0.6, [[(0.08, -0.42), (0.52, -0.44)]]),
    "×": (0.6, [[(0.1, -0.62), (0.5, -0.2)], [(0.5, -0.64), (0.1, -0.16)]]),
    "÷": (
        0.65,
        [[(0.06, -0.42), (0.58, -0.43)], [(0.3, -0.66), (0.31, -0.62)], [(0.3, -0.22), (0.31, -0.18)]],
    ),
    "→": (0.85, [[(0.06, -0.4), (0.75, -0.41)], [(0.55, -0.56), (0.76, -0.41), (0.57, -0.24)]]),
    "∴": (
        0.7,
        [[(0.32, -0.55), (0.34, -0.53)], [(0.14, -0.14), (0.16, -0.12)], [(0.5, -0.15), (0.52, -0.13)]],
    ),
    "°": (0.36, [[(0.17 + 0.12 * np.cos(t), -0.72 + 0.13 * np.sin(t)) for t in np.linspace(0, 6.6, 14)]]),
    "′": (0.3, [[(0.26, -0.85), (0.17, -0.6)]]),
    "∫": (0.4, [[(0.4, -0.72), (0.32, -0.8), (0.24, -0.7), (0.17, 0.05), (0.08, 0.16), (0.0, 0.06)]]),
    "√": (0.6, [[(0.0, -0.3), (0.1, -0.36), (0.22, 0.0), (0.5, -0.75)]]),
}


def arrow_shape(w: float, h: float) -> Glyph:
    """An arrow from (0, 0) to (w, h) px."""
    along = np.float32([w, h]) / np.hypot(w, h) * min(18, 0.3 * np.hypot(w, h))
    side, tip = np.float32([-along[1], along[0]]) * 0.5, np.float32([w, h])
    return [np.stack([0 * tip, tip / 2, tip]), np.stack([tip - along + side, tip, tip - along - side])]


def mark_shape(kind: str, w: float, h: float, rng: np.random.Generator) -> Glyph:
    """A mark's strokes over a box w x h px whose corner is (0, 0); they may reach out of it."""
    if kind == "arrow":
        return arrow_shape(w, h)
    jump, slope, reach = rng.normal(0, 0.04, 4), rng.normal(0, 0.03), h / w
    t, long = np.linspace(0, 1, 30), np.linspace(0, 1, max(30, round(8 / abs(reach))))
    turn = (t * rng.uniform(1.04, 1.15) + 0.6) * 2 * np.pi
    rise = [
        (0, 0.55),
        (0.12, 0.72),
        (0.3, 1),
        (0.42, 0.72),
        (0.72 + jump[0], 0.25),
        (1 + jump[1], jump[2] - 0.08),
    ]
    around = [0.5 + (0.5 + (0.34 - 0.06 * t) * reach) * np.cos(turn), 0.5 + (0.78 + 0.08 * t) * np.sin(turn)]
    shapes: dict[str, list] = {
        "tick": [rise],
        "half": [rise, [(0.52, 0.3), (0.86, 0.62)]],
        "cross": [[(0, jump[0]), (0.5, 0.45 + jump[1]), (1, 1)], [(1, jump[2]), (0.5, 0.52), (jump[3], 1)]],
        "circle": [np.stack(around, 1)],
        "underline": [np.stack([t, 1.12 + slope + 0.05 * np.sin(3 * t)], 1)],
        "double": [np.stack([k * t, 1.51 - 0.34 * k + 0.05 * np.sin(2 * t)], 1) for k in (1.05, 0.9)],
        "wave": [np.stack([long, 1.18 + 0.12 * np.sin(6 * long / reach)], 1)],
        "strike": [[(-0.15 * reach, 0.62 + jump[0]), (0.5, 0.52), (1 + 0.15 * reach, 0.45 + jump[1])]],
        "line": [[(0, 0), (0.5, 0.5 + jump[0] * 0.3), (1, 1)]],
    }
    return [np.array(stroke, np.float32) * np.float32([w, h]) for stroke in shapes[kind]]


class Hand:
    """One writer with one pen.

    families: typefaces, the first that has a character draws it. ink: a kind of ink_colour. size: px of
    a digit. width: px of the pen's line. bold: above 1 thickens the letters, below 1 thins them.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        families: list[Family],
        ink: str,
        size: float,
        width: float,
        bold: float = 1.0,
    ):
        self.rng, self.families, self.ink = rng, families, ink
        self.size, self.width, self.bold = size, width, bold
        self.colour, self.opacity = ink_colour(rng, ink)
        if ink in ("pencil", "black"):
            self.colour = np.full(3, 0.7 * self.colour.mean(), np.float32)  # untinted
        self.slant = rng.normal(0.02, 0.04)

    def family(self, char: str) -> tuple[Family, float]:
        """The typeface that draws `char`, and the em at which its digits are 1 and its hanzi 1.2 high."""
        sample, height = ("国", 1.2) if "\u2e80" <= char <= "\u9fff" else ("8", 1.0)
        for family in self.families:
            if family.font(char, 20) and (font := family.font(sample, 200)):
                top, bottom = font.getbbox(sample)[1::2]
                return family, 200 * height / (bottom - top)
        raise ValueError(f"no handwriting font for {char!r} ({', '.join(f.name for f in self.families)})")

    def measure(self, text: str, size: float, style: str) -> float:
        return sum(self.advance(char, size) for char in text)

    def advance(self, char: str, size: float) -> float:
        if char == " ":
            return 0.45 * size
        if char in SIGNS:
            return SIGNS[char][0] * size
        family, scale = self.family(char)
        font = family.font(char, 100)
        assert font is not None
        return font.getlength(char) / 100 * scale * size * 1.02

    def layout(self, text: str, size: float | None = None) -> Box:
        return formula(text, size or self.size, self.measure)

    def glyph(self, char: str, size: float) -> tuple[np.ndarray, float, float] | None:
        """A character FINE times larger, a little askew: its opacity, left and top from its origin."""
        family, scale = self.family(char)
        font = family.font(char, round(size * FINE * scale * self.rng.uniform(0.95, 1.06)))
        assert font is not None
        bitmap, (dx, dy) = font.getmask2(char, mode="L", anchor="ls")
        if not bitmap.size[0] or not bitmap.size[1]:
            return None
        patch = np.array(bitmap, np.uint8).reshape(bitmap.size[::-1])
        pad = 4 + max(patch.shape) // 6
        patch = cv2.copyMakeBorder(patch, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=0)
        h, w = patch.shape
        turn, slant = self.rng.normal(0, 0.03), self.slant + self.rng.normal(0, 0.03)
        matrix = np.float32([[1, -slant + turn, 0], [-turn, self.rng.normal(1, 0.03), 0]])
        matrix[:, 2] = np.float32([w / 2, h / 2]) - matrix[:, :2] @ np.float32([w / 2, h / 2])
        return cv2.warpAffine(patch, matrix, (w, h)), dx - pad, dy - pad

    def render(self, box: Box) -> tuple[np.ndarray, float, float]:
        """The opacity of a line of writing, and where its left end and baseline lie in it (px)."""
        pad = self.size
        height, width = (round((n + 2 * pad) * FINE) for n in (box.up + box.down, box.width))
        canvas, base = np.zeros((height, width), np.float32), pad + box.up
        slope, wobble = self.rng.normal(0, 0.006), self.rng.uniform(0, 6)
        for part in box.at(pad, base):
            y = part.y + slope * part.x + 0.03 * self.size * np.sin(part.x / self.size / 2.2 + wobble)
            y += self.rng.normal(0, 0.02 * self.size)
            if isinstance(part, Glyphs):
                self.letters(canvas, part, y)
            elif isinstance(part, Stroke):
                self.stroke(canvas, [np.float32(part.points)], part.x, y)
            elif isinstance(part, Slot):
                shape = mark_shape(part.kind, part.width, 0.75 * part.size, self.rng)
                self.stroke(canvas, shape, part.x, y - 0.75 * part.size)
        small = cv2.resize(canvas, None, fx=1 / FINE, fy=1 / FINE, interpolation=cv2.INTER_AREA)
        return warp(small, self.rng, 0.025 * self.size, 0.8 * self.size), pad, base

    def letters(self, canvas: np.ndarray, part: Glyphs, y: float) -> None:
        x = part.x
        for char in part.text:
            if char in SIGNS:
                self.stroke(canvas, [np.float32(s) * np.float32(part.size) for s in SIGNS[char][1]], x, y)
            elif char != " " and (glyph := self.glyph(char, part.size)):
                lay(canvas, glyph[0].astype(np.float32) / 255, x * FINE + glyph[1], y * FINE + glyph[2])
            x += self.advance(char, part.size)

    def stroke(self, canvas: np.ndarray, strokes: Glyph, x: float, y: float) -> None:
        drawn = [(s + self.rng.normal(0, 0.015 * self.size, s.shape)).astype(np.float32) * FINE for s in strokes]
        low = np.concatenate(drawn).min(0) - (int(np.ceil(self.width * FINE)) + 2)
        lay(canvas, draw(drawn, self.width * FINE, self.rng), x * FINE + low[0], y * FINE + low[1])

    def texture(self, alpha: np.ndarray) -> np.ndarray:
        """Pressure comes and goes; graphite leaves the hollows of the paper white."""
        h, w = alpha.shape
        cells = self.rng.normal(0, 1, (h // 12 + 3, w // 12 + 3)).astype(np.float32)
        pressure = 0.93 + 0.07 * cv2.resize(cells, (w, h), interpolation=cv2.INTER_CUBIC)
        if self.ink == "pencil":
            grain = cv2.GaussianBlur(self.rng.normal(0, 1, (h, w)).astype(np.float32), (0, 0), 0.7) * 2
            pressure = 0.92 * pressure + 0.16 * grain
        return np.clip(alpha ** (1 / self.bold) * np.clip(pressure, 0.1, 1), 0, 1)

    def ink_on(self, paper: Paper, alpha: np.ndarray, left: float, top: float) -> None:
        left, top = round(left), round(top)
        y0, x0 = max(0, -top), max(0, -left)
        alpha = self.texture(alpha)[y0 : paper.mask.shape[0] - top, x0 : paper.mask.shape[1] - left]
        if alpha.size:
            paper.add(alpha, self.colour, (top + y0, left + x0), self.opacity)

    def write(self, paper: Paper, text: str, x: float, y: float, size: float | None = None) -> float:
        """Write a line whose left end is at x and whose baseline is y; returns where it ends."""
        box = self.layout(text, size)
        alpha, left, base = self.render(box)
        self.ink_on(paper, alpha, x - left, y - base)
        return x + box.width

    def answer(self, paper: Paper, slot: Slot) -> None:
        """Write an answer into its blank or bracket, smaller where it would not fit."""
        box = self.layout(slot.text)
        fit = min(1.0, (slot.width + 0.5 * slot.size) / max(box.width, 1))
        room = slot.width - fit * box.width
        x = slot.x + np.clip(room * self.rng.normal(0.5, 0.1), min(0, room), max(0, room))
        raised = max(0.0, fit * box.down - 0.4 * slot.size)  # a fraction stands on the blank
        self.write(paper, slot.text, x, slot.y - raised + self.rng.normal(0, 0.05) * slot.size, fit * self.size)

    def mark(self, paper: Paper, kind: str, x: float, y: float, w: float, h: float) -> None:
        """Draw a mark over the box whose corner is (x, y)."""
        shape, reach = mark_shape(kind, w, h, self.rng), min(60.0, float(np.hypot(w, h)))
        tremble = [(s + self.rng.normal(0, 0.008 * reach, s.shape)).astype(np.float32) for s in shape]
        low = np.concatenate(tremble).min(0) - (int(np.ceil(self.width)) + 2)
        alpha = warp(draw(tremble, self.width, self.rng), self.rng, 0.015 * reach, max(0.5 * reach, 8))
        self.ink_on(paper, alpha, x + low[0], y + low[1])


def lay(canvas: np.ndarray, patch: np.ndarray, x: float, y: float) -> None:
    """Keep the darker of canvas and patch where the patch falls; what reaches out of the canvas is cut."""
    left, top = round(x), round(y)
    y0, x0 = max(0, -top), max(0, -left)
    view = canvas[top + y0 : top + patch.shape[0], left + x0 : left + patch.shape[1]]
    np.maximum(view, patch[y0 : y0 + view.shape[0], x0 : x0 + view.shape[1]], out=view)
