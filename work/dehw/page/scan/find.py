"""Where the sheet of paper lies in a photo, by straight sides, some of which may lie outside the picture.

Edges of a small copy vote for straight lines (Duda and Hart, 1972). Of all quadrilaterals that four of these lines, or
the picture's own borders, make, the one is taken whose sides follow edges best and which holds the text.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dehw.page.layout import quantile

SIDE = 600  # px; longer side of the copy that is searched
THIN = 8  # px of the copy; a narrower photo has no room for a sheet's edges
STROKE = 9  # px of the copy; what is dark and thinner is print, not the step from one surface to another
SLANT, STEP = 40, 2  # degrees; how far sides lean, and between the directions that are tried
ALIKE = 12  # degrees by which an edge differs from the line that it votes for, for sides are curled
CURVED = 6  # px of the copy by which a side leaves its straight line
PEAKS, ALIKE_PEAKS = 14, 5  # lines kept, level ones and upright ones; of these, of one direction, as planks have many
LIGHT = 160.0  # grey level that every part of the picture is brought to: edges in the shade count as much
# Two looks: levels a px of an edge that counts half, and what a side is worth where the picture ends; an edge is worth
# up to 1. Strokes and folds pass for faint edges, so that the second look counts where it sees all four sides alone.
CLEAR, FAINT = (3.0, 0.38), (1.0, 0.5)
SMALLEST = 0.12  # share of the picture that a sheet takes, at the least
SQUARE = 35  # degrees by which a corner may differ from a right angle
BEYOND = 0.12  # of the longer side; how far outside the picture a corner may lie
TRIED = 500  # quadrilaterals whose text is looked at
LONG = 4  # heights that a line of text is long from; shorter ones may be anything
ROOM = 0.005  # of a side; how far text may cross it
FEW, SPREAD = 4, 4  # lines that tell which way a sheet lies, and degrees by which they differ from most of them
LEVEL = 0.3  # degrees; a picture without a sheet's edge stays as it is where its text slants no more


@dataclass(frozen=True)
class Quad:
    """A sheet by straight sides.

    corners: (4, 2) float, px of the photo, clockwise from the upper left. seen: which of its sides, top, right, bottom
    and left, are edges of paper; at the others the picture ends. worth: how clear its sides are, in [0, 1].
    """

    corners: np.ndarray
    seen: tuple[bool, ...]
    worth: float


def find(photo: np.ndarray, text: np.ndarray) -> Quad | None:
    """The sheet in a photo, (H, W, 3) uint8 RGB; None where no side of one is seen.

    text: the photo's lines of text, (N, 5) as Layout.lines.
    """
    scale = SIDE / max(photo.shape[:2])
    size = tuple(round(side * scale) for side in photo.shape[1::-1])
    if min(size) < THIN:
        return None
    slopes = _slopes(cv2.resize(photo, size, interpolation=cv2.INTER_AREA))
    ends = _ends(text, scale)
    for weak, border in (CLEAR, FAINT):
        level, upright = (_lines(slopes, angle, weak) for angle in (np.pi / 2, 0.0))
        corners, borders, worth = _quads(slopes, level, upright, weak, border)
        worth = worth - _left_out(corners, ends)
        best = int(worth.argmax())
        seen = ~borders[best]
        if seen.all() or seen.any() and (weak, border) == CLEAR:
            return Quad((corners[best] + 0.5) / scale - 0.5, tuple(seen.tolist()), float(worth[best]))
    return None


def without_print(picture: np.ndarray, stroke: int) -> np.ndarray:
    """A picture, (h, w, 3) uint8, in which what is dark and thinner than `stroke` px has the colour around it."""
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (stroke, stroke))
    return cv2.medianBlur(cv2.morphologyEx(picture, cv2.MORPH_CLOSE, disc), 5)


def _slopes(small: np.ndarray) -> np.ndarray:
    """How lightness and the two colours of Lab rise to the right and down: (2, h, w, 3) float32, levels a px."""
    lab = cv2.cvtColor(without_print(small, STROKE), cv2.COLOR_RGB2LAB)
    lab = cv2.GaussianBlur(lab, (0, 0), 1).astype(np.float32)
    around = cv2.blur(lab[..., 0], (SIDE // 6, SIDE // 6))
    lab *= (LIGHT / (around + LIGHT / 8))[..., None].clip(0.7, 3)
    return np.stack([cv2.Scharr(lab, cv2.CV_32F, *step, scale=1 / 32) for step in ((1, 0), (0, 1))])


def _lines(slopes: np.ndarray, about: float, weak: float) -> np.ndarray:
    """Straight lines that edges vote for: (PEAKS, 2) of the angle of their normal, in radians, and their distance.

    about: the angle about which they are sought; weak: see CLEAR.
    """
    _, height, width, _ = slopes.shape
    steep = np.square(slopes).sum(0)
    strongest = np.broadcast_to(steep.argmax(2)[None, :, :, None], (2, height, width, 1))
    x, y = np.take_along_axis(slopes, strongest, 3)[..., 0]
    strength = np.sqrt(steep.max(2))
    wide = np.abs(x) > np.abs(y)
    rows, columns = (cv2.dilate(strength, np.ones(shape, np.uint8)) for shape in ((1, 3), (3, 1)))
    crest = (strength >= np.where(wide, rows, columns)) & (strength > weak / 4)
    crest[[0, 1, -2, -1]] = crest[:, [0, 1, -2, -1]] = False
    down, right = np.nonzero(crest)
    votes = strength[crest] / (strength[crest] + weak)
    direction = np.arctan2(y[crest], x[crest])
    angles = np.radians(np.arange(-SLANT, SLANT + 1, STEP)) + about
    reach = int(np.hypot(height, width)) + 2
    counts = np.zeros((len(angles), reach), np.float32)  # distances from -reach to reach, by twos
    for row, angle in zip(counts, angles):
        near = np.abs((direction - angle + np.pi / 2) % np.pi - np.pi / 2) < np.radians(ALIKE)
        away = right[near] * np.cos(angle) + down[near] * np.sin(angle)
        row += np.bincount(((away + reach) / 2).astype(int), votes[near], reach)
    counts = cv2.GaussianBlur(counts, (0, 0), sigmaX=2, sigmaY=1)
    found, taken = [], np.zeros(len(angles), int)
    for _ in range(PEAKS):
        i, j = np.unravel_index(counts.argmax(), counts.shape)
        found.append((angles[i], 2 * j - reach + 1))
        counts[max(0, i - 4) : i + 5, max(0, j - 6) : j + 7] = -1
        taken[max(0, i - 1) : i + 2] += 1
        counts[taken >= ALIKE_PEAKS] = -1
    return np.array(found, float)


def _quads(
    slopes: np.ndarray, level: np.ndarray, upright: np.ndarray, weak: float, border: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The likeliest quadrilaterals of these lines, (N, 2), and of the picture's borders.

    Returns their corners (N, 4, 2) in px of the copy, which of their sides are borders (N, 4), and what their sides are
    worth on average (N,). The last one is the picture.
    """
    _, height, width, _ = slopes.shape
    level = np.concatenate([level, [[np.pi / 2, -0.5], [np.pi / 2, height - 0.5]]])
    upright = np.concatenate([upright, [[0, -0.5], [0, width - 0.5]]])
    points = _crossings(level, upright)  # (levels, uprights, 2)
    across = _worths(slopes, level, points, weak, border)  # (levels, uprights, uprights)
    down = _worths(slopes, upright, points.transpose(1, 0, 2), weak, border)
    top, bottom, left, right = np.ogrid[tuple(slice(len(lines)) for lines in (level, level, upright, upright))]
    worth = (
        across[top, left, right] + across[bottom, left, right] + down[left, top, bottom] + down[right, top, bottom]
    ) / 4
    square = np.abs(level[:, None, 0] - upright[None, :, 0] - np.pi / 2) < np.radians(SQUARE)
    limit = np.array([width, height]) + BEYOND * SIDE
    square &= ((points > -BEYOND * SIDE) & (points < limit)).all(2)
    fits = square[top, left] & square[top, right] & square[bottom, left] & square[bottom, right]
    x, y = points[..., 0], points[..., 1]
    fits &= (x[top, left] < x[top, right]) & (x[bottom, left] < x[bottom, right])
    fits &= (y[top, left] < y[bottom, left]) & (y[top, right] < y[bottom, right])
    one, other = points[bottom, right] - points[top, left], points[bottom, left] - points[top, right]
    fits &= one[..., 0] * other[..., 1] - one[..., 1] * other[..., 0] > 2 * SMALLEST * height * width
    fits[-2, -1, -2, -1] = True  # the picture's own borders
    best = np.argsort(-np.where(fits, worth, -1), axis=None)[: min(TRIED, np.count_nonzero(fits))]
    best = np.append(best, np.ravel_multi_index((-2, -1, -2, -1), worth.shape, mode="wrap"))
    t, b, l, r = np.unravel_index(best, worth.shape)
    corners = np.stack([points[t, l], points[t, r], points[b, r], points[b, l]], 1)
    borders = np.stack([t >= len(level) - 2, r >= len(upright) - 2, b >= len(level) - 2, l >= len(upright) - 2], 1)
    return corners, borders, worth.flat[best]


