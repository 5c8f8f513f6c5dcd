"""The worker's own side: what it may use, and its calls answered one after the other."""

from __future__ import annotations

import importlib
import os
import queue
import signal
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import cv2

from dehw.files import documents  # noqa: F401  for what can be sent
from dehw.files.worker import wire
from dehw.files.worker.limits import MEMORY

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

OWN = "dehw.files."  # where the functions are that may be called
TRACE = 4000  # characters of a traceback that are told


def main() -> None:
    """Answer the calls that come by stdin until it ends, which it does when the program that called is gone."""
    stream = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    _limit()
    calls: queue.SimpleQueue[tuple] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(sys.stdin.buffer, calls), daemon=True).start()
    while True:
        seconds, function, arguments = calls.get()
        _allow(seconds)
        wire.write(stream, answer(function, arguments))
        del arguments  # they may be large


def _listen(stream: IO[bytes], calls: queue.SimpleQueue) -> None:
    """Take calls in. Where no more can come, the process ends, whatever it is at."""
    try:
        while True:
            calls.put(wire.read(stream))
    finally:
        os._exit(0)


def answer(function: str, arguments: tuple) -> tuple[str | None, Any, str]:
    """Call a function, "module:name": None and what it returns, or its error's kind, text and traceback."""
    try:
        module, name = function.split(":")
        if not module.startswith(OWN):
            raise ValueError(f"{module} is not the worker's")
        return None, getattr(importlib.import_module(module), name)(*arguments), ""
    except Exception as error:
        kind = next((each.__name__ for each in (MemoryError, OSError) if isinstance(error, each)), "ValueError")
        return kind, str(getattr(error, "strerror", None) or error), traceback.format_exc()[-TRACE:]


def _limit() -> None:
    """Take no more memory than allowed, where the system can hold to that; leave no core file, and Ctrl-C to others."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "win32":
        import ctypes

        ctypes.windll.kernel32.SetErrorMode(0x8003)  # a crash opens no window that waits for an answer
    with suppress(OSError):  # where memory runs short, this process goes first
        Path("/proc/self/oom_score_adj").write_text("1000")
    if resource:
        for kind, most in ((resource.RLIMIT_AS, MEMORY.value << 20), (resource.RLIMIT_CORE, 0)):
            with suppress(ValueError, OSError):  # macOS knows no such limit of memory, or a lower one holds already
                resource.setrlimit(kind, (most, most))


def _allow(seconds: float) -> None:
    """Let the next call use the processor for so long; also the last one of a program that was killed."""
    if resource:
        used = sum(resource.getrusage(resource.RUSAGE_SELF)[:2])
        hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_CPU, (int(used + seconds) + 1, hard))
