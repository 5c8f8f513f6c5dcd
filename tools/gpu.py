"""Measure on a GPU what the docs do not know yet: the networks' times, and the mask network's training.

python -m tools.gpu                                                   the networks of all pipelines
python -m tools.gpu --pages MADE=0.5 REAL=0.5 --minutes 20            the training too, on folders of work/pretrain
python -m tools.gpu --device cpu --pipelines lite --tile 64 --repeats 1    a rehearsal

Prints tables, and which figure belongs into which file. Each runtime has a process of its own; one that is not
installed, or fails, is named. ONNX Runtime (onnxruntime-gpu) and PyTorch compute in float32, by TF32 where the GPU has
it, Paddle in half precision, as `dehw erase` does. Times include the way into the GPU's memory and back. Networks
without weights get random ones, which needs Paddle. Needs the repository, with work/ on PYTHONPATH.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import timeit
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from dehw.config import CONFIGS, PIPELINES, NetworkConfig, load_pipeline
from dehw.engine import export, machine, onnxruntime, paddle, pick, weights
from dehw.errors import DeviceError, WeightsError

TRAINED = "ppocr_small"  # the mask network, and the configuration that trains it
WARM_UP = 3  # calls
Run = Callable[..., Any]


class Job(NamedTuple):
    """A network to time. inputs: 1 for a segmenter, 2 for a generator. file: its weights, None where none ship."""

    network: NetworkConfig
    side: int
    inputs: int
    file: Path | None


def jobs(pipelines: Sequence[str], side: int | None) -> dict[str, Job]:
    """The networks of pipelines, each once. side: of their tiles in px, in place of the pipeline's."""
    found: dict[str, Job] = {}
    for pipeline in map(load_pipeline, pipelines):
        window = pipeline.segment.window if pipeline.segment else 0
        for network, size in export.tiles(pipeline):
            args = " ".join(f"{key}={value}" for key, value in network.args.items())
            try:
                file = weights.find(network, None, pipeline)
            except WeightsError:
                file = None
            inputs, own = 1 + (network in pipeline.erase.networks), size[0] if size else window
            found.setdefault(f"{network.type} {args}".strip(), Job(network, side or own, inputs, file))
    return found


def _weights(job: Job) -> Path:
    """The file with a network's weights, made up where there are none."""
    if job.file:
        return job.file
    from dehw import models

    path = export.cache_folder() / job.network.weights
    weights.save(models.build(job.network), path)
    return path


def _onnxruntime(job: Job, device: str) -> Run:
    found = onnxruntime.providers(device)
    network = onnxruntime.OnnxNetwork(cache(partial(export.onnx_file, job.network, _weights(job))), found)
    used = network.prepare((job.side, job.side)).get_providers()[0]
    if device == "gpu" and used == onnxruntime.CPU:  # it only warns
        raise DeviceError("its CUDA provider does not load; install the CUDA and cuDNN that onnxruntime-gpu names.")
    return network


def _torch(job: Job, device: str, half: bool = False) -> Run:
    import torch

    if device == "gpu" and not torch.cuda.is_available():
        raise DeviceError(f"PyTorch {torch.__version__} sees no GPU; install a build for this driver's CUDA.")
    place = "cuda" if device == "gpu" else "cpu"
    network = _twin(job.network).to(place).eval()

    def run(tile: np.ndarray, *_: np.ndarray) -> np.ndarray:
        with torch.inference_mode(), torch.autocast(place, torch.bfloat16, enabled=half):
            output = network(torch.from_numpy(tile).to(place))
        return (output if torch.is_tensor(output) else output[3]).float().cpu().numpy()

    return run


def _twin(network: NetworkConfig) -> Any:
    from pretrain.twins.erasenet import EraseNet
    from pretrain.twins.ppocr import PPOCRDetector, PPOCRMask

    args = network.args
    if network.type == "erasenet" and args.get("refinement", "dilated") == "dilated":
        return EraseNet(args.get("width", 1.0))
    twins: dict[str, Callable[[], Any]] = {"ppocr_small": PPOCRMask, "ppocr_tiny_lines": partial(PPOCRDetector, "tiny")}
    if network.type not in twins:
        raise DeviceError("there is no twin of this network in work/pretrain/twins.")
    return twins[network.type]()


def _paddle(job: Job, device: str) -> Run:
    place = paddle.pick_device(device)
    paddle.require("this column")
    return pick.build(job.network, _weights(job), place, "paddle")


RUNTIMES: dict[str, Callable[[Job, str], Run]] = {
    "ONNX Runtime": _onnxruntime,
    "PyTorch": _torch,
    "PyTorch, bfloat16": partial(_torch, half=True),
    "Paddle": _paddle,
}


def times(runtime: str, found: dict[str, Job], device: str, batch: int, repeats: int) -> dict[str, float | str]:
    """Milliseconds a tile of each network, the median of some calls; or why there are none."""
    answers: dict[str, float | str] = {}
    rng = np.random.default_rng(0)
    for name, job in found.items():
        tile = rng.random((batch, 3, job.side, job.side), np.float32)
        inputs = (tile, (tile[:, :1] > 0.9).astype(np.float32))[: job.inputs]
        try:
            run = RUNTIMES[runtime](job, device)
            seconds = timeit.repeat(partial(run, *inputs), number=1, repeat=WARM_UP + repeats)[WARM_UP:]
            answers[name] = 1000 * statistics.median(seconds) / batch
        except Exception as error:  # a kernel or library that is missing, too little memory: each its own type
            answers[name] = (str(error) or type(error).__name__).splitlines()[0]
    return answers


