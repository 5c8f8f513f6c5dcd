"""Documents erased one after the other, the next one read and the last one written meanwhile."""

import math
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dehw.commands.erase import sidefiles
from dehw.commands.erase.boxes import Boxes
from dehw.commands.erase.ocr import Recognise
from dehw.commands.erase.plan import Job
from dehw.commands.erase.progress import Progress
from dehw.commands.erase.report import Outcome, failed
from dehw.commands.erase.scan import Scan
from dehw.eraser import Erased, Eraser, OnProgress
from dehw.errors import InputError, PageError
from dehw.files import documents, images
from dehw.files.documents import Document, DocumentWriter, Sheet
from dehw.page import masks

READ_AHEAD = 16_000_000  # pixels of the largest page that is read, or written, while another one is erased
EVERYWHERE = Boxes()
FAILURES = (PageError, InputError, MemoryError)  # fail one document, or one page of it, and let the others go on

Stamp = tuple[int, int] | None  # of a file: bytes, and nanoseconds of its last change

# What erases a page: called (job, index of the page from 0, image (H, W, 3) uint8 RGB, progress of its tiles).
ErasePage = Callable[[Job, int, np.ndarray, OnProgress], Erased]


def with_eraser(eraser: Eraser, boxes: Boxes = EVERYWHERE, **options: Any) -> ErasePage:
    """What erases every page by an eraser, where boxes allow. options: of Eraser.__call__."""

    def erase_page(job: Job, index: int, image: np.ndarray, progress: OnProgress) -> Erased:
        keep, only = boxes.on(image.shape)
        return eraser(image, progress=progress, keep=keep, only=only, **options)

    return erase_page


class Task:
    """A document on its way: read, erased, written. `read` and `write` may run beside another task's `erase`."""

    def __init__(
        self,
        job: Job,
        progress: Progress,
        boxes: Boxes = EVERYWHERE,
        scan: Scan | None = None,
        ocr: Recognise | None = None,
    ):
        self.job, self.progress, self.boxes, self.scan = job, progress, boxes, scan
        self.stamp: Stamp = None  # of the file as it is read
        self.ocr = ocr if job.kind == "PDF" else None
        self.sheet: Sheet | None = None  # its only page, between `read` and `erase`
        self.is_read_ahead = False
        self.outcomes: list[Outcome] = []
        self.losses: set[str] = set()  # of pages that go into the new file as pictures
        self.finish: Callable[[], None] | None = None  # writes and closes what `erase` has opened
        self.failure: Exception | None = None

    def read(self) -> None:
        """Read the document's page, where that may be done beside other work; else `erase` will."""
        self.stamp = _stamp(self.job.source)
        try:
            if self._is_small():
                with documents.open_document(self.job.source) as document:
                    self.sheet = document.read(0)
        except (PageError, MemoryError):
            pass  # when its turn comes, it has the memory for itself, or its error is told
        self.is_read_ahead = self.sheet is not None

    def _check_unchanged(self, count: int) -> None:
        """Raise PageError where the file is another than was read, or has other pages than its places are made for.

        Where it was moved away meanwhile, nothing of it can be lost.
        """
        if count != self.job.count or _stamp(self.job.source) not in (self.stamp, None):
            raise PageError(f"{self.job.source} changed while it was erased; nothing was written. Erase it again.")

    def _is_small(self) -> bool:
        if self.job.count > 1 or "PDF" in (self.job.kind, images.kind_of(self.job.source)):
            return False
        return math.prod(images.image_size(self.job.source)) <= READ_AHEAD

    def erase(self, erase_page: ErasePage) -> None:
        """Erase the document page by page. What goes wrong is kept for `write`, which tells.

        A page that fails among others stays as it was, or empty where it cannot even be read.
        """
        before = self.progress.whole
        try:
            with ExitStack() as stack:
                if self.sheet is None:
                    self.stamp = _stamp(self.job.source)
                document = stack.enter_context(documents.open_document(self.job.source))
                self._check_unchanged(document.count)
                kept = None if self.scan else document  # of a scanned page, nothing is as it was
                writer = stack.enter_context(
                    documents.new_document(self.job.target, self.job.kind or document.kind, kept)
                )
                for index in range(document.count):
                    self.outcomes.append(self._erase_page(erase_page, document, index, writer))
                    self.progress.pages()
                if all(each.status == "failed" for each in self.outcomes):
                    cause = self.outcomes[0].warnings[0]
                    raise PageError(f"{self.job.source}: none of its pages could be erased. {cause}")
                self.finish = partial(self._finish, stack.pop_all(), document, writer)
        except FAILURES as error:
            self.failure = error
        finally:
            self.sheet = None
            self.progress.pages(before + self.job.count - self.progress.whole)

    def write(self) -> list[Outcome]:
        """Write the document's file, whole or not at all; one without any handwriting is copied byte for byte."""
        try:
            if self.failure:
                raise self.failure
            if self.finish:
                self.finish()
        except FAILURES as error:
            return failed(self.job, _cause(error, str(self.job.source)))
        return self.outcomes

    def _finish(self, opened: ExitStack, document: Document, writer: DocumentWriter) -> None:
        with opened:
            self._complete(document, writer)
            self._check_unchanged(document.count)  # or else what is there stays

    def _complete(self, document: Document, writer: DocumentWriter) -> None:
        same = self.job.kind == document.kind and not self.scan and not self.ocr
        if same and all(each.status == "empty" for each in self.outcomes):
            writer.copy(self.job.source)
            for place, each in enumerate(self.outcomes):  # nothing was lost
                warnings = tuple(warning for warning in each.warnings if warning not in self.losses)
                self.outcomes[place] = replace(each, warnings=warnings)
            return
        writer.finish()
        writer.take_permissions(self.job.source)

    def _erase_page(self, erase_page: ErasePage, document: Document, index: int, writer: DocumentWriter) -> Outcome:
        source, sheet = str(self.job.source), self.sheet
        name = f"{source}, page {index + 1}" if document.count > 1 else source
        done = Outcome(source, index + 1, str(self.job.target), "failed")
        try:
            sheet = sheet or document.read(index)
            sheet, found = self.scan.straighten(sheet) if self.scan else (sheet, None)
            erased = erase_page(self.job, index, sheet.image, self.progress.tiles)
            erased, sheet = self._with_ink(sheet, erased)
            if self.scan and found:
                sheet, erased = self.scan.finish(sheet, erased, found, bool(self.job.sides))
            written = self._write_sides(index, sheet, erased)
        except FAILURES as error:
            if document.count == 1:
                raise
            kept = writer.keep(index, sheet)
            fate = "an empty page stands in its place" if kept == "empty" else "it stays as it was"
            return replace(done, warnings=(f"{_cause(error, name)} In the output {fate}.",))
        warnings = (*self.boxes.beside(erased.mask.shape), *erased.warnings)
        for warning in warnings:
            self.progress.message(f"{name}: {warning}")
        done = replace(
            done,
            seconds=round(erased.seconds, 4),
            share=round(erased.share, 6),
            confidence=erased.confidence,
            side_files=written,
        )
        if self.scan or self.ocr or erased.mask.any():
            made = self.scan.print(erased, sheet) if self.scan else replace(sheet, image=np.asarray(erased.page))
            losses = writer.add(replace(made, lines=self.ocr(made.image)) if self.ocr else made)
            for loss in losses:
                self.progress.message(f"{name}: {loss}")
            return replace(done, status="erased" if erased.mask.any() else "empty", warnings=(*losses, *warnings))
        losses = sheet.losses if writer.keep(index, sheet) == "drawn" else ()
        self.losses |= set(losses)
        return replace(done, status="empty", warnings=(*losses, *warnings))

    def _with_ink(self, sheet: Sheet, erased: Erased) -> tuple[Erased, Sheet]:
        """What was erased with the strokes that the file holds apart, and the page with its mask without them."""
        allowed = masks.allowed(erased.mask.shape, *self.boxes.on(erased.mask.shape))
        sheet = replace(sheet, mask=erased.mask, spared=None if allowed.all() else ~allowed)
        if sheet.inked is None:
            return erased, sheet
        ink = (sheet.inked != sheet.image).any(2)
        return replace(erased, mask=erased.mask | ink & allowed), replace(sheet, spared=ink & ~allowed)

    def _write_sides(self, index: int, sheet: Sheet, erased: Erased) -> list[str]:
        files = self.job.side_files(index)
        before = sheet.image if sheet.inked is None else sheet.inked
        for side, path in files.items():
            sidefiles.write(path, side, before, erased, sheet.metadata)
        return [str(path) for path in files.values()]


