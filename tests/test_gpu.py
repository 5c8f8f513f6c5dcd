"""The figures of a GPU, rehearsed on the CPU: what is installed is measured, what is not is named."""

import re
import sys
from importlib import util

import numpy as np
import pytest

from dehw.config import PIPELINES, NetworkConfig, load_pipeline
from tools import gpu

PIPELINE = next(
    path.stem
    for path in sorted(PIPELINES.glob("*.yml"))
    if (segment := load_pipeline(path.stem).segment) and segment.network.type == gpu.TRAINED
)
HAS_TORCH = util.find_spec("torch") is not None


def rows(printed):
    """The cells of a table's rows, by the first."""
    lines = [line.strip("| ").split(" | ") for line in printed.splitlines() if line.startswith("| ")]
    return {line[0]: line[1:] for line in lines}


def test_each_network_is_there_once():
    found = gpu.jobs(["lite_chain", "full", "erasenet"], None)
    types = [job.network.type for job in found.values()]
    assert types.count("segformer_b2") == types.count("ppocr_small") == 1 and types.count("erasenet") == 3
    full = found["erasenet refinement=nonlocal"]
    assert (full.side, full.inputs, full.file) == (512, 2, None) and found["ppocr_small"].inputs == 1


def test_what_fails_is_said_and_the_others_are_measured(monkeypatch):
    def runtime(job, device):
        if job.network.type == "b":
            raise RuntimeError("no kernel\nfor this GPU")
        return lambda tile: np.zeros(tile.shape)

    monkeypatch.setitem(gpu.RUNTIMES, "odd", runtime)
    jobs = {name: gpu.Job(NetworkConfig(name, ""), 8, 1, None) for name in "abc"}
    answers = gpu.times("odd", jobs, "cpu", 2, 3)
    assert answers.pop("b") == "no kernel" and all(0 < answer < 1000 for answer in answers.values())


@pytest.mark.slow
def test_a_rehearsal_on_the_cpu(monkeypatch, capfd, tmp_path):
    pages = np.random.default_rng(0).integers(0, 256, (200, 200, 7), np.uint8)
    np.save(tmp_path / "page.npy", pages)
    training = ["--pages", f"{tmp_path}=1", "--minutes", "0.001"]
    argv = f"gpu --device cpu --pipelines {PIPELINE} --tile 64 --batch 1 --repeats 1".split()
    monkeypatch.setattr(sys, "argv", [*argv, *training])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    gpu.main()
    printed = capfd.readouterr().out
    table = rows(printed)
    measured = dict(zip(table["network"][1:], zip(*(table[name][1:] for name in ("ppocr_small", "ppocr_tiny_lines")))))
    assert all(float(each) > 0 for each in measured["Paddle"])
    for column, package in (("ONNX Runtime", "onnxruntime"), ("PyTorch", "torch")):
        there = util.find_spec(package) is not None
        assert all(map(float, measured[column])) if there else f"Not measured: all by {column}: " in printed
    if HAS_TORCH:
        steps, seconds, hours = map(float, re.search(r"(\d+) steps of (\S+) s: (\S+) h,", printed).groups())
        assert steps >= 1 and hours == pytest.approx(80000 * seconds / 3600, rel=0.01, abs=0.1)
        assert f"configs/pipelines/{PIPELINE}.yml" in printed
    else:
        assert "Not trained: No module named 'torch'" in printed
