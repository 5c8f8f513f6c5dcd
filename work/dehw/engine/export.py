"""Networks as ONNX files: exported from Paddle, and cached by their weights.

A network once exported runs without Paddle being imported at all.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dehw.config import NetworkConfig, Pipeline
from dehw.engine.weights import find, manifest
from dehw.errors import DeviceError, InputError
from dehw.files.atomic import atomic_path, sha256

if TYPE_CHECKING:
    from paddle import nn

Size = tuple[int, int]  # (height, width) of the tiles, in pixels

OPSET = 17  # the first with LayerNormalization, which SegFormer is full of
# `optimize_tool` would install further packages.
TRANSLATE = """
import sys, paddle2onnx
files = ("net.json", "net.pdiparams", "net.onnx")
paddle2onnx.export(*files, opset_version=int(sys.argv[1]), optimize_tool=None)
"""
MISREAD = ("1.leaky_relu", "1.nearest_interp")  # operators, as a saved program names them
GIVEN = {1: "the probability of handwriting", 3: "the tile erased, not clipped"}  # by the output's channels
README = """# Networks of the pipeline {name}, as ONNX of opset {opset}

| file | network | inputs | output | SHA-256 of the weights |
|---|---|---|---|---|
{rows}

All are float32, and N is any. `tile` is RGB in [0, 1], nothing subtracted: the networks normalise it themselves.
`mask` is 1 where there is handwriting, else 0; a network without that input finds the handwriting itself. How a page
is cut into tiles and put together again: configs/pipelines/{name}.yml and work/dehw/eraser.py.
"""
CHANNELS = {"tile": 3, "mask": 1}  # what a network's `infer` may take, in this order


def export(layer: nn.Layer, size: Size) -> tuple[bytes, list[str]]:
    """A layer's `infer` as an ONNX model of any N and one tile size, and the names of the inputs it has.

    An input that the network does not look at is left out: EraseNet has no mask. Raises DeviceError, which
    names the package to install where it is that.
    """
    import paddle
    from paddle.static import InputSpec

    _require_exporter(paddle.__version__)
    names = list(inspect.signature(layer.infer).parameters)
    specs = [InputSpec([None, CHANNELS[name], *size], "float32", name) for name in names]
    before = paddle.device.get_device()
    with tempfile.TemporaryDirectory() as folder:
        try:
            paddle.set_device("cpu")
            with _silent():
                names = _save_static(_inference(layer), specs, f"{folder}/net")
            return _translate(Path(folder)), names
        except Exception as error:  # whatever Paddle cannot trace or paddle2onnx not translate
            name = type(layer).__name__
            raise DeviceError(f"{name} cannot be exported to ONNX ({error}); use --engine paddle.") from error
        finally:
            paddle.set_device(before)


def cached(network: NetworkConfig, path: str | Path, size: Size) -> Path | bytes:
    """A network's ONNX from the user's cache, exported into it first if need be.

    What is cached is found by the checksum of the weights at `path`, the network's settings, the tile size and
    the code of the networks. Where the cache cannot be written the model itself is given. Raises ConfigError,
    DeviceError, WeightsError.
    """
    path = Path(path)
    checksum = sha256(path) if path.is_file() else None
    target = cache_folder() / f"{path.stem}-{size[0]}x{size[1]}-{_key(network, checksum, size)}.onnx"
    trusted = checksum == manifest(path.parent).get(path.name, {}).get("sha256", checksum)
    if target.is_file() and trusted:  # else loading tells what is wrong with the weights
        return target
    model, _ = export(load(network, path), size)
    try:
        with atomic_path(target) as temporary:
            temporary.write_bytes(model)
    except OSError:
        return model
    return target


def export_pipeline(pipeline: Pipeline, weights: str | Path | None, output: Path) -> None:
    """Write each network of a pipeline to output/STEM.onnx, then output/README.md.

    weights: the folder that holds them, in place of the ones that ship. output: new or empty. Raises ConfigError,
    DeviceError, InputError, WeightsError.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"{output} is not empty; choose another folder with -o, or remove this one.")
    jobs = [(pipeline.segment.network, pipeline.segment.window, 1)] if pipeline.segment else []
    jobs += [(network, pipeline.erase.tile, 3) for network in pipeline.erase.networks]
    paths = [find(network, weights, pipeline) for network, _, _ in jobs]  # all, before any is exported
    rows = []
    for (network, side, channels), path in zip(jobs, paths):
        model, names = export(load(network, path), (side, side))
        with atomic_path(output / f"{path.stem}.onnx") as temporary:
            temporary.write_bytes(model)
        inputs = ", ".join(f"`{name}` (N, {CHANNELS[name]}, {side}, {side})" for name in names)
        gives = f"(N, {channels}, {side}, {side}), {GIVEN[channels]}"
        rows.append(f"| `{path.stem}.onnx` | {network.type} | {inputs} | {gives} | `{sha256(path)}` |")
    with atomic_path(output / "README.md") as temporary:
        temporary.write_text(README.format(name=pipeline.name, opset=OPSET, rows="\n".join(rows)), encoding="utf-8")


