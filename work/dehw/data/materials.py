"""Ink and fonts that made-up pages are written with: stroke skeletons, handwriting fonts, real ink cut from pairs."""

from __future__ import annotations

import gzip
import json
import re
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
from PIL import ImageFont

from dehw.errors import InputError, PageError
from dehw.files.images import IMAGE_SUFFIXES, opened
from dehw.page import masks

if TYPE_CHECKING:
    from fontTools.ttLib import TTFont

FONT_SUFFIXES = {".ttf", ".otf", ".ttc", ".woff", ".woff2"}
WHITE = 255
LEAST_INK = 60  # px of full ink; what has less is dust, or a trace of compression
PRINT_HEIGHT = 32.0  # px of the print on an ordinary page
REACH = 25  # px; on such a page strokes nearer than this belong to one word or formula
IN_TRUE_MASK = 0.1  # share of a component; what lies less than this in the true mask is no handwriting
LARGEST_MISTAKE = 512  # px; a longer one is no bracket or circle, but a shadow or a figure
SCANNED_INK = 30  # grey levels that ink on a scan without ground truth is darker than its paper
Glyph = list[np.ndarray]  # one (n, 2) float32 polyline a stroke, x and y (down) in [0, 1]


@lru_cache(maxsize=512)
def open_font(path: str, size: int) -> ImageFont.FreeTypeFont:
    """Open a font file at `size` pixels an em, once."""
    return ImageFont.truetype(path, size)


@lru_cache(maxsize=512)
def characters(path: str) -> frozenset[int]:
    """The code points that a font file has, of a collection's first font."""
    with _typeface(Path(path)) as font:
        return frozenset(font.getBestCmap() or {})


@dataclass(eq=False)  # one typeface is itself only, so that it can be a key
class Family:
    """One typeface, which webfont packages split into many files of a few characters each."""

    name: str
    files: dict[int, str] = field(default_factory=dict)  # code point -> font file

    def font(self, char: str, size: int) -> ImageFont.FreeTypeFont | None:
        """The font at `size` px that draws `char`, or None where the family lacks it."""
        path = self.files.get(ord(char))
        return open_font(path, size) if path else None

    def covers(self, text: str) -> bool:
        return all(ord(c) in self.files or c == " " for c in text)


def load_families(folder: Path) -> list[Family]:
    """Gather the font files under `folder` into families, by the name each file carries.

    Raises InputError where there is none, and for WOFF2 without brotli.
    """
    families: dict[str, Family] = {}
    for path in sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in FONT_SUFFIXES):
        with _typeface(path) as font:  # webfonts come in thousands of files
            name = f"{font['name'].getDebugName(1)} {font['name'].getDebugName(2)}"
            family = families.setdefault(name, Family(name))
            for code in font.getBestCmap() or {}:
                family.files.setdefault(code, str(path))
    if not families:
        raise InputError(f"{folder}: no font file ({', '.join(sorted(FONT_SUFFIXES))}) in it")
    return list(families.values())


def _typeface(path: Path) -> TTFont:
    """The tables of a font file, of a collection's first font."""
    from fontTools.ttLib import TTCollection, TTFont

    if path.suffix.lower() == ".ttc":
        return TTCollection(path).fonts[0]
    try:
        return TTFont(path, lazy=True)
    except ImportError as error:
        raise InputError(f"{path} is a WOFF2 font, which needs one more package: pip install brotli") from error


def load_hanzi(path: Path) -> list[Glyph]:
    """Read hanzi-writer medians (char -> strokes on a 1024 grid, y up) from `medians.json.gz`."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        medians = json.load(file)
    return [
        [np.array([[x / 1024, (900 - y) / 1024] for x, y in stroke], np.float32) for stroke in strokes]
        for strokes in medians.values()
    ]


def load_kanji(path: Path) -> list[Glyph]:
    """Read KanjiVG's strokes (char -> one SVG path a stroke on a 109 grid, y down) from `paths.json.gz`."""
    from fontTools.pens.recordingPen import RecordingPen
    from fontTools.svgLib.path import parse_path

    def points(stroke: str) -> np.ndarray:
        pen = RecordingPen()
        parse_path(stroke, pen)
        found: list[tuple[float, float]] = []
        for step, at in pen.value:
            if step == "moveTo":
                found += at
            elif step == "curveTo":  # a cubic curve by three points of it
                start = np.array(found[-1])
                a, b, end = (np.array(point) for point in at)
                found += [
                    tuple((1 - t) ** 3 * start + 3 * (1 - t) ** 2 * t * a + 3 * (1 - t) * t**2 * b + t**3 * end)
                    for t in (1 / 3, 2 / 3, 1)
                ]
        return np.array(found, np.float32) / 109

    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [[points(stroke) for stroke in strokes] for strokes in json.load(file).values()]


