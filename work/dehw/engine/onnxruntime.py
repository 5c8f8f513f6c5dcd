"""Networks run by ONNX Runtime, on the CPU or on what else its build drives."""

from __future__ import annotations

import os
from importlib import util
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from dehw.engine import machine, parallel
from dehw.engine.export import Size, Source, engine_errors
from dehw.errors import DeviceError

CPU = "CPUExecutionProvider"
# A remote service, and one that compiles for minutes before the first tile.
UNUSED_PROVIDERS = ("AzureExecutionProvider", "TensorrtExecutionProvider")


class OnnxNetwork:
    """A network run by ONNX Runtime, on the best of the execution providers given.

    source: gives the ONNX for a size of tile; what it gives is opened when that is first met. Inputs and outputs
    are float32 (N, C, H, W). On a CPU `at_once` threads may call it side by side; with `alone`, one.
    """

    def __init__(self, source: Source, providers: list[str], alone: bool = False) -> None:
        self.source = source
        self.providers = providers
        self.at_once = parallel.side_by_side() if providers == [CPU] and not alone else 1
        self.sessions: dict[Path | bytes, Any] = {}
        self.opening = Lock()

    def prepare(self, size: Size) -> Any:
        """Open the network for tiles of this size, unless it is; returns its session.

        Raises DeviceError, and what the source raises.
        """
        with self.opening:
            exported = self.source(size)
            if exported not in self.sessions:
                self.sessions[exported] = self._open(exported)
            return self.sessions[exported]

    def _open(self, exported: Path | bytes) -> Any:
        onnxruntime = _onnxruntime()
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3  # errors; the warnings are of initializers that nothing needs
        if self.at_once > 1 or machine.shared_processors():
            options.intra_op_num_threads = max(1, machine.processors() // self.at_once)
        with engine_errors(exported):
            model = exported if isinstance(exported, bytes) else str(exported)
            return onnxruntime.InferenceSession(model, options, providers=self.providers)

    def __call__(self, *inputs: np.ndarray) -> np.ndarray:
        session = self.prepare((inputs[0].shape[2], inputs[0].shape[3]))
        return session.run(None, {port.name: each for port, each in zip(session.get_inputs(), inputs)})[0]


def installed() -> bool:
    """Whether ONNX Runtime is installed."""
    return util.find_spec("onnxruntime") is not None


def providers(device: str = "auto") -> list[str]:
    """The execution providers for a device of auto, cpu or gpu, best first. Raises DeviceError."""
    found = [each for each in _onnxruntime().get_available_providers() if each not in UNUSED_PROVIDERS]
    if device == "cpu":
        return [CPU]
    if device == "gpu" and found == [CPU]:
        raise DeviceError(
            "this onnxruntime runs on the CPU only; pip install onnxruntime-gpu in its place, or use --device cpu."
        )
    return found


def _onnxruntime() -> Any:
    """The package onnxruntime, its telemetry off: from 1.29 on it reports processes, sessions and models."""
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # read once, by the import
    try:
        import onnxruntime
    except ImportError as error:
        raise DeviceError(f"engine onnxruntime: {error}; pip install onnxruntime, or use another --engine.") from error
    return onnxruntime
