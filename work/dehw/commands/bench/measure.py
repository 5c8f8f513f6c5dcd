"""Measures an eraser page by page: seconds by stage, passes of its networks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dehw.engine.machine import forget_peak
from dehw.errors import PageError

if TYPE_CHECKING:
    import numpy as np
    import paddle

    from dehw.engine.pick import Network
    from dehw.eraser import Eraser
    from dehw.files.find import InputFile
    from dehw.page.views import View

STAGES = ("read", "segment", "erase", "compose", "write", "other")
STAGE_OF = {  # the stage of the table whose time each stage of the Eraser is
    "prepare": "segment",
    "segment": "segment",
    "mask": "segment",
    "erase": "erase",
    "compose": "compose",
}
INKED = 1 / 3  # share of the tiles that get a blot in place of what is written there
BLOT = (255, 0, 255)  # RGB; no page has it
BLOT_SIDE = 24  # px; at a quarter of the size still some pixels


class Stopwatch:
    """Adds up the seconds of stages, one after the other."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._running, self._since = "other", time.perf_counter()

    def start(self, stage: str) -> None:
        """End the stage that runs, and begin another one."""
        now = time.perf_counter()
        self.seconds[self._running] += now - self._since
        self._running, self._since = stage, now

    def take(self) -> dict[str, float]:
        """The seconds of each stage since the last take."""
        self.start("other")
        taken, self.seconds = self.seconds, dict.fromkeys(STAGES, 0.0)
        return taken

    def progress(self, stage: str, done: int, total: int) -> None:
        """What an Eraser is given as its progress."""
        if done == 0:
            self.start(STAGE_OF[stage])


class Counted:
    """A network that counts its passes: the tiles that it was called with, each view of one by itself."""

    def __init__(self, network: Any) -> None:
        self.network = network
        self.calls: list[int] = []

    @property
    def passes(self) -> int:
        return sum(self.calls)

    def __call__(self, *inputs: np.ndarray) -> np.ndarray:
        self.calls.append(len(inputs[0]))  # threads call it side by side, and += could lose one
        return self.network(*inputs)

    def average(self, views: Sequence[View], *inputs: np.ndarray) -> np.ndarray | paddle.Tensor:
        from dehw.page.views import average

        self.calls += [len(inputs[0])] * len(views)
        return average(self.network, views, *inputs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.network, name)


@dataclass(frozen=True)
class Measured:
    """A page's figures.

    scaled: (height, width) as the networks see it; seconds: by stage; processor: the seconds that all
    threads used together; passes: of the segmenter and of all generators; share: of its pixels, inked.
    """

    name: str
    height: int
    width: int
    scaled: tuple[int, int]
    seconds: dict[str, float]
    processor: float
    passes: tuple[int, int]
    share: float

    @property
    def megapixels(self) -> float:
        return self.height * self.width / 1e6

    @property
    def networks(self) -> float:
        """Seconds without those of files."""
        return sum(self.seconds[stage] for stage in STAGES if stage not in ("read", "write"))


class BlotFinder:
    """A segmenter that works as the one it is given, and then finds blots in place of handwriting."""

    def __init__(self, network: Network) -> None:
        self.network = network

    def __call__(self, *inputs: np.ndarray) -> np.ndarray:
        self.network(*inputs)
        return self._blots(*inputs)

    def average(self, views: Sequence[View], *inputs: np.ndarray) -> np.ndarray:
        from dehw.page.views import average

        average(self.network, views, *inputs)
        return self._blots(*inputs)  # which look the same from every side

    @staticmethod
    def _blots(tiles: np.ndarray) -> np.ndarray:
        import numpy as np

        away = np.abs(tiles - np.array(BLOT, np.float32).reshape(1, 3, 1, 1) / 255).max(axis=1, keepdims=True)
        return (away < 0.25).astype(np.float32)  # coloured ink is farther from it

    def __getattr__(self, name: str) -> Any:
        return getattr(self.network, name)


