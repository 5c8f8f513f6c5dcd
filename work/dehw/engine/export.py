"""Networks as ONNX files: the ones beside their weights, else exported from Paddle and cached.

Where the file is there, the network runs without Paddle being imported at all.
"""

from __future__ import annotations

import contextlib
import glob
import hashlib
import inspect
import json
import os
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from importlib import util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dehw.config import NetworkConfig, Pipeline
from dehw.engine.paddle import load
from dehw.engine.weights import check, completed, find, manifest
from dehw.errors import DeviceError, InputError
from dehw.files.atomic import atomic_path, sha256
from dehw.page import layout

if TYPE_CHECKING:
    from paddle import nn

Size = tuple[int, int]  # (height, width) of the tiles, in pixels
Source = Callable[[Size], "Path | bytes"]  # gives a network's ONNX for tiles of a size: a file, or what would be in it

OPSET = 17  # the first with LayerNormalization, which SegFormer is full of
# `optimize_tool` would install further packages.
TRANSLATE = """
import sys, paddle2onnx
files = ("net.json", "net.pdiparams", "net.onnx")
paddle2onnx.export(*files, opset_version=int(sys.argv[1]), optimize_tool=None)
"""
MISREAD = ("1.leaky_relu", "1.nearest_interp")  # operators, as a saved program names them
README = """# Networks of the pipeline {name}, as ONNX of opset {opset}

| file | network | inputs | output | SHA-256 of the weights |
|---|---|---|---|---|
{rows}

All are float32; N is any, and so are H and W, multiples of 32. `tile` is RGB in [0, 1], nothing subtracted: the
networks normalise it themselves. `mask` is 1 where there is handwriting, else 0; a network without that input finds the
handwriting itself. How a page is cut into tiles and put together again: configs/pipelines/{name}.yml and
work/dehw/eraser.py.
"""
DIGITS = 16  # of a checksum in a file's name
CHANNELS = {"tile": 3, "mask": 1}  # what a network's `infer` may take, in this order


def export(layer: nn.Layer, size: Size | None) -> tuple[bytes, list[str]]:
    """A layer's `infer` as an ONNX model of any N and one tile size, and the names of the inputs it has.

    size: None for tiles of any size, which segmenters can be asked for. An input that the network does not look at is
    left out: EraseNet has no mask. Raises DeviceError, which names the package to install where it is that.
    """
    import paddle
    from paddle.static import InputSpec

    _require_exporter(paddle.__version__)
    names = list(inspect.signature(layer.infer).parameters)
    specs = [InputSpec([None, CHANNELS[name], *(size or (None, None))], "float32", name) for name in names]
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


def onnx_file(network: NetworkConfig, path: str | Path, size: Size | None) -> Path | bytes:
    """A network's ONNX for tiles of a size, or of any: the file beside its weights at `path`, else the user's cache's.

    Raises ConfigError, DeviceError, WeightsError.
    """
    check(path)
    return beside(network, path, size) or cached(network, path, size)


def beside(network: NetworkConfig, path: str | Path, size: Size | None) -> Path | None:
    """The ONNX file beside a network's weights, if the manifest says that it is made of these for this size.

    Raises WeightsError where it is damaged.
    """
    file = Path(path).with_suffix(".onnx")
    facts = manifest(file.parent).get(file.name)
    wanted = made_of(network, path, size)
    if facts is None or not file.is_file() or any(facts.get(key) != value for key, value in wanted.items()):
        return None
    check(file)
    return file


def made_of(network: NetworkConfig, path: str | Path, size: Size | None) -> dict[str, Any]:
    """What a manifest says of a network's ONNX file: the weights' checksum, the settings, the tiles' size or null."""
    checksum, sides = sha256(path) if Path(path).is_file() else None, size and list(size)
    return {"weights": checksum, "type": network.type, "args": completed(network, path).args, "size": sides}


def cached(network: NetworkConfig, path: str | Path, size: Size | None) -> Path | bytes:
    """A network's ONNX from the user's cache, exported into it first if need be.

    What is cached is found by the checksum of the weights at `path`, the network's settings, the tile size and
    the code of the networks; its own checksum ends its name. Where the cache cannot be written the model itself is
    given. Raises ConfigError, DeviceError, WeightsError.
    """
    path = Path(path)
    sides = f"{size[0]}x{size[1]}" if size else "any"
    folder, name = cache_folder(), f"{path.stem}-{sides}-{_key(network, path, size)}"
    if file := _whole(folder, name):
        return file
    model, _ = export(load(network, path), size)
    target = folder / f"{name}-{hashlib.sha256(model).hexdigest()[:DIGITS]}.onnx"
    try:
        with atomic_path(target) as temporary:
            temporary.write_bytes(model)
    except OSError:
        return model
    return target


