"""`dehw synth`: endless pages with handwriting, without it, and the mask of it, made up for training."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dehw.commands.arguments import at_least
from dehw.errors import ExitCode, tell

if TYPE_CHECKING:
    from dehw.data.synth.mix import PageMix
    from dehw.data.synth.sources import Sources

LEAST_HEIGHT = 8  # px of print; smaller print is too small to write beside
SHOWN = 24  # pages on a contact sheet
_sources: Sources | None = None  # of a worker process


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of `dehw synth`."""
    parser.description = (
        "Make up exam pages: DIR/images/*.jpg with handwriting, DIR/gts/*.png without, DIR/masks/*.png (white = "
        "handwriting), which train.sh takes as they are. A page depends on its number, the mix and the sources "
        "alone; pages that are there already are passed over."
    )
    add = parser.add_argument
    add("count", type=at_least(1, int), metavar="N", help="how many pages")
    add("-o", "--output", type=Path, required=True, metavar="DIR", help="where to write them")
    add("--mix", type=Path, metavar="FILE", help="what the pages are mixed from; default: configs/synth.yml")
    add("--clean", type=Path, nargs="+", default=[], metavar="DIR", help="print some from these PDFs or clean images")
    add("--photos", type=Path, metavar="DIR", help="write on some of these photos and scans of print without ink")
    add("--drawings", type=Path, metavar="DIR", help="print these pictures beside texts")
    add("--ink", type=Path, nargs="+", default=[], metavar="DIR", help="strokes, pieces or pairs to write with")
    add("--fonts", type=Path, metavar="DIR", help="handwriting fonts to write with")
    height = "height of printed characters; default: 32"
    add("--print-height", type=at_least(LEAST_HEIGHT), default=32, metavar="PX", help=height)
    add("--seed", type=at_least(0, int), default=0, help="number of the first page; default: 0")
    add("--sheet", type=Path, metavar="FILE", help=f"show the first {SHOWN} pages, handwriting tinted, in one picture")
    workers = "processes; default: one a processor core"
    add("--workers", type=at_least(1, int), default=os.cpu_count() or 1, metavar="N", help=workers)
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Make the pages, in several processes."""
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from tqdm import tqdm

    from dehw.data.synth.mix import MIX, load_mix
    from dehw.data.synth.sources import find_sources

    seeds = [seed for seed in range(args.seed, args.seed + args.count) if not _files(args.output, seed)[-1].exists()]
    start = time.perf_counter()
    mix = load_mix(args.mix or MIX)
    sources = find_sources(args.clean, args.ink, args.fonts, args.photos, args.drawings)
    make = partial(write_page, folder=args.output, print_height=args.print_height, mix=mix)
    # workers get the sources sent: reading thousands of fonts again would take each a minute, and a forked process
    # may wait for ever for OpenCV's threads, which did not come along
    with ProcessPoolExecutor(args.workers, get_context("spawn"), _keep, (sources,)) as pool:
        list(tqdm(pool.map(make, seeds), "making", len(seeds), unit="page", file=sys.stderr))
    seconds = (time.perf_counter() - start) / max(1, len(seeds))
    if args.sheet:
        write_sheet(args.sheet, args.output, range(args.seed, args.seed + min(SHOWN, args.count)))
    tell(f"{len(seeds)} pages in {args.output}, {seconds:.2f} s a page")
    return ExitCode.OK


def _keep(sources: Sources) -> None:
    import cv2

    global _sources
    _sources = sources
    cv2.setNumThreads(1)


def _files(folder: Path, seed: int) -> tuple[Path, Path, Path]:
    """Where a page's image, ground truth and mask go; the last one is written last."""
    name = f"{seed:06d}"
    return folder / "images" / f"{name}.jpg", folder / "gts" / f"{name}.png", folder / "masks" / f"{name}.png"


def write_page(seed: int, folder: Path, print_height: float, mix: PageMix) -> None:
    """Make one page and write its three files."""
    from dehw.data.synth.pages import made_up
    from dehw.files.images import write_image
    from dehw.page.masks import to_file

    assert _sources, "_keep has run in this process"
    page = made_up(seed, _sources, print_height, mix)
    for path, image in zip(_files(folder, seed), (page.image, page.gt, to_file(page.mask))):
        write_image(path, image)


def write_sheet(path: Path, folder: Path, seeds: Iterable[int]) -> None:
    """Draw made-up pages of a folder into one picture, their handwriting tinted."""
    from dehw.files.images import read_image, read_mask, write_image
    from dehw.files.panels import contact_sheet, tint

    files = [_files(folder, seed) for seed in seeds]
    pages = [tint(read_image(image), read_mask(mask) > 0) for image, _, mask in files]
    write_image(path, contact_sheet(pages, columns=6, width=480))
