"""Windows over a page of any size: where they lie, what they read, how their answers are joined."""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice, pairwise, product
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")

STEP = 512  # px; windows that spread() lays grow by it: engines compile each size, and pages that need one more wait


@dataclass(frozen=True)
class Tile:
    """A window of a page.

    top, left: the corner in page coordinates; it may lie outside the page, which is then mirrored. size: (height,
    width) in pixels. keep: the page's rows and columns that this tile answers for.
    """

    top: int
    left: int
    size: tuple[int, int]
    keep: tuple[slice, slice]

    @property
    def inner(self) -> tuple[slice, slice]:
        """The rows and columns of `keep` in the tile's own coordinates."""
        rows, columns = self.keep
        return (
            slice(rows.start - self.top, rows.stop - self.top),
            slice(columns.start - self.left, columns.stop - self.left),
        )


def tiles(height: int, width: int, size: int, stride: int, margin: int = 0) -> list[Tile]:
    """Cover a page with square tiles, row by row.

    margin 0: overlapping windows whose results are to be averaged, as PaddleSeg's slide_inference lays them:
    the last one is shifted back to the page's end, and each keeps all of the page it sees. margin > 0:
    keep-the-centre tiles over the mirrored page (second seed): neighbours overlap by twice the margin at
    least, and every pixel is kept by exactly one tile, at least a margin away from that tile's ends. A side
    no longer than a tile gets one tile with the page in its middle, mirrored all around.

    All arguments are pixels. Raises ValueError for sizes below 1 and for a stride that would leave pixels
    out.
    """
    if min(height, width, size, stride) < 1 or margin < 0:
        raise ValueError(f"page {height}x{width}, tile {size}, stride {stride} or margin {margin} too small")
    if stride > size - 2 * margin:
        raise ValueError(f"stride {stride} leaves gaps: tiles of {size} keep {size - 2 * margin} pixels")
    rows, columns = (_lay(length, size, stride, margin) for length in (height, width))
    return [Tile(top, left, (size, size), (down, across)) for (top, down), (left, across) in product(rows, columns)]


