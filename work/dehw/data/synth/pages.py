"""Made-up exam pages: a printed sheet, handwriting on it, one camera over both. Gives image, gt and mask."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from dehw.data.materials import InkBank
from dehw.data.synth import blanks, pen, sketches
from dehw.data.synth.camera import photograph

INK_SEEN = 0.25  # opacity from which a pixel counts as handwriting


class Triple(NamedTuple):
    """image, gt: (H, W, 3) uint8, the page with and without handwriting. mask: (H, W) bool, True = to erase."""

    image: np.ndarray
    gt: np.ndarray
    mask: np.ndarray


class Worksheet:
    """A printed page being written on: keeps the page, the printed original and the mask of what was added.

    gt: (H, W, 3) uint8, its print about `print_height` px high. printed: its print without rules, (H, W) uint8.
    """

    def __init__(self, gt: np.ndarray, print_height: float = 20):
        self.gt, self.page = gt, gt.astype(np.float32)
        self.mask = np.zeros(gt.shape[:2], np.float32)
        dark = blanks.dark(gt)
        self.printed, self.taken = blanks.without_rules(dark, print_height), cv2.integral(dark)
        self.cells = blanks.cells(dark, print_height)

    def crowd(self, top: int, left: int, height: int, width: int) -> float:
        """Share of print in a box."""
        t = self.taken
        inside = t[top + height, left + width] - t[top, left + width] - t[top + height, left] + t[top, left]
        return float(inside) / (height * width)

    def place(self, rng: np.random.Generator, shape: tuple[int, ...], over_print: bool) -> tuple[int, int] | None:
        """A spot for a patch: free of print, or (`over_print`) crossing it; None where the page has none."""
        height, width = shape
        rows, columns = self.mask.shape[0] - height, self.mask.shape[1] - width
        if rows <= 0 or columns <= 0:
            return None
        spots = [(int(rng.integers(rows)), int(rng.integers(columns))) for _ in range(12)]
        crowds = [self.crowd(*spot, height, width) for spot in spots]
        best = int(np.argmax(crowds) if over_print else np.argmin(crowds))
        return spots[best] if over_print or crowds[best] < 0.02 else None

    def inside(self, spot: tuple[int, int], shape: tuple[int, ...]) -> tuple[int, int] | None:
        """`spot` if a patch of this shape fits there, else None."""
        fits = spot[0] + shape[0] <= self.mask.shape[0] and spot[1] + shape[1] <= self.mask.shape[1]
        return spot if fits else None

    def add(self, alpha: np.ndarray, colour: np.ndarray, spot: tuple[int, int], opacity: float | np.ndarray) -> None:
        """Lay ink on paper: it darkens as a filter does, so black print stays black under red ink.

        opacity: of the whole patch, or (h, w) of its pixels; the mask has what the pen touched however faintly.
        """
        box = np.s_[spot[0] : spot[0] + alpha.shape[0], spot[1] : spot[1] + alpha.shape[1]]
        layer = (alpha * opacity)[..., None]
        self.page[box] *= 1 - layer * (1 - colour / 255)
        self.mask[box] = np.maximum(self.mask[box], alpha)


def ink_colour(rng: np.random.Generator, kind: str) -> tuple[np.ndarray, float]:
    """RGB of a pen and its opacity."""
    base = {
        "black": (30, 30, 34),
        "blue": (30, 50, 150),
        "red": (200, 30, 40),
        "pencil": (95, 95, 98),
        "green": (20, 120, 60),
    }[kind]
    shade = rng.normal(0, 18) + rng.normal(0, 10, 3)
    colour = np.clip(np.array(base) + shade, 0, 235).astype(np.float32)
    return colour, float(rng.uniform(0.55, 0.85) if kind == "pencil" else rng.uniform(0.75, 1.0))


def trace(rng: np.random.Generator, sheet: Worksheet, alpha: np.ndarray, spot: tuple[int, int], kind: str) -> None:
    """Lay a pen's strokes on paper, unevenly: a pencil leaves grains, a ball pen skips a little."""
    colour, opacity = ink_colour(rng, kind)
    grain = rng.uniform(0.2, 1) if kind == "pencil" else rng.uniform(0, 0.3)
    sheet.add(alpha, colour, spot, opacity * pen.pressure(rng, alpha.shape, grain))


