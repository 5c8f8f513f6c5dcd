"""How a result is judged: one definition for training, `dehw evaluate` and every report.

image is the page with handwriting, gt the same page without, out what the program returns: (H, W, 3) uint8
RGB of equal size. ink marks the handwriting, valid the area in which the pair can be trusted: (H, W) bool.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import cv2
import numpy as np

from dehw.errors import InputError
from dehw.page import masks

INK_DIFFERENCE = 25  # grey levels, mean over RGB, from which image and gt count as different
INK_CONTRAST = 20  # grey levels; fainter ink pixels do not count towards the residual
CLEAR_OF_INK = 11  # px, side of the dilation; what is judged as print lies more than 5 px from ink
PRINT_CONTRAST = 60  # grey levels that print is darker than the paper around it
PAPER_WINDOW = 41  # px at a quarter of the size, of the median that removes the print
TOUCHED = 8  # grey levels by which an untouched pixel may move

SSIM_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # finest scale first (Wang et al. 2003)
SSIM_WINDOW, SSIM_SIGMA = 11, 1.5
SSIM_C1, SSIM_C2 = 0.01**2, 0.03**2  # (K L)^2 with a range L of 1
SSIM_SMALLEST = SSIM_WINDOW * 2 ** (len(SSIM_WEIGHTS) - 1)  # px, a side with one window at the last scale


@dataclass(frozen=True)
class Scores:
    """The figures of one page, or their means; nan where a figure is not defined."""

    psnr: float  # dB, inf for an exact result
    msssim: float  # up to 1
    contest: float  # (psnr / 100 + msssim) / 2
    residual: float  # 0 = ink gone, 1 = untouched
    lost: float  # share of print pixels turned paper
    touched: float  # share of pixels away from ink that moved


def evaluate(
    image: np.ndarray,
    gt: np.ndarray,
    out: np.ndarray,
    ink: np.ndarray | None = None,
    valid: np.ndarray | None = None,
) -> Scores:
    """Judge one page by every figure.

    image, gt, out: (H, W, 3) uint8 RGB. ink: (H, W) bool, found by ink_mask if not given. valid: (H, W) bool,
    everywhere if not given. msssim and contest are nan on pages too small for five scales, residual and lost
    where there is no ink or print to judge. Raises InputError for unequal sizes.
    """
    sizes = {array.shape[:2] for array in (image, gt, out, ink, valid) if array is not None}
    if len(sizes) > 1:
        raise InputError(f"page, ground truth, result and masks differ in size: {sorted(sizes)}.")
    ink = ink_mask(image, gt) if ink is None else ink
    valid = np.ones(ink.shape, bool) if valid is None else valid
    out = np.where(valid[..., None], out, gt)
    decibels = psnr(out, gt, valid)
    similarity = msssim(out, gt) if min(gt.shape[:2]) >= SSIM_SMALLEST else np.nan
    return Scores(
        decibels,
        similarity,
        contest(decibels, similarity),
        residual(image, gt, out, ink, valid),
        lost(gt, out, ink),
        touched(gt, out, ink, valid),
    )


def mean(scores: Sequence[Scores]) -> Scores:
    """Average pages figure by figure, over the pages where it is defined; nan where it is defined on none."""
    columns = [[getattr(score, field.name) for score in scores] for field in fields(Scores)]
    defined = [[value for value in column if not np.isnan(value)] for column in columns]
    return Scores(*(float(np.mean(column)) if column else np.nan for column in defined))


def ink_mask(image: np.ndarray, gt: np.ndarray) -> np.ndarray:
    """Find the handwriting by difference, specks opened away: (H, W, 3) uint8 -> (H, W) bool."""
    apart = masks.hard_mask(image, gt, INK_DIFFERENCE).astype(np.uint8)
    square = np.ones((2, 2), np.uint8)
    # grown back from the opposite corner; cv2.MORPH_OPEN uses one corner twice and shifts the mask by a pixel
    return cv2.dilate(cv2.erode(apart, square, anchor=(1, 1)), square, anchor=(0, 0)).astype(bool)


def psnr(out: np.ndarray, gt: np.ndarray, valid: np.ndarray | None = None) -> float:
    """Peak signal-to-noise ratio over the valid pixels in decibels; inf for equal pages, nan for none valid.

    out, gt: (H, W, 3) uint8; valid: (H, W) bool.
    """
    error = np.square(cv2.absdiff(out, gt), dtype=np.uint16)
    if valid is not None:
        error = error[valid]
    if not error.size:
        return np.nan
    mse = error.mean(dtype=np.float64)
    return float(10 * np.log10(255**2 / mse)) if mse else np.inf


def msssim(out: np.ndarray, gt: np.ndarray) -> float:
    """Multi-scale structural similarity over five scales, mean over RGB.

    out, gt: (H, W, 3) uint8. Raises InputError for pages that hold no whole window at the fifth scale.
    Source: Wang, Simoncelli and Bovik, Multi-scale structural similarity for image quality assessment, 2003.
    """
    height, width = gt.shape[:2]
    if min(height, width) < SSIM_SMALLEST:
        raise InputError(
            f"a page of {height}x{width} pixels is too small for MS-SSIM: "
            f"give pages of {SSIM_SMALLEST} pixels and more on both sides."
        )
    channels = zip(cv2.split(out), cv2.split(gt), strict=True)  # one at a time keeps the memory low
    return float(
        np.mean([_msssim_channel(x.astype(np.float32) / 255, y.astype(np.float32) / 255) for x, y in channels])
    )


def _msssim_channel(x: np.ndarray, y: np.ndarray) -> float:
    product = 1.0
    for scale, weight in enumerate(SSIM_WEIGHTS, start=1):
        similarity, contrast = _ssim(x, y)
        term = similarity if scale == len(SSIM_WEIGHTS) else contrast
        product *= max(term, 0.0) ** weight  # a negative correlation has no power
        x, y = _halve(x), _halve(y)
    return product


def _ssim(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Mean SSIM and mean contrast-structure term over all whole windows. x, y: (H, W) float32 in [0, 1]."""
    mean_x, mean_y = _blur(x), _blur(y)
    product, squares = mean_x * mean_y, mean_x * mean_x + mean_y * mean_y
    covariance = _blur(x * y) - product
    variances = _blur(x * x + y * y) - squares  # only their sum is needed
    contrast = (2 * covariance + SSIM_C2) / (variances + SSIM_C2)
    luminance = (2 * product + SSIM_C1) / (squares + SSIM_C1)
    return float((luminance * contrast).mean(dtype=np.float64)), float(contrast.mean(dtype=np.float64))


