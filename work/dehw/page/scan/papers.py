"""Pages placed on paper to be printed."""

from __future__ import annotations

import cv2
import numpy as np

from dehw.errors import InputError

PAPERS = {  # mm, width and height; B sizes are those of ISO 216
    "a3": (297, 420),
    "a4": (210, 297),
    "a5": (148, 210),
    "b4": (250, 353),
    "b5": (176, 250),
    "letter": (215.9, 279.4),
}
MARGIN = 5  # mm that printers leave free
SPARSE = 10  # times a page's pixels that its paper has, at the most: sides are up to about 13 to 1
USUAL = 297  # mm; the longer side of a sheet whose size nobody names
INCH = 25.4  # mm


def on_paper(page: np.ndarray, paper: str) -> tuple[np.ndarray, float]:
    """A page, (H, W, 3) uint8, in the middle of a paper, as large as it fits, with white around; and its dots an inch.

    No pixel is resampled. A wide page gets the paper on its side. Raises InputError as `size`.
    """
    height, width = page.shape[:2]
    down, across, density = size((height, width), paper)
    right, below = across - width, down - height
    sides = below // 2, below - below // 2, right // 2, right - right // 2
    return cv2.copyMakeBorder(page, *sides, cv2.BORDER_CONSTANT, value=(255, 255, 255)), density * INCH


def size(page: tuple[int, ...], paper: str) -> tuple[int, int, float]:
    """Height and width in px of the paper that a page of this (height, width) is placed on, and its px a mm.

    Raises InputError for a paper that is not known, and for a page so thin that its paper would fill the memory.
    """
    if paper not in PAPERS:
        raise InputError(f"{paper} is no paper that is known; choose one of {', '.join(PAPERS)}")
    height, width = page[:2]
    across, down = PAPERS[paper][:: -1 if width > height else 1]
    density = max(width / (across - 2 * MARGIN), height / (down - 2 * MARGIN))
    if across * down * density**2 > SPARSE * width * height:
        raise InputError(f"a page of {width} by {height} pixels is too thin for {paper}; leave out --paper, or crop it")
    return round(down * density), round(across * density), density


def usual_dpi(page: np.ndarray) -> float:
    """The dots an inch of a page whose longer side is that of A4."""
    return max(page.shape[:2]) / USUAL * INCH
