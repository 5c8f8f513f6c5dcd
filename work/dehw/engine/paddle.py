"""Networks run by Paddle, and the device that they run on."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Sequence
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dehw.config import NetworkConfig
from dehw.engine import DEVICES, weights
from dehw.errors import DeviceError

if TYPE_CHECKING:
    import paddle
    from paddle import nn

    from dehw.page.views import View

INSTALL_GUIDE = "https://www.paddlepaddle.org.cn/en/install/quick"

_log = logging.getLogger(__name__)


class PaddleNetwork:
    """A Paddle layer in eval mode, in half precision on a GPU; calls the layer's `infer`.

    stacks: whether `average` runs all views as one batch. A CPU is faster with one after the other.
    """

    def __init__(self, layer: nn.Layer, device: str = "cpu") -> None:
        import paddle

        paddle.set_device(device)
        layer.to(device)
        layer.eval()
        self.layer = layer
        self.device = device
        self.stacks = device.startswith("gpu")

    def __call__(self, *inputs: np.ndarray) -> np.ndarray:
        import paddle

        return self._infer(*(paddle.to_tensor(each) for each in inputs)).numpy()

    def average(self, views: Sequence[View], *inputs: np.ndarray) -> paddle.Tensor:
        """The mean of the views' answers, turned back: (N, C', H, W) float32, left on the device. See views.average."""
        import paddle

        tensors = [paddle.to_tensor(each) for each in inputs]
        seen = [[_flip(each, view) for each in tensors] for view in views]
        if self.stacks:
            answers = self._infer(*(paddle.concat(each) for each in zip(*seen))).chunk(len(views))
        else:
            answers = [self._infer(*each) for each in seen]
        return paddle.add_n([_flip(answer, view) for answer, view in zip(answers, views)]) / len(views)

    def _infer(self, *inputs: paddle.Tensor) -> paddle.Tensor:
        import paddle

        half = paddle.amp.auto_cast() if self.device.startswith("gpu") else contextlib.nullcontext()
        with paddle.no_grad(), half:
            return self.layer.infer(*inputs).astype("float32")


def _flip(x: paddle.Tensor, view: View) -> paddle.Tensor:
    return x.flip(list(view.axes)) if view.axes else x


def load(network: NetworkConfig, path: str | Path) -> nn.Layer:
    """A layer in eval mode with its weights, spectral norms folded. Raises ConfigError, DeviceError, WeightsError."""
    require(f"network {Path(path).name}")
    from dehw import models
    from dehw.models.layers import fold_spectral_norm

    layer = models.build(weights.completed(network, path))
    weights.load(layer, path)
    layer.eval()
    return fold_spectral_norm(layer)


def installed() -> bool:
    """Whether Paddle is installed."""
    return util.find_spec("paddle") is not None


def require(what: str) -> None:
    """Raise DeviceError, which says what needs Paddle and how to get it, unless it is installed."""
    if not installed():
        raise DeviceError(f"{what} needs Paddle, which is not installed; pip install 'dehw[train]'.")


def pick_device(request: str = "auto") -> str:
    """'cpu' or 'gpu:0' for a request of 'auto', 'cpu' or 'gpu'.

    In a process of paddle.distributed.launch it is the GPU given to that process. A GPU is taken once it has
    computed something. If it cannot, 'auto' warns and goes on on the CPU, and 'gpu' raises DeviceError; both name
    Paddle's installation guide.
    """
    if request not in DEVICES:
        raise DeviceError(f"there is no device {request!r}; known: {', '.join(DEVICES)}.")
    if request == "cpu" or (request == "auto" and (not installed() or _is_cpu_wheel())):
        return "cpu"
    require("device gpu")
    trouble = _gpu_trouble()
    if trouble is None:
        return f"gpu:{_gpu_number()}"
    advice = f"{trouble}; a Paddle that fits is found at {INSTALL_GUIDE}"
    if request == "gpu":
        raise DeviceError(f"{advice}, or use --device cpu.")
    if gpu_count():
        _log.warning("%s. Going on on the CPU.", advice)
    return "cpu"


def gpu_count() -> int:
    """How many GPUs Paddle sees here; 0 without Paddle."""
    if not installed():
        return 0
    import paddle

    return paddle.device.cuda.device_count() if paddle.device.is_compiled_with_cuda() else 0


def _is_cpu_wheel() -> bool:
    """Whether only Paddle's wheel for CPUs is installed; spares the seconds of importing it to find out."""
    installed = {name for name in ("paddlepaddle", "paddlepaddle-gpu") if _has_wheel(name)}
    return "paddle" not in sys.modules and installed == {"paddlepaddle"}


def _has_wheel(name: str) -> bool:
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False


def _gpu_number() -> int:
    return int(os.environ.get("FLAGS_selected_gpus", "0").split(",")[0])


def _gpu_trouble() -> str | None:
    """Why no GPU can be used, or None after a convolution ran on the first one."""
    import paddle

    if not paddle.device.is_compiled_with_cuda():
        return f"this Paddle {paddle.__version__} is built for the CPU only"
    if not gpu_count():
        return f"Paddle {paddle.__version__} sees no GPU"
    try:
        _convolve(f"gpu:{_gpu_number()}")
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
