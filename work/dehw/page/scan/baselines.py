"""The last of a page's tilt and curl, by its lines of text, each of which should run straight and level."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.polynomial import legendre

from dehw.page import layout
from dehw.page.layout import Read
from dehw.page.scan.warp import Warp

LONG, FEW = 2.5, 4  # heights that a line is long from; how many such lines tell how a page is curled
POINTS = 12  # of each line
ACROSS, DOWN = 5, 3  # degrees of the surface by which points move up and down
STIFF = 1e-4  # what the surface's waves cost, the more the finer they are
OUTLIER = 2.0  # px of the detector's copy; points further off the surface count less than half
ROUNDS = 10  # of the fit without outliers
ANCHOR = 40.0  # points of text that a sheet's own edge, straight already, counts as much as
LEAST, GUESSED = 0.7, 3.0  # px of the copy below which a page stays as it is: with a sheet's edges in sight, without
MOST = 0.04  # of the copy's height; more is no curl, but lines misread

Surface = Callable[[np.ndarray, np.ndarray], np.ndarray]  # x and y in [-1, 1] -> px by which points lie too low


def levelled(warp: Warp, photo: np.ndarray, read: Read, top: bool, bottom: bool) -> Warp:
    """A warp after which the page's lines of text run straight and level.

    photo: (H, W, 3) uint8 RGB; read: see Reader.lines; top, bottom: whether these edges of the page are a sheet's, so
    that nothing of it lies beyond.
    """
    height, width = warp.size
    copy = warp.smaller(layout.SIDE)
    likely, scale = layout.line_map(copy(photo), read)
    small = scale * copy.size[1] / width
    surface = fit(centres(likely), likely.shape, top, bottom)
    if surface is None:
        return warp

    def low(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return surface(2 * x / width - 1, 2 * y / height - 1) / small

    row = np.linspace(0, width, 50)
    above = 0 if top else round(max(0.0, low(row, np.zeros(50)).max()))
    below = 0 if bottom else round(max(0.0, -low(row, np.full(50, height)).min()))

    def place(points: np.ndarray) -> np.ndarray:
        x, y = points[..., 0], points[..., 1] - above
        return np.stack([x, y + low(x, y)], -1)

    return warp.after((height + above + below, width), place)


def centres(likely: np.ndarray) -> list[np.ndarray]:
    """Points along the middle of each long line of text, (POINTS, 2) float x, y. likely: see layout.line_map."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(likely, connectivity=8)
    found = []
    for number, (left, top, width, height, area) in enumerate(stats[1:count], 1):
        thick = area / width
        if width < LONG * max(thick, 2) or width < POINTS:
            continue
        part = labels[top : top + height, left : left + width] == number
        inner = part[:, round(thick / 2) : width - round(thick / 2)]  # the ends are round
        weight = inner.sum(0)
        total = (inner * np.arange(height)[:, None]).sum(0)
        starts = np.linspace(0, inner.shape[1], POINTS, endpoint=False).astype(int)
        y = np.add.reduceat(total, starts) / np.maximum(np.add.reduceat(weight, starts), 1)
        x = (starts + np.append(starts[1:], inner.shape[1])) / 2
        found.append(np.stack([left + round(thick / 2) + x, top + y], 1))
    return found


def fit(lines: list[np.ndarray], size: tuple[int, ...], top: bool, bottom: bool) -> Surface | None:
    """The smooth surface by which lines leave the straight and level; None where too few tell, or it is not worth it.

    lines: their points, (N, 2) px of a page of (height, width). top, bottom: whether these edges are straight already.
    """
    if len(lines) < FEW:
        return None
    half = np.array(size[::-1]) / 2
    bases, values, weights = [], [], []
    across = np.linspace(0, size[1], POINTS)
    edges = [np.stack([across, np.full(POINTS, y)], 1) for y in [0.0] * top + [float(size[0])] * bottom]
    for line in [*lines, *edges]:
        x, y = (line / half - 1).T
        base = _base(x, np.full_like(y, y.mean()))
        bases.append(base - base.mean(0))
        values.append(line[:, 1] - line[:, 1].mean())
        weights.append(np.full(len(line), np.ptp(line[:, 0]) / size[1]))
    for weight in weights[len(lines) :]:
        weight *= ANCHOR / POINTS
    base, value, weight = np.concatenate(bases), np.concatenate(values), np.concatenate(weights)
    waves = np.add.outer(np.arange(1, ACROSS + 1), np.arange(DOWN + 1)).ravel()
    stiff = np.diag(STIFF * weight.sum() * waves.astype(float) ** 4)
    counted = weight
    for _ in range(ROUNDS):
        moved = np.linalg.solve((base * counted[:, None]).T @ base + stiff, base.T @ (counted * value))
        counted = weight / (1 + ((value - base @ moved) / OUTLIER) ** 2)

    def surface(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return _base(x.clip(-1, 1), y.clip(-1, 1)) @ moved

    most = np.abs(surface(*np.meshgrid(np.linspace(-1, 1, 20), np.linspace(-1, 1, 20)))).max()
    return surface if (LEAST if top or bottom else GUESSED) <= most <= MOST * size[0] else None


def _base(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """The surface's waves at points: (..., ACROSS * (DOWN + 1)); none that moves whole rows."""
    across, down = legendre.legvander(x, ACROSS)[..., 1:], legendre.legvander(y, DOWN)
    return (across[..., :, None] * down[..., None, :]).reshape(*x.shape, -1)
