"""Runs a network on a batch of numpy arrays; `build` is the one place that knows which engine does."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dehw.config import NetworkConfig
from dehw.errors import DeviceError

if TYPE_CHECKING:
    from paddle import nn

INSTALL_GUIDE = "https://www.paddlepaddle.org.cn/en/install/quick"

_log = logging.getLogger(__name__)


class Network(Protocol):
    """Batches in, a batch out, (N, C, H, W) float32. A segmenter takes a tile, a generator tile and mask."""

    def __call__(self, *inputs: np.ndarray) -> np.ndarray: ...


class PaddleNetwork:
    """A Paddle layer in eval mode, in half precision on a GPU; calls the layer's `infer`."""

    def __init__(self, layer: nn.Layer, device: str = "cpu") -> None:
        import paddle

        paddle.set_device(device)
        layer.to(device)
        layer.eval()
        self.layer = layer
        self.device = device

    def __call__(self, *inputs: np.ndarray) -> np.ndarray:
        import paddle

        half = paddle.amp.auto_cast() if self.device.startswith("gpu") else contextlib.nullcontext()
        with paddle.no_grad(), half:
            output = self.layer.infer(*(paddle.to_tensor(each) for each in inputs))
        return output.astype("float32").numpy()


def build(network: NetworkConfig, path: str | Path, device: str = "cpu") -> Network:
    """A network ready to run, its weights read strictly from `path`. Raises ConfigError, WeightsError."""
    from dehw import models, weights
    from dehw.models.layers import fold_spectral_norm

    layer = models.build(network)
    weights.load(layer, path)
    layer.eval()
    return PaddleNetwork(fold_spectral_norm(layer), device)


def pick_device(request: str = "auto") -> str:
    """'cpu' or 'gpu:0' for a request of 'auto', 'cpu' or 'gpu'.

    A GPU is taken once it has computed something. If it cannot, 'auto' warns and goes on on the CPU, and
    'gpu' raises DeviceError; both name Paddle's installation guide.
    """
    if request not in ("auto", "cpu", "gpu"):
        raise DeviceError(f"there is no device {request!r}; known: auto, cpu, gpu.")
    if request == "cpu":
        return "cpu"
    trouble = _gpu_trouble()
    if trouble is None:
        return "gpu:0"
    advice = f"{trouble}; a Paddle that fits is found at {INSTALL_GUIDE}"
    if request == "gpu":
        raise DeviceError(f"{advice}, or use --device cpu.")
    if _gpu_count():
        _log.warning("%s. Going on on the CPU.", advice)
    return "cpu"


def _gpu_count() -> int:
    import paddle

    return paddle.device.cuda.device_count() if paddle.device.is_compiled_with_cuda() else 0


def _gpu_trouble() -> str | None:
    """Why no GPU can be used, or None after a convolution ran on the first one."""
    import paddle

    if not paddle.device.is_compiled_with_cuda():
        return f"this Paddle {paddle.__version__} is built for the CPU only"
    if not _gpu_count():
        return f"Paddle {paddle.__version__} sees no GPU"
    try:
        _convolve("gpu:0")
    except Exception as error:  # a missing library, a missing kernel, a driver too old: each its own type
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        return f"Paddle {paddle.__version__} cannot drive this GPU ({reason})"
    return None


def _convolve(device: str) -> None:
    """One convolution and its sum brought back: needs the driver, cuDNN and kernels for this very GPU."""
    import paddle
    from paddle.nn import functional as F

    before = paddle.device.get_device()
    try:
        paddle.set_device(device)
        float(F.conv2d(paddle.ones([1, 1, 8, 8]), paddle.ones([1, 1, 3, 3])).sum())
    finally:
        paddle.set_device(before)
