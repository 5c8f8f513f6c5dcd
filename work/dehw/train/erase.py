"""A generator's training: what is built, in which stages it learns, and how it is judged on whole pages."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, field, replace
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import cv2  # noqa: F401  before Paddle: Paddle 2.6 crashes when OpenCV is imported after it
import numpy as np
import paddle
from pydantic.dataclasses import dataclass
from visualdl import LogWriter

from dehw import models
from dehw.config import (
    STRICT,
    Batch,
    BelowOne,
    Count,
    Folders,
    Fraction,
    Mask,
    NetworkConfig,
    Pipeline,
    Rate,
    Seed,
    Share,
    Workers,
    load,
    load_pipeline,
)
from dehw.data.crops import BatchesFrom, CropDataset, CropSettings, prepare_workers
from dehw.data.pairs import find_pairs, split
from dehw.engine import weights
from dehw.engine.paddle import pick_device
from dehw.errors import ConfigError, InputError
from dehw.models.discriminators import DISCRIMINATORS
from dehw.page import masks
from dehw.train import banks, checkpoint, loop, losses, ranks, scales, steps
from dehw.train.folders import PREVIEW, pipeline_folder, record_finished, training_data, weights_folder
from dehw.train.status import StatusLine
from dehw.train.validate import Validator

PACE = ("validate_every", "checkpoint_every", "keep", "log_every", "workers")  # what may change on the way
JUDGED = {  # which of a generator's outputs its discriminator sees
    "erasenet": lambda outputs: [outputs[3]],
    "mtrnet": lambda outputs: outputs,
}


@dataclass(config=STRICT)
class AdversarySettings:
    """A discriminator: its weight in the generator's loss, and its own Adam. The values are EraseNet's."""

    weight: Share = 0.1
    learning_rate: Rate = 1e-5
    beta1: BelowOne = 0.0
    beta2: BelowOne = 0.9


@dataclass(config=STRICT)
class Stage:
    """One stage of training, by Adam. Learning rates fall by `decay` every `decay_every` steps.

    multiscale adds EraseNet's supervision of the coarse images to its first stage's loss. vgg: a file with VGG-19's
    weights, which adds MTRNet++'s perceptual and style terms. adversary: the discriminator of this type of generator
    learns against it; `{}` takes EraseNet's values.
    """

    steps: Count
    learning_rate: Rate = 1e-4
    beta1: BelowOne = 0.9
    beta2: BelowOne = 0.999
    decay_every: Count = 400_000
    decay: Fraction = 0.5
    multiscale: bool = False
    vgg: str | None = None
    adversary: AdversarySettings | None = None


@dataclass(config=STRICT, kw_only=True)
class EraseTraining:
    """The keys of configs/erasenet.yml and configs/mtrnet.yml.

    pipeline: name or file of the pipeline whose generator this trains; network: that generator's weights
    file, needed where the pipeline has several. init: weights to start from instead of chance. stage1: dice
    and L1; stage2: L1 alone from stage 1's best, null to leave it out; MTRNet++ has losses of its own for both.
    batch: crops a step, of each GPU where several train together; workers: likewise.
    val_pages: how many of the val_count pages kept aside are erased at each validation, null for all;
    validate_mask: by the mask of the pipeline's segmenter, of the ground truth, or by none, so that the generator
    writes the whole page.
    """

    pipeline: str = "erasenet"
    network: str | None = None
    init: str | None = None
    data: Folders = field(default_factory=lambda: ["data"])
    stage1: Stage
    stage2: Stage | None = None
    batch: Batch = 4
    crops: CropSettings = field(default_factory=CropSettings)
    val_count: Count = 81
    val_pages: Count | None = None
    validate_mask: Literal["pipeline", "gt", "none"] = "pipeline"
    validate_every: Count = 5000
    checkpoint_every: Count = 1000
    keep: Count = 2
    log_every: Count = 50
    workers: Workers = 4
    amp: bool = True
    seed: Seed = 2022


def train(
    config_path: str,
    opts: Sequence[str] = (),
    data: Sequence[str] | None = None,
    output: str = "output",
    device: str = "auto",
    resume: str | None = None,
    masks: str | None = None,
    label: str | None = None,
) -> Path:
    """Train a pipeline's generator, going on from what OUTPUT/PIPELINE/erase holds; returns its weights file.

    data: folders with datasets instead of the configuration's. resume: a checkpoint instead of the newest. masks: the
    folder of masks that find_pairs takes. label: what the status line calls it, for a chain of trainings, which records
    itself that it is finished. Raises ConfigError, InputError, WeightsError, DeviceError, and DehwError when training
    diverges.
    """
    config = load(config_path, EraseTraining, opts)
    pipeline = load_pipeline(config.pipeline)
    device = pick_device(device)
    paddle.set_device(device)
    ranks.connect()
    with ranks.first_goes_ahead():
        roots = training_data(data or config.data, "erase")
    recipe = made_of(config_path, opts, roots, output)
    trainer = Trainer(config, pipeline, roots, Path(output), device, masks, label)
    if ranks.is_first():
        steps.begin(trainer.folder, recipe)
    path = trainer.run(Path(resume) if resume else None)
    if ranks.is_first():
        steps.finish(trainer.folder, recipe)
        missing = [] if label else record_finished(output, pipeline, config.pipeline)
        print(f"generator: {path}" + (f"; still to train: {', '.join(missing)}" if missing else ""))
    return path


def step_folder(network: NetworkConfig, output: str | Path, pipeline: Pipeline) -> Path:
    """Where a generator's training keeps its files."""
    return pipeline_folder(output, pipeline) / "erase" / Path(network.weights).stem


