"""What a visitor of the web page has open, and what is done with it.

dehw.commands.erase.batch reads, erases and writes the documents, as for `dehw erase`.
"""

import atexit
import contextlib
import itertools
import os
import secrets
import shutil
import tempfile
import threading
import time
import traceback
import zipfile
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path
from typing import IO

import numpy as np

from dehw.commands.erase import batch, plan
from dehw.commands.erase.merge import join
from dehw.commands.erase.progress import Progress
from dehw.commands.erase.report import Outcome
from dehw.commands.erase.scan import Scan
from dehw.commands.serve.limits import Limits
from dehw.commands.serve.opened import Ask, OpenDocument, OpenPage, Share4
from dehw.commands.serve.runs import Busy, Runs
from dehw.eraser import Erased, Eraser, OnProgress
from dehw.errors import DehwError, InputError, PageError
from dehw.files import find, images
from dehw.files.atomic import atomic_path
from dehw.files.documents import new_document, open_document
from dehw.files.images import Metadata
from dehw.files.sheet import DPI, Sheet
from dehw.page import questions
from dehw.page.masks import BALANCED
from dehw.page.scan import papers

try:
    import fcntl
except ImportError:  # Windows: folders of dead servers stay there
    fcntl = None  # type: ignore[assignment]

PREFIX = "dehw-serve-"  # of the folder that holds all files of a server
GRACE = 3600  # seconds that a visitor's files stay after he was last heard of; an open tab is heard each minute
SOON = 60  # seconds between two sweeps
LONGEST_NAME = 200  # bytes; file systems take 255, and results have longer names
MOST_PROBLEMS = 20  # that are told at once
MEGA = 1_000_000

Doing = dict[str, int | str | float]  # of a run: share done, and the step, page and tile it is at


class Gone(DehwError):
    """What was asked for is not there any more."""


class Full(DehwError):
    """There is no room for more files."""


