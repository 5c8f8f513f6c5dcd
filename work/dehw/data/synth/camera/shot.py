"""A page before a camera, with its handwriting and without, and how both are moved alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import cv2
import numpy as np


class Shot(NamedTuple):
    """image, gt: (H, W, 3) float32, 0 black and 1 white. mask: (H, W) float32 in [0, 1]."""

    image: np.ndarray
    gt: np.ndarray
    mask: np.ndarray

    def each(self, change: Callable[[np.ndarray], np.ndarray]) -> Shot:
        """Do the same to image and gt."""
        return Shot(change(self.image), change(self.gt), self.mask)

    def filtered(self, factor: np.ndarray | np.float32) -> Shot:
        """Take light away from image and gt, as a filter or a shadow does."""
        return self.each(lambda page: page * factor)


def field(rng: np.random.Generator, height: int, width: int, cells: int) -> np.ndarray:
    """A smooth random field (H, W) float32 of unit deviation, with about `cells` bumps a side."""
    coarse = rng.normal(0, 1, (cells + 2, cells + 2)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def bend(
    rng: np.random.Generator, shot: Shot, turn: float, tilt: float, curl: float, room: tuple[int, ...] = (0, 0, 0, 0)
) -> tuple[Shot, np.ndarray]:
    """Rotate, tilt and curl image, gt and mask alike, as a hand-held camera sees a sheet of paper.

    turn: degrees. tilt, curl: shares of the shorter side by which corners and paper move. room: px added above, below,
    left and right. Returns the shot, black beside the sheet, and where the sheet is, (H, W, 1) float32.
    """
    height, width = shot.mask.shape[0] + room[0] + room[1], shot.mask.shape[1] + room[2] + room[3]
    short = min(height, width)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    around = cv2.getRotationMatrix2D((width / 2, height / 2), turn, rng.uniform(0.94, 1.0))
    moved = cv2.transform(corners[None], around)[0] + rng.normal(0, tilt, (4, 2)) * short
    matrix = cv2.getPerspectiveTransform(moved.astype(np.float32), corners).astype(np.float32)
    y, x = np.indices((height, width), np.float32)
    w = matrix[2, 0] * x + matrix[2, 1] * y + matrix[2, 2]
    maps = [
        (row[0] * x + row[1] * y + row[2]) / w
        + np.float32(curl * short * rng.random()) * field(rng, height, width, 2)
        - np.float32(start)
        for row, start in zip(matrix[:2], (room[2], room[0]))
    ]
    sheet = np.ones(shot.mask.shape, np.float32)
    image, gt, mask, sheet = (cv2.remap(page, *maps, cv2.INTER_LINEAR, borderValue=0) for page in (*shot, sheet))
    return Shot(image, gt, mask), sheet[..., None]
