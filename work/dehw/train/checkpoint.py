"""All that a training needs to go on as if it had never stopped, in one file that is whole or not there."""

from __future__ import annotations

import logging
import random
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from dehw.engine import weights
from dehw.errors import WeightsError
from dehw.files.atomic import atomic_path

SUFFIX = ".pdckpt"
PARTS: dict[str, Any] = {  # of a checkpoint, and what each may be
    "model": dict,
    "optimizer": dict,
    "scheduler": (dict, type(None)),
    "scaler": (dict, type(None)),
    "config": dict,
    "step": int,
    "best": (float, int, type(None)),
    "rng": dict,
    "random": dict,
}

_log = logging.getLogger(__name__)


@dataclass
class Checkpoint:
    """What a training knows of itself: steps done, best score, its config, its own random generators."""

    step: int
    best: float | None
    config: dict[str, Any]
    rng: dict[str, Any]


def save(
    path: str | Path,
    *,
    model: paddle.nn.Layer,
    optimizer: paddle.optimizer.Optimizer,
    scheduler: paddle.optimizer.lr.LRScheduler | None = None,
    scaler: paddle.amp.GradScaler | None = None,
    discriminator: Mapping[str, Any] | None = None,
    config: dict[str, Any],
    step: int,
    best: float | None = None,
    rng: dict[str, Any] | None = None,
) -> None:
    """Write a training's state to `path`, best named *.pdckpt, through a temporary file and a rename.

    discriminator: where the model learns against one, that one's own model, optimizer, scheduler and scaler.
    The generators of Python, numpy and Paddle are saved too; `rng` is for those the caller owns (plain data).
    Paddle 2.6 tells of its CPU generator the seed alone, so there dropout on a CPU begins its sequence anew.
    """
    state = {
        **_learner(model, optimizer, scheduler, scaler),
        "discriminator": None if discriminator is None else _learner(**discriminator),
        "config": config,
        "step": step,
        "best": best,
        "rng": rng or {},
        "random": _random_state(),
    }
    with atomic_path(path) as temporary:
        paddle.save(state, str(temporary))


def load(
    path: str | Path,
    *,
    model: paddle.nn.Layer,
    optimizer: paddle.optimizer.Optimizer | None = None,
    scheduler: paddle.optimizer.lr.LRScheduler | None = None,
    scaler: paddle.amp.GradScaler | None = None,
    discriminator: Mapping[str, Any] | None = None,
) -> Checkpoint:
    """Put a training back where `save` left it: the objects given and, with an optimizer, all generators.

    Raises WeightsError, and changes nothing, if the file is damaged, is another network's, or lacks a part.
    """
    state = read(path)
    for name, part in (("scheduler", scheduler), ("scaler", scaler), ("discriminator", discriminator)):
        if part is not None and state.get(name) is None:  # older files lack the last key
            raise WeightsError(f"{path} was written without a {name}; resume with the config it was trained with.")
    try:
        if discriminator is None:
            weights.assign(model, state["model"], path)
        else:
            _assign_both(model, discriminator["model"], state, path)
            _go_on(state["discriminator"], **discriminator)
        _go_on(state, model, optimizer, scheduler, scaler)
        if optimizer is not None:
            _restore_random_state(state["random"])
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise WeightsError(f"{path}: damaged ({type(error).__name__}: {error}); take the checkpoint before.") from error
    return Checkpoint(state["step"], state["best"], state["config"], state["rng"])


def newest(folder: str | Path) -> Path | None:
    """The checkpoint of a folder with the highest number in its name that can be read, None if there is none.

    Broken ones, such as a full disk leaves, are named in a warning and passed over.
    """
    found = [path for path in Path(folder).glob(f"*{SUFFIX}") if not path.name.startswith(".")]  # half written
    for path in sorted(found, key=_age, reverse=True):
        try:
            read(path)
        except WeightsError as error:
            _log.warning("passing over a broken checkpoint: %s", error)
        else:
            return path
    return None


def _age(path: Path) -> tuple[int, float]:
    numbers = re.findall(r"\d+", path.stem)
    return (int(numbers[-1]) if numbers else -1), path.stat().st_mtime


def read(path: str | Path) -> dict[str, Any]:
    """All that a checkpoint holds, its parts by name. Raises WeightsError."""
    state = weights.read(path)
    missing = set(PARTS) - set(state)
    if missing:
        raise WeightsError(f"{path} is not a checkpoint (no {', '.join(sorted(missing))}); name a {SUFFIX} file.")
    for name, kinds in PARTS.items():
        if not isinstance(state[name], kinds):
            raise WeightsError(f"{path}: its {name} is a {type(state[name]).__name__}; take another {SUFFIX} file.")
    return state


