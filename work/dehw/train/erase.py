"""EraseNet's training: what is built, in which two stages it learns, and how it is judged on whole pages."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import cv2  # noqa: F401  before Paddle: Paddle 2.6 crashes when OpenCV is imported after it
import numpy as np
import paddle
from tqdm import tqdm
from visualdl import LogWriter

from dehw import checkpoint, engine, losses, metrics, models, report, weights
from dehw.config import NetworkConfig, Pipeline, load, load_pipeline
from dehw.data.crops import BatchesFrom, CropDataset, CropSettings, prepare_workers
from dehw.data.pairs import Pair, find_pairs, split
from dehw.eraser import Eraser
from dehw.errors import ConfigError, InputError, WeightsError
from dehw.masks import soft_mask
from dehw.pages import read_image
from dehw.train import loop, pipeline_folder, record_finished, training_data, weights_folder

PICTURE_WIDTH = 1200  # px, of the sample pictures in VisualDL
PERFECT = 1.0  # contest score that counts for pages met exactly, whose psnr is infinite


@dataclass
class Stage:
    """One stage of training. The learning rate falls by `decay` every `decay_every` steps.

    multiscale adds EraseNet's supervision of the coarse images to the first stage's loss.
    """

    steps: int
    learning_rate: float = 1e-4
    decay_every: int = 400_000
    decay: float = 0.5
    multiscale: bool = False


@dataclass(kw_only=True)
class EraseTraining:
    """The keys of configs/erasenet.yml.

    pipeline: name or file of the pipeline whose generator this trains; network: that generator's weights
    file, needed where the pipeline has several. init: weights to start from instead of chance. stage1: dice
    and L1; stage2: L1 alone from stage 1's best, null to leave it out. val_pages: how many of the val_count
    pages kept aside are erased at each validation, null for all; validate_mask: by the mask of the pipeline's
    segmenter, of the ground truth, or by none, so that the generator writes the whole page.
    """

    pipeline: str = "erasenet"
    network: str | None = None
    init: str | None = None
    data: list[str] = field(default_factory=lambda: ["data"])
    stage1: Stage
    stage2: Stage | None = None
    batch: int = 4
    crops: CropSettings = field(default_factory=CropSettings)
    val_count: int = 81
    val_pages: int | None = None
    validate_mask: Literal["pipeline", "gt", "none"] = "pipeline"
    validate_every: int = 5000
    checkpoint_every: int = 1000
    keep: int = 2
    log_every: int = 50
    workers: int = 4
    amp: bool = True
    seed: int = 2022

    def __post_init__(self) -> None:
        for name in ("batch", "validate_every", "checkpoint_every", "keep", "log_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")


def train(
    config_path: str,
    opts: Sequence[str] = (),
    data: Sequence[str] | None = None,
    output: str = "output",
    device: str = "auto",
    resume: str | None = None,
) -> Path:
    """Train a pipeline's generator, going on from what OUTPUT/PIPELINE/erase holds; returns its weights file.

    data: folders with datasets instead of the configuration's. resume: a checkpoint instead of the newest.
    Raises ConfigError, InputError, WeightsError, DeviceError, and DehwError when training diverges.
    """
    config = load(config_path, EraseTraining, opts)
    pipeline = load_pipeline(config.pipeline)
    device = engine.pick_device(device)
    paddle.set_device(device)
    trainer = Trainer(config, pipeline, training_data(data or config.data), Path(output), device)
    path = trainer.run(Path(resume) if resume else None)
    missing = record_finished(output, pipeline, config.pipeline)
    print(f"generator: {path}" + (f"; still to train: {', '.join(missing)}" if missing else ""))
    return path


class Trainer:
    """Takes one generator through its two stages.

    roots: the datasets. output: the root that pipeline_folder and weights_folder take.
    """

    def __init__(self, config: EraseTraining, pipeline: Pipeline, roots: Sequence[Path], output: Path, device: str):
        self.config, self.pipeline, self.roots, self.device = config, pipeline, roots, device
        self.network = choose_network(pipeline, config.network)
        self.weights = weights_folder(output, pipeline)
        self.folder = pipeline_folder(output, pipeline) / "erase" / Path(self.network.weights).stem
        prepare_workers(config.workers)
        self.train_pairs, self.val_pairs = split(find_pairs(roots), config.val_count)
        paddle.seed(config.seed)
        self.model = models.build(self.network)
        if config.init:
            weights.load(self.model, config.init)

    def run(self, resume: Path | None = None) -> Path:
        """Train both stages, the second from the first one's best, and write the best weights of all."""
        stages = {"stage1": self.config.stage1, "stage2": self.config.stage2}
        stages = {name: stage for name, stage in stages.items() if stage is not None and stage.steps}
        if resume and resume.parent.resolve() not in [(self.folder / name).resolve() for name in stages]:
            raise InputError(f"{resume} is not one of this training's, {self.folder}/stage*/*.pdckpt.")
        validator = Validator(self.config, self.pipeline, self.model, self.val_pairs, self.weights, self.device)
        best, score = None, None
        for name, stage in stages.items():
            folder = self.folder / name
            if best:
                checkpoint.load(best, model=self.model)
            with LogWriter(logdir=str(folder / "log" / datetime.now().strftime("%Y%m%d-%H%M%S"))) as writer:
                training = self._training(name, stage, partial(validator, writer), writer)
                here = resume and resume.parent.resolve() == folder.resolve()
                score = training.run(floor=score, resume=resume if here else None)
            best = folder / loop.BEST if (folder / loop.BEST).is_file() else best
        return self._export(best, score)

    def _training(self, name: str, stage: Stage, validate: Callable[[int], float], writer: LogWriter) -> loop.Training:
        config = self.config
        scheduler = paddle.optimizer.lr.StepDecay(stage.learning_rate, stage.decay_every, stage.decay)
        if name == "stage1":
            loss = partial(losses.erasenet_stage1, multiscale=stage.multiscale)
        else:
            loss = losses.erasenet_stage2
        return loop.Training(
            model=self.model,
            optimizer=paddle.optimizer.Adam(scheduler, parameters=self.model.parameters()),
            scheduler=scheduler,
            loss=loss,
            batches_from=partial(self._batches_from, stage.steps),
            validate=validate,
            pace=loop.Pace(stage.steps, config.log_every, config.checkpoint_every, config.validate_every, config.keep),
            folder=self.folder / name,
            config=self._lasting(stage),
            writer=writer,
            seed=config.seed,
            amp=config.amp and self.device != "cpu",
        )

    def _batches_from(self, steps: int, step: int) -> Iterable[loop.Batch]:
        config = self.config
        dataset = CropDataset(
            self.train_pairs,
            config.crops,
            config.batch,
            steps,
            config.seed,
            lanes=max(1, config.workers),
            print_height=self.pipeline.print_height,
        )
        return paddle.io.DataLoader(
            dataset,
            batch_sampler=BatchesFrom(dataset, step),
            num_workers=config.workers,
            return_list=True,
        )

    def _lasting(self, stage: Stage) -> dict[str, Any]:
        """What may not change between a checkpoint and going on from it; how often what is done may."""
        config = asdict(self.config)
        names = ("init", "batch", "crops", "val_count", "val_pages", "validate_mask", "amp", "seed")
        rest = asdict(stage)
        del rest["steps"]
        return {
            "network": {"type": self.network.type, "args": self.network.args},
            "print_height": self.pipeline.print_height,
            "stage": rest,
            **{name: config[name] for name in names},
        }

    def _export(self, best: Path | None, score: float | None) -> Path:
        """Write the weights of the best checkpoint as inference loads them."""
        if best is None:
            raise ConfigError("there is nothing to export: no stage has steps, or none was given a score.")
        state = checkpoint.load(best, model=self.model)
        path = self.weights / self.network.weights
        facts = {"stage": best.parent.name, "steps": state.step, "scores": {"contest": round(score, 4)}}
        sources = [root.name for root in self.roots]
        network = {"type": self.network.type, "args": self.network.args}
        weights.save(self.model, path, **network, sources=sources, **facts)
        return path


