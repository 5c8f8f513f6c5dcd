"""`dehw bench`: seconds a page by stage, passes of the networks, memory, and the time to start."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dehw.errors import ExitCode, InputError, PageError

if TYPE_CHECKING:
    import numpy as np

    from dehw.config import Pipeline
    from dehw.eraser import Eraser
    from dehw.pages import Page

SAMPLES = Path(__file__).resolve().parents[2] / "data" / "sample" / "images"
STAGES = ("read", "segment", "erase", "compose", "write", "other")
STEPS = {  # an eraser's methods, and the stage whose time they are; erase's own time is without generate's
    "scaled": "segment",
    "segment": "segment",
    "mask": "segment",
    "generate": "erase",
    "erase": "compose",
}
ENGINES = ("auto", "paddle", "openvino", "onnxruntime")  # as dehw.engine.ENGINES, which imports libraries
INKED = 1 / 3  # share of the tiles that a made-up mask inks
MIB = 1024 * 1024
_IMPORTED = time.perf_counter()


class Stopwatch:
    """Adds up the seconds of stages. A stage within another stops the outer one's time."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._running, self._since = ["other"], time.perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Give the time until the block ends to this stage."""
        self._settle()
        self._running.append(name)
        try:
            yield
        finally:
            self._settle()
            self._running.pop()

    def take(self) -> dict[str, float]:
        """The seconds of each stage since the last take."""
        self._settle()
        taken, self.seconds = self.seconds, dict.fromkeys(STAGES, 0.0)
        return taken

    def _settle(self) -> None:
        now = time.perf_counter()
        self.seconds[self._running[-1]] += now - self._since
        self._since = now


class Counted:
    """A network that counts its passes: the tiles that it was called with, each view of one by itself."""

    def __init__(self, network: Any) -> None:
        self.network, self.calls = network, []

    @property
    def passes(self) -> int:
        return sum(self.calls)

    def __call__(self, *inputs: np.ndarray) -> np.ndarray:
        self.calls.append(len(inputs[0]))  # threads call it side by side, and += could lose one
        return self.network(*inputs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.network, name)


@dataclass(frozen=True)
class Measured:
    """A page's figures.

    scaled: (height, width) as the networks see it; seconds: by stage; processor: the seconds that all
    threads used together; passes: of the segmenter and of all generators; share: of its pixels, inked.
    """

    name: str
    height: int
    width: int
    scaled: tuple[int, int]
    seconds: dict[str, float]
    processor: float
    passes: tuple[int, int]
    share: float

    @property
    def megapixels(self) -> float:
        return self.height * self.width / 1e6

    @property
    def networks(self) -> float:
        """Seconds without those of files."""
        return sum(self.seconds[stage] for stage in STAGES if stage not in ("read", "write"))


