"""Validation of a generator: whole pages, erased as in use, and scored."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import paddle
from visualdl import LogWriter

from dehw.config import Pipeline
from dehw.data.pairs import Pair
from dehw.engine import pick, weights
from dehw.engine.paddle import PaddleNetwork
from dehw.eraser import Eraser, Prepared, turn
from dehw.errors import WeightsError
from dehw.files import panels
from dehw.files.images import read_image, write_image
from dehw.page import masks, metrics
from dehw.train import scales
from dehw.train.status import StatusLine

PICTURE_WIDTH = 1200  # px, of the sheet of samples
PICTURES = 3  # pages on it
PERFECT = 1.0  # contest score that counts for pages met exactly, whose psnr is infinite


class Validator:
    """Erases whole pages with the network as it is, through the Eraser of inference, and scores them.

    The pipeline's own settings hold, with this network as its only generator. Masks are found only once. mask_from:
    "pipeline", "gt" or "none". weights_folder: where the pipeline's segmenter lies. preview: the file of the sheet
    that shows the first pages, renewed each time.
    """

    def __init__(
        self,
        mask_from: str,
        pipeline: Pipeline,
        model: paddle.nn.Layer,
        pairs: Sequence[Pair],
        weights_folder: Path,
        device: str,
        preview: Path,
        status: StatusLine,
    ) -> None:
        self.mask_from, self.pairs, self.preview, self.status = mask_from, pairs, preview, status
        finder = segmenter(pipeline, weights_folder, device) if mask_from == "pipeline" else None
        generators = [(PaddleNetwork(model, device), 1.0)]
        self.eraser = Eraser(pipeline, finder, generators, device, reader=scales.reader(pipeline, device))
        self._masks: dict[Path, np.ndarray] = {}

    def __call__(self, writer: LogWriter, step: int) -> float:
        """The mean score of the pages after `step` steps; figures and the sheet go to VisualDL."""
        scores, shown = [], []
        for number, pair in enumerate(self.pairs, 1):
            self.status.show(f"validating page {number} of {len(self.pairs)}")
            image, gt = read_image(pair.image), read_image(pair.gt)
            mask, clean = self._erase(pair, image, gt)
            scores.append(metrics.evaluate(image, gt, clean))
            if number <= PICTURES:
                shown.append(panels.contact_sheet([panels.side_by_side(image, clean, mask)], width=PICTURE_WIDTH))
        sheet = panels.contact_sheet(shown, width=PICTURE_WIDTH)
        write_image(self.preview, sheet)
        writer.add_image("validation/page, mask, result", sheet, step)
        mean = asdict(metrics.mean(scores))
        for name, value in mean.items():
            writer.add_scalar(f"validation/{name}", value, step)
        figures = ", ".join(f"{name} {value:.4f}" for name, value in mean.items())
        self.status.say(f"step {step}: {figures} (mask: {self.mask_from}, {len(scores)} pages)")
        return float(np.nanmean([_score(page) for page in scores]))

    def _erase(self, pair: Pair, image: np.ndarray, gt: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The page's mask, (H, W) bool, and the page erased by it. Here and below the Eraser is called."""
        prepared = self.eraser.prepare(image)
        if pair.image not in self._masks:  # kept in memory at a bit a pixel
            self._masks[pair.image] = np.packbits(self._find_mask(prepared, gt), axis=1)
        mask = np.unpackbits(self._masks[pair.image], axis=1, count=image.shape[1]).astype(bool)
        return mask, self.eraser.erase(prepared, mask)

    def _find_mask(self, prepared: Prepared, gt: np.ndarray) -> np.ndarray:
        if self.mask_from == "none":
            return np.ones(gt.shape[:2], bool)
        if self.mask_from == "pipeline":
            return self.eraser.mask(self.eraser.segment(prepared), prepared)
        return self.eraser.mask(turn(masks.soft_mask(prepared.page, gt), prepared.turns), prepared)


def segmenter(pipeline: Pipeline, folder: Path, device: str) -> pick.Network | None:
    """A pipeline's segmenter with its weights in `folder`, if it has one. Raises WeightsError."""
    if pipeline.segment is None:
        return None
    network = pipeline.segment.network
    try:
        path = weights.find(network, folder, pipeline)
    except WeightsError as error:
        advice = "Train the segmenter first, or validate by the ground truth's mask: --opts validate_mask=gt."
        raise WeightsError(f"{error} {advice}") from error
    return pick.build(network, path, device)


def _score(page: metrics.Scores) -> float:
    """What decides which network is best: the contest's score, or psnr / 100 on pages too small for it."""
    score = page.psnr / 100 if math.isnan(page.contest) else page.contest
    return min(score, PERFECT)
