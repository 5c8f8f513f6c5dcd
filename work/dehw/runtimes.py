"""Runs exported networks, on OpenVINO or ONNX Runtime; both are optional packages."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from dehw.errors import DeviceError
from dehw.export import Size

Source = Callable[[Size], "Path | bytes"]  # a network's ONNX for tiles of a size: a file, or what would be in it

BF16_FLAGS = {"amx_bf16", "avx512_bf16"}  # processors that multiply bfloat16 faster than float32
# A remote service, and one that compiles for minutes before the first tile.
UNUSED_PROVIDERS = ("AzureExecutionProvider", "TensorrtExecutionProvider")


class OpenVinoNetwork:
    """A network run by OpenVINO on the CPU, compiled for each size of tile when it is first met.

    source: gives the ONNX for a size. precision: "bf16" or "f32", of the arithmetic; inputs and outputs are
    float32 (N, C, H, W). Tiles of a batch run one after the other, which is the fastest on a CPU.
    """

    def __init__(self, source: Source, precision: str = "f32") -> None:
        self.core = _openvino().Core()
        self.source = source
        self.settings = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
        self.compiled: dict[Size, Any] = {}

    def prepare(self, size: Size) -> None:
        """Compile the network for tiles of this size. Raises DeviceError, and what the source raises."""
        if size in self.compiled:
            return
        exported = self.source(size)
        with _told(exported):
            model = self.core.read_model(exported)
            model.reshape({port: [1, *list(port.partial_shape)[1:]] for port in model.inputs})
            self.compiled[size] = self.core.compile_model(model, "CPU", self.settings)

    def __call__(self, *inputs: np.ndarray) -> np.ndarray:
        size = inputs[0].shape[2:]
        self.prepare(size)
        run = self.compiled[size]
        taken = inputs[: len(run.inputs)]
        return np.concatenate([run([each[n : n + 1] for each in taken])[0] for n in range(len(inputs[0]))])


class OnnxNetwork:
    """A network run by ONNX Runtime, on the best of the execution providers given.

    source: gives the ONNX for a size; it is opened for each size of tile when that is first met.
    """

    def __init__(self, source: Source, providers: list[str]) -> None:
        self.source = source
        self.providers = providers
        self.sessions: dict[Size, Any] = {}

    def prepare(self, size: Size) -> None:
        """Open the network for tiles of this size. Raises DeviceError, and what the source raises."""
        import onnxruntime

        if size in self.sessions:
            return
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors; the warnings tell of initializers that nothing needs
        exported = self.source(size)
        with _told(exported):
            model = exported if isinstance(exported, bytes) else str(exported)
            self.sessions[size] = onnxruntime.InferenceSession(model, options, providers=self.providers)

    def __call__(self, *inputs: np.ndarray) -> np.ndarray:
        size = inputs[0].shape[2:]
        self.prepare(size)
        session = self.sessions[size]
        return session.run(None, {port.name: each for port, each in zip(session.get_inputs(), inputs)})[0]


def providers(device: str = "auto") -> list[str]:
    """ONNX Runtime's execution providers for a device of auto, cpu or gpu, best first. Raises DeviceError."""
    try:
        import onnxruntime
    except ImportError as error:
        raise DeviceError(f"engine onnxruntime: {error}; {advice('onnxruntime')}.") from error
    found = [each for each in onnxruntime.get_available_providers() if each not in UNUSED_PROVIDERS]
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


@contextlib.contextmanager
def _told(exported: Path | bytes) -> Iterator[None]:
    """Turn what a runtime raises over a network into a DeviceError that names its file."""
    try:
        yield
    except Exception as error:  # each runtime has its own types, some of them private
        cause = (str(error).strip() or type(error).__name__).splitlines()[-1]
        remedy = "use --engine paddle" if isinstance(exported, bytes) else f"delete {exported}, or use --engine paddle"
        raise DeviceError(f"the exported network cannot be run ({cause}); {remedy}.") from error
