"""What happened to each page of a run."""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from dehw.commands.erase.plan import Job
from dehw.files import images
from dehw.files.atomic import write_json
from dehw.page.confidence import Confidence

STATUSES = ("erased", "empty", "skipped", "failed")


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


def failed(job: Job, cause: str) -> list[Outcome]:
    """What happened to the pages of a document that could not be erased."""
    numbers = range(1, job.count + 1)
    return [Outcome(str(job.source), number, None, "failed", warnings=(cause,)) for number in numbers]


class Report:
    """What a run did: the pages, and the files that were passed over because of their kind.

    named: gives the names that files go by, where they stand for streams.
    """

    def __init__(
        self, pipeline: str, finished: Sequence[Job], unknown: Sequence[Path], named: Callable[[str], str] = str
    ):
        self.pipeline, self.unknown, self.named = pipeline, unknown, named
        skipped = [(job, index) for job in finished for index in range(job.count)]
        self.pages = [Outcome(str(job.source), index + 1, str(job.target), "skipped") for job, index in skipped]

    def add(self, outcomes: Sequence[Outcome]) -> None:
        """List what happened to pages."""
        named = self.named
        self.pages += [
            replace(
                page,
                input=named(page.input),
                output=page.output and named(page.output),
                warnings=[named(warning) for warning in page.warnings],
            )
            for page in outcomes
        ]

    def lose(self, cause: str) -> None:
        """Nothing of what was erased came to be: its pages count as failed."""
        self.pages = [
            page
            if page.status == "failed"
            else replace(page, output=None, status="failed", warnings=(*page.warnings, cause))
            for page in self.pages
        ]

    def sort(self, jobs: Sequence[Job]) -> None:
        """List pages in the order of their documents, whichever was finished first; those done before come first."""
        places = {self.named(str(job.source)): place for place, job in enumerate(jobs)}
        self.pages.sort(key=lambda page: places.get(page.input, -1))

    def count(self, status: str) -> int:
        """How many pages have this status."""
        return sum(page.status == status for page in self.pages)

    def summary(self, seconds: float, place: str) -> str:
        """One line for the user. place: to where several files were written, in words."""
        skipped = f", {self.count('skipped')} done before" if self.count("skipped") else ""
        outputs = {page.output for page in self.pages if page.output and page.status in ("erased", "empty")}
        where = f"to {next(iter(outputs))}" if len(outputs) == 1 else place
        erased = self.count("erased")
        return (
            f"{erased} page{'s' * (erased != 1)} erased, {self.count('empty')} without handwriting copied{skipped}, "
            f"{self.count('failed')} failed, in {seconds:.1f} s" + (f"; written {where}" if outputs else "")
        )

    def counts(self) -> dict[str, int]:
        """How many pages there are of each status."""
        return {status: self.count(status) for status in STATUSES}

    def write(self, path: Path) -> None:
        """Write it as JSON, with the folder that relative paths in it start from. Raises PageError."""
        content = {
            "pipeline": str(self.pipeline),
            "folder": _current_folder(),
            "pages": [asdict(page) for page in self.pages],
            "unknown": [str(path) for path in self.unknown],
        }
        with images.writing(path):
            write_json(path, content)


def _current_folder() -> str:
    try:
        return os.getcwd()
    except FileNotFoundError:  # it was removed: what is named by relative paths is gone too
        return ""