def _lay(length: int, size: int, stride: int, margin: int) -> list[tuple[int, slice]]:
    """Lay tiles along one axis: the start and the kept pixels of each.

    The last tile is shifted back to end one margin beyond the page. What it keeps then lies further towards
    the page's end within the tile, and still a margin away from the tile's own end.
    """
    if length <= size:
        return [((length - size) // 2, slice(0, length))]
    core = size - 2 * margin
    count = 1 + math.ceil((length - core) / stride)
    begins = [i * stride for i in range(count)]
    cores = [min(begin, length - core) for begin in begins]
    if margin:
        keeps = [slice(*ends) for ends in pairwise([*begins, length])]
    else:
        keeps = [slice(core_start, core_start + size) for core_start in cores]
    return [(core_start - margin, keep) for core_start, keep in zip(cores, keeps, strict=True)]


def read_tile(page: np.ndarray, tile: Tile) -> np.ndarray:
    """Copy a tile out of a page, mirrored beyond the page's edges.

    page: (H, W) or (H, W, C), any dtype. Returns them at the tile's size, same dtype. The mirror does
    not repeat the edge (reflect-101) and goes back and forth as often as a small page needs.
    """
    rows = _mirror(tile.top, tile.size[0], page.shape[0])
    columns = _mirror(tile.left, tile.size[1], page.shape[1])
    return page.take(rows, axis=0).take(columns, axis=1)


def _mirror(start: int, size: int, length: int) -> np.ndarray:
    """Return the indices of `size` pixels from `start` on, reflected into 0 .. length - 1."""
    index = np.arange(start, start + size)
    if length == 1:
        return np.zeros_like(index)
    index = np.abs(index) % (2 * length - 2)
    return np.minimum(index, 2 * length - 2 - index)


def batches(items: Iterable[Item], n: int) -> Iterator[list[Item]]:
    """Yield the items in lists of n, the last one shorter."""
    rest = iter(items)
    while batch := list(islice(rest, n)):
        yield batch


def spread(height: int, width: int, size: int, stride: int) -> list[Tile]:
    """Cover a page with the fewest windows of sides up to `size`, as small as will do and evenly spread, row by row.

    All are of one size and overlap by size - stride at least; each keeps all of the page it sees, and Blend joins them.
    Where a side is longer than the page, the page lies in its middle, mirrored. All arguments are pixels.
    """
    (tall, rows), (wide, columns) = (_spread(length, size, size - stride) for length in (height, width))
    return [Tile(top, left, (tall, wide), (down, across)) for (top, down), (left, across) in product(rows, columns)]


def _spread(length: int, size: int, overlap: int) -> tuple[int, list[tuple[int, slice]]]:
    """Spread windows along one axis: their side, and the start and the kept pixels of each."""
    count = max(1, math.ceil((length - overlap) / (size - overlap)))
    step = math.gcd(size, STEP)
    side = math.ceil((length + (count - 1) * overlap) / count / step) * step
    if count == 1:
        return side, _lay(length, side, side, 0)
    starts = [round(n * (length - side) / (count - 1)) for n in range(count)]
    return side, [(start, slice(start, start + side)) for start in starts]


class Blend:
    """Overlapping windows' values on a page of (height, width), each window fading out towards its borders.

    windows: all that will be added, a full grid of rows and columns as spread() and tiles() lay it. What a network
    sees at a window's border is half a page less than in its middle, so it counts for less there; and the borders
    leave no edge. Because they are a grid, every pixel's weights add up to 1 without a count being kept.
    """

    FADE = 4  # a window reaches its full weight at a quarter of its side

    def __init__(self, height: int, width: int, windows: Iterable[Tile]):
        windows = list(windows)
        self._sum = np.zeros((height, width), np.float32)
        self._down = self._weights(height, {(w.top, w.size[0]): (w.keep[0], w.inner[0]) for w in windows})
        self._across = self._weights(width, {(w.left, w.size[1]): (w.keep[1], w.inner[1]) for w in windows})

    def add(self, tile: Tile, values: np.ndarray) -> None:
        """Add what a window says of the pixels it keeps; values: of its size, float."""
        weight = self._down[tile.top, tile.size[0]][:, None] * self._across[tile.left, tile.size[1]]
        self._sum[tile.keep] += values[tile.inner] * weight

    def result(self) -> np.ndarray:
        """Return the page, (height, width) float32, once all windows are added."""
        return self._sum

    @classmethod
    def _weights(cls, length: int, places: dict[tuple[int, int], tuple[slice, slice]]) -> dict:
        """The weight of each kept pixel along one axis, by a window's start and side; those of a pixel add up to 1."""
        total = np.zeros(length, np.float32)
        weights = {}
        for (start, size), (keep, inner) in places.items():
            middle = np.arange(size, dtype=np.float32) + 0.5
            ramp = np.minimum(np.minimum(middle, size - middle) * cls.FADE / size, 1)[inner]
            total[keep] += ramp
            weights[start, size] = (keep, ramp)
        return {place: ramp / total[keep] for place, (keep, ramp) in weights.items()}


class Average:
    """The mean of overlapping tiles' values on a page of (height, width)."""

    def __init__(self, height: int, width: int):
        self._sum = np.zeros((height, width), np.float32)
        self._count = np.zeros((height, width), np.uint16)

    def add(self, tile: Tile, values: np.ndarray) -> None:
        """Add what a tile says of the pixels it keeps; values: of its size, float."""
        self._sum[tile.keep] += values[tile.inner]
        self._count[tile.keep] += 1

    def result(self) -> np.ndarray:
        """Return the mean of all that was added: (height, width) float32; nan where no tile answered.

        Ends the adding: on large pages there is no room for the sum beside the mean.
        """
        with np.errstate(invalid="ignore"):
            return np.divide(self._sum, self._count, out=self._sum)
