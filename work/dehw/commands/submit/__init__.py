"""`dehw submit` and its two steps: masks to segoutput/, then pages, readme.txt and a flat result.zip to submit/."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dehw.engine import DEVICES, ENGINES
from dehw.errors import ExitCode, tell

if TYPE_CHECKING:
    from dehw.commands.submit.choice import Choice
    from dehw.eraser import Eraser
    from dehw.files.find import InputFile


def run(args: argparse.Namespace) -> int:
    """Both of the contest's steps: masks to segoutput/, then pages and result.zip to submit/, whose path is printed."""
    from dehw.commands.submit import files

    segoutput, submit = args.root / "segoutput", args.root / "submit"
    pages, choice = _prepare(args, segoutput, submit)
    failed = []
    if choice.pipeline.segment:
        failed = files.write_masks(pages, choice, _load(choice, args, "segment"), segoutput)
    failed += files.write_pages(pages, choice, _load(choice, args, "erase"), segoutput, submit)
    print(submit / "result.zip")
    return ExitCode.FAILED if failed else ExitCode.OK


def masks_command(argv: Sequence[str] | None = None) -> int:
    """The contest's first step: masks of all pages to segoutput/."""
    from dehw.commands.submit import files

    parser = _parser("write the handwriting mask of each page to OUTPUT/STEM.png, 255 = handwriting")
    parser.add_argument("--output", type=Path, default=Path("segoutput"), help="default: %(default)s")
    args = parser.parse_args(argv)
    pages, choice = _prepare(args, args.output)
    if choice.pipeline.segment is None:
        tell(f"pipeline {choice.pipeline.name} uses no masks: nothing to do")
        return ExitCode.OK
    eraser = _load(choice, args, "segment")
    return ExitCode.FAILED if files.write_masks(pages, choice, eraser, args.output) else ExitCode.OK


def pages_command(argv: Sequence[str] | None = None) -> int:
    """The contest's second step: erased pages, readme.txt and result.zip to submit/."""
    from dehw.commands.submit import files

    parser = _parser("erase each page by its mask to OUTPUT/STEM.png, then write readme.txt and result.zip")
    parser.add_argument("--masks", type=Path, default=Path("segoutput"), help="default: %(default)s")
    parser.add_argument("--output", type=Path, default=Path("submit"), help="default: %(default)s")
    args = parser.parse_args(argv)
    pages, choice = _prepare(args, args.output, masks=args.masks)
    eraser = _load(choice, args, "erase")
    failed = files.write_pages(pages, choice, eraser, args.masks, args.output)
    return ExitCode.FAILED if failed else ExitCode.OK


def _parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    _add_shared(parser)
    parser.set_defaults(by_mask=True)  # the first seed's scripts: a newer training of the second's is not for them
    return parser


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `dehw submit`."""
    parser.description = (
        "Erase the handwriting of pages and pack the contest's submit/result.zip: masks go to segoutput/, pages and "
        "readme.txt to submit/. Exit code 1: some pages could not be read and are named; the others are in the zip."
    )
    _add_shared(parser)
    parser.set_defaults(command=run, by_mask=False)


def _add_shared(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("pages", nargs="*", type=Path, help="default: the contest's test set, else data/sample/images")
    add("--pipeline", help="name or file; default: the newest complete training in output/, else the one that ships")
    add("--weights", type=Path, metavar="DIR", help="folder of weights, in place of the ones that ship")
    add("--device", choices=DEVICES, default="auto", help="default: %(default)s")
    add("--engine", choices=ENGINES, default="auto", help="what runs the networks; default: %(default)s")
    add("--root", type=Path, default=Path("."), help=argparse.SUPPRESS)  # what data/, output/ and the results are below


def _prepare(args: argparse.Namespace, *outputs: Path, masks: Path | None = None) -> "tuple[list[InputFile], Choice]":
    """The pages and the pipeline to run, checked before any network is loaded; says which and why.

    outputs: the folders to write to. masks: the one to read masks from.
    """
    from dehw.commands.submit.choice import choose_pipeline
    from dehw.commands.submit.files import check_outputs, default_pages, require_good_stems
    from dehw.files.find import find_pages

    pages = find_pages(args.pages) if args.pages else default_pages(args.root / "data")
    require_good_stems(pages)
    check_outputs(pages, outputs, masks)
    choice = choose_pipeline(args.root / "output", args.pipeline, args.weights, args.by_mask)
    tell(f"{len(pages)} pages; pipeline {choice.pipeline.name}: {choice.why}")
    return pages, choice


def _load(choice: "Choice", args: argparse.Namespace, part: str) -> "Eraser":
    from dehw.eraser import Eraser

    eraser = Eraser.load(choice.pipeline, args.device, choice.weights, parts=[part], engine=args.engine)
    tell(f"engine {eraser.engine}")
    return eraser
