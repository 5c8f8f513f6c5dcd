"""Write the ONNX files that ship beside the weights: with them pages are erased without Paddle.

    python work/pretrain/ship.py [PIPELINE [--weights DIR]]        default: lite, and its weights in engine/shipped

STEM.onnx holds the numbers of STEM.pdparams in as few bytes; manifest.json says which weights, settings and size of
tiles it is made of. Run it after convert.py; the same weights give the same bytes.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2  # noqa: F401  before paddle, which Paddle 2.6.2 needs
import numpy as np
import onnx
import paddle
from onnx import helper, numpy_helper

sys.path.insert(0, str(Path(__file__).parents[1]))
from dehw.config import NetworkConfig, load_pipeline  # noqa: E402
from dehw.engine import export, weights  # noqa: E402
from dehw.engine.paddle import load  # noqa: E402
from dehw.files.atomic import atomic_path, sha256, write_json  # noqa: E402
from dehw.files.pickles import read_state  # noqa: E402


def ship(network: NetworkConfig, path: Path, size: export.Size | None) -> Path:
    """Write the ONNX of the weights at `path` beside them, for tiles of a size or any, and its line in the manifest."""
    with paddle.utils.unique_name.guard():  # names are counted from 0
        model, _ = export.export(load(network, path), size)
    target = path.with_suffix(".onnx")
    with atomic_path(target) as temporary:
        temporary.write_bytes(narrow(model, read_state(path)))
    facts = {"sha256": sha256(target), **export.made_of(network, path, size), "opset": export.OPSET}
    write_json(path.parent / weights.MANIFEST, {"networks": weights.manifest(path.parent) | {target.name: facts}})
    return target


def narrow(model: bytes, stored: dict[str, np.ndarray]) -> bytes:
    """An ONNX model that keeps its constants as a weight file does: int8 and a scale for each slice, or float16.

    stored: the file's arrays by name, NAME@scale among them; a constant is known by its numbers, which stay the same.
    Cast and Mul widen it, not DequantizeLinear: engines compute them once, when they load the model, and then run what
    they always ran.
    """
    parsed = onnx.load_from_string(model)
    known = {}
    for key, kept in stored.items():
        if kept.dtype in (np.int8, np.float16):
            scale = stored.get(key + weights.SCALE)
            known[(kept.astype(np.float32) if scale is None else kept * scale).tobytes()] = (kept, scale)
    nodes: list[onnx.NodeProto] = []
    for node in parsed.graph.node:
        found = node.op_type == "Constant" and known.get(numpy_helper.to_array(node.attribute[0].t).tobytes())
        nodes += _widened(node.output[0], *found) if found else [node]
    del parsed.graph.node[:]
    parsed.graph.node.extend(nodes)
    onnx.checker.check_model(parsed)
    return parsed.SerializeToString(deterministic=True)


def _widened(name: str, kept: np.ndarray, scale: np.ndarray | None) -> list[onnx.NodeProto]:
    """Nodes that give `kept`, by its scale if it has one, as the float32 constant `name`."""

    def constant(value: np.ndarray, output: str) -> onnx.NodeProto:
        return helper.make_node("Constant", [], [output], value=numpy_helper.from_array(value))

    def cast(output: str) -> onnx.NodeProto:
        return helper.make_node("Cast", [f"{name}@kept"], [output], to=onnx.TensorProto.FLOAT)

    if scale is None:
        return [constant(kept, f"{name}@kept"), cast(name)]
    product = helper.make_node("Mul", [f"{name}@float", f"{name}@scale"], [name])
    return [constant(kept, f"{name}@kept"), cast(f"{name}@float"), constant(scale, f"{name}@scale"), product]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("pipeline", nargs="?", default="lite", help="name in configs/pipelines, or a file")
    parser.add_argument("--weights", type=Path, metavar="DIR", help="folder of weights, in place of the shipped ones")
    args = parser.parse_args()
    pipeline = load_pipeline(args.pipeline)
    for network, size in export.tiles(pipeline):
        target = ship(network, weights.find(network, args.weights, pipeline), size)
        print(f"{target}: {target.stat().st_size / 2**20:.1f} MiB")


if __name__ == "__main__":
    main()
