"""What made-up pages are made of, gathered from folders: clean pages, printing fonts, ink and handwriting fonts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from dehw.data import materials
from dehw.data.crops import decode
from dehw.data.materials import Glyph, InkBank
from dehw.data.pairs import find_pairs
from dehw.data.synth.ink import blanks
from dehw.data.synth.ink.blanks import Room
from dehw.data.synth.mix import PageMix, PrintedMix, drawn, shares
from dehw.data.synth.pages import make_page
from dehw.data.synth.printed import fonts as printing
from dehw.data.synth.printed.extras import EXTRAS
from dehw.data.synth.printed.kinds import KINDS
from dehw.data.synth.sheet import Field, Printed, Triple
from dehw.errors import InputError
from dehw.files.find import find_pages
from dehw.files.images import read_image
from dehw.page.layout import print_height
from dehw.page.masks import threshold

TRIAL_DPI = 150  # a PDF's print is measured at this resolution
SPREAD = 0.13  # of the print's height, as the deviation of its logarithm
LARGEST = (85, 62)  # the sides of a page in heights of its print, at the most
CLOSE = ((10, 30), (14, 26))  # of a close-up
CLIP = ((5, 22), (10, 38))  # of a clipping
LINES = 55  # of print that a photo holds from top to bottom, where its print cannot be measured
FEWEST_PIECES = 6  # of one writer
THICKEST = 7  # px from the middle of a stroke to its edge; what is thicker is a blot, a hole or a logo


class Sources(NamedTuple):
    """bank: the ink. clean: PDFs and images of pages without handwriting. photos: photos of print, with their light.

    fonts: printing fonts by role, see printed.fonts.
    """

    bank: InkBank
    clean: Sequence[Path]
    photos: Sequence[Path]
    fonts: dict[str, list[str]]


def find_sources(clean: Sequence[Path], ink: Sequence[Path], fonts: Path | None, photos: Path | None = None) -> Sources:
    """Gather sources. Raises InputError where a folder has nothing in it, or no printing fonts are installed.

    clean: folders of PDFs or images of clean pages. fonts: folder of handwriting fonts. photos: folder of photos and
    scans of print without handwriting. ink: folders, searched to their depths, of stroke data (medians.json.gz of
    hanzi-writer-data, paths.json.gz of KanjiVG: char -> SVG paths, strokes_*.zip of Omniglot), of pieces that
    `dehw materials` cut, and of pairs with images/ and gts/.
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
    return Sources(bank, pages, find_clean(photos) if photos else [], printing.system_fonts())


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
            page = decode(pair, materials.PRINT_HEIGHT)
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


@lru_cache(maxsize=1024)
def clean_height(path: Path) -> float | None:
    """Height in px of a clean file's print: of a PDF's first page at TRIAL_DPI."""
    return print_height(np.ascontiguousarray(pdf_page(path, 0, TRIAL_DPI) if is_pdf(path) else read_image(path)))


def is_pdf(path: Path) -> bool:
    return path.suffix.lower() == ".pdf"


def pdf_page(path: Path, number: int, dpi: float) -> np.ndarray:
    """Render one page of a PDF, whichever remains of `number` divided by its count of pages: (H, W, 3) uint8 RGB."""
    import pypdfium2

    document = pypdfium2.PdfDocument(str(path))
    try:
        page = document[number % len(document)].render(scale=dpi / 72).to_numpy()
    finally:
        document.close()
    return cv2.cvtColor(page, cv2.COLOR_BGR2RGB)


def scan(rng: np.random.Generator, path: Path, height: float) -> np.ndarray:
    """A page of a file, (H, W, 3) uint8, its print about `height` px high."""
    measured = clean_height(path)
    if is_pdf(path):
        return pdf_page(path, int(rng.integers(1 << 30)), TRIAL_DPI * height / (measured or TRIAL_DPI / 6))
    image = read_image(path)
    scale = height / (measured or len(image) / LINES)
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def possible(mix: PrintedMix, sources: Sources) -> dict[str, float]:
    """How often each printed side comes that the sources have what they take for. Raises InputError where none has."""
    files = {"clean": sources.clean, "photo": sources.photos}
    often = {
        kind: share
        for kind, share in shares(mix).items()
        if share and (files[kind] if kind in files else any(role in sources.fonts for role in KINDS[kind].roles))
    }
    if not often:
        wanted = ", ".join(kind for kind, share in shares(mix).items() if share)
        raise InputError(f"there are no pages and no fonts for {wanted}; name folders of them, or mix in other pages")
    return often


def printed_page(rng: np.random.Generator, height: float, sources: Sources, mix: PrintedMix) -> Printed:
    """The printed side of a page, its print about `height` px high, of a kind that the sources have."""
    often = possible(mix, sources)
    kind = str(rng.choice(list(often), p=np.array(list(often.values())) / sum(often.values())))
    if kind in KINDS:
        return KINDS[kind].typeset(rng, height, sources.fonts)
    paths = sources.clean if kind == "clean" else sources.photos
    page = scan(rng, paths[rng.integers(len(paths))], height)
    boxes = [Field("boxes", room, room.y) for room in blanks.boxes(blanks.dark(page), height)]
    return Printed(page, boxes, photo=kind == "photo")


def paste(rng: np.random.Generator, printed: Printed, height: float, sources: Sources, mix: PrintedMix) -> Printed:
    """Stick a clipping of another printed side on the page, as notes on a tablet have it; its fields are gone."""
    other = printed_page(rng, height * rng.uniform(0.6, 1), sources, mix).page
    sides = [
        (n, min(m, round(rng.uniform(*span) * height))) for n, m, span in zip(other.shape, printed.page.shape, CLIP)
    ]
    h, w = (min(sizes) for sizes in sides)
    places = [
        [int(rng.integers(whole.shape[axis] - n + 1)) for axis, n in enumerate((h, w))]
        for whole in (other, printed.page)
    ]
    (top, left), (y, x) = places
    page = printed.page.copy()
    page[y : y + h, x : x + w] = other[top : top + h, left : left + w]
    free = [field for field in printed.fields if not _overlap(field.room, Room(x, y, w, h))]
    return printed._replace(page=page, fields=free)


def _overlap(a: Room, b: Room) -> bool:
    return a.x < b.x + b.w and b.x < a.x + a.w and a.y < b.y + b.h and b.y < a.y + a.h


def finished(rng: np.random.Generator, printed: Printed, height: float, sources: Sources, mix: PageMix) -> Printed:
    """The printed side with what is printed on top of it, or as much of it as a picture holds."""
    if rng.random() < mix.added.pasted:
        printed = paste(rng, printed, height, sources, mix.printed)
    sides = CLOSE if rng.random() < mix.added.close_up else tuple((n, n) for n in LARGEST)
    h, w = (min(n, round(rng.uniform(*span) * height)) for n, span in zip(printed.page.shape, sides))
    y, x = (int(rng.integers(n - side + 1)) for n, side in zip(printed.page.shape, (h, w)))
    printed = printed.window(Room(x, y, w, h))
    for _, extra in drawn(rng, mix.added, EXTRAS):
        extra(rng, printed.page, height, sources.fonts)
    return printed


def made_up(seed: int, sources: Sources, height: float, mix: PageMix) -> Triple:
    """The page of a seed, its print about `height` px high; the same seed, sources and mix give the same page."""
    rng = np.random.default_rng(seed)
    height *= float(np.exp(rng.normal(0, SPREAD)))
    printed = finished(rng, printed_page(rng, height, sources, mix.printed), height, sources, mix)
    return make_page(rng, printed, sources.bank, height, mix)
