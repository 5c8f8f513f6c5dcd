"""Brings what a generator painted to the tone of the paper about it."""

import cv2
import numpy as np

REDRAWN = (
    40 / 255
)  # where the generator is further from the page than this, it failed to redraw print: no matter of tone


def match(page: np.ndarray, generated: np.ndarray, mask: np.ndarray, reach: int) -> np.ndarray:
    """Take from `generated` the error of tone that it makes on the paper nearby, where the page tells what is right.

    A generator without a mask redraws all of a tile; small ones are a little off on tinted or shaded paper, evenly over
    some characters. Their error is averaged over a square of about `reach` px, outside the mask alone.
    page, generated: (3, S, S) float32 in [0, 1]; mask: (S, S) bool. Returns (3, S, S) float32.
    """
    error = np.ascontiguousarray((page - generated).transpose(1, 2, 0))
    told = (~mask & (np.abs(error).max(axis=2) < REDRAWN)).astype(np.float32)
    size = (reach | 1, reach | 1)
    count = cv2.boxFilter(told, -1, size, normalize=False, borderType=cv2.BORDER_REFLECT)
    total = cv2.boxFilter(error * told[..., None], -1, size, normalize=False, borderType=cv2.BORDER_REFLECT)
    return generated + (total / np.maximum(count, 1)[..., None]).transpose(2, 0, 1)
