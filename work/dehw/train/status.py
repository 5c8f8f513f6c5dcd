"""Where a training is, and how long it will take: one line on stderr."""

import sys
import time
from typing import TextIO

REDRAWN_EVERY = 0.2  # seconds, in a terminal
LINE_EVERY = 180.0  # seconds between the lines in a file or a pipe
CLEAR = "\r\x1b[K"  # to the line's start, and empty it


class StatusLine:
    """A line that is drawn again and again in a terminal; elsewhere a new line every few minutes.

    label: what it says first. shown: False for processes that train along.
    """

    def __init__(self, label: str, shown: bool = True, stream: TextIO | None = None) -> None:
        self.label, self.shown = label, shown
        self.stream = stream or sys.stderr
        self.terminal = self.stream.isatty()
        self.start("", 0, 0)

    def start(self, name: str, total: int, done: int) -> None:
        """Begin to count `total` steps, of which earlier runs did `done`; name: of this part, if there are several."""
        self.name, self.total, self.before, self.done = name, total, done, done
        self.started = self.last = time.monotonic()
        self.facts: list[str] = []

    def step(self, done: int, loss: float | None = None) -> None:
        """So many steps are done; loss: the last one known."""
        self.done = done
        self.facts = [] if loss is None else [f"loss {loss:.4f}"]
        self.show()

    def show(self, note: str = "") -> None:
        """Draw the line if it is time; note: what goes on beside the steps."""
        now = time.monotonic()
        if not self.shown or now - self.last < (REDRAWN_EVERY if self.terminal else LINE_EVERY):
            return
        self.last = now
        place = ", ".join(filter(None, [self.label, self.name]))
        text = ", ".join([f"{place}: {self.done}/{self.total}", *self.facts, *filter(None, [note, self._left()])])
        print(
            f"{CLEAR}{text}" if self.terminal else text, end="" if self.terminal else "\n", file=self.stream, flush=True
        )

    def say(self, text: str) -> None:
        """Print a line that stays."""
        if self.shown:
            print(f"{CLEAR}{text}" if self.terminal else text, file=self.stream, flush=True)

    def close(self) -> None:
        """Leave the line."""
        if self.shown and self.terminal:
            print(CLEAR, end="", file=self.stream, flush=True)

    def _left(self) -> str:
        """The time left if all goes on as since the start, validations included."""
        steps = self.done - self.before
        if not steps:
            return ""
        return f"{in_words((time.monotonic() - self.started) / steps * (self.total - self.done))} left"


def in_words(seconds: float) -> str:
    """A time by its two largest units: 3 d 4 h, 5 h 0 min, 2 min 10 s, 4 s."""
    units = [(86400, "d"), (3600, "h"), (60, "min"), (1, "s")]
    left = round(seconds)
    for place, (unit, name) in enumerate(units[:-1]):
        if left >= unit:
            smaller, its_name = units[place + 1]
            return f"{left // unit} {name} {left % unit // smaller} {its_name}"
    return f"{left} s"
