"""A page that is open in the browser: what was found and erased on it, and the pictures that show it.

Its probability is kept, so that another sensitivity or a stroke of the brush needs no second look at the page.
"""

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from dehw.commands.erase.plan import Job
from dehw.commands.erase.report import Outcome
from dehw.eraser import Erased, Eraser, OnProgress, Prepared, turn
from dehw.files import images
from dehw.files.panels import INK_COLOUR
from dehw.page import confidence
from dehw.page.confidence import Confidence
from dehw.page.layout import Layout
from dehw.page.masks import BALANCED

SHOWN = 1600  # px, the longer side of pictures in the browser; files to download keep their size
SMALL = 240  # px, likewise of those to choose a page by
PICTURES = {"before": SHOWN, "after": SHOWN, "small": SMALL}
NOTHING, KEEP, ERASE = range(3)  # what a stroke says of the pixels it covers; NOTHING takes earlier strokes back
TINT = 130  # of 255, how much of the page the shown mask hides


@dataclass(frozen=True)
class Stroke:
    """A line of the brush, in shares of the page's width. says: NOTHING, KEEP or ERASE. points: (x, y) each."""

    says: int
    width: float
    points: tuple[tuple[float, float], ...]


class OpenPage:
    """A page of an opened document; `folder` holds what is known of it.

    name: for people. sensitivity: in [0, 1], see Eraser.mask. strokes: in the order they were drawn. outcome: how it
    went, None before it was erased.
    """

    def __init__(self, folder: Path, name: str):
        self.folder, self.name = folder, name
        self.sensitivity = BALANCED
        self.strokes: tuple[Stroke, ...] = ()
        self.outcome: Outcome | None = None
        self.confidence: Confidence | None = None
        self.is_due = True  # it was asked for and not tried yet
        self.is_stale = True  # what is asked for is not what was done
        self.version = 0  # of the pictures: under an old name, browsers would show the old one
        self.layout: Layout | None = None  # and turns: see Prepared; of what was found
        self.turns = 0

    def ask(self, sensitivity: float, strokes: Sequence[Stroke]) -> None:
        """Say how the page is to be erased in the next run."""
        if (sensitivity, tuple(strokes)) != (self.sensitivity, self.strokes):
            self.is_due = self.is_stale = True
        self.sensitivity, self.strokes = sensitivity, tuple(strokes)

    def erase(self, eraser: Eraser, image: np.ndarray, progress: OnProgress) -> Erased:
        """Erase the page, (H, W, 3) uint8 RGB, as asked for; a page that is not stale comes from its files."""
        started = time.perf_counter()
        if not self.is_stale:
            clean, mask = images.read_image(self.folder / "clean.png"), images.read_mask(self.folder / "mask.png") > 0
            return Erased(clean, mask, time.perf_counter() - started, self.confidence)
        sensitivity, strokes = self.sensitivity, self.strokes  # the visitor may ask for more meanwhile
        prepared = eraser.prepare(image)
        prob = self._prob(eraser, prepared, progress)
        drawn = draw(strokes, image.shape[:2])
        mask = (eraser.mask(prob, prepared, sensitivity) | (drawn == ERASE)) & (drawn != KEEP)
        clean = eraser.erase(prepared, mask, progress)
        np.copyto(clean, image, where=(drawn == KEEP)[..., None])  # without `cmp` more than the mask changes
        self.confidence = confidence.measure(image, prob, mask, prepared.layout)
        self._save(image, clean, mask)
        self.is_stale = (sensitivity, strokes) != (self.sensitivity, self.strokes)
        return Erased(clean, mask, time.perf_counter() - started, self.confidence)

    def preview(self, eraser: Eraser, sensitivity: float) -> bytes:
        """The mask at another sensitivity as a red PNG that is laid on the page; no network runs.

        It is made at the networks' size, in a tenth of the time, and may differ by a pixel along the edges.
        Raises FileNotFoundError where nothing was found yet.
        """
        if self.layout is None:
            raise FileNotFoundError(self.folder)
        scaled, prob = np.load(self.folder / "scaled.npy"), np.load(self.folder / "prob.npy")
        mask = eraser.mask(prob, Prepared(scaled, self.layout, 0, scaled), sensitivity)
        return tinted(shrink(turn(mask, -self.turns).astype(np.uint8), SHOWN) > 0)

    def _prob(self, eraser: Eraser, prepared: Prepared, progress: OnProgress) -> np.ndarray:
        """The page's probability of handwriting, which is found once."""
        path = self.folder / "prob.npy"
        if not path.exists():
            np.save(self.folder / "scaled.npy", prepared.scaled)
            self.layout, self.turns = prepared.layout, prepared.turns
            np.save(path, eraser.segment(prepared, progress))
        return np.load(path)

    def _save(self, image: np.ndarray, clean: np.ndarray, mask: np.ndarray) -> None:
        """Keep a result, and pictures of it for the browser."""
        images.write_image(self.folder / "clean.png", clean)
        images.write_mask(self.folder / "mask.png", mask)
        shown = {"before": image, "after": clean, "small": clean}
        for what, side in PICTURES.items():
            images.write_image(self.picture(what), shrink(shown[what], side), jpeg_quality=90)
        self.version += 1  # now they are there

    def picture(self, what: str) -> Path:
        """The file of a picture for the browser, a key of PICTURES; it is there once the page was erased."""
        return self.folder / f"{what}.jpg"


@dataclass(frozen=True)
class OpenDocument:
    """A document as dehw.commands.erase.batch takes it, and its pages. number: its folder's name."""

    job: Job
    pages: list[OpenPage]
    number: int


def draw(strokes: Sequence[Stroke], size: tuple[int, ...]) -> np.ndarray:
    """What strokes say of each pixel of a page of this (height, width): uint8 of NOTHING, KEEP and ERASE."""
    drawn = np.zeros(size, np.uint8)
    for stroke in strokes:
        points = np.rint(np.array([*stroke.points, stroke.points[-1]]) * size[1] - 0.5).astype(np.int32)
        thickness = max(1, round(stroke.width * size[1]) - 1)  # OpenCV's lines are a pixel thicker
        cv2.polylines(drawn, [points], False, stroke.says, thickness)
    return drawn


def tinted(mask: np.ndarray) -> bytes:
    """A mask, (H, W) bool, as a PNG that is see-through where there is no handwriting."""
    picture = Image.fromarray(mask.astype(np.uint8), "P")
    picture.putpalette((0, 0, 0, *INK_COLOUR))
    written = io.BytesIO()
    picture.save(written, "PNG", transparency=bytes((0, TINT)), bits=1)
    return written.getvalue()


def shrink(picture: np.ndarray, side: int) -> np.ndarray:
    """A picture, (H, W[, 3]) uint8, with no side longer than `side` pixels."""
    factor = side / max(picture.shape[:2])
    if factor >= 1:
        return picture
    height, width = (max(1, round(length * factor)) for length in picture.shape[:2])
    return cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
