"""What a run tells on stderr: how far it is, and messages; as a bar, lines, or lines of JSON."""

import json
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

STEPS = ("segment", "erase")  # of a page, each counted as half of it
EVERY = 0.5  # seconds between two lines of JSON within a page
LINES_EVERY = 10  # seconds between two lines of text


class Progress:
    """Counts pages, in parts while a page's tiles are worked on; never goes back. This one shows nothing."""

    def __init__(self, total: int):
        self.total, self.whole, self.done = total, 0, 0.0
        self.named: Callable[[str], str] = str  # gives the names that files go by, where they stand for streams

    def tiles(self, step: str, done: int, total: int) -> None:
        """So many of the tiles of the current page's step are done; what an Eraser is given as its progress."""
        if step in STEPS:
            self._reach(min(self.whole + (STEPS.index(step) + done / total) / len(STEPS), self.whole + 1))

    def pages(self, count: int = 1) -> None:
        """So many pages are finished, well or not."""
        self.whole += count
        self._reach(self.whole)

    def message(self, text: str) -> None:
        """A warning or a failure, on stderr."""
        self._tell(self.named(text))

    def note(self, text: str, **figures: Any) -> None:
        """What is good to know, on stderr. figures: the same for programs."""
        self._tell(self.named(text), **figures)

    def close(self) -> None:
        """The run has ended."""

    def _reach(self, done: float) -> None:
        if done > self.done:
            self.done = float(done)
            self._show()

    def _tell(self, text: str, **figures: Any) -> None:
        print(f"dehw: {text}", file=sys.stderr)

    def _show(self) -> None:
        pass


class Quiet(Progress):
    """Tells warnings and failures alone."""

    def note(self, text: str, **figures: Any) -> None:
        pass


class Bar(Progress):
    """A bar that people watch."""

    FORMAT = "{desc}: {percentage:3.0f}%|{bar}| {n:.1f}/{total} pages [{elapsed}<{remaining}]"

    def __init__(self, total: int):
        from tqdm import tqdm

        super().__init__(total)
        self.bar = tqdm(total=total, desc="erasing", file=sys.stderr, bar_format=self.FORMAT)

    def close(self) -> None:
        self.bar.close()

    def _tell(self, text: str, **figures: Any) -> None:
        self.bar.write(f"dehw: {text}", file=sys.stderr)

    def _show(self) -> None:
        self.bar.update(self.done - self.bar.n)


class Lines(Progress):
    """Lines for a log, where a bar's carriage returns would be in the way."""

    FORMAT = "dehw: {percentage:.0f}%, {n:.1f}/{total} pages [{elapsed}<{remaining}]"

    def __init__(self, total: int):
        super().__init__(total)
        self.started = self.last = time.monotonic()

    def _show(self) -> None:
        from tqdm import tqdm

        now = time.monotonic()
        if self.done >= self.total or now - self.last >= LINES_EVERY:
            self.last = now
            line = tqdm.format_meter(self.done, self.total, now - self.started, bar_format=self.FORMAT)
            print(line, file=sys.stderr, flush=True)


class JsonLines(Progress):
    """A line {"done": pages, "total": pages} for programs that watch; messages are {"message": text}."""

    def __init__(self, total: int):
        super().__init__(total)
        self.last = 0.0
        self.showwarning, warnings.showwarning = warnings.showwarning, self._warn

    def close(self) -> None:
        warnings.showwarning = self.showwarning

    def _tell(self, text: str, **figures: Any) -> None:
        tell_json(text, **figures)

    def _warn(
        self,
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        """Tell what a library warns of, which would stand there as plain text."""
        tell_json(str(message))

    def _show(self) -> None:
        now = time.monotonic()
        if self.done % 1 == 0 or now - self.last >= EVERY:
            self.last = now
            line = {"done": round(self.done, 3), "total": self.total}
            print(json.dumps(line), file=sys.stderr, flush=True)


KINDS = {"bar": Bar, "json": JsonLines, "none": Progress, "quiet": Quiet}


def tell_json(text: str, **figures: Any) -> None:
    """Tell a message on stderr as a line of JSON."""
    print(json.dumps({"message": text, **figures}), file=sys.stderr, flush=True)


@contextmanager
def shown(kind: str, total: int) -> Iterator[Progress]:
    """Lend the progress of a run over `total` pages, of a kind of KINDS. Off a terminal, a bar becomes lines."""
    progress = Lines(total) if kind == "bar" and not sys.stderr.isatty() else KINDS[kind](total)
    try:
        yield progress
    finally:
        progress.close()