def _crossings(level: np.ndarray, upright: np.ndarray) -> np.ndarray:
    """Where each of these lines crosses each of those: (levels, uprights, 2)."""
    (a, d), (b, e) = level.T[:, :, None], upright.T[:, None, :]
    sine = np.sin(b - a)
    sine = np.where(np.abs(sine) < 0.2, np.nan, sine)
    return np.stack([d * np.sin(b) - e * np.sin(a), e * np.cos(a) - d * np.cos(b)], 2) / sine[..., None]


def _worths(slopes: np.ndarray, lines: np.ndarray, points: np.ndarray, weak: float, border: float) -> np.ndarray:
    """How well each line, (N, 2), follows an edge between each two of its points, (N, M, 2): (N, M, M) in [0, 1].

    Along an edge one channel rises throughout, or falls. The last two lines are the picture's borders.
    """
    _, height, width, _ = slopes.shape
    reach = int(np.hypot(height, width))
    found = np.full((len(lines), points.shape[1], points.shape[1]), border)
    for worth, (angle, away), crossings in zip(found, lines[:-2], points):
        normal = np.array([np.cos(angle), np.sin(angle)])
        along = np.array([-normal[1], normal[0]])
        steps = np.arange(-reach, reach, 2)
        spots = (steps[:, None, None] * along + (away + np.arange(-CURVED, CURVED + 1, 2))[:, None] * normal).round()
        x, y = spots.astype(int).transpose(2, 0, 1)
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        rise = (slopes[:, y.clip(0, height - 1), x.clip(0, width - 1)] * normal[:, None, None, None]).sum(0)
        rise *= inside[..., None]
        edge = np.concatenate([rise.max(1), -rise.min(1)], axis=1).clip(0)  # (steps, 6)
        sums = np.concatenate([np.zeros((1, 6)), np.cumsum(edge / (edge + weak), axis=0)])
        ends = np.nan_to_num((crossings @ along + reach) / 2).astype(int).clip(0, len(steps))
        length = np.abs(ends[:, None] - ends)
        worth[:] = (np.abs(sums[ends][:, None] - sums[ends]) / np.maximum(length, 1)[..., None]).max(2)
    return found


