"""Make the pictures of docs/, with the weights that ship.

python -m tools.pictures                    all of them
python -m tools.pictures serve failures     some

photo-sheet: a photo of a sample page, and the sheet made of it. before-after, failures: parts of sample pages. growth:
what `dehw bench --scale` draws. serve: the web page in English and on a phone, serve.zh-CN: in Chinese; they need a
Chromium (Debian's package `chromium`) and playwright from requirements/dev.txt.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from dehw.commands import serve
from dehw.commands.main import guarded
from dehw.commands.main import main as dehw
from dehw.eraser import Eraser
from dehw.errors import ExitCode, InputError
from dehw.files import panels
from dehw.files.images import read_image, write_image
from tools import browser
from tools.scans import shot

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "data" / "sample" / "images"
Parts = Mapping[str, tuple[float, float]]  # of pages, the rows to show as shares of their height
BEFORE_AFTER: Parts = {"dehw_sample_06": (0.03, 0.42), "dehw_sample_08": (0.04, 0.47)}
FAILURES: Parts = {"dehw_sample_04": (0.44, 0.6), "dehw_sample_07": (0.17, 0.4)}
WIDTH = 1400  # px of a picture of parts, and of the web page
DESK_PAGE, DESK_SEED, MEGAPIXELS = "dehw_sample_08", 5, 6.0  # of the photo of a desk
SHEET_HEIGHT, FRAME = 900, 0.02  # px of the picture, and of the sheet's height, what is left free about it


def before_after(path: Path) -> None:
    """Pages beside what becomes of them."""
    compare(BEFORE_AFTER, path)


def failures(path: Path) -> None:
    """Where the networks err."""
    compare(FAILURES, path)


def compare(parts: Parts, path: Path) -> None:
    """Write the parts of sample pages, each beside the same part erased, as one picture."""
    eraser = Eraser.load()
    rows = []
    for name, (top, bottom) in parts.items():
        page = read_image(SAMPLES / f"{name}.jpg")
        shown = slice(round(top * len(page)), round(bottom * len(page)))
        rows.append(panels.side_by_side(page[shown], np.asarray(eraser(page).page)[shown]))
    write_image(path, panels.contact_sheet(rows, width=WIDTH), jpeg_quality=85)


def growth(path: Path) -> None:
    """Seconds and memory against a page's area and its inked share: minutes on a machine that does nothing else."""
    if dehw(["bench", "--scale", str(path)]) != ExitCode.OK:
        raise InputError("`dehw bench --scale` failed, see above; nothing was drawn.")


def photo_to_sheet(path: Path) -> None:
    """A photo of a sample page on a desk, beside the sheet that `dehw erase --scan` makes of it."""
    photo = shot(
        np.random.default_rng(DESK_SEED), read_image(SAMPLES / f"{DESK_PAGE}.jpg"), "pattern", MEGAPIXELS
    ).image
    sheet = np.asarray(Eraser.load()(photo, scan=True).page)
    framed = cv2.copyMakeBorder(sheet, *[round(FRAME * len(sheet))] * 4, cv2.BORDER_CONSTANT, value=(panels.GREY,) * 3)
    pair = [
        cv2.resize(each, (round(SHEET_HEIGHT / len(each) * each.shape[1]), SHEET_HEIGHT), interpolation=cv2.INTER_AREA)
        for each in (photo, framed)
    ]
    write_image(path, np.hstack(pair), jpeg_quality=85)


def screenshot(path: Path, locale: str) -> None:
    """The web page with its sample erased, on a desk and on a phone. Raises InputError where there is no browser."""
    with serve.Background(serve.build()) as server:
        shots = [photograph(server.url, size, locale) for size in (browser.DESK, browser.PHONE)]
    height = max(len(shot) for shot in shots)
    edges = [((0, height - len(shot)), (panels.GAP * bool(place), 0), (0, 0)) for place, shot in enumerate(shots)]
    padded = [np.pad(shot, edge, constant_values=panels.GREY) for shot, edge in zip(shots, edges)]
    write_image(path, panels.contact_sheet([np.hstack(padded)], width=WIDTH), jpeg_quality=75)


def photograph(url: str, size: tuple[int, int], locale: str) -> np.ndarray:
    """Open the web page at `url` in a window of (width, height) and try its sample: the window, (H, W, 3) uint8."""
    with browser.opened(url, size, locale) as tab:
        tab.click("#sample")
        browser.wait_for_result(tab)
        with Image.open(io.BytesIO(tab.screenshot())) as picture:
            return np.array(picture.convert("RGB"))


PICTURES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "photo-sheet": ("photo-sheet.jpg", photo_to_sheet),
    "before-after": ("before-after.jpg", before_after),
    "failures": ("failures.jpg", failures),
    "growth": ("growth.png", growth),
    "serve": ("serve.jpg", partial(screenshot, locale="en-US")),
    "serve.zh-CN": ("serve.zh-CN.jpg", partial(screenshot, locale="zh-CN")),
}


def make(names: list[str], folder: Path) -> int:
    """Make pictures by name in a folder."""
    for name in names:
        file, draw = PICTURES[name]
        draw(folder / file)
        print(folder / file)
    return ExitCode.OK


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(PICTURES)}; default: all")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "docs", help="folder; default: %(default)s")
    args = parser.parse_args()
    if unknown := [name for name in args.names if name not in PICTURES]:
        parser.error(f"no picture {', '.join(unknown)}; known: {', '.join(PICTURES)}")
    return guarded(lambda: make(args.names or list(PICTURES), args.output))


if __name__ == "__main__":
    sys.exit(main())
