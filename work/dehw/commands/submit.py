"""The contest's files: masks to segoutput/, then pages, readme.txt and a flat result.zip to submit/."""

import argparse
import json
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dehw import __version__
from dehw.config import Pipeline, load_pipeline
from dehw.engine import ENGINES
from dehw.errors import DehwError, ExitCode, InputError, PageError, WeightsError
from dehw.files.atomic import atomic_path, sha256, write_json
from dehw.files.find import InputFile, find_pages, for_each
from dehw.files.images import read_image, read_mask, write_image, write_mask
from dehw.page.masks import threshold

if TYPE_CHECKING:
    from dehw.eraser import Eraser

SHIPPED = "lite"  # the pipeline whose weights come with the program
SMOKE = "smoke"  # output/smoke* hold trainings that only prove the code
RECORD = "finished.json"  # in a pipeline's training folder, once all of it is there
RUN = "run.json"  # beside the masks: which networks made them, and how long each took


@dataclass(frozen=True)
class Choice:
    """A pipeline, the folder of its weights (None: the ones that ship), and why it was taken."""

    pipeline: Pipeline
    weights: Path | None
    why: str
    finished: str = ""  # when its training ended, ISO 8601


def choose_pipeline(output_root: str | Path, requested: str | None = None, weights: str | Path | None = None) -> Choice:
    """Choose what to run: what is asked for, else the newest complete training, else the one that ships.

    output_root: where training writes a folder a pipeline, each with finished.json once it is complete.
    requested: a pipeline's name or file. weights: a folder of weights, or a training's folder; a finished.json
    there tells the pipeline too. output/smoke* is taken only where it is asked for. Raises ConfigError,
    InputError, WeightsError.
    """
    root = Path(output_root)
    if weights:
        return _given(Path(weights), requested)
    if requested:
        pipeline = load_pipeline(requested)
        try:
            return read_training(root / pipeline.name, pipeline)
        except DehwError as error:
            return Choice(pipeline, None, f"asked for, with the weights that ship, since {error}")
    trained, passed = [], []
    for record in sorted(root.glob(f"*/{RECORD}")):
        if record.parent.name.startswith(SMOKE):
            continue
        try:
            trained.append(read_training(record.parent))
        except DehwError as error:
            passed.append(str(error))
    if trained:
        return max(trained, key=lambda choice: choice.finished)
    why = "; ".join(passed) or f"{root} holds no finished training"
    return Choice(load_pipeline(SHIPPED), None, f"the pipeline that ships, since {why}")


def read_training(folder: Path, pipeline: Pipeline | None = None) -> Choice:
    """Read the record that a finished training left in its folder.

    pipeline: what to run its weights in; the pipeline they were trained for, if None. Raises ConfigError,
    InputError, WeightsError.
    """
    record = folder / RECORD
    try:
        facts = json.loads(record.read_text(encoding="utf-8"))
        pipeline, finished = pipeline or load_pipeline(facts["pipeline"]), str(facts["finished"])
    except FileNotFoundError as error:
        raise InputError(f"{folder} holds no finished training") from error
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise InputError(f"{record} is not a training's record ({error!r})") from error
    weights = folder / "weights"
    names = [network.weights for network in pipeline.networks]
    missing = [name for name in names if not (weights / name).is_file()]
    if missing:
        raise WeightsError(f"{weights} lacks {', '.join(missing)}")
    return Choice(pipeline, weights, f"trained in {folder}, finished {finished}", finished)


def write_masks(pages: Sequence[InputFile], choice: Choice, eraser: "Eraser", output: Path) -> list[InputFile]:
    """Write each page's handwriting mask to output/STEM.png, and run.json. Returns the pages that failed."""
    require_good_stems(pages)
    seconds: dict[str, float] = {}

    def work(page: InputFile) -> None:
        started = time.perf_counter()
        image = read_image(page.path)
        prepared = eraser.prepare(image)
        mask = eraser.mask(eraser.segment(prepared), prepared)
        write_mask(output / f"{page.path.stem}.png", mask)
        seconds[page.path.stem] = round(time.perf_counter() - started, 3)

    failed = for_each(pages, work, "masks")
    facts = {"pipeline": choice.pipeline.name, "device": eraser.device, "seconds": seconds}
    write_json(output / RUN, facts)
    return failed


