"""Runs exported networks, on OpenVINO or ONNX Runtime; both are optional packages."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any

import numpy as np

from dehw.engine.export import Size
from dehw.errors import DeviceError

Source = Callable[[Size], "Path | bytes"]  # a network's ONNX for tiles of a size: a file, or what would be in it

BF16_FLAGS = {"amx_bf16", "avx512_bf16"}  # processors that multiply bfloat16 faster than float32
MOST_AT_ONCE = 4  # tiles; each holds a network's features, for the largest some 150 MB
# A remote service, and one that compiles for minutes before the first tile.
UNUSED_PROVIDERS = ("AzureExecutionProvider", "TensorrtExecutionProvider")


class OpenVinoNetwork:
    """A network run by OpenVINO on the CPU, compiled for each size of tile when it is first met.

    source: gives the ONNX for a size. precision: "bf16" or "f32", of the arithmetic; inputs and outputs are
    float32 (N, C, H, W). `at_once` threads may call it side by side: a core for each tile takes a quarter less of
    the cores' time than all cores for one tile. Tiles of a batch run one after the other.
    """

    def __init__(self, source: Source, precision: str = "f32") -> None:
        self.core = _core(_openvino())
        self.source = source
        self.at_once = side_by_side()
        self.settings = {"INFERENCE_PRECISION_HINT": precision, "NUM_STREAMS": self.at_once}
        self.requests: dict[Size, SimpleQueue] = {}
        self.compiling = Lock()

    def prepare(self, size: Size) -> None:
        """Compile the network for tiles of this size. Raises DeviceError, and what the source raises."""
        with self.compiling:
            if size in self.requests:
                return
            exported = self.source(size)
            requests = SimpleQueue()
            with _told(exported):
                model = self.core.read_model(exported)
                model.reshape({port: [1, *list(port.partial_shape)[1:]] for port in model.inputs})
                compiled = self.core.compile_model(model, "CPU", self.settings)
                for _ in range(self.at_once):
                    requests.put(compiled.create_infer_request())
                self._first(compiled)
            self.requests[size] = requests

    @staticmethod
    def _first(compiled: Any) -> None:
        """Run a network once by itself: OpenVINO's binding sets up what it shares with NumPy in the first call of a
        process, and two first calls at a time wait for each other for ever (seen with 2026.4)."""
        compiled.create_infer_request().infer([np.zeros(port.shape, np.float32) for port in compiled.inputs])

    def __call__(self, *inputs: np.ndarray) -> np.ndarray:
        size = inputs[0].shape[2:]
        self.prepare(size)
        request = self.requests[size].get()
        try:
            taken = inputs[: len(request.model_inputs)]
            tiles = [[each[n : n + 1] for each in taken] for n in range(len(inputs[0]))]
            return np.concatenate([request.infer(tile, share_inputs=True)[0] for tile in tiles])
        finally:
            self.requests[size].put(request)


class OnnxNetwork:
    """A network run by ONNX Runtime, on the best of the execution providers given.

    source: gives the ONNX for a size; it is opened for each size of tile when that is first met. On a CPU
    `at_once` threads may call it side by side, as above.
    """

    def __init__(self, source: Source, providers: list[str]) -> None:
        self.source = source
        self.providers = providers
        self.at_once = side_by_side() if providers == ["CPUExecutionProvider"] else 1
        self.sessions: dict[Size, Any] = {}
        self.opening = Lock()

    def prepare(self, size: Size) -> None:
        """Open the network for tiles of this size. Raises DeviceError, and what the source raises."""
        with self.opening:
            if size in self.sessions:
                return
            onnxruntime = _onnxruntime()
            options = onnxruntime.SessionOptions()
            options.log_severity_level = 3  # errors; the warnings tell of initializers that nothing needs
            options.intra_op_num_threads = max(1, processors() // self.at_once) if self.at_once > 1 else 0
            exported = self.source(size)
            with _told(exported):
                model = exported if isinstance(exported, bytes) else str(exported)
                self.sessions[size] = onnxruntime.InferenceSession(model, options, providers=self.providers)

    def __call__(self, *inputs: np.ndarray) -> np.ndarray:
        size = inputs[0].shape[2:]
        self.prepare(size)
        session = self.sessions[size]
        return session.run(None, {port.name: each for port, each in zip(session.get_inputs(), inputs)})[0]


def processors() -> int:
    """How many of the machine's processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def side_by_side() -> int:
    """How many tiles are run at once on a CPU: one a processor, as far as memory is to allow it."""
    return min(processors(), MOST_AT_ONCE)


def providers(device: str = "auto") -> list[str]:
    """ONNX Runtime's execution providers for a device of auto, cpu or gpu, best first. Raises DeviceError."""
    found = [each for each in _onnxruntime().get_available_providers() if each not in UNUSED_PROVIDERS]
    if device == "cpu":
        return ["CPUExecutionProvider"]
    if device == "gpu" and found == ["CPUExecutionProvider"]:
        raise DeviceError(
            "this onnxruntime runs on the CPU only; pip install onnxruntime-gpu in its place, or use --device cpu."
        )
    return found


def cpu_precision(flags: str | None = None) -> str:
    """'bf16' where the processor has units for it, else 'f32'. flags: as in /proc/cpuinfo, which is the default."""
    if flags is None:
        with contextlib.suppress(OSError):
            flags = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return "bf16" if BF16_FLAGS & set((flags or "").split()) else "f32"


def advice(package: str) -> str:
    """How to get a package that an engine needs."""
    return f"pip install {package} paddle2onnx, or use --engine paddle"


def _openvino() -> Any:
    """The package openvino. Being imported, it would tell its makers so over the network; it goes without, too."""
    sys.modules.setdefault("openvino_telemetry", None)
    try:
        import openvino
    except ImportError as error:
        raise DeviceError(f"engine openvino: {error}; {advice('openvino')}.") from error
    return openvino


@functools.cache
def _core(openvino: Any) -> Any:
    """The core of the package openvino, one for the process.

    Each core lays a stack for signals and frees it when it goes; where two have come and gone, the stack in use is a
    freed one, and the next signal that Python handles ends the process.
    """
    return openvino.Core()


def _onnxruntime() -> Any:
    """The package onnxruntime. From 1.29 on it reports processes, sessions and models to its makers; not from here."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read once, by the import
    try:
        import onnxruntime
    except ImportError as error:
        raise DeviceError(f"engine onnxruntime: {error}; {advice('onnxruntime')}.") from error
    return onnxruntime


@contextlib.contextmanager
def _told(exported: Path | bytes) -> Iterator[None]:
    """Turn what a runtime raises over a network into a DeviceError that names its file."""
    try:
        yield
    except Exception as error:  # each runtime has its own types, some of them private
        cause = (str(error).strip() or type(error).__name__).splitlines()[-1]
        remedy = "use --engine paddle" if isinstance(exported, bytes) else f"delete {exported}, or use --engine paddle"
        raise DeviceError(f"the exported network cannot be run ({cause}); {remedy}.") from error
