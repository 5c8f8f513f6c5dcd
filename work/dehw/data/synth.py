"""Made-up exam pages: a printed sheet, handwriting on it, one camera over both. Gives image, gt and mask."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from dehw.data import pen
from dehw.data.camera import photograph
from dehw.data.materials import InkBank

INK_SEEN = 0.25  # opacity from which a pixel counts as handwriting


class Triple(NamedTuple):
    """image, gt: (H, W, 3) uint8, the page with and without handwriting. mask: (H, W) bool, True = to erase."""

    image: np.ndarray
    gt: np.ndarray
    mask: np.ndarray


class Paper:
    """A printed page being written on: keeps the page, the printed original and the mask of what was added."""

    def __init__(self, gt: np.ndarray):
        self.gt, self.page = gt, gt.astype(np.float32)
        self.mask = np.zeros(gt.shape[:2], np.float32)
        self.taken = cv2.integral((gt.min(axis=2) < 200).astype(np.uint8))

    def crowd(self, top: int, left: int, height: int, width: int) -> float:
        """Share of print in a box."""
        t = self.taken
        inside = t[top + height, left + width] - t[top, left + width] - t[top + height, left] + t[top, left]
        return float(inside) / (height * width)

    def place(self, rng: np.random.Generator, shape: tuple[int, int], over_print: bool) -> tuple[int, int] | None:
        """A spot for a patch: free of print, or (`over_print`) crossing it; None where the page has none."""
        height, width = shape
        rows, columns = self.mask.shape[0] - height, self.mask.shape[1] - width
        if rows <= 0 or columns <= 0:
            return None
        spots = [(int(rng.integers(rows)), int(rng.integers(columns))) for _ in range(12)]
        crowds = [self.crowd(*spot, height, width) for spot in spots]
        best = int(np.argmax(crowds) if over_print else np.argmin(crowds))
        return spots[best] if over_print or crowds[best] < 0.02 else None

    def inside(self, spot: tuple[int, int], shape: tuple[int, int]) -> tuple[int, int] | None:
        """`spot` if a patch of this shape fits there, else None."""
        fits = spot[0] + shape[0] <= self.mask.shape[0] and spot[1] + shape[1] <= self.mask.shape[1]
        return spot if fits else None

    def add(self, alpha: np.ndarray, colour: np.ndarray, spot: tuple[int, int], opacity: float) -> None:
        """Lay ink on paper: it darkens as a filter does, so black print stays black under red ink."""
        box = np.s_[spot[0] : spot[0] + alpha.shape[0], spot[1] : spot[1] + alpha.shape[1]]
        layer = (alpha * opacity)[..., None]
        self.page[box] *= 1 - layer * (1 - colour / 255)
        self.mask[box] = np.maximum(self.mask[box], alpha)


def ink_colour(rng: np.random.Generator, kind: str) -> tuple[np.ndarray, float]:
    """RGB of a pen and its opacity."""
    base = {
        "black": (25, 25, 30),
        "blue": (30, 50, 150),
        "red": (200, 30, 40),
        "pencil": (95, 95, 98),
        "green": (20, 120, 60),
    }[kind]
    colour = np.clip(np.array(base) + rng.normal(0, 15, 3), 0, 235).astype(np.float32)
    return colour, float(rng.uniform(0.55, 0.85) if kind == "pencil" else rng.uniform(0.75, 1.0))


def stain(rng: np.random.Generator, size: int) -> np.ndarray:
    """A spot, smudge or ring of dirt as opacity (size, size) float32."""
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j].astype(np.float32)
    wave = cv2.resize(rng.normal(0, 0.15, (5, 5)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    radius = np.hypot(x, y * rng.uniform(0.8, 2.0)) + wave
    if rng.random() < 0.4:
        return np.exp(-(((radius - 0.7) / rng.uniform(0.04, 0.12)) ** 2)).astype(np.float32)
    return (1 / (1 + np.exp((radius - 0.6) * rng.uniform(8, 40)))).astype(np.float32)


def write_on(rng: np.random.Generator, paper: Paper, bank: InkBank, print_height: float) -> None:
    """Answer, mark and stain a page: one pupil's pen, one hand, one red pen, now and then another."""
    area = paper.mask.size / print_height**2
    pupil = rng.choice(["black", "blue", "pencil", "red"], p=[0.55, 0.27, 0.1, 0.08])
    pen_width = print_height * rng.uniform(0.06, 0.15)
    hand = print_height * rng.uniform(0.9, 1.7)
    amount = rng.choice([0.15, 0.6, 1.2, 2.2], p=[0.15, 0.35, 0.35, 0.15])
    below = None
    for _ in range(round(amount * area / 200)):
        alpha = pen.writing(rng, bank, hand * rng.uniform(0.85, 1.15), max(1.0, pen_width * rng.uniform(0.9, 1.1)))
        spot = paper.place(rng, alpha.shape, rng.random() < 0.18)
        if below and rng.random() < 0.6:  # the next line of the same working
            spot = paper.inside(below, alpha.shape) or spot
        if spot:
            colour, opacity = ink_colour(
                rng, pupil if rng.random() < 0.93 else rng.choice(["red", "blue", "green", "black"])
            )
            paper.add(alpha, colour, spot, opacity)
            below = spot[0] + round(hand * rng.uniform(1.2, 1.7)), spot[1]
    teacher = "red" if rng.random() < 0.75 else pupil
    for _ in range(int(rng.poisson(area / 900 * rng.choice([0, 1, 3])))):
        size = print_height * rng.choice([0.8, 1.5, 3.0], p=[0.45, 0.35, 0.2])
        alpha = pen.mark(rng, size, max(1.0, print_height * rng.uniform(0.06, 0.2)))
        spot = paper.place(rng, alpha.shape, rng.random() < 0.6)
        if spot:
            colour, opacity = ink_colour(rng, teacher)
            paper.add(alpha, colour, spot, opacity)
    for _ in range(int(rng.poisson(0.25))):
        alpha = stain(rng, max(4, round(print_height * rng.uniform(0.4, 5))))
        spot = paper.place(rng, alpha.shape, rng.random() < 0.5)
        if spot:
            paper.add(
                alpha,
                np.float32([150, 110, 60]) + rng.normal(0, 25, 3).astype(np.float32),
                spot,
                rng.uniform(0.25, 0.7),
            )


def make_page(rng: np.random.Generator, printed: np.ndarray, bank: InkBank, print_height: float) -> Triple:
    """Write on a printed page and photograph it.

    printed: (H, W, 3) uint8, its print about `print_height` px high. Returns a Triple of the same size.
    """
    paper = Paper(printed)
    write_on(rng, paper, bank, print_height)
    image, gt, mask = photograph(rng, paper.page.clip(0, 255).astype(np.uint8), printed, paper.mask)
    return Triple(image, gt, mask > INK_SEEN)
