"""What is measured of a page before the networks see it: its lines of text, how tall they are and which way they run.

Lines are read by a text detector (DB, Liao et al. 2020), so that any script, size and light will do. The networks that
read are passed in: nothing here knows what runs them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

BACKGROUND = 8  # the paper under the ink is estimated at 1/8 of the size
CONTRAST = 25  # grey levels that ink is darker than its paper, at least

# Lines
SIDE = 1280  # px; a page's longer side, and the side of the square that the detector reads
ENLARGED = 2.0  # the most that small pages are enlarged for it; without, lines measure 20 % taller at half the size
THRESHOLD, UNCLIP = 0.3, 1.5  # of PaddleOCR's detectors: probability of a line, and how far it is shrunk
THIN = 2  # px at the detector's size; lower ones are specks
LONG, ENOUGH = 3, 3  # heights that a line is long from; where fewer are, short ones count too
# Of the lines' heights, by length: handwriting, formulae and headings are taller than print. The logarithm of its ratio
# to the height of printed characters deviates by 0.17 on 26 pages of many sources, the median's by 0.32.
QUANTILE = 0.125
USUAL = 1 / 48  # of a page's longer side, the height of its lines where none is found: the median of 474 pages
LEADING = 1.5  # print heights that a line is tall: the median of the eight sample pages, which are Chinese

STAFF = 5  # rules that run through a line of music; paper for writing has four at the most
RULED = 0.6  # share of a row that a rule fills
STRIP = (128, 256)  # px; height and width at which rules are counted, in pieces of 32 px, for lines slant a little

# Direction
CROP = (48, 192)  # px; height and width of the pieces of lines that are asked which way up they are
CROPS = 24  # pieces at the most, of the longest lines
# Share of the pieces by which a page whose lines lie level is turned round. Of 440 upright pages two were: one written
# by hand, one in a made-up script. Where lines run up or down, most of the pieces decide.
AGREED = 0.75

Read = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Reader:
    """The networks that read a page.

    lines: RGB (1, 3, SIDE, SIDE) float32 in [0, 1] -> probability of text lines (1, 1, SIDE, SIDE).
    direction: pieces of lines (N, 3, 48, 192) float32, BGR in [-1, 1] -> probabilities (N, 2) that they stand upright
    and that they stand upside down; None leaves pages upside down as they are.
    """

    lines: Read
    direction: Read | None = None


@dataclass(frozen=True)
class Layout:
    """The lines of a page.

    lines: (N, 5) float32 of centre x, y, length, height in pixels of the page, and angle in degrees, clockwise and in
    (-45, 135], from top to bottom. height: px of the page's lines; None where nobody read it. guessed: no line was
    found, and the height is that of a page of this size. turns: quarter turns to the left that bring them upright.
    tilt: degrees, clockwise, by which they slant after these turns.
    """

    lines: np.ndarray
    height: float | None = None
    guessed: bool = False
    turns: int = 0
    tilt: float = 0.0

    def factor(self, target: float | None, low: float = 0.25, high: float = 2.0) -> float:
        """What to resize the page by, so that its lines become `target` pixels high.

        target, low, high: pixels, least and greatest factor. It is 1.0 where target is None, and where nobody read the
        page.
        """
        if target is None or self.height is None:
            return 1.0
        return float(np.clip(target / self.height, low, high))


UNREAD = Layout(np.zeros((0, 5), np.float32))


def measure(page: np.ndarray, reader: Reader) -> Layout:
    """Read the lines of a page, (H, W, 3) uint8 RGB."""
    lines = find_lines(page, reader.lines)
    sideways = _run_upwards(lines)
    if sideways:  # the detector knows level lines best; upright ones measure a tenth taller
        page = np.ascontiguousarray(np.rot90(page))
        lines = find_lines(page, reader.lines)
    lines = lines[[not _is_staff(page, line) for line in lines]]
    if not len(lines):
        return Layout(lines, USUAL * max(page.shape[:2]), guessed=True)
    length, height, angle = lines[:, 2:].T
    counted = length >= LONG * height
    if np.count_nonzero(counted) < ENOUGH:
        counted[:] = True
    level = lines[counted & (angle <= 45)]
    words = level[level[:, 2] >= LONG * level[:, 3]]  # one line says more than all the bubbles of an answer sheet
    turned = _turned_share(page, words if len(words) else level, reader.direction)
    turns = int(sideways) + 2 * (turned > 0.5 if sideways else turned >= AGREED)
    tilt = quantile(level[:, 4], level[:, 2], 0.5) if len(level) else 0.0
    own = _turned_back(lines, page.shape[0]) if sideways else lines
    return Layout(own, quantile(height[counted], length[counted], QUANTILE), False, turns, tilt)


def _run_upwards(lines: np.ndarray) -> bool:
    """Whether the long ones of lines, (N, 5), run up or down the page rather than across it."""
    long = lines[lines[:, 2] >= LONG * lines[:, 3]]
    upended = long[:, 4] > 45
    return np.count_nonzero(upended) >= ENOUGH and long[upended, 2].sum() > long[~upended, 2].sum()


def _turned_back(lines: np.ndarray, width: int) -> np.ndarray:
    """Where lines, (N, 5), lay before the page, then of this width, made a quarter turn to the left."""
    x, y, length, height, angle = lines.T
    return np.stack([width - y, x, length, height, (angle + 135) % 180 - 45], axis=1)


def line_map(page: np.ndarray, read: Read) -> tuple[np.ndarray, float]:
    """Where lines of text run, thinner than they are: (h, w) uint8 0 or 1 of a page (H, W, 3) uint8 RGB, and h / H."""
    tile, scale = _square(page)
    height, width = (round(side * scale) for side in page.shape[:2])
    return (read(tile)[0, 0, : max(1, height), : max(1, width)] > THRESHOLD).astype(np.uint8), scale


def find_lines(page: np.ndarray, read: Read) -> np.ndarray:
    """The lines of a page, (H, W, 3) uint8 RGB, as Layout.lines."""
    likely, scale = line_map(page, read)
    found = []
    for contour in cv2.findContours(likely, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)[0]:
        (x, y), sides, angle = cv2.minAreaRect(contour)
        length, thickness = max(sides) + 1, min(sides) + 1  # between the centres of pixels, to their edges
        if thickness <= THIN:
            continue
        grown = length * thickness * UNCLIP / (length + thickness)  # by half of it on each side
        angle += 90 * (sides[0] < sides[1])
        place = [(x + 0.5) / scale, (y + 0.5) / scale, (length + grown) / scale, (thickness + grown) / scale]
        found.append([*place, (angle + 45) % 180 - 45])
    lines = np.array(found, np.float32).reshape(-1, 5)
    return lines[np.lexsort((lines[:, 0], lines[:, 1]))]


def _is_staff(page: np.ndarray, line: np.ndarray) -> bool:
    """Whether a line, (5,), is one of music, which says nothing of how tall a page's text is."""
    if line[2] < LONG * line[3]:
        return False
    grey = cv2.cvtColor(levelled(page, line[:2], line[4], line[2:4], STRIP[::-1]), cv2.COLOR_RGB2GRAY)
    dark = (grey < np.median(grey) - CONTRAST).reshape(STRIP[0], -1, 32).mean(2) > RULED  # (rows, pieces)
    rules = np.count_nonzero(dark[1:] & ~dark[:-1], axis=0)
    return bool(np.median(rules) >= STAFF)


