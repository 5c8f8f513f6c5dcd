"""Inside the mask, what a generator painted a little off the paper becomes the paper that is seen around."""

import cv2
import numpy as np

CELL = 4  # px; paper changes slowly, so it is measured on cells of this side
PRINT = 8  # grey levels by which a cell with print in it is darker than the paper about it, at the least
BAND = 512  # px; rows done at a time, which keeps the memory low
NEAR = 28  # grey levels; what is painted this close to the paper was meant to be paper


def settle(generated: np.ndarray, mask: np.ndarray, cells: np.ndarray) -> None:
    """Make paper of what is nearly paper in `generated`, inside the mask, in place.

    Small generators leave ghosts of the strokes, some levels off the paper; seen against clean paper they stand out.
    generated: (H, W, 3) uint8; mask: (H, W) bool, True = handwriting; cells: the page's tone.
    """
    for top in range(0, len(mask), BAND):
        inside, rows = mask[top : top + BAND], generated[top : top + BAND]
        painted, paper = rows[inside], enlarge(cells, mask.shape, top)[inside]
        near = np.abs(painted.astype(np.int16) - paper).max(axis=1, initial=0) < NEAR
        painted[near] = paper[near]
        rows[inside] = painted


def tone(page: np.ndarray, mask: np.ndarray, reach: int) -> np.ndarray:
    """The paper's colour in cells: (H / CELL, W / CELL, 3) uint8, its mean over a square of about `reach` px.

    Counted is what lies outside the mask and is not print; where nothing does, the tone is 0, black.
    page: (H, W, 3) uint8; mask: (H, W) bool.
    """
    height, width = mask.shape
    size = (-(-width // CELL), -(-height // CELL))
    cells = cv2.resize(page, size, interpolation=cv2.INTER_AREA)
    ink = mask.astype(np.uint8)
    ink *= 255  # in place: pages are large
    free = cv2.resize(ink, size, interpolation=cv2.INTER_AREA) == 0
    del ink
    seen = free
    for _ in range(3):  # print darkens the first mean, and with it some print passes for paper
        mean = _mean(cells, seen, reach // CELL | 1)
        seen = free & ((mean - cells).max(axis=2) < PRINT)
    return mean.round().astype(np.uint8)


def enlarge(cells: np.ndarray, shape: tuple[int, ...], top: int) -> np.ndarray:
    """BAND rows of a page of this shape from row `top` on, as cv2.resize would make them of its cells."""
    down, right = (small / side for small, side in zip(cells.shape, shape))
    matrix = np.array([[right, 0, right / 2 - 0.5], [0, down, (top + 0.5) * down - 0.5]], np.float32)
    size = (shape[1], min(BAND, shape[0] - top))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(cells, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _mean(values: np.ndarray, seen: np.ndarray, side: int) -> np.ndarray:
    """Mean of the values (H, W, 3) uint8 that are seen (H, W) over squares of `side`, float32; 0 where none is."""
    weight = seen.view(np.uint8)
    total, count = (
        cv2.boxFilter(array, cv2.CV_32F, (side, side), normalize=False, borderType=cv2.BORDER_REFLECT)
        for array in (values * weight[..., None], weight)
    )
    total /= np.maximum(count, 1)[..., None]
    return total
