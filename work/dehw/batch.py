"""Many documents erased one after the other: where each goes, what happened to each page."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from dehw import documents, pages
from dehw.documents import FORMATS, MANY, Document, Writer
from dehw.eraser import Eraser
from dehw.errors import InputError, PageError
from dehw.files import write_json
from dehw.pages import Page
from dehw.progress import Progress


@dataclass(frozen=True)
class Job:
    """A document to erase. kind: the kind to write; count: its pages, 1 where that could not be told."""

    source: Path
    target: Path
    kind: str | None
    count: int


@dataclass(frozen=True)
class Outcome:
    """What happened to a page, as the report lists it.

    page: from 1. output: None where none was written. status: erased, empty (no handwriting, so kept as it was),
    failed, or skipped (--resume). seconds: of erasing. share: of the page's pixels that were erased.
    warnings: a sentence each.
    """

    input: str
    page: int
    output: str | None
    status: str
    seconds: float = 0.0
    share: float = 0.0
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
        with pages.writing(path):
            write_json(path, content)


def find_documents(inputs: Sequence[Path], ignore: Callable[[Path], bool]) -> tuple[list[Page], list[Path]]:
    """The documents that files and folders name, and the files in these folders that are of no known kind.

    Told by content; a file that calls itself a page counts as one, so that its damage is told. Raises InputError.
    """
    unknown = []

    def known(path: Path) -> bool:
        try:
            found = pages.kind_of(path) is not None
        except PageError:
            found = False
        if found or any(path.suffix.lower() in suffixes for suffixes in documents.SUFFIXES.values()):
            return True
        unknown.append(path)
        return False

    return pages.find_pages(inputs, ignore, known), unknown


def own_outputs(inputs: Sequence[Path], output: Path | None, report: Path | None = None) -> Callable[[Path], bool]:
    """A test for what an earlier run wrote: *.clean.*, its report, all in an output folder inside an input folder."""
    inside = None
    if output and any(path.resolve() in output.resolve().parents for path in inputs):
        inside = output.resolve()
    report = report and report.resolve()

    def own(path: Path) -> bool:
        where = path.resolve()
        return ".clean" in (Path(path.stem).suffix, path.suffix) or inside in where.parents or where == report

    return own


def plan(
    found: Sequence[Page],
    output: Path | None = None,
    form: str | None = None,
    in_place: bool = False,
    overwrite: bool = False,
    resume: bool = False,
) -> tuple[list[Job], list[Job]]:
    """What is to be done, and what `resume` finds done: a target that is there is whole.

    A target is the document itself (in_place), its relative path under `output`, or STEM.clean.SUFFIX beside it.
    form: a key of FORMATS. Raises InputError where `output` is no folder, two documents would end in one file,
    an original would be replaced, a format cannot hold a document, or, without `overwrite`, a target is there.
    """
    if output and output.exists() and not output.is_dir():
        raise InputError(f"{output} is a file, not a folder; choose another one with -o")
    jobs = [_job(page, output, form, in_place) for page in found]
    done = {job: None for job in jobs if resume and job.target.exists()}
    problems = _problems(jobs, in_place, overwrite or resume)
    if problems:
        raise InputError("nothing was erased:\n  " + "\n  ".join(problems))
    return [job for job in jobs if job not in done], list(done)


def _job(page: Page, output: Path | None, form: str | None, in_place: bool) -> Job:
    try:
        kind = pages.kind_of(page.path)
        with documents.open_document(page.path) as document:
            count = document.count
    except PageError:
        kind, count = None, 1  # its error is told when its turn comes
    wanted = FORMATS[form] if form else kind
    if in_place:
        return Job(page.path, page.path.resolve(), wanted, count)  # a link stays one
    path = output / page.relative if output else page.path.with_name(f"{page.path.stem}.clean{page.path.suffix}")
    if form and path.suffix.lower() not in documents.SUFFIXES[wanted]:
        path = path.with_suffix(f".{form}")
    return Job(page.path, path, wanted, count)


def _problems(jobs: Sequence[Job], in_place: bool, overwrite: bool) -> list[str]:
    originals = {job.source.resolve() for job in jobs}
    counts = Counter(job.target.resolve() for job in jobs)
    problems = []
    for job in jobs:
        source, target = job.source, job.target
        if counts[target.resolve()] > 1:
            problems.append(f"{source}: another page would end in {target} too; erase them in two runs")
        elif job.count > 1 and job.kind not in MANY:
            problems.append(f"{source}: a {job.kind} cannot hold its {job.count} pages; choose --format tif or pdf")
        elif in_place:
            continue
        elif target.resolve() in originals:
            problems.append(f"{source}: {target} would replace an original; choose another folder with -o")
        elif target.exists() and not overwrite:
            problems.append(f"{source}: {target} is there already; give --overwrite, --resume or another -o")
    return problems


def erase_all(eraser: Eraser, jobs: Sequence[Job], progress: Progress) -> Iterator[list[Outcome]]:
    """Erase documents one after the other, and tell of each one's pages. What fails is told by `progress` too."""
    for job in jobs:
        before, eraser.progress = progress.whole, progress.tiles
        try:
            done = erase_document(eraser, job, progress)
            messages = [warning for each in done if each.status == "failed" for warning in each.warnings]
        except (PageError, MemoryError) as error:
            messages = [_cause(error, str(job.source))]
            done = [
                Outcome(str(job.source), index + 1, None, "failed", warnings=messages) for index in range(job.count)
            ]
        progress.pages(before + job.count - progress.whole)
        for message in messages:
            progress.message(message)
        yield done


