"""`dehw doctor`: what this machine has of what erasing needs, and what to do about the rest."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dehw import __version__
from dehw.errors import DehwError, ExitCode

if TYPE_CHECKING:
    from dehw.config import Pipeline

PYTHONS = ((3, 10), (3, 12))  # the range in which Paddle, PaddleSeg and OpenCV 4.5 all exist
OPENCV = ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python")
NEEDED = {  # modules without which no page is erased, and the packages that bring them
    "numpy": ("numpy",),
    "cv2": OPENCV,
    "PIL": ("pillow",),
    "yaml": ("pyyaml",),
    "pydantic": ("pydantic",),
}
ENGINES = {  # what runs the networks: the packages that bring it, and how to get it
    "openvino": (("openvino",), "the fastest on a CPU: pip install openvino"),
    "onnxruntime": (("onnxruntime", "onnxruntime-gpu"), "another engine: pip install 'dehw[onnxruntime]'"),
    "paddle": (("paddlepaddle", "paddlepaddle-gpu"), "for training, and for GPUs: pip install 'dehw[train]'"),
}
EXTRAS = {  # what only some files or commands need
    "pypdfium2": "for PDFs: pip install pypdfium2",
    "pikepdf": "for PDFs: pip install pikepdf",
    "pillow-heif": "for HEIC, the photos of some phones: pip install 'dehw[heic]'",
    "fastapi": "for dehw serve, the page in the browser: pip install 'dehw[serve]'",
    "paddleseg": "for training: pip install 'dehw[train]'",
    "paddle2onnx": "for trained weights on OpenVINO or ONNX Runtime: pip install 'dehw[train]'",
}
MIB, GIB = 1024**2, 1024**3
ROOM = 2 * GIB  # of memory: the small networks, and a page of 15 megapixels
SIDE = 64  # px of the page that is erased for trial


@dataclass(frozen=True)
class Finding:
    """What was found of one thing. code: what the program ends with where it is missing; OK where it may be."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""
    code: ExitCode = ExitCode.OK

    def __str__(self) -> str:
        missing = "MISSING" if self.code else "missing"
        line = f"{'ok' if self.ok else missing:8} {self.name:12} {self.detail}"
        return line if self.ok or not self.remedy else f"{line}\n{'':21} -> {self.remedy}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `dehw doctor`."""
    parser.description = (
        "Say what this machine has of what erasing needs, and what to do about anything missing: MISSING keeps it "
        "from erasing, missing does not. The last line erases a small page. Exit codes: 0 erasing works, 1 it does "
        "not, 2 no such pipeline, 3 weights, 5 device."
    )
    add = parser.add_argument
    add("--pipeline", default="lite", help="name in configs/pipelines, or a file; default: %(default)s")
    add("--weights", type=Path, metavar="DIR", help="folder of weights, in place of the ones that ship")
    add("--json", action="store_true", help="print a list of objects: name, ok, detail, remedy, code")
    parser.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Print the findings. Returns the code of the first thing missing that erasing needs."""
    findings = []
    for finding in examine(args.pipeline, args.weights):
        findings.append(finding)
        if not args.json:
            print(finding, flush=True)  # one by one: some take seconds
    if args.json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))  # ASCII, whatever reads it
    return next((finding.code for finding in findings if not finding.ok and finding.code), ExitCode.OK)


def examine(pipeline: str = "lite", weights: str | Path | None = None) -> Iterator[Finding]:
    """Look at everything in turn, last at a trial page; what cannot be looked at for want of a package is left out."""
    failed = False

    def told(step: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
        nonlocal failed
        for finding in step():
            failed = failed or bool(not finding.ok and finding.code)
            yield finding

    for step in (python, processor, memory, engines, extras, packages, opencv):
        yield from told(step)
    if failed:
        return  # the rest imports them
    for step in (device, lambda: weight_files(pipeline, weights), cache):
        yield from told(step)
    if not failed:
        yield trial(pipeline, weights)


def python() -> Iterator[Finding]:
    """The interpreter, and the program itself."""
    lowest, highest = PYTHONS
    remedy = f"make an environment with Python {lowest[0]}.{lowest[1]} to {highest[0]}.{highest[1]}"
    fits = lowest <= sys.version_info[:2] <= highest
    yield Finding("dehw", True, f"{__version__} in {Path(__file__).parent}")
    yield Finding("python", fits, f"{platform.python_version()}, {sys.executable}", remedy, ExitCode.FAILED)


def packages() -> Iterator[Finding]:
    """What is imported on the way of every page; found missing where it does not import."""
    for module, names in NEEDED.items():
        found = next(filter(None, map(version, names)), None)
        try:
            importlib.import_module(module)
        except Exception as error:  # a broken installation raises nearly anything
            again = f"--force-reinstall --no-deps {names[0]}=={found}"  # of OpenCV the build that needs no libGL
            remedy = f"pip install {again if found else names[0]}"
            yield Finding(module, False, _reason(error), remedy, ExitCode.FAILED)
        else:
            yield Finding(module, True, found or "found")


def opencv() -> Iterator[Finding]:
    """Whether builds of OpenCV of several releases lie over each other: all are unpacked into one folder."""
    builds = {name: found for name in OPENCV if (found := version(name))}
    if len(set(builds.values())) > 1:
        detail = f"{', '.join(f'{name} {found}' for name, found in builds.items())}, all in the folder cv2"
        remedy = f"pip uninstall {' '.join(builds)}, then pip install opencv-python-headless of one of these releases"
        yield Finding("opencv", False, detail, remedy)


def engines() -> Iterator[Finding]:
    """What can run the networks: one is enough."""
    found = {name: next(filter(None, map(version, packages)), None) for name, (packages, _) in ENGINES.items()}
    code = ExitCode.OK if any(found.values()) else ExitCode.FAILED
    for name, (_, remedy) in ENGINES.items():
        yield Finding(name, bool(found[name]), found[name] or "not installed", remedy, code)


def device() -> Iterator[Finding]:
    """What the networks run on, and why a GPU is not used if there is one."""
    from dehw.engine import paddle, pick

    try:
        picked = pick.engine()
    except DehwError as error:
        yield Finding("device", False, str(error), "try another --engine", error.exit_code)
        return
    try:
        if paddle.gpu_count():
            paddle.pick_device("gpu")  # says why, where it cannot be used
        yield Finding("device", True, str(picked))
    except DehwError as error:
        yield Finding("device", False, str(error), f"pages are erased all the same, on {picked}")


def processor() -> Iterator[Finding]:
    """The processor's cores, and its units for bfloat16, on which OpenVINO is several times as fast."""
    from dehw.engine import machine

    units = machine.bf16_units()
    about = f"{machine.processor()}, {machine.processors()} cores, "
    if units:
        yield Finding("processor", True, about + f"bfloat16 by {' and '.join(units)}")
    elif units is None:
        yield Finding("processor", True, about + "units for bfloat16 cannot be told on this system")
    else:
        remedy = "nothing to install: pages take several times as long as on processors with AMX or AVX512-BF16"
        yield Finding("processor", False, about + "no units for bfloat16", remedy)


