"""SegFormer, trained by PaddleSeg on our crops.

paddleseg.core.train runs from one checkpoint to the next; between its runs the validation pages are scored
and the best weights kept. Three things PaddleSeg 2.8 leaves to be settled here: it forgets the best score on
resume, a checkpoint of its may be cut short, and its logging of losses and its evaluation fail on Paddle 3.
"""

from __future__ import annotations

import contextlib
import functools
import math
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2  # noqa: F401  before Paddle: Paddle 2.6 crashes when OpenCV is imported after it
import numpy as np
import paddle
from paddleseg.core import infer
from paddleseg.core.train import loss_computation
from paddleseg.core.train import train as run_paddleseg
from paddleseg.cvlibs import Config, SegBuilder
from paddleseg.utils import resume as load_checkpoint

from dehw import models
from dehw.config import NetworkConfig, Pipeline, load_pipeline, validate
from dehw.data.crops import CropSettings, decode, prepare_workers
from dehw.data.pairs import find_pairs
from dehw.engine import weights
from dehw.engine.paddle import pick_device
from dehw.errors import ConfigError
from dehw.files import panels
from dehw.files.images import write_image
from dehw.train import backbone, banks, losses, ranks, scales, steps  # noqa: F401  losses registers ours with PaddleSeg
from dehw.train.folders import PREVIEW, pipeline_folder, record_finished, training_data, weights_folder
from dehw.train.segconfig import RunSettings, read_config
from dehw.train.segdata import DehwCrops, DehwPages
from dehw.train.segrecord import SegRecord, checkpoints, chosen, newest, refuse_divergence, shapes
from dehw.train.status import StatusLine
from dehw.train.validate import PICTURE_WIDTH, PICTURES

PACE = ("iters", "save_interval", "log_iters", "keep", "num_workers")  # what may change on the way
LOG = "log.txt"  # what PaddleSeg prints


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
    """Train a pipeline's segmenter, going on from what OUTPUT/PIPELINE/seg holds; returns its weights file.

    data: folders with datasets instead of the configuration's. resume: a checkpoint folder (iter_N), or the
    newest. masks: the folder of masks that find_pairs takes. label: what the status line calls it, for a chain of
    trainings, which records itself that it is finished. What PaddleSeg prints goes to log.txt in that folder. Raises
    ConfigError, InputError, WeightsError, DeviceError, and DehwError when training diverges.
    """
    config, run = read_config(config_path, opts)
    pipeline = load_pipeline(run.pipeline)
    network = segmenter(run, pipeline)
    paddle.set_device(pick_device(device))
    ranks.connect()
    with ranks.first_goes_ahead():
        roots = training_data(data or run.data, "seg")
    prepare_workers(run.num_workers)
    with ranks.first_goes_ahead():
        config.dic["train_dataset"]["recipes"] = asdict(wants(config_path, opts, roots, output).met("cpu"))
    _share_one_wrapper()
    folder, recipe = step_folder(network, output, pipeline), made_of(config_path, opts, roots, output)
    status = StatusLine(label or network.weights, ranks.is_first())
    # The optimizer finds its state by names, counted from 0.
    with backbone.arrays_alone(), _printing_to(folder / LOG), paddle.utils.unique_name.guard():
        builder = build(config, run, pipeline, roots, masks)
        for dataset in (builder.train_dataset, builder.val_dataset):
            dataset.pairs = scales.scaled(dataset.pairs, pipeline, folder.parent, pick_device(device), status)
        if ranks.is_first():
            steps.begin(folder, recipe)
        record = _train(builder, run, folder, resume, status)
    path = weights_folder(output, pipeline) / network.weights
    if ranks.is_first():
        export(record, network, path, roots)
        steps.finish(folder, recipe)
        missing = [] if label else record_finished(output, pipeline, run.pipeline)
        print(f"segmenter: {path}" + (f"; still to train: {', '.join(missing)}" if missing else ""))
    return path


def step_folder(network: NetworkConfig, output: str | Path, pipeline: Pipeline) -> Path:
    """Where a segmenter's training keeps its files."""
    return pipeline_folder(output, pipeline) / "seg"


def segmenter(run: RunSettings, pipeline: Pipeline) -> NetworkConfig:
    """The network that is trained. Raises ConfigError."""
    if pipeline.segment is None:
        raise ConfigError(f"pipeline {run.pipeline} has no segmenter to train.")
    return pipeline.segment.network


