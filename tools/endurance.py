"""Whether long runs stay as they begin: a folder of small pages, one in a hundred broken, and a PDF of many pages.

python -m tools.endurance                                   # 10,000 pages with 1 and 2 processes, a PDF of 300
python -m tools.endurance --count 300 --pdf 30 --jobs 1 2   # a rehearsal

Of each run: pages a second, seconds a page and memory soon after its start and short before its end, and whether all
pages but the broken ones are there. Processor seconds are those of all its processes; on a busy machine, these tell
more. Exit code 1 where a page is missing, the exit code is wrong, or seconds or memory have grown by more than a tenth.
Needs psutil, which requirements/dev.txt brings.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil
from PIL import Image

from dehw.engine import machine
from dehw.errors import ExitCode

SAMPLES = Path(__file__).parents[1] / "data" / "sample" / "images"
SIDE = 400  # px of a small page
EVERY = 100  # pages, of which one is broken
START, END = (0.05, 0.15), (0.85, 0.95)  # of the pages; before, networks are loaded
GROWTH = 1.1  # of seconds a page and of memory, at the most
LOOK = 0.2  # seconds between two looks at the processes
HEAD = "| run | pages | pages/s | s a page, start | end | CPU s a page, start | end | MB, start | end | failed |"


class Look(NamedTuple):
    """done: pages. seconds: since the start. processor: seconds of all processes. memory: theirs, in MB."""

    done: float
    seconds: float
    processor: float
    memory: float


class Run(NamedTuple):
    """A run that was watched. looks: (n, 4) float64, of Look's fields. problems: a sentence each."""

    name: str
    pages: int
    failed: int
    looks: np.ndarray
    problems: list[str]

    def rate(self, share: tuple[float, float], field: int) -> float:
        """Seconds a page in this share of the run, of a field of Look."""
        done = np.array(share) * self.pages
        first, last = np.interp(done, self.looks[:, 0], self.looks[:, field])
        return float((last - first) / (done[1] - done[0]))

    def memory(self, share: tuple[float, float]) -> float:
        """Mean memory in this share of the run, in MB."""
        done = np.linspace(*share, 50) * self.pages
        return float(np.interp(done, self.looks[:, 0], self.looks[:, 3]).mean())

    def __str__(self) -> str:
        speed = self.pages / self.looks[-1, 1]
        rates = [f"{self.rate(share, field):.3f}" for field in (1, 2) for share in (START, END)]
        memory = [f"{self.memory(share):.0f}" for share in (START, END)]
        return f"| {' | '.join([self.name, str(self.pages), f'{speed:.2f}', *rates, *memory, str(self.failed)])} |"

    def judge(self) -> list[str]:
        """What is wrong with it."""
        found = list(self.problems)
        for name, ends in {
            "processor seconds a page": [self.rate(share, 2) for share in (START, END)],
            "memory": [self.memory(share) for share in (START, END)],
        }.items():
            if ends[1] > GROWTH * ends[0]:
                found.append(f"{self.name}: {name} grew from {ends[0]:.3f} to {ends[1]:.3f}")
        return found


