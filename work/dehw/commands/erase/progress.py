"""How far a run over pages is: one bar on stderr, lines of JSON, or nothing."""

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

STEPS = ("segment", "erase")  # of a page, each counted as half of it
EVERY = 0.5  # seconds between two lines of JSON within a page


class Progress:
    """Counts pages, in parts while a page's tiles are worked on; never goes back. This one shows nothing."""

    def __init__(self, total: int):
        self.total, self.whole, self.done = total, 0, 0.0

    def tiles(self, step: str, done: int, total: int) -> None:
        """So many of the tiles of the current page's step are done; what an Eraser is given as its progress."""
        if step in STEPS:
            self._reach(min(self.whole + (STEPS.index(step) + done / total) / len(STEPS), self.whole + 1))

    def pages(self, count: int = 1) -> None:
        """So many pages are finished, well or not."""
        self.whole += count
        self._reach(self.whole)

    def message(self, text: str) -> None:
        """A line for the user, on stderr."""
        print(f"dehw: {text}", file=sys.stderr)

    def close(self) -> None:
        """The run has ended."""

    def _reach(self, done: float) -> None:
        if done > self.done:
            self.done = float(done)
            self._show()

    def _show(self) -> None:
        pass


class Bar(Progress):
    """A bar that people watch."""

    FORMAT = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total} pages [{elapsed}<{remaining}]"

    def __init__(self, total: int):
        from tqdm import tqdm

        super().__init__(total)
        self.bar = tqdm(total=total, desc="erasing", file=sys.stderr, bar_format=self.FORMAT)

    def message(self, text: str) -> None:
        self.bar.write(f"dehw: {text}", file=sys.stderr)

    def close(self) -> None:
        self.bar.close()

    def _show(self) -> None:
        self.bar.update(self.done - self.bar.n)


class JsonLines(Progress):
    """A line {"done": pages, "total": pages} for programs that watch; messages are {"message": text}."""

    last = 0.0

    def message(self, text: str) -> None:
        print(json.dumps({"message": text}), file=sys.stderr, flush=True)

    def _show(self) -> None:
        now = time.monotonic()
        if self.done % 1 == 0 or now - self.last >= EVERY:
            self.last = now
            line = {"done": round(self.done, 3), "total": self.total}
            print(json.dumps(line), file=sys.stderr, flush=True)


KINDS = {"bar": Bar, "json": JsonLines, "none": Progress}


@contextmanager
def shown(kind: str, total: int) -> Iterator[Progress]:
    """Lend the progress of a run over `total` pages, of a kind of KINDS."""
    progress = KINDS[kind](total)
    try:
        yield progress
    finally:
        progress.close()
