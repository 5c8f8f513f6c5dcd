"""`--merge`: the pages of all documents in one PDF."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from dehw.commands.erase.plan import Job
from dehw.commands.erase.streams import Places
from dehw.errors import InputError
from dehw.files import find, images


@dataclass(frozen=True)
class Merged(Places):
    """Documents that are written apart, to `output`, and end as one, at `target`."""

    target: Path = Path()

    def check(self, jobs: Sequence[Job]) -> None:
        """Name the target in place of what is written apart. Raises InputError where it is one of the pages."""
        if find.real(self.target) in {find.real(job.source) for job in jobs}:
            raise InputError(f"{self.target} is one of the pages; choose another file for --merge")
        for job in jobs:
            self.names[str(job.target)] = str(self.target)

    def deliver(self, jobs: Sequence[Job]) -> None:
        """Write the target, the documents one after the other; those that failed are left out. Raises PageError."""
        import pikepdf

        whole = [job.target for job in jobs if job.target.exists()]
        if not whole:
            return
        with images.written(self.target) as temporary, ExitStack() as stack:
            pdf = stack.enter_context(pikepdf.new())
            for path in whole:
                pdf.pages.extend(stack.enter_context(pikepdf.open(path)).pages)
            pdf.save(temporary)


@contextmanager
def merged(places: Places, target: Path | None, overwrite: bool) -> Iterator[Places]:
    """The same places, or with a target, those of documents that end in it. Raises InputError where it is there."""
    if target is None:
        yield places
        return
    if target.suffix.lower() != ".pdf":
        raise InputError(f"{target} is no name of a PDF; give --merge a file that ends in .pdf")
    if target.exists() and not overwrite:
        raise InputError(f"{target} is there already; give --overwrite, or --merge another name")
    if not target.parent.is_dir():
        raise InputError(f"there is no folder {target.parent}; make it first, or give --merge another place")
    with tempfile.TemporaryDirectory(prefix=".dehw-", dir=target.parent) as folder:
        yield Merged(places.pages, Path(folder), names=places.names, target=target)
