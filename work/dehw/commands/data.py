"""`dehw materials` and `dehw recipes`: what training data is made with, and what is done to it."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dehw.commands.arguments import at_least
from dehw.errors import ExitCode, InputError, PageError, tell

if TYPE_CHECKING:
    from dehw.data.pairs import Pair
    from dehw.page.layout import Reader


def materials(args: argparse.Namespace) -> int:
    """Cut the handwriting of training pages, and of further scans, into a folder of pieces."""
    from dehw.data import bank
    from dehw.data.crops import scaled
    from dehw.data.mask_files import workers
    from dehw.data.pairs import find_pairs, split

    if not args.data and not args.ink:
        raise InputError("name DATA, folders with images/ and gts/, or --ink and folders of handwriting.")
    pairs = split(find_pairs(args.data), args.val_count)[0] if args.data else []
    reader = _reader(args.line_height)

    def measured(pair: "Pair") -> "Pair":
        try:
            return scaled(pair, args.line_height, reader)
        except PageError:  # which cutting it will name
            return pair

    pairs = [measured(pair) for pair in pairs]
    pieces = bank.handwriting(args.output, pairs, args.ink, args.line_height, args.ink_scale)
    begun = pieces.index.is_file() and not pieces.is_of_another_kind and not pieces.gone
    if not begun and args.output.is_dir() and any(args.output.iterdir()):
        raise InputError(f"{args.output} is not empty, and not of these pages; choose another folder, or remove it.")
    failures = pieces.renew(workers())
    for failure in failures:
        tell(failure)
    summary = f"{pieces.pieces} pieces of {len(pieces.pages)} pages in {args.output}, {len(failures)} pages failed"
    tell(summary)
    return ExitCode.FAILED if failures else ExitCode.OK


def recipes(args: argparse.Namespace) -> int:
    """Write the picture that shows what each step of the training crops' recipes does."""
    from dehw.config import validate
    from dehw.data.crops import CropSettings, scaled
    from dehw.data.figures import recipe_sheet
    from dehw.data.pairs import find_pairs
    from dehw.files.images import write_image

    folders = {"materials": args.materials, "mistakes": args.mistakes}
    settings = validate({"size": args.size, "recipes": folders}, CropSettings, "dehw recipes")
    pairs = find_pairs(args.data)
    if args.output.resolve() in {path.resolve() for pair in pairs for path in (pair.image, pair.gt)}:
        raise InputError(f"{args.output} is one of the pages; choose another file with -o.")
    reader = _reader(args.line_height)
    pairs = [scaled(pair, args.line_height, reader) for pair in pairs]
    write_image(args.output, recipe_sheet(pairs, settings, args.seed, args.line_height))
    tell(str(args.output))
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
        "paper, its mask as transparency. Trainings paste it by the keys recipes.materials and recipes.handwriting. "
        "The same command goes on after a cut, and cuts pages again that changed."
    )
    add = parser.add_argument
    add("data", nargs="*", type=Path, metavar="DATA", help="folders with images/ and gts/, or that hold such")
    add("--ink", nargs="+", type=Path, default=[], metavar="DIR", help="folders of handwriting without print")
    add("--ink-scale", type=at_least(0.01), default=1.0, metavar="F", help="factor to resize these by")
    add("-o", "--output", type=Path, required=True, metavar="DIR", help="folder for the pieces")
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
    add("--mistakes", metavar="DIR", help="print that a segmenter took for handwriting; without, some is drawn")
    add("--size", type=at_least(16, int), default=512, metavar="PX", help="side of the crops; default: %(default)s")
    add("--line-height", type=at_least(1), metavar="PX", help="as the pipeline's that is trained; default: null")
    add("--seed", type=at_least(0, int), default=0, help="default: %(default)s")
    parser.set_defaults(command=recipes)
