"""Training crops straight from full pages, without decoding a page for every crop.

Crop number n of a stream, with all that the recipes do to it, depends on the seed and n alone, so a training
that was cut goes on with the very crops it would have had. A stream keeps `buffer` neighbouring pages of its
shuffled order decoded and draws each crop from one of them; after every `crops_per_page` crops the oldest page
makes room for the next.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Annotated

import cv2
import numpy as np
import pydantic.dataclasses
from pydantic import Field

from dehw.config import STRICT, Count, Fraction, Side
from dehw.data import augment
from dehw.data.augment import Crop
from dehw.data.pairs import Pair
from dehw.data.recipes import Kit, Recipes, banks, follow
from dehw.errors import InputError
from dehw.files.images import read_image, read_label, read_mask
from dehw.page import layout, masks
from dehw.page.layout import Reader

ORDER, CROP, RECIPE = 0, 1, 2  # tell the seeds of a stream's kinds of draw apart
INK = 0.5  # soft mask from which a pixel counts as handwriting where crops without any are drawn again


@pydantic.dataclasses.dataclass(config=STRICT)
class CropSettings:
    """How crops are drawn. Sizes in pixels, hflip and rotate are probabilities (seed 001's values).

    clean_gt: grey levels up to which a page's ground truth is made identical to the page (masks.clean_gt, seed
    000), None to leave it. recipes: what else happens to a crop, nothing by default.
    """

    size: Side = 512
    hflip: Fraction = 0.3
    rotate: Fraction = 0.3
    degrees: Annotated[float, Field(ge=0, le=180)] = 10.0
    crops_per_page: Count = 8  # crops drawn for every page decoded
    buffer: Count = 8  # pages held decoded, per worker: 90 MB each at 15 megapixels
    clean_gt: Annotated[float, Field(ge=0, lt=255)] | None = None
    recipes: Recipes = field(default_factory=Recipes)


@dataclass(frozen=True)
class DecodedPair:
    """A pair in memory. image, gt: (H, W, 3) uint8 RGB; mask: (H, W) uint8, 255 = handwriting, or None."""

    image: np.ndarray
    gt: np.ndarray
    mask: np.ndarray | None

    def cut(self, window: augment.Window) -> Crop:
        """One window of the pair; without a mask file its mask is the soft difference of its two images."""
        image, gt = augment.cut(self.image, window), augment.cut(self.gt, window)
        if self.mask is None:
            return Crop(image, gt, masks.soft_mask(image, gt))
        return Crop(image, gt, masks.from_file(augment.cut(self.mask, window, fill=0)))

    def mapped(self, change: Callable[[np.ndarray], np.ndarray]) -> DecodedPair:
        """The pair with each of its arrays changed."""
        mask = None if self.mask is None else change(self.mask)
        return DecodedPair(change(self.image), change(self.gt), mask)

    def soft_mask(self) -> np.ndarray:
        """The mask of the whole page, (H, W) float32 in [0, 1], 1 = handwriting."""
        if self.mask is None:
            return masks.soft_mask(self.image, self.gt)
        return masks.from_file(self.mask)


def scaled(pair: Pair, line_height: float | None, reader: Reader | None) -> Pair:
    """A pair that is decoded with lines of `line_height` px, as the Eraser scales pages. Raises PageError."""
    if line_height is None or reader is None:
        return pair
    return replace(pair, factor=layout.measure(read_image(pair.image), reader).factor(line_height))


def decode(pair: Pair) -> DecodedPair:
    """Read a pair, resized by its factor.

    Raises PageError for a file that cannot be read, InputError for a pair of unequal sizes.
    """
    image, gt = read_image(pair.image), read_image(pair.gt)
    mask = _mask_of(pair)
    if image.shape != gt.shape or (mask is not None and mask.shape != image.shape[:2]):
        raise InputError(f"{pair.image}, its gt and its mask differ in size; compute_mask.py lists these.")
    if pair.factor == 1.0:
        return DecodedPair(image, gt, mask)
    return DecodedPair(image, gt, mask).mapped(lambda array: _resize(array, pair.factor))


def _mask_of(pair: Pair) -> np.ndarray | None:
    """What a pair's files say of its handwriting, (H, W) uint8, 255 = handwriting; its label goes before its mask."""
    if pair.label:
        return masks.to_file(read_label(pair.label))
    return masks.to_file(read_mask(pair.mask)) if pair.mask else None


