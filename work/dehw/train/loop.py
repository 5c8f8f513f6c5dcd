"""The training loop of a generator, with or without an adversary, all in one place: read Training.run first.

Everything a step does depends on the seed, the step and the checkpoint alone, so a training that was cut goes
on to the same numbers as one that was not.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2  # noqa: F401  before Paddle: Paddle 2.6 crashes when OpenCV is imported after it
import numpy as np
import paddle
from visualdl import LogWriter

from dehw.errors import ConfigError, DehwError, WeightsError
from dehw.train import checkpoint, losses, ranks
from dehw.train.status import StatusLine

BEST = "best.pdckpt"

Batch = Sequence[paddle.Tensor]  # image, gt (N, 3, S, S) and mask (N, 1, S, S), float32 in [0, 1]

_log = logging.getLogger(__name__)


@dataclass
class Pace:
    """How long a training runs and how often it does what, in steps; `keep` of its checkpoints stay."""

    steps: int
    log_every: int = 50
    checkpoint_every: int = 1000
    validate_every: int = 5000
    keep: int = 2


@dataclass
class Adversary:
    """A discriminator, which learns to tell generated images from true ones, and how it does.

    discriminator: (image (N, 3, H, W), mask (N, 1, H, W)) -> judgements of any shape, higher for truer. judged:
    which images among the network's outputs it sees. weight: of its judgement in the network's loss.
    """

    discriminator: paddle.nn.Layer
    optimizer: paddle.optimizer.Optimizer
    scheduler: paddle.optimizer.lr.LRScheduler
    judged: Callable[[Any], Sequence[paddle.Tensor]]
    weight: float = 0.1
    amp: bool = False

    def __post_init__(self) -> None:
        self.scaler = paddle.amp.GradScaler(enable=self.amp, init_loss_scaling=1024)

    def loss(self, outputs: Any, mask: paddle.Tensor) -> paddle.Tensor:
        """What the network minimises, a scalar. Of the discriminator nothing is changed, by its backward neither."""
        with _frozen(self.discriminator):
            verdicts = [self.discriminator(image, mask) for image in self.judged(outputs)]
        return self.weight * sum(map(losses.hinge_generator, verdicts))

    def learn(self, outputs: Any, gt: paddle.Tensor, mask: paddle.Tensor) -> paddle.Tensor:
        """One step of the discriminator's own; returns its loss. No gradient reaches the network."""
        fakes = [image.detach() for image in self.judged(outputs)]
        with paddle.amp.auto_cast(enable=self.amp):
            real = self.discriminator(gt, mask)
            loss = sum(losses.hinge_discriminator(real, self.discriminator(fake, mask)) for fake in fakes)
        _descend(loss, self.discriminator, self.optimizer, self.scheduler, self.scaler)
        return loss.detach()

    def parts(self) -> dict[str, Any]:
        """What a checkpoint holds of it."""
        return {
            "model": self.discriminator,
            "optimizer": self.optimizer,
            "scheduler": self.scheduler,
            "scaler": self.scaler,
        }


