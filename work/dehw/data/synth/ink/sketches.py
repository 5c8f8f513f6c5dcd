"""Figures drawn by hand as opacity patches: plots and solids, graphs of ringed letters, tables and matrices."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

from dehw.data.materials import Glyph
from dehw.data.synth.ink import pen

LABELS = tuple("xyzOABCDPQRFN0124abr") + ("-1", "10", "F1", "mg", "v0")
STRAIGHT = 0.25  # share of figures drawn with a ruler

Say = Callable[[str], np.ndarray]  # a text as the writer writes it: (h, w) float32 opacity
Letters = list[tuple[np.ndarray, np.ndarray]]  # what `say` wrote, and where its middle is: (x, y) px


def sketch(rng: np.random.Generator, size: float, say: Say, width: float) -> np.ndarray:
    """A figure, most kinds about `size` px wide, with letters at it: (h, w) float32 opacity in [0, 1].

    width: px of the pen. Lines are drawn with a ruler or freehand.
    """
    strokes, letters = KINDS[rng.choice(len(KINDS), p=OFTEN)](rng, size, say)
    tremble = 0.0 if rng.random() < STRAIGHT else rng.uniform(0.001, 0.005) * size
    drawn = [(each + rng.normal(0, tremble, each.shape)).astype(np.float32) for each in strokes]
    alpha = pen.warp(pen.draw(drawn, width, rng), rng, tremble, max(size / 3, 4))
    if not letters:
        return alpha
    origin = np.concatenate(drawn).min(0) - width
    corners = [(middle - origin - np.array(letter.shape[::-1]) / 2).astype(int) for letter, middle in letters]
    room = np.maximum(0, -np.min(corners, 0))  # beside the strokes, for the letters
    ends = np.max([corner + letter.shape[::-1] for corner, (letter, _) in zip(corners, letters)], 0)
    right, below = np.maximum(0, ends - alpha.shape[::-1])
    alpha = np.pad(alpha, ((room[1], below), (room[0], right)))
    for (left, top), (letter, _) in zip(corners + room, letters):
        view = alpha[top : top + letter.shape[0], left : left + letter.shape[1]]
        np.maximum(view, letter, out=view)
    return alpha


def plot(rng: np.random.Generator, size: float, say: Say) -> tuple[Glyph, Letters]:
    """Axes, curves, polygons and hatching."""
    strokes = _axes(rng) if rng.random() < 0.65 else []
    for _ in range(int(rng.integers(1, 4))):
        outline = _outline(rng)
        strokes.append(outline)
        if rng.random() < 0.4:
            strokes += _hatching(rng, outline)
    words = [str(rng.choice(LABELS)) for _ in range(int(rng.integers(0, 7)))]
    return [size * each for each in strokes], [(say(word), rng.uniform(0, size, 2)) for word in words]


def graph(rng: np.random.Generator, size: float, say: Say) -> tuple[Glyph, Letters]:
    """Ringed or boxed letters with lines or arrows between them, and numbers at these: graphs, trees, automata."""
    names = [say(str(rng.choice(LABELS))) for _ in range(int(rng.integers(2, 9)))]
    radius = max(0.7 * float(np.median([max(name.shape) for name in names])), 3.0)
    columns = int(rng.integers(2, 6))
    spots = rng.permutation(columns * int(np.ceil(len(names) / columns) + rng.integers(0, 2)))[: len(names)]
    pitch = max(size / columns, 3 * radius)
    middles = [np.array([spot % columns, spot // columns]) * pitch + rng.normal(0, 0.12, 2) * pitch for spot in spots]
    shape, bare, arrows, numbers = rng.choice([40, 4], p=[0.8, 0.2]), rng.random() < 0.1, rng.random(), rng.random()
    strokes = [] if bare else [_ring(rng, middle, radius, shape) for middle in middles]
    letters = list(zip(names, middles))
    for end in range(1, len(middles)):
        for start in {int(np.argmin([np.hypot(*(middles[end] - m)) for m in middles[:end]])), int(rng.integers(end))}:
            along = middles[end] - middles[start]
            step = along / max(float(np.hypot(*along)), 1.0) * radius
            tail, tip = middles[start] + step, middles[end] - step
            strokes += _arrow(tip, tail, 0.5 * radius)[: 2 if rng.random() < arrows else 1]
            if rng.random() < numbers:
                beside = (tail + tip) / 2 + np.array([-step[1], step[0]]) * rng.uniform(0.5, 0.9)
                letters.append((say(str(rng.integers(0, 21))), beside))
    return strokes, letters


def table(rng: np.random.Generator, size: float, say: Say) -> tuple[Glyph, Letters]:
    """Numbers or letters in rows and columns: in a table, between the brackets of a matrix, or parted by bars."""
    rows, columns = int(rng.integers(1, 6)), int(rng.integers(2, 7))
    texts = ("01", "0123456789", "ABCDEF", ("-1", "12", "0.5", "3x", "a1"))[rng.integers(4)]
    entries = [say(str(rng.choice(list(texts)))) for _ in range(rows * columns)]
    pitch = np.median([entry.shape for entry in entries], axis=0)[::-1] * rng.uniform(1.3, 2.2, 2) + 3
    right, bottom = pitch * (columns, rows)
    letters = [(entry, (np.array([n % columns, n // columns]) + 0.5) * pitch) for n, entry in enumerate(entries)]
    bars = [_line([x, 0], [x, bottom]) for x in pitch[0] * np.arange(columns + 1)]
    kind = rng.integers(3)
    if kind == 0:
        return bars + [_line([0, y], [right, y]) for y in pitch[1] * np.arange(rows + 1)], letters
    if kind == 1:
        return bars[1:-1] or bars, letters
    lip = 0.3 * pitch[0]
    turns = ((0.0, lip), (right, right - lip))
    return [np.array([[lip, 0], [x, 0], [x, 0], [x, bottom], [x, bottom], [lip, bottom]]) for x, lip in turns], letters


def _ring(rng: np.random.Generator, middle: np.ndarray, radius: float, corners: int) -> np.ndarray:
    """A circle that hardly closes, or with four corners a box."""
    if corners == 4:
        box = middle + np.array([[-1, -1], [1, -1], [1, 1], [-1, 1], [-1, -1]]) * radius * rng.uniform(0.8, 1.2, 2)
        return np.concatenate([[a, a, *_line(a, b, 6), b] for a, b in pairwise(box)])
    turn = rng.uniform(0, 6.3) + np.linspace(0, rng.uniform(6.0, 7.0), corners)
    return middle + np.stack([np.cos(turn), np.sin(turn)], 1) * radius * rng.uniform(0.85, 1.15, 2)


def _line(start: np.ndarray | list, end: np.ndarray | list, points: int = 16) -> np.ndarray:
    return np.linspace(start, end, points)


def _axes(rng: np.random.Generator) -> Glyph:
    """Two axes, now and then three, with arrows; x to the right, y down, the figure about 1 wide."""
    origin, tips = rng.uniform(0.2, 0.8, 2), [(1.0, None), (None, 0.0)]
    strokes = []
    for x, y in tips:
        tip = np.array([origin[0] if x is None else x, origin[1] if y is None else y])
        strokes += _arrow(tip, tip + (origin - tip) * rng.uniform(1.05, 1.6), 0.06)
    if rng.random() < 0.25:
        strokes += _arrow(np.array([0.0, 1.0]), origin + (origin - [0.0, 1.0]) * rng.uniform(0, 0.8), 0.06)
    return strokes


def _arrow(tip: np.ndarray, tail: np.ndarray, head: float) -> Glyph:
    """A line, and the two strokes of its head, `head` long."""
    along = (tail - tip) / max(np.hypot(*(tail - tip)), 1e-6) * head
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


KINDS: tuple[Callable[[np.random.Generator, float, Say], tuple[Glyph, Letters]], ...] = (plot, graph, table)
OFTEN = (0.45, 0.35, 0.2)