def levelled(
    page: np.ndarray, middle: np.ndarray, angle: float, sides: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """A box of a page about `middle`, its sides in px of the page, brought level and to a (width, height)."""
    along = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    down = np.array([-along[1], along[0]])
    corner = middle - along * sides[0] / 2 - down * sides[1] / 2
    matrix = np.column_stack(
        [along * sides[0] / size[0], down * sides[1] / size[1], corner]
    )  # from the box to the page
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(page, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _square(page: np.ndarray) -> tuple[np.ndarray, float]:
    """A page in the detector's square, (1, 3, SIDE, SIDE) float32 in [0, 1], and the factor that it was resized by."""
    scale = min(SIDE / max(page.shape[:2]), ENLARGED)
    height, width = (max(1, round(side * scale)) for side in page.shape[:2])
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.resize(page, (width, height), interpolation=method)
    square = np.empty((SIDE, SIDE, 3), np.uint8)
    square[:] = np.median(small[::BACKGROUND, ::BACKGROUND], axis=(0, 1))  # paper
    square[:height, :width] = small
    return np.ascontiguousarray(square.transpose(2, 0, 1)[None], np.float32) / 255, scale


def quantile(values: np.ndarray, weights: np.ndarray, share: float) -> float:
    """The value below which this share, in [0, 1], of the weights lies. values, weights: (N,), one at least."""
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, share * total[-1])])


def _turned_share(page: np.ndarray, lines: np.ndarray, direction: Read | None) -> float:
    """Which share of the lines' pieces stands upside down; lines: (N, 5)."""
    if direction is None or not len(lines):
        return 0.0
    odds = direction(crops(page, lines))
    return float(np.mean(odds[:, 1] > odds[:, 0]))


def crops(page: np.ndarray, lines: np.ndarray) -> np.ndarray:
    """Pieces of the longest lines, level, as Reader.direction takes them: (N, 3, 48, 192) float32."""
    pieces = []
    for x, y, length, height, angle in lines[np.argsort(-lines[:, 2], kind="stable")].tolist():
        along = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
        width = min(length, height * CROP[1] / CROP[0])
        for part in range(max(1, int(length // width))):
            middle = np.array([x, y]) + along * (width * (part + 0.5) - length / 2)
            pieces.append(_piece(page, middle, angle, np.array([width, height])))
        if len(pieces) >= CROPS:
            break
    return np.stack(pieces[:CROPS])


def _piece(page: np.ndarray, middle: np.ndarray, angle: float, sides: np.ndarray) -> np.ndarray:
    """A piece of a line, (3, 48, 192) float32: BGR in [-1, 1], 0 where it is shorter."""
    columns = min(CROP[1], int(np.ceil(CROP[0] * sides[0] / sides[1])))
    level = levelled(page, middle, angle, sides, (columns, CROP[0]))
    piece = np.zeros((3, *CROP), np.float32)
    piece[:, :, :columns] = level[..., ::-1].transpose(2, 0, 1) / np.float32(127.5) - 1
    return piece


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


def like_characters(stats: np.ndarray, least: float, most: float) -> np.ndarray:
    """Which components have the size and shape of characters: stats (N, 5) of OpenCV -> (N,) bool.

    least, most: px of height; lower ones are dots, accents and noise.
    """
    _, _, width, height, area = stats.T
    fits = (height >= least) & (height < most) & (width >= 3)
    return fits & (width <= 4 * height) & (height <= 6 * width) & (area >= 0.08 * width * height)
