"""Inside the mask, what a generator painted a little off the paper becomes the paper that is seen around."""

import cv2
import numpy as np

CELL = 4  # px; paper changes slowly, so it is measured on cells of this side
PRINT = 8  # grey levels by which a cell with print in it is darker than the paper about it, at the least
NEAR = 28  # grey levels; what is painted this close to the paper was meant to be paper


def settle(page: np.ndarray, generated: np.ndarray, mask: np.ndarray, reach: int) -> None:
    """Make paper of what is nearly paper in `generated`, inside the mask, in place.

    Small generators leave ghosts of the strokes, some levels off the paper; seen against clean paper they stand out.
    page, generated: (H, W, 3) uint8; mask: (H, W) bool, True = handwriting on `page`; reach: px, see tone.
    """
    painted, paper = generated[mask], tone(page, mask, reach)[mask]
    near = np.abs(painted.astype(np.int16) - paper).max(axis=1) < NEAR
    painted[near] = paper[near]
    generated[mask] = painted


def tone(page: np.ndarray, mask: np.ndarray, reach: int) -> np.ndarray:
    """The paper's colour at each pixel: (H, W, 3) uint8, its mean over a square of about `reach` px.

    Counted is what lies outside the mask and is not print; where nothing does, the tone is 0, black.
    page: (H, W, 3) uint8; mask: (H, W) bool.
    """
    height, width = mask.shape
    size = (-(-width // CELL), -(-height // CELL))
    cells = cv2.resize(page, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    free = cv2.resize(mask.astype(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) == 0
    seen = free
    for _ in range(3):  # print darkens the first mean, and with it some print passes for paper
        mean = _mean(cells, seen, reach // CELL | 1)
        seen = free & ((mean - cells).max(axis=2) < PRINT)
    return cv2.resize(mean.round().astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)


def _mean(values: np.ndarray, seen: np.ndarray, side: int) -> np.ndarray:
    """Mean of the values (H, W, 3) that are seen (H, W) over squares of `side`; 0 where none is."""
    weight = seen.astype(np.float32)
    count, total = (
        cv2.boxFilter(array, -1, (side, side), normalize=False, borderType=cv2.BORDER_REFLECT)
        for array in (weight, values * weight[..., None])
    )
    return total / np.maximum(count, 1)[..., None]
