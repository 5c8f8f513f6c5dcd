"""What a visitor of the web page has open, and what is done with it.

dehw.commands.erase.batch reads, erases and writes the documents, as for `dehw erase`.
"""

import contextlib
import shutil
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from dehw.commands.erase import batch, plan
from dehw.commands.erase.progress import Progress
from dehw.commands.serve.limits import Limits
from dehw.commands.serve.opened import OpenDocument, OpenPage
from dehw.eraser import Erased, Eraser, OnProgress
from dehw.errors import DehwError, InputError
from dehw.files import find, images

Show = Callable[[float, str], None]  # told the share that is done, in [0, 1], and what is going on

WAIT, SOON = 3600, 60  # seconds that an upload may wait for its run, with and without visitors


class Session:
    """What one visitor has open, all of it under a folder of its own, which is made in `parent`."""

    def __init__(self, parent: Path, eraser: Eraser, limits: Limits):
        self.folder = Path(tempfile.mkdtemp(prefix="session-", dir=parent))
        self.eraser, self.limits = eraser, limits
        self.documents: list[OpenDocument] = []
        self.zip = self.folder / "dehw.zip"  # of all erased documents, there where they are several
        self.count = 0  # of all documents that ever were
        self.shown = 0  # index of the page in the browser
        self.lock, self.ended = threading.Lock(), False

    @property
    def pages(self) -> list[OpenPage]:
        return [page for document in self.documents for page in document.pages]

    @property
    def page(self) -> OpenPage:
        """The page in the browser. Raises InputError where none is open."""
        if not self.pages:
            raise InputError("no page is open here any more: files are removed when a tab closes. Drop them again.")
        return self.pages[self.shown]

    def add(self, paths: Sequence[Path]) -> tuple[list[OpenDocument], list[str]]:
        """Take files over, and open those that can be read and lie within the limits. Returns them, and what is
        wrong with each other one.
        """
        added, problems = [], []
        with self.lock:
            for path in paths:
                try:
                    added.append(self._open(path))
                    self.documents.append(added[-1])
                except DehwError as error:
                    problems.append(self._told(str(error)))
        return added, problems

    def _open(self, path: Path) -> OpenDocument:
        self.count += 1
        folder = self.folder / str(self.count)
        folder.mkdir()
        source = folder / path.name
        with images.reading(path.name):
            shutil.move(path, source)
        with contextlib.suppress(OSError):
            path.parent.rmdir()  # Gradio makes a folder for each file
        try:
            self.limits.check(source, len(self.pages))
            ((job,), _) = plan.make([find.InputFile(source, Path(source.name))], overwrite=True)
        except BaseException:
            shutil.rmtree(folder)
            raise
        names = [f"{source.name}, page {index + 1}" for index in range(job.count)] if job.count > 1 else [source.name]
        opened = [OpenPage(folder / f"page{index + 1}", name) for index, name in enumerate(names)]
        for page in opened:
            page.folder.mkdir()
        return OpenDocument(job, opened)

    def erase(self, opened: Sequence[OpenDocument], show: Show) -> list[str]:
        """Erase these documents as asked for, and write them whole; pages that are not stale cost no time.

        Returns what went wrong, a message each. Raises DehwError where the session ends meanwhile.
        """
        with self.lock:
            pages = {document.job: document.pages for document in opened}

            def erase_page(job: plan.Job, index: int, image: np.ndarray, progress: OnProgress) -> Erased:
                return pages[job][index].erase(self.eraser, image, progress)

            progress = _Shown(self, sum(map(len, pages.values())), show)
            done = batch.erase_all(erase_page, list(pages), progress)
            for outcomes, document in zip(done, opened):
                for page, outcome in zip(document.pages, outcomes):
                    page.outcome = outcome
            if len(self.targets) > 1:
                self._bundle()
        return [self._told(message) for message in progress.messages]

    def look_at(self, added: Sequence[OpenDocument]) -> None:
        """Show the first page of these that was erased, or else the first of all."""
        opened = [page for document in added for page in document.pages]
        erased = [page for page in opened if not page.stale]
        for page in (erased or opened)[:1]:
            self.shown = self.pages.index(page)

    def _bundle(self) -> None:
        """Write all erased documents into one zip, where there are several; those of equal names get numbers."""
        names = set()
        with zipfile.ZipFile(self.zip, "w") as archive:
            for number, target in enumerate(self.targets, 1):
                name = f"{target.stem} ({number}){target.suffix}" if target.name in names else target.name
                names.add(name)
                archive.write(target, name)

    @property
    def targets(self) -> list[Path]:
        """The erased documents."""
        return [document.job.target for document in self.documents if document.job.target.exists()]

    def end(self) -> None:
        """Stop what is being erased, and remove all files."""
        self.ended = True
        with self.lock:
            self.documents.clear()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _told(self, message: str) -> str:
        """A message as the visitor should read it: by the names of the files, not by where they lie."""
        for number in range(self.count, 0, -1):
            message = message.replace(f"{self.folder / str(number)}/", "")
        return message


class Sessions:
    """The visitors' sessions by the key that the browser gives each of its tabs.

    All files lie in one folder, uploads too; it goes with the program. `sweep` removes uploads that belong to no
    session, such as the copies that the brush sends of what it shows.
    """

    def __init__(self, eraser: Eraser, limits: Limits):
        self.eraser, self.limits = eraser, limits
        self.temporary = tempfile.TemporaryDirectory(prefix="dehw-serve-")
        self.folder = Path(self.temporary.name)
        self.open: dict[str, Session] = {}
        self.lock, self.closed = threading.Lock(), threading.Event()
        threading.Thread(target=self._sweep_again_and_again, daemon=True).start()

    def of(self, key: str) -> Session:
        """A visitor's session, new at first."""
        with self.lock:
            if key not in self.open:
                self.open[key] = Session(self.folder, self.eraser, self.limits)
            return self.open[key]

    def end(self, key: str) -> None:
        """End a visitor's session, if there is one."""
        with self.lock:
            session = self.open.pop(key, None)
        if session:
            session.end()

    def close(self) -> None:
        """End all sessions, and remove all files."""
        self.closed.set()
        for key in list(self.open):
            self.end(key)
        self.temporary.cleanup()

    def sweep(self) -> None:
        """Remove uploads that are old enough for no run to wait for them."""
        oldest = time.time() - (WAIT if self.open else SOON)
        for path in self.folder.iterdir():
            if not path.name.startswith("session-") and path.stat().st_mtime < oldest:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def _sweep_again_and_again(self) -> None:
        while not self.closed.wait(SOON):
            with contextlib.suppress(OSError):  # Gradio moves files there meanwhile
                self.sweep()


class _Shown(Progress):
    """Progress of a run over pages, in words for the browser. It stops the run of a visitor who has left."""

    DOING = {"segment": "looking for handwriting", "erase": "erasing"}

    def __init__(self, session: Session, total: int, show: Show):
        super().__init__(total)
        self.session, self.show = session, show
        self.messages: list[str] = []
        self.words = ""

    def tiles(self, step: str, done: int, total: int) -> None:
        if self.session.ended:
            raise DehwError("the visitor has left")
        if step in self.DOING:
            where = f"page {self.whole + 1} of {self.total}: " if self.total > 1 else ""
            self.words = f"{where}{self.DOING[step]}, tile {done} of {total}"
        super().tiles(step, done, total)

    def message(self, text: str) -> None:
        self.messages.append(text)

    def _show(self) -> None:
        self.show(self.done / self.total, self.words)
