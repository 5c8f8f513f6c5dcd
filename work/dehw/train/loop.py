"""The training loop of a generator, all of it in one place: read Training.run first.

Everything a step does depends on the seed, the step and the checkpoint alone, so a training that was cut goes
on to the same numbers as one that was not.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import paddle
from tqdm import tqdm
from visualdl import LogWriter

from dehw import checkpoint, weights
from dehw.errors import ConfigError, DehwError

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
class Training:
    """A network, how it learns, and the folder that keeps its checkpoints.

    loss: (the network's outputs, gt, mask) -> scalar. batches_from: the batches from a step on. validate: the
    score after a step, more is better, nan is never kept. config: plain data, kept in the checkpoints; going
    on with another one is refused.
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
    writer: LogWriter
    seed: int = 0
    amp: bool = False

    def __post_init__(self) -> None:
        self.scaler = paddle.amp.GradScaler(enable=self.amp, init_loss_scaling=1024)
        self.best: float | None = None

    def run(self, floor: float | None = None, resume: Path | None = None) -> float | None:
        """Train to the last step, going on from the newest checkpoint, and leave the best one in folder/BEST.

        floor: a score that the best has to beat. resume: a checkpoint instead of the newest. Returns the best
        score, floor if none was better. Raises ConfigError, WeightsError, DehwError if the loss is no number.
        """
        step = self._restore(floor, resume)
        recent: list[paddle.Tensor] = []
        self.model.train()
        with tqdm(total=self.pace.steps, initial=step, desc=self.folder.name, unit="step") as bar:
            for image, gt, mask in self.batches_from(step):
                paddle.seed(self.seed + step)  # for dropout and its like
                with paddle.amp.auto_cast(enable=self.amp):
                    loss = self.loss(self.model(image), gt, mask)
                self.scaler.scale(loss).backward()
                self.scaler.step(self.optimizer)
                self.scaler.update()
                self.optimizer.clear_grad()
                self.scheduler.step()

                step += 1
                bar.update()
                recent.append(loss.detach())
                if step % self.pace.log_every == 0:
                    bar.set_postfix(loss=f"{self._log_loss(step, recent):.4f}")
                    recent = []
                validated = step % self.pace.validate_every == 0 or step == self.pace.steps
                if validated:
                    self._validate(step)
                if validated or step % self.pace.checkpoint_every == 0:
                    self._save(self.folder / f"step_{step:07d}.pdckpt", step)
                    self._prune()
        return self.best

    def _restore(self, floor: float | None, resume: Path | None) -> int:
        """Put everything back where a checkpoint left it; returns the steps done."""
        path = resume or checkpoint.newest(self.folder)
        self.best = floor
        if path is None:
            return 0
        state = checkpoint.load(path, **self._parts())
        _refuse_changes(path, state.config, self.config)
        # a cut may have left the best one newer than the newest checkpoint
        kept = self.folder / BEST
        scores = floor, state.best, weights.read(kept)["best"] if kept.is_file() else None
        self.best = max((score for score in scores if score is not None), default=None)
        _log.info("going on from %s", path)
        return state.step

    def _parts(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "optimizer": self.optimizer,
            "scheduler": self.scheduler,
            "scaler": self.scaler,
        }

    def _log_loss(self, step: int, recent: Sequence[paddle.Tensor]) -> float:
        mean = float(paddle.stack(recent).mean())
        if not math.isfinite(mean) and not self.amp:  # under amp the scaler leaves such steps out
            raise DehwError(
                f"the loss is {mean} at step {step}. The checkpoints in {self.folder} are from before; lower "
                "the learning rate and train to another --output."
            )
        self.writer.add_scalar("train/loss", mean, step)
        self.writer.add_scalar("train/learning_rate", self.optimizer.get_lr(), step)
        return mean

    def _validate(self, step: int) -> None:
        self.model.eval()
        score = self.validate(step)
        self.model.train()
        if score > (-math.inf if self.best is None else self.best):
            self.best = score
            self._save(self.folder / BEST, step)

    def _save(self, path: Path, step: int) -> None:
        checkpoint.save(path, **self._parts(), config=self.config, step=step, best=self.best)

    def _prune(self) -> None:
        for old in sorted(self.folder.glob("step_*.pdckpt"))[: -self.pace.keep]:
            old.unlink()


def _refuse_changes(path: Path, then: dict[str, Any], now: dict[str, Any]) -> None:
    changed = sorted(key for key in then.keys() | now.keys() if then.get(key) != now.get(key))
    if changed:
        told = "; ".join(f"{key} was {then.get(key)} and is {now.get(key)}" for key in changed)
        raise ConfigError(f"{path} belongs to another configuration: {told}. Restore it, or choose another --output.")
