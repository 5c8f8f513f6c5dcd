"""Page in, page out: the whole pipeline, one method a line. Read this file first.

page -> turned, scaled  -> segment -> mask -> erase (generate, compose) -> page
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dehw.config import Pipeline, load_pipeline
from dehw.engine import parallel, pick
from dehw.engine.pick import Network, build_all
from dehw.engine.weights import find
from dehw.errors import InputError
from dehw.page import confidence, layout, lines, masks, paper, printed, qr, tiling
from dehw.page.confidence import Confidence
from dehw.page.masks import BALANCED, Box
from dehw.page.views import VIEWS, View, average

if TYPE_CHECKING:
    from PIL import Image


LEVELS = np.float32(2**16 - 1)  # of a probability that is brought to the page's size


@dataclass(frozen=True)
class Erased:
    """An erased page.

    page: (H, W, 3) uint8 RGB, or a Pillow picture where one was given; mask: (H, W) bool, True = handwriting;
    seconds: the time it took. confidence: how sure the mask is; None where no network looked for handwriting.
    """

    page: "np.ndarray | Image.Image"
    mask: np.ndarray
    seconds: float
    confidence: Confidence | None = None

    @property
    def share(self) -> float:
        """Share of the page's pixels that the mask holds, in [0, 1]."""
        return float(self.mask.mean())

    @property
    def warnings(self) -> list[str]:
        """What is implausible about the mask, a sentence each; none for most pages."""
        return confidence.doubts(self.share, self.confidence)


