"""Which files are pages, and work done on each of them."""

import os
import re
import sys
import tempfile
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dehw.errors import InputError, PageError
from dehw.files import atomic
from dehw.files.images import IMAGE_SUFFIXES


@dataclass(frozen=True)
class InputFile:
    """One input file, and the name to keep under an output folder."""

    path: Path
    relative: Path


def has_suffix(path: Path) -> bool:
    """Whether a file calls itself an image."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def real(path: Path) -> Path:
    """A path without links; one whose links run in a ring stays as it is, where Path.resolve raises."""
    return Path(os.path.realpath(path))


def folded(path: Path) -> str:
    """What a path shares with those that file systems may take for the same: in other case, or Unicode's other form."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def folds(folder: Path) -> bool:
    """Whether names that differ in case alone are one file in a folder, or in the one that it would be made in."""
    while not os.path.isdir(folder) and folder != folder.parent:
        folder = folder.parent
    try:
        with tempfile.NamedTemporaryFile(prefix=f"{atomic.temporary_prefix()}a", dir=folder) as file:
            return os.path.exists(Path(file.name).with_name(Path(file.name).name.upper()))
    except OSError:  # nothing can be written there
        return False


def find_pages(
    paths: Sequence[str | Path],
    ignore: Callable[[Path], bool] | None = None,
    known: Callable[[Path], bool] = has_suffix,
    suffixes: Sequence[str] = IMAGE_SUFFIXES,
) -> list[InputFile]:
    """List the pages that files and folders name, folders recursively and in natural order (2 before 10).

    A folder in a folder that may not be looked into is listed too: to read it fails, and tells so.
    A file is taken as named; in folders, hidden files, those that `ignore` picks, and then those that are not
    `known` are passed over. Raises InputError that lists every path which is missing, of an unknown kind or empty,
    and the suffixes to give.
    """
    pages, problems = [], []
    for path in map(Path, paths):
        if os.path.isdir(path):  # Path's own raise where a folder on the way may not be entered
            files = [page for page in _files_in(path) if not (ignore and ignore(page.path))]
            found = [page for page in files if os.path.isdir(page.path) or known(page.path)]
            pages += found
            problems += [] if found else [f"{path}: no pages in this folder"]
        elif not os.path.exists(path):
            what = "a link that leads nowhere" if os.path.islink(path) else "no such file or folder"
            problems.append(f"{path}: {what}")
        elif not os.path.isfile(path):  # to open a pipe might wait forever
            problems.append(f"{path}: neither a file nor a folder; keep what it gives as a file")
        elif not known(path):
            problems.append(f"{path}: not a kind of file that can be read")
        else:
            pages.append(InputFile(path, Path(path.name)))
    if problems or not pages:
        listed = "\n  ".join(problems or ["nothing was named"])
        raise InputError(f"no page to read:\n  {listed}\nGive files ({' '.join(suffixes)}) or folders of them.")
    return pages


def for_each(pages: Sequence[InputFile], work: Callable[[InputFile], None], label: str) -> list[InputFile]:
    """Run `work` on each page behind a progress bar on stderr, and return the pages that failed.

    A page that cannot be read or written, or is too large for the memory, is named; the others are done.
    """
    from tqdm import tqdm

    failed = []
    for page in tqdm(pages, desc=label, unit="page", file=sys.stderr):
        try:
            work(page)
        except (PageError, MemoryError) as error:
            cause = error if isinstance(error, PageError) else f"{page.path}: not enough memory for this page"
            tqdm.write(f"dehw: {cause}", file=sys.stderr)
            failed.append(page)
    return failed


def _files_in(folder: Path) -> list[InputFile]:
    """Every file under a folder but hidden ones, in natural order; and the folders that may not be looked into."""

    def natural(path: Path) -> list:
        return [int(part) if part.isdecimal() else part.casefold() for part in re.split(r"(\d+)", str(path))]

    locked: list[Path] = []
    found: list[Path] = []
    for top, folders, names in os.walk(folder, onerror=lambda error: locked.append(Path(error.filename))):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [Path(top, name) for name in names if not name.startswith(".") and _is_file(Path(top, name))]
    relative = {path.relative_to(folder): path for path in (*found, *locked)}
    return [InputFile(relative[path], path) for path in sorted(relative, key=natural)]


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # may not be entered: that is told when it is opened
        return True