def load_omniglot(archive: Path) -> list[Glyph]:
    """Read Omniglot stroke drawings (lines `x,y,t`, y down on a 105 px grid, strokes parted by BREAK)."""
    glyphs = []
    with zipfile.ZipFile(archive) as file:
        for name in file.namelist():
            if not name.endswith(".txt") or name.startswith("__MACOSX"):
                continue
            strokes, points = [], []
            for line in file.read(name).decode("ascii").split():
                if line[0].isdigit() or line[0] == "-":
                    points.append([abs(float(v)) / 105 for v in line.split(",")[:2]])
                elif points:
                    strokes.append(np.array(points[:: max(1, len(points) // 12)], np.float32))
                    points = []
            glyphs.append(strokes)
    return [g for g in glyphs if g]


def cut_ink(image: np.ndarray, gt: np.ndarray, mask: np.ndarray, reach: int = REACH) -> list[np.ndarray]:
    """Cut connected handwriting (words, formulae) out of a page as opacity patches.

    image, gt: (H, W, 3) uint8, page with and without handwriting. mask: (H, W) bool, True = handwriting.
    reach: strokes nearer than this many px stay together. Returns (h, w) float32 in [0, 1], 1 = full ink.
    Source: seed 000.
    """
    darkness = 1 - image.min(axis=2).astype(np.float32) / np.maximum(gt.min(axis=2), 1)
    pieces = []
    for box, strokes in _regions(mask, reach):
        alpha = np.where(strokes, darkness[box], 0).clip(0, 1)
        if alpha.sum() > LEAST_INK and min(strokes.shape) > 8:
            pieces.append(alpha.astype(np.float32))
    return pieces


def cut_pieces(image: np.ndarray, gt: np.ndarray, mask: np.ndarray, reach: int = REACH) -> list[np.ndarray]:
    """Cut connected handwriting out of a page as pieces of a material bank: the ink alone, on white paper.

    Ink on paper works as a filter, so image / gt is how it would look on white. Arguments as cut_ink's.
    Returns (h, w, 4) uint8 RGBA, alpha 255 = handwriting, 0 and white elsewhere. Source: seed 000.
    """
    pieces = []
    for box, strokes in _regions(mask, reach):
        x, y, w, h = cv2.boundingRect(strokes.astype(np.uint8))
        inner = np.s_[y : y + h, x : x + w]
        ink, strokes = cv2.divide(image[box][inner], np.maximum(gt[box][inner], 1), scale=255), strokes[inner]
        ink[~strokes] = WHITE
        if (WHITE - ink.min(axis=2)).sum(dtype=np.int64) > LEAST_INK * WHITE:
            pieces.append(np.dstack([ink, strokes.astype(np.uint8) * 255]))
    return pieces


def cut_mistakes(gt: np.ndarray, found: np.ndarray, mask: np.ndarray) -> list[np.ndarray]:
    """Cut out what a segmenter took for handwriting and is not: brackets, circles, other print.

    These are the connected components of what it found that the true mask does not hold, but for large ones.
    gt: (H, W, 3) uint8, the page without handwriting; found, mask: (H, W) bool, what it took for handwriting, and what
    is. Returns (h, w, 4) uint8 RGBA, the print alone as on white paper. Source: the first seed.
    """
    count, labels = cv2.connectedComponents(found.astype(np.uint8))
    area = np.bincount(labels.ravel(), minlength=count)
    mistaken = np.bincount(labels[mask], minlength=count) < IN_TRUE_MASK * area
    mistaken[0] = False  # all that is not found
    pieces = cut_pieces(gt, paper_under(gt), mistaken[labels])
    return [piece for piece in pieces if max(piece.shape[:2]) <= LARGEST_MISTAKE]


def resized(piece: np.ndarray, factor: float) -> np.ndarray:
    """A piece or patch, (h, w, C) uint8, at another size; itself at its own."""
    if factor == 1:
        return piece
    size = [max(1, round(side * factor)) for side in piece.shape[1::-1]]
    return cv2.resize(piece, size, interpolation=cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR)


def paper_under(image: np.ndarray) -> np.ndarray:
    """Guess the paper under the ink of a scan that has no ground truth.

    image: (H, W, 3) uint8 RGB, dark ink on lighter paper without print. Returns (H, W, 3) uint8.
    """
    height, width = image.shape[:2]
    small = cv2.resize(image, (max(1, width // 8), max(1, height // 8)), interpolation=cv2.INTER_AREA)
    paper = cv2.blur(cv2.dilate(small, np.ones((7, 7), np.uint8)), (7, 7))
    return np.maximum(cv2.resize(paper, (width, height), interpolation=cv2.INTER_LINEAR), image)


def cut_scan(image: np.ndarray, scale: float = 1.0) -> list[np.ndarray]:
    """Cut the pieces, as cut_pieces does, out of a picture of handwriting without print.

    image: (H, W, 3) uint8 RGB, ink on paper or, as some collections have it, light strokes on black.
    scale: what its sides are multiplied by first.
    """
    if np.median(image) < 128:
        image = WHITE - image
    if scale != 1:
        interpolation = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        image = cv2.resize(image, None, fx=scale, fy=scale, interpolation=interpolation)
    paper = paper_under(image)
    return cut_pieces(image, paper, masks.hard_mask(image, paper, SCANNED_INK))


def find_pieces(folder: str | Path) -> list[Path]:
    """List the pieces below a folder that `dehw materials` wrote, in order of path. Raises InputError if none."""
    found = sorted(
        p for p in Path(folder).rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")
    )
    if not found:
        raise InputError(f"{folder}: no pieces of handwriting in it; `dehw materials DATA -o {folder}` cuts them.")
    return found


def piece_opacity(path: Path) -> np.ndarray:
    """A piece that `dehw materials` wrote as (h, w) float32 opacity in [0, 1]. Raises InputError for other images."""
    with suppress(PageError), opened(path) as image:
        if image.has_transparency_data:
            piece = np.array(image.convert("RGBA"))
            return np.where(piece[..., 3] > 127, 1 - piece[..., :3].min(axis=2) / WHITE, 0).astype(np.float32)
    raise InputError(f"{path}: not a piece of handwriting (an image with transparency); `dehw materials` cuts them.")


def _regions(mask: np.ndarray, reach: int) -> Iterator[tuple[tuple[slice, slice], np.ndarray]]:
    """Groups of strokes at most `reach` px apart: each one's box in the page, and its strokes in it, (h, w) bool."""
    near = cv2.dilate(mask.astype(np.uint8), np.ones((reach, reach), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(near)
    for i in range(1, count):
        x, y, w, h = stats[i, :4]
        box = np.s_[y : y + h, x : x + w]
        yield box, mask[box] & (labels[box] == i)


@dataclass
class InkBank:
    """Everything that handwriting is made of.

    hanzi, scribbles: stroke glyphs. fonts: handwriting typefaces. pieces: (h, w) float32 opacities of real ink whose
    print around it was `piece_height` px high. writers: the same pieces, as far as it is known who wrote them.
    """

    hanzi: Sequence[Glyph] = ()
    scribbles: Sequence[Glyph] = ()
    fonts: Sequence[Family] = ()
    pieces: Sequence[np.ndarray] = ()
    piece_height: float = PRINT_HEIGHT
    writers: Sequence[Sequence[np.ndarray]] = ()

    def of_one_writer(self, rng: np.random.Generator) -> InkBank:
        """The same bank with the pieces of one of its writers alone; all pieces where no writer is known.

        Who has left more is met more often, but not as much more: by the square root.
        """
        if not self.writers:
            return self
        often = np.sqrt([len(pieces) for pieces in self.writers])
        return replace(self, pieces=self.writers[rng.choice(len(often), p=often / often.sum())])


def find_writers(paths: Sequence[Path]) -> list[list[Path]]:
    """Sort pieces by who wrote them: by folder, and in a folder by the number after "writer" in their names."""
    writers: dict[tuple[Path, str], list[Path]] = {}
    for path in paths:
        number = re.search(r"writer(\d+)", path.name)
        writers.setdefault((path.parent, number[1] if number else ""), []).append(path)
    return list(writers.values())
