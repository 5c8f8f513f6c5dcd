"""From a photo of a sheet to the page on it: straight, level, upright, without what the sheet lies on."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dehw.page import layout
from dehw.page.layout import Read, Reader
from dehw.page.scan import baselines, find, trace, warp
from dehw.page.scan.trace import Outline
from dehw.page.scan.warp import Warp


@dataclass(frozen=True)
class Straightened:
    """page: (H, W, 3) uint8 RGB. warp: where each point of it lies in the photo. outline: the sheet in the photo; None
    where none of its sides is seen, so that nothing was trimmed.
    """

    page: np.ndarray
    warp: Warp
    outline: Outline | None

    @property
    def warnings(self) -> list[str]:
        """What was not found, a sentence each."""
        if self.outline:
            return []
        return ["no edge of a sheet was found, so nothing was trimmed or straightened by it; look at this page"]


def straighten(photo: np.ndarray, reader: Reader | None = None) -> Straightened:
    """Find the sheet in a photo, (H, W, 3) uint8 RGB, and lay it flat.

    Sides that the picture cuts off stay outside: what it shows of the sheet is kept whole. A photo in which no side of
    a sheet is seen is turned upright, and level where its lines of text agree. Without a reader, pages are not turned.
    """
    text = layout.UNREAD.lines if reader is None else layout.find_lines(photo, reader.lines)
    outline = _outline(photo, text)
    flat = warp.laid(outline, photo.shape)
    if reader is not None:
        read = _remembering(reader.lines)  # a page that needs no turn is read once
        turns = layout.measure(flat.smaller(layout.SIDE)(photo), Reader(read, reader.direction)).turns
        top, bottom = (outline.seen[(side + turns) % 4] for side in (0, 2))
        flat = baselines.levelled(flat.turned(turns), photo, read, top, bottom)
    return Straightened(flat(photo), flat, outline if any(outline.seen) else None)


def _remembering(read: Read) -> Read:
    """The same network, which does not run where it is asked what it was asked before."""
    last: list[np.ndarray] = []

    def answer(page: np.ndarray) -> np.ndarray:
        if not last or not np.array_equal(last[0], page):
            last[:] = page, read(page)
        return last[1]

    return answer


def _outline(photo: np.ndarray, text: np.ndarray) -> Outline:
    """The sheet in a photo, or all of the picture. text: its lines, (N, 5)."""
    quad = find.find(photo, text)
    try:
        return trace.trace(photo, find.completed(quad, photo.shape, text))
    except np.linalg.LinAlgError:  # sides that do not meet are none
        return trace.trace(photo, find.completed(None, photo.shape, text[:0]))
