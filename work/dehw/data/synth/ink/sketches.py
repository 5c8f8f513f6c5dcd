"""Figures drawn by hand as opacity patches: axes, curves, polygons and hatching, with letters at them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from dehw.data.materials import Glyph
from dehw.data.synth.ink import pen

LABELS = tuple("xyzOABCDPQRFN0124abr") + ("-1", "10", "F1", "mg", "v0")


def sketch(rng: np.random.Generator, size: float, height: float, width: float) -> np.ndarray:
    """A figure about `size` px wide: (h, w) float32 opacity in [0, 1].

    height: px of the letters at it; width: px of the pen. Lines are drawn with a ruler or freehand.
    """
    tremble = rng.choice([0.0, 0.002, 0.005])
    strokes = _axes(rng) if rng.random() < 0.65 else []
    for _ in range(int(rng.integers(1, 4))):
        outline = _outline(rng)
        strokes.append(outline)
        if rng.random() < 0.4:
            strokes += _hatching(rng, outline)
    drawn = [(each + rng.normal(0, tremble, each.shape)).astype(np.float32) * np.float32(size) for each in strokes]
    alpha = pen.warp(pen.draw(drawn, width, rng), rng, tremble * size, max(size / 3, 4))
    for _ in range(int(rng.integers(0, 7))):
        letter = pen.hershey_line(rng, str(rng.choice(LABELS)), height, width)
        top, left = (int(rng.integers(max(1, whole - part))) for whole, part in zip(alpha.shape, letter.shape))
        view = alpha[top : top + letter.shape[0], left : left + letter.shape[1]]
        np.maximum(view, letter[: view.shape[0], : view.shape[1]], out=view)
    return alpha


def _line(start: np.ndarray, end: np.ndarray, points: int = 16) -> np.ndarray:
    return np.linspace(start, end, points)


def _axes(rng: np.random.Generator) -> Glyph:
    """Two axes, now and then three, with arrows; x to the right, y down, the figure about 1 wide."""
    origin, tips = rng.uniform(0.2, 0.8, 2), [(1.0, None), (None, 0.0)]
    strokes = []
    for x, y in tips:
        tip = np.array([origin[0] if x is None else x, origin[1] if y is None else y])
        strokes += _arrow(tip, tip + (origin - tip) * rng.uniform(1.05, 1.6))
    if rng.random() < 0.25:
        strokes += _arrow(np.array([0.0, 1.0]), origin + (origin - [0.0, 1.0]) * rng.uniform(0, 0.8))
    return strokes


def _arrow(tip: np.ndarray, tail: np.ndarray) -> Glyph:
    along = (tail - tip) / max(np.hypot(*(tail - tip)), 1e-6) * 0.06
    across = np.array([-along[1], along[0]]) * 0.5
    return [_line(tail, tip), np.stack([tip + along + across, tip, tip + along - across])]


def _outline(rng: np.random.Generator) -> np.ndarray:
    """A closed or open curve within the unit square."""
    t = np.linspace(0, 1, 40)
    centre, radii = rng.uniform(0.35, 0.65, 2), rng.uniform(0.1, 0.4, 2)
    kind = rng.integers(5)
    if kind == 0:  # a circle or an ellipse, or a part of one
        turn = rng.uniform(0, 6) + t * (6.4 if rng.random() < 0.6 else rng.uniform(1.5, 5))
        radii = radii if rng.random() < 0.5 else radii[:1]
        return centre + np.stack([np.cos(turn), np.sin(turn)], 1) * radii
    if kind == 1:  # a parabola
        return centre + np.stack([2 * t - 1, rng.choice([-1, 1]) * (2 * t - 1) ** 2], 1) * radii
    if kind == 2:  # a wave or an exponential
        wave = np.sin(t * rng.uniform(4, 14)) if rng.random() < 0.5 else np.exp(-4 * t) - 0.5
        return centre + np.stack([2 * t - 1, wave], 1) * radii
    corners = centre + rng.uniform(-1, 1, (int(rng.integers(2, 5)), 2)) * radii
    if kind == 3:  # a box
        corners = centre + np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * radii
    closed = [*corners, corners[0]]
    # each corner thrice: what rounds the pen's way then leaves it sharp
    return np.concatenate([[a, a, *_line(a, b, 8), b] for a, b in pairwise(closed)])


def _hatching(rng: np.random.Generator, outline: np.ndarray) -> Glyph:
    """Short parallel lines about an outline's middle."""
    low, high = outline.min(0), outline.max(0)
    slope, count = rng.uniform(-1.5, 1.5), int(rng.integers(3, 9))
    begins = low + rng.uniform(0, 0.3) * (high - low)
    length = rng.uniform(0.2, 0.6) * (high - low).max()
    step = np.array([max((high - low)[0], 0.2) / count, 0])
    direction = np.array([1, slope]) / np.hypot(1, slope) * length
    starts = [begins + n * step for n in range(count)]
    return [_line(start, start + direction * rng.uniform(0.6, 1), 6) for start in starts]