def made_of(config_path: str, opts: Sequence[str], roots: Sequence[Path], output: str | Path) -> dict[str, Any]:
    """What the training of a segmenter is made of, see steps.made_of. Raises ConfigError, InputError."""
    _, run = read_config(config_path, opts)
    pipeline = load_pipeline(run.pipeline)
    settings = asdict(run) | {"line_height": pipeline.line_height}
    settings["train_dataset"]["recipes"] = banks.recorded(settings["train_dataset"].get("recipes") or {})
    for name in ("pipeline", "data"):
        del settings[name]
    pace = {name: settings.pop(name) for name in PACE}
    return steps.made_of(segmenter(run, pipeline), find_pairs(roots, labelled=True), settings, pace, {})


def wants(config_path: str, opts: Sequence[str], roots: Sequence[Path], output: str | Path) -> banks.Wants:
    """What the training of a segmenter wants cut for its crops. Arguments as train's. Raises ConfigError."""
    _, run = read_config(config_path, opts)
    recipes = validate({"recipes": run.train_dataset.get("recipes") or {}}, CropSettings, "train_dataset").recipes
    return banks.Wants(recipes, load_pipeline(run.pipeline), roots, Path(output), run.val_count, False)


@contextlib.contextmanager
def _printing_to(path: Path) -> Iterator[None]:
    """Have what is printed go to the end of a file. PaddleSeg prints UTF-8 as if it were Latin-1."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a", encoding="latin-1", errors="replace") as file, contextlib.redirect_stdout(file):
        yield


def _train(builder: SegBuilder, run: RunSettings, folder: Path, resume: str | None, status: StatusLine) -> SegRecord:
    record = SegRecord(folder)
    iters = builder.config.iters
    checkpoint = chosen(resume, builder.model, record) if resume else newest(folder, builder.model)
    iteration = load_checkpoint(builder.model, builder.optimizer, str(checkpoint)) if checkpoint else 0
    ranks.wait()  # until all have read what rank 0 is about to change
    status.start("", iters, iteration)
    with LossLog(folder / "log" / f"from_{iteration:07d}", iteration, run.log_iters, status) as losses_log:
        builder.model.loss_computation = losses_log
        while True:
            if iteration and iteration not in record.scores:
                _validate(builder, run, record, losses_log, iteration)
            if iteration >= iters:
                break
            started = time.monotonic()
            checkpoint, iteration = advance(builder, run, folder, checkpoint, iteration)
            record.seconds += time.monotonic() - started
    status.close()
    return record


def _validate(builder: SegBuilder, run: RunSettings, record: SegRecord, log: LossLog, iteration: int) -> None:
    """Score the checkpoint of `iteration`: rank 0 does, the others wait and are told."""
    found = math.nan
    if ranks.is_first():
        preview = record.folder.parent / PREVIEW
        parts = builder.model, builder.val_dataset, builder.config.test_config, run.precision
        found = evaluate(*parts, log.status, preview)
    score = ranks.agreed(found) or 0.0
    record.add(iteration, score, builder.model)
    log.status.say(f"step {iteration}: mIoU {score:.4f}, best {record.best:.4f}")
    log.add_score(iteration, score)


def build(
    config: Config, run: RunSettings, pipeline: Pipeline, roots: Sequence[Path], masks: str | None = None
) -> SegBuilder:
    """Build what the configuration describes, on the datasets `roots`, whose pages are taken as they are."""
    network = segmenter(run, pipeline)
    for name in ("train_dataset", "val_dataset"):
        shared = {"masks": masks, "val_count": run.val_count}
        config.dic[name] = {**config.dic[name], "dataset_root": list(map(str, roots)), **shared}
    config.dic["train_dataset"] |= {"seed": run.seed, "line_height": pipeline.line_height}
    with ranks.first_goes_ahead():
        backbone.settle(config.dic["model"])
    paddle.seed(run.seed)
    builder = SegBuilder(config)
    try:
        parts = builder.model, builder.optimizer, builder.loss, builder.train_dataset, builder.val_dataset
    except (RuntimeError, TypeError, ValueError, AttributeError, LookupError) as error:  # as PaddleSeg meets the values
        raise ConfigError(f"the configuration cannot be built ({type(error).__name__}): {error}") from error
    if not isinstance(parts[-2], DehwCrops) or not isinstance(parts[-1], DehwPages):
        raise ConfigError("train_dataset must be of type DehwCrops, and val_dataset of type DehwPages.")
    expected = models.build(network)
    if shapes(expected.state_dict()) != shapes(builder.model.state_dict()):
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
            refuse_divergence(builder.model, folder / f"iter_{target}")
            for old in checkpoints(folder)[run.keep :]:
                shutil.rmtree(old)
    return folder / f"iter_{target}", target


def evaluate(
    model: paddle.nn.Layer,
    pages: DehwPages,
    test_config: dict,
    precision: str = "fp32",
    status: StatusLine | None = None,
    preview: Path | None = None,
) -> float:
    """Mean intersection over union of the two classes, over all pixels of the pages together, in [0, 1].

    test_config: PaddleSeg's is_slide, crop_size and stride, each (width, height). preview: where to put a sheet of the
    first pages, what was found on them, and their ground truth.
    """
    shown: list[np.ndarray] = []
    counts = np.zeros((2, 2), np.int64)  # label, prediction
    model.eval()
    with paddle.no_grad(), paddle.amp.auto_cast(enable=precision == "fp16"):
        for number in range(len(pages)):
            if status:
                status.show(f"validating page {number + 1} of {len(pages)}")
            item = pages[number]
            prediction, _ = infer.inference(
                model, paddle.to_tensor(item["img"][None]), trans_info=item["trans_info"], **test_config
            )
            label, predicted = item["label"].ravel(), prediction.numpy().ravel()
            counted = label != pages.IGNORE_INDEX
            counts += np.bincount(2 * label[counted] + predicted[counted], minlength=4).reshape(2, 2)
            if preview and number < PICTURES:
                shown.append(_picture(pages, number, prediction.numpy().squeeze()))
    model.train()
    if preview:
        write_image(preview, panels.contact_sheet(shown, width=PICTURE_WIDTH))
    both = np.diag(counts)
    either = counts.sum(0) + counts.sum(1) - both
    return float(np.mean(both / np.maximum(either, 1)))


def _picture(pages: DehwPages, number: int, found: np.ndarray) -> np.ndarray:
    """A validation page, what was found on it, (H, W) 0 or 1 at least as large as the page, and its ground truth."""
    page = decode(pages.pairs[number])
    mask = found[: page.image.shape[0], : page.image.shape[1]] > 0
    return panels.contact_sheet([panels.side_by_side(page.image, page.gt, mask)], width=PICTURE_WIDTH)


class LossLog:
    """Takes the place of PaddleSeg's loss computation, and writes what it returns to VisualDL.

    PaddleSeg calls a model's `loss_computation` if it has one. Its own logging indexes each loss, which works
    on tensors of shape [1] only; Paddle's losses have had shape [] since 2.5.
    """

    def __init__(self, folder: Path, iteration: int, every: int, status: StatusLine) -> None:
        from visualdl import LogWriter

        self.writer = LogWriter(logdir=str(folder)) if ranks.is_first() else None
        self.iteration, self.every, self.status = iteration, every, status
        self.loss: float | None = None

    def __call__(self, logits: list[paddle.Tensor], loss: dict, data: dict) -> list[paddle.Tensor]:
        """The losses of a step, each of shape [1]. loss: PaddleSeg's {types, coef}; data: its batch."""
        values = loss_computation(logits, data["label"].astype("int64"), None, loss)
        self.iteration += 1
        if self.writer and self.iteration % self.every == 0:
            self.loss = float(sum(values))
            for number, value in enumerate(values):
                self.writer.add_scalar(f"train/loss_{number}", float(value), self.iteration)
        self.status.step(self.iteration, self.loss)
        return [value.reshape([1]) for value in values]

    def add_score(self, iteration: int, score: float) -> None:
        if self.writer:
            self.writer.add_scalar("validation/mIoU", score, iteration)

    def __enter__(self) -> LossLog:
        return self

    def __exit__(self, *_: object) -> None:
        if self.writer:
            self.writer.close()


def export(record: SegRecord, network: NetworkConfig, path: Path, roots: Sequence[Path]) -> None:
    """Write the best weights as inference loads them, with the facts of their training."""
    layer = models.build(network)
    weights.assign(layer, weights.read(record.best_model), record.best_model)
    weights.save(
        layer,
        path,
        type=network.type,
        args=network.args,
        sources=[root.name for root in roots],
        steps=max(record.scores),
        hours=round(record.seconds / 3600, 2),
        scores={"miou": round(record.best, 4)},
    )


def _share_one_wrapper() -> None:
    """Give every run of PaddleSeg's trainer the wrapper that the first one put around the model.

    Where several processes train it wraps the model at the start of each run, and Paddle refuses to train a model
    with two wrappers.
    """
    fleet = paddle.distributed.fleet
    if ranks.count() > 1 and not hasattr(fleet.distributed_model, "cache_info"):
        fleet.distributed_model = functools.lru_cache(maxsize=1)(fleet.distributed_model)