def train(pages: Sequence[str], minutes: float, recipe: dict[str, Any], folder: str) -> tuple[int, float, float]:
    """Train the mask network's twin with its configuration's crops: the number of steps, seconds and GiB it took."""
    import torch

    from pretrain import states
    from pretrain import train as pretraining

    size = ["--batch", str(recipe["batch_size"]), "--crop", str(recipe["train_dataset"]["size"])]
    threads = ["--threads", str(machine.processors())]
    pretraining.main([TRAINED, "--pages", *pages, "--minutes", str(minutes), *size, *threads, "--output", folder])
    state = states.load(Path(folder) / f"{TRAINED}.pt")
    used = torch.cuda.max_memory_reserved() if torch.cuda.is_available() else machine.peak_memory()
    return state["step"], state["seconds"], used / 2**30


def apart(function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function gives in a process of its own: GPU libraries of two runtimes do not always bear each other."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def hardware(device: str) -> str:
    """The GPU's name, its driver and memory, or the processor's."""
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        lines = subprocess.run(query, capture_output=True, text=True, check=True).stdout.splitlines()
    except (OSError, subprocess.CalledProcessError):
        lines = []
    return lines[0] if device == "gpu" and lines else machine.machine()


def print_times(found: dict[str, Job], args: argparse.Namespace) -> None:
    """Print the table of the networks, and what is missing from it."""
    columns: dict[str, dict[str, float | str]] = {}
    for runtime in RUNTIMES:
        try:
            columns[runtime] = apart(times, runtime, found, args.device, args.batch, args.repeats)
        except BrokenProcessPool:
            columns[runtime] = dict.fromkeys(found, "its process crashed.")
    print(f"| network | tile, px | {' | '.join(columns)} |\n|{'---|' * (len(columns) + 2)}")
    missing: dict[str, list[str]] = {}
    for name, job in found.items():
        cells = {runtime: answers[name] for runtime, answers in columns.items()}
        for runtime, why in cells.items():
            if isinstance(why, str):
                missing.setdefault(f"{runtime}: {why}", []).append(name)
        shown = ("" if isinstance(cell, str) else f"{cell:.2f}" for cell in cells.values())
        print(f"| {name} | {job.side} | {' | '.join(shown)} |")
    for why, names in missing.items():
        print(f"\nNot measured: {'all' if len(names) == len(found) else ', '.join(names)} by {why}")


def print_training(iters: int, steps: int, seconds: float, gigabytes: float) -> None:
    """Print the training's figures, and where they belong."""
    config = f"configs/{TRAINED}.yml"
    print(f"\n{steps} steps of {seconds / steps:.3f} s: {iters * seconds / steps / 3600:.1f} h, {gigabytes:.1f} GB")
    print(f"\n- docs/training.md, Hours and memory, row `{TRAINED}.yml`: hours, memory, hardware, and from where:")
    print(f"  {steps} steps of the PyTorch twin. Rows of other networks: iters x what python -m tools.steps says")
    print(f"- {config}, the header's line `Hours, memory`: the same")
    for path in sorted(PIPELINES.glob("*.yml")):
        segment = load_pipeline(path.stem).segment
        if segment and segment.network.train == config:
            print(f"- configs/pipelines/{path.name}, the header's line `Hours, score`: the hours")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    every = sorted(path.stem for path in PIPELINES.glob("*.yml") if not path.stem.startswith("smoke"))
    parser.add_argument("--pipelines", nargs="+", default=every, metavar="NAME", help="default: all")
    parser.add_argument("--device", choices=("gpu", "cpu"), default="gpu", help="default: %(default)s")
    parser.add_argument("--tile", type=int, metavar="PX", help="side of all tiles (default: the pipelines')")
    parser.add_argument("--batch", type=int, default=4, help="tiles at a time (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=20, help="calls measured (default: %(default)s)")
    parser.add_argument("--pages", nargs="+", metavar="DIR=SHARE", help="train on these, see work/pretrain/train.py")
    parser.add_argument("--minutes", type=float, default=10, help="of training (default: %(default)s)")
    args = parser.parse_args()
    if args.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    print(f"{hardware(args.device)}; {args.batch} tiles at a time, milliseconds a tile\n", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["DEHW_CACHE"] = folder
        print_times(jobs(args.pipelines, args.tile), args)
        print("\n- docs/speed.md, a section `On a GPU`: this table, the line above it, and the command.")
        print("- docs/speed.md, Seconds a page: dehw bench --size 1500x2000 --inked 0.333 --device gpu")
        if args.pages:
            recipe = yaml.safe_load((CONFIGS / f"{TRAINED}.yml").read_text(encoding="utf-8"))
            try:
                done = apart(train, args.pages, args.minutes, recipe, folder)
                print_training(recipe["iters"], *done)
            except ImportError as error:
                print(f"\nNot trained: {error}; install PyTorch.")


if __name__ == "__main__":
    main()
