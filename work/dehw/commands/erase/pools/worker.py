"""What erases documents as `dehw erase` was asked to: in its own process, in others, on other machines."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Sequence

from dehw.commands.erase import batch, ocr
from dehw.commands.erase.boxes import Boxes
from dehw.commands.erase.plan import Job
from dehw.commands.erase.pools import Done, Failed, Ready
from dehw.commands.erase.progress import Progress
from dehw.commands.erase.report import Outcome
from dehw.commands.erase.scan import Scan
from dehw.engine import machine
from dehw.eraser import Eraser
from dehw.errors import DehwError


class EraserWorker:
    """Holds one Eraser. args: of `dehw erase`. tell: is told what runs the networks, and why."""

    def __init__(self, args: argparse.Namespace, tell: Callable[[str], None]):
        eraser = Eraser.load(args.pipeline, args.device, args.weights, engine=args.engine)
        tell(f"engine {eraser.engine}")
        options = {} if args.sensitivity is None else {"sensitivity": args.sensitivity}
        self.boxes = Boxes(args.keep, args.only)
        self.erase_page = batch.with_eraser(eraser, self.boxes, **options)
        self.scan = Scan(eraser, args.paper) if args.scan else None
        self.read = ocr.recogniser() if args.ocr else None

    def erase_all(self, jobs: Sequence[Job], progress: Progress) -> Iterator[list[Outcome]]:
        """Erase documents one after the other, see batch.erase_all."""
        return batch.erase_all(self.erase_page, jobs, progress, self.boxes, self.scan, self.read)

    def erase(self, job: Job, on_pages: Callable[[int], None]) -> Done:
        """Erase one document. on_pages: is told how many more pages of it are finished."""
        progress = _Kept(job.count, on_pages)
        [outcomes] = self.erase_all([job], progress)
        return Done(outcomes, progress.messages)


def start(args: argparse.Namespace, processors: int) -> tuple[EraserWorker | None, Ready | Failed]:
    """A worker that uses so many processors, and what its pool is told of that."""
    notes: list[str] = []
    machine.use_processors(processors)
    try:
        return EraserWorker(args, notes.append), Ready(notes)
    except (DehwError, MemoryError) as error:
        return None, Failed(error)


class _Kept(Progress):
    """Keeps messages, to be told elsewhere."""

    def __init__(self, total: int, on_pages: Callable[[int], None]):
        super().__init__(total)
        self.messages: list[str] = []
        self.on_pages = on_pages

    def pages(self, count: int = 1) -> None:
        super().pages(count)
        self.on_pages(count)

    def message(self, text: str) -> None:
        self.messages.append(text)

    def note(self, text: str, **figures: object) -> None:
        pass