class Session:
    """What one visitor has open, all of it under a folder of its own."""

    def __init__(self, owner: "Sessions"):
        self.folder = Path(tempfile.mkdtemp(prefix="session-", dir=owner.folder))
        self.owner, self.limits = owner, owner.limits
        self.sensitivity = BALANCED  # of pages that are opened
        self.scan: Collection[str] = ()  # kinds of files that are opened as photos
        self.uploads: list[Path] = []  # whole, and not opened yet
        self.documents: list[OpenDocument] = []
        self.zip = self.folder / "dehw.zip"  # of all erased documents, there where they are several
        self.collected = self.folder / "questions.pdf"
        self.count = 0  # of all documents that ever were
        self.problems: deque[str] = deque(maxlen=MOST_PROBLEMS)  # a sentence each
        self.run: Future[None] | None = None
        self.doing: Doing = {}
        self.seen = time.monotonic()
        self.incoming = 0  # bytes that uploads under way may come to
        self.asking, self.working, self.ended = threading.Lock(), threading.Lock(), False

    @property
    def pages(self) -> list[OpenPage]:
        return [page for document in self.documents for page in document.pages]

    @property
    def targets(self) -> list[Path]:
        """The erased documents."""
        return [document.job.target for document in self.documents if document.job.target.exists()]

    @property
    def is_working(self) -> bool:
        """Whether a run waits or is under way."""
        run = self.run
        return run is not None and not run.done()

    def page(self, number: int, index: int) -> OpenPage:
        """A page by its document's number and its index in it. Raises Gone."""
        pages = self.document(number).pages
        if index >= len(pages):
            raise Gone("this page is not open any more. Choose the file again.")
        return pages[index]

    def document(self, number: int) -> OpenDocument:
        """A document by its number. Raises Gone."""
        for document in self.documents:
            if document.number == number:
                return document
        raise Gone("this page is not open any more. Choose the file again.")

    @contextlib.contextmanager
    def receiving(self, name: str) -> Iterator[IO[bytes]]:
        """Lend a file for an upload of this name, which vanishes unless it is whole. Raises Full and Gone."""
        self.check_room()
        if self.ended:
            raise Gone("the files were removed. Choose them again.")
        folder = self.folder / f"upload-{secrets.token_hex(8)}"
        path = folder / safe_name(name)
        try:
            folder.mkdir()
            with open(path, "wb") as file:
                yield file
        except BaseException as error:
            shutil.rmtree(folder, ignore_errors=True)
            if isinstance(error, OSError):  # the disk is full, or the session ended meanwhile
                raise Full("this server has no room for more files now. Try again in an hour.") from error
            raise
        with self.asking:
            self.uploads.append(path)

    def start(self) -> None:
        """Open what was received, and erase what is due, when the visitor's turn comes. Raises Busy and Gone."""
        with self.asking:
            if self.ended:
                raise Gone("the files were removed. Choose them again.")
            try:
                self.run = self.run if self.is_working else self.owner.runs.add(self._work)
            except Busy:
                self._drop_uploads()
                raise

    def _drop_uploads(self) -> None:
        for path in self.uploads:
            shutil.rmtree(path.parent, ignore_errors=True)
        self.uploads.clear()

    def _work(self) -> None:
        """What a run does. What is asked for meanwhile comes in another run, after those of other visitors."""
        with self.asking:
            uploads, self.uploads = self.uploads, []
        try:
            self.problems += self.add(uploads)[1]
            due = [document for document in self.documents if any(page.is_due for page in document.pages)]
            self.problems += self.erase(due, self._show)
        except DehwError as error:
            self.problems.append(str(error))
        except Exception:
            traceback.print_exc()
            self.problems.append("an unforeseen error ended this run. Whoever runs this server finds it in its log.")
        finally:
            self.doing = {}
            with self.asking:
                more = self.uploads or any(page.is_due for page in self.pages)
                self.run = self.owner.runs.add(self._work, always=True) if more and not self.ended else None

    def _show(self, doing: Doing) -> None:
        self.doing = doing

    def add(self, paths: Sequence[Path]) -> tuple[list[OpenDocument], list[str]]:
        """Take files over, and open those that can be read and lie within the limits. Returns them, and what is
        wrong with each other one.
        """
        added, problems = [], []
        with self.working:
            for path in [] if self.ended else paths:
                try:
                    added.append(self._open(path))
                    self.documents.append(added[-1])
                except DehwError as error:
                    problems.append(self._named(str(error)))
        return added, problems

    def _open(self, path: Path) -> OpenDocument:
        self.count += 1
        folder = self.folder / str(self.count)
        folder.mkdir()
        source = folder / path.name
        try:
            with images.reading(path.name):
                shutil.move(path, source)
                path.parent.rmdir()
            self.limits.check(source, len(self.pages))
            ((job,), _) = plan.make([find.InputFile(source, Path(source.name))], overwrite=True)
        except BaseException:
            shutil.rmtree(folder)
            raise
        names = [f"{source.name}, page {index + 1}" for index in range(job.count)] if job.count > 1 else [source.name]
        asked = Ask(self.sensitivity, scan=job.kind in self.scan)
        opened = [OpenPage(self.folder / f"pages-{self.count}-{n}", name, asked) for n, name in enumerate(names)]
        for page in opened:
            page.folder.mkdir()
        return OpenDocument(job, opened, self.count)

    def erase(self, opened: Sequence[OpenDocument], show: Callable[[Doing], None]) -> list[str]:
        """Erase these documents as asked for, and write them whole; pages that are not stale cost no time.

        Returns what went wrong, a message each. Raises DehwError where the session ends meanwhile.
        """
        with self.working:
            eraser = self.owner.eraser
            pages = {document.job: document.pages for document in opened}
            for page in (page for each in pages.values() for page in each):
                page.is_due = False  # what is asked from now on is due again
            scans = {document.job: document.scan for document in opened}

            def erase_page(job: plan.Job, index: int, image: np.ndarray, progress: OnProgress) -> Erased:
                page = pages[job][index]
                try:
                    self.check_room()
                except Full as error:
                    raise PageError(f"{page.name}: {error}") from error
                return page.erase(eraser, image, progress, scans[job])

            progress = _Shown(self, sum(map(len, pages.values())), show)
            failures: dict[str, None] = {}  # in their order, each once
            for outcomes, job in self._outcomes(erase_page, scans, progress):
                for page, outcome in zip(pages[job], outcomes):
                    warnings = [self._named(each) for each in outcome.warnings]
                    page.outcome = replace(outcome, warnings=warnings)
                    failures |= dict.fromkeys(warnings if outcome.status == "failed" else ())
            if len(self.targets) > 1:
                self._bundle()
        return list(failures)

    def _outcomes(
        self, erase_page: batch.ErasePage, scans: dict[plan.Job, bool], progress: Progress
    ) -> Iterator[tuple[list[Outcome], plan.Job]]:
        """Erase documents, those first that are no photos, and tell of each one's pages."""
        for scan in (None, Scan(self.owner.eraser)):
            jobs = [job for job, is_photo in scans.items() if is_photo == bool(scan)]
            yield from zip(batch.erase_all(erase_page, jobs, progress, scan=scan), jobs)

    @contextlib.contextmanager
    def reserved(self, size: int) -> Iterator[None]:
        """Hold room for an upload of so many bytes among the visitor's files, and those of all. Raises Full."""
        with self.owner.reserved(size):
            with self.asking:
                self.check_room(size)
                self.incoming += size
            try:
                yield
            finally:
                with self.asking:
                    self.incoming -= size

    def check_room(self, more: int = 0) -> None:
        """Raises Full where the visitor's files and so many bytes more, or those of all, take too much room on disk."""
        if used(self.folder) + self.incoming + more > self.limits.visitor_megabytes * MEGA:
            raise Full("your files take all the room that is allowed here. Download them, then remove all files.")
        self.owner.check_room()

    def collect(self, chosen: Sequence[tuple[OpenPage, Share4]]) -> None:
        """Write boxes of erased pages to `collected`, see questions.sheets. Raises Full, Gone and PageError."""
        self.check_room()
        cuts = []
        for page, boxes in itertools.groupby(chosen, key=lambda each: each[0]):
            if page.done is None:
                raise Gone("this page is not open any more. Choose the file again.")
            image = page.result()
            sides = np.array([*image.shape[1::-1]] * 2)
            for _, box in boxes:
                x0, y0, x1, y1 = np.rint(np.clip(box, 0, 1) * sides).astype(int).tolist()
                if x0 < x1 and y0 < y1:
                    cuts.append(questions.cut(image, (x0, y0, x1, y1)))
        with new_document(self.collected, "PDF", None) as writer:
            for sheet in questions.sheets(cuts):
                writer.add(Sheet(sheet, Metadata(dpi=(DPI, DPI))))
            writer.finish()

    def sheets(self) -> Path:
        """All erased pages in one PDF: pictures on A4, and PDFs as they are. Raises Full, Gone and PageError."""
        self.check_room()
        with atomic_path(self.folder / "dehw.pdf") as temporary, tempfile.TemporaryDirectory(dir=self.folder) as parts:
            made = [_as_pdf(target, Path(parts, f"{number}.pdf")) for number, target in enumerate(self.targets)]
            join(made, temporary)
        return self.folder / "dehw.pdf"

    def _bundle(self) -> None:
        """Write all erased documents into one zip; those of equal names get numbers."""
        names = set()
        with (
            atomic_path(self.zip) as temporary,
            zipfile.ZipFile(temporary, "w", strict_timestamps=False) as archive,  # without a clock it is 1970
        ):
            for number, target in enumerate(self.targets, 1):
                is_new = target.name.casefold() not in names  # where it is unpacked, case may mean nothing
                names.add(target.name.casefold())
                name = target.name if is_new else f"{target.stem} ({number}){target.suffix}"
                archive.write(target, name)

    def end(self) -> None:
        """Stop what is being erased, and remove all files."""
        with self.asking:
            self.ended = True
            if self.run:
                self.run.cancel()
        with self.working:
            self.documents.clear()
            shutil.rmtree(self.folder, ignore_errors=True)

    def _named(self, message: str) -> str:
        """A message as the visitor should read it: by the names of the files, not by where they lie."""
        for number in range(self.count, 0, -1):
            message = message.replace(f"{self.folder / str(number)}/", "")
        return message


