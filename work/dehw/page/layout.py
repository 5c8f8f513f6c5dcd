"""How tall the print on a page is, so that pages of any resolution reach the networks at one size."""

import cv2
import numpy as np

LONG_SIDE = 3000  # px; larger pages are measured on a copy of this size
BACKGROUND = 8  # the paper under the ink is estimated at 1/8 of the size
CONTRAST = 25  # grey levels that ink is darker than its paper, at least
SMALLEST = 6  # px; lower components are dots, accents and noise
ENOUGH = 12  # aligned characters without which a page has no measurable print
TOLERANCE = 0.1  # of the height; how far printed neighbours differ in height
TILT = 0.2  # how much a neighbour may climb per pixel of distance: lines tilted by up to 11 degrees
REACH = 4  # heights; how far to either side a character's neighbours are sought
NEIGHBOURS = 3  # equal neighbours that make a component part of a printed line
LETTERS = 40  # aligned letters without which Latin print cannot be told from Chinese
ASCENDERS = 0.3  # capitals and ascenders per letter of x-height: more in Latin text, fewer in Chinese


def print_height(page: np.ndarray) -> float | None:
    """Measure the height of the page's full-size printed characters in pixels.

    Full-size are Chinese characters and, on pages of Latin letters, capitals and ascenders. Print is told
    from handwriting, figures and shadow by its regularity: a printed character has neighbours of its own
    height on its own line. The height is the mean about the median of such characters, each weighted by its
    height, since Chinese characters fall apart into smaller pieces.

    page: (H, W, 3) uint8 RGB. Returns None where fewer than ENOUGH such characters are found.
    """
    shrink = min(1.0, LONG_SIDE / max(page.shape[:2]))
    if shrink < 1:
        height, width = (max(1, round(side * shrink)) for side in page.shape[:2])
        page = cv2.resize(page, (width, height), interpolation=cv2.INTER_AREA)
    boxes = characters(dark_pixels(page))
    aligned = boxes[_count_neighbours(boxes, boxes, same_top=True) >= NEIGHBOURS]
    if len(aligned) < ENOUGH:
        return None
    height = _typical(aligned[:, 3])
    return (_ascenders(boxes, aligned, height) or height) / shrink


def working_scale(page: np.ndarray, target: float | None, low: float = 0.25, high: float = 2.0) -> float:
    """Return the factor to resize a page by, so that its print becomes `target` pixels high.

    page: (H, W, 3) uint8 RGB; target, low, high: pixels, least and greatest factor. The factor is 1.0 where
    target is None, where no print is found, and where the print is within 10 % of the target.
    """
    height = None if target is None else print_height(page)
    if height is None or abs(height / target - 1) <= 0.1:
        return 1.0
    return float(np.clip(target / height, low, high))


def dark_pixels(page: np.ndarray) -> np.ndarray:
    """Separate what is darker than the paper around it: (H, W, 3) uint8 -> (H, W) uint8, 0 or 255."""
    grey = cv2.cvtColor(page, cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    small = (max(1, width // BACKGROUND), max(1, height // BACKGROUND))
    paper = cv2.dilate(cv2.resize(grey, small, interpolation=cv2.INTER_AREA), np.ones((5, 5), np.uint8))
    window = max(3, max(small) // 20)
    paper = cv2.resize(cv2.blur(paper, (window, window)), (width, height), interpolation=cv2.INTER_LINEAR)
    darker = cv2.subtract(paper, grey, dst=paper)  # in place: pages are large
    threshold, _ = cv2.threshold(darker[::2, ::2], 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return cv2.threshold(darker, max(0.8 * threshold, CONTRAST), 255, cv2.THRESH_BINARY)[1]


def characters(ink: np.ndarray) -> np.ndarray:
    """List boxes of the size and shape of characters: (N, 4) float32 left, top, width, height; by top."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    boxes = stats[1:][like_characters(stats[1:], ink.shape[0]), :4].astype(np.float32)
    return boxes[np.argsort(boxes[:, 1], kind="stable")]


def like_characters(stats: np.ndarray, page_height: int) -> np.ndarray:
    """Which components have the size and shape of characters: stats (N, 5) of OpenCV -> (N,) bool."""
    _, _, width, height, area = stats.T
    fits = (height >= SMALLEST) & (height < page_height / 12) & (width >= 3)
    return fits & (width <= 4 * height) & (height <= 6 * width) & (area >= 0.08 * width * height)


def _count_neighbours(boxes: np.ndarray, among: np.ndarray, same_top: bool) -> np.ndarray:
    """Count, for every box, the others `among` that stand on its line, within reach; both sorted by top.

    boxes, among: (N, 4), (M, 4) float32. With same_top the neighbours' height must agree, else only the
    foot's place. A box is no neighbour of itself. Returns (N,) int.
    """
    counts = np.zeros(len(boxes), int)
    for start in range(0, len(boxes), 256):  # in stripes: all pairs at once are too many
        part = boxes[start : start + 256, None]
        x, y, w, h = np.moveaxis(part, 2, 0)
        span = 2 * h.max() + TILT * REACH * h.max() + 1
        first, last = np.searchsorted(among[:, 1], [y.min() - span, y.max() + span])
        other_x, other_y, other_w, other_h = among[first:last].T
        away = np.abs(x + w / 2 - other_x - other_w / 2)
        tolerance = TOLERANCE * np.maximum(h, other_h) + 1
        near = (away < REACH * h) & (away > 0)
        near &= np.abs(y + h - other_y - other_h) < tolerance + TILT * away
        if same_top:
            near &= np.abs(h - other_h) < tolerance
        counts[start : start + 256] = near.sum(1)
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
    taller = taller[_count_neighbours(taller, letters, same_top=False) >= NEIGHBOURS]
    return _typical(taller[:, 3]) if len(taller) > ASCENDERS * len(letters) else None
