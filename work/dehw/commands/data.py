"""`dehw materials` and `dehw recipes`: what training data is made with, and what is done to it."""

import argparse
import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dehw.commands.arguments import at_least
from dehw.errors import ExitCode, InputError

if TYPE_CHECKING:
    import numpy as np

    from dehw.data.pairs import Pair
    from dehw.files.find import InputFile
    from dehw.page.layout import Reader


def materials(args: argparse.Namespace) -> int:
    """Cut the handwriting of training pages, and of further scans, into a folder of pieces."""
    from dehw.files.find import for_each
    from dehw.files.images import write_image

    if args.output.is_dir() and any(args.output.iterdir()):
        raise InputError(f"{args.output} is not empty; choose another folder with -o, or remove this one.")
    sources = ink_sources(args)
    numbers = []

    def work(page: "InputFile") -> None:
        pieces = sources[page]()
        for number, piece in enumerate(pieces):
            write_image(args.output / page.relative.with_name(f"{page.relative.name}_{number}.png"), piece)
        numbers.append(len(pieces))

    failed = for_each(list(sources), work, "cutting")
    summary = f"{sum(numbers)} pieces of {len(numbers)} pages in {args.output}, {len(failed)} pages failed"
    print(f"dehw: {summary}", file=sys.stderr)
    return ExitCode.FAILED if failed else ExitCode.OK


def ink_sources(args: argparse.Namespace) -> dict["InputFile", Callable[[], "list[np.ndarray]"]]:
    """What cuts the pieces of each page; its `relative` is the place and stem they get in the output.

    Raises InputError where two pages would write the same files.
    """
    from dehw.data.crops import decode, scaled
    from dehw.data.materials import PRINT_HEIGHT, REACH, cut_pieces, cut_scan
    from dehw.data.pairs import find_pairs, split
    from dehw.files.find import InputFile, find_pages
    from dehw.files.images import read_image
    from dehw.page import layout
    from dehw.page.masks import threshold

    reader = _reader(args.line_height)
    reach = REACH
    if args.line_height is not None:
        reach = max(1, round(REACH * args.line_height / layout.LEADING / PRINT_HEIGHT))

    def of_pair(pair: "Pair") -> "list[np.ndarray]":
        page = decode(scaled(pair, args.line_height, reader))
        return cut_pieces(page.image, page.gt, threshold(page.soft_mask(), 0.5), reach)

    def of_scan(path: Path) -> "list[np.ndarray]":
        return cut_scan(read_image(path), args.ink_scale)

    pairs = split(find_pairs(args.data), args.val_count)[0] if args.data else []
    sources = [(InputFile(p.image, Path(p.image.parents[1].name, p.stem)), partial(of_pair, p)) for p in pairs]
    for folder in args.ink:
        for page in find_pages([folder]):
            place = Path(folder.resolve().name, page.relative.with_suffix(""))
            sources.append((InputFile(page.path, place), partial(of_scan, page.path)))
    if not sources:
        raise InputError("name DATA, folders with images/ and gts/, or --ink and folders of handwriting.")
    counts = Counter(page.relative for page, _ in sources)
    doubles = [f"{page.path}: another page is {page.relative} too" for page, _ in sources if counts[page.relative] > 1]
    if doubles:
        raise InputError("cut these in several runs, to folders of one parent:\n  " + "\n  ".join(doubles))
    return dict(sources)


def recipes(args: argparse.Namespace) -> int:
    """Write the picture that shows what each step of the training crops' recipes does."""
    from dehw.data.crops import CropSettings, scaled
    from dehw.data.figures import recipe_sheet
    from dehw.data.pairs import find_pairs
    from dehw.data.recipes import Recipes
    from dehw.files.images import write_image

    settings = CropSettings(size=args.size, recipes=Recipes(materials=args.materials))
    pairs = find_pairs(args.data)
    if args.output.resolve() in {path.resolve() for pair in pairs for path in (pair.image, pair.gt)}:
        raise InputError(f"{args.output} is one of the pages; choose another file with -o.")
    reader = _reader(args.line_height)
    pairs = [scaled(pair, args.line_height, reader) for pair in pairs]
    write_image(args.output, recipe_sheet(pairs, settings, args.seed, args.line_height))
    print(f"dehw: {args.output}", file=sys.stderr)
    return ExitCode.OK


def _reader(line_height: float | None) -> "Reader | None":
    """What reads pages that are to be brought to a line height; none is needed where they are taken as they are."""
    from dehw.config import load_pipeline
    from dehw.engine import pick

    return None if line_height is None else pick.reader(load_pipeline("lite"), None, pick.engine())


def add_materials(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `dehw materials`."""
    parser.description = (
        "Cut the handwriting out of page pairs and of further scans: one PNG a word or line, its ink on white "
        "paper, its mask as transparency. Trainings paste it by the keys recipes.materials and recipes.handwriting."
    )
    add = parser.add_argument
    add("data", nargs="*", type=Path, metavar="DATA", help="folders with images/ and gts/, or that hold such")
    add("--ink", nargs="+", type=Path, default=[], metavar="DIR", help="folders of handwriting without print")
    add("--ink-scale", type=at_least(0.01), default=1.0, metavar="F", help="factor to resize these by")
    add("-o", "--output", type=Path, required=True, metavar="DIR", help="folder for the pieces, new or empty")
    add(
        "--val-count",
        type=at_least(0, int),
        default=81,
        metavar="N",
        help="leave out the pages a training validates by",
    )
    add("--line-height", type=at_least(1), metavar="PX", help="as the pipeline's that is trained; default: null")
    parser.set_defaults(command=materials)


def add_recipes(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `dehw recipes`."""
    parser.description = (
        "Show each step that a training's recipes (crops.recipes, train_dataset.recipes) may do to a crop: the "
        "crop before it, and image, ground truth and mask after it."
    )
    add = parser.add_argument
    add("data", nargs="+", type=Path, metavar="DATA", help="folders with images/ and gts/, or that hold such")
    add("-o", "--output", type=Path, default=Path("recipes.png"), metavar="PNG", help="default: %(default)s")
    add("--materials", metavar="DIR", help="what `dehw materials` wrote; without, no handwriting is pasted")
    add("--size", type=at_least(16, int), default=512, metavar="PX", help="side of the crops; default: %(default)s")
    add("--line-height", type=at_least(1), metavar="PX", help="as the pipeline's that is trained; default: null")
    add("--seed", type=at_least(0, int), default=0, help="default: %(default)s")
    parser.set_defaults(command=recipes)
