"""The command line: a function a command, or a module of its own. Imports libraries where used."""

import argparse
import math
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from dehw import __version__, bench, doctor, serve, synthesize
from dehw.errors import DehwError, ExitCode, InputError

if TYPE_CHECKING:
    import numpy as np

    from dehw.data.pairs import Pair
    from dehw.eraser import Eraser
    from dehw.metrics import Scores
    from dehw.pages import Page

INTERRUPTED = 130  # what shells report for a program that Ctrl-C ended
FORMATS = ("jpg", "png", "webp", "bmp", "tif", "heic", "pdf")  # as dehw.documents.FORMATS, which imports libraries
ENGINES = ("auto", "paddle", "openvino", "onnxruntime")  # as dehw.engine.ENGINES, likewise
SIDES = ("mask", "compare", "ink")  # as dehw.sidefiles.MAKERS, likewise
COLUMNS = ("psnr", "msssim", "contest", "residual", "lost", "touched")


def main(argv: Sequence[str] | None = None) -> int:
    """Run `dehw` with its arguments and return the exit code (dehw.errors.ExitCode)."""
    args = _parser().parse_args(argv)
    warnings.filterwarnings("ignore", "No ccache found")  # Paddle looks for a compiler cache; nothing is compiled here
    return guarded(lambda: args.command(args))


def guarded(command: Callable[[], int]) -> int:
    """Run a command; an error that the user can act on ends in its message on stderr and its exit code."""
    try:
        return int(command())
    except DehwError as error:
        print(f"dehw: {error}", file=sys.stderr)
        return int(error.exit_code)
    except MemoryError:
        remedy = "close other programs, or give pages of fewer pixels; `dehw doctor` says how much is free"
        print(f"dehw: not enough memory; {remedy}", file=sys.stderr)
        return int(ExitCode.MEMORY)
    except KeyboardInterrupt:
        print("dehw: stopped; the pages done so far are whole", file=sys.stderr)
        return INTERRUPTED


def erase(args: argparse.Namespace) -> int:
    """Erase documents to files. Every name is checked before the networks are loaded."""
    from dehw import batch, progress

    if args.in_place and (args.output or args.format or args.resume):
        raise InputError("--in-place keeps each file's name and kind, and no trace of what is done: drop the others")
    found, unknown = batch.find_documents(args.pages, batch.own_outputs(args.pages, args.output, args.report))
    for path in unknown:
        print(f"dehw: {path}: passed over, not a kind of file that can be read", file=sys.stderr)
    sides = [side for side in SIDES if getattr(args, side)]
    jobs, finished = batch.plan(found, args.output, args.format, args.in_place, args.overwrite, args.resume, sides)
    named = {path.resolve() for job in [*jobs, *finished] for path in (job.source, *job.files)}
    if args.report and args.report.resolve() in named:
        raise InputError(f"{args.report} is one of the pages; choose another file for --report")
    eraser = load_eraser(args) if jobs else None
    report = batch.Report(args.pipeline, finished, unknown)
    try:
        with progress.shown(args.progress, sum(job.count for job in jobs)) as shown:
            for outcomes in batch.erase_all(eraser, jobs, shown, **erase_options(args)):
                report.add(outcomes)
    finally:  # what was done is told of an interrupted run too
        if args.report:
            report.write(args.report)
    print(f"dehw: {report.summary()}", file=sys.stderr)
    return ExitCode.FAILED if report.count("failed") else ExitCode.OK


def erase_options(args: argparse.Namespace) -> dict[str, object]:
    """The options of Eraser.__call__ that were given."""
    return {name: getattr(args, name) for name in ("sensitivity", "keep", "only") if getattr(args, name) is not None}


def load_eraser(args: argparse.Namespace) -> "Eraser":
    """The eraser that --pipeline, --device, --weights and --engine ask for; says what runs its networks and why."""
    from dehw.eraser import Eraser

    eraser = Eraser.load(args.pipeline, args.device, args.weights, engine=args.engine)
    print(f"dehw: engine {eraser.engine}", file=sys.stderr)
    return eraser