class Bench:
    """Measures an eraser, page by page, files and all; its networks and methods are watched from then on.

    inked: share of the tiles that a made-up mask inks, in place of the mask found. folder: for what is written.
    """

    def __init__(self, eraser: Eraser, folder: Path, inked: float | None = None) -> None:
        self.eraser, self.folder, self.inked = eraser, folder, inked
        self.clock = Stopwatch()
        eraser.segmenter = eraser.segmenter and Counted(eraser.segmenter)
        eraser.generators = [(Counted(network), weight) for network, weight in eraser.generators]
        for name, stage in STEPS.items():
            setattr(eraser, name, self._timed(getattr(eraser, name), stage))
        self._scaled, eraser.scaled = eraser.scaled, self._note_size
        self._look = eraser.look

    def page(self, path: Path) -> Measured:
        """Read, erase and write a page. Raises PageError."""
        from dehw.pages import kind_of, read_image, write_image

        if self.inked is not None:
            self._ink(read_image(path))
        before, used = self._passes(), time.process_time()
        self.clock.take()
        with self.clock.stage("read"):
            image = read_image(path)
        erased = self.eraser(image)
        with self.clock.stage("write"):
            write_image(self.folder / path.name, erased.page, kind=kind_of(path))
        passes = tuple(after - was for after, was in zip(self._passes(), before))
        used = time.process_time() - used
        return Measured(path.name, *image.shape[:2], self.size, self.clock.take(), used, passes, erased.share)

    def folder_seconds(self, pages: Sequence[Page]) -> float:
        """Seconds of `dehw erase` over all the pages, once the networks are ready. Raises PageError."""
        from dehw import batch
        from dehw.progress import Progress

        class Silent(Progress):
            def message(self, text: str) -> None:
                pass

        jobs, _ = batch.plan(pages, self.folder / "folder")
        started = time.perf_counter()
        for done in batch.erase_all(self.eraser, jobs, Silent(len(jobs))):
            for outcome in done:
                if outcome.status == "failed":
                    raise PageError(" ".join(outcome.warnings))
        return time.perf_counter() - started

    def _ink(self, page: np.ndarray) -> None:
        """Have a made-up mask in place of what is found: by the mask, and by looks after the first."""
        import cv2
        import numpy as np

        self.eraser.mask = made = _packed(made_mask(self.eraser, page, self.inked))

        def look(scaled: np.ndarray, number: int, seen: np.ndarray | None = None) -> np.ndarray:
            if seen is not None:
                seen[:] = cv2.resize(made().view(np.uint8), seen.shape[::-1], interpolation=cv2.INTER_NEAREST)
            return self._look(scaled, number, seen)

        self.eraser.look = look

    def _timed(self, step: Any, stage: str) -> Any:
        def timed(*arguments: Any, **options: Any) -> Any:
            with self.clock.stage(stage):
                return step(*arguments, **options)

        return timed

    def _note_size(self, page: np.ndarray) -> np.ndarray:
        scaled = self._scaled(page)
        self.size = scaled.shape[:2]
        return scaled

    def _passes(self) -> tuple[int, int]:
        segmenter = self.eraser.segmenter
        return (segmenter.passes if segmenter else 0), sum(network.passes for network, _ in self.eraser.generators)


def made_mask(eraser: Eraser, page: np.ndarray, share: float) -> np.ndarray:
    """A mask, (H, W) bool, with a blot in the middle of this share of a page's tiles, evenly spread.

    page: (H, W, 3) uint8 RGB.
    """
    import numpy as np

    scaled = eraser.scaled(page).shape[:2]
    tiles = eraser.tiles(*scaled)
    height, width = page.shape[:2]
    mask = np.zeros((height, width), bool)
    for tile in (tile for n, tile in enumerate(tiles) if int((n + 1) * share + 1e-9) > int(n * share + 1e-9)):
        y, x = ((keep.start + keep.stop) / 2 for keep in tile.keep)
        y, x = int(y * height / scaled[0]), int(x * width / scaled[1])
        mask[max(0, y - 4) : y + 4, max(0, x - 4) : x + 4] = True
    return mask


def _packed(mask: np.ndarray) -> Callable[..., np.ndarray]:
    """A function that gives the mask, (H, W) bool, and holds it in an eighth of its memory meanwhile."""
    import numpy as np

    bits, width = np.packbits(mask, axis=1), mask.shape[1]
    return lambda *_: np.unpackbits(bits, axis=1, count=width).view(bool)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `dehw bench`."""
    parser.description = (
        "Measure a pipeline: seconds a page by stage, passes of its networks, memory, time to start. "
        "One page is erased before, to warm up. Run it on a machine that does nothing else."
    )
    add = parser.add_argument
    add("--pages", type=Path, metavar="DIR", help="folder of images; default: the sample pages")
    add("--size", metavar="WxH", help="put pages of this many pixels together from these, and measure those")
    add("--pipeline", default="lite", help="name in configs/pipelines, or a file; default: %(default)s")
    add("--weights", type=Path, metavar="DIR", help="folder of weights, in place of the ones that ship")
    add("--untrained", action="store_true", help="random weights, for pipelines without any; implies --inked")
    add("--inked", type=float, metavar="SHARE", help="ink this share of the tiles, 0 to 1, in place of what is found")
    add("--device", choices=("auto", "cpu", "gpu"), default="auto", help="default: %(default)s")
    add("--engine", choices=ENGINES, default="auto", help="what runs the networks; default: %(default)s")
    add("--against", choices=("reference",), help="measure the contest's winners' way of running the same networks too")
    add("--tiles", type=int, default=4, metavar="N", help="passes of each network timed for it, 0: all; default: 4")
    add("--scale", type=Path, metavar="PNG", help="draw seconds and memory against area and inked share instead")
    add("--largest", type=float, default=60, metavar="MP", help="largest page of it, in megapixels; default: 60")
    add("--json", type=Path, metavar="FILE", help="write all figures there too")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Measure and print. Raises ConfigError, DeviceError, InputError, PageError, WeightsError."""
    from dehw import pages
    from dehw.config import load_pipeline
    from dehw.files import write_json

    if args.inked is not None and not 0 <= args.inked <= 1:
        raise InputError(f"--inked is a share of 0 to 1, not {args.inked}")
    if args.pages is None and not SAMPLES.is_dir():
        raise InputError(f"the sample pages are not in {SAMPLES}; name a folder of images with --pages")
    found = pages.find_pages([args.pages or SAMPLES])
    pipeline = load_pipeline(args.pipeline)
    with tempfile.TemporaryDirectory() as name:
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
        with pages.writing(args.json):
            write_json(args.json, facts)
    return ExitCode.OK


