import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dehw.commands import doctor, main
from dehw.engine import machine
from dehw.engine.paddle import INSTALL_GUIDE
from dehw.errors import ExitCode

ROOT = Path(__file__).resolve().parents[1]
TINY = """
segment: {network: {type: segformer_b0, weights: s.pdparams, args: {embedding_dim: 32}}, window: 64, stride: 32}
erase: {networks: [{type: erasenet, weights: e.pdparams, args: {width: 0.03}}], tile: 64, margin: 13}
"""
CPUINFO = "processor\t: 0\nmodel name\t: Some Processor\nflags\t\t: fpu avx2 {}\n"


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    """A pipeline of tiny networks with their weights, run by Paddle alone; its file, and the folder of both."""
    from dehw import models
    from dehw.config import load_pipeline
    from dehw.engine import weights

    path = tmp_path / "tiny.yml"
    path.write_text(TINY)
    for network in load_pipeline(path).networks:
        weights.save(models.build(network), tmp_path / network.weights)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name if name == "paddle" else None)
    return path, tmp_path


def run(tiny, *arguments):
    path, folder = tiny
    return main.main(["doctor", "--pipeline", str(path), "--weights", str(folder), *arguments])


def only(step):
    (finding,) = step()
    return finding


def named(findings, name):
    return next(finding for finding in findings if finding.name == name)


def test_a_machine_that_erases_is_told_so(tiny, capsys):
    assert run(tiny) == ExitCode.OK
    written = capsys.readouterr().out
    assert "MISSING" not in written and written.splitlines()[-1].startswith("ok       erasing      works: ")
    for name in ("python", "paddle", "openvino", "device", "processor", "memory", "weights", "cache", "pypdfium2"):
        assert f" {name} " in written
    assert "no ONNX" in written