def cache_folder() -> Path:
    """Where exported networks are kept; it may be deleted at any time. The variable DEHW_CACHE names another."""
    if os.environ.get("DEHW_CACHE"):
        return Path(os.environ["DEHW_CACHE"])
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dehw"


def load(network: NetworkConfig, path: str | Path) -> nn.Layer:
    """A Paddle layer in eval mode with its weights, spectral norms folded. Raises ConfigError, WeightsError."""
    from dehw import models
    from dehw.engine import weights
    from dehw.models.layers import fold_spectral_norm

    layer = models.build(network)
    weights.load(layer, path)
    layer.eval()
    return fold_spectral_norm(layer)


def _require_exporter(paddle_version: str) -> None:
    if util.find_spec("paddle2onnx") is None:
        raise DeviceError("the export to ONNX needs a package: pip install paddle2onnx, or use --engine paddle.")
    if paddle_version.startswith("2."):
        raise DeviceError(f"the export to ONNX needs Paddle 3, this is {paddle_version}; use --engine paddle.")


def _inference(layer: nn.Layer) -> nn.Layer:
    """A layer whose `forward`, which is what Paddle exports, is the given one's `infer`."""
    from paddle import nn

    class Inference(nn.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.layer = layer
            self.takes = len(inspect.signature(layer.infer).parameters)

        def forward(self, tile, mask=None):
            if self.takes == 1:
                return self.layer.infer(tile)
            return self.layer.infer(tile, tile[:, :1] if mask is None else mask)

    inference = Inference()
    inference.eval()
    return inference


def _narrow_doubles(program: Path) -> None:
    """Turn the double attributes that paddle2onnx 2.1.0 takes for floats into floats, in a saved program.

    It gives leaky ReLUs a meaningless slope otherwise, and refuses to interpolate.
    """
    saved = json.loads(program.read_text(encoding="utf-8"))
    for block in saved["program"]["regions"][0]["blocks"]:
        for op in block["ops"]:
            if op["#"] in MISREAD:
                op["A"] = json.loads(json.dumps(op["A"]).replace("a_f64", "a_f32"))
    program.write_text(json.dumps(saved), encoding="utf-8")


def _translate(folder: Path) -> bytes:
    """The program that lies in a folder as net.json, translated to ONNX.

    In a process of its own: paddle2onnx ends the process that it meets an unknown operator in. RuntimeError tells.
    """
    _narrow_doubles(folder / "net.json")
    run = subprocess.run([sys.executable, "-c", TRANSLATE, str(OPSET)], cwd=folder, capture_output=True, text=True)
    if not (folder / "net.onnx").is_file():
        lines = [line.strip() for line in (run.stdout + run.stderr).splitlines() if line.strip()]
        raise RuntimeError(next((line for line in lines if "[ERROR]" in line), lines[-1] if lines else run.returncode))
    return (folder / "net.onnx").read_bytes()


def _save_static(layer: nn.Layer, specs: list[Any], path: str) -> list[str]:
    """Save a layer as Paddle's static graph; returns the names of the inputs it really has."""
    import paddle

    try:
        paddle.jit.save(layer, path, specs)
    except ValueError:  # Paddle refuses an input that nothing depends on
        if len(specs) == 1:
            raise
        specs = specs[:1]
        paddle.jit.save(layer, path, specs)
    return [spec.name for spec in specs]


def _key(network: NetworkConfig, checksum: str | None, size: Size) -> str:
    """What the ONNX of a network depends on, as 16 hexadecimal digits."""
    sources = sorted([*(Path(__file__).parents[1] / "models").glob("*.py"), Path(__file__)])
    facts = [network.type, network.args, size, checksum, [sha256(source) for source in sources]]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """Keep Paddle's C++ from writing to stderr, where it warns of what it does itself."""
    saved = os.dup(2)
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
