"""The command line: dehw erase | evaluate | models. Libraries are imported where they are used."""

import argparse
import math
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dehw import __version__
from dehw.errors import DehwError, ExitCode, InputError

if TYPE_CHECKING:
    from dehw.eraser import Eraser
    from dehw.metrics import Scores
    from dehw.pages import Page

INTERRUPTED = 130  # what shells report for a program that Ctrl-C ended
COLUMNS = ("psnr", "msssim", "contest", "residual", "lost", "touched")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `dehw` with its arguments and return the exit code (dehw.errors.ExitCode)."""
    args = _parser().parse_args(argv)
    return guarded(lambda: args.command(args))


def guarded(command: Callable[[], int]) -> int:
    """Run a command; an error that the user can act on ends in its message on stderr and its exit code."""
    try:
        return int(command())
    except DehwError as error:
        print(f"dehw: {error}", file=sys.stderr)
        return int(error.exit_code)
    except MemoryError:
        print("dehw: not enough memory; set a smaller batch in the pipeline's file", file=sys.stderr)
        return int(ExitCode.MEMORY)
    except KeyboardInterrupt:
        print("dehw: stopped; the pages done so far are whole", file=sys.stderr)
        return INTERRUPTED


def erase(args: argparse.Namespace) -> int:
    """Erase pages to files. Every name is checked before the networks are loaded."""
    from dehw.eraser import Eraser
    from dehw.pages import find_pages, for_each

    pages = find_pages(args.pages, ignore=own_outputs(args.pages, args.output))
    targets = plan(pages, args.output, args.overwrite)
    eraser = Eraser.load(args.pipeline, args.device, args.weights)
    empty = []

    def work(page: "Page") -> None:
        if not erase_file(eraser, page.path, targets[page]):
            empty.append(page)

    failed = for_each(pages, work, "erasing")
    done = len(pages) - len(failed) - len(empty)
    summary = f"{done} pages erased, {len(empty)} without handwriting copied, {len(failed)} failed"
    print(f"dehw: {summary}", file=sys.stderr)
    return ExitCode.FAILED if failed else ExitCode.OK


def erase_file(eraser: "Eraser", source: Path, target: Path) -> bool:
    """Erase one page's file; one without handwriting is copied byte for byte. Returns whether it had any."""
    from dehw.pages import copy_page, read_image, read_metadata, write_image

    erased = eraser(read_image(source))
    if not erased.mask.any():
        copy_page(source, target)
        return False
    write_image(target, erased.page, metadata=read_metadata(source))
    return True


def own_outputs(inputs: Sequence[Path], output: Path | None) -> Callable[[Path], bool]:
    """A test for what an earlier run wrote: *.clean.*, and all in an output folder inside an input folder."""
    inside = None
    if output and any(path.resolve() in output.resolve().parents for path in inputs):
        inside = output.resolve()
    return lambda path: path.stem.endswith(".clean") or inside in path.resolve().parents


def plan(pages: Sequence["Page"], output: Path | None, overwrite: bool) -> dict["Page", Path]:
    """Where each page goes: its relative path under `output`, or STEM.clean.SUFFIX beside it.

    Raises InputError where two pages would end in one file, an original would be replaced, or, without
    `overwrite`, any file.
    """
    targets = [
        output / page.relative if output else page.path.with_name(f"{page.path.stem}.clean{page.path.suffix}")
        for page in pages
    ]
    originals = {page.path.resolve() for page in pages}
    counts = Counter(target.resolve() for target in targets)
    problems = []
    for page, target in zip(pages, targets):
        if target.resolve() in originals:
            problems.append(f"{page.path}: {target} would replace an original; choose another folder with -o")
        elif counts[target.resolve()] > 1:
            problems.append(f"{page.path}: another page would end in {target} too; erase them in two runs")
        elif target.exists() and not overwrite:
            problems.append(f"{page.path}: {target} is there already; give --overwrite or another -o")
    if problems:
        raise InputError("nothing was erased:\n  " + "\n  ".join(problems))
    return dict(zip(pages, targets))


def evaluate(args: argparse.Namespace) -> int:
    """Print the metrics of a folder of predictions, a row a page and their mean."""
    from tqdm import tqdm

    from dehw import metrics

    rows = []
    for files in tqdm(partners(args), desc="evaluating", unit="page", file=sys.stderr):
        rows.append((files["image"].stem, judge(**files)))
    print(table([*rows, ("mean", metrics.mean([scores for _, scores in rows]))]))
    return ExitCode.OK


