"""Ink and fonts that made-up pages are written with: stroke skeletons, handwriting fonts, real ink cut from pairs."""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from PIL import ImageFont

from dehw.errors import InputError

FONT_SUFFIXES = {".ttf", ".otf", ".ttc", ".woff", ".woff2"}
Glyph = list[np.ndarray]  # one (n, 2) float32 polyline a stroke, x and y (down) in [0, 1]


@lru_cache(maxsize=512)
def open_font(path: str, size: int) -> ImageFont.FreeTypeFont:
    """Open a font file at `size` pixels an em, once."""
    return ImageFont.truetype(path, size)


@dataclass
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
    """Gather the font files under `folder` into families, by the name each file carries."""
    from fontTools.ttLib import TTCollection, TTFont

    families: dict[str, Family] = {}
    for path in sorted(p for p in Path(folder).rglob("*") if p.suffix.lower() in FONT_SUFFIXES):
        font = TTCollection(path).fonts[0] if path.suffix.lower() == ".ttc" else TTFont(path, lazy=True)
        name = f"{font['name'].getDebugName(1)} {font['name'].getDebugName(2)}"
        family = families.setdefault(name, Family(name))
        for code in font.getBestCmap() or {}:
            family.files.setdefault(code, str(path))
    if not families:
        raise InputError(f"{folder}: no font file ({', '.join(sorted(FONT_SUFFIXES))}) in it")
    return list(families.values())


def load_hanzi(path: Path) -> list[Glyph]:
    """Read hanzi-writer medians (char -> strokes on a 1024 grid, y up) from `medians.json.gz`."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        medians = json.load(file)
    return [
        [np.array([[x / 1024, (900 - y) / 1024] for x, y in stroke], np.float32) for stroke in strokes]
        for strokes in medians.values()
    ]


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


def cut_ink(image: np.ndarray, gt: np.ndarray, mask: np.ndarray, reach: int = 25) -> list[np.ndarray]:
    """Cut connected handwriting (words, formulae) out of a page as opacity patches.

    image, gt: (H, W, 3) uint8, page with and without handwriting. mask: (H, W) bool, True = handwriting.
    reach: strokes nearer than this many px stay together. Returns (h, w) float32 in [0, 1], 1 = full ink.
    Source: seed 000.
    """
    near = cv2.dilate(mask.astype(np.uint8), np.ones((reach, reach), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(near)
    darkness = 1 - image.min(axis=2).astype(np.float32) / np.maximum(gt.min(axis=2), 1)
    pieces = []
    for i in range(1, count):
        x, y, w, h = stats[i, :4]
        box = np.s_[y : y + h, x : x + w]
        alpha = np.where(mask[box] & (labels[box] == i), darkness[box], 0).clip(0, 1)
        if alpha.sum() > 60 and min(w, h) > 8:
            pieces.append(alpha.astype(np.float32))
    return pieces


@dataclass
class InkBank:
    """Everything that handwriting is made of.

    hanzi, scribbles: stroke glyphs. fonts: handwriting typefaces. pieces: (h, w) float32 opacities of real ink whose
    print around it was `piece_height` px high.
    """

    hanzi: Sequence[Glyph] = ()
    scribbles: Sequence[Glyph] = ()
    fonts: Sequence[Family] = ()
    pieces: Sequence[np.ndarray] = ()
    piece_height: float = 32.0