class Eraser:
    """Erases handwriting from pages. Pixels outside the mask come out identical while `cmp` is on.

    pipeline: the settings of every step. segmenter: called with tiles (N, 3, S, S) float32 in [0, 1], gives
    the probability of handwriting (N, 1, S, S) in [0, 1]; None takes the whole page for handwriting.
    generators: pairs (network, weight); a network is called with tiles and their mask (N, 1, S, S) float32,
    1 = handwriting, and gives the tiles erased, (N, 3, S, S). device: where they run; a CPU gets N = 1.
    engine: what runs them and why, in words. progress: set it to be called with (step, tiles done, tiles), where
    step is "segment" or "erase", after each batch.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        segmenter: Network | None,
        generators: Sequence[tuple[Network, float]],
        device: str = "cpu",
        engine: str = "paddle",
    ):
        self.pipeline = pipeline
        self.segmenter = segmenter
        self.generators = list(generators)
        self.device = device
        self.engine = engine
        self.progress: Callable[[str, int, int], None] | None = None

    @classmethod
    def load(
        cls,
        pipeline: str | Path | Pipeline = "lite",
        device: str = "auto",
        weights: str | Path | None = None,
        parts: Sequence[str] = ("segment", "erase"),
        engine: str = "auto",
    ) -> "Eraser":
        """Build a pipeline's networks with their weights.

        pipeline: its name, its file, or the settings themselves. device: auto, cpu or gpu. weights: the
        folder that holds them, in place of the ones that ship. parts: the steps whose networks are needed.
        engine: auto, paddle, openvino or onnxruntime.
        Raises ConfigError, WeightsError, DeviceError.
        """
        if not isinstance(pipeline, Pipeline):
            pipeline = load_pipeline(pipeline)
        segment = [pipeline.segment.network] if pipeline.segment and "segment" in parts else []
        erase = pipeline.erase.networks if "erase" in parts else []
        folder = Path(weights) if weights else None
        paths = [find(network, folder, pipeline) for network in [*segment, *erase]]  # all, before any loads
        sides = [pipeline.segment.window for _ in segment] + [pipeline.erase.tile for _ in erase]
        built, taken = build_all(list(zip([*segment, *erase], paths, sides)), pick.engine(engine, device))
        segmenter = built.pop(0) if segment else None
        generators = [(net, config.weight) for net, config in zip(built, erase)]
        return cls(pipeline, segmenter, generators, taken.device, str(taken))

    def __call__(
        self,
        page: "np.ndarray | Image.Image",
        sensitivity: float = BALANCED,
        keep: Sequence[Box] = (),
        only: Sequence[Box] = (),
    ) -> Erased:
        """Erase the handwriting of a page, which comes back as the type it was given in.

        page: (H, W, 3) uint8 RGB of any size from 1x1 up, or a Pillow picture of any mode, which comes back upright
        (dehw.files.pictures). sensitivity: in [0, 1]; the higher, the more is erased, and 0.5 is the pipeline's own
        threshold. keep, only: boxes (x0, y0, x1, y1) in pixels of the page; nothing changes within `keep`, and
        where `only` is given, outside it. Raises InputError, and PageError for a damaged picture.
        """
        if not isinstance(page, np.ndarray):
            return self._picture(page, sensitivity, keep, only)
        if page.dtype != np.uint8 or page.ndim != 3 or page.shape[2] != 3 or not page.size:
            raise InputError(f"a page is (H, W, 3) uint8 RGB, not {page.shape} {page.dtype}; convert it")
        started = time.perf_counter()
        allowed = masks.allowed(page.shape[:2], keep, only)  # a wrong box is told before any network works
        found = lines.find_lines(page)
        turn = self.quarter_turns(page, found)
        upright = _turn(page, turn)
        scaled = self.scaled(upright)
        prob = _turn(self.segment(upright, scaled), -turn)
        mask = self.mask(prob, page, sensitivity) & allowed
        sure = confidence.measure(prob, mask, found) if self.pipeline.segment else None
        del prob  # 4 bytes a pixel
        clean = _turn(self.erase(upright, _turn(mask, turn), scaled), -turn)
        if not self.pipeline.erase.cmp:
            np.copyto(clean, page, where=~allowed[..., None])
        return Erased(clean, mask, time.perf_counter() - started, sure)

    def quarter_turns(self, page: np.ndarray, found: lines.Lines | None = None) -> int:
        """Quarter turns, to the left, that lay a page's lines flat for the networks: 0 or 1.

        Lines that run up or down cost half of the print: their height, and so the scale, is not found. Pages upside
        down stay so: they come out nearly as well (0.653 for 0.661 on the README's real pages). 0 too for a pipeline
        without print height, whose networks take pages as they come. found: the lines, looked for when left out.
        """
        if self.pipeline.print_height is None:
            return 0
        return int((found or lines.find_lines(page)).sideways)

    def _picture(self, picture: "Image.Image", *options: object) -> Erased:
        """Erase a Pillow picture."""
        from PIL import Image

        from dehw.files import pictures

        if not isinstance(picture, Image.Image):
            kind = type(picture).__name__
            raise InputError(f"a page is an array or a Pillow picture, not a {kind}; open files by PIL.Image.open")
        erased = self(pictures.to_page(picture), *options)
        return replace(erased, page=pictures.like(picture, erased.page, erased.mask))

    def scaled(self, page: np.ndarray) -> np.ndarray:
        """The page at the networks' print height, (h, w, 3) uint8; itself where it fits or none is set."""
        factor = layout.working_scale(page, self.pipeline.print_height)
        return _resize(page, tuple(max(1, round(side * factor)) for side in page.shape[1::-1]))

    def segment(self, page: np.ndarray, scaled: np.ndarray | None = None) -> np.ndarray:
        """Probability of handwriting at each pixel of a page.

        page: (H, W, 3) uint8 RGB; scaled: the same from scaled(), computed when left out.
        Returns (H, W) float32 in [0, 1]: the mean over overlapping windows and views (seed 000), taken of
        probabilities or of logits, as the pipeline says. Of several scales, each answers anew for the pixels that
        those before found likelier than `skip`: a coarse look, which sees more of the page about a stroke, tells
        handwriting from print, and a fine one how far each stroke goes.
        """
        height, width = page.shape[:2]
        settings = self.pipeline.segment
        if settings is None:
            return np.ones((height, width), np.float32)
        if scaled is None:
            if turn := self.quarter_turns(page):
                upright = _turn(page, turn)
                return _turn(self.segment(upright, self.scaled(upright)), -turn)
            scaled = self.scaled(page)
        prob = self.look(scaled, 0)
        for number in range(1, len(settings.scales)):
            _renew(prob, self.look(scaled, number, prob), settings.skip)
        if not settings.codes:
            prob[qr.find(scaled, self.pipeline.print_height)] = 0
        if scaled is page:
            return prob
        prob *= LEVELS
        levels = np.rint(prob, out=prob).astype(np.uint16)
        del prob  # two pages of float32 would be the most memory that a page takes
        levels = cv2.resize(levels, (width, height), interpolation=cv2.INTER_LINEAR)
        return np.divide(levels, LEVELS, dtype=np.float32)

    def look(self, page: np.ndarray, number: int, seen: np.ndarray | None = None) -> np.ndarray:
        """Probability of handwriting at each pixel of a page, the mean over windows and views at one scale.

        page: (h, w, 3) uint8 RGB; number: which of `scales`; seen: (h, w) float32, what looks before saw, None for the
        first. Returns (h, w) float32 in [0, 1], which means nothing where seen is not above `skip`.
        """
        settings = self.pipeline.segment
        factor, looks = settings.scales[number], len(settings.scales)
        views = [VIEWS[name] for name in settings.views]
        forth, back = MEANS[settings.average]
        size = page.shape[:2]
        side, stride = (max(1, round(length / factor)) for length in (settings.window, settings.stride))
        windows = (tiling.spread if settings.blend else tiling.tiles)(*size, side, stride)
        joined = tiling.Blend(*size, windows) if settings.blend else tiling.Average(*size)
        if seen is not None:
            windows = [window for window in windows if seen[window.keep].max() > settings.skip]

        def ask(batch: Sequence[tiling.Tile]) -> np.ndarray:
            tiles = _cut_page(page, batch, settings.window)
            return average(lambda tiles: forth(self.segmenter(tiles)), views, tiles)

        for window, answer in self._each("segment", windows, settings.batch, ask, [self.segmenter], (number, looks)):
            joined.add(window, cv2.resize(answer[0], (side, side), interpolation=cv2.INTER_AREA))
        return back(joined.result())

    def mask(self, prob: np.ndarray, page: np.ndarray, sensitivity: float = BALANCED) -> np.ndarray:
        """Handwriting, (H, W) bool: where prob, (H, W) in [0, 1], reaches the threshold, dilated, print spared.

        page: (H, W, 3) uint8 RGB that prob was found on. sensitivity moves the thresholds, all alike, see
        masks.sensitive_threshold.
        """
        settings = self.pipeline.mask
        high = masks.sensitive_threshold(settings.threshold, sensitivity)
        if settings.low is None:
            mask = masks.threshold(prob, high)
        else:
            mask = masks.hysteresis(prob, masks.sensitive_threshold(settings.low, sensitivity), high)
        mask = masks.dilate(mask, settings.dilate)
        if settings.spare:
            printed.spare(mask, page, prob, masks.sensitive_threshold(settings.spare, sensitivity))
        return mask

    def erase(self, page: np.ndarray, mask: np.ndarray, scaled: np.ndarray | None = None) -> np.ndarray:
        """The page without what the mask holds; a page with an empty mask comes back as it is.

        page: (H, W, 3) uint8 RGB; mask: (H, W) bool, True = handwriting; scaled: the page from scaled(),
        computed when left out. Returns (H, W, 3) uint8 RGB, with `cmp` identical to page outside the mask.
        Raises InputError.
        """
        if mask.shape != page.shape[:2]:
            raise InputError(f"the mask is {mask.shape} and the page {page.shape[:2]}; give both one size")
        if not mask.any():
            return page.copy()
        if scaled is None:
            if turn := self.quarter_turns(page):
                upright = _turn(page, turn)
                return _turn(self.erase(upright, _turn(mask, turn), self.scaled(upright)), -turn)
            scaled = self.scaled(page)
        generated = self.generate(scaled, _resize_mask(mask, scaled.shape[:2]))
        if scaled is not page:
            generated = cv2.resize(generated, page.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        return self.compose(page, generated, mask)

    def generate(self, page: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """What the generators make of a page, from the centres of tiles (seed 001): (H, W, 3) uint8 RGB.

        page: (H, W, 3) uint8 RGB; mask: (H, W) bool. With `cmp` on, tiles without ink are left as they are.
        """
        settings = self.pipeline.erase
        views = [VIEWS[name] for name in settings.views]
        tiles = self.tiles(*page.shape[:2])
        if settings.cmp:
            tiles = [tile for tile in tiles if mask[tile.keep].any()]
        generated = page.copy()

        def paint(batch: Sequence[tiling.Tile]) -> list[np.ndarray]:
            parts, holes = _cut_page(page, batch, settings.tile), _cut(mask, batch, settings.tile)
            pixels = self._fuse(views, parts, holes)
            return [_to_page(values[(slice(None), *tile.inner)]) for tile, values in zip(batch, pixels)]

        networks = [network for network, _ in self.generators]
        for tile, pixels in self._each("erase", tiles, settings.batch, paint, networks):
            generated[tile.keep] = pixels
        if settings.paper:
            cells = paper.tone(page, mask, settings.paper)
            paper.settle(generated, mask, cells)
            if settings.printed:
                printed.restore(page, generated, mask, cells, self.pipeline.print_height)
        return generated

    def tiles(self, height: int, width: int) -> list[tiling.Tile]:
        """The generators' tiles over a page of this size, which is the one at their scale."""
        settings = self.pipeline.erase
        return tiling.tiles(height, width, settings.tile, settings.tile - 2 * settings.margin, settings.margin)

    def compose(self, page: np.ndarray, generated: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """cmp: keep `generated` where the mask is True, put the page's own pixels back elsewhere.

        page: (H, W, 3) uint8 RGB; generated: the same, changed in place and returned; mask: (H, W) bool.
        """
        if self.pipeline.erase.cmp:
            np.copyto(generated, page, where=~mask[..., None])
        return generated

    def _each(
        self,
        step: str,
        tiles: list[tiling.Tile],
        size: int,
        work: Callable[[Sequence[tiling.Tile]], Sequence[np.ndarray]],
        networks: Sequence[Network],
        part: tuple[int, int] = (0, 1),
    ) -> Iterator[tuple[tiling.Tile, np.ndarray]]:
        """Each tile with its answer; work gives those of a batch of `size`. Tells `progress` of each batch done.

        part: how many parts of the step are done, and of how many; `progress` is told that each has as many tiles.
        On a CPU tiles go one by one, which is faster there (0.6 s for 0.9 s a window of SegFormer-B0 in Paddle) and
        keeps the largest networks below 1 GiB; networks that run `at_once` several are given so many, by threads.
        """
        threads = min((getattr(network, "at_once", 1) for network in networks), default=1)
        batches = list(tiling.batches(tiles, 1 if self.device == "cpu" else size))
        done = 0
        for batch, answers in parallel.in_order(work, batches, min(threads, len(batches))):
            yield from zip(batch, answers)
            done += len(batch)
            if self.progress:
                self.progress(step, part[0] * len(tiles) + done, part[1] * len(tiles))

    def _fuse(self, views: Sequence[View], *inputs: np.ndarray) -> np.ndarray:
        """Mean of the generators by weight, each averaged over the views: (N, 3, S, S) float32."""
        total = sum(weight for _, weight in self.generators)
        return sum(average(network, views, *inputs) * np.float32(weight / total) for network, weight in self.generators)


def _renew(prob: np.ndarray, seen: np.ndarray, above: float) -> None:
    """Put what a further look saw, (h, w), where prob is above a number; row by row, for the memory's sake."""
    for old, new in zip(prob, seen):
        np.copyto(old, new, where=old > above)


def _turn(image: np.ndarray, turns: int) -> np.ndarray:
    """An image after so many quarter turns to the left, (H, W[, C]); itself after none."""
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def _resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image (H, W[, 3]) at another (width, height); itself at its own."""
    if image.shape[1::-1] == size:
        return image
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if size[0] < image.shape[1] else cv2.INTER_CUBIC)


def _same(prob: np.ndarray) -> np.ndarray:
    return prob


def _logit(prob: np.ndarray) -> np.ndarray:
    """The log of the odds: for two classes, the difference of their logits; within 16 of 0, as float32 needs."""
    prob = prob.clip(SURE, 1 - SURE)
    return np.log(prob) - np.log1p(-prob)


def _prob(logit: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logit))


SURE = np.float32(2.0**-23)  # a probability nearer to 0 or 1 counts as this far from it: float32 has no nearer one to 1
MEANS = {"probability": (_same, _same), "logit": (_logit, _prob)}  # to what is averaged, and back


def _cut(image: np.ndarray, batch: Sequence[tiling.Tile], side: int) -> np.ndarray:
    """Cut tiles out of an image, brought to one side: (H, W[, C]) -> (N, C, side, side) float32, values as they are."""
    tiles = np.stack([np.atleast_3d(_resize(tiling.read_tile(image, tile), (side, side))) for tile in batch])
    return np.ascontiguousarray(tiles.transpose(0, 3, 1, 2), np.float32)  # (N, S, S, C) -> (N, C, S, S)


def _cut_page(page: np.ndarray, batch: Sequence[tiling.Tile], side: int) -> np.ndarray:
    """Cut tiles out of a page, brought to one side: (H, W, 3) uint8 -> (N, 3, side, side) float32 in [0, 1]."""
    tiles = _cut(page, batch, side)
    return np.divide(tiles, 255, out=tiles)


def _to_page(values: np.ndarray) -> np.ndarray:
    """(3, h, w) float, clipped to [0, 1] -> (h, w, 3) uint8."""
    return np.rint(values.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)


def _resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mask at another (height, width): a pixel that covers any of the mask is in it."""
    if mask.shape == size:
        return mask
    pixels = mask.astype(np.uint8)
    pixels *= 255  # in place: pages are large
    return cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA) > 0