def stain(rng: np.random.Generator, size: int) -> np.ndarray:
    """A spot, smudge or ring of dirt as opacity (size, size) float32."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
    wave = cv2.resize(rng.normal(0, 0.15, (5, 5)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    radius = np.hypot(x, y * rng.uniform(0.8, 2.0)) + wave
    if rng.random() < 0.4:
        return np.exp(-(((radius - 0.7) / rng.uniform(0.04, 0.12)) ** 2)).astype(np.float32)
    return (1 / (1 + np.exp((radius - 0.6) * rng.uniform(8, 40)))).astype(np.float32)


class Pupil(NamedTuple):
    """Who answers a page: a hand, and the pen it holds."""

    hand: pen.Hand
    kind: str

    def pick(self, rng: np.random.Generator) -> str:
        """The pen for the next word: seldom another one."""
        return self.kind if rng.random() < 0.95 else str(rng.choice(["red", "blue", "green", "black"]))


def answer(rng: np.random.Generator, sheet: Worksheet, bank: InkBank, pupil: Pupil, print_height: float) -> None:
    """Fill blanks, brackets and cells, underline and circle words of the questions, now and then strike one out."""
    runs = blanks.text_runs(sheet.printed, print_height)
    share = rng.choice([0.3, 0.6, 0.95])
    for x, y, w, h in blanks.gaps(sheet.printed, runs, print_height) + sheet.cells:
        if rng.random() > share:
            continue
        alpha = pupil.hand.write(rng, bank, w)
        if alpha is None:
            continue
        slack = w - alpha.shape[1]
        left = x + max(
            0, int(slack * rng.uniform(0.2, 0.8) if slack < 4 * print_height else rng.uniform(0, print_height))
        )
        top = round(y + (h - alpha.shape[0]) / 2 + rng.normal(0, 0.12) * print_height)
        lay(rng, sheet, alpha, (top, left), pupil, print_height)
    for _ in range(int(rng.poisson(rng.choice([0, 2, 6])) if runs else 0)):
        x, y, w, h = runs[rng.integers(len(runs))]
        span = int(min(w, rng.uniform(1, 8) * print_height))
        alpha = pen.emphasis(rng, span, h, pupil.hand.width)
        x += int(rng.integers(w - span + 1))
        lay(rng, sheet, alpha, (y + h - alpha.shape[0] + round(0.3 * h), x), pupil, print_height)


def work_out(rng: np.random.Generator, sheet: Worksheet, bank: InkBank, pupil: Pupil, print_height: float) -> None:
    """Fill free space with lines of working or an essay."""
    hand = pupil.hand
    for _ in range(int(rng.choice([1, 3, 6, 10]))):
        block = blanks.free_block(rng, cv2.integral(sheet.printed | (sheet.mask > INK_SEEN)), print_height)
        if block is None:
            return
        pitch, indent = hand.height * rng.uniform(1.25, 1.8), 0.0
        for y in np.arange(block.y, block.y + block.h - pitch, pitch):
            indent = indent if rng.random() < 0.7 else rng.uniform(0, 0.15) * block.w
            x, end = block.x + indent, block.x + block.w * rng.choice([0.4, 0.8, 1.0])
            while end - x > hand.height:
                alpha = hand.write(rng, bank, end - x)
                if alpha is None:
                    break
                top = round(y + (pitch - alpha.shape[0]) / 2 + rng.normal(0, 0.05) * pitch)
                lay(rng, sheet, alpha, (top, int(x)), pupil, print_height)
                x += alpha.shape[1] + hand.height * rng.uniform(0.2, 0.8)


def lay(
    rng: np.random.Generator, sheet: Worksheet, alpha: np.ndarray, spot: tuple[int, int], who: Pupil, height: float
) -> None:
    """Put writing on the page where it fits, now and then struck out."""
    if min(spot) < 0 or not sheet.inside(spot, alpha.shape):
        return
    if rng.random() < 0.04 and min(alpha.shape) > 4:
        line = pen.emphasis(rng, alpha.shape[1], alpha.shape[0], who.hand.width)[: alpha.shape[0], : alpha.shape[1]]
        middle = (alpha.shape[0] - line.shape[0]) // 2
        alpha[middle : middle + line.shape[0], : line.shape[1]] = np.maximum(
            alpha[middle : middle + line.shape[0], : line.shape[1]], line
        )
    trace(rng, sheet, alpha, spot, who.pick(rng))


def scatter(rng: np.random.Generator, sheet: Worksheet, bank: InkBank, pupil: Pupil, print_height: float) -> None:
    """Write anything anywhere, over print too, by whatever hands the bank has."""
    area = sheet.mask.size / print_height**2
    hand, below = pupil.hand, None
    for _ in range(round(rng.choice([0, 0.2, 0.7]) * area / 200)):
        alpha = pen.writing(rng, bank, hand.height * rng.uniform(0.85, 1.15), hand.width * rng.uniform(0.9, 1.1))
        spot = sheet.place(rng, alpha.shape, rng.random() < 0.25)
        if below and rng.random() < 0.6:  # the next line of the same working
            spot = sheet.inside(below, alpha.shape) or spot
        if spot:
            trace(rng, sheet, alpha, spot, pupil.pick(rng))
            below = spot[0] + round(hand.height * rng.uniform(1.2, 1.7)), spot[1]


def draw_figures(rng: np.random.Generator, sheet: Worksheet, pupil: Pupil, print_height: float) -> None:
    """Figures by hand beside the working, seldom over a printed one."""
    for _ in range(int(rng.choice([0, 1, 3], p=[0.5, 0.3, 0.2]))):
        letters, width = (rng.uniform(0.6, 1) * of for of in (pupil.hand.height, pupil.hand.width))
        alpha = sketches.sketch(rng, print_height * rng.uniform(4, 14), letters, width)
        spot = sheet.place(rng, alpha.shape, rng.random() < 0.2)
        if spot:
            trace(rng, sheet, alpha, spot, pupil.pick(rng))


def correct(rng: np.random.Generator, sheet: Worksheet, teacher: str, print_height: float) -> None:
    """Ticks, crosses, scores and circles."""
    area = sheet.mask.size / print_height**2
    for _ in range(int(rng.poisson(area / 900 * rng.choice([0, 1, 3])))):
        size = print_height * rng.choice([0.8, 1.5, 3.0], p=[0.45, 0.35, 0.2])
        alpha = pen.mark(rng, size, max(1.0, print_height * rng.uniform(0.06, 0.2)))
        spot = sheet.place(rng, alpha.shape, rng.random() < 0.6)
        if spot:
            trace(rng, sheet, alpha, spot, teacher)


def soil(rng: np.random.Generator, sheet: Worksheet, print_height: float) -> None:
    """Stains, smudges and the holes of a punch, on the page alone."""
    if rng.random() < 0.05:
        y, x = np.mgrid[-1:1:15j, -1:1:15j]
        hole = cv2.resize((np.hypot(x, y) < 0.9).astype(np.float32), (round(print_height * 1.3),) * 2)
        for share in (0.4, 0.6):
            spot = sheet.inside((int(share * len(sheet.page)), round(print_height * 0.7)), hole.shape)
            if spot:
                sheet.add(hole, np.full(3, rng.uniform(20, 200), np.float32), spot, 1.0)
    for _ in range(int(rng.poisson(0.25))):
        alpha = stain(rng, max(4, round(print_height * rng.uniform(0.4, 5))))
        spot = sheet.place(rng, alpha.shape, rng.random() < 0.5)
        if spot:
            brown = np.array([150, 110, 60], np.float32) + rng.normal(0, 25, 3).astype(np.float32)
            sheet.add(alpha, brown, spot, rng.uniform(0.25, 0.7))


def write_on(rng: np.random.Generator, sheet: Worksheet, bank: InkBank, print_height: float) -> None:
    """Answer, mark and stain a page: one pupil's pen, one hand, one red pen, now and then another."""
    kind = rng.choice(["black", "blue", "pencil", "red"], p=[0.55, 0.22, 0.17, 0.06])
    width = max(1.0, print_height * rng.uniform(0.06, 0.15))
    pupil = Pupil(pen.Hand.random(rng, bank, print_height * rng.uniform(0.85, 1.7), width), kind)
    draw_figures(rng, sheet, pupil, print_height)
    if rng.random() < 0.9:
        answer(rng, sheet, bank, pupil, print_height)
        work_out(rng, sheet, bank, pupil, print_height)
    scatter(rng, sheet, bank, pupil, print_height)
    correct(rng, sheet, "red" if rng.random() < 0.75 else kind, print_height)
    soil(rng, sheet, print_height)


def make_page(rng: np.random.Generator, printed: np.ndarray, bank: InkBank, print_height: float) -> Triple:
    """Write on a printed page and photograph it.

    printed: (H, W, 3) uint8, its print about `print_height` px high. Returns a Triple of the same size.
    """
    sheet = Worksheet(printed, print_height)
    write_on(rng, sheet, bank, print_height)
    image, gt, mask = photograph(rng, sheet.page.clip(0, 255).astype(np.uint8), printed, sheet.mask)
    return Triple(image, gt, mask > INK_SEEN)
