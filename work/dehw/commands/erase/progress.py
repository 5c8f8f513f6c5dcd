"""What a run tells on stderr: how far it is, and messages; as a bar, lines, or lines of JSON."""

import json
import os
import sys
import threading
import time
import uuid
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from dehw.errors import tell

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
        tell(text)

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

    last = 0.0

    def _tell(self, text: str, **figures: Any) -> None:
        tell_json(text, **figures)

    def _show(self) -> None:
        now = time.monotonic()
        if self.done % 1 == 0 or now - self.last >= EVERY:
            self.last = now
            _write_json({"done": round(self.done, 3), "total": self.total})


KINDS = {"bar": Bar, "json": JsonLines, "none": Progress, "quiet": Quiet}


def tell_json(text: str, **figures: Any) -> None:
    """Tell a message on stderr as a line of JSON."""
    _write_json({"message": text, **figures})


def _write_json(content: dict[str, Any]) -> None:
    sys.stderr.write(json.dumps(content) + "\n")  # at once, for several threads do
    sys.stderr.flush()


@contextmanager
def json_alone() -> Iterator[None]:
    """Have whatever else is written to stderr told as JSON too: what libraries warn of, in C as well (libtiff)."""
    with warnings.catch_warnings(), ExitStack() as stack:
        warnings.showwarning = lambda message, *about, **more: tell_json(str(message))
        with suppress(OSError, AttributeError):  # of a stderr that is no file
            if sys.stderr.fileno() == 2:
                stack.enter_context(_lines_as_json())
        yield


@contextmanager
def _lines_as_json() -> Iterator[None]:
    """Put a pipe in the place of descriptor 2, whose lines a thread tells as JSON."""
    stderr = sys.stderr
    sys.stderr = os.fdopen(os.dup(2), "w", encoding=stderr.encoding, errors=stderr.errors)
    read, write = os.pipe()
    os.dup2(write, 2)
    os.close(write)

    end = f"{uuid.uuid4()}\n"  # for children may hold the pipe's other end

    def tell_lines() -> None:
        with os.fdopen(read, errors="backslashreplace") as pipe:
            for line in iter(pipe.readline, end):
                if line.strip():
                    tell_json(line.rstrip())

    thread = threading.Thread(target=tell_lines, daemon=True)
    thread.start()
    try:
        yield
    finally:
        os.write(2, f"\n{end}".encode())
        thread.join()
        os.dup2(sys.stderr.fileno(), 2)
        sys.stderr.close()
        sys.stderr = stderr


@contextmanager
def shown(kind: str, total: int) -> Iterator[Progress]:
    """Lend the progress of a run over `total` pages, of a kind of KINDS. Off a terminal, a bar becomes lines."""
    progress = Lines(total) if kind == "bar" and not sys.stderr.isatty() else KINDS[kind](total)
    try:
        yield progress
    finally:
        progress.close()
