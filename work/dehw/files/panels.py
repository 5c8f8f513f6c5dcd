"""Pictures that show a result: before and after side by side, and sheets of them."""

import math
from collections.abc import Sequence

import cv2
import numpy as np

GAP = 12  # px of grey between panels
GREY = 200
INK_COLOUR = (230, 0, 60)  # tints the handwriting that was found


def side_by_side(before: np.ndarray, after: np.ndarray, mask: np.ndarray | None = None) -> np.ndarray:
    """Set a page before and after erasing beside each other; with a mask, what was found between them.

    before, after: (H, W, 3) uint8 RGB; mask: (H, W) bool, True = handwriting.
    Returns (H, 2 W + gap, 3) or, with a mask, (H, 3 W + 2 gaps, 3) uint8 RGB. Raises ValueError where sizes
    differ.
    """
    panels = [before, after] if mask is None else [before, tint(before, mask), after]
    if len({panel.shape for panel in panels}) > 1:
        raise ValueError(f"pages of unequal size: {before.shape} and {after.shape}")
    gap = np.full((len(before), GAP, 3), GREY, np.uint8)
    return np.hstack([part for panel in panels for part in (gap, panel)][1:])


def tint(page: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Show a mask on its page: (H, W, 3) uint8 RGB, half page and half colour where mask (H, W) is True."""
    if mask.shape != page.shape[:2]:
        raise ValueError(f"the mask is {mask.shape} and the page {page.shape[:2]}")
    shown = page.copy()
    shown[mask] = page[mask] // 2 + np.array(INK_COLOUR, np.uint8) // 2
    return shown


def contact_sheet(pictures: Sequence[np.ndarray], columns: int = 1, width: int = 1200) -> np.ndarray:
    """Lay pictures out in rows, each scaled to `width` pixels.

    pictures: (H, W, 3) uint8 RGB of any sizes, at least one. A row is as high as its highest picture.
    Returns (h, columns * (width + gap) - gap, 3) uint8 RGB.
    """
    scaled = [_to_width(picture, width) for picture in pictures]
    rows = [scaled[start : start + columns] for start in range(0, len(scaled), columns)]
    heights = [max(len(picture) for picture in row) for row in rows]
    shape = (sum(heights) + GAP * (len(rows) - 1), columns * (width + GAP) - GAP, 3)
    sheet = np.full(shape, GREY, np.uint8)
    top = 0
    for row, height in zip(rows, heights):
        for place, picture in enumerate(row):
            left = place * (width + GAP)
            sheet[top : top + len(picture), left : left + width] = picture
        top += height + GAP
    return sheet


def _to_width(picture: np.ndarray, width: int) -> np.ndarray:
    height = max(1, math.floor(picture.shape[0] * width / picture.shape[1]))
    interpolation = cv2.INTER_AREA if width < picture.shape[1] else cv2.INTER_LINEAR
    return cv2.resize(picture, (width, height), interpolation=interpolation)
