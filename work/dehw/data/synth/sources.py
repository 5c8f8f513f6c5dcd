"""What made-up pages are made of, gathered from folders: clean pages, printing fonts, ink and handwriting fonts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from dehw.data import materials
from dehw.data.crops import decode
from dehw.data.materials import Glyph, InkBank
from dehw.data.pairs import find_pairs
from dehw.data.synth import typeset
from dehw.data.synth.pages import Triple, make_page
from dehw.files.find import find_pages
from dehw.files.images import read_image
from dehw.page.characters import print_height
from dehw.page.masks import threshold

TRIAL_DPI = 150  # a PDF's print is measured at this resolution
CLEAN = 0.55  # share of the pages made from clean ones rather than typeset, where there are clean ones
SPREAD = 0.13  # of the print's height, as the deviation of its logarithm


class Sources(NamedTuple):
    """bank: the ink. clean: PDFs and images without handwriting. fonts: printing fonts by role, see typeset."""

    bank: InkBank
    clean: Sequence[Path]
    fonts: dict[str, list[str]]


def find_sources(clean: Path | None, ink: Sequence[Path], fonts: Path | None) -> Sources:
    """Gather sources. Raises InputError where a folder has nothing in it, or no printing fonts are installed.

    clean: folder of PDFs or images of clean pages. fonts: folder of handwriting fonts. ink: folders, searched to their
    depths, of stroke data (medians.json.gz of hanzi-writer-data, paths.json.gz of KanjiVG: char -> SVG paths,
    strokes_*.zip of Omniglot), of pieces that
    `dehw materials` cut, and of pairs with images/ and gts/.
    """
    pages = sorted(p for p in clean.rglob("*") if p.suffix.lower() == ".pdf") if clean else []
    if clean:
        images = [page.path for page in find_pages([clean])] if not pages else []
        pages = pages or images
    banks = [find_ink(folder) for folder in ink]
    bank = InkBank(
        hanzi=[glyph for each in banks for glyph in each.hanzi],
        scribbles=[glyph for each in banks for glyph in each.scribbles],
        pieces=[piece for each in banks for piece in each.pieces],
        fonts=materials.load_families(fonts) if fonts else (),
    )
    return Sources(bank, pages, typeset.system_fonts())


def find_ink(folder: Path) -> InkBank:
    """The ink below a folder: strokes, pairs, and pieces where there are neither. Raises InputError where none is."""

    def strokes(pattern: str, load: Callable[[Path], list[Glyph]]) -> list[Glyph]:
        return [glyph for path in sorted(folder.rglob(pattern)) for glyph in load(path)]

    hanzi = strokes("medians.json.gz", materials.load_hanzi) + strokes("paths.json.gz", materials.load_kanji)
    scribbles = strokes("strokes_*.zip", materials.load_omniglot)
    pieces = []
    if any(folder.rglob("gts")):
        for pair in find_pairs(folder):
            height = print_height(read_image(pair.image)) or materials.PRINT_HEIGHT
            page = decode(replace(pair, factor=materials.PRINT_HEIGHT / height))
            pieces += materials.cut_ink(page.image, page.gt, threshold(page.soft_mask(), 0.5))
    elif not (hanzi or scribbles):
        pieces = [materials.piece_opacity(path) for path in materials.find_pieces(folder)]
    return InkBank(hanzi=hanzi, scribbles=scribbles, pieces=pieces)


@lru_cache(maxsize=256)
def clean_height(path: Path) -> float | None:
    """Height in px of a clean file's print: of a PDF's first page at TRIAL_DPI."""
    first = next(typeset.pdf_pages(path, TRIAL_DPI)) if path.suffix.lower() == ".pdf" else read_image(path)
    return print_height(np.ascontiguousarray(first))


def printed_page(rng: np.random.Generator, height: float, sources: Sources) -> np.ndarray:
    """The printed side of a page, (H, W, 3) uint8, its print about `height` px high."""
    if sources.clean and rng.random() < CLEAN:
        path = sources.clean[rng.integers(len(sources.clean))]
        measured = clean_height(path)
        if measured and path.suffix.lower() == ".pdf":
            sheets = list(typeset.pdf_pages(path, TRIAL_DPI * height / measured))
            return np.ascontiguousarray(sheets[rng.integers(len(sheets))])
        if measured:
            scale = height / measured
            interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
            return cv2.resize(read_image(path), None, fx=scale, fy=scale, interpolation=interpolation)
    long, short = (int(rng.uniform(*n) * height) for n in ((55, 80), (40, 56)))
    return typeset.typeset(rng, long, short, height, sources.fonts)


def made_up(seed: int, sources: Sources, height: float) -> Triple:
    """The page of a seed, its print about `height` px high; the same sources and seed give the same page."""
    rng = np.random.default_rng(seed)
    height *= float(np.exp(rng.normal(0, SPREAD)))
    return make_page(rng, printed_page(rng, height, sources), sources.bank, height)
