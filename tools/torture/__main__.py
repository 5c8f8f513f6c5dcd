"""Throw damaged and hostile inputs at the program, and count what it survives.

python -m tools.torture --inputs DIR --seed N --count M      M cases, shared among the kinds; DIR: further files
python -m tools.torture --full                               2,000 mutations, as docs/reliability.md has them

A failure is a traceback, more than its time or memory, a changed input, a left-over file or a lost neighbour. The
files of a failure are kept in --keep, and its line says which. Exit status 1 where there was one. Time is that of the
processor, and DEHW_PAGE_SECONDS is 5. POSIX only.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tools.torture import cases, trial, web

SHARES = {"images": 0.3, "PDFs": 0.25, "zips": 0.15, "configs": 0.15, "weights": 0.15}  # of --count
BATCH = {"images": 20, "PDFs": 20, "zips": 50, "configs": 50, "weights": 50}  # files a process
KILLS, REQUESTS = 0.005, 0.1  # further cases, as shares of --count
FULL = 2000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=Path, metavar="DIR", help="hostile files, tried as they are and mutated")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--count", type=int, default=200, help="mutations in all (default: %(default)s)")
    parser.add_argument("--full", action="store_true", help=f"{FULL} mutations")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="default: all")
    parser.add_argument("--keep", type=Path, default=Path("torture-failures"), help="default: %(default)s")
    args = parser.parse_args()
    count, failed = FULL if args.full else args.count, False
    print("| kind | tried | survived |\n|---|---|---|", flush=True)
    for kind in args.kinds:
        tried, failures = attempt(kind, args.inputs, args.seed, count, args.keep)
        failed |= bool(failures)
        print(f"| {kind} | {tried} | {tried - len(failures)} |", flush=True)
        for failure in failures:
            print(f"  {failure}", file=sys.stderr, flush=True)
    return int(failed)


def attempt(kind: str, inputs: Path | None, seed: int, count: int, keep: Path) -> tuple[int, list[str]]:
    """Try all cases of a kind; returns their number, and a line for each failure."""
    rng = random.Random(f"{seed} {kind}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if kind == "kills":
            number = max(2, round(count * KILLS))
            found = [(n, trial.try_kill(folder / str(n), rng, trial.Limits())) for n in range(number)]
            return number, [f"kill {n}: {', '.join(faults)}" for n, faults in found if faults]
        if kind == "requests":
            return web.attempt(folder, rng, max(20, round(count * REQUESTS)))
        return _attempt_files(kind, inputs, rng, round(count * SHARES[kind]), folder, keep)


def _attempt_files(
    kind: str, inputs: Path | None, rng: random.Random, count: int, folder: Path, keep: Path
) -> tuple[int, list[str]]:
    given = cases.given(kind, inputs)
    files = [*given, *_mutations(kind, [*cases.good(kind), *given], rng, count)]
    failures = []
    for start in range(0, len(files), BATCH[kind]):
        failures += _failures(kind, files[start : start + BATCH[kind]], start, folder, keep)
    return len(files), failures


def _failures(kind: str, files: list[tuple[str, bytes]], first: int, folder: Path, keep: Path) -> list[str]:
    """A line for each file that fails, found by halving the batch; the file is kept. first: its number."""
    faults = trial.try_files(kind, files, folder / f"{first}-{len(files)}", trial.Limits())
    shutil.rmtree(folder / f"{first}-{len(files)}")
    if not faults:
        return []
    if len(files) > 1:
        middle = len(files) // 2
        halves = ((files[:middle], first), (files[middle:], first + middle))
        found = [line for half, start in halves for line in _failures(kind, half, start, folder, keep)]
        return found or [f"{kind} {first} to {first + len(files) - 1} together: {', '.join(faults)}"]
    keep.mkdir(parents=True, exist_ok=True)
    path = keep / f"{kind}{first}.{files[0][0]}"
    path.write_bytes(files[0][1])
    return [f"{path}: {', '.join(faults)}"]


def _mutations(
    kind: str, sources: list[tuple[str, bytes]], rng: random.Random, count: int
) -> Iterator[tuple[str, bytes]]:
    for _ in range(count):
        suffix, content = rng.choice(sources)
        yield suffix, cases.mutated(kind, content, rng.choice(sources)[1], rng)


KINDS = [*SHARES, "kills", "requests"]

if __name__ == "__main__":
    sys.exit(main())