class CropStream:
    """An endless, reproducible sequence of crops: stream[n] for n = 0, 1, ... in about this order.

    Streams of one seed and different lanes are independent of each other. line_height: of the pages as they are
    decoded, by which what is added is sized; None takes recipes.print_size.
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        settings: CropSettings,
        seed: int,
        lane: int = 0,
        line_height: float | None = None,
    ):
        self.pairs = list(pairs)
        self.settings = settings
        self.print_height = line_height / layout.LEADING if line_height else settings.recipes.print_size
        self.lane = lane
        self._seed = (seed, lane)
        self._decoded: dict[int, DecodedPair] = {}  # by place in the endless order of pages
        self._order = lru_cache(maxsize=2)(self._shuffled)
        self._banks = banks(settings.recipes)

    def __getitem__(self, n: int) -> Crop:
        """Crop number n."""
        oldest = n // self.settings.crops_per_page
        crop, flip = self._drawn(np.random.default_rng((*self._seed, CROP, n)), oldest)
        crop = self._changed(crop, np.random.default_rng((*self._seed, RECIPE, n)), oldest)
        return crop.mirrored() if flip else crop

    def _drawn(self, rng: np.random.Generator, oldest: int) -> tuple[Crop, bool]:
        """A crop the right way round, and whether it is to be mirrored, once all that is added to it is there."""
        s = self.settings
        for _ in range(1 + s.recipes.redraw):
            page = self._page(oldest + int(rng.integers(s.buffer)), oldest)
            height, width = page.image.shape[:2]
            window = augment.draw(rng, height, width, s.size, s.hflip, s.rotate, s.degrees)
            crop = page.cut(replace(window, flip=False))
            if s.recipes.redraw and (crop.mask >= INK).mean() >= s.recipes.min_ink:
                break
        return crop, window.flip

    def _changed(self, crop: Crop, rng: np.random.Generator, oldest: int) -> Crop:
        kit = Kit(self.print_height, another=lambda rng: self._drawn(rng, oldest)[0], **self._banks)
        return follow(crop, rng, self.settings.recipes, kit)

    def _page(self, place: int, oldest: int) -> DecodedPair:
        current = range(oldest, oldest + self.settings.buffer)
        self._decoded = {at: page for at, page in self._decoded.items() if at in current}
        if place not in self._decoded:
            epoch, position = divmod(place, len(self.pairs))
            pair = self.pairs[self._order(epoch)[position]]
            page = _cleaned(decode(pair), self.settings.clean_gt)
            self._decoded[place] = _padded(page, self.settings.size)
        return self._decoded[place]

    def _shuffled(self, epoch: int) -> np.ndarray:
        return np.random.default_rng((*self._seed, ORDER, epoch)).permutation(len(self.pairs))


class CropDataset:
    """The crops of a whole training as a map-style dataset for paddle.io.DataLoader, in order.

    Item i belongs to batch i // batch. Batches are dealt to `lanes` streams in turn, as a DataLoader with
    that many workers deals them, so every worker decodes the pages of its own stream and no others.
    An item is image, gt (3, S, S) and mask (1, S, S), float32 in [0, 1].
    """

    def __init__(
        self,
        pairs: Sequence[Pair],
        settings: CropSettings,
        batch: int,
        steps: int,
        seed: int,
        lanes: int = 1,
        line_height: float | None = None,
    ):
        self.batch, self.steps = batch, steps
        self.streams = [CropStream(pairs, settings, seed, lane, line_height) for lane in range(lanes)]

    def __len__(self) -> int:
        return self.batch * self.steps

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        step, place = divmod(index, self.batch)
        turn, lane = divmod(step, len(self.streams))
        crop = self.streams[lane][turn * self.batch + place]
        return to_network(crop.image), to_network(crop.gt), crop.mask[None]


class BatchesFrom:
    """The batches of a CropDataset from `step` on, in order: a batch sampler for paddle.io.DataLoader.

    Of `ranks` processes that train together each takes one batch a step, `rank` telling which.
    """

    def __init__(self, dataset: CropDataset, step: int, rank: int = 0, ranks: int = 1):
        self.batch, self.numbers = dataset.batch, range(step * ranks + rank, dataset.steps, ranks)

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[list[int]]:
        return (list(range(at * self.batch, (at + 1) * self.batch)) for at in self.numbers)


def to_network(image: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8 -> (3, H, W) float32 in [0, 1]."""
    return np.ascontiguousarray(image.transpose(2, 0, 1), np.float32) / 255


def prepare_workers(number: int) -> None:
    """Call once before a DataLoader with `number` workers is made: OpenCV goes down to one thread.

    The workers are the parallelism; and a process forked while OpenCV's threads exist hangs in it.
    """
    if number:
        cv2.setNumThreads(1)


def _cleaned(page: DecodedPair, threshold: float | None) -> DecodedPair:
    return page if threshold is None else replace(page, gt=masks.clean_gt(page.image, page.gt, threshold))


def _padded(page: DecodedPair, size: int) -> DecodedPair:
    return page.mapped(lambda array: augment.pad(array, size))


def _resize(array: np.ndarray, factor: float) -> np.ndarray:
    height, width = (max(1, round(side * factor)) for side in array.shape[:2])
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(array, (width, height), interpolation=interpolation)
