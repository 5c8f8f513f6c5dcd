"""Where a run writes, checked before any work."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from dehw.commands.erase.former import is_report
from dehw.errors import InputError
from dehw.files import MANY, find

if TYPE_CHECKING:
    from dehw.commands.erase.plan import Job


def problems(jobs: Sequence[Job], in_place: bool, overwrite: bool) -> list[str]:
    """What keeps documents from being written to their places, a sentence each; see plan.make."""
    originals = Names(find.real(job.source) for job in jobs)
    outputs = Names(find.real(path) for job in jobs for path in job.files)
    found = []
    for job in jobs:
        if os.path.isdir(job.source):  # a locked folder, which is told when its turn comes
            continue
        source = job.source
        doubles = [path for path in job.files if outputs.count(path) > 1]
        written = job.files[1:] if in_place else job.files
        replaced = [path for path in written if originals.count(path)]
        there = [path for path in written if os.path.lexists(path) and not overwrite]
        special = [path for path in written if is_special(path)]
        if doubles:
            found.append(f"{source}: another page would end in {doubles[0]} too; erase them in two runs")
        elif job.count > 1 and job.kind not in MANY:
            found.append(f"{source}: a {job.kind} cannot hold its {job.count} pages; choose --format tif or pdf")
        elif replaced:
            found.append(f"{source}: {replaced[0]} would replace an original; choose another folder with -o")
        elif special:
            found.append(f"{source}: {special[0]} is a device or a pipe; choose another folder with -o")
        elif there:
            remedy = "--overwrite" if in_place else "--overwrite, --resume or another -o"
            found.append(f"{source}: {there[0]} is there already; give {remedy}")
    return found


class Names:
    """Counts paths without links; those of one file, where a file system folds their names, as one."""

    def __init__(self, paths: Iterable[Path]):
        self.exact = Counter(paths)
        self.alike = Counter(map(find.folded, self.exact))
        self.folds = cache(find.folds)

    def count(self, path: Path) -> int:
        """How often this one is there."""
        real = find.real(path)
        exact, alike = self.exact[real], self.alike[find.folded(real)]
        return max(exact, alike) if alike > bool(exact) and self.folds(real.parent) else exact


def is_special(path: Path) -> bool:
    """Whether something is there that is neither a file nor a folder: nothing may take its place."""
    return os.path.exists(path) and not os.path.isfile(path) and not os.path.isdir(path)


def check_folder(folder: Path) -> None:
    """Raise InputError where no file can be written in a folder, or in the one that it would be made in."""
    there = folder
    while not os.path.lexists(there) and there != there.parent:
        there = there.parent
    if not os.path.isdir(there):
        raise InputError(f"{there} is a file, not a folder; choose another place than {folder}")
    if not os.access(there, os.W_OK | os.X_OK):
        raise InputError(f"{there} may not be written in; choose another place than {folder}")


def check_report(report: Path, jobs: Sequence[Job], overwrite: bool, resume: bool) -> None:
    """Raise InputError where a report would stand in the way of a page, or replace anything unasked; a run that
    resumes replaces a report.
    """
    here, pages = find.real(report), {find.real(path) for job in jobs for path in (job.source, *job.files)}
    if Names(pages).count(report):
        raise InputError(f"{report} is one of the pages; choose another file for --report")
    if any(here in page.parents or page in here.parents for page in pages):
        raise InputError(f"{report} is in the way of a page; choose another file for --report")
    try:
        os.lstat(report)
    except (FileNotFoundError, NotADirectoryError):  # see check_folder
        pass
    except OSError as error:  # such as a name too long
        raise InputError(f"{report} cannot be: {error.strerror}; choose another file for --report") from error
    if os.path.isdir(report) or is_special(report):
        raise InputError(f"{report} is no file that can be replaced; choose another one for --report")
    if os.path.lexists(report) and not (overwrite or (resume and is_report(report))):
        remedy = "" if resume else ", or --overwrite"
        raise InputError(f"{report} is there already; choose another file for --report{remedy}")
    check_folder(report.parent)