def make_folder(folder: Path, count: int) -> int:
    """Cut small pages out of the sample pages; returns how many of them are broken."""
    folder.mkdir()
    broken = 0
    for number, page in enumerate(small_pages(count)):
        path = folder / f"{number:05}.jpg"
        page.save(path, quality=90)
        if number % EVERY == EVERY // 2:
            whole = path.read_bytes()
            ways = (b"", whole[: len(whole) // 2], b"no picture", whole[:2] + bytes(len(whole)))
            path.write_bytes(ways[broken % len(ways)])
            broken += 1
    return broken


def small_pages(count: int) -> Iterator[Image.Image]:
    """Parts of the sample pages, by their number; the same number shows the same."""
    samples = [Image.open(path).convert("RGB") for path in sorted(SAMPLES.glob("*.jpg"))]
    for number in range(count):
        sample, random = samples[number % len(samples)], np.random.default_rng(number)
        x, y = (int(random.integers(0, side - SIDE)) for side in sample.size)
        yield sample.crop((x, y, x + SIDE, y + SIDE))


def make_pdf(path: Path, count: int) -> None:
    """Put small pages into a PDF."""
    first, *others = small_pages(count)
    first.save(path, save_all=True, append_images=others, quality=90)


def watch(name: str, source: Path, output: Path, pages: int, broken: int, jobs: int) -> Run:
    """Erase a folder or a document by `dehw erase` in a process of its own, and look at it until it ends."""
    report = output.with_suffix(".json")
    command = [sys.executable, "-m", "dehw", "erase", str(source), "-o", str(output), "--report", str(report)]
    command += ["--jobs", str(jobs), "--progress", "json"]
    started, done = time.monotonic(), 0.0
    looks: list[Look] = []
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        over = threading.Event()

        def look() -> None:
            whole = psutil.Process(process.pid)
            used: dict[int, float] = {}  # of processes that ended too
            while not over.wait(LOOK):
                processor, memory = _look(whole, used)
                looks.append(Look(done, time.monotonic() - started, processor, memory))

        looking = threading.Thread(target=look)
        looking.start()
        for line in process.stderr:
            told = json.loads(line) if line.startswith("{") else {}
            done = told.get("done", done)
        over.set()
        looking.join()
    looks.append(looks[-1]._replace(done=pages, seconds=time.monotonic() - started))
    problems = _problems(name, report, process.returncode, pages, broken)
    return Run(name, pages, broken, np.array(looks, np.float64), problems)


def _look(whole: psutil.Process, used: dict[int, float]) -> tuple[float, float]:
    """Processor seconds so far and memory in MB of a process and its descendants. used: seconds by process."""
    memory = 0.0
    try:
        for each in (whole, *whole.children(recursive=True)):
            with each.oneshot():
                times = each.cpu_times()
                used[each.pid] = times.user + times.system
                memory += each.memory_info().rss / 1e6
    except psutil.Error:  # one that ended just now
        pass
    return sum(used.values()), memory


def _problems(name: str, report: Path, code: int, pages: int, broken: int) -> list[str]:
    """What is wrong with what a run left."""
    listed = json.loads(report.read_text(encoding="utf-8"))["pages"]
    failed = [each for each in listed if each["status"] == "failed"]
    lost = [each["output"] for each in listed if each["output"] and not Path(each["output"]).is_file()]
    wanted = ExitCode.FAILED if broken else ExitCode.OK
    found = {
        f"exit code {code}, not {wanted:d}": code != wanted,
        f"{len(listed)} pages in the report, {pages} were to be": len(listed) != pages,
        f"{len(failed)} pages failed, {broken} are broken": len(failed) != broken,
        f"{len(lost)} files are missing": bool(lost),
    }
    return [f"{name}: {problem}" for problem, is_so in found.items() if is_so]


def measure(folder: Path, count: int, pdf: int, jobs: Sequence[int]) -> Iterator[Run]:
    """Make the pages, and erase them: the folder by each number of processes, the PDF by one."""
    broken = make_folder(folder / "in", count)
    for each in jobs:
        yield watch(f"folder, --jobs {each}", folder / "in", folder / f"out{each}", count, broken, each)
    make_pdf(folder / "long.pdf", pdf)
    yield watch("PDF", folder / "long.pdf", folder / "out", pdf, 0, 1)


def main(argv: Sequence[str] | None = None) -> int:
    """Print a table, a row a run, and what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000, help="pages of the folder; default: %(default)s")
    parser.add_argument("--pdf", type=int, default=300, help="pages of the PDF; default: %(default)s")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2], help="processes; default: 1 2")
    args = parser.parse_args(argv)
    print(f"{machine.machine()}\n\n{HEAD}\n|{'---|' * HEAD.count(' | ')}---|", flush=True)
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        for run in measure(Path(folder), args.count, args.pdf, args.jobs):
            print(run, flush=True)
            problems += run.judge()
    print("\n" + ("\n".join(problems) or "All pages are there; neither seconds nor memory grow."))
    return ExitCode.FAILED if problems else ExitCode.OK


if __name__ == "__main__":
    sys.exit(main())
