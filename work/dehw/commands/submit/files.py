"""The contest's files: masks, then pages, readme.txt and a flat result.zip."""

import json
import re
import time
import zipfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dehw import __version__
from dehw.commands.erase.checks import check_folder
from dehw.commands.submit.choice import Choice
from dehw.data.zips import test_pages
from dehw.errors import InputError, PageError, tell
from dehw.files.atomic import atomic_path, sha256, write_json
from dehw.files.find import InputFile, find_pages, for_each, real
from dehw.files.images import read_image, read_mask, write_image, write_mask
from dehw.page.masks import threshold

if TYPE_CHECKING:
    from dehw.eraser import Eraser

RUN = "run.json"  # beside the masks: which networks made them, and how long each took
SUMS = "SHA256SUMS"  # beside the pages: those that a run wrote, as sha256sum has it


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

    The zip holds the pages of this call and the readme, flat. The pages of earlier calls are removed, so that
    `zip result.zip *.png *.txt` packs the same; what others put there, or changed, stays and is named on stderr.
    Returns the pages that failed.
    """
    require_good_stems(pages)
    needs_masks = choice.pipeline.segment is not None
    run = _read_run(masks) if needs_masks else None
    seconds: dict[str, float] = {}
    sums: dict[str, str] = {}

    def work(page: InputFile) -> None:
        started = time.perf_counter()
        image = read_image(page.path)
        mask = _mask_of(page, image.shape[:2], masks, run) if needs_masks else np.ones(image.shape[:2], bool)
        path = output / f"{page.path.stem}.png"
        write_image(path, eraser.erase(eraser.prepare(image), mask))
        sums[path.name] = _note(path)
        seconds[page.path.stem] = round(time.perf_counter() - started, 3)

    failed = for_each(pages, work, "pages")
    _keep_only(output, sums)
    readme = describe(choice, eraser, seconds, run, failed)
    with atomic_path(output / "readme.txt") as temporary:
        temporary.write_text(readme, encoding="utf-8", errors="backslashreplace")  # paths may be garbled
    with (
        atomic_path(output / "result.zip") as temporary,
        zipfile.ZipFile(temporary, "w", strict_timestamps=False) as archive,  # a machine without a clock is in 1970
    ):
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


def check_outputs(pages: Sequence[InputFile], outputs: Sequence[Path], masks: Path | None = None) -> None:
    """Raise InputError where a folder cannot be written to, or STEM.png there would replace a page or its mask."""
    for output in outputs:
        check_folder(output)
        if masks and real(masks) == real(output):
            raise InputError(f"{output} holds the masks, which pages would replace; choose another --output")
        for page in pages:
            if real(output / f"{page.path.stem}.png") == real(page.path):
                raise InputError(f"{page.path} would be replaced; move the pages out of {output}, then run this again")


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:  # Python's stand-ins for bytes that are no UTF-8
        return False
    return True


def _note(path: Path) -> str:
    """Add a page that was just written to the record of its folder; returns its digest."""
    digest = sha256(path)
    with open(path.with_name(SUMS), "a", encoding="utf-8") as record:  # page by page: a cut run has noted what it wrote
        record.write(f"{digest}  {path.name}\n")
    return digest


def _keep_only(folder: Path, sums: dict[str, str]) -> None:
    """Remove the pages that earlier runs wrote to a folder and nobody changed since; name other files that lie there.

    sums: the pages of this run, with their digests, which the record holds alone from now on.
    """
    record = folder / SUMS
    text = record.read_text(encoding="utf-8", errors="replace") if record.is_file() else ""
    known = re.findall(r"^([0-9a-f]{64})  (.+)$", text, re.M)
    for digest, name in known:
        path = folder / name
        if name not in sums and path.parent == folder and path.is_file() and sha256(path) == digest:
            path.unlink()
    with atomic_path(record) as temporary:
        temporary.write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()), encoding="utf-8")
    others = {path.name for suffix in ("png", "txt") for path in folder.glob(f"*.{suffix}")} - {*sums, "readme.txt"}
    if others:
        listed = ", ".join(sorted(others))
        tell(f"{folder} holds what is not of this run: {listed}; move it away before you zip")


def default_pages(data: str | Path = "data") -> list[InputFile]:
    """The contest's test set below `data`, unpacked if need be; without one the sample pages."""
    return find_pages(test_pages(data) or [Path(data) / "sample" / "images"])


def _read_run(masks: Path) -> dict | None:
    """What run.json says about a folder of masks; None where they come from elsewhere."""
    record = masks / RUN
    if not record.is_file():
        return None
    try:
        run = json.loads(record.read_text(encoding="utf-8"))
        seconds = {str(stem): float(each) for stem, each in dict(run["seconds"]).items()}
        return {"pipeline": str(run["pipeline"]), "seconds": seconds}
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise InputError(f"{record} is damaged ({error!r}); run 1_predict_segformer.py again") from error


def _mask_of(page: InputFile, size: tuple[int, ...], masks: Path, run: dict | None) -> np.ndarray:
    """A page's mask, (H, W) bool. A mask that an earlier run left over is not taken. Raises PageError."""
    path = masks / f"{page.path.stem}.png"
    if not path.is_file() or (run and page.path.stem not in run["seconds"]):
        raise PageError(f"{page.path} has no mask in {masks}; run 1_predict_segformer.py on it first")
    mask = threshold(read_mask(path), 0.5)
    if mask.shape != size:
        raise PageError(f"{path} is {mask.shape} and {page.path} {size}; run 1_predict_segformer.py again")
    return mask
