"""Page in, page out: the whole pipeline, one method a line. Read this file first.

page -> scaled  -> segment -> mask -> erase (generate, compose) -> page
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dehw import masks, scale, tiling, tta
from dehw.config import Pipeline, load_pipeline
from dehw.engine import Network, build_all, pick
from dehw.errors import InputError
from dehw.weights import find


@dataclass(frozen=True)
class Erased:
    """An erased page.

    page: (H, W, 3) uint8 RGB; mask: (H, W) bool, True = handwriting; seconds: the time it took.
    """

    page: np.ndarray
    mask: np.ndarray
    seconds: float

    @property
    def share(self) -> float:
        """Share of the page's pixels that the mask holds, in [0, 1]."""
        return float(self.mask.mean())


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
        built, taken = build_all(list(zip([*segment, *erase], paths, sides)), pick(engine, device))
        segmenter = built.pop(0) if segment else None
        generators = [(net, config.weight) for net, config in zip(built, erase)]
        return cls(pipeline, segmenter, generators, taken.device, str(taken))

    def __call__(self, page: np.ndarray) -> Erased:
        """Erase the handwriting of a page, (H, W, 3) uint8 RGB of any size from 1x1 up. Raises InputError."""
        if page.dtype != np.uint8 or page.ndim != 3 or page.shape[2] != 3 or not page.size:
            raise InputError(f"a page is (H, W, 3) uint8 RGB, not {page.shape} {page.dtype}; convert it")
        started = time.perf_counter()
        scaled = self.scaled(page)
        prob = self.segment(page, scaled)
        mask = self.mask(prob)
        clean = self.erase(page, mask, scaled)
        return Erased(clean, mask, time.perf_counter() - started)

    def scaled(self, page: np.ndarray) -> np.ndarray:
        """The page at the networks' print height, (h, w, 3) uint8; itself where it fits or none is set."""
        factor = scale.working_scale(page, self.pipeline.print_height)
        if factor == 1.0:
            return page
        height, width = (max(1, round(side * factor)) for side in page.shape[:2])
        interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
        return cv2.resize(page, (width, height), interpolation=interpolation)

    def segment(self, page: np.ndarray, scaled: np.ndarray | None = None) -> np.ndarray:
        """Probability of handwriting at each pixel of a page.

        page: (H, W, 3) uint8 RGB; scaled: the same from scaled(), computed when left out.
        Returns (H, W) float32 in [0, 1]: the mean over overlapping windows and views (seed 000), taken of
        probabilities or of logits, as the pipeline says.
        """
        height, width = page.shape[:2]
        settings = self.pipeline.segment
        if settings is None:
            return np.ones((height, width), np.float32)
        scaled = self.scaled(page) if scaled is None else scaled
        views = [tta.VIEWS[name] for name in settings.views]
        forth, back = MEANS[settings.average]
        average = tiling.Average(*scaled.shape[:2])
        windows = tiling.tiles(*scaled.shape[:2], settings.window, settings.stride)
        for batch in self._batches("segment", windows, settings.batch):
            answers = tta.average(lambda tiles: forth(self.segmenter(tiles)), views, _cut(scaled, batch) / 255)
            for window, answer in zip(batch, answers):
                average.add(window, answer[0])
        prob = back(average.result())
        return prob if scaled is page else cv2.resize(prob, (width, height), interpolation=cv2.INTER_LINEAR)

    def mask(self, prob: np.ndarray) -> np.ndarray:
        """Handwriting, (H, W) bool: where prob, (H, W) in [0, 1], reaches the threshold, then dilated."""
        settings = self.pipeline.mask
        return masks.dilate(masks.threshold(prob, settings.threshold), settings.dilate)

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
        scaled = self.scaled(page) if scaled is None else scaled
        generated = self.generate(scaled, _resize_mask(mask, scaled.shape[:2]))
        if scaled is not page:
            generated = cv2.resize(generated, page.shape[1::-1], interpolation=cv2.INTER_CUBIC)
        return self.compose(page, generated, mask)

    def generate(self, page: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """What the generators make of a page, from the centres of tiles (seed 001): (H, W, 3) uint8 RGB.

        page: (H, W, 3) uint8 RGB; mask: (H, W) bool. With `cmp` on, tiles without ink are left as they are.
        """
        settings = self.pipeline.erase
        views = [tta.VIEWS[name] for name in settings.views]
        stride = settings.tile - 2 * settings.margin
        tiles = tiling.tiles(*page.shape[:2], settings.tile, stride, settings.margin)
        if settings.cmp:
            tiles = [tile for tile in tiles if mask[tile.keep].any()]
        generated = page.copy()
        for batch in self._batches("erase", tiles, settings.batch):
            pixels = self._fuse(views, _cut(page, batch) / 255, _cut(mask, batch))
            for tile, values in zip(batch, pixels):
                generated[tile.keep] = _to_page(values)[tile.inner]
        return generated

    def compose(self, page: np.ndarray, generated: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """cmp: keep `generated` where the mask is True, put the page's own pixels back elsewhere.

        page: (H, W, 3) uint8 RGB; generated: the same, changed in place and returned; mask: (H, W) bool.
        """
        if self.pipeline.erase.cmp:
            np.copyto(generated, page, where=~mask[..., None])
        return generated

    def _batches(self, step: str, tiles: list[tiling.Tile], size: int) -> Iterator[list[tiling.Tile]]:
        """Tiles in batches of `size`; on a CPU one by one, which is faster there (0.6 s for 0.9 s a window of
        SegFormer-B0) and keeps the largest networks below 1 GiB. Tells `progress` of each batch that is done.
        """
        done = 0
        for batch in tiling.batches(tiles, 1 if self.device == "cpu" else size):
            yield batch
            done += len(batch)
            if self.progress:
                self.progress(step, done, len(tiles))

    def _fuse(self, views: Sequence[tta.View], *inputs: np.ndarray) -> np.ndarray:
        """Mean of the generators by weight, each averaged over the views: (N, 3, S, S) float32."""
        total = sum(weight for _, weight in self.generators)
        return sum(
            tta.average(network, views, *inputs) * np.float32(weight / total) for network, weight in self.generators
        )


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
    """Cut tiles out of an image: (H, W[, C]) -> (N, C, S, S) float32, values as they are."""
    tiles = np.stack([np.atleast_3d(tiling.read_tile(image, tile)) for tile in batch])
    return np.ascontiguousarray(tiles.transpose(0, 3, 1, 2), np.float32)  # (N, S, S, C) -> (N, C, S, S)


def _to_page(values: np.ndarray) -> np.ndarray:
    """(3, S, S) float in [0, 1], clipped -> (S, S, 3) uint8."""
    return np.rint(values.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)


def _resize_mask(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A mask at another (height, width): a pixel that covers any of the mask is in it."""
    if mask.shape == size:
        return mask
    scaled = cv2.resize(mask.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
    return scaled > 0
