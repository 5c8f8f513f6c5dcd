"""SegFormer, trained by PaddleSeg on our crops.

paddleseg.core.train runs from one checkpoint to the next; between its runs the validation pages are scored
and the best weights kept. Three things PaddleSeg 2.8 leaves to be settled here: it forgets the best score on
resume, a checkpoint of its may be cut short, and its logging of losses and its evaluation fail on Paddle 3.
"""

from __future__ import annotations

import functools
import json
import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2  # noqa: F401  before Paddle: Paddle 2.6 crashes when OpenCV is imported after it
import numpy as np
import paddle
from paddleseg.core import infer
from paddleseg.core.train import loss_computation
from paddleseg.core.train import train as run_paddleseg
from paddleseg.cvlibs import Config, SegBuilder
from paddleseg.utils import resume as load_checkpoint
from paddleseg.utils.utils import download_pretrained_model
from pydantic import Field, NonNegativeInt, PositiveInt
from pydantic.dataclasses import dataclass
from tqdm import tqdm

from dehw import models  # noqa: F401  losses registers ours with PaddleSeg
from dehw.config import STRICT, Pipeline, load_pipeline, read, validate
from dehw.data.crops import prepare_workers
from dehw.engine import weights  # noqa: F401  losses registers ours with PaddleSeg
from dehw.engine.paddle import pick_device
from dehw.errors import ConfigError, DehwError, InputError, WeightsError
from dehw.files.atomic import atomic_path, write_json
from dehw.train import (
    losses,  # noqa: F401  losses registers ours with PaddleSeg
    pipeline_folder,
    ranks,
    record_finished,
    training_data,
    weights_folder,
)
from dehw.train.segdata import DehwCrops, DehwPages

log = logging.getLogger(__name__)

Size = Annotated[list[PositiveInt], Field(min_length=2, max_length=2)]  # width, height


@dataclass(config=STRICT)
class TestConfig:
    """PaddleSeg's `test_config`: whether and in which windows whole pages are judged."""

    is_slide: bool = False
    crop_size: Size | None = None
    stride: Size | None = None


@dataclass(config=STRICT, kw_only=True)
class RunSettings:
    """The keys of a segmentation config: first PaddleSeg's, whose blocks PaddleSeg checks, then ours.

    pipeline: name or file of the pipeline whose segmenter this trains. save_interval: steps between
    checkpoints, each followed by a validation; `keep` of them stay. precision: fp32, or fp16 on a GPU.
    """

    iters: PositiveInt
    batch_size: PositiveInt
    train_dataset: dict[str, Any]
    val_dataset: dict[str, Any]
    model: dict[str, Any]
    loss: dict[str, Any]
    optimizer: dict[str, Any]
    lr_scheduler: dict[str, Any]
    test_config: TestConfig = field(default_factory=TestConfig)

    pipeline: str = "erasenet"
    save_interval: PositiveInt = 5000
    log_iters: PositiveInt = 50
    keep: PositiveInt = 3
    num_workers: NonNegativeInt = 4
    precision: Literal["fp32", "fp16"] = "fp32"
    val_count: PositiveInt = 81
    seed: int = 2022


class PaddleSegConfig(Config):
    """PaddleSeg's own view of a configuration that is read already."""

    def __init__(self, tree: dict[str, Any]):
        self.dic = tree
        self._build_default_checker().apply_all_rules(self)


def train(
    config_path: str,
    opts: Sequence[str] = (),
    data: Sequence[str] | None = None,
    output: str = "output",
    device: str = "auto",
    resume: str | None = None,
) -> Path:
    """Train a pipeline's segmenter, going on from what OUTPUT/PIPELINE/seg holds; returns its weights file.

    data: folders with datasets, the configuration's dataset_root if None. resume: a checkpoint folder
    (iter_N) instead of the newest. Raises ConfigError, InputError, WeightsError, DeviceError, and DehwError when
    training diverges.
    """
    config, run = read_config(config_path, opts)
    pipeline = load_pipeline(run.pipeline)
    paddle.set_device(pick_device(device))
    ranks.connect()
    with ranks.first_goes_ahead():
        roots = training_data(data or [config.dic["train_dataset"].get("dataset_root", "data")])
    prepare_workers(run.num_workers)
    _share_one_wrapper()
    with paddle.utils.unique_name.guard():  # the optimizer finds its state by names, counted from 0
        return _train(config, run, pipeline, roots, Path(output), resume)


