"""Training by several processes, one a GPU, as paddle.distributed.launch starts them; alone, nothing of this acts.

Every process (rank) learns from crops of its own and averages its gradients with the others', so all hold the
same weights. Rank 0 alone validates and writes.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

import cv2  # noqa: F401  before Paddle: Paddle 2.6 crashes when OpenCV is imported after it
import paddle
from paddle import distributed
from paddle.distributed.fleet.utils.hybrid_parallel_util import fused_allreduce_gradients

DAY = 24 * 3600 * 1000  # ms; Paddle waits 30 minutes by default, and rank 0 may validate for longer
_ahead = False  # whether this process is in a block of first_goes_ahead


def count() -> int:
    """How many processes train together."""
    return distributed.ParallelEnv().nranks


def rank() -> int:
    """This process's number among them, from 0."""
    return distributed.ParallelEnv().rank


def is_first() -> bool:
    """Whether this process is the one that validates and writes."""
    return rank() == 0


def connect() -> None:
    """Join the other processes, if there are any; after paddle.set_device, before all else here."""
    if count() > 1 and not distributed.is_initialized():
        os.environ.setdefault("PADDLE_PG_TIMEOUT", str(DAY))
        distributed.init_parallel_env()


def wait() -> None:
    """Go on when all processes have come here."""
    if count() > 1:
        distributed.barrier()


@contextlib.contextmanager
def first_goes_ahead() -> Iterator[None]:
    """Rank 0 runs the block before the others: they find ready what it downloads or unpacks.

    A block within another is part of it: else the others would go on as soon as rank 0 leaves the inner one.
    """
    global _ahead
    if _ahead:
        yield
        return
    if not is_first():
        wait()
    _ahead = True
    try:
        yield
    finally:
        _ahead = False
    if is_first():
        wait()


def agreed(score: float | None) -> float | None:
    """Rank 0's score, in every process; the others' own is ignored. No number counts as none."""
    if count() == 1:
        return score
    tensor = paddle.to_tensor([float("nan") if score is None else score], dtype="float64")
    distributed.broadcast(tensor, src=0)
    value = float(tensor)
    return None if value != value else value


def share(layer: paddle.nn.Layer) -> None:
    """Give every process rank 0's weights."""
    if count() > 1:
        for value in layer.state_dict().values():
            distributed.broadcast(value, src=0)


def average_gradients(layer: paddle.nn.Layer) -> None:
    """Put the mean over all processes in the place of every parameter's gradient."""
    if count() > 1:
        fused_allreduce_gradients(layer.parameters(), None)
