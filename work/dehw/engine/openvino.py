"""Networks run by OpenVINO, the fastest engine on a CPU."""

from __future__ import annotations

import functools
import sys
from collections import OrderedDict
from importlib import util
from queue import SimpleQueue
from threading import Lock
from typing import Any

import numpy as np

from dehw.engine import machine, parallel
from dehw.engine.export import Size, Source, engine_errors
from dehw.errors import DeviceError

KEPT = 2  # sizes of tile: each holds some 100 MB, and the pages of a document mostly take one or two
_starting = Lock()  # what is done once a process: several threads may load networks at a time


class OpenVinoNetwork:
    """A network run by OpenVINO on the CPU, compiled for each size of tile when it is met, the last KEPT sizes kept.

    source: gives the ONNX for a size. precision: "bf16" or "f32", of the arithmetic; inputs and outputs are
    float32 (N, C, H, W). `at_once` threads may call it side by side: a core for each tile takes a quarter less of
    the cores' time than all cores for one tile; with `alone`, one does, whose tile has all cores. Tiles of a batch run
    one after the other.
    """

    begun = False  # whether a network has run in this process

    def __init__(self, source: Source, precision: str = "f32", alone: bool = False) -> None:
        with _starting:
            self.core = _core(_openvino())
        self.source = source
        self.at_once = 1 if alone else parallel.side_by_side()
        self.settings = {"INFERENCE_PRECISION_HINT": precision, "NUM_STREAMS": self.at_once}
        if share := machine.shared_processors():
            self.settings["INFERENCE_NUM_THREADS"] = share
        self.requests: OrderedDict[Size, SimpleQueue] = OrderedDict()
        self.compiling = Lock()

    def prepare(self, size: Size) -> SimpleQueue:
        """Compile the network for tiles of this size, unless it is; returns its requests, as many as run at once.

        Raises DeviceError, and what the source raises.
        """
        with self.compiling:
            if size in self.requests:
                self.requests.move_to_end(size)
                return self.requests[size]
            exported = self.source(size)
            requests: SimpleQueue = SimpleQueue()
            with engine_errors(exported):
                model = _widened(self.core.read_model(exported))
                model.reshape({port: [1, list(port.partial_shape)[1], *size] for port in model.inputs})
                compiled = self.core.compile_model(model, "CPU", self.settings)
                for _ in range(self.at_once):
                    requests.put(compiled.create_infer_request())
                self._first(compiled)
            self.requests[size] = requests
            if len(self.requests) > KEPT:
                self.requests.popitem(last=False)
            return requests

    @staticmethod
    def _first(compiled: Any) -> None:
        """Run the process's first network once by itself: OpenVINO's binding sets up what it shares with NumPy in the
        first call, and two first calls at a time wait for each other for ever (seen with 2026.4)."""
        with _starting:
            if not OpenVinoNetwork.begun:
                compiled.create_infer_request().infer([np.zeros(port.shape, np.float32) for port in compiled.inputs])
                OpenVinoNetwork.begun = True

    def __call__(self, *inputs: np.ndarray) -> np.ndarray:
        requests = self.prepare((inputs[0].shape[2], inputs[0].shape[3]))
        request = requests.get()
        try:
            taken = inputs[: len(request.model_inputs)]
            tiles = [[each[n : n + 1] for each in taken] for n in range(len(inputs[0]))]
            return np.concatenate([request.infer(tile, share_inputs=True)[0] for tile in tiles])
        finally:
            requests.put(request)


def installed() -> bool:
    """Whether OpenVINO is installed."""
    return util.find_spec("openvino") is not None


def cpu_precision() -> str:
    """'bf16' where the processor is known to have units for it, else 'f32'."""
    return "bf16" if machine.bf16_units() else "f32"


def _openvino() -> Any:
    """The package openvino; without its telemetry, which would report each import over the network."""
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    try:
        import openvino
    except ImportError as error:
        raise DeviceError(f"engine openvino: {error}; pip install openvino, or use another --engine.") from error
    return openvino


def _widened(model: Any) -> Any:
    """A model whose constants are all float32: what the file keeps in fewer bits is multiplied out.

    OpenVINO would else do so by tile, and ends the process by a signal over int8 in bf16 (seen with 2026.4).
    """
    from openvino import passes

    manager = passes.Manager()
    manager.register_pass(passes.ConstantFolding())
    manager.run_passes(model)
    return model


@functools.cache
def _core(openvino: Any) -> Any:
    """The core of the package openvino, one for the process.

    Each core installs a signal stack and frees it on destruction; after two have been destroyed the stack in use is a
    freed one, and the next signal that Python handles ends the process.
    """
    return openvino.Core()