def erase_document(eraser: Eraser, job: Job, progress: Progress) -> list[Outcome]:
    """Erase a document page by page; one without any handwriting is copied byte for byte.

    A page that fails among others stays as it was, or empty where it cannot even be read. Raises PageError where
    no page could be erased or the document not be written, and for its only page MemoryError too.
    """
    with documents.open_document(job.source) as document:
        with documents.new_document(job.target, job.kind, document) as writer:
            outcomes = []
            for index in range(document.count):
                outcomes.append(_erase_page(eraser, job, document, index, writer))
                progress.pages()
            if all(each.status == "failed" for each in outcomes):
                raise PageError(f"{job.source}: none of its pages could be erased. {outcomes[0].warnings[0]}")
            if job.kind == document.kind and all(each.status == "empty" for each in outcomes):
                writer.copy(job.source)
                return [replace(each, warnings=()) for each in outcomes]
            writer.finish()
            writer.take_permissions(job.source)
            return outcomes


def _erase_page(eraser: Eraser, job: Job, document: Document, index: int, writer: Writer) -> Outcome:
    about = {"input": str(job.source), "page": index + 1, "output": str(job.target)}
    sheet = None
    try:
        sheet = document.read(index)
        erased = eraser(sheet.image)
    except (PageError, MemoryError) as error:
        if document.count == 1:
            raise
        kept = writer.keep(index, sheet)
        fate = "an empty page stands in its place" if kept == "empty" else "it stays as it was"
        cause = f"{_cause(error, f'{job.source}, page {index + 1}')} In the output {fate}."
        return Outcome(**about, status="failed", warnings=(cause,))
    about |= {"seconds": round(erased.seconds, 4), "share": round(erased.share, 6)}
    if erased.mask.any():
        writer.add(replace(sheet, image=erased.page))
        return Outcome(**about, status="erased", warnings=sheet.losses)
    losses = sheet.losses if writer.keep(index, sheet) == "drawn" else ()
    return Outcome(**about, status="empty", warnings=losses)


def _cause(error: Exception, name: str) -> str:
    return str(error) if isinstance(error, PageError) else f"{name}: not enough memory for this page."
