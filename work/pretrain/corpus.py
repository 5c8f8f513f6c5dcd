"""Fill a folder with what `train.py` learns from: made-up pages, the hard parts of them, or real pairs at one height.

    python work/pretrain/corpus.py pages FOLDER --count 600 [--height 20] [--mix FILE] [--clean DIR ...] [--photos DIR]
        [--fonts DIR] [--ink DIR ...] [--pairs DIR]
    python work/pretrain/corpus.py pairs FOLDER --pairs DIR [--split train] [--heights 16 23]
    python work/pretrain/corpus.py hard FOLDER --made DIR [--weights DIR]

A page is one .npy as `pages.py` reads it. Pages are named by their seed: what is there already is passed over,
and several processes may fill one folder with seeds of their own (--first).
"""

from __future__ import annotations

import argparse
import csv
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from dehw.data import materials  # noqa: E402
from dehw.data.synth.mix import MIX, load_mix  # noqa: E402
from dehw.data.synth.pages import made_up  # noqa: E402
from dehw.data.synth.sources import find_sources  # noqa: E402
from dehw.eraser import Eraser  # noqa: E402
from dehw.files.images import opened  # noqa: E402
from dehw.page import masks  # noqa: E402
from dehw.page.layout import dark_pixels, print_height  # noqa: E402

LITE_HEIGHT = 20  # px; print_height of configs/pipelines/lite.yml, which these networks work at
HARD_SIDE = 640  # px of a window that is hard: the largest that a crop of 448 px is taken from
HARD_PIXELS = 60  # of print taken or ink missed in a window, at the least


def read(path: Path) -> np.ndarray:
    """(H, W, 3) uint8 RGB, or (H, W) where the file is grey."""
    with opened(path) as image:
        return np.array(image.convert("L" if image.mode in ("1", "L") else "RGB"))


def pairs(folder: Path, split: str) -> list[tuple[str, np.ndarray]]:
    """The pages (H, W, 8) of one split of a folder with images/, gts/, mask/, valid/ and index.csv."""
    with open(folder / "index.csv", newline="", encoding="utf-8") as file:
        names = [row["id"] for row in csv.DictReader(file) if row["split"] == split]
    parts = ("images", "gts", "mask", "valid")
    return [(name, np.dstack([read(next((folder / p).glob(f"{name}.*"))) for p in parts])) for name in names]


def save(path: Path, page: np.ndarray) -> None:
    part = path.with_suffix(".part")
    with open(part, "wb") as file:
        np.save(file, page)
    part.replace(path)


def scale_pairs(args: argparse.Namespace) -> None:
    for name, page in pairs(args.pairs, args.split):
        height = print_height(np.ascontiguousarray(page[..., :3])) or LITE_HEIGHT
        for wanted in args.heights:
            size = [round(n * wanted / height) for n in page.shape[1::-1]]
            scaled = np.dstack([cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in np.split(page, (3, 6), 2)])
            save(args.folder / f"{name}_{wanted:g}.npy", scaled)


def make_pages(args: argparse.Namespace) -> None:
    mix, sources = load_mix(args.mix), find_sources(args.clean, args.ink, args.fonts, args.photos)
    pieces = [
        piece
        for _, page in (pairs(args.pairs, "train") if args.pairs else [])
        for piece in materials.cut_ink(page[..., :3], page[..., 3:6], page[..., 6] > 127)
    ]
    bank, writer = sources.bank, [pieces] if pieces else []  # most of the pairs are by one writer
    bank = replace(bank, pieces=[*bank.pieces, *pieces], writers=[*bank.writers, *writer])
    sources = sources._replace(bank=bank)
    for seed in range(args.first, args.first + args.count):
        path = args.folder / f"{seed:06d}.npy"
        if not path.exists():
            page = made_up(seed, sources, args.height, mix)
            save(path, np.dstack([page.image, page.gt, page.mask.astype(np.uint8) * 255]))


def wrong_pixels(page: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Print that a mask (H, W) bool takes and ink that it misses, of a page (H, W, 7): (H, W) bool."""
    dark, dark_print = (dark_pixels(np.ascontiguousarray(page[..., c : c + 3])) > 0 for c in (0, 3))
    ink = page[..., 6] > 127
    return (dark_print & mask & ~masks.dilate(ink, 11)) | (dark & ~dark_print & ink & ~mask)


def hard_windows(wrong: np.ndarray, side: int, most: int = 3) -> list[tuple[slice, slice]]:
    """The windows, apart from each other, that hold the most wrong pixels; none with fewer than HARD_PIXELS."""
    found, wrong = [], wrong.astype(np.float32)
    for _ in range(most):
        count = cv2.boxFilter(wrong, -1, (side, side), normalize=False, borderType=cv2.BORDER_CONSTANT)
        y, x = np.unravel_index(count.argmax(), count.shape)
        if count[y, x] < HARD_PIXELS:
            break
        starts = (min(max(0, c - side // 2), max(0, n - side)) for c, n in zip((y, x), wrong.shape))
        found.append(tuple(slice(start, start + side) for start in starts))
        wrong[found[-1]] = 0
    return found


def keep_hard(args: argparse.Namespace) -> None:
    """Cut out of made-up pages the windows in which the weights as they are err."""
    eraser = Eraser.load(weights=args.weights, parts=("segment",))
    for path in sorted(args.made.glob("*.npy")):
        if any(args.folder.glob(f"{path.stem}_*.npy")):
            continue
        page = np.load(path)
        image = np.ascontiguousarray(page[..., :3])
        prepared = eraser.prepare(image)
        mask = eraser.mask(eraser.segment(prepared), prepared)
        for i, window in enumerate(hard_windows(wrong_pixels(page, mask), HARD_SIDE)):
            save(args.folder / f"{path.stem}_{i}.npy", page[window])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("pages", "pairs", "hard"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", type=Path, help="real pairs: ink to cut out for pages, or what is to be scaled")
    parser.add_argument("--split", default="train", help="pairs: the split of index.csv to take")
    parser.add_argument("--heights", type=float, nargs="+", default=[0.8 * LITE_HEIGHT, 1.15 * LITE_HEIGHT])
    parser.add_argument("--mix", type=Path, default=MIX, help="what pages are mixed from")
    parser.add_argument("--clean", type=Path, nargs="*", default=[], help="folders of born-digital pages")
    parser.add_argument("--photos", type=Path, help="folder of photos and scans of print without handwriting")
    parser.add_argument("--fonts", type=Path, help="folder of handwriting fonts, searched to its depths")
    parser.add_argument(
        "--ink", type=Path, nargs="*", default=[], help="folders of strokes or pieces, see `dehw synth`"
    )
    parser.add_argument("--made", type=Path, help="hard: folder of made-up pages")
    parser.add_argument("--weights", type=Path, help="hard: folder of weights, in place of the ones that ship")
    parser.add_argument("--height", type=int, default=LITE_HEIGHT, help="pages: px of their print")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=600)
    args = parser.parse_args()
    if args.what == "hard" and not args.made:
        parser.error("hard looks for windows in made-up pages; name their folder by --made")
    args.folder.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    {"pages": make_pages, "pairs": scale_pairs, "hard": keep_hard}[args.what](args)


if __name__ == "__main__":
    main()