def erase_all(
    erase_page: ErasePage,
    jobs: Sequence[Job],
    progress: Progress,
    boxes: Boxes = EVERYWHERE,
    scan: Scan | None = None,
    ocr: Recognise | None = None,
) -> Iterator[list[Outcome]]:
    """Erase documents one after the other, and tell of each one's pages. What fails is told by `progress` too.

    boxes: for the strokes that a file holds apart from its page, and to tell of those that lie beside a page.
    scan: what makes pages of photos; boxes and side files are of these pages. ocr: what reads pages of PDFs.

    While the networks work on a page, one thread reads the next one and another writes the one before; not so with
    documents of many pages, PDFs (PDFium bears no threads) and pages above READ_AHEAD, of which memory is to hold
    one.
    """
    tasks = (Task(job, progress, boxes, scan, ocr) for job in jobs)  # made when their turn comes: each holds its page
    written: deque[Future[list[Outcome]]] = deque()  # of tasks whose files are on their way
    reader, writer = ThreadPoolExecutor(1, "dehw-read"), ThreadPoolExecutor(1, "dehw-write")
    try:
        task = next(tasks, None)
        reading = reader.submit(task.read) if task else None
        while task and reading:
            reading.result()
            following = next(tasks, None)
            reading = reader.submit(following.read) if following else None
            while written and not task.is_read_ahead:  # one page in memory, not two
                yield _told(written.popleft(), progress)
            task.erase(erase_page)
            written.append(writer.submit(task.write))
            while len(written) > int(task.is_read_ahead):
                yield _told(written.popleft(), progress)
            task = following
        while written:
            yield _told(written.popleft(), progress)
    except (KeyboardInterrupt, Exception):
        while written:
            yield _told(written.popleft(), progress)  # they were erased before, and are whole
        raise
    finally:
        reader.shutdown(cancel_futures=True)
        writer.shutdown()


def _told(written: "Future[list[Outcome]]", progress: Progress) -> list[Outcome]:
    """The outcomes of a document's pages, once it is written; tells of those that failed."""
    outcomes = written.result()
    causes = (warning for each in outcomes if each.status == "failed" for warning in each.warnings)
    for message in dict.fromkeys(causes):
        progress.message(message)
    return outcomes


def _stamp(path: Path) -> Stamp:
    """What changes when a file does; None where there is none."""
    with suppress(OSError):
        status = os.stat(path)
        return status.st_size, status.st_mtime_ns
    return None


def _cause(error: Exception, name: str) -> str:
    if isinstance(error, InputError):
        return f"{name}: {error}."
    if isinstance(error, MemoryError):
        return f"{name}: not enough memory for this page."
    is_named = str(error).startswith((name, Path(name).name))
    return str(error) if is_named else f"{name}: {error}"  # such as a target, which many may share
