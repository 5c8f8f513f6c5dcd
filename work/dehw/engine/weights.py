"""Weight files: where they lie, whether they are the right ones, and what a manifest says of them.

A folder of weights holds .pdparams files, each a dict of numpy arrays, maybe the same networks as .onnx files, and a
manifest.json: {"networks": {file name: {"sha256": ..., and facts such as type, args, sources, steps, hours, scores}}}.
An array of bytes has its scale beside it, one number for each slice of the first axis, as NAME@scale.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dehw.config import NetworkConfig, Pipeline, nearest
from dehw.errors import WeightsError
from dehw.files.atomic import atomic_path, sha256, write_json
from dehw.files.pickles import read_state, refuse_nonfinite

if TYPE_CHECKING:
    from paddle import nn

    from dehw.models.vgg import VGG19

SHIPPED = Path(__file__).parent / "shipped"
MANIFEST = "manifest.json"
SCALE = "@scale"  # which no parameter is called
VGG = "https://paddle-hapi.bj.bcebos.com/models/vgg19.pdparams"  # VGG-19 as Paddle has it, trained on ImageNet
SHOWN = 3  # keys named in a message; the rest is counted

_log = logging.getLogger(__name__)


def find(network: NetworkConfig, directory: str | Path | None, pipeline: Pipeline) -> Path:
    """The file with a network's weights: in `directory` first, if one is given, then among the shipped ones.

    A shipped file taken for one that `directory` lacks is told in a warning. Raises WeightsError, which names
    the command that trains the missing weights.
    """
    folders = [SHIPPED] if directory is None else [Path(directory), SHIPPED]
    for folder in folders:
        path = folder / network.weights
        if path.is_file():
            if folder != folders[0]:
                if not folders[0].is_dir():
                    raise WeightsError(f"{directory} is no folder; name the one that holds the weights with --weights.")
                _log.warning("%s is not in %s; taking the one that ships.", network.weights, directory)
            return path
    trained = f"output/{pipeline.name}/weights"
    remedy = (
        f"train it with `{pipeline.train}`, which leaves it in {trained}" if pipeline.train else "put the file there"
    )
    places = " nor in ".join(map(str, folders))
    raise WeightsError(
        f"pipeline {pipeline.name} needs {network.weights}, which is not in {places}; {remedy}, "
        "or name the folder that holds it with --weights."
    )


def completed(network: NetworkConfig, path: str | Path) -> NetworkConfig:
    """The network with the args that the manifest has of its file at `path` and the pipeline does not give.

    Imported weights say there in which form their network computes. Raises WeightsError for a broken manifest.
    """
    facts = manifest(Path(path).parent).get(Path(path).name, {})
    if facts.get("type") != network.type:
        return network
    return replace(network, args={**facts.get("args", {}), **network.args})


def load(layer: nn.Layer, path: str | Path) -> None:
    """Fill a network from a file: every array there, no other, each of its shape; bytes and half precision are widened.

    Its SHA-256 must be the one in its folder's manifest.json, if that lists it. Raises WeightsError, which names the
    file and what to do.
    """
    check(path)
    assign(layer, read(path), path)


def read(path: str | Path) -> dict[str, Any]:
    """What a file written by paddle.save holds, bytes as the numbers they stand for; nothing in it is run.

    Raises WeightsError, also where a number is not finite.
    """
    path = Path(path)
    state = read_state(path)
    scales = {key.removesuffix(SCALE): state.pop(key) for key in list(state) if key.endswith(SCALE)}
    for key, scale in scales.items():
        kept = state.get(key)
        if not isinstance(kept, np.ndarray) or np.shape(scale) != (len(kept), *[1] * (kept.ndim - 1)):
            raise WeightsError(f"{path}: {key}{SCALE} does not fit {key}; the file is damaged, get it again.")
        with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused by name
            state[key] = kept * scale
    refuse_nonfinite(state, path)
    return state


def assign(
    layer: nn.Layer,
    state: dict[str, np.ndarray],
    source: str | Path,
    called: Callable[[str], str] = str,
    remedy: str = "Use the pipeline and args it was trained with.",
) -> None:
    """Set all of a network's arrays. Raises WeightsError naming `source` unless keys and shapes match.

    called: the key in `state` of one of the network's own.
    """
    own = {called(key): value for key, value in layer.state_dict().items()}
    problems = _misfits({key: tuple(value.shape) for key, value in own.items()}, state)
    if problems:
        raise WeightsError(f"{source} does not belong to this {type(layer).__name__}: {'; '.join(problems)}. {remedy}")
    for key, value in own.items():
        value.set_value(np.asarray(state[key]).astype(str(value.dtype).rpartition(".")[2]))


def load_vgg(path: str | Path) -> VGG19:
    """VGG-19 with the weights of a published file, such as VGG; what it holds beyond relu5_2 is left out.

    Raises WeightsError for a file that cannot be read or is not VGG-19's.
    """
    from dehw.models.vgg import VGG19

    network, state = VGG19(), read(path)
    try:
        assign(network, {key: state[key] for key in network.state_dict() if key in state}, path)
    except WeightsError as error:
        raise WeightsError(f"{error} Here VGG-19's are wanted, such as {VGG}.") from error
    return network


def save(layer: nn.Layer, path: str | Path, dtype: str = "float16", **facts: Any) -> None:
    """Write a network's arrays to a .pdparams file, its SHA-256 and `facts` to the folder's manifest.json.

    dtype: float32, float16 or int8, which is half as large again and good for finished networks. The vectors (biases
    and norms) stay float32: they weigh little, and a variance may be beyond half precision. Raises WeightsError if an
    array is not finite: such weights erase nothing.
    """
    import paddle

    path = Path(path)
    state: dict[str, np.ndarray] = {}
    for key, value in layer.state_dict().items():
        state |= _narrow(key, value.numpy(), dtype)
    broken = [key for key, value in state.items() if not np.isfinite(value).all()]
    if broken:
        raise WeightsError(
            f"{path} was not written: {_some(broken)} not finite; training has diverged, go back a step."
        )
    entries = manifest(path.parent)
    if entries.pop(path.name, None):  # a cut from here on leaves weights without a checksum, never with another's
        write_json(path.parent / MANIFEST, {"networks": entries})
    with atomic_path(path) as temporary:
        paddle.save(state, str(temporary))
    entries[path.name] = {"sha256": sha256(path), **facts}
    write_json(path.parent / MANIFEST, {"networks": entries})


def manifest(folder: str | Path) -> dict[str, dict[str, Any]]:
    """What a folder's manifest.json says of each file, {} without one. Raises WeightsError if unreadable."""
    path = Path(folder) / MANIFEST
    if not path.is_file():
        return {}
    try:
        networks = dict(json.loads(path.read_text(encoding="utf-8"))["networks"])
        for name, facts in networks.items():
            if not isinstance(facts, dict) or not isinstance(facts.get("args", {}), dict):
                raise TypeError(f"what it says of {name} is no block")
        return networks
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise WeightsError(f"{path}: not a manifest ({error}); restore it, or delete it to go unchecked.") from error


