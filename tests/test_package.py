"""The package: what it asks for, and what lies in it."""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

import pytest

import dehw
from dehw.engine import weights

requirements = pytest.importorskip("packaging.requirements")

ROOT = Path(__file__).parents[1]
LISTS = [
    *ROOT.glob("requirements*.txt"),
    *(path for path in ROOT.glob("requirements/*.txt") if not path.stem.startswith("lock")),
]


def listed(path):
    """What a requirement file asks for, by the package's name as pip writes it."""
    lines = path.read_text(encoding="utf-8").splitlines()
    found = [requirements.Requirement(line.partition(" --hash")[0]) for line in lines if line and line[0] != "#"]
    return {re.sub("[-_.]+", "-", each.name).lower(): each for each in found}


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """What the package is built from, as in a fresh clone."""
    root = tmp_path_factory.mktemp("clone")
    for folder in ("work/dehw", "configs", "requirements"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for pattern in ("requirements*.txt", "pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        for path in ROOT.glob(pattern):
            shutil.copy(path, root)
    return root


@pytest.fixture(scope="module")
def described(clone, tmp_path_factory):
    """What the package's metadata say."""
    folder = tmp_path_factory.mktemp("metadata")
    command = [sys.executable, "setup.py", "-q", "egg_info", "--egg-base", str(folder)]
    subprocess.run(command, cwd=clone, check=True, capture_output=True)
    return metadata.Distribution.at(folder / "dehw.egg-info")


def test_the_version_is_the_package_s_own(described):
    assert described.version == dehw.__version__ and re.fullmatch(r"\d+\.\d+\.\d+", dehw.__version__)


def test_a_bare_installation_erases_and_the_extras_train(described):
    lines = list(map(requirements.Requirement, described.requires))

    def wanted(extra):
        return {line.name for line in lines if line.marker is None or line.marker.evaluate({"extra": extra})}

    base = wanted("")
    assert {"numpy", "opencv-python-headless", "pillow", "pydantic"} <= base and base & {"openvino", "onnxruntime"}
    assert not [name for name in base if "paddle" in name or name in ("scipy", "scikit-image", "opencv-python")]
    extras = {name: wanted(name) - base for name in described.metadata.get_all("Provides-Extra")}
    assert "paddlepaddle" in extras["train"] and "paddlepaddle-gpu" in extras["gpu"]
    serve = {"fastapi", "uvicorn", "python-multipart"}
    assert (extras["serve"], extras["heic"], extras["onnxruntime"]) == (serve, {"pillow-heif"}, {"onnxruntime"})
    assert extras["cluster"] == {"ray"}
    assert extras["ocr"] == {"rapidocr", "onnxruntime"}
    assert extras["train"] | serve | {"pillow-heif", "onnxruntime", "rapidocr"} == extras["all"]
    assert {"pytest", "ruff", "mypy"} | serve <= extras["dev"]


def test_no_two_lists_name_different_versions():
    named: dict[str, set[str]] = {}
    for path in LISTS:
        for name, line in listed(path).items():
            named.setdefault(name, set()).add(str(line.specifier))
    assert {name: versions for name, versions in named.items() if len(versions) > 1} == {}
    assert named["opencv-python"] == named["opencv-python-headless"]  # one folder holds both


def test_the_lock_holds_a_release_of_each_package_that_ci_installs():
    lock = listed(ROOT / "requirements" / "lock.txt")
    assert all(len(line.specifier) == 1 and str(line.specifier).startswith("==") for line in lock.values())
    for path in LISTS:
        for name, line in listed(path).items():
            if name in ("paddlepaddle-gpu", "rapidocr", "ray"):  # which CI goes without
                continue
            pinned = str(lock[name].specifier).removeprefix("==")
            assert line.specifier.contains(pinned), f"{path.name}: {line}, but lock.txt: {pinned}"


def test_each_release_of_the_locks_has_one_checksum():
    lock, base = (
        [line for line in (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines() if line[0] != "#"]
        for name in ("lock.txt", "lock-base.txt")
    )
    assert [line for line in lock if not re.fullmatch(r"[\w.-]+==\S+ --hash=sha256:[0-9a-f]{64}", line)] == []
    assert set(base) < set(lock)
    asked = listed(ROOT / "requirements" / "base.txt").items()
    here = {name for name, line in asked if line.marker is None or line.marker.evaluate({"sys_platform": "linux"})}
    assert here <= set(listed(ROOT / "requirements" / "lock-base.txt"))


def files(folder):
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def content():
    """The files that belong into the package dehw, by their paths in it."""
    names = files(ROOT / "work" / "dehw") | {f"configs/{name}" for name in files(ROOT / "configs")}
    return {name for name in names if "__pycache__" not in name and not name.endswith(".pyc")}


def test_the_package_holds_its_code_configurations_and_networks(clone, tmp_path):
    command = [sys.executable, "setup.py", "-q", "build_py", "--build-lib", str(tmp_path)]
    subprocess.run(command, cwd=clone, check=True, capture_output=True)
    built = files(tmp_path / "dehw")
    assert built == content()
    assert {"py.typed", "configs/pipelines/lite.yml", "engine/shipped/manifest.json"} <= built
    assert {f"engine/shipped/{name}" for name in weights.manifest(weights.SHIPPED)} <= built


FOUND = "import dehw, dehw.config as c; print(dehw.__version__, c.CONFIGS, c.load_pipeline('lite').name, sep='\\n')"


@pytest.mark.slow
@pytest.mark.parametrize("way", ["wheel", "editable"])
def test_an_installed_package_finds_its_configurations(clone, tmp_path, way):
    """Needs the network, for the build's own environment."""
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    what = ["--editable", str(clone)] if way == "editable" else [str(clone)]
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", *what], check=True)
    shutil.rmtree(clone / "build", ignore_errors=True)
    env = os.environ | {"PYTHONPATH": sysconfig.get_path("purelib")}  # numpy, pydantic and the like
    done = subprocess.run([python, "-c", FOUND], cwd=tmp_path, env=env, check=True, capture_output=True, text=True)
    version, configs, name = done.stdout.splitlines()
    assert (version, name) == (dehw.__version__, "lite")
    assert Path(configs).is_relative_to(clone if way == "editable" else tmp_path / "venv")
