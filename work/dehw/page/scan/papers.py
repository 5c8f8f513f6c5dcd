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
USUAL = 297  # mm; the longer side of a sheet whose size nobody names
INCH = 25.4  # mm


def on_paper(page: np.ndarray, paper: str) -> tuple[np.ndarray, float]:
    """A page, (H, W, 3) uint8, in the middle of a paper, as large as it fits, with white around; and its dots an inch.

    No pixel is resampled. A wide page gets the paper on its side. Raises InputError for a paper that is not known.
    """
    if paper not in PAPERS:
        raise InputError(f"{paper} is no paper that is known; choose one of {', '.join(PAPERS)}")
    height, width = page.shape[:2]
    across, down = PAPERS[paper][:: -1 if width > height else 1]
    density = max(width / (across - 2 * MARGIN), height / (down - 2 * MARGIN))  # px a mm
    right, below = round(across * density) - width, round(down * density) - height
    sides = below // 2, below - below // 2, right // 2, right - right // 2
    return cv2.copyMakeBorder(page, *sides, cv2.BORDER_CONSTANT, value=(255, 255, 255)), density * INCH


def usual_dpi(page: np.ndarray) -> float:
    """The dots an inch of a page whose longer side is that of A4."""
    return max(page.shape[:2]) / USUAL * INCH
