"""What earlier runs wrote into a folder of pages: it is passed over there."""

import json
import os
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from dehw.commands.erase import sidefiles
from dehw.files import find

REPORT = b'{\n  "pipeline": '  # how a report begins, see Report.write


class FormerOutputs:
    """Tells what an earlier run wrote: *.clean.*, side files of a page, all in an output folder inside an input
    folder, reports, and what a report lists, be it the one to write now or one in the input folders.

    count: of the pages that were told so.
    """

    def __init__(self, inputs: Sequence[Path], output: Path | None, report: Path | None = None):
        real = output and find.real(output)
        self.inside = real if real and any(find.real(path) in real.parents for path in inputs) else None
        self.listed: set[Path] = set()
        for path in (*([report] if report else []), *_json_files(inputs)):
            self.listed |= _listed(path)
        self.stems = cache(_stems)
        self.count = 0

    def __call__(self, path: Path) -> bool:
        if is_report(path):
            return True
        where = find.real(path)
        named = ".clean" in (Path(path.stem).suffix, path.suffix) or sidefiles.is_one(path, self.stems(path.parent))
        former = named or where in self.listed or self.inside in (where, *where.parents)
        self.count += former
        return former


def is_report(path: Path) -> bool:
    """Whether a file is the report of a run."""
    if not os.path.isfile(path):  # to open a pipe might wait forever
        return False
    try:
        with open(path, "rb") as file:
            return file.read(len(REPORT) + 1).replace(b"\r\n", b"\n").startswith(REPORT)  # as Windows ends lines
    except OSError:
        return False


def _listed(report: Path) -> set[Path]:
    """What a report says was written beside the pages, not over them; nothing where it is none, or damaged."""
    try:
        if not is_report(report):
            return set()
        content = json.loads(report.read_text(encoding="utf-8"))
        folder, pages = Path(content.get("folder", "")), content["pages"]
        inputs = {find.real(folder / page["input"]) for page in pages}
        written = [name for page in pages for name in (page["output"], *page["side_files"]) if name]
        return {find.real(folder / name) for name in written} - inputs
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return set()


def _json_files(inputs: Sequence[Path]) -> Iterator[Path]:
    for top in inputs:
        for folder, _, names in os.walk(top):
            yield from (Path(folder, name) for name in names if name.endswith(".json"))


def _stems(folder: Path) -> set[str]:
    try:
        return {each.stem for each in folder.iterdir()}
    except OSError:
        return set()