def evaluate(args: argparse.Namespace) -> int:
    """Print the metrics of a folder of predictions, a row a page and their mean."""
    from dehw.pages import Page, for_each

    files = {Page(each["image"], Path(each["image"].name)): each for each in partners(args)}
    rows = []
    failed = for_each(list(files), lambda page: rows.append((page.path.stem, judge(**files[page]))), "evaluating")
    if rows:
        mean, exact = finite_mean([scores for _, scores in rows])
        print(table([*rows, ("mean", mean)]))
        if exact:
            print(f"dehw: mean psnr and contest are without the {exact} pages that are exact (inf)", file=sys.stderr)
    return ExitCode.FAILED if failed else ExitCode.OK


def finite_mean(scores: Sequence["Scores"]) -> tuple["Scores", int]:
    """The mean of pages, psnr and contest over those that are not exact, unless all are; and how many were left out."""
    from dehw import metrics

    finite = [each if math.isfinite(each.psnr) else replace(each, psnr=math.nan, contest=math.nan) for each in scores]
    exact = sum(math.isinf(each.psnr) for each in scores)
    return (metrics.mean(scores), 0) if exact == len(scores) else (metrics.mean(finite), exact)


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
    from dehw.config import load_pipeline
    from dehw.models import VARIANTS, build, learnable, summary
    from dehw.models.discriminators import DISCRIMINATORS

    networks, discriminators = list(VARIANTS.items()), DISCRIMINATORS
    if args.pipeline:
        pipeline = load_pipeline(args.pipeline)
        chosen = pipeline.networks
        networks, discriminators = [(network.type, network) for network in chosen], {}
    print(f"{'network':24} {'parameters':>12} {'GMACs':>8}  (learnable; one 512x512 page)")
    for name, network in networks:
        parameters, gmacs = summary(build(network), 64)
        gmacs *= (512 / 64) ** 2  # the work of every layer grows with the area
        print(f"{name:24} {parameters:12,} {gmacs:8.1f}  {network.weights}".rstrip())
    for name, discriminator in discriminators.items():
        print(f"{name + '-discriminator':24} {learnable(discriminator()):12,} {'-':>8}")
    return ExitCode.OK


def materials(args: argparse.Namespace) -> int:
    """Cut the handwriting of training pages, and of further scans, into a folder of pieces."""
    from dehw.pages import for_each, write_image

    if args.output.is_dir() and any(args.output.iterdir()):
        raise InputError(f"{args.output} is not empty; choose another folder with -o, or remove this one.")
    sources = ink_sources(args)
    numbers = []

    def work(page: "Page") -> None:
        pieces = sources[page]()
        for number, piece in enumerate(pieces):
            write_image(args.output / page.relative.with_name(f"{page.relative.name}_{number}.png"), piece)
        numbers.append(len(pieces))

    failed = for_each(list(sources), work, "cutting")
    summary = f"{sum(numbers)} pieces of {len(numbers)} pages in {args.output}, {len(failed)} pages failed"
    print(f"dehw: {summary}", file=sys.stderr)
    return ExitCode.FAILED if failed else ExitCode.OK


def ink_sources(args: argparse.Namespace) -> dict["Page", Callable[[], "list[np.ndarray]"]]:
    """What cuts the pieces of each page; its `relative` is the place and stem they get in the output.

    Raises InputError where two pages would write the same files.
    """
    from dehw.data.crops import decode
    from dehw.data.materials import PRINT_HEIGHT, REACH, cut_pieces, cut_scan
    from dehw.data.pairs import find_pairs, split
    from dehw.masks import threshold
    from dehw.pages import Page, find_pages, read_image

    reach = REACH if args.print_height is None else max(1, round(REACH * args.print_height / PRINT_HEIGHT))

    def of_pair(pair: "Pair") -> "list[np.ndarray]":
        page = decode(pair, args.print_height)
        return cut_pieces(page.image, page.gt, threshold(page.soft_mask(), 0.5), reach)

    def of_scan(path: Path) -> "list[np.ndarray]":
        return cut_scan(read_image(path), args.ink_scale)

    pairs = split(find_pairs(args.data), args.val_count)[0] if args.data else []
    sources = [(Page(p.image, Path(p.image.parents[1].name, p.stem)), partial(of_pair, p)) for p in pairs]
    for folder in args.ink:
        for page in find_pages([folder]):
            place = Path(folder.resolve().name, page.relative.with_suffix(""))
            sources.append((Page(page.path, place), partial(of_scan, page.path)))
    if not sources:
        raise InputError("name DATA, folders with images/ and gts/, or --ink and folders of handwriting.")
    counts = Counter(page.relative for page, _ in sources)
    doubles = [f"{page.path}: another page is {page.relative} too" for page, _ in sources if counts[page.relative] > 1]
    if doubles:
        raise InputError("cut these in several runs, to folders of one parent:\n  " + "\n  ".join(doubles))
    return dict(sources)


