"""Page in, page out: the whole pipeline, one method a stage. Read this file first.

page -> prepare (measured, turned, scaled) -> segment -> mask -> erase (paint, or generate and compose) -> page
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from dehw.config import Pipeline, load_pipeline
from dehw.engine import parallel, pick
from dehw.engine.pick import Network, build_all
from dehw.engine.weights import find
from dehw.errors import InputError
from dehw.page import confidence, layout, masks, paper, printed, tiling
from dehw.page.confidence import Confidence
from dehw.page.layout import Layout, Reader
from dehw.page.masks import BALANCED, Box
from dehw.page.scan.straighten import Straightened, straighten
from dehw.page.scan.whiten import finish
from dehw.page.views import VIEWS, average, fuse

if TYPE_CHECKING:
    from PIL import Image

STAGES = ("prepare", "segment", "mask", "erase", "compose")  # of a page, in this order
LEVELS = np.float32(2**16 - 1)  # of a probability that is brought to the page's size

# Told (stage, done, of how many): each stage's beginning with done 0, then every batch of tiles. What it raises ends
# the page. Only generators' pages are composed.
OnProgress = Callable[[str, int, int], None]


def _untold(stage: str, done: int, total: int) -> None:
    """Nobody watches."""


@dataclass(frozen=True)
class Prepared:
    """A page ready for the networks, and the way back.

    page: (H, W, 3) uint8 RGB as it was given. layout: what was measured of it. turns: quarter turns to the left that
    bring its lines upright. scaled: (h, w, 3) uint8, the page after these turns at the networks' line height.
    """

    page: np.ndarray
    layout: Layout
    turns: int
    scaled: np.ndarray

    @property
    def upright(self) -> np.ndarray:
        """The page after its turns, at its own size; where nothing was scaled, `scaled` itself."""
        return self.scaled if self.is_whole else turn(self.page, self.turns)

    @property
    def is_whole(self) -> bool:
        """Whether the networks see the page at its own size."""
        height, width = self.page.shape[:2] if self.turns % 2 == 0 else self.page.shape[1::-1]
        return self.scaled.shape[:2] == (height, width)

    @property
    def enlarged(self) -> float:
        """How many px of the page one of `scaled` is long."""
        return len(self.upright) / len(self.scaled)

    @property
    def dark(self) -> np.ndarray:
        """What of `upright` is darker than its paper, (H, W) uint8, 0 or 255, see layout.dark_pixels."""
        return np.unpackbits(self._dark_bits, axis=1, count=self.upright.shape[1]) * np.uint8(255)

    @cached_property
    def _dark_bits(self) -> np.ndarray:
        """The same, found once and kept at a bit a pixel."""
        return np.packbits(layout.dark_pixels(self.upright), axis=1)


@dataclass(frozen=True)
class Erased:
    """An erased page.

    page: (H, W, 3) uint8 RGB, or a Pillow picture where one was given; mask: (H, W) bool, True = handwriting;
    seconds: the time it took. confidence: how sure the mask is; None where no network looked for handwriting.
    straightened: of a scanned photo, the page with its handwriting, which the mask belongs to; None of other pages.
    """

    page: "np.ndarray | Image.Image"
    mask: np.ndarray
    seconds: float
    confidence: Confidence | None = None
    straightened: Straightened | None = None

    @property
    def share(self) -> float:
        """Share of the page's pixels that the mask holds, in [0, 1]."""
        return float(self.mask.mean())

    @property
    def warnings(self) -> list[str]:
        """What is implausible about the mask, and what a scan did not find, a sentence each; none for most pages."""
        lost = self.straightened.warnings if self.straightened else []
        return [*lost, *confidence.doubts(self.share, self.confidence)]