class Bench:
    """Measures an eraser, page by page, files and all; its networks are counted from then on.

    inked: share of the tiles that get a blot, in place of the handwriting found. folder: for what is written.
    """

    def __init__(self, eraser: Eraser, folder: Path, inked: float | None = None) -> None:
        self.eraser, self.folder, self.inked = eraser, folder, inked
        self.clock = Stopwatch()
        self.segmenter = Counted(eraser.segmenter) if eraser.segmenter else None
        self.generators = [Counted(network) for network, _ in eraser.generators]
        eraser.segmenter = self.segmenter
        eraser.generators = [(network, weight) for network, (_, weight) in zip(self.generators, eraser.generators)]

    def page(self, path: Path) -> Measured:
        """Read, erase and write a page. Raises PageError."""
        import numpy as np

        from dehw.files.images import kind_of, read_image, write_image

        if self.inked is not None:
            path = self._blotted(path)
        before, used = self._passes(), time.process_time()
        self.clock.take()
        self.clock.start("read")
        image = read_image(path)
        self.clock.start("other")
        erased = self.eraser(image, progress=self.clock.progress)
        self.clock.start("write")
        write_image(self.folder / path.name, np.asarray(erased.page), kind=kind_of(path))
        seconds, used = self.clock.take(), time.process_time() - used
        segmented, generated = (after - was for after, was in zip(self._passes(), before))
        scaled = self.eraser.prepare(image).scaled.shape
        size, passes = (scaled[0], scaled[1]), (segmented, generated)
        return Measured(path.name, image.shape[0], image.shape[1], size, seconds, used, passes, erased.share)

    def folder_seconds(self, pages: Sequence[InputFile]) -> float:
        """Seconds of `dehw erase` over all the pages, once the networks are ready. Raises PageError."""
        from dehw.commands.erase import batch, plan
        from dehw.commands.erase.progress import Progress

        class Silent(Progress):
            def message(self, text: str) -> None:
                pass

        if self.inked is not None:
            pages = [replace(page, path=self._blotted(page.path)) for page in pages]
        jobs, _ = plan.make(pages, self.folder / "folder")
        started = time.perf_counter()
        for done in batch.erase_all(batch.with_eraser(self.eraser), jobs, Silent(len(jobs))):
            for outcome in done:
                if outcome.status == "failed":
                    raise PageError(" ".join(outcome.warnings))
        return time.perf_counter() - started

    def _blotted(self, path: Path) -> Path:
        """A copy of a page's file with blots on it, which the segmenter finds from now on."""
        from dehw.files.images import kind_of, read_image, write_image

        if self.segmenter and not isinstance(self.eraser.segmenter, BlotFinder):
            self.eraser.segmenter = BlotFinder(self.segmenter)
        copy = self.folder / "blotted" / path.name
        write_image(copy, blotted(self.eraser, read_image(path), self.inked or 0.0), kind=kind_of(path))
        forget_peak()  # which is that of the copying
        return copy

    def _passes(self) -> tuple[int, int]:
        return self.segmenter.passes if self.segmenter else 0, sum(network.passes for network in self.generators)


def blotted(eraser: Eraser, page: np.ndarray, share: float) -> np.ndarray:
    """A page, (H, W, 3) uint8 RGB, with a blot in the middle of this share of its tiles, evenly spread."""
    prepared = eraser.prepare(page)
    height, width = prepared.scaled.shape[:2]
    tiles = eraser.generator_tiles(height, width)
    blots = page.copy()
    for tile in (tile for n, tile in enumerate(tiles) if int((n + 1) * share + 1e-9) > int(n * share + 1e-9)):
        sides = ((tile.keep[0], page.shape[0] / height), (tile.keep[1], page.shape[1] / width))
        blots[tuple(_middle(keep, factor) for keep, factor in sides)] = BLOT
    return blots


def _middle(keep: slice, factor: float) -> slice:
    """The middle of what a tile keeps along one axis, `factor` times as large: a blot that is all the tile's own."""
    start, stop = round(keep.start * factor), round(keep.stop * factor)
    side = max(1, min(BLOT_SIDE, (stop - start) // 2))
    first = (start + stop - side) // 2
    return slice(first, first + side)


def mosaic(page: np.ndarray, height: int, width: int) -> np.ndarray:
    """A page, (H, W, 3) uint8, repeated side by side or cut off to (height, width, 3)."""
    import numpy as np

    repeats = [-(-wanted // there) for wanted, there in zip((height, width), page.shape)]
    return np.ascontiguousarray(np.tile(page, (*repeats, 1))[:height, :width])