@dataclass
class Training:
    """A network, how it learns, and the folder that keeps its checkpoints.

    loss: (the network's outputs, gt, mask) -> scalar. batches_from: the batches from a step on, this process's own.
    validate: the score after a step, more is better, nan is never kept. config: plain data, kept in the
    checkpoints; going on with another one is refused. writer: None writes no logs. sees_mask: the network is called
    (image, mask), not (image) alone. adversary: a discriminator that learns against it, step by step. status: says
    how far it is.
    """

    model: paddle.nn.Layer
    optimizer: paddle.optimizer.Optimizer
    scheduler: paddle.optimizer.lr.LRScheduler
    loss: Callable[[Any, paddle.Tensor, paddle.Tensor], paddle.Tensor]
    batches_from: Callable[[int], Iterable[Batch]]
    validate: Callable[[int], float]
    pace: Pace
    folder: Path
    config: dict[str, Any]
    writer: LogWriter | None
    seed: int = 0
    amp: bool = False
    sees_mask: bool = False
    adversary: Adversary | None = None
    status: StatusLine = field(default_factory=lambda: StatusLine("training", ranks.is_first()))

    def __post_init__(self) -> None:
        self.scaler = paddle.amp.GradScaler(enable=self.amp, init_loss_scaling=1024)
        self.best: float | None = None

    def run(self, floor: float | None = None, resume: Path | None = None) -> float | None:
        """Train to the last step, going on from the newest checkpoint, and leave the best one in folder/BEST.

        floor: a score that the best has to beat. resume: a checkpoint instead of the newest. Returns the best
        score, floor if none was better. Raises ConfigError, WeightsError, DehwError if the loss is no number.
        """
        step = self._restore(floor, resume)
        for layer in (self.model, self.adversary.discriminator) if self.adversary else (self.model,):
            ranks.share(layer)
        recent: list[dict[str, paddle.Tensor]] = []
        self.model.train()
        mean_loss = None
        self.status.start(self.folder.name, self.pace.steps, step)
        for image, gt, mask in self.batches_from(step):
            paddle.seed(self.seed + step)  # for dropout and its like
            with paddle.amp.auto_cast(enable=self.amp):
                outputs = self.model(image, mask) if self.sees_mask else self.model(image)
                loss = self.loss(outputs, gt, mask)
                if self.adversary:
                    loss = loss + self.adversary.loss(outputs, mask)
            _descend(loss, self.model, self.optimizer, self.scheduler, self.scaler)
            recent.append({"loss": loss.detach()})
            if self.adversary:
                recent[-1]["discriminator_loss"] = self.adversary.learn(outputs, gt, mask)

            step += 1
            validated = step % self.pace.validate_every == 0 or step == self.pace.steps
            kept = validated or step % self.pace.checkpoint_every == 0
            if kept or step % self.pace.log_every == 0:  # kept: only what a finite loss led to
                mean_loss = self._log_losses(step, recent)["loss"]
                recent = []
            self.status.step(step, mean_loss)
            if validated:
                self._validate(step)
            if kept and ranks.is_first():
                self._save(self.folder / _name(step), step)
                self._prune()
        self.status.close()
        return self.best

    def _restore(self, floor: float | None, resume: Path | None) -> int:
        """Put everything back where a checkpoint left it; returns the steps done."""
        with ranks.first_goes_ahead():
            for torn in self.folder.glob(f".*{checkpoint.SUFFIX}"):  # a temporary file that a cut left
                torn.unlink()
        path = resume or checkpoint.newest(self.folder)
        self.best = floor
        if path is None:
            return 0
        state = checkpoint.load(path, **self._parts())
        _refuse_changes(path, state.config, self.config)
        if resume and ranks.is_first():
            self._set_aside(state.step)
        scores = (score for score in (floor, self._kept_best()) if score is not None)
        self.best = max(scores, default=None)
        _log.info("going on from %s", path)
        return state.step

    def _kept_best(self) -> float | None:
        """The score of folder/BEST, which may be newer than the newest checkpoint; None if it does not load."""
        path = self.folder / BEST
        if not path.is_file():
            return None
        try:
            return checkpoint.read(path)["best"]
        except WeightsError as error:
            _log.warning("the best so far is lost: %s", error)
            return None

    def _set_aside(self, step: int) -> None:
        """Rename the checkpoints after `step`, lest _prune or the next start takes them for the newest."""
        for path in self.folder.glob("step_*.pdckpt"):
            if path.name > _name(step):
                path.replace(path.with_suffix(".aside"))

    def _parts(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "optimizer": self.optimizer,
            "scheduler": self.scheduler,
            "scaler": self.scaler,
            "discriminator": self.adversary.parts() if self.adversary else None,
        }

    def _log_losses(self, step: int, recent: Sequence[dict[str, paddle.Tensor]]) -> dict[str, float]:
        """Write the means of the recent losses, and the learning rate; returns the means."""
        means = {name: self._mean(step, name, [float(each[name]) for each in recent]) for name in recent[0]}
        if self.writer:
            for name, mean in means.items():
                self.writer.add_scalar(f"train/{name}", mean, step)
            self.writer.add_scalar("train/learning_rate", self.optimizer.get_lr(), step)
        return means

    def _mean(self, step: int, name: str, recent: Sequence[float]) -> float:
        """The mean of the losses of the last steps. Raises DehwError if one is no number; under amp, if all are."""
        values = np.array(recent)
        finite = np.isfinite(values)
        if not (finite.any() if self.amp else finite.all()):  # under amp the scaler leaves such a step out
            first = int(finite.argmin())
            raise DehwError(
                f"the {name} is {values[first]} at step {step - len(values) + first + 1}, training has diverged. The "
                f"checkpoints in {self.folder} are from before; lower the learning rate and train to another --output."
            )
        return float(values[finite].mean())

    def _validate(self, step: int) -> None:
        if ranks.is_first():
            self.model.eval()
            score = self.validate(step)
            self.model.train()
            if score > (-math.inf if self.best is None else self.best):
                self.best = score
                self._save(self.folder / BEST, step)
        self.best = ranks.agreed(self.best)

    def _save(self, path: Path, step: int) -> None:
        checkpoint.save(path, **self._parts(), config=self.config, step=step, best=self.best)

    def _prune(self) -> None:
        for old in sorted(self.folder.glob("step_*.pdckpt"))[: -self.pace.keep]:
            old.unlink()


def _name(step: int) -> str:
    return f"step_{step:07d}{checkpoint.SUFFIX}"


def _descend(
    loss: paddle.Tensor,
    layer: paddle.nn.Layer,
    optimizer: paddle.optimizer.Optimizer,
    scheduler: paddle.optimizer.lr.LRScheduler,
    scaler: paddle.amp.GradScaler,
) -> None:
    """One step of the layer's down the gradient of `loss`, and of the learning rate."""
    scaler.scale(loss).backward()
    ranks.average_gradients(layer)
    scaler.step(optimizer)
    scaler.update()
    optimizer.clear_grad()
    scheduler.step()


@contextlib.contextmanager
def _frozen(layer: paddle.nn.Layer) -> Iterator[None]:
    """No gradient into the layer's parameters from what is computed here, and no change of its buffers."""
    learnable = [parameter for parameter in layer.parameters() if not parameter.stop_gradient]
    layer.eval()
    for parameter in learnable:
        parameter.stop_gradient = True
    try:
        yield
    finally:
        layer.train()
        for parameter in learnable:
            parameter.stop_gradient = False


def _refuse_changes(path: Path, then: dict[str, Any], now: dict[str, Any]) -> None:
    changed = sorted(key for key in then.keys() | now.keys() if then.get(key) != now.get(key))
    if changed:
        told = "; ".join(f"{key} was {then.get(key)} and is {now.get(key)}" for key in changed)
        raise ConfigError(f"{path} belongs to another configuration: {told}. Restore it, or choose another --output.")
