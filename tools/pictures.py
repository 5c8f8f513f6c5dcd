"""Make the pictures of docs/, with the weights that ship.

python -m tools.pictures                    all of them
python -m tools.pictures serve failures     some

before-after, failures: parts of sample pages. growth: what `dehw bench --scale` draws. serve: the web page in English
and on a phone, serve.zh-CN: in Chinese; they need a Chromium (Debian's package `chromium`) and playwright from
requirements/dev.txt.
"""

from __future__ import annotations

import argparse
import io
import shutil
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from dehw.commands import serve
from dehw.commands.main import guarded
from dehw.commands.main import main as dehw
from dehw.eraser import Eraser
from dehw.errors import ExitCode, InputError
from dehw.files import panels
from dehw.files.images import read_image, write_image

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "data" / "sample" / "images"
Parts = Mapping[str, tuple[float, float]]  # of pages, the rows to show as shares of their height
BEFORE_AFTER: Parts = {"dehw_sample_06": (0.03, 0.42), "dehw_sample_08": (0.04, 0.47)}
FAILURES: Parts = {"dehw_sample_05": (0.28, 0.66), "dehw_sample_07": (0.17, 0.4)}
WIDTH = 1400  # px of a picture of parts, and of the web page
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
FLAGS = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update")
WINDOWS = ((1440, 900), (390, 844))  # (width, height): a desk, a phone
PATIENCE = 120_000  # ms until the page is erased


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
        rows.append(panels.side_by_side(page[shown], eraser(page).page[shown]))
    write_image(path, panels.contact_sheet(rows, width=WIDTH), jpeg_quality=85)


def growth(path: Path) -> None:
    """Seconds and memory against a page's area and its inked share: minutes on a machine that does nothing else."""
    if dehw(["bench", "--scale", str(path)]) != ExitCode.OK:
        raise InputError("`dehw bench --scale` failed, see above; nothing was drawn.")


def screenshot(path: Path, locale: str) -> None:
    """The web page with its sample erased, on a desk and on a phone. Raises InputError where there is no browser."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if not browser:
        raise InputError(f"no browser to take the picture with ({', '.join(BROWSERS)}): apt install chromium.")
    with serve.Background(serve.build()) as server:
        shots = [photograph(server.url, browser, size, locale) for size in WINDOWS]
    height = max(len(shot) for shot in shots)
    edges = [((0, height - len(shot)), (panels.GAP * bool(place), 0), (0, 0)) for place, shot in enumerate(shots)]
    padded = [np.pad(shot, edge, constant_values=panels.GREY) for shot, edge in zip(shots, edges)]
    write_image(path, panels.contact_sheet([np.hstack(padded)], width=WIDTH), jpeg_quality=75)


def photograph(url: str, browser: str, size: tuple[int, int], locale: str) -> np.ndarray:
    """Open the web page at `url` in a window of (width, height) and try its sample: the window, (H, W, 3) uint8."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise InputError("the browser is driven by playwright: pip install -r requirements/dev.txt.") from error
    with sync_playwright() as driver:
        opened = driver.chromium.launch(executable_path=browser, args=list(FLAGS))
        width, height = size
        tab = opened.new_page(viewport={"width": width, "height": height}, locale=locale)
        tab.set_default_timeout(PATIENCE)
        tab.goto(url)
        tab.click("#sample")
        tab.wait_for_selector("#big:not(:disabled)")  # else its click is still on its way
        tab.wait_for_function("() => document.querySelector('#after').naturalWidth")
        tab.wait_for_selector("#big:not(:disabled)")
        shot = tab.screenshot()
        opened.close()
    with Image.open(io.BytesIO(shot)) as picture:
        return np.array(picture.convert("RGB"))


PICTURES: dict[str, tuple[str, Callable[[Path], None]]] = {
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