class Eraser:
    """Erases handwriting from pages. Pixels outside the mask come out identical while `cmp` is on.

    pipeline: the settings of every stage. segmenter: called with tiles (N, 3, S, S) float32 in [0, 1], gives
    the probability of handwriting (N, 1, S, S) in [0, 1]; None takes the whole page for handwriting.
    generators: pairs (network, weight); a network is called with tiles and their mask (N, 1, S, S) float32,
    1 = handwriting, and gives the tiles erased, (N, 3, S, S). device: where they run; a CPU gets N = 1.
    engine: what runs them and why, in words. reader: what finds the lines of pages, for pipelines that bring them to a
    height; None takes pages as they are.
    """

    def __init__(
        self,
        pipeline: Pipeline,
        segmenter: Network | None,
        generators: Sequence[tuple[Network, float]],
        device: str = "cpu",
        engine: str = "paddle",
        reader: Reader | None = None,
    ):
        self.pipeline = pipeline
        self.segmenter = segmenter
        self.generators = list(generators)
        self.device = device
        self.engine = engine
        self.reader = reader

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
        folder that holds them, in place of the shipped ones. parts: the stages whose networks are needed.
        engine: auto, paddle, openvino or onnxruntime.
        Raises ConfigError, WeightsError, DeviceError.
        """
        if not isinstance(pipeline, Pipeline):
            pipeline = load_pipeline(pipeline)
        segment = [pipeline.segment.network] if pipeline.segment and "segment" in parts else []
        erase = pipeline.erase.networks if "erase" in parts else []
        folder, side = Path(weights) if weights else None, pipeline.erase.tile
        paths = [find(network, folder, pipeline) for network in [*segment, *erase]]  # all, before any loads
        sizes = [*(None for _ in segment), *((side, side) for _ in erase)]
        built, taken = build_all(list(zip([*segment, *erase], paths, sizes)), pick.engine(engine, device))
        segmenter = built.pop(0) if segment else None
        generators = [(net, config.weight) for net, config in zip(built, erase)]
        return cls(pipeline, segmenter, generators, taken.device, str(taken), pick.reader(pipeline, folder, taken))

    def __call__(
        self,
        page: "np.ndarray | Image.Image",
        sensitivity: float = BALANCED,
        keep: Sequence[Box] = (),
        only: Sequence[Box] = (),
        progress: OnProgress = _untold,
        scan: bool = False,
    ) -> Erased:
        """Erase the handwriting of a page, which comes back as the type it was given in.

        page: (H, W, 3) uint8 RGB of any size from 1x1 up, or a Pillow picture of any mode, which comes back upright
        (dehw.files.pictures). sensitivity: in [0, 1]; the higher, the more is erased, and 0.5 is the pipeline's own
        threshold. keep, only: boxes (x0, y0, x1, y1) in pixels of the page; nothing changes within `keep`, and
        where `only` is given, outside it. progress: told (stage, done, total), see OnProgress. scan: the page is a
        photo of a sheet, which is straightened, and whitened once it is erased; boxes and the mask are of the
        straightened page.
        Raises InputError, and PageError for a damaged picture.
        """
        if not isinstance(page, np.ndarray):
            return self._picture(page, sensitivity, keep, only, progress, scan)
        if page.dtype != np.uint8 or page.ndim != 3 or page.shape[2] != 3 or not page.size:
            raise InputError(f"a page is (H, W, 3) uint8 RGB, not {page.shape} {page.dtype}; convert it")
        started = time.perf_counter()
        if scan:
            straight = self.straighten(page)
            erased = self(straight.page, sensitivity, keep, only, progress)
            finish(np.asarray(erased.page))
            return replace(erased, seconds=time.perf_counter() - started, straightened=straight)
        allowed = masks.allowed(page.shape[:2], keep, only)  # a wrong box is told before any network works
        progress("prepare", 0, 1)
        prepared = self.prepare(page)
        prob = self.segment(prepared, progress)
        progress("mask", 0, 1)
        mask = self.mask(prob, prepared, sensitivity) & allowed
        sure = self.confidence(prob, prepared, mask, allowed) if self.pipeline.segment else None
        del prob  # 4 bytes a pixel
        clean = self.erase(prepared, mask, progress)
        if not self.pipeline.erase.cmp:
            np.copyto(clean, page, where=~allowed[..., None])
        return Erased(clean, mask, time.perf_counter() - started, sure)

    def _picture(
        self,
        picture: "Image.Image",
        sensitivity: float,
        keep: Sequence[Box],
        only: Sequence[Box],
        progress: OnProgress,
        scan: bool,
    ) -> Erased:
        """Erase a Pillow picture."""
        from PIL import Image

        from dehw.files import pictures

        if not isinstance(picture, Image.Image):
            kind = type(picture).__name__
            raise InputError(f"a page is an array or a Pillow picture, not a {kind}; open files by PIL.Image.open")
        erased = self(pictures.to_page(picture), sensitivity, keep, only, progress, scan)
        model = picture.convert("RGB") if scan and picture.has_transparency_data else picture
        return replace(erased, page=pictures.like(model, np.asarray(erased.page), erased.mask))

    def straighten(self, photo: np.ndarray) -> Straightened:
        """Find the sheet in a photo, (H, W, 3) uint8 RGB, and lay it flat, see dehw.page.scan."""
        return straighten(photo, self.reader)

    def prepare(self, page: np.ndarray) -> Prepared:
        """Read a page, (H, W, 3) uint8 RGB, and bring it to the networks' line height, its lines upright.

        Lines that run up or down cost half of the print: networks have seen few. Pipelines without line height take
        pages as they are.
        """
        height = self.pipeline.line_height
        found = layout.UNREAD if height is None or self.reader is None else layout.measure(page, self.reader)
        upright, factor = turn(page, found.turns), found.factor(height)
        size = tuple(max(1, round(side * factor)) for side in upright.shape[1::-1])
        return Prepared(page, found, found.turns, _resize(upright, size))

    def segment(self, prepared: Prepared, progress: OnProgress = _untold) -> np.ndarray:
        """Probability of handwriting at each pixel of `prepared.scaled`.

        Returns (h, w) float32 in [0, 1]: the mean over overlapping windows and views (seed 000), taken of
        probabilities or of logits, as the pipeline says.
        """
        settings, scaled = self.pipeline.segment, prepared.scaled
        progress("segment", 0, 1)
        if settings is None:
            return np.ones(scaled.shape[:2], np.float32)
        height, width = scaled.shape[:2]
        views, (forth, back) = [VIEWS[name] for name in settings.views], MEANS[settings.average]
        lay = tiling.spread if settings.blend else tiling.tiles
        windows = lay(height, width, settings.window, settings.stride)
        joined = tiling.Blend(height, width, windows) if settings.blend else tiling.Average(height, width)
        segmenter = self._needed(self.segmenter)
        asked = segmenter if forth is _same else lambda tiles: forth(segmenter(tiles))

        def ask(batch: Sequence[tiling.Tile]) -> Iterable[np.ndarray]:
            return np.asarray(average(asked, views, _cut_page(scaled, batch)))

        def tell(done: int) -> None:
            progress("segment", done, len(windows))

        for window, answer in self._each(windows, settings.batch, ask, [segmenter], tell):
            joined.add(window, answer[0])
        return back(joined.result())

    def mask(self, prob: np.ndarray, prepared: Prepared, sensitivity: float = BALANCED) -> np.ndarray:
        """Handwriting, (H, W) bool at the page's size: where prob reaches the threshold, dilated, print spared.

        It is dilated as far as `dilate` goes at the networks' scale.

        prob: (h, w) float32 in [0, 1] of the upright page at any size, from segment(). sensitivity moves the
        thresholds, all alike, see masks.sensitive_threshold.
        """
        settings, height = self.pipeline.mask, self.pipeline.line_height
        dark = prepared.dark if settings.spare else None  # first of all, for the memory's sake
        prob, one = _to_size(prob, prepared.upright.shape[:2])
        mask = masks.threshold(prob, one * masks.sensitive_threshold(settings.threshold, sensitivity))
        mask = masks.dilate(mask, round(settings.dilate * prepared.enlarged))
        if dark is not None and height:
            likely = one * masks.sensitive_threshold(settings.spare, sensitivity)
            printed.spare(mask, dark, prob, likely, height * prepared.enlarged)
        return turn(mask, -prepared.turns)

    def confidence(
        self, prob: np.ndarray, prepared: Prepared, mask: np.ndarray, allowed: np.ndarray | None = None
    ) -> Confidence:
        """How far a mask can be trusted. prob: from segment(); mask, allowed: (H, W) bool at the page's size."""
        place = None if allowed is None else np.rot90(allowed, prepared.turns)
        return confidence.measure(prepared.scaled, prob, turn(mask, prepared.turns), prepared.layout, place)

    def erase(
        self,
        prepared: Prepared,
        mask: np.ndarray,
        progress: OnProgress = _untold,
        drawn: np.ndarray | None = None,
    ) -> np.ndarray:
        """The page without what the mask holds; a page with an empty mask comes back as it is.

        mask: (H, W) bool at the page's size, True = handwriting, from mask() or anywhere else. drawn: the same, what a
        person marked of it; where nothing is generated, no print is put back there.
        Returns (H, W, 3) uint8 RGB, with `cmp` identical to the page outside the mask. Raises InputError.
        """
        page = prepared.page
        if mask.shape != page.shape[:2]:
            raise InputError(f"the mask is {mask.shape} and the page {page.shape[:2]}; give both one size")
        if not mask.any():
            return page.copy()
        hidden = turn(mask, prepared.turns)
        progress("erase", 0, 1)
        if self.pipeline.erase.networks:
            clean = self._generate(prepared, hidden, progress)
        else:
            clean = self._paint(prepared, hidden, drawn)
            progress("erase", 1, 1)
        return turn(clean, -prepared.turns)

    def _paint(self, prepared: Prepared, mask: np.ndarray, drawn: np.ndarray | None) -> np.ndarray:
        """The upright page, (H, W, 3) uint8 RGB, with paper in place of what the mask, (H, W) bool, holds.

        Print that the page shows there is put back, if the pipeline says so, but for what a person marked.
        """
        settings, page = self.pipeline.erase, prepared.upright
        cells = paper.tone(page, mask, round(settings.paper * prepared.enlarged))
        painted = page.copy()
        paper.paint(painted, mask, cells)
        if settings.printed and self.pipeline.line_height is not None:
            height = self.pipeline.line_height * prepared.enlarged
            printed.restore_letters(page, painted, mask, cells, height)
            printed.restore_rules(page, painted, mask, prepared.dark, height)
        if drawn is not None:
            paper.paint(painted, mask & turn(drawn, prepared.turns), cells)
        return painted

    def _generate(self, prepared: Prepared, hidden: np.ndarray, progress: OnProgress) -> np.ndarray:
        """The upright page, (H, W, 3) uint8 RGB, as the generators make it, from the centres of tiles (seed 001).

        hidden: the mask, (H, W) bool. With `cmp` on, tiles without ink are left as they are, and so are all pixels
        outside the mask (seed 000).
        """
        settings, page = self.pipeline.erase, prepared.scaled
        mask = _resize_mask(hidden, page.shape[:2])
        views = [VIEWS[name] for name in settings.views]
        tiles = self.generator_tiles(*page.shape[:2])
        if settings.cmp:
            tiles = [tile for tile in tiles if mask[tile.keep].any()]
        generated = page.copy()

        def paint(batch: Sequence[tiling.Tile]) -> Iterable[np.ndarray]:
            parts, holes = _cut_page(page, batch), _cut(mask, batch)
            pixels = fuse(self.generators, views, parts, holes)
            return [_to_page(values, tile) for tile, values in zip(batch, pixels)]

        def tell(done: int) -> None:
            progress("erase", done, len(tiles))

        networks = [network for network, _ in self.generators]
        for tile, pixels in self._each(tiles, settings.batch, paint, networks, tell):
            generated[tile.keep] = pixels
        progress("compose", 0, 1)
        upright = prepared.upright
        if not prepared.is_whole:
            generated = cv2.resize(generated, upright.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        if settings.cmp:
            np.copyto(generated, upright, where=~hidden[..., None])
        return generated

    def generator_tiles(self, height: int, width: int) -> list[tiling.Tile]:
        """The generators' tiles over a page of this size, which is the one at their scale."""
        settings = self.pipeline.erase
        return tiling.tiles(height, width, settings.tile, settings.tile - 2 * settings.margin, settings.margin)

    def _each(
        self,
        tiles: list[tiling.Tile],
        size: int,
        work: Callable[[Sequence[tiling.Tile]], Iterable[np.ndarray]],
        networks: Sequence[Network],
        tell: Callable[[int], None],
    ) -> Iterator[tuple[tiling.Tile, np.ndarray]]:
        """Each tile with its answer; work gives those of a batch of `size`. Tells how many are done.

        On a CPU tiles go one by one, which is faster there (0.6 s for 0.9 s a window of a SegFormer-B0 in Paddle) and
        keeps the largest networks below 1 GiB; networks that run `at_once` several are given so many, by threads.
        """
        threads = min((getattr(network, "at_once", 1) for network in networks), default=1)
        batches = list(tiling.batches(tiles, 1 if self.device == "cpu" else size))
        done = 0
        for batch, answers in parallel.in_order(work, batches, min(threads, len(batches))):
            yield from zip(batch, answers)
            done += len(batch)
            tell(done)

    def _needed(self, network: Network | None) -> Network:
        if network is None:
            raise InputError("this Eraser was loaded without its segmenter; load it with parts=('segment', 'erase')")
        return network


def turn(image: np.ndarray, turns: int) -> np.ndarray:
    """An image after so many quarter turns to the left, (H, W[, C]); itself after none."""
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def _to_size(prob: np.ndarray, size: tuple[int, ...]) -> tuple[np.ndarray, float]:
    """A probability, (h, w) float32 in [0, 1], at another (height, width), and what stands for 1 in it.

    At its own size it is itself; else it becomes uint16, since float32 would be the most memory that a page takes.
    """
    if prob.shape == size:
        return prob, 1.0
    levels = np.empty(prob.shape, np.uint16)
    for row, values in zip(levels, prob):
        row[:] = np.rint(values * LEVELS)
    return cv2.resize(levels, size[::-1], interpolation=cv2.INTER_LINEAR), float(LEVELS)


def _resize(image: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
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


def _cut(image: np.ndarray, batch: Sequence[tiling.Tile]) -> np.ndarray:
    """Cut tiles of one size out of an image: (H, W[, C]) -> (N, C, S, S) float32, values as they are."""
    tiles = np.stack([np.atleast_3d(tiling.read_tile(image, tile)) for tile in batch])
    return np.ascontiguousarray(tiles.transpose(0, 3, 1, 2), np.float32)  # (N, S, S, C) -> (N, C, S, S)


def _cut_page(page: np.ndarray, batch: Sequence[tiling.Tile]) -> np.ndarray:
    """Cut tiles of one size out of a page: (H, W, 3) uint8 -> (N, 3, S, S) float32 in [0, 1]."""
    tiles = _cut(page, batch)
    return np.divide(tiles, 255, out=tiles)


def _to_page(values: np.ndarray, tile: tiling.Tile) -> np.ndarray:
    """The part that a tile answers for: (3, S, S) float, clipped to [0, 1] -> (h, w, 3) uint8."""
    rows, columns = tile.inner
    return np.rint(values[:, rows, columns].clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)


def _resize_mask(mask: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """A mask at another (height, width): a pixel that covers any of the mask is in it."""
    if mask.shape == size:
        return mask
    pixels = mask.astype(np.uint8)
    pixels *= 255  # in place: pages are large
    return cv2.resize(pixels, size[::-1], interpolation=cv2.INTER_AREA) > 0