def _whole(folder: Path, name: str) -> Path | None:
    """The file in the cache that begins with a name and whose content is as its name says; damaged ones go."""
    with contextlib.suppress(OSError):  # a cache that may not be entered, or changed
        for file in folder.glob(f"{glob.escape(name)}-*.onnx"):
            if sha256(file).startswith(file.stem[-DIGITS:]):
                return file
            file.unlink(missing_ok=True)
    return None


def export_pipeline(pipeline: Pipeline, weights: str | Path | None, output: Path) -> None:
    """Write each network of a pipeline to output/STEM.onnx, then output/README.md.

    weights: the folder that holds them, in place of the ones that ship. output: new or empty. Raises ConfigError,
    DeviceError, InputError, WeightsError.
    """
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise InputError(f"{output} is not empty; choose another folder with -o, or remove this one.")
    jobs = tiles(pipeline)
    paths = [find(network, weights, pipeline) for network, _ in jobs]  # all, before any is exported
    rows = []
    for (network, size), path in zip(jobs, paths):
        model, names = export(load(network, path), size)
        with atomic_path(output / f"{path.stem}.onnx") as temporary:
            temporary.write_bytes(model)
        sides = f"{size[0]}, {size[1]}" if size else "H, W"
        inputs = ", ".join(f"`{name}` (N, {CHANNELS[name]}, {sides})" for name in names)
        gives = f"(N, 3, {sides}), the tile erased, not clipped"
        if network not in pipeline.erase.networks:
            what = "lines of text" if network is pipeline.lines else "handwriting"
            gives = f"(N, 1, {sides}), the probability of {what}"
        rows.append(f"| `{path.stem}.onnx` | {network.type} | {inputs} | {gives} | `{sha256(path)}` |")
    with atomic_path(output / "README.md") as temporary:
        temporary.write_text(README.format(name=pipeline.name, opset=OPSET, rows="\n".join(rows)), encoding="utf-8")


def tiles(pipeline: Pipeline) -> list[tuple[NetworkConfig, Size | None]]:
    """A pipeline's networks, the segmenter first, the finder of lines last, each with the size of its tiles, if one."""
    side, segment, lines = pipeline.erase.tile, pipeline.segment, pipeline.lines
    erase: list[tuple[NetworkConfig, Size | None]] = [(network, (side, side)) for network in pipeline.erase.networks]
    first: list[tuple[NetworkConfig, Size | None]] = [(segment.network, None)] if segment else []
    return [*first, *erase, *([(lines, (layout.SIDE, layout.SIDE))] if lines else [])]


def cache_folder() -> Path:
    """Where exported networks are kept; it may be deleted at any time. The variable DEHW_CACHE names another."""
    if os.environ.get("DEHW_CACHE"):
        return Path(os.environ["DEHW_CACHE"])
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dehw"
    except RuntimeError:  # a user whom the system does not know, as in containers: nothing can be kept
        return Path(os.devnull) / "dehw"


@contextlib.contextmanager
def engine_errors(exported: Path | bytes) -> Iterator[None]:
    """Turn what an engine raises over a network into a DeviceError that names its file."""
    try:
        yield
    except Exception as error:  # each engine has its own types, some of them private
        cause = (str(error).strip() or type(error).__name__).splitlines()[-1]
        remedy = "" if isinstance(exported, bytes) else f"delete {exported}, or "
        raise DeviceError(f"the exported network cannot be run ({cause}); {remedy}use another --engine.") from error


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

        def forward(self, tile: Any, mask: Any = None) -> Any:
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
    command = [sys.executable, "-c", TRANSLATE, str(OPSET)]
    run = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8", errors="replace")
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


def _key(network: NetworkConfig, path: Path, size: Size | None) -> str:
    """What the ONNX of a network depends on, as 16 hexadecimal digits."""
    sources = sorted([*(Path(__file__).parents[1] / "models").glob("*.py"), Path(__file__)])
    facts = made_of(network, path, size) | {"code": [sha256(source) for source in sources]}
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