def _measure(
    args: argparse.Namespace, pipeline: Pipeline, weights: Path | None, found: list[Page], folder: Path, inked: float
) -> dict[str, Any]:
    """Everything that the arguments ask for, printed and as what the JSON holds."""
    from dehw.eraser import Eraser

    facts: dict[str, Any] = {"pipeline": pipeline.name, "machine": machine()}
    eraser = Eraser.load(pipeline, args.device, weights, engine=args.engine)
    facts |= {"engine": eraser.engine, "ready": since_start()}
    print(f"pipeline {pipeline.name}, engine {eraser.engine}; {facts['machine']}", flush=True)
    bench = Bench(eraser, folder, inked)
    if args.scale:
        from dehw import growth

        return facts | growth.measure(bench, found[0].path, folder, args.scale, args.largest)
    bench.page(found[0].path)  # warms up
    facts["first_page"] = since_start()
    measured = [bench.page(page.path) for page in found]
    facts["pages"] = [asdict(page) for page in measured]
    facts["folder"] = bench.folder_seconds(found) / len(found)
    facts["memory"] = peak_memory() / MIB
    print(table(measured) + "\n" + notes(facts, measured), flush=True)
    if args.against:
        from dehw import reference

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


def resized(found: Sequence[Page], size: str, folder: Path) -> list[Page]:
    """Each page brought to WIDTHxHEIGHT: cut off, or repeated side by side, so that its print keeps its height."""
    from dehw.pages import find_pages, read_image, write_image

    try:
        width, height = (int(side) for side in size.lower().split("x"))
        if min(width, height) < 1:
            raise ValueError
    except ValueError:
        raise InputError(f"--size is WIDTHxHEIGHT in pixels, such as 1500x2000, not {size!r}") from None
    for page in found:
        write_image((folder / page.relative).with_suffix(".jpg"), mosaic(read_image(page.path), height, width))
    return find_pages([folder])


def mosaic(page: np.ndarray, height: int, width: int) -> np.ndarray:
    """A page, (H, W, 3) uint8, repeated side by side or cut off to (height, width, 3)."""
    import numpy as np

    repeats = [-(-wanted // there) for wanted, there in zip((height, width), page.shape)]
    return np.ascontiguousarray(np.tile(page, (*repeats, 1))[:height, :width])


def machine() -> str:
    """The processor, how many of it this process may use, and how busy they are."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"{_processor()}, {count} processors{load}"


def _processor() -> str:
    import platform

    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def peak_memory() -> int:
    """The most memory that this process has held at once, in bytes."""
    try:  # getrusage's figure begins with that of the process which started this one
        status = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return 1024 * next(int(line.split()[1]) for line in status if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def forget_peak() -> None:
    """Have peak_memory begin anew, where the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    except OSError:
        pass


def since_start() -> float:
    """Seconds since this process was started; where the system does not tell, since this module was imported."""
    try:
        ticks = int(Path("/proc/self/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError):
        return time.perf_counter() - _IMPORTED


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
    from dehw import models, weights

    for network in pipeline.networks:
        weights.save(models.build(network), folder / network.weights)
    return folder
