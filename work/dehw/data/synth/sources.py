"""What made-up pages are made of, gathered from folders: clean pages, printing fonts, ink and handwriting fonts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from dehw.data import materials
from dehw.data.crops import decode
from dehw.data.materials import Glyph, InkBank
from dehw.data.pairs import find_pairs
from dehw.data.synth.printed import fonts as printing
from dehw.files.find import find_pages
from dehw.files.images import read_image
from dehw.page.characters import print_height
from dehw.page.masks import threshold

FEWEST_PIECES = 6  # of one writer
THICKEST = 7  # px from the middle of a stroke to its edge; what is thicker is a blot, a hole or a logo


class Sources(NamedTuple):
    """bank: the ink. clean: PDFs and images of pages without handwriting. photos: photos of print, with their light.

    fonts: printing fonts by role, see printed.fonts. drawings: pictures of one thing each, to print beside texts.
    """

    bank: InkBank
    clean: Sequence[Path]
    photos: Sequence[Path]
    fonts: dict[str, list[str]]
    drawings: Sequence[Path] = ()


def find_sources(
    clean: Sequence[Path],
    ink: Sequence[Path],
    fonts: Path | None,
    photos: Path | None = None,
    drawings: Path | None = None,
) -> Sources:
    """Gather sources. Raises InputError where a folder has nothing in it, or no printing fonts are installed.

    clean: folders of PDFs or images of clean pages. fonts: folder of handwriting fonts. photos: folder of photos and
    scans of print without handwriting. drawings: folder of pictures, searched to its depths. ink: folders, searched
    to their depths, of stroke data (medians.json.gz of hanzi-writer-data, paths.json.gz of KanjiVG: char -> SVG paths,
    strokes_*.zip of Omniglot), of pieces that `dehw materials` cut, and of pairs with images/ and gts/.
    """
    banks = [find_ink(folder) for folder in ink]
    bank = InkBank(
        hanzi=[glyph for each in banks for glyph in each.hanzi],
        scribbles=[glyph for each in banks for glyph in each.scribbles],
        pieces=[piece for each in banks for piece in each.pieces],
        writers=[writer for each in banks for writer in each.writers],
        fonts=materials.load_families(fonts) if fonts else (),
    )
    pages = [page for folder in clean for page in find_clean(folder)]
    pictures = [page.path for page in find_pages([drawings])] if drawings else []
    return Sources(bank, pages, find_clean(photos) if photos else [], printing.system_fonts(), pictures)


def find_clean(folder: Path) -> list[Path]:
    """The PDFs below a folder; its images where it has none."""
    pages = sorted(p for p in folder.rglob("*") if p.suffix.lower() == ".pdf")
    return pages or [page.path for page in find_pages([folder])]


def find_ink(folder: Path) -> InkBank:
    """The ink below a folder: strokes, pairs, and pieces where there are neither. Raises InputError where none is."""

    def strokes(pattern: str, load: Callable[[Path], list[Glyph]]) -> list[Glyph]:
        return [glyph for path in sorted(folder.rglob(pattern)) for glyph in load(path)]

    hanzi = strokes("medians.json.gz", materials.load_hanzi) + strokes("paths.json.gz", materials.load_kanji)
    scribbles = strokes("strokes_*.zip", materials.load_omniglot)
    writers: list[list[np.ndarray]] = []
    if any(folder.rglob("gts")):
        for pair in find_pairs(folder):
            height = print_height(read_image(pair.image)) or materials.PRINT_HEIGHT
            page = decode(replace(pair, factor=materials.PRINT_HEIGHT / height))
            writers.append(materials.cut_ink(page.image, page.gt, threshold(page.soft_mask(), 0.5)))
    elif not (hanzi or scribbles):
        found = materials.find_writers(materials.find_pieces(folder))
        writers = [[full_ink(materials.piece_opacity(path)) for path in paths] for paths in found]
    pieces = [piece for writer in writers for piece in writer]
    writers = [[piece for piece in writer if is_thin(piece)] for writer in writers]
    known = [writer for writer in writers if len(writer) >= FEWEST_PIECES]
    return InkBank(hanzi=hanzi, scribbles=scribbles, pieces=pieces, writers=known)


def full_ink(piece: np.ndarray) -> np.ndarray:
    """A piece of ink, (h, w) float32 opacity, as its pen writes at full pressure, without the grey of its paper."""
    strokes = piece[piece > 0.2]
    level = max(0.3, float(np.percentile(strokes, 85))) if len(strokes) else 1.0
    return ((piece / level - 0.15) / 0.85).clip(0, 1).astype(np.float32)


def is_thin(piece: np.ndarray) -> bool:
    """Whether a piece of ink, (h, w) float32 opacity, is made of strokes."""
    return bool(cv2.distanceTransform((piece > 0.3).astype(np.uint8), cv2.DIST_L2, 3).max() <= THICKEST)
