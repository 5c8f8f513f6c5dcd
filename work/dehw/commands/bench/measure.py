"""Measures an eraser page by page: seconds by stage, passes of its networks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dehw.errors import PageError

if TYPE_CHECKING:
    import numpy as np

    from dehw.eraser import Eraser
    from dehw.files.find import InputFile

STAGES = ("read", "segment", "erase", "compose", "write", "other")
STEPS = {  # an eraser's methods, and the stage whose time they are; erase's own time is without generate's
    "scaled": "segment",
    "segment": "segment",
    "mask": "segment",
    "generate": "erase",
    "erase": "compose",
}
INKED = 1 / 3  # share of the tiles that a made-up mask inks


class Stopwatch:
    """Adds up the seconds of stages. A stage within another stops the outer one's time."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._running, self._since = ["other"], time.perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Give the time until the block ends to this stage."""
        self._settle()
        self._running.append(name)
        try:
            yield
        finally:
            self._settle()
            self._running.pop()

    def take(self) -> dict[str, float]:
        """The seconds of each stage since the last take."""
        self._settle()
        taken, self.seconds = self.seconds, dict.fromkeys(STAGES, 0.0)
        return taken

    def _settle(self) -> None:
        now = time.perf_counter()
        self.seconds[self._running[-1]] += now - self._since
        self._since = now


class Counted:
    """A network that counts its passes: the tiles that it was called with, each view of one by itself."""

    def __init__(self, network: Any) -> None:
        self.network, self.calls = network, []

    @property
    def passes(self) -> int:
        return sum(self.calls)

    def __call__(self, *inputs: np.ndarray) -> np.ndarray:
        self.calls.append(len(inputs[0]))  # threads call it side by side, and += could lose one
        return self.network(*inputs)

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


class Bench:
    """Measures an eraser, page by page, files and all; its networks and methods are watched from then on.

    inked: share of the tiles that a made-up mask inks, in place of the mask found. folder: for what is written.
    """

    def __init__(self, eraser: Eraser, folder: Path, inked: float | None = None) -> None:
        self.eraser, self.folder, self.inked = eraser, folder, inked
        self.clock = Stopwatch()
        eraser.segmenter = eraser.segmenter and Counted(eraser.segmenter)
        eraser.generators = [(Counted(network), weight) for network, weight in eraser.generators]
        for name, stage in STEPS.items():
            setattr(eraser, name, self._timed(getattr(eraser, name), stage))
        self._scaled, eraser.scaled = eraser.scaled, self._note_size
        self._look = eraser.look

    def page(self, path: Path) -> Measured:
        """Read, erase and write a page. Raises PageError."""
        from dehw.files.images import kind_of, read_image, write_image

        if self.inked is not None:
            self._ink(read_image(path))
        before, used = self._passes(), time.process_time()
        self.clock.take()
        with self.clock.stage("read"):
            image = read_image(path)
        erased = self.eraser(image)
        with self.clock.stage("write"):
            write_image(self.folder / path.name, erased.page, kind=kind_of(path))
        passes = tuple(after - was for after, was in zip(self._passes(), before))
        used = time.process_time() - used
        return Measured(path.name, *image.shape[:2], self.size, self.clock.take(), used, passes, erased.share)

    def folder_seconds(self, pages: Sequence[InputFile]) -> float:
        """Seconds of `dehw erase` over all the pages, once the networks are ready. Raises PageError."""
        from dehw.commands.erase import batch
        from dehw.commands.erase.progress import Progress

        class Silent(Progress):
            def message(self, text: str) -> None:
                pass

        jobs, _ = batch.plan(pages, self.folder / "folder")
        started = time.perf_counter()
        for done in batch.erase_all(self.eraser, jobs, Silent(len(jobs))):
            for outcome in done:
                if outcome.status == "failed":
                    raise PageError(" ".join(outcome.warnings))
        return time.perf_counter() - started

    def _ink(self, page: np.ndarray) -> None:
        """Have a made-up mask in place of what is found: by the mask, and by looks after the first."""
        import cv2
        import numpy as np

        self.eraser.mask = made = _packed(made_mask(self.eraser, page, self.inked))

        def look(scaled: np.ndarray, number: int, seen: np.ndarray | None = None) -> np.ndarray:
            if seen is not None:
                seen[:] = cv2.resize(made().view(np.uint8), seen.shape[::-1], interpolation=cv2.INTER_NEAREST)
            return self._look(scaled, number, seen)

        self.eraser.look = look

    def _timed(self, step: Any, stage: str) -> Any:
        def timed(*arguments: Any, **options: Any) -> Any:
            with self.clock.stage(stage):
                return step(*arguments, **options)

        return timed

    def _note_size(self, page: np.ndarray) -> np.ndarray:
        scaled = self._scaled(page)
        self.size = scaled.shape[:2]
        return scaled

    def _passes(self) -> tuple[int, int]:
        segmenter = self.eraser.segmenter
        return (segmenter.passes if segmenter else 0), sum(network.passes for network, _ in self.eraser.generators)


def made_mask(eraser: Eraser, page: np.ndarray, share: float) -> np.ndarray:
    """A mask, (H, W) bool, with a blot in the middle of this share of a page's tiles, evenly spread.

    page: (H, W, 3) uint8 RGB.
    """
    import numpy as np

    scaled = eraser.scaled(page).shape[:2]
    tiles = eraser.tiles(*scaled)
    height, width = page.shape[:2]
    mask = np.zeros((height, width), bool)
    for tile in (tile for n, tile in enumerate(tiles) if int((n + 1) * share + 1e-9) > int(n * share + 1e-9)):
        y, x = ((keep.start + keep.stop) / 2 for keep in tile.keep)
        y, x = int(y * height / scaled[0]), int(x * width / scaled[1])
        mask[max(0, y - 4) : y + 4, max(0, x - 4) : x + 4] = True
    return mask


def _packed(mask: np.ndarray) -> Callable[..., np.ndarray]:
    """A function that gives the mask, (H, W) bool, and holds it in an eighth of its memory meanwhile."""
    import numpy as np

    bits, width = np.packbits(mask, axis=1), mask.shape[1]
    return lambda *_: np.unpackbits(bits, axis=1, count=width).view(bool)


def mosaic(page: np.ndarray, height: int, width: int) -> np.ndarray:
    """A page, (H, W, 3) uint8, repeated side by side or cut off to (height, width, 3)."""
    import numpy as np

    repeats = [-(-wanted // there) for wanted, there in zip((height, width), page.shape)]
    return np.ascontiguousarray(np.tile(page, (*repeats, 1))[:height, :width])
