"""Many documents erased one after the other: where each goes, what happened to each page."""

import math
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from dehw.commands.erase import sidefiles
from dehw.commands.erase.progress import Progress
from dehw.eraser import Erased, Eraser, OnProgress
from dehw.errors import InputError, PageError
from dehw.files import FORMATS, MANY, SUFFIXES, documents, find, images
from dehw.files.atomic import write_json
from dehw.files.documents import Document, Sheet, Writer
from dehw.files.find import InputFile
from dehw.page.confidence import Confidence, doubts

READ_AHEAD = 16_000_000  # pixels of the largest page that is read, or written, while another one is erased


@dataclass(frozen=True)
class Job:
    """A document to erase. kind: the kind to write; count: its pages, 1 where that could not be told.

    sides: the files to write beside it for each page, keys of sidefiles.MAKERS.
    """

    source: Path
    target: Path
    kind: str | None
    count: int
    sides: tuple[str, ...] = ()

    def side_files(self, index: int) -> dict[str, Path]:
        """Where a page's side files go: beside the target, under its name without .clean."""
        return {side: sidefiles.path(self.target, side, self.kind, index, self.count) for side in self.sides}

    @property
    def files(self) -> list[Path]:
        """Every file that it writes."""
        sides = [path for index in range(self.count) for path in self.side_files(index).values()]
        return [self.target, *sides]


@dataclass(frozen=True)
class Outcome:
    """What happened to a page, as the report lists it.

    page: from 1. output: None where none was written. status: erased, empty (no handwriting, so kept as it was),
    failed, or skipped (--resume). seconds: of erasing. share: of the page's pixels that were erased. confidence:
    of its mask, see dehw.page.confidence. side_files: written beside the output. warnings: a sentence each.
    """

    input: str
    page: int
    output: str | None
    status: str
    seconds: float = 0.0
    share: float = 0.0
    confidence: Confidence | None = None
    side_files: Sequence[str] = ()
    warnings: Sequence[str] = ()


class Report:
    """What a run did: the pages, and the files that were passed over because of their kind."""

    def __init__(self, pipeline: str, finished: Sequence[Job], unknown: Sequence[Path]):
        self.pipeline, self.unknown = pipeline, unknown
        skipped = [(job, index) for job in finished for index in range(job.count)]
        self.pages = [Outcome(str(job.source), index + 1, str(job.target), "skipped") for job, index in skipped]

    def add(self, outcomes: Sequence[Outcome]) -> None:
        self.pages += outcomes

    def count(self, status: str) -> int:
        """How many pages have this status."""
        return sum(page.status == status for page in self.pages)

    def summary(self) -> str:
        """One line for the user."""
        skipped = f", {self.count('skipped')} done before" if self.count("skipped") else ""
        return (
            f"{self.count('erased')} pages erased, {self.count('empty')} without handwriting copied{skipped}, "
            f"{self.count('failed')} failed"
        )

    def write(self, path: Path) -> None:
        """Write it as JSON. Raises PageError."""
        content = {"pipeline": str(self.pipeline), "pages": [asdict(page) for page in self.pages]}
        content["unknown"] = [str(path) for path in self.unknown]
        with images.writing(path):
            write_json(path, content)


def find_documents(inputs: Sequence[Path], ignore: Callable[[Path], bool]) -> tuple[list[InputFile], list[Path]]:
    """The documents that files and folders name, and the files in these folders that are of no known kind.

    Told by content; a file that calls itself a page counts as one, so that its damage is told. Raises InputError.
    """
    unknown = []

    def known(path: Path) -> bool:
        try:
            found = images.kind_of(path) is not None
        except PageError:
            found = False
        if found or any(path.suffix.lower() in suffixes for suffixes in SUFFIXES.values()):
            return True
        unknown.append(path)
        return False

    return find.find_pages(inputs, ignore, known), unknown


