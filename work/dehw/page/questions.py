"""Questions of erased pages: found by the look of their numbers, and collected to be done again. Nothing is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np

from dehw.page import layout
from dehw.page.masks import Box

HEAD = (144, 48)  # px; width and height to which the beginning of a line is brought, of its own shape
BOLD = 1.2  # by the strokes of numbered lines, how wide those of a heading are, at least: it is bold or large
DIGIT = (0.2, 0.8)  # of that height, how high digits are: formulae make lines taller
# Of the first digit's height:
WIDE = 0.95  # the most that a digit is wide
DOT = 0.4  # the most that the dot after a number measures
BASE = 0.2  # how far what stands on one base line may differ, and digits in height
APART = 0.7  # the most between two signs of a number
# Of a line's height:
ALIGNED = 0.6  # how far numbers below each other may be out of line; options are further in
ROW = 0.3  # the same of what stands in one row
MARGIN = 0.5  # left about a question
ACROSS = 0.3  # of a page's width, how far columns are apart
CROSSING = 0.05  # share of the lines that may cross from one column into the next: headings

# Sheets of collected questions
A4 = (2339, 1654)  # px; height and width at 200 dpi
EDGE = 118  # px, 15 mm of margin
SPACE = 315  # px, 40 mm to answer, at least; else as high as the question


def find(page: np.ndarray, lines: np.ndarray) -> list[Box]:
    """The questions of an upright page, (H, W, 3) uint8 RGB, column by column: boxes in pixels.

    lines: as Layout.lines, of the erased page. A question reaches from its number to the next one, or to the heading of
    the next section. Empty where no number is found.
    """
    level = lines[np.abs(lines[:, 4]) <= 10]
    heads = [_head(page, line) for line in level.tolist()]
    numbered = np.array([_is_numbered(head) for head in heads], bool)
    numbers = level[numbered]
    if not len(numbers):
        return []
    strokes = np.array([_stroke(head) for head in heads]) * level[:, 3]
    parting = numbered | (strokes > BOLD * np.median(strokes[numbered]))
    height = float(np.median(numbers[:, 3]))
    columns = _columns(numbers, level, height, page.shape[1])
    dark = layout.dark_pixels(page) > 0
    boxes = []
    for left, right in zip(columns, [*columns[1:], page.shape[1]]):
        starts = np.flatnonzero(parting & (np.abs(_left(level) - left) <= ALIGNED * height))
        x0, x1 = max(0, int(left - MARGIN * height)), int(right - MARGIN * height)
        tops = [_gap(dark[:, x0:x1], y, height) for y in level[starts, 1]]
        for start, top, bottom in zip(starts, tops, [*tops[1:], page.shape[0]]):
            if numbered[start]:
                boxes.append(_fitted((x0, top, x1, bottom), dark, int(MARGIN * height)))
    return [box for box in boxes if box[2] > box[0] and box[3] > box[1]]


def _head(page: np.ndarray, line: list[float]) -> np.ndarray:
    """The beginning of a line, (5,), level and grey: (48, 144) uint8."""
    x, y, length, height, angle = line
    along = np.array([np.cos(np.radians(angle)), np.sin(np.radians(angle))])
    sides = np.array([height * HEAD[0] / HEAD[1], height])
    head = layout.levelled(page, np.array([x, y]) + along * (sides[0] - length) / 2, angle, sides, HEAD)
    return cv2.cvtColor(head, cv2.COLOR_RGB2GRAY)


def _stroke(head: np.ndarray) -> float:
    """How wide strokes are at the beginning of a line, (48, 144) uint8: twice their area by their outlines' length, in
    px. Both come from grey levels, for strokes of small print cover pixels in part.
    """
    ink = np.clip(0.9 * np.percentile(head, 80) + 0.1 * head.min() - head, 0, None)  # without the paper's noise
    outlines = np.hypot(*np.gradient(ink)).sum()
    return float(2 * ink.sum() / outlines) if outlines else 0.0


def _is_numbered(head: np.ndarray) -> bool:
    """Whether the beginning of a line, (48, 144) uint8, is one to three digits and a dot or comma."""
    if int(head.max()) - int(head.min()) < layout.CONTRAST:
        return False
    ink = cv2.threshold(head, 0, 255, cv2.THRESH_BINARY_INV + cv2.THRESH_OTSU)[1]
    signs = cv2.connectedComponentsWithStats(ink, connectivity=8)[2][1:].astype(float)
    signs = signs[signs[:, 4] >= 4]
    return _is_number(signs[np.argsort(signs[:, 0], kind="stable")][:4, :4].tolist())


def _is_number(signs: list[list[float]]) -> bool:
    """Whether signs, (left, top, width, height) each from left to right, begin with digits and a dot."""
    if not signs or not DIGIT[0] * HEAD[1] <= signs[0][3] <= DIGIT[1] * HEAD[1]:
        return False
    _, top, _, high = signs[0]
    end = signs[0][0]
    for place, (left, upper, width, height) in enumerate(signs):
        below = upper + height - top - high  # the first digit's base line
        if left - end > APART * high:
            return False
        if place and max(width, height) <= DOT * high and upper > top + high / 2:
            return below <= 2 * BASE * high
        if width > WIDE * high or max(abs(below), abs(height - high)) > BASE * high:
            return False
        end = left + width
    return False


def _left(lines: np.ndarray) -> np.ndarray:
    """Where lines, (N, 5), begin: (N,) in pixels."""
    return lines[:, 0] - lines[:, 2] / 2


def _columns(numbers: np.ndarray, lines: np.ndarray, height: float, width: int) -> list[float]:
    """Where the columns of numbers begin, from left to right. numbers: (N, 5); lines: (M, 5), all; width: a page's."""
    lefts, begins, ends = _left(numbers), _left(lines), _left(lines) + lines[:, 2]
    columns: list[float] = []
    for left in np.sort(lefts):
        mine = np.abs(lefts - left) <= ALIGNED * height
        if mine.sum() < 2 < len(lefts) or (columns and left - columns[-1] <= ACROSS * width):
            continue
        crossing = (begins < left - height) & (ends > left + height)
        inner = lefts < left - height
        options = [np.any(inner & (np.abs(numbers[:, 1] - y) < ROW * height)) for y in numbers[mine, 1]]
        if not columns or (crossing.mean() <= CROSSING and np.mean(options) <= 0.5):
            columns.append(float(np.median(lefts[mine])))
    return columns


