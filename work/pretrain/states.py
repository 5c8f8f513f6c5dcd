"""One network's arrays under PyTorch's names and under Paddle's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from dehw.errors import WeightsError

RENAMED = {"running_mean": "_mean", "running_var": "_variance"}
COUNTER = "num_batches_tracked"  # of a batch norm, which Paddle has not


def _names(network: nn.Module) -> dict[str, str]:
    """Of each array: its PyTorch name -> its Paddle name."""
    parts = {name: name.rpartition(".") for name in network.state_dict()}
    return {name: f"{stem}.{RENAMED.get(last, last)}" for name, (stem, _, last) in parts.items() if last != COUNTER}


def paddle_state(network: nn.Module) -> dict[str, np.ndarray]:
    """A PyTorch network's arrays under Paddle's names, float32. The twins have no linear layers, which differ."""
    state = network.state_dict()
    return {name: state[own].float().numpy() for own, name in _names(network).items()}


def assign(network: nn.Module, state: dict[str, np.ndarray]) -> None:
    """Fill a PyTorch network with Paddle's arrays, as `dehw.engine.weights.read` gives them.

    Raises KeyError for an array that is missing, RuntimeError for one of another shape.
    """
    filled = {own: torch.tensor(np.asarray(state[name])).float() for own, name in _names(network).items()}
    network.load_state_dict(network.state_dict() | filled)


def load(path: Path) -> dict[str, Any]:
    """What torch.save wrote to a file: tensors, numbers and text, and nothing that is run.

    Raises WeightsError, also where a number is not finite.
    """
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file may raise nearly anything
        cause = type(error).__name__  # the message itself would have one turn the check off
        raise WeightsError(f"{path}: damaged, or more than weights ({cause}); take another checkpoint.") from error
    if not _is_finite(state):
        raise WeightsError(f"{path}: holds numbers that are not finite; take the checkpoint of an earlier step.")
    return state


def settled(state: dict[str, Any]) -> dict[str, torch.Tensor]:
    """The weights that a checkpoint gives away: their mean over steps where it keeps one; some keep nothing else."""
    return state["ema"] if "ema" in state else state["network"]


def _is_finite(value: Any) -> bool:
    if torch.is_tensor(value):
        return bool(torch.isfinite(value).all())
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return not isinstance(value, list) or all(map(_is_finite, value))
