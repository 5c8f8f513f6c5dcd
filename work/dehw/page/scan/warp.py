"""A photo of a sheet laid flat: which point of the photo each point of the page shows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.polynomial import Chebyshev

from dehw.page.scan.trace import Outline

CELL = 16  # px of the page between the points whose place in the photo is computed
BAND = 256  # rows made at a time, which keeps the memory low
RATIOS = (2**0.5, 11 / 8.5)  # of a sheet's sides: A and B sizes, Letter
NEAR = 0.045  # by which a ratio is taken for one of these; curl moves corners, and with them what is measured
FOCAL = (0.65, 2.0)  # least and greatest focal length, by the longer side of the photo
STEEPEST = 1.4  # by which a side looks shorter than it is, at the most; a ratio further off was not to be measured
DEGREE = 7  # of a side's curve once it is laid flat

Place = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Warp:
    """size: (height, width) of the page in px. place: points of the page, (..., 2) px, to px of the photo."""

    size: tuple[int, int]
    place: Place

    def origin(self, top: int, bottom: int) -> np.ndarray:
        """Where the pixels of rows top to bottom lie in the photo, (bottom - top, width, 2) float32."""
        rows, columns = bottom - top, self.size[1]
        y, x = np.mgrid[top : bottom + CELL : CELL, 0 : columns + CELL : CELL]
        nodes = self.place(np.stack([x, y], 2).astype(float)).astype(np.float32)
        matrix = np.array([[1 / CELL, 0, 0], [0, 1 / CELL, 0]])
        return cv2.warpAffine(nodes, matrix, (columns, rows), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)

    def __call__(self, photo: np.ndarray) -> np.ndarray:
        """The page that a photo shows, (H, W, 3) uint8 RGB; white where the photo does not reach."""
        page = np.empty((*self.size, 3), np.uint8)
        for top in range(0, len(page), BAND):
            rows = page[top : top + BAND]
            where = self.origin(top, top + len(rows))
            rows[:] = cv2.remap(photo, where, None, cv2.INTER_CUBIC, None, cv2.BORDER_CONSTANT, (255, 255, 255))
        return page

    def after(self, size: tuple[int, int], place: Place) -> Warp:
        """The warp of a page of another size, whose points `place` takes to points of this one."""
        return Warp(size, lambda points: self.place(place(points)))

    def smaller(self, side: int) -> Warp:
        """The same with a page whose longer side has so many px at the most."""
        scale = min(1.0, side / max(self.size))
        height, width = (max(1, round(length * scale)) for length in self.size)
        step = np.array([self.size[1] / width, self.size[0] / height])
        return self.after((height, width), lambda points: (points + 0.5) * step - 0.5)

    def turned(self, turns: int) -> Warp:
        """The same with the page after so many quarter turns to the left."""
        height, width = self.size
        here = {0: lambda x, y: (x, y), 1: lambda x, y: (width - 1 - y, x)}
        here |= {2: lambda x, y: (width - 1 - x, height - 1 - y), 3: lambda x, y: (y, height - 1 - x)}
        size = self.size if turns % 2 == 0 else self.size[::-1]
        return self.after(size, lambda points: np.stack(here[turns % 4](points[..., 0], points[..., 1]), -1))


def laid(outline: Outline, photo: tuple[int, ...]) -> Warp:
    """The page within an outline, its sides straight: the perspective of its corners, and between its sides what each
    of them bends (Coons, 1967), in the plane of the sheet. photo: (height, width) of the photo.
    """
    corners = outline.corners.astype(np.float32)
    unit = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    seen = cv2.getPerspectiveTransform(unit, corners)
    flat = np.linalg.inv(seen)
    t = np.linspace(0, 1, 65)
    bends = []
    for index, side in enumerate(outline.sides):
        points = cv2.perspectiveTransform(side(t)[None], flat)[0]
        along = index % 2  # of the sheet's axes, which the points run along: x of the top, y of the right side
        edge = np.array([0, 1, 1, 0])[index]
        bends.append(Chebyshev.fit(points[:, along], points[:, 1 - along] - edge, DEGREE, domain=[0, 1]))
    top, right, bottom, left = bends
    height, width = _size(corners, photo, all(outline.seen))

    def place(points: np.ndarray) -> np.ndarray:
        x, y = (points[..., 0] + 0.5) / width, (points[..., 1] + 0.5) / height
        u, v = x.clip(0, 1), y.clip(0, 1)
        across, down = (1 - u) * left(v) + u * right(v), (1 - v) * top(u) + v * bottom(u)
        moved = np.stack([x + across, y + down], -1)
        return cv2.perspectiveTransform(moved.reshape(1, -1, 2), seen).reshape(moved.shape)

    return Warp((height, width), place)


def _size(corners: np.ndarray, photo: tuple[int, ...], complete: bool) -> tuple[int, int]:
    """(height, width) of a page whose corners, (4, 2), lie so in a photo, with as many pixels as it has there."""
    top, right, bottom, left = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    apparent = (left + right) / (top + bottom)
    ratio = _ratio(corners, photo)
    if not apparent / STEEPEST < ratio < apparent * STEEPEST:
        ratio = apparent
    if complete:
        known = [each for number in RATIOS for each in (number, 1 / number) if abs(ratio / each - 1) < NEAR]
        ratio = min(known, key=lambda each: abs(ratio / each - 1), default=ratio)
    width = max(top, bottom, max(left, right) / ratio)
    most = min(1.5 * cv2.contourArea(corners), 2 * photo[0] * photo[1])  # px
    shrink = min(1.0, (most / (width**2 * ratio)) ** 0.5)
    return max(1, round(width * ratio * shrink)), max(1, round(width * shrink))


def _ratio(corners: np.ndarray, photo: tuple[int, ...]) -> float:
    """Height by width of a sheet whose corners lie so in a photo whose middle the camera points at.

    Source: Zhang and He, Whiteboard scanning and image enhancement, 2007.
    """
    middle = np.array([photo[1], photo[0]]) / 2
    long = max(photo[:2])
    m1, m2, m4, m3 = np.column_stack([(corners + 0.5 - middle) / long, np.ones(4)])
    k2 = np.cross(m1, m4) @ m3 / (np.cross(m2, m4) @ m3)
    k3 = np.cross(m1, m4) @ m2 / (np.cross(m3, m4) @ m2)
    across, down = k2 * m2 - m1, k3 * m3 - m1
    product = across[2] * down[2]
    square = -(across[0] * down[0] + across[1] * down[1]) / product if abs(product) > 1e-9 else np.inf
    focal = np.sqrt(np.clip(square, FOCAL[0] ** 2, FOCAL[1] ** 2)) if square > 0 else 1.0
    lengths = [np.linalg.norm(side * (1 / focal, 1 / focal, 1)) for side in (across, down)]
    return float(lengths[1] / lengths[0])
