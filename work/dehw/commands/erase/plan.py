"""What is to be erased, and where each document goes; every problem is found before any work."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

from dehw.commands.erase import checks, sidefiles
from dehw.errors import InputError, PageError
from dehw.files import FORMATS, SUFFIXES, documents, find, images
from dehw.files.find import InputFile


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


def find_documents(inputs: Sequence[Path], ignore: Callable[[Path], bool]) -> tuple[list[InputFile], list[Path]]:
    """The documents that files and folders name, and the files in these folders that are of no known kind.

    Told by content; a file that calls itself a page counts as one, so that its damage is told. Raises InputError.
    """
    unknown = []
    suffixes = tuple(suffix for each in SUFFIXES.values() for suffix in each)

    def known(path: Path) -> bool:
        try:
            found = images.kind_of(path) is not None
        except PageError:
            found = False
        if found or path.suffix.lower() in suffixes:
            return True
        unknown.append(path)
        return False

    return find.find_pages(inputs, ignore, known, suffixes), unknown


def make(
    found: Sequence[InputFile],
    output: Path | None = None,
    form: str | None = None,
    in_place: bool = False,
    overwrite: bool = False,
    resume: bool = False,
    sides: Sequence[str] = (),
) -> tuple[list[Job], list[Job]]:
    """What is to be done, and what `resume` finds done: a target that is there is whole, and so are its side files.

    A target is the document itself (in_place), `output` where that is named as a file, its relative path under it
    where not, or STEM.clean.SUFFIX beside it. form: a key of FORMATS. sides: keys of sidefiles.MAKERS. Raises
    InputError where `output` can be neither, two documents would end in one file, an original would be replaced, a
    format cannot hold a document, or, without `overwrite`, a target or a side file is there.
    """
    named = named_kind(output) if output else None
    if output:
        checks.check_folder(output.parent if named else output)
        if not named and not os.path.isdir(output) and output.suffix.lower() in Image.registered_extensions():
            raise InputError(f"{output} is named as a kind that is not written; name it as one of {', '.join(FORMATS)}")
    if output and named:
        jobs = [_job_to_file(found, output, named, form)]
    else:
        jobs = [_job(page, output, form, in_place) for page in found]
    jobs = [replace(job, sides=tuple(sides)) for job in jobs]
    done = {job: None for job in jobs if resume and os.path.isfile(job.target)}
    problems = checks.problems(jobs, in_place, overwrite or resume)
    if problems:
        raise InputError("nothing was erased:\n  " + "\n  ".join(problems))
    return [job for job in jobs if job not in done], list(done)


def named_kind(output: Path) -> str | None:
    """The kind of file that an output is named as; None for a folder."""
    if os.path.isdir(output):
        return None
    return next((kind for kind, suffixes in SUFFIXES.items() if output.suffix.lower() in suffixes), None)


def _job_to_file(found: Sequence[InputFile], output: Path, kind: str, form: str | None) -> Job:
    if len(found) > 1:
        raise InputError(f"{output} is one file, and there are {len(found)} to write; give -o a folder")
    if find.real(output) == find.real(found[0].path):
        raise InputError(f"{output} is a file to be erased; choose another one with -o, or give --in-place")
    if form and FORMATS[form] != kind:
        raise InputError(f"{output} is named as a {kind}; leave out --format {form}, or name it .{form}")
    return replace(_job(found[0]), target=output, kind=kind)


def _job(page: InputFile, output: Path | None = None, form: str | None = None, in_place: bool = False) -> Job:
    try:
        kind = images.kind_of(page.path)
        with documents.open_document(page.path) as document:
            count = document.count
    except (PageError, MemoryError):
        kind, count = None, 1  # its error is told when its turn comes
    wanted = FORMATS[form] if form else kind
    if in_place:
        return Job(page.path, find.real(page.path), wanted, count)  # a link stays one
    path = output / page.relative if output else page.path.with_name(f"{page.path.stem}.clean{page.path.suffix}")
    if form and path.suffix.lower() not in SUFFIXES[FORMATS[form]]:
        path = path.with_suffix(f".{form}")
    return Job(page.path, path, wanted, count)
