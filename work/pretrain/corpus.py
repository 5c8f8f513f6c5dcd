"""Fill a folder with what `train.py` learns from: made-up pages, or real pairs at one height.

    python work/pretrain/corpus.py pages FOLDER --count 600 [--height 20] [--mix FILE] [--clean DIR ...] [--photos DIR]
        [--fonts DIR] [--ink DIR ...] [--pairs DIR]
    python work/pretrain/corpus.py pairs FOLDER --pairs DIR [--split train] [--heights 26 37]

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
from dehw.page.layout import measure  # noqa: E402

PRINT_HEIGHT = 20  # px; print of made-up pages, whose lines are then LINE_HEIGHT high
LINE_HEIGHT = 32  # px; crops zoom about it, up to the line_height of configs/pipelines/lite.yml and beyond


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
    """Write an array to a .npy file, which appears only when whole."""
    part = path.with_suffix(".part")
    with open(part, "wb") as file:
        np.save(file, page)
    part.replace(path)


def scale_pairs(args: argparse.Namespace) -> None:
    reader = Eraser.load(parts=()).reader
    assert reader  # lite brings pages to a line height, so it has one
    for name, page in pairs(args.pairs, args.split):
        height = measure(np.ascontiguousarray(page[..., :3]), reader).height
        for wanted in args.heights:
            size = [round(n * wanted / height) for n in page.shape[1::-1]]
            scaled = np.dstack([cv2.resize(p, size, interpolation=cv2.INTER_AREA) for p in np.split(page, (3, 6), 2)])
            save(args.folder / f"{name}_{wanted:g}.npy", scaled)


def make_pages(args: argparse.Namespace) -> None:
    mix, sources = load_mix(args.mix), find_sources(args.clean, args.ink, args.fonts, args.photos, args.drawings)
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("pages", "pairs"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--pairs", type=Path, help="real pairs: ink to cut out for pages, or what is to be scaled")
    parser.add_argument("--split", default="train", help="pairs: the split of index.csv to take")
    parser.add_argument("--heights", type=float, nargs="+", default=[0.8 * LINE_HEIGHT, 1.15 * LINE_HEIGHT])
    parser.add_argument("--mix", type=Path, default=MIX, help="what pages are mixed from")
    parser.add_argument("--clean", type=Path, nargs="*", default=[], help="folders of born-digital pages")
    parser.add_argument("--photos", type=Path, help="folder of photos and scans of print without handwriting")
    parser.add_argument("--drawings", type=Path, help="folder of pictures to print beside texts")
    parser.add_argument("--fonts", type=Path, help="folder of handwriting fonts, searched to its depths")
    parser.add_argument(
        "--ink", type=Path, nargs="*", default=[], help="folders of strokes or pieces, see `dehw synth`"
    )
    parser.add_argument("--height", type=int, default=PRINT_HEIGHT, help="pages: px of their print")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--count", type=int, default=600)
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    cv2.setNumThreads(1)
    {"pages": make_pages, "pairs": scale_pairs}[args.what](args)


if __name__ == "__main__":
    main()
