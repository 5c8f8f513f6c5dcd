"""Who writes on a page: one hand all over it, one to three pens, and now and then a teacher with another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import cv2
import numpy as np

from dehw.data.materials import InkBank
from dehw.data.synth.ink import pen
from dehw.data.synth.worksheet import Worksheet

# kind of pen: RGB, opacity from and to, grain from and to (see pen.pressure), how often a pupil has it
PENS: dict[str, tuple[tuple[int, int, int], tuple[float, float], tuple[float, float], float]] = {
    "black": ((30, 30, 34), (0.75, 1.0), (0, 0.3), 0.36),
    "blue": ((30, 50, 150), (0.75, 1.0), (0, 0.3), 0.22),
    "pencil": ((95, 95, 98), (0.45, 0.85), (0.2, 1), 0.17),
    "faint": ((70, 75, 110), (0.25, 0.5), (0, 0.6), 0.08),
    "tablet": ((20, 60, 230), (1.0, 1.0), (0, 0), 0.08),
    "red": ((200, 30, 40), (0.75, 1.0), (0, 0.3), 0.06),
    "green": ((20, 120, 60), (0.75, 1.0), (0, 0.3), 0.03),
}
PURE = ((255, 0, 0), (0, 0, 255), (0, 0, 0), (0, 160, 255), (255, 0, 255), (0, 170, 0), (100, 160, 255))  # of tablets
HURRY = 0.04  # share of words that are struck out again


def ink_colour(rng: np.random.Generator, kind: str) -> tuple[np.ndarray, float]:
    """RGB of a kind of pen, (3,) float32, and its opacity."""
    base, opacity, *_ = PENS[kind]
    shade = rng.normal(0, 18) + rng.normal(0, 10, 3)
    return np.clip(np.array(base) + shade, 0, 235).astype(np.float32), float(rng.uniform(*opacity))


@dataclass(frozen=True)
class Pen:
    """colour: (3,) float32 RGB. opacity: in [0, 1]. grain: see pen.pressure. covers: see Worksheet.add."""

    colour: np.ndarray
    opacity: float
    grain: float
    covers: bool = False

    @classmethod
    def random(cls, rng: np.random.Generator, kind: str = "") -> Pen:
        """A pen of this kind, of any without."""
        shares = [share for *_, share in PENS.values()]
        kind = kind or str(rng.choice(list(PENS), p=np.array(shares) / sum(shares)))
        if kind == "tablet":
            return cls(np.array(PURE[rng.integers(len(PURE))], np.float32), 1.0, 0.0, covers=True)
        return cls(*ink_colour(rng, kind), float(rng.uniform(*PENS[kind][2])))

    def trace(self, rng: np.random.Generator, sheet: Worksheet, alpha: np.ndarray, spot: tuple[int, int]) -> None:
        """Lay strokes on paper, unevenly: a pencil leaves grains, a ball pen skips a little."""
        if self.covers:  # hard edges
            alpha = (1.6 * alpha - 0.3).clip(0, 1)
        sheet.add(alpha, self.colour, spot, self.opacity * pen.pressure(rng, alpha.shape, self.grain), self.covers)


@dataclass(frozen=True, eq=False)
class Writer:
    """One person: a hand, pens, and where the bank has real ink, all of it by one person.

    real: how often a word is real ink, where there is any. scale: what real pieces are resized by.
    """

    hand: pen.Hand
    pens: Sequence[Pen]
    bank: InkBank
    real: float
    scale: float

    @classmethod
    def random(cls, rng: np.random.Generator, bank: InkBank, height: float, kinds: Sequence[str] = ("",)) -> Writer:
        """Somebody with pens of these kinds, on a page whose print is `height` px high."""
        bank = bank.of_one_writer(rng)
        width = max(1.0, height * rng.uniform(0.05, 0.15))
        hand = pen.Hand.random(rng, bank, height * rng.uniform(0.85, 1.7), width)
        pens = [Pen.random(rng, kind) for kind in kinds]
        return cls(hand, pens, bank, float(rng.choice([0, 0.6, 1])), height / bank.piece_height * rng.uniform(0.8, 1.4))

    def sized(self, height: float) -> Writer:
        """The same person writing characters `height` px high."""
        factor = height / self.hand.height
        bold = self.hand.bold * factor
        return replace(self, hand=replace(self.hand, height=height, bold=bold), scale=self.scale * factor)

    def pick(self, rng: np.random.Generator) -> Pen:
        """The pen for the next stroke: mostly the first."""
        return self.pens[0 if rng.random() < 0.85 else rng.integers(len(self.pens))]

    @cached_property
    def pieces(self) -> list[np.ndarray]:
        """The widths and heights of the real pieces, (h, w) px on this page."""
        return [np.array(piece.shape) * self.scale for piece in self.bank.pieces]

    def word(self, rng: np.random.Generator, room: float) -> np.ndarray | None:
        """Any writing at most about `room` px wide: (h, w) float32 opacity; None where nothing fits."""
        if self.bank.pieces and rng.random() < self.real:
            for number in rng.integers(len(self.pieces), size=12):
                h, w = self.pieces[number]
                like_words = w > 1.2 * h > 0.4 * self.hand.height  # rather than dots, dashes and signs
                fits = w <= room and h <= min(3 * self.hand.height, 1.8 * w + 0.6 * self.hand.height)
                if fits and (like_words or rng.random() < 0.3):
                    size = (max(2, round(w)), max(2, round(h)))
                    way = cv2.INTER_AREA if self.scale < 1 else cv2.INTER_LINEAR
                    return cv2.resize(self.bank.pieces[number], size, interpolation=way)
        return self.hand.write(rng, self.bank, room)

    def say(self, rng: np.random.Generator, text: str) -> np.ndarray:
        """This text, or as many Chinese characters where no font of the hand has it: (h, w) float32 opacity."""
        fonts = [*self.hand.latin, *self.hand.chinese]
        line = pen.font_line(rng, fonts, text, self.hand.height * 0.85, self.hand.bold)
        if line is None and not text.isascii() and self.bank.hanzi:
            glyphs = [self.bank.hanzi[i] for i in rng.integers(len(self.bank.hanzi), size=len(text))]
            line = pen.glyph_line(rng, glyphs, self.hand.height, max(1.0, 0.75 * self.hand.width))
        if line is None:
            text = text if text.isascii() else "x" * len(text)
            line = pen.hershey_line(rng, text, self.hand.height * 0.9, self.hand.width)
        return line

    def lay(self, rng: np.random.Generator, sheet: Worksheet, alpha: np.ndarray | None, spot: tuple[int, int]) -> None:
        """Put writing on the page, now and then struck out; nothing where there is none."""
        if alpha is None:
            return
        if rng.random() < HURRY and min(alpha.shape) > 4:
            height, width = alpha.shape
            line = pen.emphasis(rng, width, height, self.hand.width)[:height, :width]
            middle = (height - line.shape[0]) // 2
            view = alpha[middle : middle + line.shape[0], : line.shape[1]]
            np.maximum(view, line, out=view)
        self.pick(rng).trace(rng, sheet, alpha, spot)


Step = Callable[[np.random.Generator, Worksheet, Writer], None]  # writes on the sheet
