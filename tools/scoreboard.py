"""How well a pipeline does on every set of pages at hand: one table.

    python -m tools.scoreboard DATA [--cases DIR] [--made DIR] [--pipeline lite] [--weights DIR] [--opts KEY=VALUE ...]
        [--sets NAME ...] [--json FILE]

DATA holds any of these; what is not there is left out, and named:
    pages/, labels/pages/     real pages and labels drawn by eye: 255 = handwriting, 0 = print and paper, 128 = unknown,
                              at any size; judged are the pages whose number, before the `_`, is 3 modulo 7
    val/images/, val/labels/  the same, all of them judged
    val/print/                pages of print alone
    pairs/*/                  images/, gts/, mask/, valid/ and index.csv (columns id, split): those of split val
The repository's own samples are judged too, as are made-up pages (--made: a folder of `dehw synth`) and cases (--cases:
pictures on which the program once failed, STEM.jpg beside STEM-truth.jpg; without a truth, nothing is handwriting).

Where labels were drawn: the share of print pixels that the mask takes, and of ink pixels that it misses, over all
pixels and as the mean of pages. Where there is truth: the figures of dehw.page.metrics, as the mean of pages.
Pages are erased at their own size, as people's pages are.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from dehw.config import load_pipeline
from dehw.data.pairs import match
from dehw.eraser import Eraser
from dehw.files.images import read_image, read_mask
from dehw.page import layout, metrics

SAMPLES = Path(__file__).parents[1] / "data" / "sample"
HELD_OUT = 3, 7  # of pages/: those whose number leaves 3 when divided by 7
UNKNOWN = 64, 192  # grey levels of a label between which nothing is told
COLUMNS = ("contest", "residual", "lost", "touched")


@dataclass(frozen=True)
class Labelled:
    """A page whose handwriting was labelled by eye; label None: it has none."""

    image: Path
    label: Path | None


@dataclass(frozen=True)
class Paired:
    """A page and the same without handwriting; gt None: it has none. ink, valid: masks, None where not given."""

    image: Path
    gt: Path | None
    ink: Path | None = None
    valid: Path | None = None


Judged = Labelled | Paired


def labelled(images: Path, labels: Path, held_out: bool = False) -> list[Judged]:
    """Pages of a folder that have a label of their stem; held_out: those alone that no training may see."""
    found: list[Judged] = []
    for label in sorted(labels.glob("*.png")):
        number = re.match(r"\d+", label.stem)
        if not held_out or (number and int(number[0]) % HELD_OUT[1] == HELD_OUT[0]):
            found += [Labelled(image, label) for image in sorted(images.glob(f"{label.stem}.*"))]
    return found


def paired(folder: Path, split: str = "val") -> list[Paired]:
    """The pairs of a folder's split; all where it has no index.csv, or where split is empty."""
    pairs, problems = match(folder / "images", folder / "gts")
    if problems:
        sys.exit("\n".join(problems))
    index = folder / "index.csv"
    if split and index.is_file():
        with open(index, newline="", encoding="utf-8") as file:
            chosen = {row["id"] for row in csv.DictReader(file) if row["split"] == split}
        pairs = [pair for pair in pairs if pair.stem in chosen]

    def area(kind: str, stem: str) -> Path | None:
        return next((folder / kind).glob(f"{stem}.*"), None)

    return [Paired(pair.image, pair.gt, area("mask", pair.stem), area("valid", pair.stem)) for pair in pairs]


def cases(folder: Path) -> list[Judged]:
    """Pages with their truth, and pages on which nothing is handwriting: 06 to 11; other numbers stand for files."""
    found: list[Judged] = []
    pages = (path for path in folder.glob("*.jpg") if "06" <= path.name[:2] < "12")
    for image in sorted(path for path in pages if not path.stem.endswith("-truth")):
        truth = image.with_name(f"{image.stem}-truth.jpg")
        found += [Paired(image, truth), Paired(truth, None)] if truth.is_file() else [Paired(image, None)]
    return found


def find_sets(args: argparse.Namespace) -> dict[str, list[Judged]]:
    """The pages of each set, by the name of its row."""
    data = args.data
    sets: dict[str, list[Judged]] = {
        "labelled, held out": labelled(data / "pages", data / "labels" / "pages", held_out=True),
        "labelled, other sources": labelled(data / "val" / "images", data / "val" / "labels"),
        "print alone": [Labelled(path, None) for path in sorted((data / "val" / "print").glob("*.jpg"))],
    }
    for folder in sorted(path for path in (data / "pairs").glob("*") if (path / "gts").is_dir()):
        sets[f"pairs {folder.name}"] = [*paired(folder)]
    sets["samples"] = [*paired(SAMPLES)]
    if args.made:
        sets["made up"] = [*paired(args.made)]
    if args.cases:
        sets |= {f"case {case.image.stem}": [case] for case in cases(args.cases) if isinstance(case, Paired)}
    return sets