def own_outputs(inputs: Sequence[Path], output: Path | None, report: Path | None = None) -> Callable[[Path], bool]:
    """A test for what an earlier run wrote: *.clean.*, side files of a page, its report, and all in an output folder
    inside an input folder.
    """
    inside = None
    if output and any(path.resolve() in output.resolve().parents for path in inputs):
        inside = output.resolve()
    report = report and report.resolve()
    stems = cache(lambda folder: {each.stem for each in folder.iterdir()})

    def own(path: Path) -> bool:
        where = path.resolve()
        named = ".clean" in (Path(path.stem).suffix, path.suffix) or sidefiles.is_one(path, stems(path.parent))
        return named or inside in where.parents or where == report

    return own


def plan(
    found: Sequence[InputFile],
    output: Path | None = None,
    form: str | None = None,
    in_place: bool = False,
    overwrite: bool = False,
    resume: bool = False,
    sides: Sequence[str] = (),
) -> tuple[list[Job], list[Job]]:
    """What is to be done, and what `resume` finds done: a target that is there is whole, and so are its side files.

    A target is the document itself (in_place), its relative path under `output`, or STEM.clean.SUFFIX beside it.
    form: a key of FORMATS. sides: keys of sidefiles.MAKERS. Raises InputError where `output` is no folder, two
    documents would end in one file, an original would be replaced, a format cannot hold a document, or, without
    `overwrite`, a target or a side file is there.
    """
    if output and output.exists() and not output.is_dir():
        raise InputError(f"{output} is a file, not a folder; choose another one with -o")
    jobs = [replace(_job(page, output, form, in_place), sides=tuple(sides)) for page in found]
    done = {job: None for job in jobs if resume and job.target.exists()}
    problems = _problems(jobs, in_place, overwrite or resume)
    if problems:
        raise InputError("nothing was erased:\n  " + "\n  ".join(problems))
    return [job for job in jobs if job not in done], list(done)


def _job(page: InputFile, output: Path | None, form: str | None, in_place: bool) -> Job:
    try:
        kind = images.kind_of(page.path)
        with documents.open_document(page.path) as document:
            count = document.count
    except PageError:
        kind, count = None, 1  # its error is told when its turn comes
    wanted = FORMATS[form] if form else kind
    if in_place:
        return Job(page.path, page.path.resolve(), wanted, count)  # a link stays one
    path = output / page.relative if output else page.path.with_name(f"{page.path.stem}.clean{page.path.suffix}")
    if form and path.suffix.lower() not in SUFFIXES[FORMATS[form]]:
        path = path.with_suffix(f".{form}")
    return Job(page.path, path, wanted, count)


def _problems(jobs: Sequence[Job], in_place: bool, overwrite: bool) -> list[str]:
    originals = {job.source.resolve() for job in jobs}
    counts = Counter(path.resolve() for job in jobs for path in job.files)
    problems = []
    for job in jobs:
        source = job.source
        doubles = [path for path in job.files if counts[path.resolve()] > 1]
        written = job.files[1:] if in_place else job.files
        replaced = [path for path in written if path.resolve() in originals]
        there = [path for path in written if path.exists() and not overwrite]
        if doubles:
            problems.append(f"{source}: another page would end in {doubles[0]} too; erase them in two runs")
        elif job.count > 1 and job.kind not in MANY:
            problems.append(f"{source}: a {job.kind} cannot hold its {job.count} pages; choose --format tif or pdf")
        elif replaced:
            problems.append(f"{source}: {replaced[0]} would replace an original; choose another folder with -o")
        elif there:
            remedy = "--overwrite" if in_place else "--overwrite, --resume or another -o"
            problems.append(f"{source}: {there[0]} is there already; give {remedy}")
    return problems


# What erases a page: called (job, index of the page from 0, image (H, W, 3) uint8 RGB, progress of its tiles).
ErasePage = Callable[[Job, int, np.ndarray, OnProgress], Erased]


def with_eraser(eraser: Eraser, **options: Any) -> ErasePage:
    """What erases every page by an eraser. options: of Eraser.__call__."""
    return lambda job, index, image, progress: eraser(image, progress=progress, **options)


# What fails one document, or one page of it, and lets the others go on.
FAILURES = (PageError, InputError, MemoryError)