class Sessions:
    """The visitors' sessions by the key in their cookie, and the queue of their runs.

    All files lie in one folder, which goes with the server. A session ends an hour after its visitor was last heard
    of. Folders of servers that were killed are removed at the start of the next one.
    """

    def __init__(self, eraser: Eraser, limits: Limits):
        remove_dead(Path(tempfile.gettempdir()))
        self.eraser, self.limits, self.runs = eraser, limits, Runs(limits.queue)
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX))
        self.alive = _lock(self.folder)
        self.open: dict[str, Session] = {}
        self.incoming = 0  # bytes that uploads under way may come to
        self.lock, self.closed = threading.Lock(), threading.Event()
        threading.Thread(target=self._sweep_again_and_again, daemon=True).start()
        atexit.register(self.close)  # of a server that never came to serve

    def find(self, key: str) -> Session | None:
        """A visitor's session, if there is one; it was heard of now."""
        with self.lock:
            session = self.open.get(key)
            if session:
                session.seen = time.monotonic()
            return session

    def of(self, key: str) -> Session:
        """A visitor's session, new at first."""
        with self.lock:
            session = self.open.get(key) or self.open.setdefault(key, Session(self))
            session.seen = time.monotonic()
            return session

    def end(self, key: str) -> None:
        """End a visitor's session, if there is one."""
        with self.lock:
            session = self.open.pop(key, None)
        if session:
            session.end()

    @contextlib.contextmanager
    def reserved(self, size: int) -> Iterator[None]:
        """Hold room on disk for an upload of so many bytes. Raises Full."""
        with self.lock:
            self.check_room(size)
            self.incoming += size
        try:
            yield
        finally:
            with self.lock:
                self.incoming -= size

    def check_room(self, more: int = 0) -> None:
        """Raises Full where files of all visitors, and so many bytes more, do not fit."""
        if used(self.folder) + self.incoming + more > self.limits.all_megabytes * MEGA:
            raise Full("this server has no room for more files now. Try again in an hour.")

    def close(self) -> None:
        """End all sessions, and remove all files."""
        atexit.unregister(self.close)
        self.closed.set()
        for key in list(self.open):
            self.end(key)
        self.runs.close()
        self.alive.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def sweep(self) -> None:
        """End the sessions of visitors who were not heard of for long."""
        for key, session in list(self.open.items()):
            if time.monotonic() - session.seen > GRACE and not session.is_working:
                self.end(key)

    def _sweep_again_and_again(self) -> None:
        while not self.closed.wait(SOON):
            self.sweep()


