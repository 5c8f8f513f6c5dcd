"""The networks, by name. They know tensors only: nothing of files, tiles or colour order."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable

import paddle

from dehw.config import NetworkConfig, nearest
from dehw.errors import ConfigError
from dehw.models.erasenet import EraseNet
from dehw.models.mtrnet import MTRNet
from dehw.models.ppocr import PPOCRMask, ppocr_tiny_lines
from dehw.models.segformer import segformer_b0, segformer_b2

MODELS: dict[str, Callable[..., paddle.nn.Layer]] = {
    "segformer_b0": segformer_b0,
    "segformer_b2": segformer_b2,
    "ppocr_small": PPOCRMask,
    "ppocr_tiny_lines": ppocr_tiny_lines,
    "erasenet": EraseNet,
    "mtrnet": MTRNet,
}

VARIANTS: dict[str, NetworkConfig] = {  # what `dehw models` lists
    "segformer_b0": NetworkConfig("segformer_b0", ""),
    "segformer_b2": NetworkConfig("segformer_b2", ""),
    "ppocr_small": NetworkConfig("ppocr_small", ""),
    "ppocr_tiny_lines": NetworkConfig("ppocr_tiny_lines", ""),
    "erasenet": NetworkConfig("erasenet", ""),
    "erasenet-multiscale": NetworkConfig("erasenet", "", {"refinement": "multiscale"}),
    "erasenet-nonlocal": NetworkConfig("erasenet", "", {"refinement": "nonlocal"}),
    "mtrnet": NetworkConfig("mtrnet", ""),
    "mtrnet-mask-input": NetworkConfig("mtrnet", "", {"mask_input": True}),
}


def build(network: NetworkConfig) -> paddle.nn.Layer:
    """A fresh network of the type and arguments named. Raises ConfigError for ones nobody knows."""
    if network.type not in MODELS:
        raise ConfigError(
            f"there is no network type {network.type!r}{nearest(network.type, MODELS)}; known: {', '.join(MODELS)}."
        )
    try:
        return MODELS[network.type](**network.args)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"network {network.type} cannot be built with args {network.args}: {error}.") from error


def summary(layer: paddle.nn.Layer, size: int = 512) -> tuple[int, float]:
    """Count a network's learnable parameters, and its GMACs on one `size` x `size` page.

    A multiply-add counts once; attention's matrix products are not counted (paddle.flops does not see them), and
    a transposed convolution counts at its output's size, inserted zeros included.
    """
    with contextlib.redirect_stdout(io.StringIO()):  # paddle.flops prints its table whatever one asks
        macs = paddle.flops(layer, [1, 3, size, size])
    return learnable(layer), macs / 1e9


def learnable(layer: paddle.nn.Layer) -> int:
    """How many numbers a network learns."""
    return sum(int(parameter.size) for parameter in layer.parameters() if not parameter.stop_gradient)
