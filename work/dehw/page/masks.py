"""Handwriting masks: made from a page and its ground truth, thresholded, grown, filed.

A mask is 1 (True) where there is handwriting and 0 elsewhere. Files hold 255 and 0; this module alone knows.
"""

from collections.abc import Sequence

import cv2
import numpy as np

from dehw.errors import InputError

Box = tuple[int, int, int, int]  # x0, y0, x1, y1 in pixels of the page; column x1 and row y1 are no part of it

BALANCED = 0.5  # the sensitivity that leaves a pipeline's threshold as it is
# How far sensitivity moves the threshold's log-odds from one end to the other: 0.1 more counts a pixel's odds of
# being handwriting 2.2 times. A threshold of 0.5 goes from 0.98 at 0 to 0.02 at 1. Of 12 real pages the first small
# networks took half of the ink and 0.1 % of the print at 0, 96 % and 1.3 % at 0.5, 99 % and 14 % at 1.
ODDS_RANGE = 8.0


def difference(image: np.ndarray, gt: np.ndarray) -> np.ndarray:
    """Measure how far a page is from its ground truth.

    image, gt: (H, W, 3) uint8 RGB. Returns the mean over RGB of |image - gt|: (H, W) float32, 0 .. 255.
    """
    red, green, blue = cv2.split(cv2.absdiff(image, gt))  # cv2 adds planes ten times faster than numpy an axis
    total = cv2.add(cv2.add(red, green, dtype=cv2.CV_16U), blue, dtype=cv2.CV_32F)
    return total / 3


def soft_mask(image: np.ndarray, gt: np.ndarray, ceiling: float = 20.0) -> np.ndarray:
    """Grade every pixel by its difference, full from `ceiling` grey levels on.

    image, gt: (H, W, 3) uint8 RGB. Returns (H, W) float32 in [0, 1]. Source: the second seed.
    """
    return np.minimum(difference(image, gt) / ceiling, 1)


def hard_mask(image: np.ndarray, gt: np.ndarray, threshold: float) -> np.ndarray:
    """Mark pixels that differ by more than `threshold` grey levels.

    image, gt: (H, W, 3) uint8 RGB. Returns (H, W) bool.
    """
    return difference(image, gt) > threshold


def dilate(mask: np.ndarray, k: int) -> np.ndarray:
    """Grow a mask by a k x k rectangle; k of 1 or less leaves it as it is.

    mask: (H, W) bool or float32 in [0, 1]. Returns the same dtype; a soft mask takes the rectangle's highest
    value.
    """
    if k <= 1:
        return mask
    pixels = mask.view(np.uint8) if mask.dtype == bool else mask  # the same bytes, seen as numbers
    return cv2.dilate(pixels, np.ones((k, k), np.uint8)).view(mask.dtype)


def threshold(prob: np.ndarray, t: float) -> np.ndarray:
    """Mark pixels of probability t and more. (H, W) float in [0, 1] -> (H, W) bool."""
    return prob >= t


def sensitive_threshold(threshold: float, sensitivity: float) -> float:
    """The threshold at a sensitivity in [0, 1], in place of `threshold`, which belongs to BALANCED.

    The higher the sensitivity, the lower it is and the more is erased; its log-odds fall in a straight line.
    Raises InputError.
    """
    if not 0 <= sensitivity <= 1:
        raise InputError(f"sensitivity lies in 0..1, where {BALANCED} is the pipeline's own, not at {sensitivity}")
    factor = np.exp(ODDS_RANGE * (sensitivity - BALANCED))
    return float(threshold / (threshold + (1 - threshold) * factor))


def allowed(size: tuple[int, ...], keep: Sequence[Box] = (), only: Sequence[Box] = ()) -> np.ndarray:
    """Where a page may be erased: within `only`, if any, and outside `keep`. Returns (H, W) bool.

    size: (height, width) of the page. Raises InputError for a box that does not lie on the page.
    """
    if not (keep or only):
        return np.broadcast_to(True, size)  # which takes no memory
    where = np.full(size, not only)
    for boxes, value in ((only, True), (keep, False)):
        for box in boxes:
            left, top, right, bottom = _on_page(box, size)
            where[top:bottom, left:right] = value
    return where


def _on_page(box: Box, size: tuple[int, ...]) -> Box:
    height, width = size
    if len(box) != 4 or not all(isinstance(side, int | np.integer) for side in box):
        raise InputError(f"{box!r} is no box; give x0, y0, x1, y1 in whole pixels")
    if not (0 <= box[0] < box[2] <= width and 0 <= box[1] < box[3] <= height):
        raise InputError(
            f"the box {','.join(map(str, box))} does not lie on the page, which is {width} px wide and {height} px "
            f"high; give x0,y0,x1,y1 with 0 <= x0 < x1 <= {width} and 0 <= y0 < y1 <= {height}"
        )
    return box


def clean_gt(image: np.ndarray, gt: np.ndarray, threshold: float, dilation: int = 3) -> np.ndarray:
    """Make the ground truth identical to the page wherever the two hardly differ.

    What compression and resampling change all over the page is no handwriting; a network should not learn to
    reproduce it. image, gt: (H, W, 3) uint8 RGB; threshold: grey levels; dilation: pixels. Returns (H, W, 3)
    uint8: gt where the dilated hard mask is set, image elsewhere. Source: the first seed.
    """
    mask = dilate(hard_mask(image, gt, threshold), dilation)
    return np.where(mask[..., None], gt, image)


def to_file(mask: np.ndarray) -> np.ndarray:
    """Turn a mask, bool or float in [0, 1], into what its file holds: uint8, 255 = handwriting."""
    if mask.dtype == bool:
        return mask.astype(np.uint8) * 255
    return np.rint(np.clip(mask, 0, 1) * 255).astype(np.uint8)


def from_file(stored: np.ndarray) -> np.ndarray:
    """Turn a mask file's uint8 pixels into a mask in [0, 1]: (H, W) uint8 -> (H, W) float32."""
    return stored.astype(np.float32) / 255
