"""Files handed to the program in a process of its own, and what is wrong with how it took them."""

from __future__ import annotations

import hashlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from tools.torture import cases

NEIGHBOUR = "neighbour"  # the stem of a good file beside the hostile ones
PAGE_SECONDS = "5"  # DEHW_PAGE_SECONDS: files that draw for ever are many
BUSY = 5  # times as long by the clock as of the processor, before a process is killed: others may use the machine
ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Limits:
    """start, seconds: of the processor, to start and for each file. megabytes: of memory."""

    start: float = 60
    seconds: float = 20
    megabytes: int = 3000


@dataclass(frozen=True)
class Run:
    """How a process ended: its exit status (negative: the signal's), what it printed, and what it took."""

    status: int
    out: str
    err: str
    megabytes: float
    timed_out: bool


def run(command: Sequence[str], folder: Path, patience: float, kill_after: float | None = None) -> Run:
    """Run a command and wait; kill it after its patience, or earlier where that is the test.

    patience: seconds of the processor, its children's that ended included; BUSY times as many of the clock.
    """
    out, err = folder / "stdout", folder / "stderr"
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "work")]), "TMPDIR": str(folder / "tmp")}
    env["DEHW_PAGE_SECONDS"] = PAGE_SECONDS
    (folder / "tmp").mkdir(exist_ok=True)
    started = time.monotonic()
    with out.open("wb") as first, err.open("wb") as second:
        process = subprocess.Popen(command, cwd=folder, stdout=first, stderr=second, env=env, start_new_session=True)
        timer = threading.Timer(kill_after or BUSY * patience, os.killpg, (process.pid, signal.SIGKILL))
        timer.start()
        _, status, used = os.wait4(process.pid, 0)
        timer.cancel()
    late = used.ru_utime + used.ru_stime > patience or time.monotonic() - started >= BUSY * patience
    printed, told = (path.read_text(encoding="utf-8", errors="replace") for path in (out, err))
    return Run(os.waitstatus_to_exitcode(status), printed, told, used.ru_maxrss / 1024, late)


def try_files(kind: str, files: Sequence[tuple[str, bytes]], folder: Path, limits: Limits) -> list[str]:
    """Hand hostile files and a good one to the program; returns what it did wrong, in words."""
    inputs = folder / "in"
    inputs.mkdir(parents=True)
    suffix, content = next(cases.good(kind))
    for name, (ending, data) in [*((f"case{n}", each) for n, each in enumerate(files)), (NEIGHBOUR, (suffix, content))]:
        (inputs / f"{name}.{ending}").write_bytes(data)
    before = digests(inputs)
    patience = limits.start + limits.seconds * (len(files) + 1)
    if kind in ("images", "PDFs"):
        command = [sys.executable, "-m", "dehw", "erase", "in", "-o", "out", "--progress", "none"]
        done = run(command, folder, patience)
        survived = _opens(folder / "out" / f"{NEIGHBOUR}.{suffix}", content)
    else:
        paths = sorted(map(str, inputs.iterdir()))
        done = run([sys.executable, "-m", "tools.torture.child", kind, *paths], folder, patience)
        survived = f"read {NEIGHBOUR}.{suffix}" in done.out
    return [*_faults(done, limits), *wrong_files(inputs, before, folder), *([] if survived else ["lost neighbour"])]


def _faults(done: Run, limits: Limits) -> list[str]:
    found = {
        "traceback": "Traceback (most recent call last)" in done.err,
        "time": done.timed_out,
        "memory": done.megabytes > limits.megabytes,
        f"exit status {done.status}": done.status not in (0, 1) and not done.timed_out,
    }
    return [name for name, happened in found.items() if happened]


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file in a folder."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def wrong_files(inputs: Path, before: dict[str, str], folder: Path) -> list[str]:
    """Whether inputs have changed, and whether temporary files are left."""
    left = [path for part in ("in", "out", "tmp") for path in (folder / part).rglob("*")]
    left = [path for path in left if path.name.startswith((".dehw", "dehw")) or path.is_relative_to(folder / "tmp")]
    changed = digests(inputs) != before
    return [*(["changed input"] if changed else []), *([f"left over: {left[0].name}"] if left else [])]


def _opens(path: Path, source: bytes) -> bool:
    if path.suffix == ".pdf":
        return path.is_file() and path.read_bytes().startswith(b"%PDF-")
    try:
        with Image.open(path) as image:
            image.load()
            return image.size == cases.SIZE
    except OSError:
        return False


def try_kill(folder: Path, rng: random.Random, limits: Limits) -> list[str]:
    """Kill the program at any moment of its work; the next run has to leave every page whole and nothing else."""
    inputs, count = folder / "in", 6
    inputs.mkdir(parents=True)
    for number in range(count):
        cases.page(number).save(inputs / f"{number}.png")
    before = digests(inputs)
    command = [sys.executable, "-m", "dehw", "erase", "in", "-o", "out", "--resume", "--progress", "none"]
    run(command, folder, limits.start, kill_after=rng.uniform(0.2, 12))
    done = run(command, folder, limits.start + limits.seconds * count)
    whole = all(_opens(folder / "out" / f"{number}.png", b"") for number in range(count))
    return [*_faults(done, limits), *wrong_files(inputs, before, folder), *([] if whole else ["a page is missing"])]
