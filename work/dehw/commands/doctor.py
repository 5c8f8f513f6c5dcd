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
from dehw.errors import DehwError, ExitCode, WeightsError

if TYPE_CHECKING:
    from dehw.config import Pipeline

PYTHONS = ((3, 10), (3, 12))  # the range in which Paddle, PaddleSeg and OpenCV 4.5 all exist
NEEDED = {  # modules without which no page is erased: the packages that bring them, and how to get them
    "paddle": (
        ("paddlepaddle", "paddlepaddle-gpu"),
        "pip install -r requirements-cpu.txt, or requirements.txt for a GPU",
    ),
    "paddleseg": (("paddleseg",), "pip install paddleseg==2.8.0"),
    "numpy": (("numpy",), "pip install 'numpy>=1.26,<2'"),
    "cv2": (
        ("opencv-python", "opencv-python-headless"),
        "pip install opencv-python-headless==4.5.5.64, which does without the system's libGL",
    ),
    "PIL": (("pillow",), "pip install 'pillow>=10.1'"),
    "yaml": (("pyyaml",), "pip install pyyaml"),
}
ENGINES = {  # what runs networks instead of Paddle
    "openvino": "several times as fast on a CPU: pip install 'openvino>=2026,<2027' paddle2onnx==2.1.0",
    "onnxruntime": "another engine: pip install onnxruntime paddle2onnx==2.1.0",
}
EXTRAS = {  # what only some files or commands need
    "pypdfium2": "for PDFs: pip install 'pypdfium2>=5,<6'",
    "pillow-heif": "for HEIC, the photos of some phones: pip install pillow-heif",
    "gradio": "for dehw serve, the page in the browser: pip install gradio==6.31.0",
}
MIB, GIB = 1024**2, 1024**3
ROOM = 2 * GIB  # of memory: the small networks, and a page of 15 megapixels
FLAGS = {"amx_bf16": "AMX", "avx512_bf16": "AVX512-BF16"}
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
        "not, 3 weights, 5 device."
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
        print(json.dumps([asdict(finding) for finding in findings], indent=2, ensure_ascii=False))
    return next((finding.code for finding in findings if not finding.ok and finding.code), ExitCode.OK)


def examine(pipeline: str = "lite", weights: str | Path | None = None) -> Iterator[Finding]:
    """Look at everything in turn, last at a trial page; what cannot be looked at for want of a package is left out."""
    failed = False

    def told(step: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
        nonlocal failed
        for finding in step():
            failed = failed or bool(not finding.ok and finding.code)
            yield finding

    for step in (python, processor, memory, engines, extras, packages):
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
    for module in sorted(NEEDED, key=lambda name: name.startswith("paddle")):  # OpenCV before Paddle, which 2.6 needs
        names, remedy = NEEDED[module]
        try:
            importlib.import_module(module)
            detail = next(filter(None, map(version, names)), "found")
        except Exception as error:  # a broken installation raises nearly anything
            yield Finding(module, False, _reason(error), remedy, ExitCode.FAILED)
        else:
            yield Finding(module, True, detail)


def engines() -> Iterator[Finding]:
    """What can run the networks beside Paddle itself."""
    exporter = version("paddle2onnx")
    for name, remedy in ENGINES.items():
        found = version(name) or version(f"{name}-gpu")
        detail = found or "not installed"
        if found and not exporter:
            detail += ", but not paddle2onnx, which hands it the networks"
        yield Finding(name, bool(found and exporter), detail, remedy)


def device() -> Iterator[Finding]:
    """What the networks run on, and why a GPU is not used if there is one."""
    from dehw.engine import pick

    try:
        picked = pick.pick()
        if pick.gpu_count():
            pick.pick_device("gpu")  # says why, where it cannot be used
        yield Finding("device", True, str(picked))
    except DehwError as error:
        remedy = f"pages are erased all the same, on {picked}"
        yield Finding("device", False, str(error), remedy)


def processor() -> Iterator[Finding]:
    """The processor's cores, and its units for bfloat16, on which OpenVINO is several times as fast."""
    text = _read("/proc/cpuinfo")
    model = next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("model name")), "")
    units = [name for flag, name in FLAGS.items() if flag in text.split()]
    about = f"{model or platform.processor() or platform.machine()}, {_cores()} cores, "
    if units:
        yield Finding("processor", True, about + f"bfloat16 by {' and '.join(units)}")
    else:
        remedy = "nothing to install: pages take several times as long as on processors with AMX or AVX512-BF16"
        yield Finding("processor", False, about + "no units for bfloat16", remedy)


def memory() -> Iterator[Finding]:
    """The memory that is free, a container's limit included."""
    free = free_memory()
    if free is None:
        yield Finding("memory", True, "cannot be told on this system")
        return
    remedy = "close other programs, or give pages of fewer pixels"
    yield Finding("memory", free >= ROOM, f"{free / GIB:.1f} GiB free, {ROOM / GIB:.0f} GiB are enough", remedy)


def weight_files(pipeline: str | Pipeline, folder: str | Path | None = None) -> Iterator[Finding]:
    """The pipeline's weights, compared with the checksums of their manifest."""
    from dehw.config import load_pipeline
    from dehw.engine import weights
    from dehw.files.atomic import sha256

    try:
        settings = load_pipeline(pipeline) if isinstance(pipeline, str) else pipeline
    except DehwError as error:
        yield Finding("pipeline", False, str(error), "name another --pipeline", error.exit_code)
        return
    for network in settings.networks:
        try:
            path = weights.find(network, Path(folder) if folder else None, settings)
            known = weights.manifest(path.parent).get(path.name, {}).get("sha256")
            if known and sha256(path) != known:
                raise WeightsError(f"{path}: its SHA-256 is not the one in {weights.MANIFEST}: damaged, or exchanged")
            checked = f"checksum right, {known[:12]}" if known else "no checksum to compare with"
            yield Finding("weights", True, f"{path}, {path.stat().st_size / MIB:.1f} MiB, {checked}")
        except (DehwError, OSError) as error:
            yield Finding(
                "weights", False, str(error), "restore the file, or train it as its pipeline says", ExitCode.WEIGHTS
            )


def cache() -> Iterator[Finding]:
    """The folder for exported networks; without it they are exported at every start."""
    from dehw.engine.export import cache_folder

    folder = cache_folder()
    files = [path for path in folder.glob("*") if path.is_file()] if folder.is_dir() else []
    size = sum(path.stat().st_size for path in files)
    place = next(path for path in (folder, *folder.parents) if path.exists())
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


def free_memory() -> int | None:
    """Bytes that programs can still have, None where that cannot be told."""
    lines = (line.split() for line in _read("/proc/meminfo").splitlines())
    free = [int(words[1]) * 1024 for words in lines if words[:1] == ["MemAvailable:"]]
    limit, used = (_read(f"/sys/fs/cgroup/memory.{name}").strip() for name in ("max", "current"))
    if limit.isdecimal() and used.isdecimal():
        free.append(max(0, int(limit) - int(used)))
    return min(free, default=None)


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


def _reason(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[-1]