def write_pages(
    pages: Sequence[InputFile], choice: Choice, eraser: "Eraser", masks: Path, output: Path
) -> list[InputFile]:
    """Erase each page by its mask, masks/STEM.png, to output/STEM.png; then readme.txt and result.zip.

    The zip holds the pages of this call and the readme, flat, and nothing else that lies in the folder.
    Returns the pages that failed.
    """
    require_good_stems(pages)
    needs_masks = choice.pipeline.segment is not None
    run = _read_run(masks) if needs_masks else None
    seconds: dict[str, float] = {}

    def work(page: InputFile) -> None:
        started = time.perf_counter()
        image = read_image(page.path)
        mask = _mask_of(page, image.shape[:2], masks, run) if needs_masks else np.ones(image.shape[:2], bool)
        write_image(output / f"{page.path.stem}.png", eraser.erase(eraser.prepare(image), mask))
        seconds[page.path.stem] = round(time.perf_counter() - started, 3)

    failed = for_each(pages, work, "pages")
    readme = describe(choice, eraser, seconds, run, failed)
    old = sum(path.stem not in seconds for path in output.glob("*.png"))
    if old:
        readme += f"not of this run, and not in result.zip: {old} other PNG files in this folder\n"
    with atomic_path(output / "readme.txt") as temporary:
        temporary.write_text(readme, encoding="utf-8", errors="backslashreplace")  # paths may be garbled
    with atomic_path(output / "result.zip") as temporary, zipfile.ZipFile(temporary, "w") as archive:
        for name in [*(f"{stem}.png" for stem in seconds), "readme.txt"]:
            archive.write(output / name, name)
    return failed


def describe(
    choice: Choice, eraser: "Eraser", seconds: dict[str, float], run: dict | None, failed: Sequence[InputFile]
) -> str:
    """The readme of a submission: what made it, on what, how fast, and which pages are missing.

    seconds: time spent on each page done, by stem; run: what run.json says about the masks, if they have one.
    """
    from dehw.engine.weights import find

    pipeline = choice.pipeline
    files = [find(network, choice.weights, pipeline) for network in pipeline.networks]
    lines = [f"dehw {__version__}", f"pipeline: {pipeline.name} ({choice.why})", "weights:"]
    lines += [f"  {file.name}  sha256 {sha256(file)}" for file in files]
    lines += [f"device: {eraser.device}", f"engine: {eraser.engine}", f"pages: {len(seconds)}"]
    if seconds:
        erasing = sum(seconds.values()) / len(seconds)
        masking = sum(run["seconds"][stem] for stem in seconds) / len(seconds) if run else 0.0
        lines.append(f"seconds a page: {masking + erasing:.2f} (masks {masking:.2f}, erasing {erasing:.2f})")
    if pipeline.segment and not run:
        lines.append("masks: given, not made by 1_predict_segformer.py")
    elif run and run["pipeline"] != pipeline.name:
        lines.append(f"masks: made by pipeline {run['pipeline']}")
    lines += [f"failed: {page.path}" for page in failed]
    return "\n".join(lines) + "\n"


def require_good_stems(pages: Sequence[InputFile]) -> None:
    """Raise InputError where two pages would end in one STEM.png, or a stem is in no encoding a zip can hold."""
    counts = Counter(page.path.stem for page in pages)
    twice = [
        f"{page.path}: another page ends in {page.path.stem}.png too" for page in pages if counts[page.path.stem] > 1
    ]
    garbled = [f"{page.path}: its name is not UTF-8" for page in pages if not _is_text(page.path.stem)]
    if twice or garbled:
        listed = "\n  ".join(twice + garbled)
        raise InputError(f"rename these pages, then run this again:\n  {listed}")


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:  # Python's stand-ins for bytes that are no UTF-8
        return False
    return True


def default_pages(data: str | Path = "data") -> list[InputFile]:
    """The contest's test set below `data`, unpacked if need be; without one the sample pages."""
    from dehw.data.zips import test_pages

    return find_pages(test_pages(data) or [Path(data) / "sample" / "images"])