def test_json_is_ascii_whatever_the_paths_hold(tiny, capsys, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/é/权重/python")
    assert run(tiny, "--json") == ExitCode.OK
    written = capsys.readouterr().out
    assert written.isascii() and any("/é/权重/python" in each["detail"] for each in json.loads(written))


def test_json_lists_the_same(tiny, capsys):
    assert run(tiny, "--json") == ExitCode.OK
    findings = json.loads(capsys.readouterr().out)
    assert all(list(finding) == ["name", "ok", "detail", "remedy", "code"] for finding in findings)
    assert findings[-1]["name"] == "erasing" and findings[-1]["ok"]
    assert [finding["detail"] for finding in findings if finding["name"] == "numpy"] == [np.__version__]


@pytest.mark.parametrize("change", ["damage", "remove"])
def test_weights_that_are_not_right_end_in_their_own_code(tiny, capsys, monkeypatch, change):
    damaged = tiny[1] / "e.pdparams"
    if change == "remove":
        damaged.unlink()
    else:
        damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    assert run(tiny) == ExitCode.WEIGHTS
    lines = capsys.readouterr().out.splitlines()
    wrong = [line for line in lines if line.startswith("MISSING")]
    assert len(wrong) == 1 and "e.pdparams" in wrong[0] and not any(" erasing " in line for line in lines)


def test_a_pipeline_that_is_none_is_told(capsys):
    assert main.main(["doctor", "--pipeline", "litte"]) == ExitCode.USAGE
    assert "did you mean 'lite'" in capsys.readouterr().out


@pytest.mark.parametrize("module", ["cv2", "pydantic"])
def test_a_package_that_does_not_import_keeps_from_erasing(monkeypatch, capsys, module):
    imported = doctor.importlib.import_module

    def broken(name):
        if name == module:
            raise ImportError("libGL.so.1: cannot open shared object file")
        return imported(name)

    monkeypatch.setattr(doctor.importlib, "import_module", broken)
    assert main.main(["doctor"]) == ExitCode.FAILED
    lines = capsys.readouterr().out.splitlines()
    (line,) = [number for number, line in enumerate(lines) if line.startswith("MISSING")]
    assert module in lines[line] and "libGL.so.1" in lines[line] and "-> pip install" in lines[line + 1]
    assert not any(" erasing " in line for line in lines)


def test_a_page_that_cannot_be_erased_is_no_success(tiny, capsys, monkeypatch):
    from dehw.eraser import Eraser

    def failing(self, page):
        raise RuntimeError("kernel\nnot found")

    monkeypatch.setattr(Eraser, "__call__", failing)
    assert run(tiny) == ExitCode.FAILED
    assert "MISSING  erasing      not found" in capsys.readouterr().out


def test_what_is_optional_may_be_missing(monkeypatch):
    monkeypatch.setattr(doctor, "version", lambda package: None)
    findings = list(doctor.extras())
    assert findings and not any(finding.ok or finding.code for finding in findings)
    assert all("pip install" in finding.remedy and "pip install" in str(finding) for finding in findings)
    assert str(findings[0]).startswith("missing  ")


@pytest.mark.parametrize("there", ["openvino", "onnxruntime", "onnxruntime-gpu", "paddlepaddle-gpu", None])
def test_one_engine_is_enough(monkeypatch, there):
    monkeypatch.setattr(doctor, "version", lambda package: "1.2" if package == there else None)
    findings = list(doctor.engines())
    assert [finding.detail for finding in findings if finding.ok] == (["1.2"] if there else [])
    assert {finding.code for finding in findings} == {ExitCode.OK if there else ExitCode.FAILED}


def test_builds_of_opencv_of_two_releases_are_told(monkeypatch):
    builds = {"opencv-python": "4.5.5.64", "opencv-python-headless": "4.5.5.64"}
    monkeypatch.setattr(doctor, "version", builds.get)
    assert not list(doctor.opencv())
    builds["opencv-python-headless"] = "4.12.0.88"
    finding = only(doctor.opencv)
    assert not finding.ok and not finding.code and "opencv-python 4.5.5.64" in finding.detail
    assert "pip uninstall opencv-python-headless opencv-python," in finding.remedy


def test_the_onnx_of_the_weights_that_ship_is_found():
    files = list(doctor.weight_files("lite_chain"))  # the segmenter's, the generator's, and what reads lines
    assert [finding.ok and "with its ONNX" in finding.detail for finding in files] == [True] * 3


def test_a_python_out_of_range_is_named(monkeypatch):
    assert all(finding.ok for finding in doctor.python())
    monkeypatch.setattr(doctor.sys, "version_info", (3, 13, 0))
    finding = named(doctor.python(), "python")
    assert not finding.ok and finding.code and "Python 3.10 to 3.12" in finding.remedy


@pytest.mark.parametrize(
    "flags, ok, words",
    [
        ("amx_bf16 avx512_bf16", True, "bfloat16 by AMX and AVX512-BF16"),
        ("avx512_bf16", True, "bfloat16 by AVX512-BF16"),
        ("avx512f", False, "no units for bfloat16"),
    ],
)
def test_the_processor_tells_its_bfloat16_units(monkeypatch, flags, ok, words):
    monkeypatch.setattr(machine, "_read", lambda path: CPUINFO.format(flags))
    finding = only(doctor.processor)
    assert (finding.ok, finding.code) == (ok, ExitCode.OK)
    assert finding.detail.startswith("Some Processor, ") and finding.detail.endswith(words)


def test_a_system_that_does_not_tell_its_processor_s_units_is_no_fault(monkeypatch):
    monkeypatch.setattr(machine, "_read", lambda path: "")
    finding = only(doctor.processor)
    assert finding.ok and finding.detail.endswith("cannot be told on this system")


@pytest.mark.parametrize(
    "files, expected",
    [
        ({"/proc/meminfo": "MemTotal: 9 kB\nMemAvailable: 4194304 kB\n"}, "4.0 GiB"),
        (
            {
                "/proc/meminfo": "MemAvailable: 4194304 kB\n",
                "/sys/fs/cgroup/memory.max": f"{3 * 2**30}\n",
                "/sys/fs/cgroup/memory.current": f"{2 * 2**30}\n",
            },
            "1.0 GiB",
        ),
        ({"/proc/meminfo": "MemAvailable: 4194304 kB\n", "/sys/fs/cgroup/memory.max": "max\n"}, "4.0 GiB"),
        ({}, "cannot be told"),
    ],
)
def test_free_memory_heeds_a_container_s_limit(monkeypatch, files, expected):
    monkeypatch.setattr(machine, "_read", lambda path: files.get(path, ""))
    finding = only(doctor.memory)
    assert finding.detail.startswith(expected) and finding.ok == (expected != "1.0 GiB") and not finding.code


def test_the_cache_is_found_and_its_place_tried(monkeypatch, tmp_path):
    monkeypatch.setenv("DEHW_CACHE", str(tmp_path / "new" / "cache"))
    assert only(doctor.cache).ok  # it can be made
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "cache").write_text("a file in its place")
    finding = only(doctor.cache)
    assert not finding.ok and "DEHW_CACHE" in finding.remedy and not finding.code
    monkeypatch.setenv("DEHW_CACHE", str(tmp_path))
    (tmp_path / "a.onnx").write_bytes(bytes(3 * 2**20))
    assert "1 files, 3 MiB" in only(doctor.cache).detail


def test_a_gpu_that_cannot_be_driven_is_told(monkeypatch):
    monkeypatch.setattr("dehw.engine.paddle.gpu_count", lambda: 1)
    monkeypatch.setattr("dehw.engine.paddle._is_cpu_wheel", lambda: False)
    monkeypatch.setattr("dehw.engine.paddle._gpu_trouble", lambda: "no kernel image")
    finding = only(doctor.device)
    assert not finding.ok and not finding.code and "no kernel image" in finding.detail
    assert INSTALL_GUIDE in finding.detail and "on cpu" in finding.remedy


def test_it_starts_without_any_package():
    """With nothing but Python it still says what is missing."""
    code = "import sys; from dehw.commands.main import main; sys.exit(main(['doctor']))"
    command = [sys.executable, "-S", "-c", code]  # -S: no site-packages
    done = subprocess.run(command, cwd=ROOT / "work", capture_output=True, text=True)
    assert done.returncode == ExitCode.FAILED, done.stderr
    assert done.stdout.count("MISSING") == len(doctor.NEEDED) + len(doctor.ENGINES) and "Traceback" not in done.stderr


@pytest.mark.skipif(os.name == "nt", reason="Windows has other errors for closed pipes")
def test_whoever_reads_it_may_stop():
    command = [sys.executable, "-m", "dehw", "doctor"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT / "work") as process:
        assert process.stdout and process.stderr
        assert process.stdout.readline().startswith(b"ok")
        process.stdout.close()
        told = process.stderr.read()
    assert b"Traceback" not in told and b"BrokenPipe" not in told
    assert process.returncode == ExitCode.FAILED
