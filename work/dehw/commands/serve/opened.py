"""A page that is open in the browser: what was found and erased on it, and the pictures that show it.

Its probability is kept, so that another sensitivity or a stroke of the brush needs no second look at the page.
"""

import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from dehw.commands.erase.plan import Job
from dehw.commands.erase.report import Outcome
from dehw.eraser import Erased, Eraser, OnProgress, Prepared
from dehw.files import images, panels
from dehw.page.confidence import Confidence
from dehw.page.masks import BALANCED

SHOWN = 1600  # px, the longer side of pictures in the browser; files to download keep their size
DRAWN_ON = 1000  # px, likewise of the one to draw on, which browsers redraw at each stroke
SMALL = 240  # px, likewise of those to choose a page by
NOTHING, KEEP, ERASE = range(3)  # what a pixel of OpenPage.strokes says
COLOURS = {KEEP: (0, 150, 70), ERASE: (40, 80, 255)}  # RGB of the brush: the one with more green than blue keeps


class OpenPage:
    """A page of an opened document; `folder` holds what is known of it.

    name: for people. sensitivity: in [0, 1], see Eraser.mask. strokes: (h, w) uint8 of NOTHING, KEEP and ERASE,
    or None. outcome: how it went, None before it was erased.
    """

    def __init__(self, folder: Path, name: str):
        self.folder, self.name = folder, name
        self.sensitivity = BALANCED
        self.strokes: np.ndarray | None = None
        self.outcome: Outcome | None = None
        self.confidence: Confidence | None = None
        self.stale = True  # what is asked for is not what was done
        self.version = 0  # of the pictures: under an old name, browsers would show the old one

    def ask(self, sensitivity: float, strokes: np.ndarray | None) -> None:
        """Say how the page is to be erased in the next run."""
        strokes = strokes if strokes is not None and strokes.any() else None
        if sensitivity != self.sensitivity or not _equal(strokes, self.strokes):
            self.stale = True
        self.sensitivity, self.strokes = sensitivity, strokes

    def erase(self, eraser: Eraser, image: np.ndarray, progress: OnProgress) -> Erased:
        """Erase the page, (H, W, 3) uint8 RGB, as asked for; a page that is not stale comes from its files."""
        started = time.perf_counter()
        if self.stale:
            prepared = eraser.prepare(image)
            prob = self._prob(eraser, prepared, progress)
            mask, keep = self._drawn_on(eraser.mask(prob, prepared, self.sensitivity))
            clean = eraser.erase(prepared, mask, progress)
            np.copyto(clean, image, where=keep[..., None])  # without `cmp` more than the mask changes
            self.confidence = eraser.confidence(prob, prepared, mask, ~keep)
            self._save(image, clean, mask)
        clean, mask = images.read_image(self.folder / "clean.png"), images.read_mask(self.folder / "mask.png") > 0
        return Erased(clean, mask, time.perf_counter() - started, self.confidence)

    def _prob(self, eraser: Eraser, prepared: Prepared, progress: OnProgress) -> np.ndarray:
        """The page's probability of handwriting, which is found once."""
        path = self.folder / "prob.npy"
        if not path.exists():
            np.save(path, eraser.segment(prepared, progress))
        return np.load(path)

    def _drawn_on(self, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The mask with the strokes on it, and where they say keep, (H, W) bool each."""
        strokes = np.zeros(mask.shape, np.uint8)
        if self.strokes is not None:
            strokes = cv2.resize(self.strokes, mask.shape[::-1], interpolation=cv2.INTER_NEAREST)
        return (mask | (strokes == ERASE)) & (strokes != KEEP), strokes == KEEP

    def _save(self, image: np.ndarray, clean: np.ndarray, mask: np.ndarray) -> None:
        """Keep a result, and pictures of it for the browser."""
        images.write_image(self.folder / "clean.png", clean)
        images.write_mask(self.folder / "mask.png", mask)
        self.version += 1
        found = panels.tint(image, mask)
        pictures = {
            "before": (image, SHOWN),
            "after": (clean, SHOWN),
            "found": (found, DRAWN_ON),
            "small": (clean, SMALL),
        }
        for what, (picture, side) in pictures.items():
            images.write_image(self._file(what), shrink(picture, side))
        self.stale = False

    def picture(self, what: str) -> str:
        """The path of a picture for the browser: before, after, found or small; grey for a page without one."""
        path = self._file(what)
        if not path.exists():
            images.write_image(path, np.full((SMALL, SMALL * 3 // 4, 3), 136, np.uint8))
        return str(path)

    def drawing(self) -> str | None:
        """The path of the strokes as the brush draws them, a transparent picture; None where there are none."""
        if self.strokes is None:
            return None
        layer = np.zeros((*self.strokes.shape, 4), np.uint8)
        for meaning, colour in COLOURS.items():
            layer[self.strokes == meaning] = (*colour, 255)
        path = self._file("drawing").with_suffix(".png")
        images.write_image(path, layer)
        return str(path)

    def _file(self, what: str) -> Path:
        return self.folder / f"{what}-{self.version}.jpg"


@dataclass(frozen=True)
class OpenDocument:
    """A document as dehw.commands.erase.batch takes it, and its pages."""

    job: Job
    pages: list[OpenPage]


def _equal(strokes: np.ndarray | None, others: np.ndarray | None) -> bool:
    if strokes is None or others is None:
        return strokes is others
    return np.array_equal(strokes, others)


def read_strokes(layer: np.ndarray) -> np.ndarray:
    """What the brush drew, (h, w, 4) uint8 RGBA, as (h, w) uint8 of NOTHING, KEEP and ERASE."""
    meaning = np.where(layer[..., 1] > layer[..., 2], KEEP, ERASE)
    return np.where(layer[..., 3] >= 128, meaning, NOTHING).astype(np.uint8)


def shrink(picture: np.ndarray, side: int) -> np.ndarray:
    """A picture, (H, W, 3) uint8, with no side longer than `side` pixels."""
    factor = side / max(picture.shape[:2])
    if factor >= 1:
        return picture
    height, width = (max(1, round(length * factor)) for length in picture.shape[:2])
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