class Validator:
    """Erases whole pages with the network as it is, through the Eraser of inference, and scores them.

    The pipeline's own settings hold, with this network as its only generator. Masks are found only once.
    """

    def __init__(
        self,
        config: EraseTraining,
        pipeline: Pipeline,
        model: paddle.nn.Layer,
        pairs: Sequence[Pair],
        folder: Path,
        device: str,
    ):
        self.mask_from = config.validate_mask
        self.pairs = pairs[: config.val_pages]
        segmenter = _segmenter(pipeline, folder, device) if self.mask_from == "pipeline" else None
        self.eraser = Eraser(pipeline, segmenter, [(engine.PaddleNetwork(model, device), 1.0)], device)
        self._masks: dict[Path, np.ndarray] = {}

    def __call__(self, writer: LogWriter, step: int) -> float:
        """The mean score of the pages after `step` steps; figures and a picture go to VisualDL."""
        scores, label = [], f"validation, mask: {self.mask_from}"
        for pair in tqdm(self.pairs, label, unit="page", leave=False):
            image, gt = read_image(pair.image), read_image(pair.gt)
            mask = self._mask(pair, image, gt)
            out = self.eraser.erase(image, mask)
            scores.append(metrics.evaluate(image, gt, out))
            if pair is self.pairs[0]:
                picture = report.contact_sheet([report.side_by_side(image, out, mask)], width=PICTURE_WIDTH)
                writer.add_image("validation/page, mask, result", picture, step)
        mean = asdict(metrics.mean(scores))
        for name, value in mean.items():
            writer.add_scalar(f"validation/{name}", value, step)
        figures = ", ".join(f"{name} {value:.4f}" for name, value in mean.items())
        tqdm.write(f"step {step}: {figures} (mask: {self.mask_from}, {len(scores)} pages)")
        return float(np.nanmean([_score(page) for page in scores]))

    def _mask(self, pair: Pair, image: np.ndarray, gt: np.ndarray) -> np.ndarray:
        """(H, W) bool: the mask to erase by. Kept in memory at a bit a pixel."""
        if pair.image not in self._masks:
            self._masks[pair.image] = np.packbits(self._find_mask(image, gt), axis=1)
        return np.unpackbits(self._masks[pair.image], axis=1, count=image.shape[1]).astype(bool)

    def _find_mask(self, image: np.ndarray, gt: np.ndarray) -> np.ndarray:
        if self.mask_from == "none":
            return np.ones(image.shape[:2], bool)
        prob = self.eraser.segment(image) if self.mask_from == "pipeline" else soft_mask(image, gt)
        return self.eraser.mask(prob)


def choose_network(pipeline: Pipeline, name: str | None) -> NetworkConfig:
    """The generator of a pipeline whose weights file is `name`, or its only one. Raises ConfigError."""
    networks = {network.weights: network for network in pipeline.erase.networks}
    if name is None and len(networks) == 1:
        return pipeline.erase.networks[0]
    if name not in networks:
        known = ", ".join(networks)
        raise ConfigError(f"pipeline {pipeline.name} has these generators; name one by --opts network=: {known}.")
    return networks[name]


def _segmenter(pipeline: Pipeline, folder: Path, device: str) -> engine.Network | None:
    if pipeline.segment is None:
        return None
    network = pipeline.segment.network
    try:
        path = weights.find(network, folder, pipeline)
    except WeightsError as error:
        advice = "Train the segmenter first, or validate by the ground truth's mask: --opts validate_mask=gt."
        raise WeightsError(f"{error} {advice}") from error
    return engine.build(network, path, device)


def _score(page: metrics.Scores) -> float:
    """What decides which network is best: the contest's score, or psnr / 100 on pages too small for it."""
    score = page.psnr / 100 if math.isnan(page.contest) else page.contest
    return min(score, PERFECT)
