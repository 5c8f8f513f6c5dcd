"""A page that is open in the browser: what was found and erased on it, and the pictures that show it.

Its probability is kept, so that another sensitivity or a stroke of the brush needs no second look at the page.
"""

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from dehw.commands.erase.plan import Job
from dehw.commands.erase.report import Outcome
from dehw.eraser import Erased, Eraser, OnProgress, Prepared, turn
from dehw.files import images
from dehw.files.panels import INK_COLOUR
from dehw.page import questions
from dehw.page.confidence import Confidence
from dehw.page.layout import Layout, find_lines
from dehw.page.masks import BALANCED
from dehw.page.scan.whiten import finish

SHOWN = 1600  # px, the longer side of pictures in the browser; files to download keep their size
SMALL = 240  # px, likewise of those to choose a page by
PICTURES = ("before", "after", "small")
NOTHING, KEEP, ERASE = range(3)  # what a stroke says of the pixels it covers; NOTHING takes earlier strokes back
TINT = 130  # of 255, how much of the page the shown mask hides

Share4 = tuple[float, float, float, float]  # x0, y0, x1, y1 in shares of a page's width and height


@dataclass(frozen=True)
class Stroke:
    """A line of the brush, in shares of the page's width. says: NOTHING, KEEP or ERASE. points: (x, y) each."""

    says: int
    width: float
    points: tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Ask:
    """How a page is to be erased. sensitivity: in [0, 1], see Eraser.mask. strokes: in the order they were drawn.
    scan: the page is a photo, to be straightened and whitened.
    """

    sensitivity: float = BALANCED
    strokes: tuple[Stroke, ...] = ()
    scan: bool = False


class OpenPage:
    """A page of an opened document; `folder` holds what is known of it.

    name: for people. asked: how it is to be erased, done: how it was. outcome: how that went. None before.
    """

    def __init__(self, folder: Path, name: str, asked: Ask):
        self.folder, self.name, self.asked = folder, name, asked
        self.done: Ask | None = None
        self.outcome: Outcome | None = None
        self.confidence: Confidence | None = None
        self.is_due = True  # it was asked for and not tried yet
        self.version = 0  # of the pictures: under an old name, browsers would show the old one
        self.found: dict[bool, tuple[Layout, int]] = {}  # by Ask.scan: layout and turns, see Prepared
        self.questions: list[Share4] = []  # those found on the erased page

    def ask(self, sensitivity: float, strokes: Sequence[Stroke], scan: bool | None = None) -> None:
        """Say how the page is to be erased in the next run. Strokes on what will be another page mean nothing."""
        before = self.asked
        scan = before.scan if scan is None else scan
        self.asked = Ask(sensitivity, tuple(strokes) if scan == before.scan else (), scan)
        self.is_due |= self.asked != before

    def erase(self, eraser: Eraser, image: np.ndarray, progress: OnProgress, scan: bool = False) -> Erased:
        """Erase the page, (H, W, 3) uint8 RGB, as asked for; what was done already comes from its files.

        scan: it was straightened, and is shown as it will be written, see dehw.commands.erase.scan.
        """
        started = time.perf_counter()
        asked = replace(self.asked, scan=scan)  # the visitor may ask for more meanwhile
        if asked == self.done:
            clean, mask = images.read_image(self.folder / "clean.png"), images.read_mask(self.folder / "mask.png") > 0
            return Erased(clean, mask, time.perf_counter() - started, self.confidence)
        prepared = eraser.prepare(image)
        prob = self._prob(eraser, prepared, progress, scan)
        drawn = draw(asked.strokes, image.shape[:2])
        mask = (eraser.mask(prob, prepared, asked.sensitivity) | (drawn == ERASE)) & (drawn != KEEP)
        clean = eraser.erase(prepared, mask, progress, drawn == ERASE)
        np.copyto(clean, image, where=(drawn == KEEP)[..., None])  # without `cmp` more than the mask changes
        self.confidence = eraser.confidence(prob, prepared, mask, drawn != KEEP)
        self._save(image, clean, mask, scan)
        self.questions = _questions(eraser, clean)
        self.done = asked
        return Erased(clean, mask, time.perf_counter() - started, self.confidence)

    def result(self) -> np.ndarray:
        """The erased page as it is written, (H, W, 3) uint8. There once it was erased."""
        clean = images.read_image(self.folder / "clean.png")
        if self.done and self.done.scan:
            finish(clean)
        return clean

    def preview(self, eraser: Eraser, sensitivity: float) -> bytes:
        """The mask at another sensitivity as a red PNG that is laid on the page; no network runs.

        It is made at the networks' size, in a tenth of the time, and may differ by a pixel along the edges.
        Raises FileNotFoundError where nothing was found yet.
        """
        if self.done is None:
            raise FileNotFoundError(self.folder)
        scan = self.done.scan
        layout, turns = self.found[scan]
        scaled, prob = (np.load(self._array(what, scan)) for what in ("scaled", "prob"))
        mask = eraser.mask(prob, Prepared(scaled, layout, 0, scaled), sensitivity)
        return tinted(shrink(turn(mask, -turns).astype(np.uint8), SHOWN) > 0)

    def _prob(self, eraser: Eraser, prepared: Prepared, progress: OnProgress, scan: bool) -> np.ndarray:
        """The page's probability of handwriting, which is found once, and once of what it is as a photo."""
        if scan not in self.found:
            np.save(self._array("scaled", scan), prepared.scaled)
            np.save(self._array("prob", scan), eraser.segment(prepared, progress))
            self.found[scan] = prepared.layout, prepared.turns
        return np.load(self._array("prob", scan))

    def _array(self, what: str, scan: bool) -> Path:
        return self.folder / f"{what}{'-of-photo' * scan}.npy"

    def _save(self, image: np.ndarray, clean: np.ndarray, mask: np.ndarray, scan: bool) -> None:
        """Keep a result, and pictures of it for the browser, which come first: people wait for them."""
        after = shrink(clean, SHOWN)
        if scan:
            finish(after := after.copy())
        for what, shown in (("before", shrink(image, SHOWN)), ("after", after), ("small", shrink(after, SMALL))):
            images.write_image(self.picture(what), shown, jpeg_quality=90)
        self.version += 1  # now they are there
        images.write_image(self.folder / "clean.png", clean)
        images.write_mask(self.folder / "mask.png", mask)

    def picture(self, what: str) -> Path:
        """The file of a picture for the browser, a key of PICTURES; it is there once the page was erased."""
        return self.folder / f"{what}.jpg"


@dataclass(frozen=True)
class OpenDocument:
    """A document as dehw.commands.erase.batch takes it, and its pages. number: its folder's name."""

    job: Job
    pages: list[OpenPage]
    number: int

    @property
    def scan(self) -> bool:
        """Whether its pages are photos, all of them or none."""
        return self.pages[0].asked.scan

    def ask_scan(self, scan: bool) -> None:
        """Say whether its pages are photos."""
        for page in self.pages:
            page.ask(page.asked.sensitivity, page.asked.strokes, scan)


def _questions(eraser: Eraser, page: np.ndarray) -> list[Share4]:
    """The questions of an erased page, in shares of its width and height."""
    if eraser.reader is None:
        return []
    height, width = page.shape[:2]
    boxes = questions.find(page, find_lines(page, eraser.reader.lines))
    return [(x0 / width, y0 / height, x1 / width, y1 / height) for x0, y0, x1, y1 in boxes]


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