def masks_command(argv: Sequence[str] | None = None) -> int:
    """The contest's first step: masks of all pages to segoutput/."""
    parser = _parser("write the handwriting mask of each page to OUTPUT/STEM.png, 255 = handwriting")
    parser.add_argument("--output", type=Path, default=Path("segoutput"), help="default: %(default)s")
    args = parser.parse_args(argv)
    pages, choice = _prepare(args)
    if choice.pipeline.segment is None:
        print(f"dehw: pipeline {choice.pipeline.name} uses no masks: nothing to do", file=sys.stderr)
        return ExitCode.OK
    eraser = _load(choice, args, "segment")
    return ExitCode.FAILED if write_masks(pages, choice, eraser, args.output) else ExitCode.OK


def pages_command(argv: Sequence[str] | None = None) -> int:
    """The contest's second step: erased pages, readme.txt and result.zip to submit/."""
    parser = _parser("erase each page by its mask to OUTPUT/STEM.png, then write readme.txt and result.zip")
    parser.add_argument("--masks", type=Path, default=Path("segoutput"), help="default: %(default)s")
    parser.add_argument("--output", type=Path, default=Path("submit"), help="default: %(default)s")
    args = parser.parse_args(argv)
    pages, choice = _prepare(args)
    eraser = _load(choice, args, "erase")
    failed = write_pages(pages, choice, eraser, args.masks, args.output)
    return ExitCode.FAILED if failed else ExitCode.OK


def _parser(description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=description)
    add = parser.add_argument
    add("pages", nargs="*", type=Path, help="default: the contest's test set, else data/sample/images")
    add("--pipeline", help=f"name or file; default: the newest complete training in output/, else {SHIPPED}")
    add("--weights", type=Path, metavar="DIR", help="folder of weights, in place of the ones that ship")
    add("--device", choices=("auto", "cpu", "gpu"), default="auto", help="default: %(default)s")
    add("--engine", choices=ENGINES, default="auto", help="what runs the networks; default: %(default)s")
    return parser


def _prepare(args: argparse.Namespace) -> tuple[list[InputFile], Choice]:
    """The pages and the pipeline to run, checked before any network is loaded; says which and why."""
    pages = find_pages(args.pages) if args.pages else default_pages()
    require_good_stems(pages)
    choice = choose_pipeline("output", args.pipeline, args.weights)
    print(f"dehw: {len(pages)} pages; pipeline {choice.pipeline.name}: {choice.why}", file=sys.stderr)
    return pages, choice


def _load(choice: Choice, args: argparse.Namespace, part: str) -> "Eraser":
    from dehw.eraser import Eraser

    eraser = Eraser.load(choice.pipeline, args.device, choice.weights, parts=[part], engine=args.engine)
    print(f"dehw: engine {eraser.engine}", file=sys.stderr)
    return eraser


def _given(weights: Path, requested: str | None) -> Choice:
    """The choice for a folder of weights, or for the training folder around it."""
    if not weights.is_dir():
        raise InputError(f"{weights}: no such folder; give the one that holds the .pdparams files")
    pipeline = load_pipeline(requested) if requested else None
    for folder in (weights, weights.parent):
        if (folder / RECORD).is_file():
            return read_training(folder, pipeline)
    if pipeline:
        return Choice(pipeline, weights, f"asked for, with {weights}")
    return Choice(load_pipeline(SHIPPED), weights, f"the pipeline that ships, with {weights}")


def _read_run(masks: Path) -> dict | None:
    """What run.json says about a folder of masks; None where they come from elsewhere."""
    record = masks / RUN
    if not record.is_file():
        return None
    try:
        run = json.loads(record.read_text(encoding="utf-8"))
        return {"pipeline": str(run["pipeline"]), "seconds": dict(run["seconds"])}
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{record} is damaged ({error!r}); run 1_predict_segformer.py again") from error


def _mask_of(page: InputFile, size: tuple[int, int], masks: Path, run: dict | None) -> np.ndarray:
    """A page's mask, (H, W) bool. A mask that an earlier run left over is not taken. Raises PageError."""
    path = masks / f"{page.path.stem}.png"
    if not path.is_file() or (run and page.path.stem not in run["seconds"]):
        raise PageError(f"{page.path} has no mask in {masks}; run 1_predict_segformer.py on it first")
    mask = threshold(read_mask(path), 0.5)
    if mask.shape != size:
        raise PageError(f"{path} is {mask.shape} and {page.path} {size}; run 1_predict_segformer.py again")
    return mask
