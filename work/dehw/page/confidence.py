"""How far a page's mask can be trusted, and what about it is implausible."""

from dataclasses import dataclass

import cv2
import numpy as np

from dehw.page import layout
from dehw.page.layout import Layout

POSSIBLE, SURE = 0.3, 0.7  # probabilities: from the first on a pixel may be handwriting, above the second it surely is
# Measured with the weights of 2026-11; the shares on 20 pages whose truth is known, 31 clean ones and 25 others:
LARGE = 0.15  # share of the page; answered pages had 0.01 to 0.11, one on which print and shadow went 0.47
UNSURE = 0.57  # of what is possible; of 36 pages 7 had less sure, among them the 3 that lost most print
FEW = 0.001  # share of possible pixels below which there is no handwriting to be sure of; 4 clean pages had more
# Of the lines. Of 93 pages 9 had more erased: 3 that lost their print, Arabic, music and a photo, and 6 written by
# hand throughout. Other answered pages had up to 0.87.
NEARLY_ALL = 0.9
ENOUGH = 5  # lines; fewer may be an answer and its number


@dataclass(frozen=True)
class Confidence:
    """How sure a mask is, all in [0, 1].

    possible: share of the page's pixels that may be handwriting (a probability of 0.3 and more). sure: share of
    these that surely are (above 0.7), 1 where there are none. lines: share of the page's lines of text, by length, that
    the mask takes, 0 where there are few. guessed: no line was found by which the page could be scaled.
    """

    possible: float
    sure: float
    lines: float
    guessed: bool = False


def measure(page: np.ndarray, prob: np.ndarray, mask: np.ndarray, found: Layout) -> Confidence:
    """The confidence of a mask.

    page: (H, W, 3) uint8 RGB; prob: (h, w) float32 in [0, 1], of the page at any size; mask: (H, W) bool; found:
    the page's lines.
    """
    possible = np.count_nonzero(prob >= POSSIBLE)
    sure = np.count_nonzero(prob > SURE) / possible if possible else 1.0
    lines = erased(page, mask, found.lines) if len(found.lines) >= ENOUGH else 0.0
    return Confidence(round(possible / prob.size, 6), round(sure, 4), round(lines, 4), found.guessed)


def erased(page: np.ndarray, mask: np.ndarray, lines: np.ndarray) -> float:
    """Share of the lines, (N, 5), by length, of whose dark pixels the mask takes more than half; 0 without lines."""
    if not len(lines) or not mask.any():
        return 0.0
    scale = min(1.0, layout.SIDE / max(mask.shape))
    size = tuple(max(1, round(side * scale)) for side in mask.shape[::-1])
    dark = layout.dark_pixels(cv2.resize(page, size, interpolation=cv2.INTER_AREA))
    taken = dark & cv2.resize(mask.view(np.uint8) * np.uint8(255), size, interpolation=cv2.INTER_AREA)
    gone = [_within(taken > 127, line, scale) > 0.5 * _within(dark, line, scale) for line in lines]
    return float(lines[gone, 2].sum() / lines[:, 2].sum())


def _within(pixels: np.ndarray, line: np.ndarray, scale: float) -> int:
    """How many of the pixels, (h, w), lie in the box of a line, (5,), of a page `scale` times as large."""
    x, y, length, height, angle = line.tolist()
    corners = cv2.boxPoints(((x * scale, y * scale), (length * scale, height * scale), angle))
    left, top, width, tall = cv2.boundingRect(corners)
    left, top = max(0, left), max(0, top)
    part = pixels[top : top + tall, left : left + width]
    box = cv2.fillConvexPoly(np.zeros(part.shape, np.uint8), np.rint(corners - (left, top)).astype(np.int32), 1)
    return np.count_nonzero(box & (part > 0))


def doubts(share: float, confidence: Confidence | None) -> list[str]:
    """What is implausible about a mask that erases this share of its page, a sentence each; none without confidence."""
    if confidence is None:
        return []
    found = {
        f"{share:.0%} of the page was erased, where answered pages have 1 to 5 %": share > LARGE,
        f"only {confidence.sure:.0%} of what may be handwriting surely is, so some may be left, or print be erased": (
            confidence.possible >= FEW and confidence.sure < UNSURE
        ),
        f"{confidence.lines:.0%} of the lines of text were erased, as if the whole page were written by hand": (
            confidence.lines > NEARLY_ALL
        ),
        "no text lines were found, so the scale is a guess": confidence.guessed,
    }
    return [f"{sentence}; look at this page" for sentence, true in found.items() if true]