def _gap(dark: np.ndarray, middle: float, height: float) -> int:
    """The middle of the emptiest rows above a line of this middle and height. dark: (H, w) bool, its column."""
    top, bottom = max(0, int(middle - height)), max(1, int(middle - height / 4))
    ink = dark[top:bottom].sum(1)
    return top + int(np.median(np.flatnonzero(ink == ink.min())))


def _fitted(box: Box, dark: np.ndarray, margin: int) -> Box:
    """A box without the empty paper on its right and below. dark: (H, W) bool."""
    x0, y0, x1, y1 = box
    rows, columns = (np.flatnonzero(dark[y0:y1, x0:x1].any(axis)) for axis in (1, 0))
    if not len(rows):
        return x0, y0, x0, y0
    return x0, y0, min(x1, x0 + int(columns[-1]) + margin), min(y1, y0 + int(rows[-1]) + margin)


def cut(page: np.ndarray, box: Box) -> np.ndarray:
    """A question of a page, (H, W, 3) uint8, at the size that it has where the page fills the width of a sheet."""
    x0, y0, x1, y1 = box
    scale = (A4[1] - 2 * EDGE) / page.shape[1]
    scale = min(scale, (A4[0] - 2 * EDGE) / (y1 - y0))
    size = max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale))
    return cv2.resize(page[y0:y1, x0:x1], size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def sheets(cuts: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    """Questions, see `cut`, below each other on as many sheets as they need, with space to answer: A4 uint8 each."""
    sheet, top = np.full((*A4, 3), 255, np.uint8), EDGE
    for each in cuts:
        height, width = each.shape[:2]
        if top > EDGE and top + height + max(SPACE, height) > A4[0] - EDGE:
            yield sheet
            sheet, top = np.full((*A4, 3), 255, np.uint8), EDGE
        sheet[top : top + height, EDGE : EDGE + width] = each
        top += height + max(SPACE, height)
    if top > EDGE:
        yield sheet
