"""`-` among the arguments of `dehw erase`: files that stand for stdin and stdout."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dehw.commands.erase.plan import Job
from dehw.errors import DehwError, InputError
from dehw.files import SUFFIXES, atomic, images

STREAM = Path("-")


@dataclass(frozen=True)
class Places:
    """What is erased, and where to; a stream among them is a file that is lent for it.

    names: what messages and the report call such a file, by its path.
    """

    pages: Sequence[Path]
    output: Path | None
    to_stdout: bool = False
    names: dict[str, str] = field(default_factory=dict)

    @property
    def are_filled_last(self) -> bool:
        """Whether nothing is written before `deliver`."""
        return self.to_stdout

    def check(self, jobs: Sequence[Job]) -> None:
        """Where stdout is to be written, name its file. Raises InputError unless it is one, and all there is."""
        if not self.to_stdout:
            return
        if len(jobs) != 1 or jobs[0].sides:
            raise InputError("stdout takes one document and no side files; give -o a folder")
        self.names[str(jobs[0].target)] = "stdout"

    def deliver(self, jobs: Sequence[Job]) -> None:
        """Write to stdout what was erased for it. Raises PageError."""
        if self.to_stdout and jobs[0].target.exists():
            with images.writing("stdout"), jobs[0].target.open("rb") as file:
                # Not sys.stdout.buffer: what a closed pipe leaves in there is written again when Python ends.
                with open(sys.stdout.fileno(), "wb", closefd=False) as stdout:
                    shutil.copyfileobj(file, stdout)

    def named(self, text: str) -> str:
        """A text in which streams go by their names."""
        for path, name in self.names.items():
            text = text.replace(path, name)
        return text


@contextmanager
def lent(pages: Sequence[Path], output: Path | None, in_place: bool = False) -> Iterator[Places]:
    """Lend a file for each stream that is named; what is erased from stdin goes to stdout, unless to `output`.

    Raises InputError for a stream that is a terminal, empty, or no page.
    """
    if STREAM not in (*pages, output):
        yield Places(pages, output)
        return
    if STREAM in pages and (len(pages) > 1 or in_place):
        raise InputError("- is stdin, which is read alone and has no place; name other pages in a run of their own")
    to_stdout = output in (None, STREAM)
    if to_stdout and getattr(sys.stdout, "name", "") == os.devnull:  # see main
        raise InputError("stdout is closed; name a file with -o")
    if to_stdout and sys.stdout.isatty():
        raise InputError("a page would go to the terminal; write stdout to a file, or name one with -o")
    atomic.sweep(tempfile.gettempdir())
    with tempfile.TemporaryDirectory(prefix=atomic.temporary_prefix()) as temporary:
        folder, names = Path(temporary), {}
        if STREAM in pages:
            pages = [_stdin(folder)]
            names[str(pages[0])] = "stdin"
        places = Places(pages, folder / "out" if to_stdout else output, to_stdout, names)
        try:
            yield places
        except DehwError as error:
            raise type(error)(places.named(str(error))) from error


def _stdin(folder: Path) -> Path:
    """Keep what stdin gives as a file with the suffix of its kind."""
    if sys.stdin.isatty():
        raise InputError("stdin is a terminal; give a page: dehw erase - < page.jpg > clean.jpg")
    path = folder / "stdin"
    with images.reading("stdin"), path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file)
    kind = images.kind_of(path)
    if kind is None:
        raise InputError("stdin is empty" if not path.stat().st_size else "stdin: not a kind of file that can be read")
    return path.rename(path.with_suffix(SUFFIXES[kind][0]))
