"""PDFs as documents. All that reads them is done in the worker: only pictures of their pages come here."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from dehw.errors import PageError
from dehw.files import images
from dehw.files.atomic import temporary_prefix
from dehw.files.pdf import read, write
from dehw.files.sheet import DocumentWriter, Kept, Sheet, page_name
from dehw.files.worker import client
from dehw.files.worker.client import WorkerLost
from dehw.files.worker.limits import LOST, SAVING, WRITING

if TYPE_CHECKING:
    from typing_extensions import Self

T = TypeVar("T")


class PdfFile:
    """An opened PDF. A page is drawn at its pictures' own pixels; one of text, at 200 dpi or more."""

    kind = "PDF"

    def __init__(self, path: Path):
        self.path, self.lost = path, 0
        self.place = path.absolute()  # the worker stays in the folder where it was started
        self.count = client.run(f"{path} cannot be read", read.count, self.place)

    def read(self, index: int) -> Sheet:
        """Draw a page by its index from 0, without its Ink annotations. Raises PageError."""
        with images.reading(page_name(self.path, index, self.count)):
            return self.ask("read", index, 1, read.read)

    def pixels(self, index: int) -> int:
        """The pixels of a page as it is drawn, or of its largest picture, where that has more. Raises PageError."""
        with images.reading(page_name(self.path, index, self.count)):
            return self.ask("read", index, 1, read.pixels)

    def ask(self, done: str, index: int, times: float, function: Callable[..., T], *arguments: Any) -> T:
        """What a function of a page tells, called in the worker. done: what cannot be done to it where that fails.
        times: see client.run.
        """
        name = page_name(self.path, index, self.count)
        if self.lost >= LOST:
            cause = f"{LOST} pages of this file before it took too much, or crashed their decoder"
            raise PageError(f"{name} was not tried: {cause}. Print the file into a new PDF.")
        try:
            return client.run(f"{name} cannot be {done}", function, self.place, index, *arguments, times=times)
        except WorkerLost:
            self.lost += 1
            raise

    def close(self) -> None:
        if client.WORKER.process:
            with suppress(PageError, ValueError, OSError):
                client.run(f"{self.path} cannot be closed", read.close, self.place)


class PdfWriter(DocumentWriter):
    """A PDF with everything of `source` but what its erased pages lose.

    What changes of each page waits on disk until the end, so that a worker that is lost loses one page.
    """

    def __init__(self, path: str | Path, source: PdfFile | None):
        super().__init__(path)
        self.source = source
        self.pages: list[Path | str] = []
        self.unkept = 0  # pages that may not even stay as they are

    def __enter__(self) -> Self:
        super().__enter__()
        with images.writing(self.path):
            folder = tempfile.TemporaryDirectory(dir=self.path.parent, prefix=temporary_prefix())
            self.folder = Path(self.stack.enter_context(folder)).absolute()
        return self

    def keep(self, index: int, sheet: Sheet | None) -> Kept:
        if self.source is None:
            return super().keep(index, sheet)
        self.pages.append(write.AS_IT_WAS)
        if sheet:
            return "itself"
        try:
            if self.unkept >= LOST:
                raise ValueError("as those before it")
            name = page_name(self.source.path, index, self.source.count)
            stays = client.run(f"{name} cannot be kept", write.can_stay, self.source.place, index)
            return "itself" if stays else "empty"
        except (PageError, ValueError, OSError) as error:
            if self._is_over(self.source.path):
                lost = f"its page {index + 1} would be lost ({error})"
                raise PageError(f"{self.path} stays as it is: {lost}. Choose another place for the output.") from error
            self.unkept += 1
            self.pages[-1] = write.EMPTY
            return "empty"

    def _add(self, sheet: Sheet) -> tuple[str, ...]:
        index = len(self.pages)
        file = self.folder / f"{index}.change"
        losses = self._change(index, sheet, file)
        if self.source and not any(isinstance(each, Path) for each in self.pages):
            losses += client.run(f"{self.path} cannot be written", write.losses, self.source.place)
        self.pages.append(file)
        return losses

    def _change(self, index: int, sheet: Sheet, file: Path) -> tuple[str, ...]:
        if self.source is None:
            return client.run(f"{self.path} cannot be written", write.picture, sheet, file, times=WRITING)
        try:
            return self.source.ask("written", index, WRITING, write.change, sheet, file)
        except (PageError, ValueError):
            arguments = self.source.place, index, sheet, file
            return client.run(f"{self.path} cannot be written", write.flatten, *arguments, times=WRITING)

    def finish(self) -> None:
        place = self.source.place if self.source else None
        times = WRITING * (1 + SAVING * len(self.pages))
        arguments = place, self.pages, self.temporary.absolute(), self.folder
        with images.writing(self.path):
            client.run(f"{self.path} cannot be written", write.assemble, *arguments, times=times)
