"""The height of printed characters, for the making of pages: how large is the print of a clean page?

Pages that are to be erased are measured by their lines, see layout: that holds for any script.
"""

import cv2
import numpy as np

from dehw.page.layout import dark_pixels, like_characters

SMALLEST = 6  # px; lower components are dots, accents and noise
TALLEST = 1 / 12  # of the page's height
LONG_SIDE = 3000  # px; larger pages are measured on a copy of this size
ENOUGH = 12  # aligned characters without which a page has no measurable print
TOLERANCE = 0.1  # of the height; how far printed neighbours differ in height
TILT = 0.2  # how much a neighbour may climb per pixel of distance: lines tilted by up to 11 degrees
REACH = 4  # heights; how far to either side a character's neighbours are sought
NEIGHBOURS = 3  # equal neighbours that make a component part of a printed line
LETTERS = 40  # aligned letters without which Latin print cannot be told from Chinese
ASCENDERS = 0.3  # capitals and ascenders per letter of x-height: more in Latin text, fewer in Chinese
STRIPE = 256  # boxes compared with the others at a time: all pairs at once are too many


def print_height(page: np.ndarray) -> float | None:
    """The height in px of a page's full-size printed characters, (H, W, 3) uint8 RGB; None where too few are found.

    Full-size are Chinese characters and, on pages of Latin letters, capitals and ascenders. A printed character has
    neighbours of its own height on its own line. The height is the mean about the median of such characters, each
    weighted by its height, since Chinese characters fall apart into smaller pieces.
    """
    shrink = min(1.0, LONG_SIDE / max(page.shape[:2]))
    if shrink < 1:
        height, width = (max(1, round(side * shrink)) for side in page.shape[:2])
        page = cv2.resize(page, (width, height), interpolation=cv2.INTER_AREA)
    boxes = characters(dark_pixels(page))
    boxes = boxes[np.argsort(boxes[:, 1], kind="stable")]
    aligned = boxes[_count_neighbours(boxes, boxes, same_height=True) >= NEIGHBOURS]
    if len(aligned) < ENOUGH:
        return None
    tall = _typical(aligned[:, 3])
    return (_ascenders(boxes, aligned, tall) or tall) / shrink


def characters(dark: np.ndarray) -> np.ndarray:
    """List boxes of the size and shape of characters: (H, W) uint8 -> (N, 4) float32 left, top, width, height."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(dark, connectivity=8)
    return stats[1:][like_characters(stats[1:], SMALLEST, TALLEST * len(dark)), :4].astype(np.float32)


def _count_neighbours(boxes: np.ndarray, among: np.ndarray, same_height: bool) -> np.ndarray:
    """Count, for every box, the others `among` that stand on its line, within reach; both sorted by top.

    boxes, among: (N, 4), (M, 4) float32. With same_height the neighbours' height must agree, else only the
    foot's place. A box is no neighbour of itself. Returns (N,) int.
    """
    counts = np.zeros(len(boxes), int)
    for start in range(0, len(boxes), STRIPE):
        part = boxes[start : start + STRIPE, None]
        x, y, w, h = np.moveaxis(part, 2, 0)
        span = 2 * h.max() + TILT * REACH * h.max() + 1
        first, last = np.searchsorted(among[:, 1], [y.min() - span, y.max() + span])
        other_x, other_y, other_w, other_h = among[first:last].T
        away = np.abs(x + w / 2 - other_x - other_w / 2)
        slack = TOLERANCE * np.maximum(h, other_h) + 1
        near = (away < REACH * h) & (away > 0)
        near &= np.abs(y + h - other_y - other_h) < slack + TILT * away
        if same_height:
            near &= np.abs(h - other_h) < slack
        counts[start : start + STRIPE] = near.sum(1)
    return counts


def _typical(heights: np.ndarray) -> float:
    """Average the heights near their median, in which every height weighs as much as it is tall."""
    heights = np.sort(heights)
    weight = np.cumsum(heights)
    median = heights[np.searchsorted(weight, weight[-1] / 2)]
    return float(heights[np.abs(heights - median) <= 0.15 * median].mean())


def _ascenders(boxes: np.ndarray, aligned: np.ndarray, height: float) -> float | None:
    """Find the height of capitals and ascenders if `height` is the x-height of Latin letters, else None."""
    letters = aligned[np.abs(aligned[:, 3] - height) <= 0.15 * height]
    if len(letters) < LETTERS:
        return None
    taller = boxes[(boxes[:, 3] > 1.2 * height) & (boxes[:, 3] < 1.75 * height)]
    taller = taller[_count_neighbours(taller, letters, same_height=False) >= NEIGHBOURS]
    return _typical(taller[:, 3]) if len(taller) > ASCENDERS * len(letters) else None
