"""What PaddleSeg's trainer leaves in a segmenter's folder, iter_N, and what it forgets: scores, the best, the time."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path
from typing import Any

import cv2  # noqa: F401  before Paddle: Paddle 2.6 crashes when OpenCV is imported after it
import paddle

from dehw.engine import weights
from dehw.errors import ConfigError, DehwError, InputError, WeightsError
from dehw.files.atomic import atomic_path, read_json, write_json
from dehw.train import ranks

log = logging.getLogger(__name__)


class SegRecord:
    """What a training has reached, kept in its folder: training.json, and best_model/ as PaddleSeg names it.

    scores: mean IoU of each checkpoint by step; best: the greatest of all runs; seconds: time spent training.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.best_model = folder / "best_model" / "model.pdparams"
        path, remedy = folder / "training.json", "remove it to have the checkpoints scored again"
        self.scores, self.best, self.seconds = read_json(path, _reached, remedy)

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

    def forget_after(self, iteration: int) -> None:
        """Have the checkpoints after `iteration` scored again when they are reached again."""
        self.scores = {step: score for step, score in self.scores.items() if step <= iteration}


def _reached(known: dict[str, Any]) -> tuple[dict[int, float], float, float]:
    scores = {int(step): float(score) for step, score in known.get("scores", {}).items()}
    return scores, float(known.get("best", -1.0)), float(known.get("seconds", 0.0))


def newest(folder: Path, model: paddle.nn.Layer) -> Path | None:
    """The checkpoint of the most steps whose weights and optimizer state both load; None if there is none.

    Raises ConfigError if its weights are another network's.
    """
    for path in checkpoints(folder):
        try:
            _check(path, model)
            return path
        except WeightsError as error:
            log.warning("%s Trying the one before.", error)
    return None


def chosen(resume: str, model: paddle.nn.Layer, record: SegRecord) -> Path:
    """The checkpoint a user named, checked; later ones are renamed, lest they are taken for this line's.

    Raises InputError, WeightsError, ConfigError.
    """
    path = Path(resume)
    if path.parent.resolve() != record.folder.resolve() or path not in checkpoints(path.parent):
        raise InputError(f"{path} is no checkpoint of this training; those are {record.folder}/iter_N.")
    _check(path, model)
    record.forget_after(_step(path))
    for later in checkpoints(path.parent):
        if _step(later) > _step(path) and ranks.is_first():
            aside = later.with_name(f"{later.name}.aside")
            shutil.rmtree(aside, ignore_errors=True)
            later.rename(aside)
    return path


def refuse_divergence(model: paddle.nn.Layer, checkpoint: Path) -> None:
    """Delete a checkpoint whose weights are not finite, and raise DehwError: they would be scored all the same."""
    if all(bool(paddle.isfinite(value).all()) for value in model.parameters()):
        return
    shutil.rmtree(checkpoint)
    raise DehwError(
        f"training has diverged before step {_step(checkpoint)}: the weights are no numbers any more. The other "
        f"checkpoints in {checkpoint.parent} are from before; lower lr_scheduler.learning_rate and run it again."
    )


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoint folders, most steps first."""
    found = [path for path in folder.glob("iter_*") if path.name.removeprefix("iter_").isdecimal()]
    return sorted(found, key=_step, reverse=True)


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("iter_"))


def _check(checkpoint: Path, model: paddle.nn.Layer) -> None:
    """Raise WeightsError if a checkpoint is cut short, ConfigError if it is another network's."""
    try:
        state = weights.read(checkpoint / "model.pdparams")
        weights.read(checkpoint / "model.pdopt")
    except WeightsError as error:
        raise WeightsError(f"checkpoint {checkpoint} does not load: {error}") from error
    if shapes(state) != shapes(model.state_dict()):
        raise ConfigError(
            f"checkpoint {checkpoint} holds another network than the configuration describes; restore the "
            "configuration, or choose another --output."
        )


def shapes(state: dict) -> dict[str, tuple[int, ...]]:
    """The shape of each of a network's arrays, by which another network's are told."""
    return {name: tuple(tensor.shape) for name, tensor in state.items()}
