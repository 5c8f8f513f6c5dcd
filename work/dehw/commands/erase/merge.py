"""`--merge`: the pages of all documents in one PDF."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from dehw.commands.erase import checks
from dehw.commands.erase.plan import Job
from dehw.commands.erase.streams import Places
from dehw.errors import InputError
from dehw.files import atomic, find, images
from dehw.files.find import InputFile

AT_ONCE = 100  # files that are open; systems allow 256 or 1,024


@dataclass(frozen=True)
class Merged(Places):
    """Documents that are written apart, to `output`, and end as one, at `target`."""

    target: Path = Path()

    @property
    def are_filled_last(self) -> bool:
        """Yes: the target appears when it is whole."""
        return True

    def check(self, jobs: Sequence[Job]) -> None:
        """Name the target in place of what is written apart. Raises InputError where it is one of the pages."""
        if find.real(self.target) in {find.real(job.source) for job in jobs}:
            raise InputError(f"{self.target} is one of the pages; choose another file for --merge")
        for job in jobs:
            self.names[str(job.target)] = str(self.target)

    def deliver(self, jobs: Sequence[Job]) -> None:
        """Write the target, the documents one after the other; those that failed are left out. Raises PageError."""
        whole = [job.target for job in jobs if job.target.exists()]
        if whole:
            with images.written(self.target) as temporary:
                join(whole, temporary)


def numbered(found: Sequence[InputFile]) -> list[InputFile]:
    """The same documents under numbers: names that two of them share are in nobody's way."""
    return [replace(each, relative=Path(f"{number}.pdf")) for number, each in enumerate(found, 1)]


def join(paths: Sequence[Path], target: Path) -> None:
    """Write the pages of PDFs, one after the other, into one; where they are many, by way of parts beside it."""
    import pikepdf

    with ExitStack() as stack:
        if len(paths) > AT_ONCE:
            prefix = atomic.temporary_prefix()
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix=prefix, dir=target.parent))
            groups = [paths[start : start + AT_ONCE] for start in range(0, len(paths), AT_ONCE)]
            parts = [Path(folder, f"{number}.pdf") for number in range(len(groups))]
            for group, part in zip(groups, parts):
                join(group, part)
            return join(parts, target)
        pdf = stack.enter_context(pikepdf.new())
        for path in paths:
            pdf.pages.extend(stack.enter_context(pikepdf.open(path)).pages)
        pdf.save(target)


@contextmanager
def merged(places: Places, target: Path | None, overwrite: bool) -> Iterator[Places]:
    """The same places, or with a target, those of documents that end in it. Raises InputError where it is there."""
    if target is None:
        yield places
        return
    if target.suffix.lower() != ".pdf":
        raise InputError(f"{target} is no name of a PDF; give --merge a file that ends in .pdf")
    if os.path.isdir(target) or checks.is_special(target):
        raise InputError(f"{target} is no file that can be replaced; give --merge another name")
    if os.path.lexists(target) and not overwrite:
        raise InputError(f"{target} is there already; give --overwrite, or --merge another name")
    if not target.parent.is_dir():
        raise InputError(f"there is no folder {target.parent}; make it first, or give --merge another place")
    checks.check_folder(target.parent)
    atomic.sweep(target.parent)
    with tempfile.TemporaryDirectory(prefix=atomic.temporary_prefix(), dir=target.parent) as folder:
        yield Merged(places.pages, Path(folder), names=places.names, target=target)