class _Shown(Progress):
    """Progress of a run over pages, for the browser. It stops the run of a visitor whose session has ended."""

    def __init__(self, session: Session, total: int, show: Callable[[Doing], None]):
        super().__init__(total)
        self.session, self.show = session, show
        self.at: Doing = {}

    def tiles(self, step: str, done: int, total: int) -> None:
        if self.session.ended:
            raise DehwError("the visitor has left")
        self.at = {"step": step, "tile": done, "tiles": total}
        super().tiles(step, done, total)

    def message(self, text: str) -> None:
        pass  # of what fails and is doubtful the outcomes tell

    def _show(self) -> None:
        page = min(self.whole + 1, self.total)
        self.show({**self.at, "share": self.done / self.total, "page": page, "pages": self.total})


def _as_pdf(document: Path, made: Path) -> Path:
    """The document itself where it is a PDF, else one that is made, with its pages on A4 each but for thin ones."""
    if document.suffix.lower() == ".pdf":
        return document
    with open_document(document) as opened, new_document(made, "PDF", None) as writer:
        for index in range(opened.count):
            page = opened.read(index).image
            dpi = papers.usual_dpi(page)
            with contextlib.suppress(InputError):
                page, dpi = papers.on_paper(page, "a4")
            writer.add(Sheet(page, Metadata(dpi=(dpi, dpi))))
        writer.finish()
    return made


def safe_name(name: str) -> str:
    """A file's name without folders and without what file systems take badly; its suffix is kept."""
    kept = "".join(letter for letter in name.replace("\\", "/").rsplit("/", 1)[-1] if letter.isprintable())
    path = Path(kept.strip(". ") or "page")
    return path.stem.encode(errors="replace")[:LONGEST_NAME].decode(errors="ignore") + path.suffix[:10]


def used(folder: Path) -> int:
    """Bytes of the files in a folder; those that vanish meanwhile count nothing."""
    total = 0
    for place, folders, files in os.walk(folder):  # unlike Path.rglob, it bears folders that vanish
        for name in (*folders, *files):
            with contextlib.suppress(OSError):
                total += os.stat(os.path.join(place, name)).st_size
    return total


def remove_dead(parent: Path) -> None:
    """Remove the folders of servers that do not run any more. Those of other users are left alone."""
    for folder in parent.glob(f"{PREFIX}*") if fcntl else ():
        with contextlib.suppress(OSError):
            is_own = folder.lstat().st_uid == os.getuid()
            is_new = not (folder / "lock").exists() and time.time() - folder.stat().st_mtime < SOON
            if is_own and not is_new:
                _lock(folder).close()
                shutil.rmtree(folder)


def _lock(folder: Path) -> IO[bytes]:
    """Mark a folder as a running server's. Raises OSError where another one holds it."""
    file = open(folder / "lock", "ab")
    if fcntl:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.close()
            raise
    return file
