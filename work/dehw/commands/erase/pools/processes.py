"""`--jobs N`: workers that are processes of this machine."""

from __future__ import annotations

import argparse
import math
import signal
from collections.abc import Hashable, Iterator
from contextlib import suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import cast

from dehw.commands.erase.plan import Job
from dehw.commands.erase.pools import Event, Lost, Pages
from dehw.commands.erase.pools.worker import start
from dehw.engine import machine

STOPS = ("SIGINT", "SIGTERM", "SIGBREAK")  # which a terminal sends to workers too; the pool ends them


class Processes:
    """A Pool of processes that share the processors. args: of `dehw erase`. A worker is the pipe to its process."""

    patience = math.inf  # another process of the same machine would be as slow

    def __init__(self, args: argparse.Namespace, size: int):
        self.args, self.size = args, size
        self.processors = max(1, machine.processors() // size)
        self.processes: dict[Connection, BaseProcess] = {}

    def start(self) -> None:
        context = get_context("spawn")  # a fork would take over locks of this process's threads
        here, there = context.Pipe()
        process = context.Process(target=_work, args=(there, self.args, self.processors), daemon=True)
        process.start()
        there.close()
        self.processes[cast(Connection, here)] = process

    def submit(self, worker: Hashable, job: Job) -> None:
        with suppress(OSError):  # of a process that died just now, `events` tells
            cast(Connection, worker).send(job)

    def events(self, seconds: float) -> Iterator[tuple[Hashable, Event]]:
        for each in wait(list(self.processes), seconds):
            worker = cast(Connection, each)
            try:
                yield worker, worker.recv()
            except (EOFError, OSError):
                process = self.processes.pop(worker)
                process.kill()
                process.join()
                worker.close()
                yield worker, Lost(f"the process that erased it ended ({_ending(process.exitcode or 0)})")

    def close(self) -> None:
        for process in self.processes.values():
            process.kill()
        for worker, process in self.processes.items():
            process.join()
            worker.close()
        self.processes.clear()


def _work(pool: Connection, args: argparse.Namespace, processors: int) -> None:
    """Erase the documents that come by a pipe, until it is closed."""
    for number in (getattr(signal, name) for name in STOPS if hasattr(signal, name)):
        signal.signal(number, signal.SIG_IGN)
    with suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the pool is gone
        worker, told = start(args, processors)
        pool.send(told)
        while worker:
            pool.send(worker.erase(pool.recv(), lambda count: pool.send(Pages(count))))


def _ending(code: int) -> str:
    try:
        return signal.Signals(-code).name if code < 0 else f"exit code {code}"
    except ValueError:
        return f"signal {-code}"