def made_of(config_path: str, opts: Sequence[str], roots: Sequence[Path], output: str | Path) -> dict[str, Any]:
    """What the training of a generator is made of, see steps.made_of. Raises ConfigError, InputError."""
    config = load(config_path, EraseTraining, opts)
    pipeline = load_pipeline(config.pipeline)
    network = choose_network(pipeline, config.network)
    settings = asdict(config)
    pace = {name: settings.pop(name) for name in PACE}
    files = {"init": config.init} if config.init else {}
    for name, stage in (("stage1", config.stage1), ("stage2", config.stage2)):
        if stage:
            check_stage(network, stage, config.crops.size)
            pace[f"{name}.steps"] = settings[name].pop("steps")
            files |= {f"{name}.vgg": stage.vgg} if stage.vgg else {}
    for name in ("pipeline", "network", "data"):
        del settings[name]
    settings["crops"]["recipes"] = banks.recorded(settings["crops"]["recipes"])
    looks_for_mistakes = _wants(config, pipeline, roots, output).mistakes
    if pipeline.segment and (config.validate_mask == "pipeline" or looks_for_mistakes):
        name = pipeline.segment.network.weights
        files[name] = str(weights_folder(output, pipeline) / name)
    settings |= {"line_height": pipeline.line_height, "mask": asdict(pipeline.mask)}
    return steps.made_of(network, find_pairs(roots), settings, pace, files)


def wants(config_path: str, opts: Sequence[str], roots: Sequence[Path], output: str | Path) -> banks.Wants:
    """What the training of a generator wants cut for its crops. Arguments as train's. Raises ConfigError."""
    config = load(config_path, EraseTraining, opts)
    return _wants(config, load_pipeline(config.pipeline), roots, output)


def find_mistakes(
    config_path: str,
    opts: Sequence[str],
    data: Sequence[str] | None,
    output: str,
    device: str = "auto",
) -> None:
    """Cut what the segmenter takes for handwriting, if this generator's crops want it. Arguments as train's.

    Raises ConfigError, InputError, WeightsError, DeviceError, PageError.
    """
    device = pick_device(device)
    paddle.set_device(device)
    roots = training_data(data or load(config_path, EraseTraining, opts).data, "erase")
    wanted = wants(config_path, opts, roots, output)
    mistakes = wanted.mistakes_bank(device) if wanted.mistakes else None
    if mistakes:
        mistakes.complete()
        print(f"mistakes: {mistakes.pieces} pieces in {mistakes.folder}", file=sys.stderr)


def _wants(config: EraseTraining, pipeline: Pipeline, roots: Sequence[Path], output: str | Path) -> banks.Wants:
    return banks.Wants(config.crops.recipes, pipeline, roots, Path(output), config.val_count, True)


