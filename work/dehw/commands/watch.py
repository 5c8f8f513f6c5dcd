"""`dehw watch`: a folder is looked at again and again, and what comes into it is erased into another one."""

import argparse
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from dehw.commands.arguments import add_networks, at_least, share
from dehw.commands.arguments import path as given_path
from dehw.errors import DehwError, ExitCode, InputError, PageError, tell
from dehw.files import atomic

if TYPE_CHECKING:
    from dehw.commands.erase.batch import ErasePage
    from dehw.commands.erase.scan import Scan

RECORD = ".watched-by-dehw.json"  # in the output folder: what was done, so that a restart does it no second time
Stamp = tuple[int, int]  # of a file: bytes, and nanoseconds of its last change


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `dehw watch`."""
    parser.description = (
        "Watch a folder and its sub-folders, and erase each file that comes, once, into another folder under its own "
        "name. A file is taken when it has not changed between two looks. What was done is kept in OUT, so that a "
        "restart goes on; a file that changes is erased again. Ctrl-C ends it."
    )
    add = parser.add_argument
    add("folder", type=given_path, metavar="IN", help="folder to watch")
    add("output", type=given_path, metavar="OUT", help="folder to write to")
    add_networks(parser)
    add("--sensitivity", type=share, metavar="S", help="0 to 1: the higher, the more is erased; default: 0.5")
    add("--scan", action="store_true", help="pages are photos: find the sheet, straighten and whiten it")
    add("--every", type=at_least(0.1), default=2.0, metavar="SECONDS", help="between two looks; default: %(default)s")
    add("--once", action="store_true", help="end when all that is there is done, as for cron")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Watch until Ctrl-C, or with --once until all is done. Raises InputError, and what Eraser.load raises."""
    from dehw.commands.erase import batch
    from dehw.commands.erase.scan import Scan
    from dehw.eraser import Eraser

    if not args.folder.is_dir():
        raise InputError(f"{args.folder} is no folder; name the one that pages come into.")
    if args.folder.resolve() == args.output.resolve():
        raise InputError(f"{args.output} is the folder that is watched; choose another one for what is erased.")
    watched = Watched(args.folder, args.output)
    eraser = Eraser.load(args.pipeline, args.device, args.weights, engine=args.engine)
    tell(f"engine {eraser.engine}; watching {args.folder}, Ctrl-C ends it")
    options = {} if args.sensitivity is None else {"sensitivity": args.sensitivity}
    watched.scan = Scan(eraser) if args.scan else None
    return watched.watch(batch.with_eraser(eraser, **options), args.once, lambda: time.sleep(args.every))


class Watched:
    """A folder that is watched, and what of it was done. Raises InputError for a damaged record."""

    def __init__(self, folder: Path, output: Path):
        self.folder, self.output = folder, output
        self.seen: dict[str, Stamp] = {}  # at the last look, by the path within the folder
        self.done = _read(output / RECORD)
        for place, _, _ in os.walk(output):
            atomic.sweep(place)
        self.failed = 0
        self.scan: Scan | None = None  # what makes pages of photos

    def watch(self, erase_page: "ErasePage", once: bool, pause: Callable[[], None]) -> int:
        """Look, erase what is whole, pause, and so on; with `once` until nothing is left to do."""
        while True:
            for name in self.look():
                self.failed += not self._erase(erase_page, name)
                self.done[name] = self.seen[name]
                _write(self.output / RECORD, self.done)
            if once and all(self.done.get(name) == stamp for name, stamp in self.seen.items()):
                return ExitCode.FAILED if self.failed else ExitCode.OK
            pause()

    def look(self) -> list[str]:
        """What is to be erased now: files that are not done, and did not change since the last look."""
        before, self.seen = self.seen, dict(sorted(self._stamps().items()))
        return [name for name, stamp in self.seen.items() if before.get(name) == stamp != self.done.get(name)]

    def _stamps(self) -> dict[str, Stamp]:
        """The files in the folder, but for hidden ones and for what is written; a folder that is away has none."""
        found = {}
        output = os.path.realpath(self.output)
        for place, folders, files in os.walk(self.folder):
            inside = [name for name in folders if os.path.realpath(os.path.join(place, name)) != output]
            folders[:] = [name for name in inside if not name.startswith(".")]
            for path in (Path(place, name) for name in files if not name.startswith(".")):
                try:
                    status = path.stat()
                except OSError:  # it went meanwhile
                    continue
                if not stat.S_ISREG(status.st_mode):  # to open a pipe might wait forever
                    continue
                found[path.relative_to(self.folder).as_posix()] = (status.st_size, status.st_mtime_ns)
        return found

    def _erase(self, erase_page: "ErasePage", name: str) -> bool:
        """Erase a file, and tell of it; False where that failed, which ends nothing."""
        from dehw.commands.erase import batch, plan
        from dehw.commands.erase.progress import Progress
        from dehw.files import images
        from dehw.files.find import InputFile

        path = self.folder / name
        try:
            if images.kind_of(path) is None:
                tell(f"{path}: passed over, not a kind of file that can be read")
                return True
            jobs, _ = plan.make([InputFile(path, Path(name))], self.output, overwrite=True)
            (outcomes,) = batch.erase_all(erase_page, jobs, Progress(jobs[0].count), scan=self.scan)
        except (DehwError, OSError) as error:
            tell(str(error))
            return False
        states = sorted({outcome.status for outcome in outcomes})
        tell(f"{path}: {', '.join(states)}, {len(outcomes)} page{'s' * (len(outcomes) != 1)}")
        return "failed" not in states


def _read(record: Path) -> dict[str, Stamp]:
    """What was done; nothing where there is no record. Raises InputError for a damaged one."""

    def stamps(kept: dict[str, tuple[int, int]]) -> dict[str, Stamp]:
        return {str(name): (int(size), int(changed)) for name, (size, changed) in kept.items()}

    return atomic.read_json(record, stamps, "remove it, and all is erased once more")


def _write(record: Path, done: dict[str, Stamp]) -> None:
    """Keep what was done. Raises PageError where the folder cannot be written to."""
    try:
        atomic.write_json(record, done)
    except OSError as error:
        raise PageError(f"{record} cannot be written: {error}. Make room, or choose another folder.") from error
