"""Translucent text watermarks on clean pictures, for trying out configs/watermark.yml without the contest's data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np

from dehw.data.materials import open_font
from dehw.data.synth.worksheet import INK_SEEN, Triple
from dehw.files.images import write_image

TEXTS = ("SAMPLE", "DRAFT", "Copyright 2022", "www.example.com", "Confidential", "Photo by A. B.", "Do not copy")
FACE = cv2.FONT_HERSHEY_DUPLEX


def lettering(text: str, height: int, font: str | None = None) -> np.ndarray:
    """Draw a text: (h, w) float32 opacity in [0, 1], its capitals `height` px high.

    font: a font file that has the letters; OpenCV's own, which knows ASCII alone, without one.
    """
    if font:
        bitmap = open_font(font, round(height * 1.4)).getmask(text, mode="L")  # capitals are about 0.7 em high
        return np.array(bitmap, np.uint8).reshape(bitmap.size[::-1]).astype(np.float32) / 255
    thickness = max(2, round(height / 8))
    scale = cv2.getFontScaleFromHeight(FACE, height, thickness)
    (w, h), below = cv2.getTextSize(text, FACE, scale, thickness)
    canvas = np.zeros((h + below + 2 * thickness, w + 2 * thickness), np.uint8)
    cv2.putText(canvas, text, (thickness, h + thickness), FACE, scale, 255, thickness, cv2.LINE_AA)
    return canvas.astype(np.float32) / 255


def spread(rng: np.random.Generator, patch: np.ndarray, height: int, width: int, repeat: bool) -> np.ndarray:
    """Tilt a patch by up to 45 degrees and put it somewhere on a page, or all over it: (height, width) opacity.

    patch: (h, w) float32 opacity in [0, 1], as the result. A single one may lie partly outside the page.
    """
    middle = np.array([rng.uniform(0.3, 0.7) * width, rng.uniform(0.3, 0.7) * height])
    if repeat:
        gap = [(0, round(patch.shape[0] * rng.uniform(0.8, 2))), (0, round(patch.shape[1] * rng.uniform(0.1, 0.5)))]
        patch = np.pad(patch, gap)
        across = round(1.4 * np.hypot(height, width)) + 1  # twice the way from the middle to the farthest corner
        patch = np.tile(patch, [-(-across // side) for side in patch.shape])
    matrix = cv2.getRotationMatrix2D((patch.shape[1] / 2, patch.shape[0] / 2), rng.uniform(-45, 45), 1)
    matrix[:, 2] += middle - np.array(patch.shape[1::-1]) / 2
    return cv2.warpAffine(patch, matrix, (width, height))


def watermark(rng: np.random.Generator, page: np.ndarray, fonts: Sequence[str] = ()) -> Triple:
    """Lay a translucent text over a page, (H, W, 3) uint8 RGB, once or all over; returns a Triple of that size.

    fonts: files to choose the lettering from. Opacity lies between 0.25 and 0.6, so that the page shows through.
    """
    height, width = page.shape[:2]
    repeat = bool(rng.random() < 0.5)
    size = round(min(height, width) * (rng.uniform(0.04, 0.08) if repeat else rng.uniform(0.08, 0.16)))
    patch = lettering(str(rng.choice(TEXTS)), max(6, size), str(rng.choice(fonts)) if fonts else None)
    alpha = spread(rng, patch, height, width, repeat)
    colour = _colour(rng, page)
    share = (alpha * rng.uniform(0.25, 0.6))[..., None]
    image = page * (1 - share) + colour * share
    return Triple(np.rint(image).astype(np.uint8), page, alpha > INK_SEEN)


def _colour(rng: np.random.Generator, page: np.ndarray) -> np.ndarray:
    """Grey or, less often, coloured, and darker than a light page, lighter than a dark one: (3,) float."""
    seen = rng.integers(0, 100, 3) if rng.random() < 0.3 else np.full(3, rng.integers(0, 100))
    return seen.astype(float) if page.mean() > 127 else 255.0 - seen


def write_pairs(
    folder: str | Path, pages: Mapping[str, np.ndarray], per_page: int, seed: int = 0, fonts: Sequence[str] = ()
) -> None:
    """Write `per_page` watermarked copies of each page and the page itself, in the layout of configs/watermark.yml.

    pages: (H, W, 3) uint8 RGB by stem. Copy n of a page becomes images/STEM_n.png and gts/STEM_n.png below `folder`.
    """
    rng = np.random.default_rng(seed)
    for stem, page in pages.items():
        for number in range(1, per_page + 1):
            pair = watermark(rng, page, fonts)
            write_image(Path(folder) / "images" / f"{stem}_{number:04d}.png", pair.image)
            write_image(Path(folder) / "gts" / f"{stem}_{number:04d}.png", pair.gt)