def recipes(args: argparse.Namespace) -> int:
    """Write the picture that shows what each step of the training crops' recipes does."""
    from dehw.data.crops import CropSettings
    from dehw.data.figures import recipe_sheet
    from dehw.data.pairs import find_pairs
    from dehw.data.recipes import Recipes
    from dehw.pages import write_image

    steps = Recipes(materials=args.materials, print_size=args.print_height or Recipes.print_size)
    settings = CropSettings(size=args.size, recipes=steps)
    pairs = find_pairs(args.data)
    if args.output.resolve() in {path.resolve() for pair in pairs for path in (pair.image, pair.gt)}:
        raise InputError(f"{args.output} is one of the pages; choose another file with -o.")
    write_image(args.output, recipe_sheet(pairs, settings, args.seed, args.print_height))
    print(f"dehw: {args.output}", file=sys.stderr)
    return ExitCode.OK


def export(args: argparse.Namespace) -> int:
    """Write a pipeline's networks as ONNX files, with a README of their inputs and outputs."""
    from dehw.config import load_pipeline
    from dehw.export import export_pipeline

    export_pipeline(load_pipeline(args.pipeline), args.weights, args.output)
    print(f"dehw: {args.output}", file=sys.stderr)
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
    _add_materials(commands.add_parser("materials", help="cut handwriting out of training pages, to paste elsewhere"))
    _add_recipes(commands.add_parser("recipes", help="show on one picture what is done to training crops"))
    _add_export(commands.add_parser("export", help="write a pipeline's networks as ONNX files"))
    synthesize.add_arguments(commands.add_parser("synth", help="make up pages to train with"))
    bench.add_arguments(commands.add_parser("bench", help="measure how fast a pipeline erases pages"))
    doctor.add_arguments(commands.add_parser("doctor", help="say what erasing needs here, and what is missing"))
    serve.add_arguments(commands.add_parser("serve", help="serve a page in the browser that erases handwriting"))
    return parser


def _add_erase(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Erase the handwriting of pages: JPEG, PNG, WebP, BMP, TIFF, PDF and HEIC (needs pillow-heif), told by their "
        "content. Without -o, STEM.clean.SUFFIX is written beside each file. In folders, files named *.clean.* and "
        "side files of earlier runs are passed over, and those of other kinds named. Exit codes: 0 done, 1 some "
        "pages failed, 2 bad input, 3 weights, 4 memory, 5 device, 130 stopped."
    )
    add = parser.add_argument
    add("pages", nargs="+", type=Path, metavar="PAGE|FOLDER", help="images and PDFs, or folders of them")
    add("-o", "--output", type=Path, metavar="DIR", help="keep relative paths and names under DIR")
    add("--in-place", action="store_true", help="replace the files themselves, each when its clean one is whole")
    add("--format", choices=FORMATS, help="write this kind of file; default: the input's")
    add("--pipeline", default="lite", help="name in configs/pipelines, or a file; default: %(default)s")
    add("--weights", type=Path, metavar="DIR", help="folder of weights, in place of the ones that ship")
    add("--device", choices=("auto", "cpu", "gpu"), default="auto", help="default: %(default)s")
    add("--engine", choices=ENGINES, default="auto", help="what runs the networks; default: %(default)s")
    add("--sensitivity", type=_share, metavar="S", help="0 to 1: the higher, the more is erased; default: 0.5")
    box = {"action": "append", "type": _box, "metavar": "X0,Y0,X1,Y1"}
    add("--keep", **box, help="leave this box of every page as it is, in pixels; may be given again")
    add("--only", **box, help="erase within this box alone; may be given again")
    add("--save-mask", dest="mask", action="store_true", help="write what was erased, tinted, to STEM.mask.png")
    add("--compare", action="store_true", help="write before and after to STEM.compare.png, or .jpg")
    add("--save-ink", dest="ink", action="store_true", help="write the handwriting alone, see-through, to STEM.ink.png")
    there = parser.add_mutually_exclusive_group()
    there.add_argument("--overwrite", action="store_true", help="replace outputs that are there already")
    there.add_argument("--resume", action="store_true", help="pass over files whose output is there already")
    add("--report", type=Path, metavar="JSON", help="list each page: seconds, share erased, warnings")
    add("--progress", choices=("bar", "json", "none"), default="bar", help="on stderr; default: %(default)s")
    parser.set_defaults(command=erase)


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    parser.description = "Compare erased pages with the true ones; partners are found by stem."
    parser.add_argument("images", type=Path, help="folder of pages with handwriting")
    parser.add_argument("gts", type=Path, help="folder of the same pages without")
    parser.add_argument("predictions", type=Path, help="folder of the pages erased")
    parser.add_argument("--masks", type=Path, metavar="DIR", help="handwriting = 255; else by difference")
    parser.add_argument("--valid", type=Path, metavar="DIR", help="trusted pixels = 255; else all")
    parser.set_defaults(command=evaluate)