def _ends(text: np.ndarray, scale: float) -> np.ndarray:
    """Both ends of the long lines of text, (N, 2, 2) in px of the copy."""
    x, y, length, height, angle = (text[text[:, 2] >= LONG * text[:, 3]] * 1.0).T
    half = (length - height).clip(0) / 2 * np.stack([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    middle = np.stack([x, y])
    return np.stack([middle - half, middle + half]).transpose(2, 0, 1) * scale


def _left_out(corners: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Which share of the text, by length, each of these quadrilaterals cuts off: (N,) in [0, 1]."""
    if not len(ends):
        return np.zeros(len(corners))
    side = np.roll(corners, -1, axis=1) - corners
    apart = ends[None, None] - corners[:, :, None, None]  # (quads, sides, lines, ends, 2)
    across = side[:, :, None, None, 0] * apart[..., 1] - side[:, :, None, None, 1] * apart[..., 0]
    inside = (across > -ROOM * np.square(side).sum(2)[:, :, None, None]).all((1, 3))
    weight = np.linalg.norm(ends[:, 1] - ends[:, 0], axis=1)
    return 1 - inside @ weight / weight.sum()


def completed(quad: Quad | None, photo: tuple[int, ...], text: np.ndarray) -> Quad:
    """The same where the sides at which the picture ends run as the sheet does, outside the picture, so that all of it
    is kept that lies between the others. Without a quad, the picture is turned so that its text runs level.

    photo: its (height, width); text: its lines, (N, 5).
    """
    height, width = photo[:2]
    frame = np.array([[-0.5, -0.5], [width - 0.5, -0.5], [width - 0.5, height - 0.5], [-0.5, height - 0.5]])
    quad = quad or Quad(frame, (False,) * 4, 0.0)
    way = np.roll(quad.corners, -1, axis=0) - quad.corners
    angles = np.arctan2(way[:, 1], way[:, 0])
    for side in np.flatnonzero(np.logical_not(quad.seen)):
        angles[side] = _direction(int(side), quad, angles, text, photo)
    normals = np.stack([np.sin(angles), -np.cos(angles)], 1)  # out of the sheet
    kept = frame
    for corner, normal, seen in zip(quad.corners, normals, quad.seen):
        kept = _cut(kept, corner, normal) if seen else kept
    away = np.where(quad.seen, (quad.corners * normals).sum(1), (kept @ normals.T).max(0, initial=-np.inf))
    pairs = [(normals[[i - 1, i]], away[[i - 1, i]]) for i in range(4)]
    return Quad(np.stack([np.linalg.solve(*pair) for pair in pairs]), quad.seen, quad.worth)


def _direction(side: int, quad: Quad, angles: np.ndarray, text: np.ndarray, photo: tuple[int, ...]) -> float:
    """Which way an unseen side runs, in radians clockwise: as the text beside it; else as the side opposite; else
    square to its neighbours.
    """
    base = side * np.pi / 2
    text = text[text[:, 2] >= LONG * text[:, 3]]
    slant = (np.radians(text[:, 4]) - base + np.pi / 2) % np.pi - np.pi / 2
    alike = np.abs(slant) < np.radians(SLANT)
    slant, weight, place = slant[alike], text[alike, 2], text[alike, 1 - side % 2]
    if len(slant) >= FEW and weight.sum() > text[:, 2].sum() / 2:
        middle = quantile(slant, weight, 0.5)
        near = np.abs(slant - middle) < np.radians(SPREAD)
        slant, weight, place = slant[near], weight[near], place[near]
        if any(quad.seen) and np.ptp(place) > 0.4 * photo[side % 2]:  # the perspective, too
            edge = quad.corners[[side, (side + 1) % 4], 1 - side % 2].mean()
            return base + float(np.polyval(np.polyfit(place, slant, 1, w=np.sqrt(weight)), edge))
        return base + (middle if any(quad.seen) or abs(middle) > np.radians(LEVEL) else 0.0)
    if quad.seen[(side + 2) % 4]:
        return float(angles[(side + 2) % 4] + np.pi)
    beside = [
        angles[each] + turn for each, turn in ((side - 1, np.pi / 2), ((side + 1) % 4, -np.pi / 2)) if quad.seen[each]
    ]
    return float(np.mean([base + (angle - base + np.pi) % (2 * np.pi) - np.pi for angle in beside] or [base]))


def _cut(polygon: np.ndarray, point: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """The part of a convex polygon, (N, 2), behind a line through a point (Sutherland and Hodgman, 1974)."""
    beyond = (polygon - point) @ normal
    kept = []
    for here, there, a, b in zip(polygon, np.roll(polygon, -1, axis=0), beyond, np.roll(beyond, -1)):
        if a <= 0:
            kept.append(here)
        if a * b < 0:
            kept.append(here + (there - here) * a / (a - b))
    return np.array(kept).reshape(-1, 2)
