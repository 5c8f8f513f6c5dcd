"""The paper's colour where a mask hides it, from what is seen around: ink that is gone leaves paper."""

import cv2
import numpy as np

CELL = 4  # px; paper changes slowly, so it is measured on cells of this side
PRINT = 8  # grey levels by which a cell with print in it is darker than the paper about it, at the least
ENOUGH = 0.2  # share of a square that is paper, for its mean to count
BAND = 512  # px; rows done at a time, which keeps the memory low
UNSEEN = 255  # the colour of paper that is seen nowhere


def paint(painted: np.ndarray, mask: np.ndarray, cells: np.ndarray) -> None:
    """Make paper of what the mask holds in `painted`, in place.

    painted: (H, W, 3) uint8; mask: (H, W) bool, True = handwriting; cells: the page's tone.
    """
    for top in range(0, len(mask), BAND):
        inside = mask[top : top + BAND]
        if inside.any():
            np.copyto(painted[top : top + BAND], enlarge(cells, mask.shape, top), where=inside[..., None])


def tone(page: np.ndarray, mask: np.ndarray, reach: int) -> np.ndarray:
    """The paper's colour in cells: (H / CELL, W / CELL, 3) uint8, its mean over a square of about `reach` px.

    Counted is what lies outside the mask and is not print. Where that is too little, in the mask, the square is doubled
    until it is enough: near paper has the same tint and shadow.
    page: (H, W, 3) uint8; mask: (H, W) bool.
    """
    height, width = mask.shape
    size = (-(-width // CELL), -(-height // CELL))
    cells = cv2.resize(page, size, interpolation=cv2.INTER_AREA)
    ink = mask.astype(np.uint8)
    ink *= 255  # in place: pages are large
    free = cv2.resize(ink, size, interpolation=cv2.INTER_AREA) == 0
    del ink
    side = reach // CELL | 1
    found, share = _paper(cells, free, side)
    few = (share <= ENOUGH) & (cv2.erode(free.view(np.uint8), np.ones((3, 3), np.uint8)) == 0)  # in the mask and by it
    while few.any() and side < 2 * max(size):
        side = 2 * side + 1
        mean, share = _paper(cells, free, side)
        found[few] = mean[few]
        few &= share <= ENOUGH
    found[few & (share == 0)] = UNSEEN
    return found.round().astype(np.uint8)


def _paper(cells: np.ndarray, free: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean of what is free and not print over squares of `side` cells, (h, w, 3) float32, and its share of each."""
    mean, share = _mean(cells, free, side)
    for _ in range(3):  # print darkens the first mean, and with it some print passes for paper
        mean, share = _mean(cells, free & (lightest(mean - cells) < PRINT), side)
    return mean, share


def lightest(pixels: np.ndarray) -> np.ndarray:
    """The greatest of the channels: (H, W, 3) -> (H, W), uint8 or float32."""
    red, green, blue = cv2.split(pixels)  # cv2 compares planes ten times faster than numpy an axis
    return cv2.max(cv2.max(red, green), blue)


def enlarge(cells: np.ndarray, shape: tuple[int, ...], top: int) -> np.ndarray:
    """BAND rows of a page of this shape from row `top` on, as cv2.resize would make them of its cells."""
    down, right = (small / side for small, side in zip(cells.shape, shape))
    matrix = np.array([[right, 0, right / 2 - 0.5], [0, down, (top + 0.5) * down - 0.5]], np.float32)
    size = (shape[1], min(BAND, shape[0] - top))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(cells, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _mean(values: np.ndarray, seen: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean of the values (H, W, 3) uint8 that are seen (H, W) over squares of `side`, float32; 0 where none is.

    Also the share of each square that is seen, (H, W) float32.
    """
    weight = seen.view(np.uint8)
    total, count = (
        cv2.boxFilter(array, cv2.CV_32F, (side, side), normalize=False, borderType=cv2.BORDER_REFLECT)
        for array in (values * weight[..., None], weight)
    )
    total /= np.maximum(count, 1)[..., None]
    return total, count / side**2