class Trainer:
    """Takes one generator through its two stages.

    roots: the datasets. output: the root that pipeline_folder and weights_folder take. masks, label: as train takes
    them.
    """

    def __init__(
        self,
        config: EraseTraining,
        pipeline: Pipeline,
        roots: Sequence[Path],
        output: Path,
        device: str,
        masks: str | None = None,
        label: str | None = None,
    ) -> None:
        self.config, self.pipeline, self.roots, self.device = config, pipeline, roots, device
        self.network = choose_network(pipeline, config.network)
        self.is_mtrnet = self.network.type == "mtrnet"
        self.weights = weights_folder(output, pipeline)
        self.folder = step_folder(self.network, output, pipeline)
        self.preview = pipeline_folder(output, pipeline) / PREVIEW
        self.status = StatusLine(label or self.network.weights, ranks.is_first())
        prepare_workers(config.workers)
        self.wants, self.crops = _wants(config, pipeline, roots, output), config.crops
        pairs, self.val_pairs = split(find_pairs(roots, masks), config.val_count)
        self.train_pairs = scales.scaled(pairs, pipeline, pipeline_folder(output, pipeline), device, self.status)
        paddle.seed(config.seed)
        self.model = models.build(self.network)
        if config.init:
            weights.load(self.model, config.init)

    def run(self, resume: Path | None = None) -> Path:
        """Train both stages, the second from the first one's best, and write the best weights of all."""
        all_stages = {"stage1": self.config.stage1, "stage2": self.config.stage2}
        stages = {name: stage for name, stage in all_stages.items() if stage is not None and stage.steps}
        if resume and resume.parent.resolve() not in [(self.folder / name).resolve() for name in stages]:
            raise InputError(f"{resume} is not one of this training's, {self.folder}/stage*/*.pdckpt.")
        validator = Validator(
            self.config.validate_mask,
            self.pipeline,
            self.model,
            self.val_pairs[: self.config.val_pages],
            self.weights,
            self.device,
            self.preview,
            self.status,
        )
        with ranks.first_goes_ahead():
            self.crops = replace(self.config.crops, recipes=self.wants.met(self.device))
        best: Path | None = None
        score: float | None = None
        for name, stage in stages.items():
            folder = self.folder / name
            if best:
                checkpoint.load(best, model=self.model)
            with _writer(folder / "log") as writer:
                training = self._training(name, stage, partial(validator, writer), writer)
                here = resume and resume.parent.resolve() == folder.resolve()
                reached = training.run(floor=score, resume=resume if here else None)
            if reached != score:  # else this stage, now or before a cut, made nothing better than the one before it
                best, score = folder / loop.BEST, reached
        path = self.weights / self.network.weights
        if ranks.is_first():
            if best is None or score is None:
                raise ConfigError("there is nothing to export: no stage has steps, or none was given a score.")
            self._export(path, best, score)
        return path

    def _training(
        self, name: str, stage: Stage, validate: Callable[[int], float], writer: LogWriter | None
    ) -> loop.Training:
        config = self.config
        optimizer, scheduler = _adam(self.model, stage, stage)
        return loop.Training(
            model=self.model,
            optimizer=optimizer,
            scheduler=scheduler,
            loss=self._loss(name, stage),
            batches_from=partial(self._batches_from, stage.steps),
            validate=validate,
            pace=loop.Pace(stage.steps, config.log_every, config.checkpoint_every, config.validate_every, config.keep),
            folder=self.folder / name,
            config=self._lasting(stage),
            writer=writer,
            seed=config.seed,
            amp=self._amp,
            sees_mask=self.is_mtrnet,
            adversary=self._adversary(stage),
            status=self.status,
        )

    @property
    def _amp(self) -> bool:
        return self.config.amp and self.device != "cpu"

    def _loss(self, name: str, stage: Stage) -> Callable[[Any, paddle.Tensor, paddle.Tensor], paddle.Tensor]:
        if self.is_mtrnet:
            return partial(losses.mtrnet, features=weights.load_vgg(stage.vgg) if stage.vgg else None)
        if name == "stage1":
            return partial(losses.erasenet_stage1, multiscale=stage.multiscale)
        return losses.erasenet_stage2

    def _adversary(self, stage: Stage) -> loop.Adversary | None:
        settings = stage.adversary
        if settings is None:
            return None
        paddle.seed(self.config.seed)  # the same discriminator, whether or not a stage went before in this process
        discriminator = DISCRIMINATORS[self.network.type](self.network.args.get("width", 1.0))
        optimizer, scheduler = _adam(discriminator, settings, stage)
        judged = JUDGED[self.network.type]
        return loop.Adversary(discriminator, optimizer, scheduler, judged, settings.weight, self._amp)

    def _batches_from(self, steps: int, step: int) -> Iterable[loop.Batch]:
        config = self.config
        dataset = CropDataset(
            self.train_pairs,
            self.crops,
            config.batch,
            steps * ranks.count(),
            config.seed,
            lanes=max(1, config.workers) * ranks.count(),
            line_height=self.pipeline.line_height,
        )
        return paddle.io.DataLoader(
            InferenceMasks(dataset, self.pipeline.mask) if self.is_mtrnet else dataset,
            batch_sampler=BatchesFrom(dataset, step, ranks.rank(), ranks.count()),
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
            "line_height": self.pipeline.line_height,
            "stage": rest,
            **({"mask": asdict(self.pipeline.mask)} if self.is_mtrnet else {}),
            **{name: config[name] for name in names},
        }

    def _export(self, path: Path, best: Path, score: float) -> None:
        """Write the weights of the best checkpoint as inference loads them."""
        state = checkpoint.load(best, model=self.model)
        weights.save(
            self.model,
            path,
            type=self.network.type,
            args=self.network.args,
            sources=[root.name for root in self.roots],
            stage=best.parent.name,
            steps=state.step,
            scores={"contest": round(score, 4)},
        )


