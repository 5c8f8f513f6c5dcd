"""Runs a network on a batch of numpy arrays; `pick` and `build` are the one place that knows which engine does."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib import metadata, util
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from dehw.config import NetworkConfig
from dehw.engine import DEVICES, ENGINES, export, runtimes
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


@dataclass(frozen=True)
class Engine:
    """What runs the networks: its name, its device ('cpu', 'gpu' or 'gpu:N'), and why it was taken.

    fallback: whether Paddle takes over where it fails.
    """

    name: str
    device: str
    why: str
    fallback: bool = False

    def __str__(self) -> str:
        return f"{self.name} on {self.device}: {self.why}"


def pick(request: str = "auto", device: str = "auto") -> Engine:
    """The engine for a request of ENGINES and a device of auto, cpu or gpu.

    'auto' takes Paddle on a GPU, else OpenVINO if it is installed, else Paddle. Raises DeviceError where what is
    asked for cannot be had, with what to install.
    """
    if request not in ENGINES:
        raise DeviceError(f"there is no engine {request!r}; known: {', '.join(ENGINES)}.")
    if request == "onnxruntime":
        providers = runtimes.providers(device)
        place = "cpu" if providers == ["CPUExecutionProvider"] else "gpu"
        return Engine(request, place, f"asked for; {', '.join(providers)}")
    if request == "openvino":
        return _pick_openvino(device)
    place = pick_device(device)
    if request == "paddle":
        return Engine(request, place, "asked for")
    if place != "cpu":
        return Engine("paddle", place, "the GPU is the fastest device")
    if util.find_spec("openvino") is None:
        why = "on a CPU OpenVINO is several times as fast, but not installed; pip install openvino paddle2onnx"
        return Engine("paddle", place, why)
    return Engine("openvino", place, f"the fastest engine on a CPU, {runtimes.cpu_precision()}", fallback=True)


def _pick_openvino(device: str) -> Engine:
    if device == "gpu":
        raise DeviceError("engine openvino runs on the CPU; use --engine paddle or --engine onnxruntime on a GPU.")
    if util.find_spec("openvino") is None:
        raise DeviceError(f"engine openvino is not installed; {runtimes.advice('openvino')}.")
    return Engine("openvino", "cpu", f"asked for, {runtimes.cpu_precision()}")


def build_all(networks: Sequence[tuple[NetworkConfig, Path, int]], engine: Engine) -> tuple[list[Network], Engine]:
    """The networks of one engine, each from (its settings, its weights, the side of its tiles in pixels).

    Returns them and their engine: Paddle, with a warning, where one that `auto` took fails. Raises ConfigError,
    DeviceError, WeightsError.
    """
    try:
        return [build(network, path, engine.device, engine.name, side) for network, path, side in networks], engine
    except DeviceError as error:
        if not engine.fallback:
            raise
        _log.warning("%s: %s Going on with paddle.", engine.name, error)
        engine = replace(engine, name="paddle", why=f"{engine.name} failed", fallback=False)
        return build_all(networks, engine)


def build(
    network: NetworkConfig, path: str | Path, device: str = "cpu", engine: str = "paddle", side: int = 512
) -> Network:
    """A network ready to run tiles of `side` x `side` pixels, its weights read strictly from `path`.

    Tiles of other sizes take the engines that compile a moment when they first come. Raises ConfigError,
    DeviceError, WeightsError.
    """
    if engine == "paddle":
        return PaddleNetwork(export.load(network, path), device)
    source = partial(export.cached, network, path)
    if engine == "openvino":
        built = runtimes.OpenVinoNetwork(source, runtimes.cpu_precision())
    else:
        built = runtimes.OnnxNetwork(source, runtimes.providers(device))
    built.prepare((side, side))
    return built


def pick_device(request: str = "auto") -> str:
    """'cpu' or 'gpu:0' for a request of 'auto', 'cpu' or 'gpu'.

    In a process of paddle.distributed.launch it is the GPU given to that process. A GPU is taken once it has
    computed something. If it cannot, 'auto' warns and goes on on the CPU, and 'gpu' raises DeviceError; both name
    Paddle's installation guide.
    """
    if request not in DEVICES:
        raise DeviceError(f"there is no device {request!r}; known: auto, cpu, gpu.")
    if request == "cpu" or (request == "auto" and _is_cpu_wheel()):
        return "cpu"
    trouble = _gpu_trouble()
    if trouble is None:
        return f"gpu:{_gpu_number()}"
    advice = f"{trouble}; a Paddle that fits is found at {INSTALL_GUIDE}"
    if request == "gpu":
        raise DeviceError(f"{advice}, or use --device cpu.")
    if gpu_count():
        _log.warning("%s. Going on on the CPU.", advice)
    return "cpu"


def _is_cpu_wheel() -> bool:
    """Whether only Paddle's wheel for CPUs is installed; spares the seconds of importing it to be told so."""
    installed = {name for name in ("paddlepaddle", "paddlepaddle-gpu") if _is_installed(name)}
    return "paddle" not in sys.modules and installed == {"paddlepaddle"}


def _is_installed(name: str) -> bool:
    try:
        return bool(metadata.version(name))
    except metadata.PackageNotFoundError:
        return False


def gpu_count() -> int:
    """How many GPUs Paddle sees here."""
    import paddle

    return paddle.device.cuda.device_count() if paddle.device.is_compiled_with_cuda() else 0


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