def mistakes(page: np.ndarray, mask: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Counts of dark pixels: print that a mask takes, print, ink that it misses, ink.

    page: (H, W, 3) uint8; mask: (H, W) bool; label: (H, W) uint8, 255 = handwriting, 0 = none, between: unknown.
    """
    dark = layout.dark_pixels(page) > 0
    printing, ink = dark & (label <= UNKNOWN[0]), dark & (label >= UNKNOWN[1])
    return np.array([np.count_nonzero(each) for each in (printing & mask, printing, ink & ~mask, ink)])


def judge_labelled(eraser: Eraser, sheet: Labelled) -> np.ndarray:
    """The mistakes on one page, counted at the label's size."""
    page = read_image(sheet.image)
    prepared = eraser.prepare(page)
    mask = eraser.mask(eraser.segment(prepared), prepared)
    if sheet.label is None:
        return mistakes(page, mask, np.zeros(mask.shape, np.uint8))
    label = np.rint(read_mask(sheet.label) * 255).astype(np.uint8)
    size = label.shape[::-1]
    small = cv2.resize(page, size, interpolation=cv2.INTER_AREA)
    return mistakes(small, cv2.resize(mask.view(np.uint8) * 255, size, interpolation=cv2.INTER_AREA) >= 128, label)


def judge_paired(eraser: Eraser, sheet: Paired) -> tuple[metrics.Scores, float]:
    """The figures of one page, and the seconds that it took to erase it."""
    page = read_image(sheet.image)
    gt = read_image(sheet.gt) if sheet.gt else page
    ink, valid = (read_mask(path) >= 0.5 if path else None for path in (sheet.ink, sheet.valid))
    erased = eraser(page)
    return metrics.evaluate(page, gt, np.asarray(erased.page), ink, valid), erased.seconds


def shares(counts: np.ndarray) -> tuple[float, float]:
    """Share of print taken and of ink missed; nan where there is none."""
    taken, printing, missed, ink = (float(count) for count in counts)
    return taken / printing if printing else np.nan, missed / ink if ink else np.nan


def row(eraser: Eraser, name: str, judged: Sequence[Judged]) -> dict[str, object]:
    """The figures of a set, and of each of its pages."""
    counts, scores = [], []
    pages: dict[str, tuple[float, float] | dict[str, float]] = {}
    for sheet in tqdm(judged, name, unit="page", file=sys.stderr, leave=False):
        if isinstance(sheet, Labelled):
            counts.append(judge_labelled(eraser, sheet))
            pages[sheet.image.stem] = shares(counts[-1])
        else:
            scores.append(judge_paired(eraser, sheet)[0])
            pages[sheet.image.stem] = asdict(scores[-1])
    figures: dict[str, object] = {"set": name, "pages": len(judged), "each": pages}
    if counts:
        taken, missed = shares(np.sum(counts, axis=0))
        taken_mean, missed_mean = (_mean(each) for each in zip(*map(shares, counts)))
        figures |= {"taken": taken, "taken_mean": taken_mean, "missed": missed, "missed_mean": missed_mean}
    if scores:
        figures |= {column: getattr(metrics.mean(scores), column) for column in COLUMNS}
    return figures


def _mean(values: Sequence[float]) -> float:
    defined = [value for value in values if not np.isnan(value)]
    return float(np.mean(defined)) if defined else np.nan


def table(rows: Sequence[dict[str, object]]) -> Iterator[str]:
    """The rows as lines of a Markdown table."""
    yield "| set | pages | print taken (mean page) | ink missed (mean page) | contest | residual | lost | touched |"
    yield "|---|---|---|---|---|---|---|---|"
    for figures in rows:

        def cell(*names: str, figures: dict[str, object] = figures) -> str:
            values = [figures.get(name) for name in names]
            shown = ["-" if not isinstance(v, float) or np.isnan(v) else f"{v:.4f}" for v in values]
            return "" if values[0] is None else shown[0] + "".join(f" ({each})" for each in shown[1:])

        cells = [cell("taken", "taken_mean"), cell("missed", "missed_mean"), *(cell(column) for column in COLUMNS)]
        yield f"| {figures['set']} | {figures['pages']} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--cases", type=Path, metavar="DIR")
    parser.add_argument("--made", type=Path, metavar="DIR", help="made-up pages of seeds never trained on")
    parser.add_argument("--pipeline", default="lite")
    parser.add_argument("--weights", type=Path, metavar="DIR")
    parser.add_argument("--opts", nargs="*", default=[], metavar="KEY=VALUE", help="overrides, such as line_height=24")
    parser.add_argument("--sets", nargs="*", metavar="NAME", help="the sets to judge, by how their rows begin")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures of each page there")
    args = parser.parse_args()
    eraser = Eraser.load(load_pipeline(args.pipeline, args.opts), weights=args.weights)
    print(f"{eraser.pipeline.name}, {eraser.engine}", file=sys.stderr)
    rows = []
    for name, judged in find_sets(args).items():
        if args.sets and not name.startswith(tuple(args.sets)):
            continue
        if judged:
            rows.append(row(eraser, name, judged))
        else:
            print(f"left out, not there: {name}", file=sys.stderr)
    print("\n".join(table(rows)))
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