def _blur(x: np.ndarray) -> np.ndarray:
    """Average under the Gaussian window wherever it lies whole on the page."""
    inset = SSIM_WINDOW // 2
    blurred = cv2.GaussianBlur(x, (SSIM_WINDOW, SSIM_WINDOW), SSIM_SIGMA)
    return blurred[inset:-inset, inset:-inset]


def _halve(x: np.ndarray) -> np.ndarray:
    """Average 2x2 pixels into one; an odd last row or column is left out."""
    height, width = x.shape[0] // 2, x.shape[1] // 2
    return cv2.resize(x[: 2 * height, : 2 * width], (width, height), interpolation=cv2.INTER_AREA)


def contest(psnr: float, msssim: float) -> float:
    """The contest's score of a page, (psnr / 100 + msssim) / 2."""
    return (psnr / 100 + msssim) / 2


def residual(image: np.ndarray, gt: np.ndarray, out: np.ndarray, ink: np.ndarray, valid: np.ndarray) -> float:
    """Share of the handwriting's darkness that is left: 0 = gone, 1 = untouched, nan without visible ink."""
    judged = ink & valid & (np.abs(_grey(image) - _grey(gt)) > INK_CONTRAST)
    if not judged.any():
        return np.nan
    left, before = (cv2.absdiff(page, gt)[judged].sum(dtype=np.int64) for page in (out, image))
    return float(left / before)


def lost(gt: np.ndarray, out: np.ndarray, ink: np.ndarray) -> float:
    """Share of the print clear of ink that turned paper: lighter by over half its contrast; nan if none."""
    grey = _grey(gt)
    contrast = _paper(gt) - grey
    printed = (contrast > PRINT_CONTRAST) & _clear(ink)
    if not printed.any():
        return np.nan
    return float((_grey(out) - grey > contrast / 2)[printed].mean())


def touched(gt: np.ndarray, out: np.ndarray, ink: np.ndarray, valid: np.ndarray) -> float:
    """Share of the valid pixels clear of ink whose grey moved visibly; nan where there are none."""
    judged = _clear(ink) & valid
    if not judged.any():
        return np.nan
    return float((np.abs(_grey(out) - _grey(gt)) > TOUCHED)[judged].mean())


def _grey(page: np.ndarray) -> np.ndarray:
    """ITU-R 601 luma: (H, W, 3) uint8 -> (H, W) int16."""
    return cv2.cvtColor(page, cv2.COLOR_RGB2GRAY).astype(np.int16)


def _paper(gt: np.ndarray) -> np.ndarray:
    """Estimate the grey of the bare paper everywhere: (H, W, 3) uint8 -> (H, W) int16."""
    height, width = gt.shape[:2]
    grey = cv2.cvtColor(gt, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (max(1, width // 4), max(1, height // 4)), interpolation=cv2.INTER_AREA)
    paper = cv2.medianBlur(small, PAPER_WINDOW)
    return cv2.resize(paper, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.int16)


def _clear(ink: np.ndarray) -> np.ndarray:
    return ~masks.dilate(ink, CLEAR_OF_INK)
