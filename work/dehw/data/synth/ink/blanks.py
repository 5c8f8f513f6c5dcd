"""Where a pupil writes on a printed page: in blanks, brackets and cells, under its words, in its free space."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

DARK = 200  # grey level below which a pixel of a printed page counts as print
TRIES = 40  # places tried for one free block


class Room(NamedTuple):
    """A part of a page in px: left, top, width, height."""

    x: int
    y: int
    w: int
    h: int


def dark(gt: np.ndarray) -> np.ndarray:
    """Where something is printed on a page that is not yet photographed: (H, W, 3) uint8 -> (H, W) uint8, 0 or 1."""
    red, green, blue = cv2.split(gt)
    return (cv2.min(cv2.min(red, green), blue) < DARK).astype(np.uint8)  # numpy's min over colours takes far longer


def without_rules(printed: np.ndarray, print_height: float) -> np.ndarray:
    """`printed`, (H, W) uint8 of 0 and 1, without its long rules, for answers stand on them."""
    return printed & ~cv2.morphologyEx(printed, cv2.MORPH_OPEN, _box(2.5 * print_height, 1))


def text_runs(printed: np.ndarray, print_height: float) -> list[Room]:
    """Runs of print without a gap wider than most of a character: words, and lines up to their next blank."""
    joined = cv2.morphologyEx(printed, cv2.MORPH_CLOSE, _box(0.7 * print_height, 0.25 * print_height))
    stats = cv2.connectedComponentsWithStats(joined)[2][1:, :4]
    low, high = 0.5 * print_height, 2.2 * print_height
    return [Room(*map(int, box)) for box in stats if low <= box[3] <= high and box[2] >= low / 2]


def gaps(printed: np.ndarray, runs: list[Room], print_height: float) -> list[Room]:
    """Free room at the end of runs, up to the next print of the line: blanks, brackets, ends of lines."""
    width = printed.shape[1]
    found = []
    for x, y, w, h in runs:
        start = x + w
        columns = np.flatnonzero(printed[y : y + h, start:].any(axis=0))
        room = int(columns[0]) if len(columns) else width - start - round(2 * print_height)
        if room >= 1.1 * print_height:
            found.append(Room(start, y, room, h))
    return found


def cells(printed: np.ndarray, print_height: float) -> list[Room]:
    """Empty cells of tables, a line of writing to a few high: paper with a frame about it and nothing in it."""
    stats = cv2.connectedComponentsWithStats(1 - printed)[2][1:]
    low, high, wide = 1.2 * print_height, 5 * print_height, 25 * print_height
    return [
        Room(*map(int, (x, y, w, h)))
        for x, y, w, h, area in stats
        if low <= h <= high and low <= w <= wide and area > 0.98 * w * h
    ]


def boxes(printed: np.ndarray, print_height: float) -> list[Room]:
    """Small empty squares: boxes to tick, and characters that look like one."""
    stats = cv2.connectedComponentsWithStats(1 - printed)[2][1:]
    low, high = 0.5 * print_height, 1.3 * print_height
    return [
        Room(*map(int, (x, y, w, h)))
        for x, y, w, h, area in stats
        if low <= h <= high and low <= w <= high and 0.8 < w / h < 1.25 and area > 0.95 * w * h
    ]


def free_block(rng: np.random.Generator, taken: np.ndarray, print_height: float) -> Room | None:
    """The largest of some random boxes without anything in them, at least two lines high; None where none is free.

    taken: integral image (H + 1, W + 1) of what is on the page.
    """
    height, width = (n - 1 for n in taken.shape)
    best = None
    for _ in range(TRIES):
        w = round(rng.uniform(4, max(4, min(34, 0.9 * width / print_height))) * print_height)
        h = round(rng.uniform(2.5, 14) * print_height)
        if w >= width or h >= height:
            continue
        x, y = int(rng.integers(width - w)), int(rng.integers(height - h))
        full = taken[y + h, x + w] - taken[y, x + w] - taken[y + h, x] + taken[y, x]
        if not full and (best is None or w * h > best.w * best.h):
            best = Room(x, y, w, h)
    return best


def _box(width: float, height: float) -> np.ndarray:
    """A kernel of about this size in px; an even one would shift what it is used on."""
    return np.ones((round(height) | 1, round(width) | 1), np.uint8)
