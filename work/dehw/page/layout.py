"""What is measured of a page before the networks see it: how tall its print is, which way its lines run."""

from dataclasses import dataclass

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
# Characters that surely are print: a row of written digits has three neighbours of one height, seldom so many so equal.
SURE_NEIGHBOURS, SURE_TOLERANCE, SURE_REACH = 8, 0.06, 8
STRIPE = 256  # boxes compared with the others at a time: all pairs at once are too many


@dataclass(frozen=True)
class Layout:
    """The print of a page.

    height: px of its full-size characters, None where too few are found. letters: (N, 4) float32, left, top, width
    and height in pixels of the page, of the characters that surely are print. sideways: whether the lines run up or
    down the page, which then needs a quarter turn.
    """

    height: float | None
    letters: np.ndarray
    sideways: bool

    def factor(self, target: float | None, low: float = 0.25, high: float = 2.0) -> float:
        """What to resize the page by, so that its print becomes `target` pixels high.

        target, low, high: pixels, least and greatest factor. It is 1.0 where target is None, where no print was
        found, and where the print is within 10 % of the target.
        """
        if target is None or self.height is None or abs(self.height / target - 1) <= 0.1:
            return 1.0
        return float(np.clip(target / self.height, low, high))


def measure(page: np.ndarray) -> Layout:
    """Measure the print of a page, (H, W, 3) uint8 RGB.

    Full-size are Chinese characters and, on pages of Latin letters, capitals and ascenders. Print is told from
    handwriting, figures and shadow by its regularity: a printed character has neighbours of its own height on its
    own line. The height is the mean about the median of such characters, each weighted by its height, since Chinese
    characters fall apart into smaller pieces. The page is looked at as it lies and after a quarter turn to the left:
    the way round that shows more characters in lines is the lines' direction. Lines upside down count as upright.
    """
    shrink = min(1.0, LONG_SIDE / max(page.shape[:2]))
    if shrink < 1:
        height, width = (max(1, round(side * shrink)) for side in page.shape[:2])
        page = cv2.resize(page, (width, height), interpolation=cv2.INTER_AREA)
    boxes = characters(dark_pixels(page))
    turned = _turned(boxes, page.shape[1])
    flat, upended = (np.count_nonzero(_in_line(each)) for each in (boxes, turned))
    sideways = upended > max(flat, ENOUGH)
    seen = turned if sideways else boxes
    tall = print_height_of(seen)
    sure = _in_line(seen, SURE_NEIGHBOURS, SURE_TOLERANCE, SURE_REACH)
    letters = (_turned_back(turned, page.shape[1]) if sideways else boxes)[sure]
    return Layout(None if tall is None else tall / shrink, letters / np.float32(shrink), bool(sideways))


def print_height(page: np.ndarray) -> float | None:
    """The height of a page's full-size printed characters in pixels, see measure; None where too few are found."""
    return measure(page).height


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


def characters(dark: np.ndarray) -> np.ndarray:
    """List boxes of the size and shape of characters: (H, W) uint8 -> (N, 4) float32 left, top, width, height."""
    _, _, stats, _ = cv2.connectedComponentsWithStats(dark, connectivity=8)
    return stats[1:][like_characters(stats[1:], dark.shape[0]), :4].astype(np.float32)


def like_characters(stats: np.ndarray, page_height: int) -> np.ndarray:
    """Which components have the size and shape of characters: stats (N, 5) of OpenCV -> (N,) bool."""
    _, _, width, height, area = stats.T
    fits = (height >= SMALLEST) & (height < page_height / 12) & (width >= 3)
    return fits & (width <= 4 * height) & (height <= 6 * width) & (area >= 0.08 * width * height)


def print_height_of(boxes: np.ndarray) -> float | None:
    """The height of full-size characters among boxes (N, 4), in pixels; None where fewer than ENOUGH are in line."""
    boxes = boxes[np.argsort(boxes[:, 1], kind="stable")]
    aligned = boxes[_count_neighbours(boxes, boxes, same_height=True) >= NEIGHBOURS]
    if len(aligned) < ENOUGH:
        return None
    height = _typical(aligned[:, 3])
    return _ascenders(boxes, aligned, height) or height


def _turned(boxes: np.ndarray, width: int) -> np.ndarray:
    """Boxes (N, 4) of a page of this width after the page made a quarter turn to the left."""
    x, y, w, h = boxes.T
    return np.stack([y, width - x - w, h, w], axis=1)


def _turned_back(boxes: np.ndarray, width: int) -> np.ndarray:
    """Where _turned took boxes (N, 4) from."""
    x, y, w, h = boxes.T
    return np.stack([width - y - h, x, h, w], axis=1)


def _in_line(
    boxes: np.ndarray, neighbours: int = NEIGHBOURS, tolerance: float = TOLERANCE, reach: float = REACH
) -> np.ndarray:
    """Which boxes (N, 4) have so many others of their height on their line: (N,) bool."""
    order = np.argsort(boxes[:, 1], kind="stable")
    kept = np.zeros(len(boxes), bool)
    kept[order] = _count_neighbours(boxes[order], boxes[order], True, tolerance, reach) >= neighbours
    return kept


def _count_neighbours(
    boxes: np.ndarray, among: np.ndarray, same_height: bool, tolerance: float = TOLERANCE, reach: float = REACH
) -> np.ndarray:
    """Count, for every box, the others `among` that stand on its line, within reach; both sorted by top.

    boxes, among: (N, 4), (M, 4) float32. With same_height the neighbours' height must agree, else only the
    foot's place. A box is no neighbour of itself. Returns (N,) int.
    """
    counts = np.zeros(len(boxes), int)
    for start in range(0, len(boxes), STRIPE):
        part = boxes[start : start + STRIPE, None]
        x, y, w, h = np.moveaxis(part, 2, 0)
        span = 2 * h.max() + TILT * reach * h.max() + 1
        first, last = np.searchsorted(among[:, 1], [y.min() - span, y.max() + span])
        other_x, other_y, other_w, other_h = among[first:last].T
        away = np.abs(x + w / 2 - other_x - other_w / 2)
        slack = tolerance * np.maximum(h, other_h) + 1
        near = (away < reach * h) & (away > 0)
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
