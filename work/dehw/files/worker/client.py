"""The worker as the rest of the program sees it: a function called there, within limits."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar

from dehw.errors import PageError
from dehw.files.worker import wire
from dehw.files.worker.limits import MEMORY, PATIENCE, SECONDS

T = TypeVar("T")

PIPE = 1 << 20  # bytes, where the system can: a page of 10 MB then takes 10 turns of the two processes, not 170

# Isolated, so that no file of the current folder is imported; from where this process imports, instead.
START = "import sys; sys.path[:] = sys.argv[1:]; from dehw.files.worker import child; child.main()"
# Each thread that might be started takes address space.
ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")} | {"MALLOC_ARENA_MAX": "2"}


class WorkerLost(PageError):
    """A file ended the worker, or took more than it may."""


class Worker:
    """A process that calls functions, one after the other, for all threads of this one.

    It starts at the first call, starts again after it was lost, and ends with this process, however that ends.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.process: subprocess.Popen[bytes] | None = None
        self.is_late = False

    def call(self, seconds: float, function: str, arguments: tuple) -> Any:
        """The answer to a call, a tuple as child.answer gives it. Raises WorkerLost, of which the text is the cause."""
        with self.lock:
            process = self._running()
            self.is_late = False
            timer = threading.Timer(PATIENCE * seconds, self._expire, (process,))
            timer.daemon = True
            timer.start()
            try:
                assert process.stdin and process.stdout
                wire.write(process.stdin, (seconds, function, arguments))
                answer = wire.read(process.stdout)
                if not (isinstance(answer, tuple) and len(answer) == 3):
                    raise ValueError("no answer")
            except (OSError, EOFError, ValueError) as error:
                raise WorkerLost(self._cause(seconds)) from error
            except BaseException:  # such as Ctrl-C: an answer may be on its way that nobody will read
                self.stop()
                raise
            finally:
                timer.cancel()
            if self.is_late:  # but just
                self.stop()
            return answer

    def _running(self) -> subprocess.Popen[bytes]:
        if self.process is None or self.process.poll() is not None:
            self.stop()
            command = [sys.executable, "-I", "-c", START, *sys.path]
            pipe, nowhere = subprocess.PIPE, subprocess.DEVNULL  # decoders print what they make of damaged files
            self.process = subprocess.Popen(
                command, stdin=pipe, stdout=pipe, stderr=nowhere, env=os.environ | ONE_THREAD, pipesize=PIPE
            )
        return self.process

    def _expire(self, process: subprocess.Popen[bytes]) -> None:
        self.is_late = True
        process.kill()

    def _cause(self, seconds: float) -> str:
        """Why no answer came; the process is ended where it was not."""
        assert self.process
        was_late = self.is_late
        with suppress(subprocess.TimeoutExpired):  # what sends no messages may run on
            self.process.wait(1)
        code = self.process.poll()
        self.stop()
        if was_late or code == -getattr(signal, "SIGXCPU", 0) != 0:
            return f"it takes more than {seconds:g} seconds. Set {SECONDS.variable} higher"
        if code is None:
            return "its decoder went astray. Get it again"
        died = _signal(-code) if code < 0 else f"exit code {code}"
        return f"its decoder crashed ({died}), or needs more than {MEMORY.value} MB. Set {MEMORY.variable} higher"

    def stop(self) -> None:
        """End the process, whatever it does."""
        process, self.process = self.process, None
        if process is None:
            return
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            with suppress(OSError):  # what was not sent yet
                if stream:
                    stream.close()

    def forget(self) -> None:
        """Leave the process to that from which this one was forked off, and the lock to its threads."""
        process, self.process, self.lock = self.process, None, threading.Lock()
        for stream in (process.stdin, process.stdout) if process else ():
            stream.raw.close()  # type: ignore[union-attr]  # without writing what waits to be sent


WORKER = Worker()
atexit.register(lambda: WORKER.stop())
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: WORKER.forget())


def run(failing: str, function: Callable[..., T], *arguments: Any, times: float = 1) -> T:
    """Call a function of dehw.files in the worker. Its arguments and what it returns are such as wire can send.

    failing: what is told where it is lost, such as "a.pdf cannot be read". times: how much more than SECONDS it
    may take. Raises WorkerLost, OSError where the function does, and ValueError for all else that it raises.
    """
    try:
        answer = WORKER.call(times * SECONDS.value, f"{function.__module__}:{function.__qualname__}", arguments)
    except WorkerLost as error:
        raise WorkerLost(f"{failing}: {error}, or save it anew.") from error
    kind, value, trace = answer
    if kind == "MemoryError":
        more = f"it needs more than {MEMORY.value} MB. Set {MEMORY.variable} higher"
        raise WorkerLost(f"{failing}: {more}, or save it anew.")
    if kind:
        raise (OSError if kind == "OSError" else ValueError)(value) from RuntimeError(trace)
    return value


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
