"""Handwriting as opacity patches: strokes, words, formulae and teacher's marks drawn with a pen that trembles."""

from __future__ import annotations

import string
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from dehw.data.materials import Family, Glyph, InkBank
from dehw.data.synth.words import everyday_hanzi, words

SUPERSAMPLING = 2  # strokes are drawn at twice the size and averaged: smooth edges and widths between pixels
SIGNS_OFTEN = (0.5, 0.2, 0.1, 0.1, 0.1)
HERSHEY = (cv2.FONT_HERSHEY_SIMPLEX, cv2.FONT_HERSHEY_SCRIPT_SIMPLEX, cv2.FONT_HERSHEY_SCRIPT_COMPLEX)


def smooth(points: np.ndarray, rounds: int = 2) -> np.ndarray:
    """Round the corners of a polyline (n, 2) by Chaikin's cutting; ends stay."""
    for _ in range(rounds):
        if len(points) < 3:
            break
        a, b = points[:-1], points[1:]
        cut = np.stack([0.75 * a + 0.25 * b, 0.25 * a + 0.75 * b], 1).reshape(-1, 2)
        points = np.concatenate([points[:1], cut, points[-1:]])
    return points


def draw(strokes: Glyph, width: float, rng: np.random.Generator) -> np.ndarray:
    """Draw strokes given in px with a pen about `width` px wide, thinner where it speeds: (h, w) float32 in [0, 1]."""
    s, pad = SUPERSAMPLING, int(np.ceil(width)) + 2
    allpoints = np.concatenate(strokes)
    low = allpoints.min(0) - pad
    w, h = np.ceil(allpoints.max(0) - low + pad).astype(int)
    canvas = np.zeros((max(h, 1) * s, max(w, 1) * s), np.uint8)
    for stroke in strokes:
        line = ((smooth(stroke) - low) * s * 16).round().astype(np.int32)
        for part in np.array_split(np.arange(len(line)), max(1, min(3, len(line) // 4))):
            thickness = max(1, round(width * s * rng.uniform(0.75, 1.15)))
            points = line[max(part[0] - 1, 0) : part[-1] + 1]
            cv2.polylines(canvas, [points], False, 255, thickness, cv2.LINE_AA, 4)
    return cv2.resize(canvas, (max(w, 1), max(h, 1)), interpolation=cv2.INTER_AREA).astype(np.float32) / 255


def warp(alpha: np.ndarray, rng: np.random.Generator, amount: float, grain: float) -> np.ndarray:
    """Bend a patch by a smooth random field: `amount` px far, varying over about `grain` px."""
    h, w = alpha.shape
    cells = (2, max(2, int(h / grain) + 2), max(2, int(w / grain) + 2))
    field = [
        cv2.resize(f, (w, h), interpolation=cv2.INTER_CUBIC) for f in rng.normal(0, amount, cells).astype(np.float32)
    ]
    y, x = np.indices((h, w), np.float32)
    return cv2.remap(alpha, x + field[0], y + field[1], cv2.INTER_LINEAR, borderValue=0)


def glyph_line(rng: np.random.Generator, glyphs: list[Glyph], height: float, width: float) -> np.ndarray:
    """Write stroke glyphs side by side, each slanted, scaled and trembling, along a drifting line."""
    slant, drift, spread = rng.normal(0, 0.15), rng.normal(0, 0.03), rng.uniform(0.85, 1.25)
    cursive = rng.random() < 0.3
    pen, strokes = np.zeros(2, np.float32), []
    for glyph in glyphs:
        size = height * rng.uniform(0.8, 1.15) * np.array([rng.uniform(0.75, 1.05), 1])
        turn = rng.normal(0, 0.05)
        shape = np.array([[1, turn - slant], [turn, 1]], np.float32)
        bend = rng.normal(0, 0.025, (2, 4))
        drawn = []
        for stroke in glyph:
            # a slow wave over the glyph bends neighbouring strokes alike, as a hand does
            wave = np.stack(
                [
                    bend[0, 0] * np.sin(5 * stroke[:, 1] + 9 * bend[0, 1]),
                    bend[1, 0] * np.sin(5 * stroke[:, 0] + 9 * bend[1, 1]),
                ],
                1,
            )
            moved = stroke + wave + rng.normal(0, 0.018, 2) + rng.normal(0, 0.008, stroke.shape)
            drawn.append((moved @ shape.T * size + pen).astype(np.float32))
        if cursive:
            drawn = [np.concatenate(drawn[i : i + 3]) for i in range(0, len(drawn), 3)]
        strokes += drawn
        pen = pen + [height * spread * rng.uniform(0.85, 1.1), height * (drift + rng.normal(0, 0.04))]
    return draw(strokes, width, rng)


def askew(patch: np.ndarray, degrees: float, factor: float) -> np.ndarray:
    """A patch (h, w) uint8 turned and scaled about its middle, with a margin of a quarter on every side."""
    h, w = patch.shape
    matrix = cv2.getRotationMatrix2D((w / 2, h / 2), degrees, factor)
    matrix[:, 2] += w // 4, h // 4
    return cv2.warpAffine(patch, matrix, (w + w // 4 * 2, h + h // 4 * 2))


def pressure(rng: np.random.Generator, shape: tuple[int, ...], grain: float) -> np.ndarray:
    """The share of its ink that a pen leaves from place to place: (h, w) float32, at most 1.

    grain: 0 for gel, up to 0.3 for a ball pen, 1 for a pencil on rough paper.
    """
    height, width = shape
    slow = cv2.resize(rng.random((3, 3 + width // 30), np.float32), (width, height))
    rough = cv2.blur(rng.random(shape, np.float32), (2, 2))
    return 1 - grain * (0.3 * slow + 0.4 * rough)


def font_line(
    rng: np.random.Generator, fonts: Sequence[Family], text: str, height: float, bold: float = 0.0
) -> np.ndarray | None:
    """Write text in one of the handwriting fonts, no two letters alike; None where no font has them all.

    Letters jump off a line that drifts, are turned, and differ in size: what is as even as type is print.
    bold: px that the strokes are made wider.
    """
    fonts = [f for f in fonts if f.covers(text)]
    if not fonts:
        return None
    s = SUPERSAMPLING
    family, size = fonts[rng.integers(len(fonts))], max(8, round(height * s * rng.uniform(1.0, 1.5)))
    canvas = np.zeros((size * 3, size * (len(text) + 2)), np.uint8)
    x, y = size * 0.5, size * 0.7
    uneven, drift = rng.uniform(0.2, 1.5), rng.normal(0, 0.012)  # how far from type this hand is
    for char in text:
        font = family.font(char, size)
        if font is None or char.isspace():
            x += size * 0.35
            continue
        bitmap, (dx, dy) = font.getmask2(char, mode="L")
        letter = np.array(bitmap, np.uint8).reshape(bitmap.size[::-1])
        patch = askew(letter, uneven * rng.normal(0, 3), 1 + uneven * rng.normal(0, 0.06))
        jump = size * uneven * rng.normal(0, 0.04) + drift * x
        top = max(0, int(y + dy - letter.shape[0] // 4 + jump))
        left = max(0, int(x + dx - letter.shape[1] // 4))
        view = canvas[top : top + patch.shape[0], left : left + patch.shape[1]]
        np.maximum(view, patch[: view.shape[0], : view.shape[1]], out=view)
        x += font.getlength(char) * rng.uniform(0.9, 1.1)
    if round(bold * s):
        canvas = cv2.dilate(canvas, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (round(bold * s) + 1,) * 2))
    bent = crop(warp(canvas.astype(np.float32) / 255, rng, uneven * size * 0.025, size * 0.6))
    return cv2.resize(bent, [max(1, round(n / s)) for n in bent.shape[::-1]], interpolation=cv2.INTER_AREA)


def hershey_line(rng: np.random.Generator, text: str, height: float, width: float) -> np.ndarray:
    """Write text in a one-stroke (Hershey) font and bend it: the thin, even line of a ball pen."""
    face, s = int(rng.choice(HERSHEY)), SUPERSAMPLING
    scale, thickness = height * s / 22, max(1, round(width * s))
    (w, h), base = cv2.getTextSize(text, face, scale, thickness)
    canvas = np.zeros((h + base + 4 * thickness, w + 4 * thickness), np.uint8)
    cv2.putText(canvas, text, (2 * thickness, h + thickness), face, scale, 255, thickness, cv2.LINE_AA)
    slanted = cv2.warpAffine(
        canvas, np.array([[1, -rng.normal(0.1, 0.15), h * 0.1], [0, 1, 0]], np.float32), canvas.shape[::-1]
    )
    bent = warp(slanted.astype(np.float32) / 255, rng, height * s * 0.07, height * s * 0.7)
    return crop(cv2.resize(bent, None, fx=1 / s, fy=1 / s, interpolation=cv2.INTER_AREA))


def real_piece(rng: np.random.Generator, bank: InkBank, height: float) -> np.ndarray:
    """Take a piece of real ink, brought to a page whose print is `height` px high."""
    piece = bank.pieces[rng.integers(len(bank.pieces))]
    factor = height / bank.piece_height * rng.uniform(0.8, 1.25)
    size = [max(2, round(n * factor)) for n in piece.shape[::-1]]
    return cv2.resize(piece, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)


def writing(rng: np.random.Generator, bank: InkBank, height: float, width: float) -> np.ndarray:
    """One piece of writing (a word, an answer, a line of working) as (h, w) float32 opacity in [0, 1].

    height: px of a written character. width: px of the pen.
    """
    kinds = {
        "hanzi": 3.0 * bool(bank.hanzi),
        "piece": 4.0 * bool(bank.pieces),
        "font": 2.5 * bool(bank.fonts),
        "hershey": 2.0,
        "scribble": 0.7 * bool(bank.scribbles),
    }
    weights = np.array(list(kinds.values()))
    kind = rng.choice(list(kinds), p=weights / weights.sum())
    if kind == "piece":
        return real_piece(rng, bank, height / 1.15)
    if kind in ("hanzi", "scribble"):
        source = bank.hanzi if kind == "hanzi" else bank.scribbles
        count = int(rng.integers(1, 12 if kind == "hanzi" else 4))
        finer = 0.75 if kind == "hanzi" else 1  # dense characters are written larger than letters, with the same pen
        return glyph_line(
            rng, [source[i] for i in rng.integers(len(source), size=count)], height / finer, width * finer
        )
    text = phrase(rng)
    line = font_line(rng, bank.fonts, text, height) if kind == "font" or not text.isascii() else None
    return line if line is not None else hershey_line(rng, str(rng.choice(words("formulae"))), height, width)


@dataclass(frozen=True)
class Hand:
    """How one person writes all over a page.

    chinese, latin: the fonts of a tidy hand; where empty, letters are drawn stroke by stroke. height: px of a
    character; width: px of the pen; bold: px by which it is wider than the font's.
    """

    chinese: Sequence[Family]
    latin: Sequence[Family]
    height: float
    width: float
    bold: float

    @classmethod
    def random(cls, rng: np.random.Generator, bank: InkBank, height: float, width: float) -> Hand:
        """Somebody's hand; with fonts more often than not, where the bank has any."""
        able = [[f for f in bank.fonts if f.covers(sample)] for sample in ("的一是", "aex12")]
        if rng.random() < 0.3:
            able = [[], []]
        chosen = [[fonts[rng.integers(len(fonts))]] if fonts else [] for fonts in able]
        return cls(chosen[0], chosen[1], height, width, bold=max(0.0, rng.normal(0, 0.035)) * height)

    def write(self, rng: np.random.Generator, bank: InkBank, room: float) -> np.ndarray | None:
        """A word, formula or line at most about `room` px wide: (h, w) float32 opacity; None where nothing fits."""
        letters = room / self.height
        if rng.random() < 0.5:
            count = int(min(letters / 1.1, rng.choice([2, 5, 12, 30])))
            line = self._chinese(rng, bank, count) if count else None
        else:
            fitting = [w for w in (phrase(rng) for _ in range(8)) if w.isascii() and 0.5 * len(w) <= letters]
            short = str(rng.choice(words("short"))) if rng.random() < 0.5 else str(rng.integers(0, 100))
            line = self._latin(rng, max(fitting, key=len) if fitting and letters > rng.choice([3, 6, 12]) else short)
        return line if line is not None and line.shape[1] <= 1.1 * room else None

    def _chinese(self, rng: np.random.Generator, bank: InkBank, count: int) -> np.ndarray | None:
        if self.chinese:
            text = "".join(rng.choice(common_hanzi(self.chinese[0]), count))
            return font_line(rng, self.chinese, text, self.height * 0.85, self.bold)
        if not bank.hanzi:
            return None
        glyphs = [bank.hanzi[i] for i in rng.integers(len(bank.hanzi), size=count)]
        return glyph_line(rng, glyphs, self.height, max(1.0, min(self.width * 0.75, 0.07 * self.height)))

    def _latin(self, rng: np.random.Generator, text: str) -> np.ndarray:
        line = font_line(rng, self.latin, text, self.height * 0.85, self.bold)
        return line if line is not None else hershey_line(rng, text, self.height * 0.9, self.width)


@lru_cache(maxsize=64)
def common_hanzi(family: Family) -> list[str]:
    """The characters of everyday use that a font has."""
    return [char for char in everyday_hanzi() if ord(char) in family.files]


def phrase(rng: np.random.Generator) -> str:
    """A short answer as somebody would write it: a formula, a few words, or digits."""
    kind = rng.random()
    if kind < 0.5:
        return str(rng.choice(words("formulae")))
    if kind < 0.65:
        return "".join(rng.choice(words("hanzi"), int(rng.integers(1, 10))))
    if kind < 0.85:
        return " ".join(rng.choice(words("answers"), int(rng.integers(1, 6))))
    signs = str(rng.choice([string.digits + ".+-=xy()", "01", "ABCD", string.digits + "ABCDEF", "TF"], p=SIGNS_OFTEN))
    return "".join(rng.choice(list(signs), int(rng.integers(1, 9))))


def mark(rng: np.random.Generator, size: float, width: float) -> np.ndarray:
    """A mark about `size` px wide: tick, cross, circle, underline, wave, strike-out, arrow, bracket or score."""
    t = np.linspace(0, 1, 24, dtype=np.float32)
    wavy = np.stack([t * 4, 0.08 * np.sin(t * rng.uniform(20, 60))], 1)
    turn = t * rng.uniform(5.8, 7.0) + rng.uniform(0, 6)
    scribble = np.stack([np.linspace(0, 2, 14), np.tile([0, 0.5], 7)], 1) + rng.normal(0, 0.08, (14, 2))
    shapes: list[Glyph] = [
        [np.array([[0, 0.5], [0.3, 1], [1.2, rng.uniform(-0.6, 0.1)]])],
        [np.array([[0, 0], [1, 1]]), np.array([[1, 0], [0, 1]])],
        [np.stack([np.cos(turn), rng.uniform(0.4, 1) * np.sin(turn)], 1)],
        [np.stack([t * rng.uniform(1, 8), 0.04 * np.sin(3 * t)], 1)],
        [wavy],
        [scribble],
        [np.array([[0, 0], [2, 0.2]]), np.array([[1.6, -0.1], [2, 0.2], [1.6, 0.5]])],
        [np.array([[0.2, 0], [0, 0.1], [0, 1], [0.2, 1.1]])],
        [np.array([[0, 0], [rng.uniform(1, 6), rng.normal(0, 0.1)]]), np.array([[0, 0.12], [rng.uniform(1, 6), 0.1]])],
    ]
    kind = int(rng.integers(len(shapes) + 1))
    if kind == len(shapes):
        return hershey_line(rng, str(rng.integers(0, 151)), size * 1.4, width)
    tremble = [(s + rng.normal(0, 0.025, s.shape)).astype(np.float32) * np.float32(size) for s in shapes[kind]]
    return warp(draw(tremble, width, rng), rng, size * 0.04, max(size * 0.6, 4))


def emphasis(rng: np.random.Generator, length: int, height: int, width: float) -> np.ndarray:
    """A pen's straight, double or wavy line `length` px long, or a ring round a word `height` px high."""
    t = np.linspace(0, 1, max(8, length // 4), dtype=np.float32)
    kind = rng.integers(5)
    level = 0.04 * height * np.sin(t * rng.uniform(2, 5))
    if kind == 0:
        turn = np.linspace(0, rng.uniform(6.2, 6.9), 40)
        strokes = [np.stack([(0.5 + 0.55 * np.cos(turn)) * length, (0.5 + 0.7 * np.sin(turn)) * height], 1)]
    elif kind == 1:
        strokes = [np.stack([t * length, 0.1 * height * np.sin(t * length / height * rng.uniform(6, 12))], 1)]
    else:
        strokes = [np.stack([t * length, level + step * height], 1) for step in (0, 0.15)[: 2 if kind == 2 else 1]]
    trembling = [(stroke + rng.normal(0, 0.012 * height, stroke.shape)).astype(np.float32) for stroke in strokes]
    return draw(trembling, width, rng)


def stroke(rng: np.random.Generator, length: int, width: float) -> np.ndarray:
    """A level line `length` px long, drawn freehand: (h, w) float32 opacity."""
    t = np.linspace(0, 1, max(4, length // 12))
    line = np.stack([t * length, rng.normal(0, 0.03) * length * t + rng.normal(0, 0.3, t.shape)], 1)
    return draw([line.astype(np.float32)], width, rng)


def crop(alpha: np.ndarray) -> np.ndarray:
    """Cut away the empty border of an opacity patch (at least one pixel is left)."""
    x, y, w, h = cv2.boundingRect((alpha > 0.05).astype(np.uint8))
    return alpha[y : y + max(h, 1), x : x + max(w, 1)]
