"""What happened to each page of a run."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from dehw.commands.erase.plan import Job
from dehw.files import images
from dehw.files.atomic import write_json
from dehw.page.confidence import Confidence


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
