"""A sheet before a camera, with the truth of where each of its points is seen.

Points of the sheet are (x, y) in widths from its middle; points of the photo are pixels, whose centres are whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

FINE = 8  # px between the points at which the way back is computed
STEPS = 12  # of the way back, each of which leaves about a quarter of the error
HIGHEST = 0.15  # widths that a sheet rises and falls


@dataclass(frozen=True)
class Wave:
    """How a sheet is curled: as a wave of a height, in widths, that runs a way, in radians, so often a width."""

    height: float
    way: float
    often: float
    phase: float

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Height above the desk, in widths, of points of the sheet, (..., 2)."""
        along = points[..., 0] * np.cos(self.way) + points[..., 1] * np.sin(self.way)
        return self.height * np.sin(2 * np.pi * (self.often * along + self.phase))


@dataclass(frozen=True)
class Pose:
    """Where a sheet lies before a camera.

    ratio: height of the sheet by its width. rotation: (3, 3), of the sheet. distance: of the camera, in widths.
    focal: in px; centre: px of the photo, (x, y). relief: how it is curled.
    """

    ratio: float
    rotation: np.ndarray
    distance: float
    focal: float
    centre: tuple[float, float]
    relief: Wave

    def seen(self, points: np.ndarray) -> np.ndarray:
        """Where points of the sheet, (..., 2), are seen in the photo, (..., 2)."""
        return self._project(points, self.relief(points))

    @property
    def corners(self) -> np.ndarray:
        """The sheet's corners in the photo, (4, 2), clockwise from its upper left."""
        half = self.ratio / 2
        return self.seen(np.array([[-0.5, -half], [0.5, -half], [0.5, half], [-0.5, half]]))

    def shown(self, pixels: np.ndarray) -> np.ndarray:
        """Which points of the sheet pixels of the photo show, (n, m, 2); beside the sheet, none of it."""
        corners = np.array([[-1.0, -1], [1, -1], [1, 1], [-1, 1]])
        flat = self._project(corners, np.zeros(4)).astype(np.float32)
        back = cv2.getPerspectiveTransform(flat, corners.astype(np.float32))
        first = points = cv2.perspectiveTransform(np.asarray(pixels, float), back)
        for _ in range(STEPS):  # the sheet is nearly flat: what its relief moves is moved back
            points = points + first - cv2.perspectiveTransform(self.seen(points.clip(-2, 2)), back)
        return points

    def maps(self, height: int, width: int) -> np.ndarray:
        """The same for each pixel of a photo, (height, width, 2) float32."""
        y, x = np.mgrid[0 : height + FINE : FINE, 0 : width + FINE : FINE]
        nodes = self.shown(np.stack([x, y], 2)).astype(np.float32)
        matrix = np.array([[1 / FINE, 0, 0], [0, 1 / FINE, 0]])
        return cv2.warpAffine(nodes, matrix, (width, height), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)

    def _project(self, points: np.ndarray, above: np.ndarray) -> np.ndarray:
        space = np.concatenate([points, -np.asarray(above)[..., None]], axis=-1) @ self.rotation.T
        away = space[..., 2:] + self.distance
        return self.focal * space[..., :2] / away + self.centre


def posed(rng: np.random.Generator, size: tuple[int, int], ratio: float, turn: float, lean: float, curl: float) -> Pose:
    """A sheet that a photo of (height, width) shows whole.

    turn: degrees, in the photo. lean: degrees of the camera off the sheet's upright. curl: by how much the relief
    moves what is seen at the most, in widths of the sheet as seen: a wave or a roll across it in any direction.
    """
    around = rng.uniform(0, 2 * np.pi)
    axis = np.radians(lean) * np.array([np.cos(around), np.sin(around), 0])
    rotation = cv2.Rodrigues(axis)[0] @ cv2.Rodrigues(np.array([0, 0, np.radians(turn)]))[0]
    way, often, phase = rng.choice([0, np.pi / 2]) + rng.normal(0, 0.3), rng.uniform(0.4, 0.9), rng.random()
    wave = Wave(0.01, float(way), float(often), float(phase))
    pose = Pose(ratio, rotation, float(rng.uniform(1.8, 2.6)), 1.0, (0.0, 0.0), wave)
    inner = np.mgrid[-1:1:15j, -1:1:15j].reshape(2, -1).T * (0.5, ratio / 2)
    moved = np.linalg.norm(pose.seen(inner) - pose._project(inner, np.zeros(len(inner))), axis=1).max() * pose.distance
    pose = replace(pose, relief=replace(wave, height=min(HIGHEST, float(wave.height * curl / moved))))
    low, high = pose.seen(inner).min(0), pose.seen(inner).max(0)
    focal = float(min(size[::-1] / (high - low)) * rng.uniform(0.75, 0.93))
    room = size[::-1] - focal * (high - low)
    x, y = room * rng.uniform(0.25, 0.75, 2) - focal * low
    return replace(pose, focal=focal, centre=(float(x), float(y)))
