"""The printed side of a page: a clean page or a photo of print, or one that is typeset, and what is printed on top."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from dehw.data.synth.ink import blanks
from dehw.data.synth.ink.blanks import Room
from dehw.data.synth.mix import PageMix, PrintedMix, drawn, shares
from dehw.data.synth.printed.extras import EXTRAS, free_spot, lay
from dehw.data.synth.printed.kinds import KINDS
from dehw.data.synth.sources import Sources
from dehw.data.synth.worksheet import Field, Printed
from dehw.errors import InputError
from dehw.files.images import read_image
from dehw.files.pdf import read
from dehw.files.worker import client
from dehw.page.characters import print_height

TRIAL_DPI = 150  # a PDF's print is measured at this resolution
LARGEST = (85, 62)  # the sides of a page in heights of its print, at the most
CLOSE = ((10, 30), (14, 26))  # of a close-up
CLIP = ((5, 22), (10, 38))  # of a clipping
DRAWING = (2.5, 16)  # the longer side of a drawing
DARK_LINES = 110  # grey, and darker: a drawing's outlines, as black and white copies of it have them
LINES = 55  # of print that a photo holds from top to bottom, where its print cannot be measured


@lru_cache(maxsize=1024)
def clean_height(path: Path) -> float | None:
    """Height in px of a clean file's print: of a PDF's first page at TRIAL_DPI."""
    return print_height(np.ascontiguousarray(pdf_page(path, 0, TRIAL_DPI) if is_pdf(path) else read_image(path)))


def is_pdf(path: Path) -> bool:
    return path.suffix.lower() == ".pdf"


def pdf_page(path: Path, number: int, dpi: float) -> np.ndarray:
    """Render one page of a PDF, whichever remains of `number` divided by its count of pages: (H, W, 3) uint8 RGB."""
    return client.run(f"{path} cannot be read", read.at_density, path.absolute(), number, dpi)


def scan(rng: np.random.Generator, path: Path, height: float) -> np.ndarray:
    """A page of a file, (H, W, 3) uint8, its print about `height` px high."""
    measured = clean_height(path)
    if is_pdf(path):
        return pdf_page(path, int(rng.integers(1 << 30)), TRIAL_DPI * height / (measured or TRIAL_DPI / 6))
    image = read_image(path)
    scale = height / (measured or len(image) / LINES)
    return cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)


def possible(mix: PrintedMix, sources: Sources) -> dict[str, float]:
    """How often each printed side comes that the sources have what they take for. Raises InputError where none has."""
    files = {"clean": sources.clean, "photo": sources.photos}
    often = {
        kind: share
        for kind, share in shares(mix).items()
        if share and (files[kind] if kind in files else any(role in sources.fonts for role in KINDS[kind].roles))
    }
    if not often:
        wanted = ", ".join(kind for kind, share in shares(mix).items() if share)
        raise InputError(f"there are no pages and no fonts for {wanted}; name folders of them, or mix in other pages")
    return often


def printed_page(rng: np.random.Generator, height: float, sources: Sources, mix: PrintedMix) -> Printed:
    """The printed side of a page, its print about `height` px high, of a kind that the sources have."""
    often = possible(mix, sources)
    kind = str(rng.choice(list(often), p=np.array(list(often.values())) / sum(often.values())))
    if kind in KINDS:
        return KINDS[kind].typeset(rng, height, sources.fonts)
    paths = sources.clean if kind == "clean" else sources.photos
    page = scan(rng, paths[rng.integers(len(paths))], height)
    boxes = [Field("boxes", room, room.y) for room in blanks.boxes(blanks.dark(page), height)]
    return Printed(page, boxes, photo=kind == "photo")


def paste(rng: np.random.Generator, printed: Printed, height: float, sources: Sources, mix: PrintedMix) -> Printed:
    """Stick a clipping of another printed side on the page, as notes on a tablet have it; its fields are gone."""
    other = printed_page(rng, height * rng.uniform(0.6, 1), sources, mix).page
    h, w = (min(n, m, round(rng.uniform(*span) * height)) for n, m, span in zip(other.shape, printed.page.shape, CLIP))
    (top, y), (left, x) = (
        [int(rng.integers(whole.shape[axis] - side + 1)) for whole in (other, printed.page)]
        for axis, side in enumerate((h, w))
    )
    page = printed.page.copy()
    page[y : y + h, x : x + w] = other[top : top + h, left : left + w]
    free = [field for field in printed.fields if not _overlap(field.room, Room(x, y, w, h))]
    return printed._replace(page=page, fields=free)


def illustrate(rng: np.random.Generator, page: np.ndarray, height: float, paths: Sequence[Path]) -> None:
    """Print drawings where there is room, in place: all in colour, all in grey, or their outlines alone in black."""
    taken, style = cv2.integral(blanks.dark(page)), int(rng.integers(3))
    for _ in range(int(rng.integers(1, 9))):
        drawing = read_image(paths[rng.integers(len(paths))])
        scale = height * rng.uniform(*DRAWING) / max(drawing.shape)
        drawing = cv2.resize(drawing, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        grey = cv2.cvtColor(drawing, cv2.COLOR_RGB2GRAY)[..., None]
        darkness = (255 - drawing, 255 - grey, 255 * (grey < DARK_LINES))[style].astype(np.float32) / 255
        spot = free_spot(rng, taken, grey.shape[:2])
        if spot:
            lay(page, np.ones(grey.shape[:2], np.float32), 255 * (1 - darkness), spot, 1.0)
            taken = cv2.integral(blanks.dark(page))


def _overlap(a: Room, b: Room) -> bool:
    return a.x < b.x + b.w and b.x < a.x + a.w and a.y < b.y + b.h and b.y < a.y + a.h


def finished(rng: np.random.Generator, printed: Printed, height: float, sources: Sources, mix: PageMix) -> Printed:
    """The printed side with what is printed on top of it, or as much of it as a picture holds."""
    if rng.random() < mix.added.pasted:
        printed = paste(rng, printed, height, sources, mix.printed)
    if sources.drawings and rng.random() < mix.added.drawings:
        illustrate(rng, printed.page, height, sources.drawings)
    sides = CLOSE if rng.random() < mix.added.close_up else tuple((n, n) for n in LARGEST)
    h, w = (min(n, round(rng.uniform(*span) * height)) for n, span in zip(printed.page.shape, sides))
    y, x = (int(rng.integers(n - side + 1)) for n, side in zip(printed.page.shape, (h, w)))
    printed = printed.window(Room(x, y, w, h))
    for _, extra in drawn(rng, mix.added, EXTRAS):
        extra(rng, printed.page, height, sources.fonts)
    return printed