def _learner(
    model: paddle.nn.Layer,
    optimizer: paddle.optimizer.Optimizer,
    scheduler: paddle.optimizer.lr.LRScheduler | None,
    scaler: paddle.amp.GradScaler | None,
) -> dict[str, Any]:
    """The state of a network and of how it learns."""
    return {
        "model": _arrays(model.state_dict()),
        "optimizer": _neutral(_arrays(optimizer.state_dict()), model),
        "scheduler": None if scheduler is None else scheduler.state_dict(),
        "scaler": None if scaler is None else _arrays(scaler.state_dict()),
    }


def _go_on(
    state: dict[str, Any],
    model: paddle.nn.Layer,
    optimizer: paddle.optimizer.Optimizer | None,
    scheduler: paddle.optimizer.lr.LRScheduler | None,
    scaler: paddle.amp.GradScaler | None,
) -> None:
    """Put back all of `_learner`'s state but the network's."""
    if scheduler is not None:
        scheduler.set_state_dict(state["scheduler"])
    if scaler is not None and state["scaler"]:  # a scaler that is switched off has no state
        scaler.load_state_dict(state["scaler"])
    if optimizer is not None:
        optimizer.set_state_dict(_named(state["optimizer"], model, optimizer))


def _assign_both(
    model: paddle.nn.Layer, discriminator: paddle.nn.Layer, state: dict[str, Any], path: str | Path
) -> None:
    """Fill both networks or, if either does not fit, none."""
    both = paddle.nn.LayerDict([("model", model), ("discriminator", discriminator)])
    arrays = {"model": state["model"], "discriminator": state["discriminator"]["model"]}
    joined = {f"{name}.{key}": value for name, each in arrays.items() for key, value in each.items()}
    weights.assign(both, joined, path)


def _arrays(state: dict[str, Any]) -> dict[str, Any]:
    return {key: value.numpy() if isinstance(value, paddle.Tensor) else value for key, value in state.items()}


def _neutral(state: dict[str, Any], model: paddle.nn.Layer) -> dict[str, Any]:
    """Optimizer state under the model's own names: 'conv2d_7.w_0_moment1_0' becomes 'conv1.weight/moment1'.

    Paddle numbers layers as a process builds them, so its names fit another process only by luck.
    """
    own = {parameter.name: key for key, parameter in model.named_parameters()}
    neutral = {}
    for name, value in state.items():
        prefix = next((head for head in _heads(name) if head in own), None)
        if prefix is None:
            neutral[name] = value
        else:
            neutral[f"{own[prefix]}/{re.sub('_[0-9]+$', '', name[len(prefix) + 1 :])}"] = value
    return neutral


def _heads(name: str) -> list[str]:
    """'a_b_c' -> ['a_b', 'a']."""
    parts = name.split("_")
    return ["_".join(parts[:end]) for end in range(len(parts) - 1, 0, -1)]


def _named(neutral: dict[str, Any], model: paddle.nn.Layer, optimizer: paddle.optimizer.Optimizer) -> dict[str, Any]:
    """The inverse of `_neutral`, with the names this process gives the same parameters."""
    own = {key: parameter.name for key, parameter in model.named_parameters()}
    # an optimizer that has stepped knows its names; a fresh one will number them 0
    known = {re.sub("_[0-9]+$", "", name): name for name in optimizer.state_dict()}
    named = {}
    for key, value in neutral.items():
        parameter, slash, kind = key.partition("/")
        name = f"{own[parameter]}_{kind}" if slash else key
        named[known.get(name, f"{name}_0") if slash else name] = value
    return named


def _random_state() -> dict[str, Any]:
    return {
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "device": paddle.device.get_device(),
        "paddle": [state.__getstate__() for state in paddle.get_rng_state()],  # as numbers: a class would not be read
    }


def _restore_random_state(state: dict[str, Any]) -> None:
    random.setstate(state["python"])
    np.random.set_state(state["numpy"])
    if state["device"] == paddle.device.get_device():  # the generator of another device means nothing here
        paddle.set_rng_state([_generator(each) for each in state["paddle"]])


def _generator(state: tuple) -> Any:
    """A generator's state as Paddle takes it."""
    kind: Any = type(paddle.get_rng_state()[0])
    made = kind.__new__(kind)
    made.__setstate__(state)
    return made
