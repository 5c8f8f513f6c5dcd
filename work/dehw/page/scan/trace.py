"""The sides of a sheet as they are in a photo, curled as paper is: each traced along its edge."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.polynomial import Chebyshev, Polynomial

from dehw.page.scan.find import LIGHT, Quad, without_print

SIDE = 1600  # px; longer side of the copy that sides are traced on
SAMPLES = 256  # along a side
STROKE = 9  # px of the copy, see find.STROKE
WEAK = 1.2  # levels a px; an edge of so much counts half
SMOOTH = 2.0  # px; deviation of the blur across a side before its edge is sought
# A side is traced again and again: first about the straight line, then about the curve found. Shares of the mean side
# that are searched to either side, degree of the curve, and what of its ends does not count: wrong corners spoil them.
PASSES = ((0.06, 3, 0.06), (0.025, 5, 0.02), (0.012, 7, 0.005))
TURN = 0.15  # what a px of turning costs a path, from one sample to the next, in units of a clear edge
OUTLIER = 3.0  # px of the copy; samples further from the curve do not count
ROUNDS = 6  # of the fit without outliers
ASTRAY = 0.08  # of the mean side; a corner that moves further was none


@dataclass(frozen=True)
class Side:
    """A side of a sheet, from corner to corner: a straight line, and how far the paper leaves it.

    start, end: (2,) px of the photo. bend: px to the right of the way from start to end, over [0, 1] of it.
    """

    start: np.ndarray
    end: np.ndarray
    bend: Polynomial | Chebyshev

    def __call__(self, t: np.ndarray | float) -> np.ndarray:
        """Points at shares t of the way, (...,) -> (..., 2)."""
        way = self.end - self.start
        return self.start + np.multiply.outer(t, way) + np.multiply.outer(self.bend(t), self.normal)

    @property
    def normal(self) -> np.ndarray:
        """The unit vector to the right of the way; out of the sheet, it points the other way."""
        x, y = (self.end - self.start) / np.linalg.norm(self.end - self.start)
        return np.array([-y, x])

    def between(self, start: np.ndarray, end: np.ndarray) -> Side:
        """The same side from another corner to another one."""
        way, points = end - start, self(np.linspace(0, 1, 33))
        x, y = way / np.linalg.norm(way)
        along = (points - start) @ way / (way @ way)
        away = (points - start) @ np.array([-y, x])
        return Side(start, end, Chebyshev.fit(along, away, max(1, self.bend.degree()), domain=[0, 1]))


@dataclass(frozen=True)
class Outline:
    """A sheet's sides in a photo: top, right, bottom, left, clockwise, each ending where the next one starts."""

    sides: tuple[Side, ...]
    seen: tuple[bool, ...]

    @property
    def corners(self) -> np.ndarray:
        """(4, 2) px of the photo, clockwise from the upper left."""
        return np.stack([side.start for side in self.sides])


def trace(photo: np.ndarray, quad: Quad) -> Outline:
    """Trace the sides of a sheet in a photo, (H, W, 3) uint8 RGB; those that are not seen stay straight."""
    scale = min(1.0, SIDE / max(photo.shape[:2]))
    size = tuple(max(1, round(side * scale)) for side in photo.shape[1::-1])
    copy = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    corners = (quad.corners + 0.5) * scale - 0.5
    sides = [Side(one, other, Polynomial([0.0])) for one, other in zip(corners, np.roll(corners, -1, axis=0))]
    mean = float(np.mean([np.linalg.norm(side.end - side.start) for side in sides]))
    for reach, degree, margin in PASSES:
        sides = [
            _traced(copy, side, round(reach * mean), degree, margin) if seen else side
            for side, seen in zip(sides, quad.seen)
        ]
        met = np.stack([_meeting(sides[i - 1], side) for i, side in enumerate(sides)])
        astray = np.linalg.norm(met - corners, axis=1) > ASTRAY * mean
        met[astray] = corners[astray]
        sides = [side.between(one, other) for side, one, other in zip(sides, met, np.roll(met, -1, axis=0))]
    back = [Side((s.start + 0.5) / scale - 0.5, (s.end + 0.5) / scale - 0.5, s.bend / scale) for s in sides]
    return Outline(tuple(back), quad.seen)


def _traced(copy: np.ndarray, side: Side, reach: int, degree: int, margin: float) -> Side:
    """A side, bent along the edge that is seen within `reach` px of it."""
    t = np.linspace(0, 1, SAMPLES)
    away = np.arange(-reach, reach + 1)
    points = (side(t)[:, None] + away[:, None] * side.normal).astype(np.float32)
    strip = cv2.remap(copy, points, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    path, strength = _path(_edges(strip))
    found = side.bend(t) + away[path]
    counted = (t >= margin) & (t <= 1 - margin)
    weight = strength * counted
    for _ in range(ROUNDS):
        bend = Chebyshev.fit(t, found, degree, domain=[0, 1], w=np.sqrt(weight) + 1e-6)
        error = (found - bend(t)) / OUTLIER
        weight = strength * counted / (1 + error**2) ** 2  # Geman and McClure
    return Side(side.start, side.end, bend)


def _edges(strip: np.ndarray) -> np.ndarray:
    """How much each pixel of a strip, (n, m, 3) uint8, looks like an edge along it: (6, n, m) in [0, 1]; in three
    channels, rising and falling.
    """
    lab = cv2.cvtColor(without_print(strip, STROKE), cv2.COLOR_RGB2LAB).astype(np.float32)
    lab *= (LIGHT / (cv2.blur(lab[..., 0], (61, 61)) + LIGHT / 8))[..., None].clip(0.7, 3)
    lab = cv2.GaussianBlur(lab, (0, 0), sigmaX=SMOOTH, sigmaY=1.5)
    rise = cv2.Scharr(lab, cv2.CV_32F, 1, 0, scale=1 / 32).transpose(2, 0, 1)
    edge = np.concatenate([rise, -rise]).clip(0)
    return edge / (edge + WEAK)


def _path(edges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The way along a strip that follows an edge best, turning little: the column of each row, (n,), and how clear the
    edge is there, (n,). Of (6, n, m), one channel serves throughout.
    """
    total, moves = edges[:, 0].copy(), np.empty(edges.shape, np.int8)
    turns = np.arange(-2, 3)
    for row in range(1, edges.shape[1]):
        wide = np.pad(total, ((0, 0), (2, 2)), constant_values=-np.inf)
        before = np.stack([wide[:, 2 + turn : 2 + turn + total.shape[1]] - TURN * abs(turn) for turn in turns])
        best = before.argmax(0)
        moves[:, row] = turns[best]
        total = np.take_along_axis(before, best[None], 0)[0] + edges[:, row]
    channel, column = np.unravel_index(total.argmax(), total.shape)
    path = np.empty(edges.shape[1], int)
    for row in range(len(path) - 1, -1, -1):
        path[row] = column
        column += moves[channel, row, column] if row else 0
    return path, edges[channel, np.arange(len(path)), path]


def _meeting(one: Side, other: Side) -> np.ndarray:
    """Where the end of one side meets the start of another, (2,), by Newton's method."""
    step = np.array([-1e-3, 1e-3])
    place = np.array([1.0, 0.0])
    for _ in range(8):
        gap = other(place[1]) - one(place[0])
        slopes = np.stack([np.diff(one(place[0] + step), axis=0)[0], -np.diff(other(place[1] + step), axis=0)[0]], 1)
        place = (place + np.linalg.solve(slopes / np.ptp(step), gap)).clip([0.8, -0.2], [1.2, 0.2])
    return (one(place[0]) + other(place[1])) / 2
