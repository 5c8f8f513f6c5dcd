"""`dehw bench`: seconds a page by stage, passes of the networks, memory, and the time to start."""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dehw.commands.arguments import add_networks, at_least
from dehw.commands.bench.measure import INKED, STAGES, Bench, Measured, mosaic
from dehw.engine.machine import machine, peak_memory, since_start
from dehw.errors import ExitCode, InputError

if TYPE_CHECKING:
    from dehw.config import Pipeline
    from dehw.files.find import InputFile

SAMPLES = Path(__file__).resolve().parents[4] / "data" / "sample" / "images"
MIB = 1024 * 1024


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `dehw bench`."""
    parser.description = (
        "Measure a pipeline: seconds a page by stage, passes of its networks, memory, time to start. "
        "One page is erased before, to warm up. Run it on a machine that does nothing else."
    )
    add = parser.add_argument
    add("--pages", type=Path, metavar="DIR", help="folder of images; default: the sample pages")
    add("--size", metavar="WxH", help="put pages of this many pixels together from these, and measure those")
    add_networks(parser)
    add("--untrained", action="store_true", help="random weights, for pipelines without any; implies --inked")
    add("--inked", type=float, metavar="SHARE", help="ink this share of the tiles, 0 to 1, in place of what is found")
    add("--against", choices=("reference",), help="measure the contest's winners' way of running the same networks too")
    timed = "passes of each network timed for it, 0: all; default: 4"
    add("--tiles", type=at_least(0, int), default=4, metavar="N", help=timed)
    add("--scale", type=Path, metavar="PNG", help="draw seconds and memory against area and inked share instead")
    add("--largest", type=at_least(0.01), default=60, metavar="MP", help="megapixels of its largest page; default: 60")
    add("--json", type=Path, metavar="FILE", help="write all figures there too")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Measure and print. Raises ConfigError, DeviceError, InputError, PageError, WeightsError."""
    from dehw.config import load_pipeline
    from dehw.files import find, images
    from dehw.files.atomic import write_json

    if args.inked is not None and not 0 <= args.inked <= 1:
        raise InputError(f"--inked is a share of 0 to 1, not {args.inked}")
    if args.pages is None and not SAMPLES.is_dir():
        raise InputError(f"the sample pages are not in {SAMPLES}; name a folder of images with --pages")
    found = find.find_pages([args.pages or SAMPLES])
    pipeline = load_pipeline(args.pipeline)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:  # Windows keeps files that engines read
        folder = Path(name)
        if args.size:
            found = resized(found, args.size, folder / "pages")
        if args.untrained:
            with _cache(folder / "cache"):
                inked = INKED if args.inked is None else args.inked
                facts = _measure(args, pipeline, _untrained(pipeline, folder / "weights"), found, folder, inked)
        else:
            facts = _measure(args, pipeline, args.weights, found, folder, args.inked)
    if args.json:
        with images.writing(args.json):
            write_json(args.json, facts)
    return ExitCode.OK


def _measure(
    args: argparse.Namespace,
    pipeline: Pipeline,
    weights: Path | None,
    found: list[InputFile],
    folder: Path,
    inked: float,
) -> dict[str, Any]:
    """Everything that the arguments ask for, printed and as what the JSON holds."""
    from dehw.eraser import Eraser

    facts: dict[str, Any] = {"pipeline": pipeline.name, "machine": machine()}
    eraser = Eraser.load(pipeline, args.device, weights, engine=args.engine)
    facts |= {"engine": eraser.engine, "ready": since_start()}
    print(f"pipeline {pipeline.name}, engine {eraser.engine}; {facts['machine']}", flush=True)
    bench = Bench(eraser, folder, inked)
    if args.scale:
        from dehw.commands.bench import growth

        return facts | growth.measure(bench, found[0].path, folder, args.scale, args.largest)
    bench.page(found[0].path)  # warms up
    facts["first_page"] = since_start()
    measured = [bench.page(page.path) for page in found]
    facts["pages"] = [asdict(page) for page in measured]
    facts["folder"] = bench.folder_seconds(found) / len(found)
    facts["memory"] = peak_memory() / MIB
    print(table(measured) + "\n" + notes(facts, measured), flush=True)
    if args.against:
        from dehw.commands.bench import reference

        sizes = [((page.height, page.width), page.scaled) for page in measured]
        mean = sum(page.networks for page in measured) / len(measured)
        facts["against"] = reference.compare(pipeline, weights, found[0].path, sizes, args.tiles)
        print(reference.table(facts["against"], mean))
    return facts


def table(measured: Sequence[Measured]) -> str:
    """Mean seconds of each stage as aligned text."""
    area = sum(page.megapixels for page in measured) / len(measured)
    means = {stage: sum(page.seconds[stage] for page in measured) / len(measured) for stage in STAGES}
    total = sum(means.values())
    lines = [f"{len(measured)} pages of {area:.2f} megapixels on average", ""]
    lines += [f"{'stage':10} {'s a page':>9} {'s a megapixel':>14} {'share':>6}"]
    for name, value in [*means.items(), ("together", total)]:
        lines.append(f"{name:10} {value:9.3f} {value / area:14.3f} {value / total:6.0%}")
    return "\n".join(lines)


def notes(facts: dict[str, Any], measured: Sequence[Measured]) -> str:
    """What is measured once a run."""
    segment, erase = (sum(page.passes[n] for page in measured) / len(measured) for n in (0, 1))
    used = sum(page.processor for page in measured) / len(measured)
    return "\n".join(
        [
            "",
            f"passes a page   {segment:.1f} of the segmenter, {erase:.1f} of generators",
            f"processor time  {used:.3f} s a page, of all threads together",
            f"as a folder     {facts['folder']:.3f} s a page, reading and writing beside the networks",
            f"start           {facts['ready']:.2f} s until the networks were ready, "
            f"{facts['first_page']:.2f} s until the first page was done",
            f"memory          {facts['memory']:.0f} MiB at the most",
        ]
    )


def resized(found: Sequence[InputFile], size: str, folder: Path) -> list[InputFile]:
    """Each page brought to WIDTHxHEIGHT: cut off, or repeated side by side, so that its print keeps its height."""
    from dehw.files.find import find_pages
    from dehw.files.images import read_image, write_image

    try:
        width, height = (int(side) for side in size.lower().split("x"))
        if min(width, height) < 1:
            raise ValueError
    except ValueError:
        raise InputError(f"--size is WIDTHxHEIGHT in pixels, such as 1500x2000, not {size!r}") from None
    for page in found:
        write_image((folder / page.relative).with_suffix(".jpg"), mosaic(read_image(page.path), height, width))
    return find_pages([folder])


@contextmanager
def _cache(folder: Path) -> Iterator[None]:
    """Keep what is exported out of the user's cache: nobody will need it again."""
    before = os.environ.get("DEHW_CACHE")
    os.environ["DEHW_CACHE"] = str(folder)
    try:
        yield
    finally:
        os.environ.pop("DEHW_CACHE") if before is None else os.environ.update(DEHW_CACHE=before)


def _untrained(pipeline: Pipeline, folder: Path) -> Path:
    """A folder with random weights for each network of a pipeline."""
    from dehw import models
    from dehw.engine import weights

    for network in pipeline.networks:
        weights.save(models.build(network), folder / network.weights)
    return folder
