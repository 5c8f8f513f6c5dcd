"""A phone's visit to the web page, in seconds by stage: from a photo of a desk to the sheet that one can print.

python -m tools.phone                       on a machine that does nothing else
python -m tools.phone --photos DIR          keep the photos, too

Photos show sample pages on a dark, a light and a patterned desk, as tools.scans takes them. Headless Chromium, in a
window of a phone's size, in Chinese and in English, chooses one, waits for the sheet, and downloads it by the one big
button. It needs a Chromium (Debian's package `chromium`) and playwright from requirements/dev.txt.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import wraps
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np

from dehw.commands import serve
from dehw.commands.main import guarded
from dehw.commands.serve import opened
from dehw.eraser import Eraser
from dehw.errors import ExitCode
from dehw.files import documents, images
from dehw.page import layout
from dehw.page.scan import find, trace, whiten
from dehw.page.scan.warp import Warp
from tools import browser
from tools.scans import DESKS, shot

SAMPLES = Path(__file__).resolve().parents[1] / "data" / "sample" / "images"
LOCALES = ("zh-CN", "en-US")
# Stages of a visit, in order, and the functions of each; one within another counts for itself alone.
STAGES: dict[str, Sequence[tuple[Any, str]]] = {
    "upload": (),
    "read": ((documents.ImageFile, "read"),),
    "lines": ((layout, "measure"), (layout, "find_lines"), (layout, "line_map")),
    "find sheet": ((find, "find"), (trace, "trace")),
    "flatten": ((Warp, "__call__"),),
    "prepare": ((Eraser, "prepare"),),
    "segment": ((Eraser, "segment"),),
    "mask": ((Eraser, "mask"), (Eraser, "confidence")),
    "erase": ((Eraser, "erase"),),
    "questions": ((opened, "_questions"),),
    "whiten": ((whiten, "whiten"), (whiten, "sharpen")),
    "encode": ((images, "save"),),
    "keep": ((np, "save"), (np, "load")),
    "rest": (),
    "download": (),
}


def now() -> np.ndarray:
    """Seconds by the clock, and of the processor."""
    return np.array([time.perf_counter(), time.process_time()])


class Clock:
    """Seconds spent in functions, see `now`, by stage."""

    def __init__(self) -> None:
        self.seconds: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(2))
        self.inner = threading.local()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the functions of STAGES."""
        with ExitStack() as stack:
            for stage, places in STAGES.items():
                for owner, name in places:
                    stack.enter_context(mock.patch.object(owner, name, self.timed(stage, getattr(owner, name))))
            yield

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, whose seconds count for a stage, but for those of timed functions within it."""

        @wraps(function)
        def run(*args: Any, **options: Any) -> Any:
            around = self.inner.__dict__.setdefault("spent", [np.zeros(2)])
            around.append(np.zeros(2))
            start = now()
            try:
                return function(*args, **options)
            finally:
                took = now() - start
                self.seconds[stage] += took - around.pop()
                around[-1] += took

        return run


def photograph(number: int, megapixels: float) -> np.ndarray:
    """A photo of a sample page, (H, W, 3) uint8 RGB, which depends on its number alone."""
    names = sorted(SAMPLES.iterdir())
    page = images.read_image(names[number % len(names)])
    return shot(np.random.default_rng([number, 7]), page, DESKS[number % len(DESKS)], megapixels).image


def visit(url: str, photo: Path, locale: str, clock: Clock, target: Path) -> dict[str, np.ndarray]:
    """Have a photo made a sheet, which is written to `target`; seconds, see `now`, by stage, and of all as "total"."""
    clock.seconds.clear()
    with browser.opened(url, browser.PHONE, locale) as tab:
        began = now()
        with tab.expect_event("requestfinished", lambda request: request.method == "PUT"):
            tab.set_input_files("#files", str(photo))
        sent = now()
        browser.wait_for_result(tab)
        shown = now()
        with tab.expect_download() as waiting:
            tab.click("#big")
        waiting.value.save_as(target)
        ended = now()
    rest = shown - sent - sum(clock.seconds.values())
    return clock.seconds | {"upload": sent - began, "rest": rest, "download": ended - shown, "total": ended - began}


def table(visits: Sequence[dict[str, np.ndarray]]) -> str:
    """The median seconds of each stage, as Markdown."""
    rows = ["| stage | seconds | of the processor |", "|---|---|---|"]
    for stage in (*STAGES, "total"):
        seconds, used = np.median([each.get(stage, np.zeros(2)) for each in visits], axis=0)
        rows.append(f"| {stage} | {seconds:.2f} | {used:.2f} |")
    return "\n".join(rows)


def measure(count: int, megapixels: float, folder: Path) -> list[dict[str, np.ndarray]]:
    """Visits, one after the other; prints a line for each. The first is left out: its networks get warm."""
    eraser, clock, found = Eraser.load(), Clock(), []
    print(f"engine: {eraser.engine}", flush=True)
    with clock.watching(), serve.Background(serve.build(eraser)) as server:
        for number in range(count + 1):
            photo = folder / f"photo{number:02}.jpg"
            images.write_image(photo, photograph(number, megapixels), jpeg_quality=90)
            locale = LOCALES[number % len(LOCALES)]
            found.append(visit(server.url, photo, locale, clock, photo.with_suffix(".clean.jpg")))
            seconds, used = found[-1]["total"]
            print(f"{photo.name} {locale}: {seconds:.2f} s, of the processor {used:.2f} s", flush=True)
    return found[1:]


def run(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tools.phone", description=__doc__.split("\n\n")[0])
    parser.add_argument("--count", type=int, default=6, help="how many photos; default: 6")
    parser.add_argument("--megapixels", type=float, default=12, help="of each photo; default: 12")
    parser.add_argument("--photos", type=Path, help="keep photos and sheets in this folder")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        (args.photos or Path(folder)).mkdir(exist_ok=True)
        print(table(measure(args.count, args.megapixels, args.photos or Path(folder))))
    return ExitCode.OK


if __name__ == "__main__":
    sys.exit(guarded(lambda: run(sys.argv[1:])))
