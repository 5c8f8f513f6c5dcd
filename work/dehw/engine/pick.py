"""Which engine runs the networks, and the networks built for it: the one place that knows all engines."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Protocol

import numpy as np

from dehw.config import NetworkConfig, Pipeline
from dehw.engine import DEVICES, ENGINES, export, onnxruntime, openvino, paddle, weights
from dehw.engine.export import Size
from dehw.errors import DeviceError
from dehw.page import layout
from dehw.page.layout import Reader

_log = logging.getLogger(__name__)


class Network(Protocol):
    """Batches in, a batch out, (N, C, H, W) float32. A segmenter takes a tile, a generator tile and mask.

    One that has `average(views, *inputs)` averages its views itself, see page.views.average.
    """

    def __call__(self, *inputs: np.ndarray) -> np.ndarray: ...


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


def engine(request: str = "auto", device: str = "auto") -> Engine:
    """The engine for a request of ENGINES and a device of DEVICES.

    'auto' takes Paddle on a GPU, else what is installed of OpenVINO, ONNX Runtime and Paddle, in this order. Raises
    DeviceError where what is asked for cannot be had, with what to install.
    """
    if request not in ENGINES:
        raise DeviceError(f"there is no engine {request!r}; known: {', '.join(ENGINES)}.")
    if device not in DEVICES:
        raise DeviceError(f"there is no device {device!r}; known: {', '.join(DEVICES)}.")
    if request == "auto":
        return _auto(device)
    if request == "openvino":
        return _openvino(device)
    if request == "onnxruntime":
        return _onnxruntime(device, "asked for")
    paddle.require("engine paddle")
    return Engine("paddle", paddle.pick_device(device), "asked for")


def _auto(device: str) -> Engine:
    place, fallback = paddle.pick_device(device), paddle.installed()
    if place != "cpu":
        return Engine("paddle", place, "the GPU is the fastest device")
    if openvino.installed():
        return Engine("openvino", place, f"the fastest engine on a CPU, {openvino.cpu_precision()}", fallback)
    advice = "on a CPU OpenVINO is faster, but not installed; pip install openvino"
    if onnxruntime.installed():
        return replace(_onnxruntime(device, advice), fallback=fallback)
    if fallback:
        return Engine("paddle", place, advice)
    raise DeviceError("nothing that runs networks is installed; pip install openvino, or pip install onnxruntime.")


def _openvino(device: str) -> Engine:
    if device == "gpu":
        raise DeviceError("engine openvino runs on the CPU; use --engine paddle or --engine onnxruntime on a GPU.")
    if not openvino.installed():
        raise DeviceError("engine openvino is not installed; pip install openvino, or use another --engine.")
    return Engine("openvino", "cpu", f"asked for, {openvino.cpu_precision()}")


def _onnxruntime(device: str, why: str) -> Engine:
    found = onnxruntime.providers(device)
    return Engine("onnxruntime", "cpu" if found == [onnxruntime.CPU] else "gpu", f"{why}; {', '.join(found)}")


def build_all(
    networks: Sequence[tuple[NetworkConfig, Path, Size | None]], engine: Engine
) -> tuple[list[Network], Engine]:
    """The networks of one engine, each from (its settings, its weights, the size of its tiles, see build).

    Returns them and their engine: Paddle, with a warning, where one that `auto` took fails. Raises ConfigError,
    DeviceError, WeightsError.
    """
    try:
        return [build(network, path, engine.device, engine.name, size) for network, path, size in networks], engine
    except DeviceError as error:
        if not engine.fallback:
            raise
        _log.warning("%s: %s Going on with paddle.", engine.name, error)
        return build_all(networks, Engine("paddle", "cpu", f"{engine.name} failed"))


def reader(pipeline: Pipeline, folder: Path | None, engine: Engine) -> Reader | None:
    """What reads a pipeline's pages; None where it takes them as they are.

    folder: where its weights are looked for before those that ship. Half turns go unseen where neither OpenVINO nor
    ONNX Runtime is installed. Raises ConfigError, DeviceError, WeightsError.
    """
    if pipeline.line_height is None or pipeline.lines is None:
        return None

    def find(network: NetworkConfig) -> Path:
        own = folder is not None and (folder / network.weights).is_file()
        return weights.find(network, folder if own else None, pipeline)

    square = layout.SIDE, layout.SIDE
    lines = build(pipeline.lines, find(pipeline.lines), engine.device, engine.name, square, alone=True)
    runtime = engine.name if engine.name != "paddle" else _onnx_runtime()
    if pipeline.direction is None or runtime is None:
        return Reader(lines)
    path = find(NetworkConfig("onnx", pipeline.direction))
    weights.check(path)
    return Reader(lines, _compiled(lambda size: path, "cpu", runtime, alone=False))


def _onnx_runtime() -> str | None:
    """An engine that runs ONNX files without Paddle, if any is installed."""
    installed = {"openvino": openvino.installed(), "onnxruntime": onnxruntime.installed()}
    return next((name for name, there in installed.items() if there), None)


def build(
    network: NetworkConfig,
    path: str | Path,
    device: str = "cpu",
    engine: str = "paddle",
    size: Size | None = None,
    alone: bool = False,
) -> Network:
    """A network ready to run tiles of a size, with the weights at `path`.

    size: (height, width) of the tiles in pixels; None for any, which only segmenters take: engines that compile then do
    so when a size first comes. alone: tiles come one at a time, so that all cores share each. Raises ConfigError,
    DeviceError, WeightsError.
    """
    if engine == "paddle":
        return paddle.PaddleNetwork(paddle.load(network, path), device)
    exported = cache(partial(export.onnx_file, network, path))
    if size is None:
        built = _compiled(lambda met: exported(None), device, engine, alone)
        exported(None)
        return built
    built = _compiled(exported, device, engine, alone)
    built.prepare(size)
    return built


def _compiled(
    source: export.Source, device: str, engine: str, alone: bool
) -> openvino.OpenVinoNetwork | onnxruntime.OnnxNetwork:
    if engine == "openvino":
        return openvino.OpenVinoNetwork(source, openvino.cpu_precision(), alone)
    return onnxruntime.OnnxNetwork(source, onnxruntime.providers(device), alone)