def partners(args: argparse.Namespace) -> list[dict[str, Path]]:
    """The files of each page by stem: image, gt, out and, where given, ink and valid, all of one size.

    Raises InputError that lists every missing partner, unreadable file and unequal size.
    """
    from dehw.data.pairs import match, size_problems

    folders = {"gt": args.gts, "out": args.predictions, "ink": args.masks, "valid": args.valid}
    pages: dict[Path, dict[str, Path]] = {}
    problems = []
    for role, folder in folders.items():
        if folder is None:
            continue
        pairs, wrong = match(args.images, folder)
        problems += wrong + size_problems(pairs)
        for pair in pairs:
            pages.setdefault(pair.image, {"image": pair.image})[role] = pair.gt
    problems += [] if pages else [f"{args.images}: no pages in this folder"]
    if problems:
        listed = "\n  ".join(dict.fromkeys(problems))
        raise InputError(f"the pages do not fit together:\n  {listed}\nGive each page one file a folder.")
    return list(pages.values())


def judge(image: Path, gt: Path, out: Path, ink: Path | None = None, valid: Path | None = None) -> "Scores":
    """The scores of one page's files; ink and valid are masks, 255 = handwriting, or trusted."""
    from dehw import masks, metrics
    from dehw.pages import read_image, read_mask

    pages = [read_image(path) for path in (image, gt, out)]
    given = [masks.threshold(read_mask(path), 0.5) if path else None for path in (ink, valid)]
    return metrics.evaluate(*pages, ink=given[0], valid=given[1])


def table(rows: Sequence[tuple[str, "Scores"]]) -> str:
    """Scores as aligned text, a header first; what is undefined shows as a dash."""
    width = max(len(name) for name, _ in rows)
    lines = [" ".join(["page".ljust(width), *(f"{column:>8}" for column in COLUMNS)])]
    for name, scores in rows:
        values = [getattr(scores, column) for column in COLUMNS]
        digits = [2 if column == "psnr" else 4 for column in COLUMNS]
        cells = ["-" if math.isnan(value) else f"{value:.{places}f}" for value, places in zip(values, digits)]
        lines.append(" ".join([name.ljust(width), *(f"{cell:>8}" for cell in cells)]))
    return "\n".join(lines)


def models(args: argparse.Namespace) -> int:
    """Print each network, or each network of a pipeline, with its size and its work on a 512x512 page."""
    from dehw.config import NetworkConfig, load_pipeline
    from dehw.models import MODELS, build, summary

    networks = [NetworkConfig(type=name, weights="") for name in MODELS]
    if args.pipeline:
        pipeline = load_pipeline(args.pipeline)
        networks = [*([pipeline.segment.network] if pipeline.segment else []), *pipeline.erase.networks]
    print(f"{'network':16} {'parameters':>12} {'GMACs':>8}  (learnable; one 512x512 page)")
    for network in networks:
        parameters, gmacs = summary(build(network), 512)
        print(f"{network.type:16} {parameters:12,} {gmacs:8.1f}  {network.weights}".rstrip())
    return ExitCode.OK


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="dehw", description="Erase handwriting from exam pages.")
    parser.add_argument("--version", action="version", version=f"dehw {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_erase(commands.add_parser("erase", help="erase the handwriting of pages"))
    _add_evaluate(commands.add_parser("evaluate", help="measure erased pages against the true ones"))
    listing = commands.add_parser("models", help="list the networks, their parameters and GMACs")
    listing.add_argument("--pipeline", help="list this pipeline's networks only")
    listing.set_defaults(command=models)
    return parser


def _add_erase(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Erase the handwriting of pages. Without -o, STEM.clean.SUFFIX is written beside each page. "
        "In folders, files named *.clean.* are passed over. Exit codes: 0 done, 1 some pages failed, "
        "2 bad input, 3 weights, 4 memory, 5 device, 130 stopped."
    )
    add = parser.add_argument
    add("pages", nargs="+", type=Path, metavar="PAGE|FOLDER", help="images, or folders of them")
    add("-o", "--output", type=Path, metavar="DIR", help="keep relative paths and names under DIR")
    add("--pipeline", default="lite", help="name in configs/pipelines, or a file; default: %(default)s")
    add("--weights", type=Path, metavar="DIR", help="folder of weights, in place of the ones that ship")
    add("--device", choices=("auto", "cpu", "gpu"), default="auto", help="default: %(default)s")
    add("--overwrite", action="store_true", help="replace outputs that are there already")
    parser.set_defaults(command=erase)


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.description = "Compare erased pages with the true ones; partners are found by stem."
    parser.add_argument("images", type=Path, help="folder of pages with handwriting")
    parser.add_argument("gts", type=Path, help="folder of the same pages without")
    parser.add_argument("predictions", type=Path, help="folder of the pages erased")
    parser.add_argument("--masks", type=Path, metavar="DIR", help="handwriting = 255; else by difference")
    parser.add_argument("--valid", type=Path, metavar="DIR", help="trusted pixels = 255; else all")
    parser.set_defaults(command=evaluate)


if __name__ == "__main__":
    sys.exit(main())
