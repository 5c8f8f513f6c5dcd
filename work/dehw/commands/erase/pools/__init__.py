"""Documents erased by several workers, each with an Eraser of its own: processes, or actors of a Ray cluster."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dehw.commands.erase.plan import Job
from dehw.commands.erase.progress import Progress
from dehw.commands.erase.report import Outcome, failed
from dehw.errors import DeviceError
from dehw.files import atomic

TRIES = 3  # workers that a document, or a start, may lose
TICK = 1.0  # seconds between two looks for slow workers
STALLED = 600.0  # seconds without any worker, after which none is awaited


@dataclass(frozen=True)
class Ready:
    """A worker has loaded its networks. notes: what it tells of them."""

    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Pages:
    """So many more pages of a worker's document are finished."""

    count: int


@dataclass(frozen=True)
class Done:
    """A worker's document is written, or has failed. messages: of its pages, for stderr."""

    outcomes: Sequence[Outcome]
    messages: Sequence[str] = ()


@dataclass(frozen=True)
class Lost:
    """A worker has died. why: in words."""

    why: str


@dataclass(frozen=True)
class Failed:
    """A worker cannot load its networks; no other one will."""

    error: Exception


Event = Ready | Pages | Done | Lost | Failed


class Pool(Protocol):
    """Workers, each of which erases one document at a time.

    size: how many there are to be. patience: seconds a page after which an idle worker tries a document too that
    another one has not finished.
    """

    size: int
    patience: float

    def start(self) -> None:
        """Begin to start a worker; `events` tells when it is ready."""

    def submit(self, worker: Hashable, job: Job) -> None:
        """Give a document to a worker that is ready."""

    def events(self, seconds: float) -> Iterable[tuple[Hashable, Event]]:
        """What has happened to workers; waits so long for something to happen."""

    def close(self) -> None:
        """End all workers, whatever they do."""


def erase_all(pool: Pool, jobs: Sequence[Job], progress: Progress) -> Iterator[list[Outcome]]:
    """Erase documents, and tell of each one's pages as it is finished, once.

    A document whose worker dies is tried again by others, TRIES times in all. Raises what keeps all workers from
    loading their networks, and DeviceError where none starts.
    """
    run = _Run(pool, jobs, progress)
    try:
        for _ in range(pool.size):
            pool.start()
        while run.left:
            for worker, event in pool.events(TICK):
                yield from run.take(worker, event)
            run.give()
    finally:
        pool.close()
        run.sweep()


@dataclass(frozen=True)
class _Turn:
    """A document at a worker, since when (time.monotonic)."""

    job: Job
    started: float


class _Run:
    """Which document is where."""

    def __init__(self, pool: Pool, jobs: Sequence[Job], progress: Progress):
        self.pool, self.progress = pool, progress
        self.waiting, self.left = deque(jobs), set(jobs)
        self.free: deque[Hashable] = deque()
        self.turns: dict[Hashable, _Turn] = {}
        self.cut: set[Path] = set()  # folders in which workers that died were writing
        self.lost: Counter[Job] = Counter()  # workers that it lost
        self.told: Counter[Job] = Counter()  # pages, to `progress`
        self.notes: Sequence[str] = ()  # of the first worker that was ready
        self.lost_starts = 0  # without any that went well between them
        self.alive = time.monotonic()  # when a worker was last seen

    def take(self, worker: Hashable, event: Event) -> Iterator[list[Outcome]]:
        """Note what has happened to a worker, and tell of a document that is finished so."""
        if isinstance(event, Failed):
            raise event.error
        if isinstance(event, Pages):
            self._count(self.turns[worker].job, event.count)
            return
        turn = self.turns.pop(worker, None)
        if isinstance(event, Lost):
            self.pool.start()
            yield from self._lose(turn, event.why)
            return
        self.free.append(worker)
        if isinstance(event, Ready):
            self.lost_starts = 0
            for note in event.notes if event.notes != self.notes else ():
                self.progress.note(note)
            self.notes = event.notes
        elif turn and turn.job in self.left:  # else a second worker was faster
            yield self._finish(turn.job, event)

    def give(self) -> None:
        """Give the free workers something to do. Raises DeviceError where none comes."""
        while self.free and self.waiting:
            job = self.waiting.popleft()
            if job in self.left:
                self._submit(job)
        if self.free and (slow := self._slow()):
            self.progress.note(f"{slow.source}: takes long; another worker tries it too")
            self._submit(slow)
        now = time.monotonic()
        if self.turns or self.free:
            self.alive = now
        elif now - self.alive > STALLED:
            raise DeviceError(f"no worker has started for {STALLED:.0f} s; see what else the machines are busy with.")

    def sweep(self) -> None:
        """Remove what workers that were ended were writing."""
        for folder in self.cut | {turn.job.target.parent for turn in self.turns.values()}:
            atomic.sweep(folder)

    def _submit(self, job: Job) -> None:
        worker = self.free.popleft()
        self.turns[worker] = _Turn(job, time.monotonic())
        self.pool.submit(worker, job)

    def _slow(self) -> Job | None:
        """The document that a worker has had for longest, where that is too long; with one worker alone."""
        workers = Counter(turn.job for turn in self.turns.values())
        alone = [turn for turn in self.turns.values() if workers[turn.job] == 1 and turn.job in self.left]
        turn = min(alone, key=lambda each: each.started, default=None)
        late = turn and time.monotonic() - turn.started > self.pool.patience * turn.job.count
        return turn.job if turn and late else None

    def _lose(self, turn: _Turn | None, why: str) -> Iterator[list[Outcome]]:
        if turn is None:  # it was starting
            self.lost_starts += 1
            if self.lost_starts >= TRIES:
                raise DeviceError(f"no worker starts: {why}. Try --jobs 1; `dehw doctor` says what is missing.")
            return
        job = turn.job
        self.cut.add(job.target.parent)
        if job in self.left:
            self.lost[job] += 1
            if self.lost[job] < TRIES:
                self.progress.note(f"{job.source}: {why}; it is tried again")
                self.waiting.appendleft(job)
            else:
                cause = f"{job.source}: {why}, {TRIES} times. Erase it alone, or give pages of fewer pixels."
                yield self._finish(job, Done(failed(job, cause), [cause]))

    def _finish(self, job: Job, done: Done) -> list[Outcome]:
        self.left.remove(job)
        self._count(job, job.count)
        for message in done.messages:
            self.progress.message(message)
        return list(done.outcomes)

    def _count(self, job: Job, pages: int) -> None:
        """So many more pages of a document are finished; of one that is tried again, no page counts twice."""
        more = min(pages, job.count - self.told[job])
        self.told[job] += more
        self.progress.pages(more)
