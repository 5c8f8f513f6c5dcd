"""Test-time augmentation: a network sees a tile several ways round, and its answers are averaged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

Transform = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class View:
    """A way of looking at a batch and the way back; both take and give (N, C, H, W), contiguous."""

    name: str
    apply: Transform
    undo: Transform


def _flip(*axes: int) -> Transform:
    return lambda x: np.ascontiguousarray(np.flip(x, axes))


def _mirror(name: str, *axes: int) -> View:
    """A view that undoes itself."""
    return View(name, _flip(*axes), _flip(*axes))


VIEWS = {
    view.name: view
    for view in (_mirror("identity"), _mirror("hflip", -1), _mirror("vflip", -2), _mirror("rot180", -2, -1))
}


def average(network: Callable[..., np.ndarray], views: Sequence[View], *inputs: np.ndarray) -> np.ndarray:
    """Run the network on every view of its inputs and average the answers, turned back.

    inputs: one or more (N, C, H, W) arrays, all seen the same way; the network gives (N, C', H, W) float32,
    and so does this. Source: the second seed's mirror averaging.
    """
    answers = (view.undo(network(*(view.apply(x) for x in inputs))) for view in views)
    total = next(answers)
    for answer in answers:
        total = total + answer
    return total / np.float32(len(views))
