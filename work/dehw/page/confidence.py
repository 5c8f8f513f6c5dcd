"""How far a page's mask can be trusted, and what about it is implausible."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from dehw.page import layout
from dehw.page.layout import Layout

# Chosen on pages of `python -m tools.warned`, see docs/results.md.
LEFT, LITTLE = 0.01, 0.6  # of the ink and this share of the dark pixels together
TORN = 0.1  # of the dark pixels
TAKEN, TRACE = 0.17, 0.1  # of the ink; where there is next to none, print is compared with this share of dark pixels
LARGE = 0.4  # of the page; pages written on throughout have up to 0.38, one on which print and shadow went 0.47
EMPTY = 0.001  # share of dark pixels below which a page is blank


@dataclass(frozen=True)
class Confidence:
    """What the mask network's own probabilities say of a mask: shares of a page's dark pixels, in [0, 1].

    ink: handwriting. left: handwriting that stays. taken: print that goes. torn: pixels that go while most of their
    character or stroke stays, or stay while most of it goes. The first three are expected values: a pixel counts by its
    probability. guessed: no line was found by which the page could be scaled, and it is not blank.
    """

    ink: float
    left: float
    taken: float
    torn: float
    guessed: bool = False


def measure(
    page: np.ndarray, prob: np.ndarray, mask: np.ndarray, found: Layout, allowed: np.ndarray | None = None
) -> Confidence:
    """The confidence of a mask.

    page: (h, w, 3) uint8 RGB; prob: (h, w) float32 in [0, 1], of handwriting; mask: (H, W) bool, contiguous; allowed:
    (H, W) bool, where anything was to be erased, None for everywhere. They show the page one way up, at any size.
    found: the page's lines. It is measured on a copy of layout.SIDE px at most, which takes 0.05 s.
    """
    scale = min(1.0, layout.SIDE / max(page.shape[:2]))
    size = tuple(max(1, round(side * scale)) for side in page.shape[1::-1])
    dark = layout.dark_pixels(cv2.resize(page, size, interpolation=cv2.INTER_AREA)) > 0
    if allowed is not None:
        rows, columns = (np.arange(small) * side // small for small, side in zip(size[::-1], allowed.shape))
        dark &= allowed[np.ix_(rows, columns)]
    count = np.count_nonzero(dark)
    if count <= EMPTY * dark.size:
        return Confidence(0.0, 0.0, 0.0, 0.0)
    likely = cv2.resize(prob, size, interpolation=cv2.INTER_AREA)[dark]
    goes = cv2.resize(mask.view(np.uint8) * np.uint8(255), size, interpolation=cv2.INTER_AREA)[dark] / 255
    strokes = cv2.connectedComponents(dark.view(np.uint8), connectivity=8)[1][dark]
    whole, going = np.bincount(strokes), np.bincount(strokes, goes)
    apart = likely - goes  # at the edges of strokes a pixel goes in part
    shares = likely.sum(), apart.clip(0).sum(), (-apart).clip(0).sum(), np.minimum(going, whole - going).sum()
    ink, left, taken, torn = (round(float(share) / count, 4) for share in shares)
    return Confidence(ink, left, taken, torn, found.guessed)


def doubts(share: float, confidence: Confidence | None) -> list[str]:
    """What is implausible about a mask that erases this share of its page, a sentence each; none without confidence."""
    if confidence is None:
        return []
    scale = "look at this page, or try a pipeline with another line_height"
    found = {
        "handwriting may be left; look at this page, or try a higher --sensitivity": (
            confidence.left > LEFT * (confidence.ink + LITTLE)
        ),
        "print may have been erased; look at this page, or try a lower --sensitivity": (
            confidence.taken > TAKEN * (confidence.ink + TRACE)
        ),
        f"{confidence.torn:.0%} of the print and writing was erased in part, as if at a wrong scale; {scale}": (
            confidence.torn > TORN
        ),
        f"{share:.0%} of the page was erased, where answered pages have 1 to 5 %; look at this page": share > LARGE,
        f"no text lines were found, so the scale is a guess; {scale}": confidence.guessed,
    }
    return [sentence for sentence, true in found.items() if true]
