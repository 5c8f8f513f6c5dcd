"""Made-up pages: a printed side, handwriting on it, one camera over both. Gives image, gt and mask."""

from __future__ import annotations

import cv2
import numpy as np

from dehw.data.materials import InkBank
from dehw.data.synth.camera.photo import photograph
from dehw.data.synth.ink import steps
from dehw.data.synth.ink.fields import FILLERS
from dehw.data.synth.ink.writer import Writer
from dehw.data.synth.mix import InkMix, PageMix, drawn
from dehw.data.synth.printed.sides import finished, printed_page
from dehw.data.synth.sources import Sources
from dehw.data.synth.worksheet import INK_SEEN, Printed, Triple, Worksheet

SPREAD = 0.13  # of the print's height, as the deviation of its logarithm
VISIBLE = 12  # grey levels between image and gt at which ink is seen
LEAST_SEEN = 0.05  # share of a stroke that must be, or the camera lost it
TRIES = 3  # a page with ink is written on again as long as nothing has come of it
TEACHER_PENS = ("red", "red", "red", "green", "blue", "pencil", "tablet")


def write_on(rng: np.random.Generator, sheet: Worksheet, bank: InkBank, mix: InkMix) -> None:
    """Fill in, answer and mark a page: one pupil with one to three pens, now and then a teacher."""
    if rng.random() < mix.none:
        return
    pupil = Writer.random(rng, bank, sheet.height, [""] * int(rng.choice([1, 2, 3], p=[0.7, 0.2, 0.1])))
    teacher = Writer.random(rng, bank, sheet.height, [str(rng.choice(TEACHER_PENS))])
    fields = {kind: [field for field in sheet.fields if field.kind == kind] for kind in FILLERS}
    for _ in range(TRIES):
        for kind, fill in drawn(rng, mix, FILLERS):
            if fields[kind]:
                fill(rng, sheet, pupil, fields[kind])
        for writer, manners in ((pupil, steps.PUPIL), (teacher, steps.TEACHER)):
            for _, step in drawn(rng, mix, manners):
                step(rng, sheet, writer)
        if sheet.mask.any():
            return


def settled(rng: np.random.Generator, sheet: Worksheet) -> None:
    """Ink as soft as the photo that it is written on."""
    ink = cv2.GaussianBlur(sheet.page - sheet.gt, (0, 0), rng.uniform(0.5, 1.0))
    sheet.page = sheet.gt + ink


def lost(image: np.ndarray, gt: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Strokes of a mask (H, W) bool that the camera left nothing of, where gt is light: (H, W) bool."""
    _, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    seen = (cv2.absdiff(image, gt).max(2) > VISIBLE) | (gt.min(2) < 0.6 * np.median(gt))
    share = np.bincount(labels[seen], minlength=len(stats)) / np.maximum(1, stats[:, cv2.CC_STAT_AREA])
    return mask & (share < LEAST_SEEN)[labels]


def make_page(rng: np.random.Generator, printed: Printed, bank: InkBank, height: float, mix: PageMix) -> Triple:
    """Write on a printed page and photograph it.

    printed: its print is about `height` px high. Returns a Triple of the same size, or larger by what lies beside.
    """
    sheet = Worksheet(printed.page, height, printed.fields)
    write_on(rng, sheet, bank, mix.ink)
    if printed.photo:
        settled(rng, sheet)
    page = sheet.page.clip(0, 255).astype(np.uint8)
    image, gt, soft = photograph(rng, page, printed.page, sheet.mask, mix.camera, file=printed.photo)
    mask = soft > INK_SEEN
    return Triple(image, gt, mask & ~lost(image, gt, mask))


def made_up(seed: int, sources: Sources, height: float, mix: PageMix) -> Triple:
    """The page of a seed, its print about `height` px high; the same seed, sources and mix give the same page."""
    rng = np.random.default_rng(seed)
    height *= float(np.exp(rng.normal(0, SPREAD)))
    printed = finished(rng, printed_page(rng, height, sources, mix.printed), height, sources, mix)
    return make_page(rng, printed, sources.bank, height, mix)
