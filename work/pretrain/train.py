"""Pre-train one network of the pipeline lite on made-up and real pages, on a CPU or a GPU.

    python work/pretrain/train.py erasenet --pages MADE=0.7 PAIRS=0.3 --minutes 90 --output FOLDER
    python work/pretrain/train.py ppocr_small --pages MADE=0.5 REAL=0.5 --steps 5000 --hold 3600 --output FOLDER

Run again with the same output folder to go on where it stopped; `--start` begins with other weights than the network's
own start, such as the lite_segmenter.pdparams that ships. `convert.py` turns the result into Paddle weights.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1]))
from dehw.engine import weights  # noqa: E402
from dehw.train.terms import MULTISCALE_WEIGHTS  # noqa: E402
from pretrain.pages import Pages, stream  # noqa: E402
from pretrain.states import assign, load, settled  # noqa: E402
from pretrain.twins.erasenet import EraseNet  # noqa: E402
from pretrain.twins.ppocr import PPOCRMask  # noqa: E402

PRINT_WEIGHT = 2.0  # a lost letter is worse than a stroke left
TRUNK_SHARE = 0.5  # of the learning rate, for a trunk that a text detector lends
FOLLOW = 5  # steps after which the mean of weights moves


def dice(prob: Tensor, target: Tensor, valid: Tensor) -> Tensor:
    """One minus the overlap where valid is 1, a scalar; all (N, 1, H, W) float in [0, 1]."""
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


class Loss(NamedTuple):
    """total: what is made small. parts: what is printed of it. each: (N,) of the crops, which tells the hard ones."""

    total: Tensor
    parts: dict[str, float]
    each: list[float]


def segmentation_loss(network: nn.Module, batch: Tensor) -> Loss:
    """Twice the cross-entropy, in which print counts PRINT_WEIGHT, and dice. batch: (N, 8, H, W), see split."""
    image, gt, mask, valid = split(batch)
    logits = network(image).float()
    weight = valid * (1 + (PRINT_WEIGHT - 1) * print_pixels(gt, mask))
    wrong = F.cross_entropy(logits, mask[:, 0].long(), reduction="none")[:, None] * weight
    cross_entropy = wrong.sum() / weight.sum()
    prob = logits.softmax(1)[:, 1:]
    overlap = dice(prob, mask, valid)
    parts = {"ce": cross_entropy.item(), "dice": overlap.item()}
    return Loss(2 * cross_entropy + overlap, parts, wrong.detach().mean((1, 2, 3)).tolist())


def erasing_loss(network: nn.Module, batch: Tensor) -> Loss:
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
    wrong = ((final - gt).abs() * hole * valid).detach()
    error = wrong.sum() / (3 * (hole * valid).sum() + 1)
    parts = {"l1": fine.item(), "hole": error.item(), "dice": overlap.item()}
    return Loss(loss, parts, wrong.mean((1, 2, 3)).tolist())


class Recipe(NamedTuple):
    """How a network is trained, where the command does not say otherwise."""

    build: Callable[[], nn.Module]
    loss: Callable[[nn.Module, Tensor], Loss]
    peak: float  # learning rate
    batch: int = 8
    crop: int = 320  # px
    warmup: int = 300  # steps
    every: int = 200  # steps between checkpoints
    half: bool = False  # weights and gradients in bfloat16, not the products alone
    constant: bool = False  # the rate stays at its peak unless --steps ends it; else it falls over the minutes
    mean: float = 0.0  # decay of the mean of weights (EMA) kept beside them; 0 for none
    start: Path | None = None  # a trunk's weights


NETWORKS = {
    "erasenet": Recipe(lambda: EraseNet(width=0.25), erasing_loss, 1e-3),
    "ppocr_small": Recipe(
        PPOCRMask, segmentation_loss, 8e-4, batch=6, crop=448, warmup=200, every=100, half=True, constant=True,
        mean=0.998, start=weights.SHIPPED / "ppocr_small_init.pdparams",
    ),
}  # fmt: skip


class Master:
    """A network's weights in float32, which the optimizer moves.

    With `half` the network computes in bfloat16, batch norms apart; without, its own weights are these.
    """

    def __init__(self, network: nn.Module, half: bool) -> None:
        self.network = network
        self.weights = {name: p.detach().requires_grad_() for name, p in network.named_parameters()}
        for module in network.modules() if half else ():
            if isinstance(module, nn.Conv2d):
                module.bfloat16()  # in other memory: the float32 weights stay

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        """Move the weights by the network's gradients, and the network with them."""
        for name, parameter in self.network.named_parameters():
            self.weights[name].grad = None if parameter.grad is None else parameter.grad.float()
        torch.nn.utils.clip_grad_norm_(self.weights.values(), 1.0)
        optimizer.step()
        self.network.zero_grad(set_to_none=True)
        with torch.no_grad():
            for name, parameter in self.network.named_parameters():
                parameter.copy_(self.weights[name])

    def groups(self) -> list[tuple[float, list[Tensor]]]:
        """The weights by their share of the learning rate; a network without a trunk has one group."""
        trunk = [weight for name, weight in self.weights.items() if name.startswith("trunk.")]
        rest = [weight for name, weight in self.weights.items() if not name.startswith("trunk.")]
        return [(TRUNK_SHARE, trunk), (1.0, rest)] if trunk else [(1.0, rest)]

    def state(self) -> dict[str, Tensor]:
        """A copy of the network's state in float32."""
        own = self.network.state_dict()
        return {name: self.weights.get(name, value).detach().clone() for name, value in own.items()}


