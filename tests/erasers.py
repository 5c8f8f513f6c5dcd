"""Erasers with hand-made networks: numpy functions of (N, C, S, S) arrays."""

import numpy as np

from dehw.config import Erase, Mask, NetworkConfig, Pipeline, Segment
from dehw.eraser import Eraser

TILE, MARGIN = 64, 13


def tiny(views=("identity",), cmp=True, batch=3, window=TILE, stride=TILE // 2, dilate=1, **pipeline):
    network = NetworkConfig(type="erasenet", weights="tiny.pdparams")
    return Pipeline(
        name="tiny",
        segment=Segment(network=network, window=window, stride=stride, views=list(views), batch=batch),
        mask=Mask(threshold=0.5, dilate=dilate),
        erase=Erase(networks=[network], tile=TILE, margin=MARGIN, views=list(views), batch=batch, cmp=cmp),
        **pipeline,
    )


def everywhere(tiles):
    return np.ones_like(tiles[:, :1])


def dark(tiles):
    """Ink is whatever is darker than half."""
    return (tiles.mean(1, keepdims=True) < 0.5).astype(np.float32)


def identity(tiles, mask):
    return tiles


def inverted(tiles, mask):
    return 1 - tiles


def constant(value):
    return lambda tiles, mask: np.full_like(tiles, value)


def eraser_with(*generators, segmenter=everywhere, pipeline=None, device="gpu:0", reader=None, **settings):
    pairs = [generator if isinstance(generator, tuple) else (generator, 1.0) for generator in generators]
    return Eraser(pipeline or tiny(**settings), segmenter, pairs, device, reader=reader)