class InferenceMasks:
    """A dataset's crops with the masks that the Eraser would make of theirs: thresholded and dilated.

    For networks that look at the mask: they are to be trained on what they will be given. Outside it they cannot
    change the page, so there the ground truth is the page too (cmp), or a discriminator would tell by what compression
    left. Items are image, gt (3, S, S) and mask (1, S, S) float32, 0 or 1.
    """

    def __init__(self, dataset: CropDataset, settings: Mask):
        self.dataset, self.settings = dataset, settings

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        image, gt, soft = self.dataset[index]
        mask = masks.dilate(masks.threshold(soft[0], self.settings.threshold), self.settings.dilate)
        return image, np.where(mask, gt, image), mask[None].astype(np.float32)


def check_stage(network: NetworkConfig, stage: Stage, crop: int) -> None:
    """Raise ConfigError for keys of a stage that mean nothing to this type of generator, or to crops of this size."""
    if stage.multiscale and network.type == "mtrnet":
        raise ConfigError("multiscale is EraseNet's, and mtrnet is trained here; leave it out.")
    if stage.vgg and network.type != "mtrnet":
        raise ConfigError(f"vgg is MTRNet++'s, and {network.type} is trained here; leave it out.")
    if stage.adversary and network.type not in DISCRIMINATORS:
        known = ", ".join(DISCRIMINATORS)
        raise ConfigError(f"there is no discriminator for {network.type}, only for {known}; leave adversary out.")
    smallest = getattr(DISCRIMINATORS.get(network.type), "SMALLEST", 0)
    if stage.adversary and crop < smallest:
        raise ConfigError(f"{network.type}'s discriminator needs crops.size of {smallest} at least, not {crop}.")


def choose_network(pipeline: Pipeline, name: str | None) -> NetworkConfig:
    """The generator of a pipeline whose weights file is `name`, or its only one. Raises ConfigError."""
    networks = {network.weights: network for network in pipeline.erase.networks}
    if name is None and len(networks) == 1:
        return pipeline.erase.networks[0]
    if name not in networks:
        known = ", ".join(networks)
        raise ConfigError(f"pipeline {pipeline.name} has these generators; name one by --opts network=: {known}.")
    return networks[name]


def _writer(folder: Path) -> contextlib.AbstractContextManager[LogWriter | None]:
    """VisualDL's log of this run; None where another process writes it."""
    if not ranks.is_first():
        return contextlib.nullcontext()
    return LogWriter(logdir=str(folder / datetime.now().strftime("%Y%m%d-%H%M%S-%f")))


def _adam(
    layer: paddle.nn.Layer, settings: Stage | AdversarySettings, decay: Stage
) -> tuple[paddle.optimizer.Optimizer, paddle.optimizer.lr.LRScheduler]:
    scheduler = paddle.optimizer.lr.StepDecay(settings.learning_rate, decay.decay_every, decay.decay)
    adam = paddle.optimizer.Adam(scheduler, settings.beta1, settings.beta2, parameters=layer.parameters())
    return adam, scheduler
