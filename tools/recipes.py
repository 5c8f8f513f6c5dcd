"""Train small networks with each of the first seed's data recipes left out in turn, and print what becomes of pages.

python -m tools.recipes --data DIR [--steps N] [--crops PX] [--rows NAME ...]

DIR holds images/ and gts/, such as pages made up by `dehw synth`; --val of them are kept out and judged. Every row is a
training of its own: a mask network (PP-OCRv6 small, which learns from few steps), then MTRNet++ at an eighth of its
width. What the first row's mask network took for handwriting serves all rows. The second row is the first by another
random seed: rows that differ by less than these two tell nothing. --tile first cuts the squares with the most
handwriting out of every page, which makes judging them short.
"""

import argparse
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2  # noqa: F401  before Paddle
import numpy as np

from dehw.data.crops import decode
from dehw.data.pairs import find_pairs, split
from dehw.engine import weights
from dehw.eraser import Eraser
from dehw.files.images import read_image, write_image
from dehw.page import metrics
from dehw.train import erase, seg

ROOT = Path(__file__).resolve().parents[1]
PIPELINE = """
segment: {network: {type: ppocr_small, weights: seg.pdparams}, window: 256, stride: 224}
mask: {threshold: 0.5, dilate: 3}
erase: {networks: [{type: mtrnet, weights: gan.pdparams, args: {width: 0.125, whiten: true}}], tile: 256, margin: 32}
"""
PRINT_SIZE = 20  # px, of the print on the pages
ON = {"mixup": 0.2, "distractors": 0.3, "handwriting": 0.3}  # as configs/mtrnet.yml has them


@dataclass(frozen=True)
class Variant:
    """One row: which recipes are off, whether the ground truth is cleaned, and the random seed."""

    off: Sequence[str] = ()
    clean: bool = True
    seed: int = 2022

    def opts(self, block: str) -> list[str]:
        """Its recipes as overrides of a configuration."""
        rates = {name: 0.0 if name in self.off else rate for name, rate in ON.items()}
        return [f"{block}.recipes.{key}={value}" for key, value in {**rates, "print_size": PRINT_SIZE}.items()]


VARIANTS = {
    "all": Variant(),
    "all, by another random seed": Variant(seed=2023),
    "no MixUp": Variant(["mixup"]),
    "no handwriting from the bank": Variant(["handwriting"]),
    "no mistaken print": Variant(["distractors"]),
    "ground truth not cleaned": Variant(clean=False),
    "none": Variant(list(ON), clean=False),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder with images/ and gts/")
    parser.add_argument("--steps", type=int, default=300, help="of either network (default: %(default)s)")
    parser.add_argument("--crops", type=int, default=256, metavar="PX", help="side of a crop (default: %(default)s)")
    parser.add_argument("--batch", type=int, default=2, help="crops a step (default: %(default)s)")
    parser.add_argument("--val", type=int, default=4, help="pages kept out (default: %(default)s)")
    parser.add_argument("--tile", type=int, metavar="PX", help="cut the pages to squares, two of each")
    parser.add_argument("--mistakes", type=Path, help="what a mask network mistook (default: the first row's)")
    parser.add_argument("--rows", nargs="+", choices=VARIANTS, default=list(VARIANTS), help="(default: all)")
    args = parser.parse_args()
    print("| recipes | mIoU | contest, true mask | contest | residual | lost | CPU seconds |")
    print("|---" * 7 + "|", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        (home / "toy.yml").write_text(PIPELINE, encoding="utf-8")
        if args.tile:
            args.data = cut_tiles(args.data, home / "tiles", args.tile)
        for name in args.rows:
            started = time.process_time()
            figures = measure(home, VARIANTS[name], args)
            print(f"| {name} | {figures} | {time.process_time() - started:.0f} |", flush=True)


def cut_tiles(data: Path, folder: Path, side: int) -> Path:
    """Write the two squares of every page that hold the most handwriting as a dataset; returns its folder."""
    for number, pair in enumerate(find_pairs(data)):
        page = decode(pair)
        height, width = page.image.shape[:2]
        spots = [(y, x) for y in range(0, height - side + 1, side) for x in range(0, width - side + 1, side)]
        boxes = {(y, x): np.s_[y : y + side, x : x + side] for y, x in spots}
        ink = page.soft_mask()
        for y, x in sorted(spots, key=lambda spot: -ink[boxes[spot]].sum())[:2]:
            name = f"dehw_train_{number}_{y}_{x}.png"  # by such names tiles of a page stay together, see pairs.py
            write_image(folder / "images" / name, page.image[boxes[y, x]])
            write_image(folder / "gts" / name, page.gt[boxes[y, x]])
    return folder


def measure(home: Path, variant: Variant, args: argparse.Namespace) -> str:
    """Train both networks anew and judge them; returns the middle of a row."""
    train(home, variant, args)
    folder = home / "toy" / "weights"
    scores = {name: facts["scores"] for name, facts in weights.manifest(folder).items()}
    eraser = Eraser.load(home / "toy.yml", "cpu", folder, engine="paddle")
    pages = split(find_pairs(args.data), args.val)[1]
    judged = []
    for pair in pages:
        image = read_image(pair.image)
        judged.append(metrics.evaluate(image, read_image(pair.gt), np.asarray(eraser(image).page)))
    mean = metrics.mean(judged)
    if args.mistakes is None and next((home / "toy" / "mistakes").rglob("*.png"), None):
        args.mistakes = (home / "toy" / "mistakes").rename(home / "mistakes")
    for name in ("seg", "erase", "weights", "mistakes"):  # the bank is the same for all rows
        shutil.rmtree(home / "toy" / name, ignore_errors=True)
    known = f"{scores['seg.pdparams']['miou']:.3f} | {scores['gan.pdparams']['contest']:.4f}"
    return f"{known} | {mean.contest:.4f} | {mean.residual:.3f} | {mean.lost:.4f}"


def train(home: Path, variant: Variant, args: argparse.Namespace) -> None:
    """Train the mask network, then the generator; what they say goes to stderr."""
    shared = [f"pipeline={home / 'toy.yml'}", f"val_count={args.val}", f"seed={variant.seed}"]
    data, output = [str(args.data)], str(home)
    opts = [f"iters={args.steps}", f"save_interval={args.steps}", f"batch_size={args.batch}", "num_workers=0"]
    opts += [f"train_dataset.size={args.crops}", "train_dataset.recipes={}", *variant.opts("train_dataset")]
    opts += ["lr_scheduler.warmup_iters=20", "test_config.crop_size=[256, 256]", "test_config.stride=[256, 256]"]
    seg.train(str(ROOT / "configs/ppocr_small.yml"), [*shared, *opts], data, output, "cpu", label="seg")
    opts = [f"stage1.steps={args.steps}", f"validate_every={args.steps}", f"batch={args.batch}", "workers=0"]
    opts += [f"crops.size={args.crops}", f"crops.clean_gt={5 if variant.clean else 'null'}", "validate_mask=gt"]
    opts += variant.opts("crops") + ([f"crops.recipes.mistakes={args.mistakes}"] if args.mistakes else [])
    erase.train(str(ROOT / "configs/mtrnet.yml"), [*shared, *opts], data, output, "cpu", label="erase")


if __name__ == "__main__":
    main()
