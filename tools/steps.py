"""Measure the seconds of a training step of each configuration, and where they go, and print a table.

python -m tools.steps                                all of configs/*.yml, crops of 256 px, one a step
python -m tools.steps --crops 512 --batch 4 configs/erasenet.yml

Data are crops of the sample pages (--data: of others), cut by this process itself: a training's workers cut them
beside the network. Forward holds the losses; the adversary's column is the discriminator's own step. After one
step to warm up, the mean of --steps.
"""

import argparse
import os
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import cv2  # noqa: F401  before Paddle
import numpy as np
import paddle
from paddleseg.core.train import loss_computation
from paddleseg.utils import logger

from dehw.config import load, load_pipeline
from dehw.engine.paddle import pick_device
from dehw.train import erase, seg

ROOT = Path(__file__).resolve().parents[1]
PARTS = ("data", "forward", "backward", "optimizer", "adversary")
Part = Callable[[str], AbstractContextManager[None]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("configs", nargs="*", type=Path, help="configurations (default: configs/*.yml)")
    parser.add_argument("--data", type=Path, default=ROOT / "data" / "sample", help="folder with images/ and gts/")
    parser.add_argument("--crops", type=int, default=256, metavar="PX", help="side of a crop (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=1, help="crops a step (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=3, help="steps measured (default: %(default)s)")
    args = parser.parse_args()
    logger.log_level = 1  # PaddleSeg would print its configuration into the table
    paddle.set_device(pick_device())
    load_average = f"load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    print(f"{args.batch} crops of {args.crops} px a step, {args.steps} steps, {paddle.get_device()}, {load_average}\n")
    print("| configuration | s a step | " + " | ".join(f"{part}, %" for part in PARTS) + " |")
    print("|---" * (len(PARTS) + 2) + "|", flush=True)
    for path in args.configs or trainings():
        is_segmenter = "train_dataset" in path.read_text(encoding="utf-8")
        seconds = measure(segmenter_steps if is_segmenter else generator_steps, path, args)
        total = sum(seconds.values())
        shares = " | ".join(f"{100 * seconds[part] / total:.0f}" for part in PARTS)
        print(f"| {path.name} | {total:.2f} | {shares} |", flush=True)


def trainings() -> list[Path]:
    """The configurations that train a pipeline's network."""
    found = sorted((ROOT / "configs").glob("*.yml"))
    return [path for path in found if "\npipeline:" in path.read_text(encoding="utf-8")]


def measure(steps: Callable[..., Iterator[None]], path: Path, args: argparse.Namespace) -> dict[str, float]:
    """Mean seconds of each part of a step."""
    seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def part(name: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        if paddle.get_device() != "cpu":
            paddle.device.synchronize()
        seconds[name] += time.perf_counter() - started

    running = steps(path, args, part)
    next(running)
    seconds.clear()
    for _ in range(args.steps):
        next(running)
    return {name: each / args.steps for name, each in seconds.items()} | {p: 0.0 for p in PARTS if p not in seconds}


def generator_steps(path: Path, args: argparse.Namespace, part: Part) -> Iterator[None]:
    """Steps as train/loop.py makes them, of the first stage."""
    opts = [f"crops.size={args.crops}", f"batch={args.batch}", "workers=0", "val_count=1", "crops.buffer=2"]
    opts.append("crops.recipes={}")  # workers do them beside the network
    config = load(path, erase.EraseTraining, opts)
    pipeline = load_pipeline(config.pipeline)
    if config.network is None and len(pipeline.erase.networks) > 1:
        config.network = pipeline.erase.networks[0].weights
    trainer = erase.Trainer(config, pipeline, [args.data], Path("nowhere"), paddle.get_device())
    training = trainer._training("stage1", config.stage1, lambda step: 0.0, None)
    training.model.train()
    batches = iter(training.batches_from(0))
    while True:
        with part("data"):
            image, gt, mask = next(batches)
        with part("forward"), paddle.amp.auto_cast(enable=training.amp):
            outputs = training.model(image, mask) if training.sees_mask else training.model(image)
            loss = training.loss(outputs, gt, mask)
            if training.adversary:
                loss = loss + training.adversary.loss(outputs, mask)
        descend(loss, training.optimizer, training.scheduler, part)
        if training.adversary:
            with part("adversary"):
                training.adversary.learn(outputs, gt, mask)
        yield


def segmenter_steps(path: Path, args: argparse.Namespace, part: Part) -> Iterator[None]:
    """Steps as PaddleSeg's trainer makes them."""
    block = "model.backbone" if "backbone:" in path.read_text(encoding="utf-8") else "model"
    opts = [f"train_dataset.size={args.crops}", f"{block}.pretrained=null", "val_count=1", "train_dataset.recipes={}"]
    config, run = seg.read_config(str(path), [*opts, f"batch_size={args.batch}"])
    builder = seg.build(config, run, load_pipeline(run.pipeline), [args.data])
    model, optimizer = builder.model, builder.optimizer
    model.train()
    while True:
        with part("data"):
            crops = [builder.train_dataset[n] for n in range(args.batch)]
            image, label = (paddle.to_tensor(np.stack([crop[key] for crop in crops])) for key in ("img", "label"))
        with part("forward"):
            loss = sum(loss_computation(model(image), label.astype("int64"), None, builder.loss))
        descend(loss, optimizer, optimizer._learning_rate, part)
        yield


def descend(
    loss: paddle.Tensor, optimizer: paddle.optimizer.Optimizer, scheduler: paddle.optimizer.lr.LRScheduler, part: Part
) -> None:
    with part("backward"):
        loss.backward()
    with part("optimizer"):
        optimizer.step()
        optimizer.clear_grad()
        scheduler.step()


if __name__ == "__main__":
    main()
