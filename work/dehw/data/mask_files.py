"""Handwriting masks of page pairs, as files: what compute_mask.py writes, and what training keeps up to date."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from dehw.data.pairs import dataset_pairs, mask_homes
from dehw.errors import InputError, PageError
from dehw.files.atomic import read_json, write_json
from dehw.files.images import read_image, write_image, write_mask
from dehw.page import masks

INDEX = "index.json"  # beside masks that training keeps: of which state of its pair each one is
NOTED_EVERY = 50  # masks; what a cut run has written since it last noted them is written again

Item = TypeVar("Item")
Result = TypeVar("Result")


def workers() -> int:
    """Pages at a time."""
    return min(8, os.cpu_count() or 1)


@dataclass(frozen=True)
class MaskTask:
    """One page pair, and where its mask and its cleaned ground truth (if asked for) go."""

    image: Path
    gt: Path
    mask: Path
    clean: Path | None = None


def check(tasks: Sequence[MaskTask], problems: Iterable[str] = (), workers: int = 1) -> None:
    """Decode every pair. Raises InputError that lists all that is wrong, `problems` found before first."""
    found = [*problems, *filter(None, in_threads(problem, tasks, workers, "checking"))]
    if found:
        listed = "\n  ".join(found)
        raise InputError(
            f"{len(found)} problem(s), no mask written:\n  {listed}\n"
            "Every page needs an image and a ground truth, readable, of one stem and size: "
            "add, replace or remove these files."
        )


def problem(task: MaskTask) -> str | None:
    """Decode both files of a pair and say what is wrong with them."""
    problems, sizes = [], {}
    for path in (task.image, task.gt):
        try:
            sizes[path] = read_image(path).shape[:2]
        except PageError as error:
            problems.append(str(error))
    if len(set(sizes.values())) > 1:
        listed = ", ".join(f"{path} {width}x{height}" for path, (height, width) in sizes.items())
        problems.append(f"unequal sizes (width x height): {listed}")
    return "\n  ".join(problems) or None


def write(
    tasks: Sequence[MaskTask],
    hard: float | None = None,
    dilation: int = 0,
    clean_threshold: float | None = None,
    workers: int = 1,
) -> Iterator[str | None]:
    """Write the masks; yields for each in turn what went wrong, or None.

    hard: grey levels; the mask is 0 or 255 instead of soft, see masks.hard_mask. dilation: side in pixels of the
    rectangle that grows it. clean_threshold: grey levels, see masks.clean_gt.
    """
    work = partial(_write_one, hard=hard, dilation=dilation, clean_threshold=clean_threshold)
    return in_threads(work, tasks, workers, "writing")


class Renewal:
    """The masks of one dataset that are missing, or older than the state of their pairs.

    folder: the dataset; pairs that bring a mask or a label are left out. target: where find_pairs looks for the masks
    of the others. Raises InputError where the index there is damaged.
    """

    def __init__(self, folder: Path, target: Path) -> None:
        self.index = target / INDEX
        pairs = [pair for pair in dataset_pairs(folder)[0] if not (pair.mask or pair.label)]
        self.states = {pair.stem: state(pair.image, pair.gt) for pair in pairs}
        known = read_json(self.index, lambda index: dict(index.items()), "remove it to have these masks made again")
        self.done = {stem: state for stem, state in known.items() if self.states.get(stem) == state}
        tasks = [MaskTask(pair.image, pair.gt, target / f"{pair.stem}.png") for pair in pairs]
        self.tasks = [task for task in tasks if task.mask.stem not in self.done or not task.mask.is_file()]

    def run(self) -> None:
        """Write them, noting every so often which are done. Raises PageError."""
        failures = []
        for number, (failure, task) in enumerate(zip(write(self.tasks, workers=workers()), self.tasks), 1):
            if failure:
                failures.append(failure)
            else:
                self.done[task.mask.stem] = self.states[task.mask.stem]
            if number % NOTED_EVERY == 0 or number == len(self.tasks):
                write_json(self.index, self.done)
        if failures:
            raise PageError("\n  ".join(["some masks could not be written:", *failures]))


def outdated(folders: Sequence[Path], home: Path) -> list[Renewal]:
    """What is to be written for find_pairs(folders, home) to find the mask of every pair."""
    return [Renewal(folder, target) for folder, target in mask_homes(folders, home).items()]


def renew(renewals: Sequence[Renewal]) -> None:
    """Write it. Raises InputError for pairs that do not fit, before any mask is written, and PageError."""
    check([task for renewal in renewals for task in renewal.tasks], workers=workers())
    for renewal in renewals:
        renewal.run()


def state(*files: Path) -> list[list]:
    """By what changed files are known: names, sizes in bytes, times in nanoseconds."""
    return [[path.name, path.stat().st_size, path.stat().st_mtime_ns] for path in files]


def in_threads(work: Callable[[Item], Result], items: Sequence[Item], workers: int, label: str) -> Iterator[Result]:
    """Run work on every item in threads (decoding and OpenCV release Python's lock) behind a progress bar.

    One worker is no thread of its own.
    """
    from tqdm import tqdm

    with ThreadPoolExecutor(workers) as threads:
        results = threads.map(work, items) if workers > 1 else map(work, items)
        yield from tqdm(results, label, len(items), unit="page", disable=not items)


def _write_one(task: MaskTask, hard: float | None, dilation: int, clean_threshold: float | None) -> str | None:
    """Write one pair's mask and cleaned ground truth; return what went wrong, if anything did."""
    try:
        image, gt = read_image(task.image), read_image(task.gt)
        mask = masks.soft_mask(image, gt) if hard is None else masks.hard_mask(image, gt, hard)
        write_mask(task.mask, masks.dilate(mask, dilation))
        if task.clean and clean_threshold is not None:
            write_image(task.clean, masks.clean_gt(image, gt, clean_threshold))
    except PageError as error:
        return str(error)
    return None
