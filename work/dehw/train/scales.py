"""By how much a training's pages are resized: their lines are found once, before any worker begins, and remembered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2  # noqa: F401  before Paddle: Paddle 2.6 crashes when OpenCV is imported after it
import paddle

from dehw.config import Pipeline
from dehw.data.pairs import Pair
from dehw.engine import pick
from dehw.files.atomic import read_json, write_json
from dehw.files.images import read_image
from dehw.page import layout
from dehw.page.layout import Reader
from dehw.train import ranks
from dehw.train.status import StatusLine

REMEMBERED = "lines.json"  # in a pipeline's folder: {image: [time of its last change in ns, height of its lines in px]}


def reader(pipeline: Pipeline, device: str) -> Reader | None:
    """What finds the lines of a training's pages, which stand upright; None where pages are taken as they are."""
    with paddle.utils.unique_name.guard():  # the names of the network in training do not depend on it
        return pick.reader(replace(pipeline, direction=None), None, pick.Engine("paddle", device, "training"))


def scaled(pairs: Sequence[Pair], pipeline: Pipeline, folder: Path, device: str, status: StatusLine) -> list[Pair]:
    """Pairs that are decoded at the pipeline's line height, as the Eraser scales pages.

    folder: the pipeline's, where the heights are remembered. Raises ConfigError, InputError, PageError, WeightsError.
    """
    if pipeline.line_height is None or pipeline.lines is None:
        return list(pairs)
    with ranks.first_goes_ahead():
        heights = _heights(pairs, pipeline, folder / REMEMBERED, device, status)
    factors = [replace(layout.UNREAD, height=height).factor(pipeline.line_height) for height in heights]
    return [replace(pair, factor=factor) for pair, factor in zip(pairs, factors)]


def _heights(
    pairs: Sequence[Pair], pipeline: Pipeline, file: Path, device: str, status: StatusLine
) -> list[float | None]:
    """The height of each pair's lines in px, from the file where the page is as it was; None without lines."""
    known = read_json(file, _remembered, "remove it to have the lines of all pages read again")
    states = {str(pair.image): pair.image.stat().st_mtime_ns for pair in pairs}
    missing = [path for path, changed in states.items() if known.get(path, (None, None))[0] != changed]
    reads = reader(pipeline, device) if missing else None
    for number, path in enumerate(missing, 1):
        status.show(f"reading the lines of page {number} of {len(missing)}")
        if reads:
            known[path] = states[path], layout.measure(read_image(Path(path)), reads).height
    if missing and ranks.is_first():
        write_json(file, known)
    return [known[path][1] for path in states]


def _remembered(known: dict[str, Any]) -> dict[str, tuple[int, float | None]]:
    return {
        path: (int(changed), None if height is None else float(height)) for path, (changed, height) in known.items()
    }
