"""Files that appear only when whole, and their checksums."""

import hashlib
import json
import os
import platform
import re
import shutil
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from dehw.errors import InputError

Read = TypeVar("Read")

DAY = 24 * 3600  # seconds after which a temporary file of another machine's process counts as left
QUERY, NO_SUCH_PROCESS = 0x1000, 87  # Windows: PROCESS_QUERY_LIMITED_INFORMATION, ERROR_INVALID_PARAMETER
NAME = re.compile(r"\.dehw-([0-9a-f]{8})-([0-9]{1,9})-.*", re.DOTALL)


@contextmanager
def atomic_path(path: str | Path) -> Iterator[Path]:
    """Lend a temporary path beside `path`; it becomes `path` on success and is removed on failure.

    The temporary name is hidden and ends in path's suffix, so that writers which look at it choose the same
    format. Folders on the way are made. What stood at `path` stays until the new file is complete.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    suffix = path.suffix if len(path.suffix) < 16 else ""  # else the name might be too long
    temporary = path.with_name(f"{temporary_prefix()}{uuid.uuid4().hex[:12]}{suffix}")
    try:
        yield temporary
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def temporary_prefix() -> str:
    """How the names of this process's temporary files and folders begin, by which `sweep` finds them."""
    return f".dehw-{_machine()}-{os.getpid()}-"


def sweep(folder: str | Path) -> None:
    """Remove the temporary files and folders that killed processes left in a folder; those of others stay.

    To be called before this process makes any there.
    """
    with suppress(OSError):  # no such folder, or one that may not be looked into
        for path in Path(folder).glob(".dehw-*"):
            with suppress(OSError):
                if _is_left(path):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()


def _is_left(path: Path) -> bool:
    match = NAME.fullmatch(path.name)
    if match and match[1] == _machine():
        return int(match[2]) == os.getpid() or not _runs(int(match[2]))
    return path.lstat().st_mtime < time.time() - DAY


def _runs(process: int) -> bool:
    if os.name == "nt":  # where os.kill would end the process
        return _runs_on_windows(process)
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # another user's
        pass
    return True


def _runs_on_windows(process: int) -> bool:
    import ctypes

    kernel = getattr(ctypes, "windll").kernel32  # noqa: B009  other systems' ctypes have none
    handle = kernel.OpenProcess(QUERY, False, process)
    if handle:
        kernel.CloseHandle(handle)
        return True
    return kernel.GetLastError() != NO_SUCH_PROCESS


def _machine() -> str:
    """Tells machines that share a folder apart."""
    return f"{zlib.crc32(platform.node().encode()):08x}"


def sha256(path: str | Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def read_json(path: Path, take: Callable[[Any], Read], remedy: str) -> Read:
    """What `take` makes of a JSON file that this program wrote earlier; of {} where there is none.

    remedy: what to do about a damaged file. Raises InputError where it cannot be read, or `take` finds something else
    in it than was written.
    """
    try:
        return take(json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {})
    except (OSError, ValueError, TypeError, AttributeError, LookupError, RecursionError) as error:
        raise InputError(f"{path} is damaged ({error!r}); {remedy}.") from error


def write_json(path: str | Path, value: object) -> None:
    """Write `value` as indented UTF-8 JSON; the file appears only when whole.

    Stand-ins for bytes that are no UTF-8, as in names of files, are written as JSON's own escapes, \\udcXX.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False) + "\n"
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
