"""The visitors' runs, one after the other: there is one Eraser."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from dehw.errors import DehwError


class Busy(DehwError):
    """Too many visitors wait already."""


class Runs:
    """A queue of runs and the thread that works on it. most: runs that may wait beside the one under way."""

    def __init__(self, most: int):
        self.most = most
        self.worker = ThreadPoolExecutor(1, "dehw-serve")
        self.queue: list[Future[None]] = []
        self.lock = threading.RLock()

    def add(self, work: Callable[[], None], always: bool = False) -> "Future[None]":
        """Put a run at the end of the queue; `always` for one that goes on. Raises Busy where the queue is full."""
        with self.lock:
            self.check(always)
            self.queue.append(self.worker.submit(work))
            return self.queue[-1]

    def check(self, always: bool = False) -> None:
        """Raises Busy where the queue is full."""
        with self.lock:
            self.queue = [run for run in self.queue if not run.done()]
            if len(self.queue) > self.most and not always:
                raise Busy(f"{self.most} others wait already. Try again in a minute.")

    def ahead(self, run: "Future[None]") -> int:
        """How many runs come before this one; 0 for the one under way."""
        waiting = [each for each in self.queue if not each.done()]
        return waiting.index(run) if run in waiting else 0

    def close(self) -> None:
        """Take no more runs, and wait for the one under way."""
        self.worker.shutdown(cancel_futures=True)
