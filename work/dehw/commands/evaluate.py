"""`dehw evaluate`: the metrics of a folder of erased pages."""

import argparse
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from dehw.errors import ExitCode, InputError, tell

if TYPE_CHECKING:
    from dehw.page.metrics import Scores

# Mean PSNR that the second seed's authors published of their two networks, in dB, on 81 pages that they kept aside
PUBLISHED = {"published-erasenet": 38.68, "published-erasenet-nonlocal": 38.06}
COLUMNS = ("psnr", "msssim", "contest", "residual", "lost", "touched")


def run(args: argparse.Namespace) -> int:
    """Print the metrics of a folder of predictions, a row a page and their mean."""
    from dehw.files.find import InputFile, for_each

    files = {InputFile(each["image"], Path(each["image"].name)): each for each in partners(args)}
    rows = []
    failed = for_each(list(files), lambda page: rows.append((page.path.stem, judge(**files[page]))), "evaluating")
    if rows:
        mean, exact = finite_mean([scores for _, scores in rows])
        print(table([*rows, ("mean", mean), *(published() if args.contest else [])]))
        if args.contest:
            tell("published figures are of the authors' own 81 pages; other pages differ")
        if exact:
            tell(f"mean psnr and contest are without the {exact} pages that are exact (inf)")
    return ExitCode.FAILED if failed else ExitCode.OK


def published() -> list[tuple[str, "Scores"]]:
    """A row for each published figure; what was not published is undefined."""
    from dehw.page.metrics import Scores

    unknown = dict.fromkeys(COLUMNS, math.nan)
    return [(name, Scores(**{**unknown, "psnr": psnr})) for name, psnr in PUBLISHED.items()]


def finite_mean(scores: Sequence["Scores"]) -> tuple["Scores", int]:
    """The mean of pages, psnr and contest over those that are not exact, unless all are; and how many were left out."""
    from dehw.page import metrics

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
    from dehw.files.images import read_image, read_mask
    from dehw.page import masks, metrics

    pages = [read_image(path) for path in (image, gt, out)]
    given = [masks.threshold(read_mask(path), 0.5) if path else None for path in (ink, valid)]
    return metrics.evaluate(pages[0], pages[1], pages[2], ink=given[0], valid=given[1])


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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `dehw evaluate`."""
    parser.description = "Compare erased pages with the true ones; partners are found by stem."
    parser.add_argument("images", type=Path, help="folder of pages with handwriting")
    parser.add_argument("gts", type=Path, help="folder of the same pages without")
    parser.add_argument("predictions", type=Path, help="folder of the pages erased")
    parser.add_argument("--masks", type=Path, metavar="DIR", help="handwriting = 255; else by difference")
    parser.add_argument("--valid", type=Path, metavar="DIR", help="trusted pixels = 255; else all")
    parser.add_argument("--contest", action="store_true", help="beside them, what the contest's winners published")
    parser.set_defaults(command=run)