def _add_materials(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Cut the handwriting out of page pairs and of further scans: one PNG a word or line, its ink on white "
        "paper, its mask as transparency. Trainings paste it by the keys recipes.materials and recipes.handwriting."
    )
    add = parser.add_argument
    add("data", nargs="*", type=Path, metavar="DATA", help="folders with images/ and gts/, or that hold such")
    add("--ink", nargs="+", type=Path, default=[], metavar="DIR", help="folders of handwriting without print")
    add("--ink-scale", type=_at_least(0.01), default=1.0, metavar="F", help="factor to resize these by")
    add("-o", "--output", type=Path, required=True, metavar="DIR", help="folder for the pieces, new or empty")
    add(
        "--val-count",
        type=_at_least(0, int),
        default=81,
        metavar="N",
        help="leave out the pages a training validates by",
    )
    add("--print-height", type=_at_least(1), metavar="PX", help="as the pipeline's that is trained; default: null")
    parser.set_defaults(command=materials)


def _add_recipes(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Show each step that a training's recipes (crops.recipes, train_dataset.recipes) may do to a crop: the "
        "crop before it, and image, ground truth and mask after it."
    )
    add = parser.add_argument
    add("data", nargs="+", type=Path, metavar="DATA", help="folders with images/ and gts/, or that hold such")
    add("-o", "--output", type=Path, default=Path("recipes.png"), metavar="PNG", help="default: %(default)s")
    add("--materials", metavar="DIR", help="what `dehw materials` wrote; without, no handwriting is pasted")
    add("--size", type=_at_least(16, int), default=512, metavar="PX", help="side of the crops; default: %(default)s")
    add("--print-height", type=_at_least(1), metavar="PX", help="as the pipeline's that is trained; default: null")
    add("--seed", type=_at_least(0, int), default=0, help="default: %(default)s")
    parser.set_defaults(command=recipes)


def _add_export(parser: argparse.ArgumentParser) -> None:
    parser.description = "Write each network of a pipeline as STEM.onnx, and a README.md of inputs and outputs."
    add = parser.add_argument
    add("pipeline", metavar="PIPELINE", help="name in configs/pipelines, or a file")
    add("-o", "--output", type=Path, required=True, metavar="DIR", help="folder for the files, new or empty")
    add("--weights", type=Path, metavar="DIR", help="folder of weights, in place of the ones that ship")
    parser.set_defaults(command=export)


def _share(text: str) -> float:
    """A number in 0..1, for argparse."""
    value = _at_least(0)(text)
    if value > 1:
        raise argparse.ArgumentTypeError(f"must lie in 0..1, got {text!r}")
    return value


def _box(text: str) -> tuple[int, ...]:
    """A box of pixels x0,y0,x1,y1, for argparse."""
    try:
        left, top, right, bottom = (int(part) for part in text.split(","))
    except ValueError:
        left = top = right = bottom = -1
    if not (0 <= left < right and 0 <= top < bottom):
        raise argparse.ArgumentTypeError(f"must be four whole numbers x0,y0,x1,y1 with x0 < x1, y0 < y1; got {text!r}")
    return left, top, right, bottom


def _at_least(least: float, kind: type = float) -> Callable[[str], float]:
    """What reads an argument that must be a number of this kind and size, for argparse."""

    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = None
        if value is None or not value >= least:
            word = "whole number" if kind is int else "number"
            raise argparse.ArgumentTypeError(f"must be a {word} of at least {least}, got {text!r}")
        return value

    return read


if __name__ == "__main__":
    sys.exit(main())
