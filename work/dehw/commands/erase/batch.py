"""Many documents erased one after the other: where each goes, what happened to each page."""

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from itertools import zip_longest
from pathlib import Path

from dehw.commands.erase import sidefiles
from dehw.commands.erase.progress import Progress
from dehw.eraser import Erased, Eraser
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
    if form and path.suffix.lower() not in SUFFIXES[wanted]:
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


def erase_all(eraser: Eraser, jobs: Sequence[Job], progress: Progress, **options: object) -> Iterator[list[Outcome]]:
    """Erase documents one after the other, and tell of each one's pages. What fails is told by `progress` too.

    While the networks work on a page, one thread reads the next one and another writes the one before; not so with
    documents of many pages, PDFs (PDFium bears no threads) and pages above READ_AHEAD, of which memory is to hold
    one. options: of Eraser.__call__.
    """
    reader, writer = ThreadPoolExecutor(1, "dehw-read"), ThreadPoolExecutor(1, "dehw-write")
    written: tuple[Job, Future] | None = None
    try:
        ahead = reader.submit(_read_ahead, jobs[0]) if jobs else None
        for job, following in zip_longest(jobs, jobs[1:]):
            sheet = ahead.result()
            ahead = reader.submit(_read_ahead, following) if following else None
            if not sheet and written:  # one page in memory, not two
                yield _told(*written, progress)
                written = None
            finish = _begin(eraser, job, progress, sheet, options)
            before, written = written, (job, writer.submit(finish))
            if before:
                yield _told(*before, progress)
            if not sheet:
                yield _told(*written, progress)
                written = None
        if written:
            last, written = written, None
            yield _told(*last, progress)
    except (KeyboardInterrupt, Exception):
        if written:
            yield _told(*written, progress)  # it was erased before, and is whole
        raise
    finally:
        reader.shutdown(cancel_futures=True)
        writer.shutdown()


def _told(job: Job, written: Future, progress: Progress) -> list[Outcome]:
    """The outcome of a document's pages, once it is written; tells of those that failed."""
    try:
        done = written.result()
        messages = [warning for each in done if each.status == "failed" for warning in each.warnings]
    except (PageError, InputError, MemoryError) as error:
        messages = [_cause(error, str(job.source))]
        done = [Outcome(str(job.source), index + 1, None, "failed", warnings=messages) for index in range(job.count)]
    for message in messages:
        progress.message(message)
    return done


def _read_ahead(job: Job) -> Sheet | None:
    """The page of a document, where it may be read beside other work; None where that has to wait for its turn."""
    try:
        if job.count > 1 or "PDF" in (job.kind, images.kind_of(job.source)):
            return None
        if math.prod(images.image_size(job.source)) > READ_AHEAD:
            return None
        with documents.open_document(job.source) as document:
            return document.read(0)
    except (PageError, MemoryError):
        return None  # when its turn comes, it has the memory for itself, or its error is told


def _begin(
    eraser: Eraser, job: Job, progress: Progress, sheet: Sheet | None, options: dict
) -> Callable[[], list[Outcome]]:
    """Erase a document's pages; what is given back writes its file and tells the outcomes, or raises what went wrong.

    sheet: its only page, if it was read before.
    """
    before, eraser.progress = progress.whole, progress.tiles
    try:
        return erase_document(eraser, job, progress, sheet, **options)
    except (PageError, InputError, MemoryError) as error:
        failure = error  # Python forgets `error` here

        def fail() -> list[Outcome]:
            raise failure

        return fail
    finally:
        progress.pages(before + job.count - progress.whole)


def erase_document(
    eraser: Eraser, job: Job, progress: Progress, sheet: Sheet | None = None, **options: object
) -> Callable[[], list[Outcome]]:
    """Erase a document page by page, and give back what writes its file: to be called once.

    One without any handwriting is copied byte for byte. A page that fails among others stays as it was, or empty
    where it cannot even be read. sheet: its only page, if it was read before. Both raise PageError where no page
    could be erased or the document not be written; for its only page this raises InputError (a box of `options`
    that does not lie on it) and MemoryError too.
    """
    with ExitStack() as stack:
        document = stack.enter_context(documents.open_document(job.source))
        writer = stack.enter_context(documents.new_document(job.target, job.kind, document))
        outcomes = []
        for index in range(document.count):
            outcomes.append(_erase_page(eraser, job, document, index, writer, progress, options, sheet))
            progress.pages()
        if all(each.status == "failed" for each in outcomes):
            raise PageError(f"{job.source}: none of its pages could be erased. {outcomes[0].warnings[0]}")
        return partial(_finish, stack.pop_all(), job, document, writer, outcomes)


def _finish(opened: ExitStack, job: Job, document: Document, writer: Writer, outcomes: list[Outcome]) -> list[Outcome]:
    """Write a document's file, and close what is opened. Raises PageError."""
    with opened:
        if job.kind == document.kind and all(each.status == "empty" for each in outcomes):
            writer.copy(job.source)
            return [replace(each, warnings=doubts(each.share, each.confidence)) for each in outcomes]
        writer.finish()
        writer.take_permissions(job.source)
        return outcomes


def _erase_page(
    eraser: Eraser,
    job: Job,
    document: Document,
    index: int,
    writer: Writer,
    progress: Progress,
    options: dict,
    sheet: Sheet | None,
) -> Outcome:
    about = {"input": str(job.source), "page": index + 1, "output": str(job.target)}
    name = f"{job.source}, page {index + 1}" if document.count > 1 else str(job.source)
    try:
        sheet = sheet or document.read(index)
        erased = eraser(sheet.image, **options)
        written = _write_sides(job, index, sheet, erased)
    except (PageError, InputError, MemoryError) as error:
        if document.count == 1:
            raise
        kept = writer.keep(index, sheet)
        fate = "an empty page stands in its place" if kept == "empty" else "it stays as it was"
        cause = f"{_cause(error, name)} In the output {fate}."
        return Outcome(**about, status="failed", warnings=(cause,))
    for doubt in erased.warnings:
        progress.message(f"{name}: {doubt}")
    about |= {"seconds": round(erased.seconds, 4), "share": round(erased.share, 6)}
    about |= {"confidence": erased.confidence, "side_files": written}
    if erased.mask.any():
        writer.add(replace(sheet, image=erased.page))
        return Outcome(**about, status="erased", warnings=(*sheet.losses, *erased.warnings))
    losses = sheet.losses if writer.keep(index, sheet) == "drawn" else ()
    return Outcome(**about, status="empty", warnings=(*losses, *erased.warnings))


def _write_sides(job: Job, index: int, sheet: Sheet, erased: Erased) -> list[str]:
    files = job.side_files(index)
    for side, path in files.items():
        sidefiles.write(path, side, sheet.image, erased, sheet.metadata)
    return [str(path) for path in files.values()]


def _cause(error: Exception, name: str) -> str:
    if isinstance(error, InputError):
        return f"{name}: {error}."
    return str(error) if isinstance(error, PageError) else f"{name}: not enough memory for this page."
