"""Boxes that are meant for pages of any size: --keep and --only."""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dehw.page.masks import Box

SIDE = re.compile(r"[0-9]{1,9}|[0-9]{1,3}(\.[0-9]+)?%")


@dataclass(frozen=True)
class PageBox:
    """A box x0, y0, x1, y1. sides: as written, each in pixels or, with a %, in percent of the page."""

    sides: tuple[str, ...]

    def __str__(self) -> str:
        return ",".join(self.sides)

    def on(self, size: tuple[int, ...]) -> Box | None:
        """The part of it on a page of (height, width), in pixels; None where it lies beside the page."""
        height, width = size[:2]
        lengths = (width, height, width, height)
        left, top, right, bottom = (min(_pixels(side, length), length) for side, length in zip(self.sides, lengths))
        return (left, top, right, bottom) if left < right and top < bottom else None


@dataclass(frozen=True)
class Boxes:
    """Where pages may be erased: within `only`, if any, and outside `keep`."""

    keep: Sequence[PageBox] = ()
    only: Sequence[PageBox] = ()

    def on(self, size: tuple[int, ...]) -> tuple[list[Box], list[Box]]:
        """keep and only of a page of (height, width), as Eraser takes them."""
        keep, only = ([box for each in boxes if (box := each.on(size))] for boxes in (self.keep, self.only))
        if self.only and not only:  # none would allow the whole page
            keep = [(0, 0, size[1], size[0])]
        return keep, only

    def beside(self, size: tuple[int, ...]) -> list[str]:
        """What to tell of boxes that lie beside a page of (height, width), a sentence each."""
        page = f"the page, which is {size[1]} px wide and {size[0]} px high"
        return [f"the box {box} lies beside {page}" for box in (*self.keep, *self.only) if box.on(size) is None]


def page_box(text: str) -> PageBox:
    """Read x0,y0,x1,y1, each in pixels or in percent, for argparse."""
    sides = tuple(side.strip() for side in text.split(","))
    if not _is_box(sides):
        wanted = "x0,y0,x1,y1 with x0 < x1, y0 < y1, in whole pixels or percent (0%,0%,100%,10%)"
        raise argparse.ArgumentTypeError(f"must be {wanted}; got {text!r}")
    return PageBox(sides)


def _is_box(sides: tuple[str, ...]) -> bool:
    if len(sides) != 4 or not all(map(SIDE.fullmatch, sides)):
        return False
    ends = zip(sides[:2], sides[2:])
    ordered = all(_number(start) < _number(end) for start, end in ends if _in_percent(start) == _in_percent(end))
    return ordered and all(_number(side) <= 100 for side in sides if _in_percent(side))


def _pixels(side: str, length: int) -> int:
    return round(_number(side) * length / 100) if _in_percent(side) else int(side)


def _number(side: str) -> float:
    return float(side.removesuffix("%"))


def _in_percent(side: str) -> bool:
    return side.endswith("%")