def check(path: str | Path) -> None:
    """Raise WeightsError where a file's SHA-256 is another than the one in its folder's manifest.json."""
    path = Path(path)
    expected = manifest(path.parent).get(path.name, {}).get("sha256")
    if expected is not None and path.is_file() and sha256(path) != expected:
        raise WeightsError(
            f"{path}: its SHA-256 is not the one in {MANIFEST}, the file is damaged or was exchanged; "
            "restore it, or train it again."
        )


def _misfits(shapes: dict[str, tuple[int, ...]], state: dict[str, Any]) -> list[str]:
    """What keeps `state` from filling arrays of these names and shapes, in words."""
    missing = [key for key in shapes if key not in state]
    extra = [key for key in state if key not in shapes]
    unlike = [
        f"{key} is {list(np.shape(state[key]))}, not {list(shape)}"
        for key, shape in shapes.items()
        if key in state and np.shape(state[key]) != shape
    ]
    problems = []
    if missing:
        problems.append(f"missing {_some([f'{key}{nearest(key, extra)}' for key in missing])}")
    if extra:
        problems.append(f"not part of the network {_some([f'{key}{nearest(key, missing)}' for key in extra])}")
    if unlike:
        problems.append(f"of another shape: {_some(unlike)}")
    return problems


def _some(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _narrow(key: str, value: np.ndarray, dtype: str) -> dict[str, np.ndarray]:
    """An array as it is filed; with int8 its scale too, by which the largest number of each slice becomes 127."""
    if value.ndim < 2:
        return {key: value}
    with np.errstate(over="ignore", invalid="ignore"):  # what overflows is refused by name
        if dtype != "int8":
            return {key: value.astype(dtype)}
        scale = np.abs(value).max(axis=tuple(range(1, value.ndim)), keepdims=True) / np.float32(127)
        return {key: np.rint(value / np.where(scale == 0, 1, scale)).astype(np.int8), key + SCALE: scale}
