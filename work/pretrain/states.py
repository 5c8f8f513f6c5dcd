"""One network's arrays under PyTorch's names and under Paddle's, which has linear weights transposed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from dehw.errors import WeightsError

RENAMED = {"running_mean": "_mean", "running_var": "_variance"}
COUNTER = "num_batches_tracked"  # of a batch norm, which Paddle has not


def _layouts(network: nn.Module) -> dict[str, tuple[str, bool]]:
    """Of each array: its PyTorch name -> its Paddle name, and whether Paddle has it transposed."""
    linear = {f"{name}.weight" for name, module in network.named_modules() if isinstance(module, nn.Linear)}
    layouts = {}
    for name in network.state_dict():
        stem, _, last = name.rpartition(".")
        if last != COUNTER:
            layouts[name] = f"{stem}.{RENAMED.get(last, last)}", name in linear
    return layouts


def paddle_state(network: nn.Module) -> dict[str, np.ndarray]:
    """A PyTorch network's arrays under Paddle's names and in its layouts, float32."""
    state = network.state_dict()
    arrays = {name: (state[own].float().numpy(), turned) for own, (name, turned) in _layouts(network).items()}
    return {name: array.T.copy() if turned else array for name, (array, turned) in arrays.items()}


def assign(network: nn.Module, state: dict[str, np.ndarray]) -> None:
    """Fill a PyTorch network with Paddle's arrays, as `dehw.engine.weights.read` gives them.

    Raises KeyError for an array that is missing, RuntimeError for one of another shape.
    """
    arrays = {own: (np.asarray(state[name]), turned) for own, (name, turned) in _layouts(network).items()}
    filled = {own: torch.tensor(array.T if turned else array).float() for own, (array, turned) in arrays.items()}
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
    """The weights that a checkpoint gives away: their mean over steps where it keeps one, and some keep nothing else."""
    return state["ema"] if "ema" in state else state["network"]


def _is_finite(value: Any) -> bool:
    if torch.is_tensor(value):
        return bool(torch.isfinite(value).all())
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    return not isinstance(value, list) or all(map(_is_finite, value))
