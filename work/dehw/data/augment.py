"""Random windows of a page: where to cut, tilted by how much, mirrored or not.

A window is computed straight from the page; the page itself is never rotated as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

PAPER = 255  # what lies beyond a tilted page; black, as cv2 fills, would read as ink (seed 001's code did)


@dataclass(frozen=True)
class Crop:
    """image, gt: (S, S, 3) uint8 RGB; mask: (S, S) float32 in [0, 1], 1 = handwriting."""

    image: np.ndarray
    gt: np.ndarray
    mask: np.ndarray

    def mirrored(self) -> Crop:
        """The crop with left and right exchanged."""
        return Crop(*(cv2.flip(array, 1) for array in (self.image, self.gt, self.mask)))


@dataclass(frozen=True)
class Window:
    """A `size` px square of a page turned by `degrees` about its centre, then mirrored if `flip`.

    top, left: the corner's place in the turned page, which keeps the page's height and width.
    """

    top: int
    left: int
    size: int
    degrees: float = 0.0
    flip: bool = False


def draw(
    rng: np.random.Generator,
    height: int,
    width: int,
    size: int,
    hflip: float = 0.0,
    rotate: float = 0.0,
    degrees: float = 10.0,
) -> Window:
    """Draw a window inside a page of height x width px, both at least `size`.

    hflip, rotate: probabilities of mirroring and of a tilt drawn from [-degrees, degrees].
    """
    turn = rng.uniform(-degrees, degrees) if rng.random() < rotate else 0.0
    flip = bool(rng.random() < hflip)
    top = int(rng.integers(height - size + 1))
    left = int(rng.integers(width - size + 1))
    return Window(top, left, size, turn, flip)


def cut(page: np.ndarray, window: Window, fill: int = PAPER) -> np.ndarray:
    """Cut a window out of a page: (H, W[, C]) -> (size, size[, C]) of the same dtype, a copy.

    fill: the value beyond the page's edge, PAPER for pages and 0 for masks. Bilinear where tilted.
    """
    rows = slice(window.top, window.top + window.size)
    columns = slice(window.left, window.left + window.size)
    crop = _tilted(page, window, fill) if window.degrees else page[rows, columns]
    return np.ascontiguousarray(crop[:, ::-1]) if window.flip else crop.copy()


def pad(page: np.ndarray, size: int) -> np.ndarray:
    """Mirror a page beyond its lower and right edge until both sides measure at least `size` px."""
    height, width = page.shape[:2]
    below, right = max(0, size - height), max(0, size - width)
    if not below and not right:
        return page
    return cv2.copyMakeBorder(page, 0, below, 0, right, cv2.BORDER_REFLECT_101)


def _tilted(page: np.ndarray, window: Window, fill: int) -> np.ndarray:
    height, width = page.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), window.degrees, 1.0)
    matrix[:, 2] -= window.left, window.top
    return cv2.warpAffine(
        page,
        matrix,
        (window.size, window.size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(fill,) * 4,
    )
