"""Pre-train one network of the lite pipeline on made-up and real pages, on a CPU or a GPU.

    python work/pretrain/train.py segformer_b0 --pages MADE=0.7 PAIRS=0.3 --minutes 90 --output FOLDER

Run again with the same output folder to go on where it stopped; `--start` begins with Paddle's weights, such as
work/dehw/engine/shipped/lite_segformer.pdparams, instead of random ones. `convert.py` turns the result into Paddle
weights.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from pathlib import Path

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1]))
from dehw.engine import weights  # noqa: E402
from dehw.train.terms import MULTISCALE_WEIGHTS  # noqa: E402
from pretrain.pages import Pages, stream  # noqa: E402
from pretrain.states import assign  # noqa: E402
from pretrain.twins.erasenet import EraseNet  # noqa: E402
from pretrain.twins.segformer import SegFormer  # noqa: E402

PRINT_WEIGHT = 2.0  # a lost letter is worse than a stroke left


def dice(prob: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    prob, target = prob * valid, target * valid
    return 1 - (2 * (prob * target).sum() + 1) / ((prob**2).sum() + (target**2).sum() + 1)


def split(batch: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """(N, 8, H, W) -> image, gt (N, 3, H, W), mask of 0 and 1, valid (N, 1, H, W)."""
    return batch[:, :3], batch[:, 3:6], (batch[:, 6:7] > 0.4).float(), (batch[:, 7:8] > 0.9).float()


def print_pixels(gt: Tensor, mask: Tensor) -> Tensor:
    """Where the print is: darker than the paper about it, and no handwriting over it."""
    darkness = gt.min(1, keepdim=True).values
    # along one axis after the other: in one piece, this mean took 45 % of a training step
    paper = F.avg_pool2d(F.avg_pool2d(darkness, (31, 1), 1, (15, 0)), (1, 31), 1, (0, 15))
    return ((paper - darkness > 0.15) & (mask == 0)).float()


def segmentation_loss(network, batch: Tensor) -> tuple[Tensor, dict[str, float]]:
    image, gt, mask, valid = split(batch)
    logits = network(image).float()
    weight = valid * (1 + (PRINT_WEIGHT - 1) * print_pixels(gt, mask))
    cross_entropy = (
        F.cross_entropy(logits, mask[:, 0].long(), reduction="none")[:, None] * weight
    ).sum() / weight.sum()
    prob = logits.softmax(1)[:, 1:]
    overlap = dice(prob, mask, valid)
    return 2 * cross_entropy + overlap, {"ce": cross_entropy.item(), "dice": overlap.item()}


def erasing_loss(network, batch: Tensor) -> tuple[Tensor, dict[str, float]]:
    """EraseNet's stage 1: dice on its mask, L1 inside and outside the handwriting, coarse outputs too.

    Inside, the last output counts 30, not EraseNet's 10: what lies outside is put back from the page (cmp).
    """
    image, gt, mask, valid = split(batch)
    quarter, half, coarse, final, logits = (o.float() for o in network(image))
    hole = F.max_pool2d(mask, 5, 1, 2)

    def l1(output: Tensor, factor: int, inside: float, outside: float) -> Tensor:
        target, where, trust = (
            F.interpolate(t, scale_factor=1 / factor) if factor > 1 else t for t in (gt, hole, valid)
        )
        return ((output - target).abs() * trust * (inside * where + outside * (1 - where))).mean()

    overlap = dice(logits.mean(1, keepdim=True).sigmoid(), mask, valid)
    fine = l1(final, 1, 30, 2)
    loss = fine + overlap
    for output, factor, (inside, outside) in zip((quarter, half, coarse), (4, 2, 1), MULTISCALE_WEIGHTS):
        loss = loss + l1(output, factor, inside, outside)
    error = ((final - gt).abs() * hole * valid).sum() / (3 * (hole * valid).sum() + 1)
    return loss, {"l1": fine.item(), "hole": error.item(), "dice": overlap.item()}


NETWORKS = {
    "segformer_b0": (lambda: SegFormer("segformer_b0", embedding_dim=128), segmentation_loss, 6e-4),
    "erasenet": (lambda: EraseNet(width=0.25), erasing_loss, 1e-3),
}


def learning_rate(progress: float, step: int, peak: float) -> float:
    """Warm-up over 300 steps, then a cosine down to 2 % at the end of the hours given."""
    return peak * min(1.0, step / 300) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def share(text: str) -> tuple[Path, float]:
    """DIR=SHARE -> (DIR, SHARE). Raises ValueError, which argparse tells."""
    folder, _, number = text.rpartition("=")
    return Path(folder), float(number)


def save(path: Path, **state) -> None:
    torch.save(state, path.with_suffix(".part"))
    os.replace(path.with_suffix(".part"), path)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument(
        "--pages",
        type=share,
        nargs="+",
        required=True,
        metavar="DIR=SHARE",
        help="folders of .npy pages, and how much of the crops each gives",
    )
    parser.add_argument("--minutes", type=float, default=60, help="training time in all, over all runs")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=320)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--start", type=Path, help="a .pdparams file of the network to begin with")
    parser.add_argument("--peak", type=float, help="the highest learning rate; default: the network's own")
    parser.add_argument("--output", type=Path, required=True)
    return parser.parse_args()


def main() -> None:
    args = arguments()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # a CPU without units for bfloat16 is a hundred times slower with it than without
    halved = device == "cuda" or torch.cpu.get_capabilities().get("avx512_bf16", False)
    build, loss_of, peak = NETWORKS[args.network]
    peak = args.peak or peak
    torch.manual_seed(0)
    network = build().to(device)
    if args.network == "erasenet":
        network = network.to(memory_format=torch.channels_last)  # measured: a third faster; SegFormer is slower with it
    optimizer = torch.optim.AdamW(network.parameters(), lr=peak, weight_decay=0.01)
    args.output.mkdir(parents=True, exist_ok=True)
    path, step, seconds = args.output / f"{args.network}.pt", 0, 0.0
    if path.exists():
        state = torch.load(path, map_location=device)
        network.load_state_dict(state["network"])
        optimizer.load_state_dict(state["optimizer"])
        step, seconds = state["step"], state["seconds"]
    elif args.start:
        assign(network, weights.read(args.start))
    batches = stream(Pages(args.pages, args.crop, seed=step), args.batch)
    means: dict[str, float] = {}
    while seconds < args.minutes * 60:
        start = time.time()
        rate = learning_rate(seconds / (args.minutes * 60), step, peak)
        for group in optimizer.param_groups:
            group["lr"] = rate
        batch = next(batches).to(device)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=halved):
            loss, parts = loss_of(network, batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        step, seconds = step + 1, seconds + time.time() - start
        means = {k: 0.98 * means.get(k, v) + 0.02 * v for k, v in parts.items()}
        if step % 50 == 0:
            print(
                f"step {step} {seconds / 60:.1f} min lr {rate:.1e} "
                + " ".join(f"{k} {v:.4f}" for k, v in means.items()),
                flush=True,
            )
        if step % 200 == 0 or seconds >= args.minutes * 60:
            save(path, network=network.state_dict(), optimizer=optimizer.state_dict(), step=step, seconds=seconds)


if __name__ == "__main__":
    main()