def _train(
    config: Config, run: RunSettings, pipeline: Pipeline, roots: Sequence[Path], output: Path, resume: str | None
) -> Path:
    builder = build(config, run, pipeline, roots)
    folder = pipeline_folder(output, pipeline) / "seg"
    progress = Progress(folder)
    checkpoint = chosen(resume, builder.model, progress) if resume else newest(folder, builder.model)
    iteration = load_checkpoint(builder.model, builder.optimizer, str(checkpoint)) if checkpoint else 0
    ranks.wait()  # until all have read what rank 0 is about to change
    with LossLog(folder / "log" / f"from_{iteration:07d}", iteration, run.log_iters) as losses_log:
        builder.model.loss_computation = losses_log
        while True:
            if iteration and iteration not in progress.scores:
                _validate(builder, run, progress, losses_log, iteration)
            if iteration >= config.iters:
                break
            started = time.monotonic()
            checkpoint, iteration = advance(builder, run, folder, checkpoint, iteration)
            progress.seconds += time.monotonic() - started
    path = weights_folder(output, pipeline) / pipeline.segment.network.weights
    if ranks.is_first():
        export(progress, pipeline, path, roots)
        missing = record_finished(output, pipeline, run.pipeline)
        print(f"segmenter: {path}" + (f"; still to train: {', '.join(missing)}" if missing else ""))
    return path


def _validate(builder: SegBuilder, run: RunSettings, progress: Progress, log: LossLog, iteration: int) -> None:
    """Score the checkpoint of `iteration`: rank 0 does, the others wait and are told."""
    score = None
    if ranks.is_first():
        score = evaluate(builder.model, builder.val_dataset, builder.config.test_config, run.precision)
    score = ranks.agreed(score)
    progress.add(iteration, score, builder.model)
    log.add_score(iteration, score)


def read_config(path: str, opts: Sequence[str] = ()) -> tuple[Config, RunSettings]:
    """Read a PaddleSeg configuration with our own keys in it. Raises ConfigError.

    opts: "a.b=value", each value read as YAML, in blocks that the configuration has.
    """
    tree, source = read(path, opts, grow=False)
    run = validate(tree, RunSettings, source)
    try:
        return PaddleSegConfig(tree), run
    except RuntimeError as error:  # of PaddleSeg's checks
        raise ConfigError(f"{source}: {error}") from error


def build(config: Config, run: RunSettings, pipeline: Pipeline, roots: Sequence[Path]) -> SegBuilder:
    """Build what the configuration describes, on the datasets `roots` and at the pipeline's print height."""
    if pipeline.segment is None:
        raise ConfigError(f"pipeline {run.pipeline} has no segmenter to train.")
    for name in ("train_dataset", "val_dataset"):
        shared = {"val_count": run.val_count, "print_height": pipeline.print_height}
        config.dic[name] = {**config.dic[name], "dataset_root": list(map(str, roots)), **shared}
    config.dic["train_dataset"]["seed"] = run.seed
    with ranks.first_goes_ahead():
        _fetch_pretrained(config.dic["model"])
    paddle.seed(run.seed)
    builder = SegBuilder(config)
    try:
        parts = builder.model, builder.optimizer, builder.loss, builder.train_dataset, builder.val_dataset
    except RuntimeError as error:
        raise ConfigError(f"the configuration cannot be built: {error}") from error
    if not isinstance(parts[-2], DehwCrops) or not isinstance(parts[-1], DehwPages):
        raise ConfigError("train_dataset must be of type DehwCrops, and val_dataset of type DehwPages.")
    expected = models.build(pipeline.segment.network)
    if _shapes(expected.state_dict()) != _shapes(builder.model.state_dict()):
        network = pipeline.segment.network
        raise ConfigError(
            f"the configuration's model is not the segmenter of pipeline {run.pipeline} ({network.type}, "
            f"{network.args}): its weights would not load there. Name its pipeline by --opts pipeline=NAME."
        )
    return builder


