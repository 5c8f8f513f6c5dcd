"""Measure how many training crops one worker cuts per second of its CPU's time, and print a table.

python -m tools.crops                     made-up pages of 3 and 15 megapixels
python -m tools.crops --data DIR          the pairs below DIR instead
python -m tools.crops --recipes           the time of each step of the recipes, and of all of them at once
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from dehw.config.reader import validate
from dehw.data.crops import CropSettings, CropStream, decode
from dehw.data.materials import cut_pieces
from dehw.data.pairs import Pair, find_pairs
from dehw.data.recipes import STEPS, Recipes
from dehw.files.images import image_size, write_image

SETTINGS = "| pages | decoding a pair, s | crops a page | buffer | crops/s a worker |\n|---|---|---|---|---|"
RECIPES = "| pages | recipes, each with probability 1 | crops/s a worker |\n|---|---|---|"
SIZES = ((2000, 1500), (4628, 3300))  # height, width: an ordinary page, and the largest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", metavar="DIR", help="folder with images/ and gts/")
    parser.add_argument("--recipes", action="store_true", help="measure the recipes, each at probability 1")
    parser.add_argument("--crops", type=int, default=128, help="crops per measurement (default: %(default)s)")
    args = parser.parse_args()
    cv2.setNumThreads(1)  # as in a worker
    title, row = (RECIPES, measure_recipes) if args.recipes else (SETTINGS, measure)
    print(title)
    if args.data:
        row(find_pairs(args.data), args.crops)
        return
    for height, width in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            row(make_pairs(Path(folder), 10, height, width), args.crops)


def measure(pairs: list[Pair], crops: int) -> None:
    """Print a row of the table for each of a few settings."""
    height, width = image_size(pairs[0].image)
    started = time.process_time()
    decode(pairs[0])
    decoding = time.process_time() - started
    for per_page in (1, 8, 16):
        settings = replace(CropSettings(), crops_per_page=per_page)
        rate = crops_per_second(pairs, settings, crops)
        print(f"| {width}x{height} | {decoding:.2f} | {per_page} | {settings.buffer} | {rate:.1f} |", flush=True)


def measure_recipes(pairs: list[Pair], crops: int) -> None:
    """Print a row of the table for each step alone, for none and for all of them."""
    height, width = image_size(pairs[0].image)
    with tempfile.TemporaryDirectory() as folder:
        page = decode(pairs[0])
        for number, piece in enumerate(cut_pieces(page.image, page.gt, page.soft_mask() >= 0.5)):
            write_image(Path(folder, f"{number}.png"), piece)
        sets = {"none": [], **{name: [name] for name in STEPS}, "all": list(STEPS)}
        for name, steps in sets.items():
            recipes = validate({"materials": folder, **dict.fromkeys(steps, 1.0)}, Recipes, "tools.crops")
            rate = crops_per_second(pairs, CropSettings(recipes=recipes), crops)
            print(f"| {width}x{height} | {name} | {rate:.1f} |", flush=True)


def crops_per_second(pairs: list[Pair], settings: CropSettings, crops: int) -> float:
    """Crops per second of CPU time, once the buffer turns over as it does later on."""
    stream = CropStream(pairs, settings, seed=0)
    first = settings.buffer * settings.crops_per_page
    for n in range(first):
        stream[n]
    started = time.process_time()
    for n in range(first, first + crops):
        stream[n]
    return crops / (time.process_time() - started)


def make_pairs(folder: Path, count: int, height: int, width: int) -> list[Pair]:
    """Write pairs that cost about as much to decode as scans: print, strokes of ink, a little noise."""
    rng = np.random.default_rng(0)
    for number in range(count):
        gt = np.full((height, width, 3), 245, np.uint8)
        for y in range(60, height, 48):
            text = "".join(map(chr, rng.integers(33, 127, width // 20)))
            cv2.putText(gt, text, (40, y), cv2.FONT_HERSHEY_SIMPLEX, 0.9, (30, 30, 30), 2, cv2.LINE_AA)
        image = gt.copy()
        for _ in range(height * width // 30_000):
            stroke = rng.integers(0, (width, height)) + np.cumsum(rng.integers(-15, 16, (12, 2)), 0)
            cv2.polylines(image, [stroke.astype(np.int32)], False, (40, 40, 160), 3, cv2.LINE_AA)
        noise = rng.integers(-3, 4, (height, width, 1), np.int16)
        for name, page in ((f"images/{number}.jpg", image), (f"gts/{number}.png", gt)):
            write_image(folder / name, (page + noise).clip(0, 255).astype(np.uint8))
    return find_pairs(folder)


if __name__ == "__main__":
    main()
