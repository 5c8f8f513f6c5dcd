"""How many bad results warn, and how many good ones do: one table.

    python -m tools.warned DATA [--cases DIR] [--pipeline lite] [--weights DIR] [--half 0|1] [--every N]
        [--json FILE]

The pages are those of tools.scoreboard, and the labelled and the printed ones of DATA that a training may have seen:
labels/answered/ with answered/, print_only/. Each is erased as it is, and spoilt on purpose in four ways: brought to
0.4 and 2.5 times the line height that the networks know, and erased at a sensitivity of 0 and of 1, which moves the
threshold from 0.5 to 0.98 and 0.02. Generators do not run: what warns is known before.

A result is bad where more than 5 % of the print is taken or more than 15 % of the ink left, good where at most 1 % and
5 % are. What makes up less than 1 % of a page's dark pixels is neither print nor ink to judge by.
--half: of the pages, by their names.
"""

from __future__ import annotations

import argparse
import json
import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from dehw.config import load_pipeline
from dehw.eraser import Eraser, Prepared
from dehw.files.images import read_image, read_mask
from dehw.page import confidence, masks, metrics
from tools.scoreboard import Judged, Labelled, Paired, find_sets, labelled, mistakes

WAYS = {  # (factor of the line height, sensitivity)
    "as it is": (1.0, masks.BALANCED),
    "print too small": (0.4, masks.BALANCED),
    "print too large": (2.5, masks.BALANCED),
    "threshold too high": (1.0, 0.0),
    "threshold too low": (1.0, 1.0),
}
BAD, GOOD = (0.05, 0.15), (0.01, 0.05)  # of the print taken, of the ink left
SOME = 0.01  # share of the dark pixels that are known from which there is print, or ink, to judge by
LARGEST = 30e6  # px of a page that is enlarged; larger ones are left out, for the memory's sake


@dataclass(frozen=True)
class Result:
    """One page, erased in one way: shares of print taken and ink left, nan where there is none; its warnings."""

    page: str
    way: str
    taken: float
    left: float
    confidence: confidence.Confidence
    warnings: list[str]

    @property
    def kind(self) -> str:
        """bad, good or between."""
        figures = np.nan_to_num([self.taken, self.left])
        return "bad" if (figures > BAD).any() else "good" if (figures <= GOOD).all() else "between"


def pages(args: argparse.Namespace) -> list[Judged]:
    """The pages of all sets, or of one half."""
    data = args.data
    found = [sheet for judged in find_sets(args).values() for sheet in judged]
    found += labelled(data / "answered", data / "labels" / "answered")
    found += [Labelled(path, None) for path in sorted((data / "print_only").glob("*.jpg"))]
    return [sheet for sheet in found if args.half is None or zlib.crc32(sheet.image.stem.encode()) % 2 == args.half]


def truth(sheet: Judged, page: np.ndarray) -> np.ndarray:
    """255 where a page has handwriting, 0 where it has none, 128 where nobody knows: (h, w) uint8 at any size."""
    if isinstance(sheet, Labelled):
        return masks.to_file(read_mask(sheet.label)) if sheet.label else np.zeros(page.shape[:2], np.uint8)
    return _difference(sheet, page) if sheet.gt else np.zeros(page.shape[:2], np.uint8)


def _difference(pair: Paired, page: np.ndarray) -> np.ndarray:
    """The same of a pair: what is near to ink is unknown, and so is what is marked as ink but hardly seen."""
    assert pair.gt
    clean = read_image(pair.gt)
    ink = read_mask(pair.ink) >= 0.5 if pair.ink else metrics.ink_mask(page, clean)
    known = read_mask(pair.valid) >= 0.5 if pair.valid else np.ones(ink.shape, bool)
    label = np.where(masks.dilate(ink, metrics.CLEAR_OF_INK), np.uint8(128), np.uint8(0))
    label[ink & masks.hard_mask(page, clean, metrics.INK_DIFFERENCE)] = 255
    return np.where(known, label, np.uint8(128))


def shares(counts: np.ndarray) -> tuple[float, float]:
    """Shares of print taken and ink left, by the counts of scoreboard.mistakes; nan where there is too little."""
    taken, printing, left, ink = (float(count) for count in counts)
    least = max(1.0, SOME * (printing + ink))
    return taken / printing if printing >= least else np.nan, left / ink if ink >= least else np.nan


def results(eraser: Eraser, sheet: Judged) -> Iterator[Result]:
    """A page erased in each way."""
    page, own = read_image(sheet.image), eraser.pipeline
    label = truth(sheet, page)
    small = cv2.resize(page, label.shape[::-1], interpolation=cv2.INTER_AREA)
    seen: dict[float, tuple[Prepared, np.ndarray]] = {}
    for way, (factor, sensitivity) in WAYS.items():
        if factor > 1 and factor**2 * page.size / 3 > LARGEST:
            continue
        assert own.line_height
        eraser.pipeline = replace(own, line_height=own.line_height * factor)
        if factor not in seen:
            prepared = eraser.prepare(page)
            seen[factor] = prepared, eraser.segment(prepared)
        prepared, prob = seen[factor]
        mask = eraser.mask(prob, prepared, sensitivity)
        sure = eraser.confidence(prob, prepared, mask)
        size = label.shape[::-1]
        at_label = cv2.resize(mask.view(np.uint8) * np.uint8(255), size, interpolation=cv2.INTER_AREA) >= 128
        taken, left = shares(mistakes(small, at_label, label))
        yield Result(sheet.image.stem, way, taken, left, sure, confidence.doubts(float(mask.mean()), sure))
    eraser.pipeline = own


def table(found: Sequence[Result]) -> Iterator[str]:
    """How many warn, by the way they were erased and by what became of them, as lines of a Markdown table."""
    yield "| erased | bad: warn | good: warn | between: warn |"
    yield "|---|---|---|---|"
    for way in [*WAYS, "all"]:
        own = [result for result in found if way in (result.way, "all")]
        cells = []
        for kind in ("bad", "good", "between"):
            warned = [bool(result.warnings) for result in own if result.kind == kind]
            cells.append(f"{sum(warned)} of {len(warned)}")
        yield f"| {way} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, metavar="DATA")
    parser.add_argument("--cases", type=Path, metavar="DIR")
    parser.add_argument("--pipeline", default="lite")
    parser.add_argument("--weights", type=Path, metavar="DIR")
    parser.add_argument("--half", type=int, choices=(0, 1), help="judge one half of the pages")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="judge one page of N")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write each result there")
    args = parser.parse_args(namespace=argparse.Namespace(made=None))
    eraser = Eraser.load(load_pipeline(args.pipeline), weights=args.weights, parts=("segment",))
    print(f"{eraser.pipeline.name}, {eraser.engine}", file=sys.stderr)
    shown = tqdm(pages(args)[:: args.every], unit="page", file=sys.stderr, leave=False)
    found = [each for sheet in shown for each in results(eraser, sheet)]
    print("\n".join(table(found)))
    if args.json:
        rows = [asdict(result) | {"kind": result.kind} for result in found]
        args.json.write_text(json.dumps(rows, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
