"""A printed page that is being written on, and what comes of it."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from dehw.data.synth.ink import blanks
from dehw.data.synth.ink.blanks import Room

INK_SEEN = 0.25  # opacity from which a pixel counts as handwriting


class Triple(NamedTuple):
    """image, gt: (H, W, 3) uint8, the page with and without handwriting. mask: (H, W) bool, True = to erase."""

    image: np.ndarray
    gt: np.ndarray
    mask: np.ndarray


class Field(NamedTuple):
    """A place of a printed page that is meant to be written in. kind: a key of fields.FILLERS.

    group: fields of one number belong together, as the ovals of one question do.
    """

    kind: str
    room: Room
    group: int = 0


class Printed(NamedTuple):
    """The printed side of a page, (H, W, 3) uint8, and its fields, as far as they are known.

    photo: whether it is the photo of a page, with its own light and paper.
    """

    page: np.ndarray
    fields: list[Field]
    photo: bool = False

    def window(self, room: Room) -> Printed:
        """The part of the page inside `room`, with the fields that lie wholly in it."""
        x, y, w, h = room
        inside = [
            field._replace(room=field.room._replace(x=field.room.x - x, y=field.room.y - y))
            for field in self.fields
            if x <= field.room.x <= x + w - field.room.w and y <= field.room.y <= y + h - field.room.h
        ]
        return self._replace(page=np.ascontiguousarray(self.page[y : y + h, x : x + w]), fields=inside)


class Worksheet:
    """A printed page being written on: keeps the page, the printed original and the mask of what was added.

    gt: (H, W, 3) uint8, its print about `height` px high. printed: its print without rules, (H, W) uint8.
    """

    def __init__(self, gt: np.ndarray, height: float = 20, fields: list[Field] | None = None):
        self.gt, self.height, self.fields = gt, height, fields or []
        self.page, self.mask = gt.astype(np.float32), np.zeros(gt.shape[:2], np.float32)
        dark = blanks.dark(gt)
        self.printed, self.taken = blanks.without_rules(dark, height), cv2.integral(dark)
        self.cells = blanks.cells(dark, height)
        self.runs = blanks.text_runs(self.printed, height)

    @property
    def area(self) -> float:
        """How many printed characters, em by em, the page has room for."""
        return self.mask.size / self.height**2

    def crowd(self, top: int, left: int, height: int, width: int) -> float:
        """Share of print in a box."""
        t = self.taken
        inside = t[top + height, left + width] - t[top, left + width] - t[top + height, left] + t[top, left]
        return float(inside) / (height * width)

    def place(self, rng: np.random.Generator, shape: tuple[int, ...], over_print: bool) -> tuple[int, int] | None:
        """A spot for a patch: free of print, or (`over_print`) crossing it; None where the page has none."""
        height, width = shape
        rows, columns = self.mask.shape[0] - height, self.mask.shape[1] - width
        if rows <= 0 or columns <= 0:
            return None
        spots = [(int(rng.integers(rows)), int(rng.integers(columns))) for _ in range(12)]
        crowds = [self.crowd(*spot, height, width) for spot in spots]
        best = int(np.argmax(crowds) if over_print else np.argmin(crowds))
        return spots[best] if over_print or crowds[best] < 0.02 else None

    def inside(self, spot: tuple[int, int], shape: tuple[int, ...]) -> tuple[int, int] | None:
        """`spot` if a patch of this shape fits there, else None."""
        fits = spot[0] + shape[0] <= self.mask.shape[0] and spot[1] + shape[1] <= self.mask.shape[1]
        return spot if fits and min(spot) >= 0 else None

    def add(
        self,
        alpha: np.ndarray,
        colour: np.ndarray,
        spot: tuple[int, int],
        opacity: float | np.ndarray,
        covers: bool = False,
    ) -> None:
        """Lay ink on paper, cut off at the page's edge: it darkens as a filter does, so black stays black under red.

        opacity: of the whole patch, or (h, w) of its pixels; the mask has what the pen touched however faintly.
        covers: whether the ink hides what lies under it, as a tablet's does.
        """
        (top, left), (height, width) = spot, self.mask.shape
        rows, columns = slice(max(0, -top), max(0, height - top)), slice(max(0, -left), max(0, width - left))
        alpha = alpha[rows, columns]
        opacity = opacity[rows, columns] if isinstance(opacity, np.ndarray) else opacity
        box = np.s_[max(0, top) : max(0, top) + alpha.shape[0], max(0, left) : max(0, left) + alpha.shape[1]]
        layer = (alpha * opacity)[..., None]
        self.page[box] *= 1 - layer if covers else 1 - layer * (1 - colour / 255)
        if covers:
            self.page[box] += layer * colour
        self.mask[box] = np.maximum(self.mask[box], alpha)
