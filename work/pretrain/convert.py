"""Turn pre-trained PyTorch weights into Paddle ones, and check that both networks say the same.

    python work/pretrain/convert.py ppocr_small output/pretrain/ppocr_small.pt \\
        work/dehw/engine/shipped/lite_segmenter.pdparams --crops DIR [--facts facts.json]

Of several files the mean of their weights is taken; one named twice counts twice. A .pdparams file may be among them;
where a .pt file holds a mean of weights of its own, that is taken. In float64 the networks must agree within 1e-6 on
real crops before anything is written: Paddle's float32 convolutions alone move an answer by up to 2e-4. It is said how
far bytes and float16 move one.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import cv2  # noqa: F401  before paddle, which Paddle 2.6.2 needs
import numpy as np
import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parents[1]))
from dehw import models  # noqa: E402
from dehw.config import NetworkConfig  # noqa: E402
from dehw.engine import weights  # noqa: E402
from pretrain.pages import Pages  # noqa: E402
from pretrain.states import assign, load, paddle_state, settled  # noqa: E402
from pretrain.train import NETWORKS  # noqa: E402

if TYPE_CHECKING:
    import paddle

ARGUMENTS = {
    "erasenet": {"width": 0.25, "spectral_norm": False},
    "ppocr_small": {},
}
TOLERANCE = 1e-6
DTYPES = ("int8", "float16")
STORED = {"erasenet": "int8", "ppocr_small": "float16"}  # unless --dtype says otherwise


def mean_weights(states: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    """The mean of one network's weights at several steps (Izmailov et al. 2018: flatter minima, which generalise)."""
    return {name: torch.stack([s[name].double() for s in states]).mean(0).to(t.dtype) for name, t in states[0].items()}


def checkpoint(path: Path, network: nn.Module) -> dict:
    """What train.py saved, or a .pdparams file in the same form; that says nothing of steps, so --facts must."""
    if path.suffix != ".pdparams":
        return load(path)
    assign(network, weights.read(path))
    return {"network": {name: value.clone() for name, value in network.state_dict().items()}, "step": 0, "seconds": 0.0}


def answers(network: nn.Module, crops: torch.Tensor) -> np.ndarray:
    """What the PyTorch network gives for (N, 3, H, W) crops, as `infer` of the Paddle one does."""
    with torch.no_grad():
        output = network(crops)
    return output.softmax(1)[:, 1:].numpy() if torch.is_tensor(output) else output[3].numpy()


def difference(layer: paddle.nn.Layer, crops: torch.Tensor, wanted: np.ndarray) -> float:
    """Largest difference between a Paddle network's output and the wanted one."""
    import paddle

    layer.eval()
    tiles = paddle.to_tensor(crops.numpy())
    mask = paddle.ones([len(crops), 1, *crops.shape[2:]], tiles.dtype)
    with paddle.no_grad():
        got = layer.infer(tiles) if wanted.shape[1] == 1 else layer.infer(tiles, mask)
    return float(np.abs(got.numpy() - wanted).max())


def rounding(layer: paddle.nn.Layer, crops: torch.Tensor, wanted: np.ndarray) -> dict[str, float]:
    """How far each data type moves a stored network's output from the wanted one; the network stays as it is."""
    exact, found = {key: value.numpy() for key, value in layer.state_dict().items()}, {}
    with tempfile.TemporaryDirectory() as folder:
        for dtype in DTYPES:
            path = Path(folder) / f"{dtype}.pdparams"
            weights.save(layer, path, dtype)
            weights.load(layer, path)
            found[dtype] = difference(layer, crops, wanted)
            weights.assign(layer, exact, path)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("source", type=Path, nargs="+", help="the .pt file of train.py, or several files")
    parser.add_argument("target", type=Path, help="the .pdparams file to write")
    parser.add_argument("--crops", type=Path, required=True, help="folder of .npy pages to compare the networks on")
    parser.add_argument("--facts", type=Path, help="JSON of what the manifest shall say (sources, hours, scores)")
    parser.add_argument("--dtype", choices=DTYPES, help="of the file; default: the network's own")
    args = parser.parse_args()
    torch.set_num_threads(1)
    network = NETWORKS[args.network].build().eval()
    states = [checkpoint(path, network) for path in args.source]
    network.load_state_dict(mean_weights([settled(state) for state in states]))
    crops = Pages([(args.crops, 1.0)], 512, seed=1).batch(2)[:, :3].contiguous()
    wanted = answers(network.double(), crops.double())
    config = NetworkConfig(type=args.network, weights=args.target.name, args=ARGUMENTS[args.network])
    layer = models.build(config)
    weights.assign(layer, paddle_state(network.float()), args.source[0])
    exact = difference(layer.to(dtype="float64"), crops.double(), wanted)
    layer.to(dtype="float32")
    if exact > TOLERANCE:
        sys.exit(
            f"{args.source[0]}: the two networks differ by {exact:.2e}, more than {TOLERANCE}; nothing was written"
        )
    last = max(states, key=lambda state: state["step"])
    facts = {"steps": last["step"], "hours": round(last.get("seconds", 0) / 3600, 2)}
    facts |= json.loads(args.facts.read_text(encoding="utf-8")) if args.facts else {}
    moved = ", ".join(f"{dtype} within {far:.1e}" for dtype, far in rounding(layer, crops, wanted).items())
    dtype = args.dtype or STORED[args.network]
    weights.save(layer, args.target, dtype, type=args.network, args=config.args, **facts)
    print(f"{args.target}: {dtype}. PyTorch and Paddle agree within {exact:.1e}; {moved}")


if __name__ == "__main__":
    main()
