"""The printed lines of a page: which way they run, and how much of their print a mask takes."""

from dataclasses import dataclass

import cv2
import numpy as np

from dehw.page import layout

LONG_SIDE = 1600  # px; larger pages are looked at on a copy of this size
# What makes a character part of a line: so many others to either side, within `reach` heights, whose heights differ
# by `tolerance` at most. Loose for the lines' direction, which short lines must tell too; strict for print that
# handwriting must not pass for: a row of written digits has three neighbours of one height, seldom eight within 6 %.
LOOSE = {"neighbours": 3, "tolerance": 0.1, "reach": 4}
STRICT = {"neighbours": 8, "tolerance": 0.06, "reach": 8}
COVERED = 0.5  # of a character's box: more of it in the mask than a stroke crossing it would take
STRIPE = 256  # boxes compared with the others at a time: all pairs at once are too many


@dataclass(frozen=True)
class Lines:
    """The printed lines of a page.

    boxes: (N, 4) float32, left, top, width and height in pixels of the page, of the characters that surely are
    print. sideways: whether the lines run up or down the page, which then needs a quarter turn.
    """

    boxes: np.ndarray
    sideways: bool


def find_lines(page: np.ndarray) -> Lines:
    """Find the printed lines of a page, (H, W, 3) uint8 RGB.

    Print is told from handwriting, figures and shadow by its regularity, as in scale.print_height. Components are
    looked at as they lie and with x and y exchanged, where lines that run up or down lie flat: the way round that
    shows more characters in lines is the lines' direction. Lines upside down lie as flat, and count as upright.
    """
    shrink = min(1.0, LONG_SIDE / max(page.shape[:2]))
    if shrink < 1:
        height, width = (max(1, round(side * shrink)) for side in page.shape[:2])
        page = cv2.resize(page, (width, height), interpolation=cv2.INTER_AREA)
    boxes = layout.characters(layout.dark_pixels(page))
    exchanged = boxes[:, [1, 0, 3, 2]]
    flat, upended = (len(_in_line(each, **LOOSE)) for each in (boxes, exchanged))
    if upended > max(flat, layout.ENOUGH):
        return Lines(_in_line(exchanged, **STRICT)[:, [1, 0, 3, 2]] / shrink, True)
    return Lines(_in_line(boxes, **STRICT) / shrink, False)


def covered(lines: Lines, mask: np.ndarray) -> int:
    """How many of the printed characters a mask, (H, W) bool, covers for more than half."""
    count = 0
    for box in lines.boxes:
        left, top, right, bottom = np.rint([*box[:2], *(box[:2] + box[2:])]).astype(int)
        count += mask[top:bottom, left:right].mean() > COVERED
    return int(count)


def _in_line(boxes: np.ndarray, neighbours: int, tolerance: float, reach: float) -> np.ndarray:
    """Those of the boxes, (N, 4), that stand in a line with so many others of their height; by their foot."""
    boxes = boxes[np.argsort(boxes[:, 1] + boxes[:, 3], kind="stable")]
    x, y, w, h = boxes.T
    foot, centre = y + h, x + w / 2
    kept = np.zeros(len(boxes), bool)
    for start in range(0, len(boxes), STRIPE):
        one = slice(start, start + STRIPE), None  # (n, 1) against the (m,) of `near`
        span = 1 + (tolerance + layout.TILT * reach) * 2 * h[one].max()
        near = slice(*np.searchsorted(foot, [foot[one].min() - span, foot[one].max() + span]))
        slack = tolerance * np.maximum(h[one], h[near]) + 1
        away = np.abs(centre[one] - centre[near])
        fits = (away > 0) & (away < reach * h[one]) & (np.abs(h[one] - h[near]) < slack)
        fits &= np.abs(foot[one] - foot[near]) < slack + layout.TILT * away
        kept[one[0]] = fits.sum(1) >= neighbours
    return boxes[kept]
