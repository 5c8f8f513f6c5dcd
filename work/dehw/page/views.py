"""Test-time augmentation: networks see a tile several ways round, and their answers are averaged."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import paddle


@dataclass(frozen=True)
class View:
    """A way of looking at a batch: mirrored along these axes of (N, C, H, W), which undoes itself."""

    name: str
    axes: tuple[int, ...]

    def apply(self, x: np.ndarray) -> np.ndarray:
        """The batch seen this way, contiguous."""
        return np.ascontiguousarray(np.flip(x, self.axes))

    undo = apply


VIEWS = {
    view.name: view
    for view in (View("identity", ()), View("hflip", (-1,)), View("vflip", (-2,)), View("rot180", (-2, -1)))
}


def average(
    network: Callable[..., np.ndarray], views: Sequence[View], *inputs: np.ndarray
) -> "np.ndarray | paddle.Tensor":
    """Run the network on every view of its inputs and average the answers, turned back.

    inputs: one or more (N, C, H, W) arrays, all seen the same way; the network gives (N, C', H, W) float32,
    and so does this. A network with an `average` of its own is left to it, which may leave the answer on its device.
    Source: the second seed's mirror averaging.
    """
    own = getattr(network, "average", None)
    if own is not None:
        return own(views, *inputs)
    answers = (view.undo(network(*(view.apply(x) for x in inputs))) for view in views)
    total = next(answers)
    for answer in answers:
        total = total + answer
    return total / np.float32(len(views))


def fuse(
    networks: Sequence[tuple[Callable[..., np.ndarray], float]], views: Sequence[View], *inputs: np.ndarray
) -> np.ndarray:
    """Mean of networks by their weight, each averaged over the views: (N, C', H, W) float32.

    Answers on a device are averaged there, and copied once.
    """
    total = sum(weight for _, weight in networks)
    answers = (average(network, views, *inputs) * (weight / total) for network, weight in networks)
    fused = next(answers)
    for answer in answers:
        fused = fused + answer
    return np.asarray(fused)
