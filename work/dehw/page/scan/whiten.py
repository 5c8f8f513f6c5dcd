"""Paper made white: shadows, slopes of light and casts of colour go, print and figures keep their colours."""

from __future__ import annotations

import cv2
import numpy as np

from dehw.page.scan.find import without_print

SIDE = 640  # px; longer side of the copy that the light is measured on
STROKE = 9  # px of the copy; what is dark and thinner is print
STEP = 0.05  # log of the light a px; steeper is the edge of a figure, or of a hard shadow
DYED = 1.2  # levels of Lab a px of as steep a change of colour
GAP = 4  # px of the copy; half the width of such an edge between two stretches of paper
LARGE = 0.2  # share of the page from which a stretch is paper even where it touches no side of the page
DARKEST = 0.2  # light of the darkest paper, by the lightest
COLOURED = 14  # levels of Lab by which a tinted figure differs from the paper
PAPER = 252  # grey level that paper gets; the noise of the camera beside it is cut off
NOISE = 2.5  # deviations of it
WHITE = (0.82, 0.97)  # least and greatest share of the paper's light that becomes white
BLACK = 0.3  # greatest share of it that becomes black
BAND = 256  # rows done at a time, which keeps the memory low
SHARP, RADIUS = 0.6, 1 / 2400  # strength of the sharpening, and its deviation by the page's longer side


def finish(page: np.ndarray) -> None:
    """Make a page, (H, W, 3) uint8 RGB, as one prints it: white and sharp, in place."""
    whiten(page)
    sharpen(page)


def whiten(page: np.ndarray) -> None:
    """Make the paper of a page, (H, W, 3) uint8 RGB, white, in place."""
    light = paper_light(page)
    middle, noise, black = _levels(page[::5, ::5], _enlarged(light, page.shape, 0, len(page), 5))
    for top in range(0, len(page), BAND):
        rows = page[top : top + BAND]
        lit = _enlarged(light, page.shape, top, top + len(rows))
        white = np.clip(lit * middle - noise, lit * WHITE[0], lit * WHITE[1])
        lit *= black
        rows[:] = cv2.divide(rows - lit, white - lit, scale=PAPER, dtype=cv2.CV_8U)


def paper_light(page: np.ndarray) -> np.ndarray:
    """The light on the paper of a page, (H, W, 3) uint8 RGB, as if nothing was printed: (h, w, 3) float32 levels."""
    scale = min(1.0, SIDE / max(page.shape[:2]))
    size = tuple(max(1, round(side * scale)) for side in page.shape[1::-1])
    bare = without_print(cv2.resize(page, size, interpolation=cv2.INTER_AREA), STROKE)
    return _filled(bare, _paper(bare))


def _paper(bare: np.ndarray) -> np.ndarray:
    """Where a page without its print, (h, w, 3) uint8, is paper: (h, w) uint8, 0 or 1.

    It is what hangs together without a step of light and reaches the page's edge, as hard shadows do and figures do
    not, and what is as large as nothing else is; neither much darker than the lightest of it, nor of another colour.
    """
    lab = cv2.cvtColor(bare, cv2.COLOR_RGB2LAB)
    grey = cv2.cvtColor(bare, cv2.COLOR_RGB2GRAY)
    shade = np.log(cv2.GaussianBlur(grey, (0, 0), 1).astype(np.float32) + 4)
    dye = cv2.GaussianBlur(lab[..., 1:], (0, 0), 1.5).astype(np.float32) * (STEP / DYED)
    both = np.dstack([shade, dye])
    steep = np.sqrt(sum(np.square(cv2.Scharr(both, cv2.CV_32F, *way, scale=1 / 32)).sum(2) for way in ((1, 0), (0, 1))))
    flat = (steep < STEP).astype(np.uint8)
    flat[grey < DARKEST * np.percentile(grey, 95)] = 0
    usual = np.median(lab[flat > 0][:, 1:], axis=0) if flat.any() else np.array([128, 128])
    flat[np.hypot(*(lab[..., 1:] - usual.astype(np.float32)).transpose(2, 0, 1)) > COLOURED] = 0
    _, labels, stats, _ = cv2.connectedComponentsWithStats(flat, connectivity=8)
    left, top, width, height, area = stats.T
    kept = (left <= 1) | (top <= 1) | (left + width >= flat.shape[1] - 1) | (top + height >= flat.shape[0] - 1)
    kept |= area > LARGE * flat.size
    kept[0] = False
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * GAP + 1, 2 * GAP + 1))
    return cv2.morphologyEx(kept[labels].astype(np.uint8), cv2.MORPH_CLOSE, disc)


def _filled(bare: np.ndarray, paper: np.ndarray) -> np.ndarray:
    """The light where it is known, and between as it is around: by means of ever larger cells (Gortler, 1996)."""
    known = paper[..., None].astype(np.float32)
    values = bare * known
    if not paper.any():
        return np.full(bare.shape, 255, np.float32)
    if min(paper.shape) <= 2 or paper.all():
        mean = values.sum((0, 1)) / known.sum()
        return np.where(known > 0, bare, mean).astype(np.float32)
    half = ((paper.shape[1] + 1) // 2, (paper.shape[0] + 1) // 2)
    weight = cv2.resize(known, half, interpolation=cv2.INTER_AREA)
    mean = cv2.resize(values, half, interpolation=cv2.INTER_AREA) / np.maximum(weight, 1e-6)[..., None]
    coarse = _filled(mean, (weight > 0).astype(np.uint8))
    around = cv2.resize(coarse, paper.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return cv2.GaussianBlur(values + around * (1 - known), (0, 0), 1.0)


def _enlarged(light: np.ndarray, shape: tuple[int, ...], top: int, bottom: int, step: int = 1) -> np.ndarray:
    """The light on rows top to bottom of a page of this shape, at every `step` px: float32."""
    down, right = light.shape[0] / shape[0], light.shape[1] / shape[1]
    matrix = np.array([[right * step, 0, right / 2 - 0.5], [0, down * step, (top + 0.5) * down - 0.5]])
    size = (-(-shape[1] // step), -(-(bottom - top) // step))
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(light, matrix, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _levels(page: np.ndarray, light: np.ndarray) -> tuple[float, float, float]:
    """By what shares of their light paper and the blackest print are seen, and what grey levels paper is darker by the
    noise of the camera, all of which is to become white: of pixels of a page and their light, (h, w, 3).
    """
    share, apart = (page / np.maximum(light, 1)).mean(2), (page - light).mean(2)
    paper = (share > 0.8) & (share < 1.2)
    if not paper.any():
        return 1.0, 0.0, 0.0
    noise = NOISE * float(np.median(apart[paper]) - np.percentile(apart[paper], 16))
    return float(np.median(share[paper])), noise, float(min(BLACK, np.percentile(share, 0.3)))


def sharpen(page: np.ndarray) -> None:
    """Sharpen a page, (H, W, 3) uint8, in place, by an unsharp mask."""
    deviation = max(0.8, max(page.shape[:2]) * RADIUS)
    halo = int(3 * deviation) + 1
    above = page[:0].copy()
    for top in range(0, len(page), BAND):
        bottom = min(len(page), top + BAND)
        rows = np.concatenate([above, page[top : bottom + halo]])
        blurred = cv2.GaussianBlur(rows, (0, 0), deviation)
        start = len(above)
        above = page[max(0, bottom - halo) : bottom].copy()
        sharp = cv2.addWeighted(rows, 1 + SHARP, blurred, -SHARP, 0)
        page[top:bottom] = sharp[start : start + bottom - top]