class Task:
    """A document on its way: read, erased, written. `read` and `write` may run beside another task's `erase`."""

    def __init__(self, job: Job, progress: Progress):
        self.job, self.progress = job, progress
        self.sheet: Sheet | None = None  # its only page, between `read` and `erase`
        self.is_read_ahead = False
        self.outcomes: list[Outcome] = []
        self.finish: Callable[[], None] | None = None  # writes and closes what `erase` has opened
        self.failure: Exception | None = None

    def read(self) -> None:
        """Read the document's page, where that may be done beside other work; else `erase` will."""
        try:
            if self._is_small():
                with documents.open_document(self.job.source) as document:
                    self.sheet = document.read(0)
        except (PageError, MemoryError):
            pass  # when its turn comes, it has the memory for itself, or its error is told
        self.is_read_ahead = self.sheet is not None

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
                document = stack.enter_context(documents.open_document(self.job.source))
                writer = stack.enter_context(
                    documents.new_document(self.job.target, self.job.kind or document.kind, document)
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
            cause = (_cause(error, str(self.job.source)),)
            numbers = range(1, self.job.count + 1)
            return [Outcome(str(self.job.source), number, None, "failed", warnings=cause) for number in numbers]
        return self.outcomes

    def _finish(self, opened: ExitStack, document: Document, writer: Writer) -> None:
        with opened:
            if self.job.kind == document.kind and all(each.status == "empty" for each in self.outcomes):
                writer.copy(self.job.source)
                kept = [replace(each, warnings=doubts(each.share, each.confidence)) for each in self.outcomes]
                self.outcomes = kept  # nothing was lost
                return
            writer.finish()
            writer.take_permissions(self.job.source)

    def _erase_page(self, erase_page: ErasePage, document: Document, index: int, writer: Writer) -> Outcome:
        source, sheet = str(self.job.source), self.sheet
        name = f"{source}, page {index + 1}" if document.count > 1 else source
        done = Outcome(source, index + 1, str(self.job.target), "failed")
        try:
            sheet = sheet or document.read(index)
            erased = erase_page(self.job, index, sheet.image, self.progress.tiles)
            written = self._write_sides(index, sheet, erased)
        except FAILURES as error:
            if document.count == 1:
                raise
            kept = writer.keep(index, sheet)
            fate = "an empty page stands in its place" if kept == "empty" else "it stays as it was"
            return replace(done, warnings=(f"{_cause(error, name)} In the output {fate}.",))
        for doubt in erased.warnings:
            self.progress.message(f"{name}: {doubt}")
        done = replace(
            done,
            seconds=round(erased.seconds, 4),
            share=round(erased.share, 6),
            confidence=erased.confidence,
            side_files=written,
        )
        if erased.mask.any():
            writer.add(replace(sheet, image=np.asarray(erased.page)))
            return replace(done, status="erased", warnings=(*sheet.losses, *erased.warnings))
        losses = sheet.losses if writer.keep(index, sheet) == "drawn" else ()
        return replace(done, status="empty", warnings=(*losses, *erased.warnings))

    def _write_sides(self, index: int, sheet: Sheet, erased: Erased) -> list[str]:
        files = self.job.side_files(index)
        for side, path in files.items():
            sidefiles.write(path, side, sheet.image, erased, sheet.metadata)
        return [str(path) for path in files.values()]


def erase_all(erase_page: ErasePage, jobs: Sequence[Job], progress: Progress) -> Iterator[list[Outcome]]:
    """Erase documents one after the other, and tell of each one's pages. What fails is told by `progress` too.

    While the networks work on a page, one thread reads the next one and another writes the one before; not so with
    documents of many pages, PDFs (PDFium bears no threads) and pages above READ_AHEAD, of which memory is to hold
    one.
    """
    tasks = (Task(job, progress) for job in jobs)  # made when their turn comes: each holds its page
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
    failed = (warning for each in outcomes if each.status == "failed" for warning in each.warnings)
    for message in dict.fromkeys(failed):
        progress.message(message)
    return outcomes


def _cause(error: Exception, name: str) -> str:
    if isinstance(error, InputError):
        return f"{name}: {error}."
    return str(error) if isinstance(error, PageError) else f"{name}: not enough memory for this page."