def memory() -> Iterator[Finding]:
    """The memory that is free, a container's limit included."""
    from dehw.engine.machine import free_memory

    free = free_memory()
    if free is None:
        yield Finding("memory", True, "cannot be told on this system")
        return
    remedy = "close other programs, or give pages of fewer pixels"
    yield Finding("memory", free >= ROOM, f"{free / GIB:.1f} GiB free, {ROOM / GIB:.0f} GiB are enough", remedy)


def weight_files(pipeline: str | Pipeline, folder: str | Path | None = None) -> Iterator[Finding]:
    """The pipeline's weights, compared with the checksums of their manifest."""
    from dehw.config import load_pipeline
    from dehw.engine import export, weights

    try:
        settings = load_pipeline(pipeline) if isinstance(pipeline, str) else pipeline
    except DehwError as error:
        yield Finding("pipeline", False, str(error), "name another --pipeline", error.exit_code)
        return
    for network, size in export.tiles(settings):
        try:
            path = weights.find(network, Path(folder) if folder else None, settings)
            weights.check(path)
            known = weights.manifest(path.parent).get(path.name, {}).get("sha256")
            checked = f"checksum right, {known[:12]}" if known else "no checksum to compare with"
            onnx = "with its ONNX" if export.beside(network, path, size) else "no ONNX, so Paddle is needed"
            yield Finding("weights", True, f"{path}, {path.stat().st_size / MIB:.1f} MiB, {checked}, {onnx}")
        except (DehwError, OSError) as error:
            remedy = "restore the file, or train it as its pipeline says"
            yield Finding("weights", False, str(error), remedy, ExitCode.WEIGHTS)


def cache() -> Iterator[Finding]:
    """The folder for exported networks; without it they are exported at every start."""
    from dehw.engine.export import cache_folder

    folder = cache_folder()
    files = [path for path in folder.glob("*") if path.is_file()] if os.access(folder, os.R_OK | os.X_OK) else []
    size = sum(path.stat().st_size for path in files)
    place = next(path for path in (folder, *folder.parents) if os.path.exists(path))
    remedy = "make it writable, or name another folder by the variable DEHW_CACHE"
    writable = place.is_dir() and os.access(place, os.W_OK)
    detail = f"{folder}, {len(files)} files, {size / MIB:.0f} MiB; may be deleted at any time"
    yield Finding("cache", writable, detail if writable else f"{folder} cannot be written", remedy)


def extras() -> Iterator[Finding]:
    """What only some files or commands need."""
    for package, remedy in EXTRAS.items():
        found = version(package)
        yield Finding(package, bool(found), found or "not installed", remedy)


def trial(pipeline: str = "lite", weights: str | Path | None = None) -> Finding:
    """Erase a small page: the proof."""
    import numpy as np

    from dehw.eraser import Eraser

    started = time.perf_counter()
    try:
        eraser = Eraser.load(pipeline, weights=weights)
        loaded = time.perf_counter()
        page = np.full((SIDE, SIDE, 3), 240, np.uint8)
        eraser.erase(eraser.prepare(page), np.ones((SIDE, SIDE), bool))
        eraser(page)
    except DehwError as error:
        return Finding("erasing", False, str(error), "see above", error.exit_code or ExitCode.FAILED)
    except Exception as error:  # libraries that do not fit together raise nearly anything
        return Finding("erasing", False, _reason(error), "try --engine paddle", ExitCode.FAILED)
    seconds = f"loaded in {loaded - started:.1f} s, a page of {SIDE}x{SIDE} px in {time.perf_counter() - loaded:.1f} s"
    return Finding("erasing", True, f"works: {seconds}; {eraser.engine}")


def version(package: str) -> str | None:
    """A package's version, None where it is not installed."""
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[-1]