def follow(mean: dict[str, Tensor], state: dict[str, Tensor], decay: float) -> None:
    """Move a mean of weights towards what they are now; counters are copied."""
    for name, value in state.items():
        mean[name].lerp_(value, 1 - decay) if value.is_floating_point() else mean[name].copy_(value)


def learning_rate(progress: float, step: int, peak: float, warmup: int = 300) -> float:
    """Warm-up over so many steps, then a cosine down to 2 % as `progress` goes from 0 to 1."""
    return peak * min(1.0, step / warmup) * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, progress))))


def begin(network: nn.Module, path: Path, start: Path | None) -> dict:
    """Fill a network with its checkpoint's weights, else with those of `start`; returns the checkpoint or {}."""
    if path.exists():
        state = load(path)
        network.load_state_dict(state["network"])
        return state
    if start and start.suffix == ".pt":
        network.load_state_dict(settled(load(start)))
    elif start:
        arrays = weights.read(start)
        whole = not hasattr(network, "trunk") or any(name.startswith("trunk.") for name in arrays)
        assign(network if whole else network.trunk, arrays)
    return {}


def share(text: str) -> tuple[Path, float]:
    """DIR=SHARE -> (DIR, SHARE). Raises ValueError, which argparse tells."""
    folder, _, number = text.rpartition("=")
    return Path(folder), float(number)


def save(path: Path, **state: object) -> None:
    torch.save(state, path.with_suffix(".part"))
    os.replace(path.with_suffix(".part"), path)


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
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
    parser.add_argument("--minutes", type=float, help="training time in all, over all runs; 60 without --steps")
    parser.add_argument("--steps", type=int, help="where training ends, over all runs")
    parser.add_argument("--hold", type=int, default=0, help="with --steps: the step from which the rate falls")
    parser.add_argument("--batch", type=int)
    parser.add_argument("--crop", type=int, help="px")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--start", type=Path, help="a .pdparams or .pt file to begin with, of the network or its trunk")
    parser.add_argument("--peak", type=float, help="the highest learning rate; default: the network's own")
    parser.add_argument("--output", type=Path, required=True)
    args = parser.parse_args(argv)
    if args.steps is not None and not 0 <= args.hold < args.steps:
        parser.error("--hold must lie below --steps")
    return args


def main(argv: Sequence[str] | None = None) -> None:
    args = arguments(argv)
    recipe = NETWORKS[args.network]
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # a CPU without units for bfloat16 is a hundred times slower with it than without
    halved = device == "cuda" or torch.cpu.get_capabilities().get("avx512_bf16", False)
    torch.manual_seed(0)
    network = recipe.build()
    args.output.mkdir(parents=True, exist_ok=True)
    path = args.output / f"{args.network}.pt"
    state = begin(network, path, args.start or recipe.start)
    network.to(device, memory_format=torch.channels_last)
    master = Master(network, recipe.half and halved)
    groups = master.groups()
    optimizer = torch.optim.AdamW([{"params": part} for _, part in groups], lr=recipe.peak, weight_decay=0.01)
    if "optimizer" in state:
        optimizer.load_state_dict(state["optimizer"])
    step, seconds = state.get("step", 0), state.get("seconds", 0.0)
    mean = {name: value.to(device) for name, value in state["ema"].items()} if "ema" in state else master.state()
    limit = 60 * (args.minutes or (math.inf if args.steps else 60))
    pages = Pages(args.pages, args.crop or recipe.crop, seed=step)
    batches = stream(pages, args.batch or recipe.batch)
    means: dict[str, float] = {}
    while seconds < limit and step < (args.steps or math.inf):
        start = time.time()
        if args.steps:
            progress = max(0.0, (step - args.hold) / (args.steps - args.hold))
        else:
            progress = 0.0 if recipe.constant else seconds / limit
        rate = learning_rate(progress, step, args.peak or recipe.peak, recipe.warmup)
        for group, (part, _) in zip(optimizer.param_groups, groups):
            group["lr"] = rate * part
        batch, spots = next(batches)
        with torch.autocast(device, dtype=torch.bfloat16, enabled=halved and not recipe.half):
            loss, parts, each = recipe.loss(network, batch.to(device))
        loss.backward()
        pages.learn(spots, each)
        master.step(optimizer)
        if recipe.mean and step % FOLLOW == 0:
            follow(mean, master.state(), min(recipe.mean, (step + 1) / (step + 20)) ** FOLLOW)
        step, seconds = step + 1, seconds + time.time() - start
        means = {k: 0.98 * means.get(k, v) + 0.02 * v for k, v in parts.items()}
        if step % 50 == 0:
            print(
                f"step {step} {seconds / 60:.1f} min lr {rate:.1e} "
                + " ".join(f"{k} {v:.4f}" for k, v in means.items()),
                flush=True,
            )
        if step % recipe.every == 0 or seconds >= limit or step == args.steps:
            kept = {"ema": mean} if recipe.mean else {}
            state = {"network": master.state(), "optimizer": optimizer.state_dict(), **kept}
            save(path, **state, step=step, seconds=seconds)


if __name__ == "__main__":
    main()