def advance(
    builder: SegBuilder, run: RunSettings, folder: Path, checkpoint: Path | None, iteration: int
) -> tuple[Path, int]:
    """Let PaddleSeg train to the next checkpoint; returns it and its step."""
    config = builder.config
    target = min(config.iters, (iteration // run.save_interval + 1) * run.save_interval)
    crops = (target - iteration) * config.batch_size * ranks.count()
    builder.train_dataset.start(iteration, config.batch_size, crops)
    paddle.seed(run.seed + iteration)  # dropout goes on as if there had been no cut
    run_paddleseg(
        builder.model,
        builder.train_dataset,
        optimizer=builder.optimizer,
        save_dir=str(folder),
        iters=target,
        batch_size=config.batch_size,
        resume_model=str(checkpoint) if checkpoint else None,
        save_interval=run.save_interval,
        log_iters=run.log_iters,
        num_workers=run.num_workers,
        losses=builder.loss,
        keep_checkpoint_max=0,  # it would count those of this run alone
        precision=run.precision,
    )
    with ranks.first_goes_ahead():  # PaddleSeg's rank 0 writes the checkpoint, which all read when they go on
        if ranks.is_first():
            _refuse_divergence(builder.model, folder / f"iter_{target}")
            for old in _checkpoints(folder)[run.keep :]:
                shutil.rmtree(old)
    return folder / f"iter_{target}", target


def evaluate(model: paddle.nn.Layer, pages: DehwPages, test_config: dict, precision: str = "fp32") -> float:
    """Mean intersection over union of the two classes, over all pixels of the pages together, in [0, 1].

    test_config: PaddleSeg's is_slide, crop_size and stride, each (width, height).
    """
    counts = np.zeros((2, 2), np.int64)  # label, prediction
    model.eval()
    with paddle.no_grad(), paddle.amp.auto_cast(enable=precision == "fp16"):
        for item in tqdm((pages[i] for i in range(len(pages))), "validation", len(pages), unit="page"):
            prediction, _ = infer.inference(
                model, paddle.to_tensor(item["img"][None]), trans_info=item["trans_info"], **test_config
            )
            label, predicted = item["label"].ravel(), prediction.numpy().ravel()
            counted = label != pages.IGNORE_INDEX
            counts += np.bincount(2 * label[counted] + predicted[counted], minlength=4).reshape(2, 2)
    model.train()
    both = np.diag(counts)
    either = counts.sum(0) + counts.sum(1) - both
    return float(np.mean(both / np.maximum(either, 1)))


class Progress:
    """What a training has reached, kept in its folder: training.json, and best_model/ as PaddleSeg names it.

    scores: mean IoU of each checkpoint by step; best: the greatest of all runs; seconds: time spent training.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.best_model = folder / "best_model" / "model.pdparams"
        known = {}
        if (folder / "training.json").is_file():
            known = json.loads((folder / "training.json").read_text(encoding="utf-8"))
        self.scores: dict[int, float] = {int(step): score for step, score in known.get("scores", {}).items()}
        self.best: float = known.get("best", -1.0)
        self.seconds: float = known.get("seconds", 0.0)

    def add(self, iteration: int, score: float, model: paddle.nn.Layer) -> None:
        """Note a checkpoint's score, and keep the model if none before was better; rank 0 writes them."""
        if score > self.best:
            if ranks.is_first():
                with atomic_path(self.best_model) as temporary:
                    paddle.save(model.state_dict(), str(temporary))
            self.best = score
        self.scores[iteration] = score
        if ranks.is_first():  # last: a cut before this line has the checkpoint scored again
            facts = {"best": self.best, "seconds": round(self.seconds), "scores": self.scores}
            write_json(self.folder / "training.json", facts)
        log.info("step %d: mIoU %.4f, best %.4f", iteration, score, self.best)

    def forget_after(self, iteration: int) -> None:
        """Have the checkpoints after `iteration` scored again when they are reached again."""
        self.scores = {step: score for step, score in self.scores.items() if step <= iteration}


class LossLog:
    """Takes the place of PaddleSeg's loss computation, and writes what it returns to VisualDL.

    PaddleSeg calls a model's `loss_computation` if it has one. Its own logging indexes each loss, which works
    on tensors of shape [1] only; Paddle's losses have had shape [] since 2.5.
    """

    def __init__(self, folder: Path, iteration: int, every: int):
        from visualdl import LogWriter

        self.writer = LogWriter(logdir=str(folder)) if ranks.is_first() else None
        self.iteration, self.every = iteration, every

    def __call__(self, logits: list[paddle.Tensor], loss: dict, data: dict) -> list[paddle.Tensor]:
        """The losses of a step, each of shape [1]. loss: PaddleSeg's {types, coef}; data: its batch."""
        values = loss_computation(logits, data["label"].astype("int64"), None, loss)
        self.iteration += 1
        if self.writer and self.iteration % self.every == 0:
            for number, value in enumerate(values):
                self.writer.add_scalar(f"train/loss_{number}", float(value), self.iteration)
        return [value.reshape([1]) for value in values]

    def add_score(self, iteration: int, score: float) -> None:
        if self.writer:
            self.writer.add_scalar("validation/mIoU", score, iteration)

    def __enter__(self) -> LossLog:
        return self

    def __exit__(self, *_: object) -> None:
        if self.writer:
            self.writer.close()


def newest(folder: Path, model: paddle.nn.Layer) -> Path | None:
    """The checkpoint of the most steps whose weights and optimizer state both load; None if there is none.

    Raises ConfigError if its weights are another network's.
    """
    for path in _checkpoints(folder):
        try:
            _check(path, model)
            return path
        except WeightsError as error:
            log.warning("%s Trying the one before.", error)
    return None


def chosen(resume: str, model: paddle.nn.Layer, progress: Progress) -> Path:
    """The checkpoint a user named, checked; later ones are renamed, lest they are taken for this line's.

    Raises InputError, WeightsError, ConfigError.
    """
    path = Path(resume)
    if path.parent.resolve() != progress.folder.resolve() or path not in _checkpoints(path.parent):
        raise InputError(f"{path} is no checkpoint of this training; those are {progress.folder}/iter_N.")
    _check(path, model)
    progress.forget_after(_step(path))
    for later in _checkpoints(path.parent):
        if _step(later) > _step(path) and ranks.is_first():
            aside = later.with_name(f"{later.name}.aside")
            shutil.rmtree(aside, ignore_errors=True)
            later.rename(aside)
    return path


def export(progress: Progress, pipeline: Pipeline, path: Path, roots: Sequence[Path]) -> None:
    """Write the best weights as inference loads them, with the facts of their training."""
    network = pipeline.segment.network
    layer = models.build(network)
    layer.set_state_dict(paddle.load(str(progress.best_model)))
    weights.save(
        layer,
        path,
        type=network.type,
        args=network.args,
        sources=[root.name for root in roots],
        steps=max(progress.scores),
        hours=round(progress.seconds / 3600, 2),
        scores={"miou": round(progress.best, 4)},
    )


def _refuse_divergence(model: paddle.nn.Layer, checkpoint: Path) -> None:
    """Delete a checkpoint whose weights are not finite, and raise DehwError: they would be scored all the same."""
    if all(bool(paddle.isfinite(value).all()) for value in model.parameters()):
        return
    shutil.rmtree(checkpoint)
    raise DehwError(
        f"training has diverged before step {_step(checkpoint)}: the weights are no numbers any more. The other "
        f"checkpoints in {checkpoint.parent} are from before; lower lr_scheduler.learning_rate and run it again."
    )


def _share_one_wrapper() -> None:
    """Give every run of PaddleSeg's trainer the wrapper that the first one put around the model.

    Where several processes train it wraps the model at the start of each run, and Paddle refuses to train a model
    with two wrappers.
    """
    fleet = paddle.distributed.fleet
    if ranks.count() > 1 and not hasattr(fleet.distributed_model, "cache_info"):
        fleet.distributed_model = functools.lru_cache(maxsize=1)(fleet.distributed_model)


def _fetch_pretrained(model: dict) -> None:
    """Put the path of the downloaded ImageNet weights in place of their URL. Raises WeightsError."""
    backbone = model.get("backbone", {})
    url = backbone.get("pretrained")
    if not url or "://" not in url:
        return
    try:
        path = Path(download_pretrained_model(url))
        if not path.is_file():
            raise OSError(f"{path} is not in what came")
    except Exception as error:  # whatever requests, tarfile and the file system raise
        raise WeightsError(
            f"the backbone's ImageNet weights cannot be fetched from {url}: {error}. Download them elsewhere "
            "and name the file by --opts model.backbone.pretrained=FILE.pdparams, or train without them by "
            "--opts model.backbone.pretrained=null, which takes more steps to the same score."
        ) from error
    backbone["pretrained"] = str(path)


def _checkpoints(folder: Path) -> list[Path]:
    """The checkpoint folders, most steps first."""
    found = [path for path in folder.glob("iter_*") if path.name.removeprefix("iter_").isdecimal()]
    return sorted(found, key=_step, reverse=True)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("iter_"))


def _check(checkpoint: Path, model: paddle.nn.Layer) -> None:
    """Raise WeightsError if a checkpoint is cut short, ConfigError if it is another network's."""
    try:
        state = paddle.load(str(checkpoint / "model.pdparams"))
        paddle.load(str(checkpoint / "model.pdopt"))
    except Exception as error:  # a cut file fails in the file system, in pickle or in Paddle
        raise WeightsError(f"checkpoint {checkpoint} does not load: {error}.") from error
    if _shapes(state) != _shapes(model.state_dict()):
        raise ConfigError(
            f"checkpoint {checkpoint} holds another network than the configuration describes; restore the "
            "configuration, or choose another --output."
        )


def _shapes(state: dict) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in state.items()}
