"""The shell scripts, run by a strict POSIX shell among made-up interpreters, pip and GPU."""

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHELL = shutil.which("dash") or shutil.which("sh")
TOOLS = "basename cat cksum cp dirname grep head mkdir sed sh tail tr".split()

# An interpreter whose packages lie in a folder of its own; venv and pip are made up, other code really runs.
PYTHON = f"""#!{SHELL}
prefix=$(dirname "$(dirname "$0")")
case "$*" in
*sys.prefix*) echo "$prefix" ;;
*version_info*) [ ! -e "$prefix/unfit" ] ;;
*"ensurepip, venv"*) [ -z "$FAKE_NO_VENV" ] ;;
--version) echo "Python 3.11.0" ;;
"-m venv "*) mkdir -p "$4/bin" && cp "$0" "$4/bin/python" ;;
"-m pip "*) shift 2; exec {sys.executable} -S {ROOT}/tests/fake_pip.py "$prefix/site" "$FAKE_LOG" "$@" ;;
*) PYTHONPATH="$prefix/site" exec {sys.executable} -S "$@" ;;
esac
"""
NVIDIA_SMI = f"""#!{SHELL}
case "$*" in
*compute_cap*) echo "Fake GPU, $FAKE_CAPABILITY" ;;
*) echo "GPU 0: Fake GPU; CUDA Version: $FAKE_CUDA  |" ;;
esac
"""
PREPARE = 'ROOT=$1; shift; . "$ROOT/scripts/env.sh"; prepare "$@"; echo "$PYTHON ${CUDA_VISIBLE_DEVICES-any}"'


@dataclass
class Machine:
    """A bare repository in a folder, and programs on a PATH of their own."""

    home: Path
    env: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root, self.log, self.bin = self.home / "repo", self.home / "log", self.home / "base" / "bin"
        (self.root / "scripts").mkdir(parents=True)
        for name in ("scripts/env.sh", "scripts/missing.py", "pyproject.toml"):
            shutil.copy(ROOT / name, self.root / name)
        for file in [*ROOT.glob("requirements*.txt"), *ROOT.glob("*.sh")]:
            shutil.copy(file, self.root)
        shutil.copytree(ROOT / "requirements", self.root / "requirements")
        (self.root / "work" / "dehw").mkdir(parents=True)
        (self.root / "work" / "dehw" / "__init__.py").touch()
        self.bin.mkdir(parents=True)
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        self.log.touch()
        self.env |= {"FAKE_LOG": str(self.log)}

    def add_program(self, name: str, text: str, prefix: str = "base") -> None:
        file = self.home / prefix / "bin" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o755)

    def activate(self, *installed: str) -> None:
        """Make an environment with these packages, and put it first on PATH."""
        self.add_program("python", PYTHON, "active")
        self.env["PATH"] = f"{self.home}/active/bin:{self.bin}"
        self.run([f"{self.home}/active/bin/python", "-m", "pip", "install", *installed])
        self.log.write_text("")

    def add_gpu(self, capability: str = "8.6", cuda: str = "12.4", trouble: str = "") -> None:
        self.add_program("nvidia-smi", NVIDIA_SMI)
        self.env |= {"FAKE_CAPABILITY": capability, "FAKE_CUDA": cuda, "FAKE_GPU_TROUBLE": trouble}

    def run(self, command: list[str]) -> subprocess.CompletedProcess:
        env = {"PATH": str(self.bin), **self.env}
        return subprocess.run(command, env=env, cwd=self.root, capture_output=True, text=True, timeout=60)

    def prepare(self, *files: str) -> subprocess.CompletedProcess:
        return self.run([SHELL, "-euc", PREPARE, "-", str(self.root), *(str(self.root / f) for f in files)])

    def pip(self) -> list[str]:
        """What pip was asked since the last call of this function."""
        lines = self.log.read_text().splitlines()
        self.log.write_text("")
        return lines


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path.resolve())
    machine.add_program("python3", PYTHON)
    return machine


def listed(file: str) -> list[str]:
    lines = (ROOT / file).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("script", ["train.sh", "test.sh", "check.sh", "scripts/env.sh", ".ci/run"])
def test_scripts_are_posix_shell(script):
    subprocess.run([SHELL, "-n", str(ROOT / script)], check=True)


def test_requirement_files_differ_in_paddle_and_the_export_and_explain_themselves():
    gpu, cpu = listed("requirements.txt"), listed("requirements-cpu.txt")
    assert gpu[0].startswith("paddlepaddle-gpu==") and cpu[0].startswith("paddlepaddle==")
    assert gpu[1:] == cpu[1:-1] and cpu[-1].startswith("paddle2onnx")
    for file in ("requirements.txt", "requirements-cpu.txt", "requirements/base.txt"):
        above = "# a file's first line explains the file\n"
        for line in (ROOT / file).read_text().splitlines():
            assert not re.search("[<>=]", line) or line.startswith("#") or above.startswith("#"), line
            above = line


def test_makes_an_environment_once(machine):
    first = machine.prepare()
    assert (first.returncode, first.stdout) == (0, f"{machine.root}/.venv/bin/python any\n"), first.stderr
    wanted = [f"install {line}" for line in listed("requirements-cpu.txt")]
    assert machine.pip() == [*wanted, f"install {machine.root}"]
    second = machine.prepare()
    assert (second.returncode, second.stdout, second.stderr) == (0, first.stdout, "")
    assert machine.pip() == []


def test_further_requirements_are_added(machine):
    machine.prepare()
    machine.pip()
    assert machine.prepare("requirements/dev.txt", "requirements/serve.txt").returncode == 0
    wanted = listed("requirements/dev.txt") + listed("requirements/serve.txt")
    assert machine.pip() == [f"install {line}" for line in wanted]


def test_changed_requirements_are_followed_but_paddle_stays(machine):
    machine.prepare()
    machine.pip()
    with (machine.root / "requirements-cpu.txt").open("a") as file:
        file.write("another\n")
    machine.prepare()
    assert machine.pip() == [f"install {line}" for line in [*listed("requirements-cpu.txt")[1:], "another"]]


def test_a_moved_repository_is_installed_anew(machine):
    machine.prepare()
    machine.pip()
    moved = machine.root.rename(machine.home / "moved")
    machine.root = moved
    assert machine.prepare().returncode == 0
    assert f"install {moved}" in machine.pip()


def test_what_failed_is_tried_again(machine):
    machine.env["FAKE_PIP_FAILS"] = "1"
    failed = machine.prepare()
    assert failed.returncode == 2 and "run the same command again" in failed.stderr
    del machine.env["FAKE_PIP_FAILS"]
    assert machine.prepare().returncode == 0
    assert f"install {listed('requirements-cpu.txt')[0]}" in machine.pip()


def test_an_active_environment_with_paddle_gets_only_what_it_lacks(machine):
    machine.activate("paddlepaddle-gpu==2.4.2", "numpy==1.21", "opencv-contrib-python==4.6", "tqdm==4.0")
    done = machine.prepare()
    assert done.stdout == f"{machine.home}/active/bin/python any\n", done.stderr
    there = ("paddlepaddle", "numpy", "opencv-python", "tqdm", "paddleseg")
    rest = [line for line in listed("requirements-cpu.txt") if not line.startswith(there)]
    seg = next(line for line in listed("requirements-cpu.txt") if line.startswith("paddleseg"))
    assert machine.pip() == [f"install {line}" for line in [seg, *rest, str(machine.root)]]
    assert "stays as it is" in done.stderr
    assert not (machine.root / ".venv").exists()
    machine.prepare()
    assert machine.pip() == []


def test_an_active_environment_of_another_python_is_passed_over(machine):
    machine.activate("paddlepaddle==2.4.2")
    (machine.home / "active" / "unfit").touch()
    done = machine.prepare()
    assert done.stdout.startswith(f"{machine.root}/.venv/bin/python ")
    assert "not Python 3.10 to 3.12" in done.stderr


def test_its_own_environment_when_active_still_follows_the_requirements(machine):
    machine.prepare()
    machine.pip()
    machine.env["PATH"] = f"{machine.root}/.venv/bin:{machine.bin}"
    with (machine.root / "requirements-cpu.txt").open("a") as file:
        file.write("another>=2\n")
    assert machine.prepare().stdout.startswith(f"{machine.root}/.venv/bin/python ")
    assert "install another>=2" in machine.pip()


def test_a_gpu_gets_the_gpu_requirements(machine):
    machine.add_gpu()
    done = machine.prepare()
    assert (done.returncode, done.stdout) == (0, f"{machine.root}/.venv/bin/python any\n"), done.stderr
    assert machine.pip()[0] == f"install {listed('requirements.txt')[0]}"


@pytest.mark.parametrize(
    ("trouble", "capability", "cuda", "page"),
    [
        ("zeros", "12.0", "13.0", "cu129"),
        ("crash", "9.0", "12.4", "cu126"),
        ("error", "7.5", "11.8", "cu118"),
    ],
)
def test_a_gpu_that_paddle_cannot_drive(machine, trouble, capability, cuda, page):
    machine.add_gpu(capability, cuda, trouble)
    done = machine.prepare()
    assert (done.returncode, done.stdout) == (0, f"{machine.root}/.venv/bin/python \n"), done.stderr
    assert "https://www.paddlepaddle.org.cn/install/quick" in done.stderr
    assert f"https://www.paddlepaddle.org.cn/packages/stable/{page}/" in done.stderr


def test_missing_display_libraries_are_cured_once(machine):
    machine.env["FAKE_NO_LIBGL"] = "1"
    assert machine.prepare().returncode == 0
    opencv = next(line for line in listed("requirements-cpu.txt") if line.startswith("opencv-python="))
    version = opencv.partition("==")[2]
    assert machine.pip()[-2:] == ["uninstall opencv-python", f"install opencv-python-headless=={version}"]
    machine.prepare()
    assert machine.pip() == []


def test_no_fitting_python(machine):
    (machine.home / "base" / "unfit").touch()
    done = machine.prepare()
    assert done.returncode == 2 and "no Python 3.10, 3.11 or 3.12" in done.stderr


def test_python_without_venv(machine):
    machine.env["FAKE_NO_VENV"] = "1"
    done = machine.prepare()
    assert done.returncode == 2 and "python3-venv" in done.stderr
    assert not (machine.root / ".venv").exists()


# --- train.sh and test.sh

COMMAND = "import os, sys; print(os.getcwd(), *sys.argv[1:], sep='|'); sys.exit(3)"


@pytest.mark.parametrize(("script", "command"), [("train.sh", "train"), ("test.sh", "submit")])
def test_a_script_sets_up_and_runs_its_command_where_it_was_called(machine, script, command):
    machine.prepare()
    (machine.root / "work/dehw/__main__.py").write_text(COMMAND)
    elsewhere = machine.home / "else where"
    elsewhere.mkdir()
    line = f'cd "{elsewhere}" && exec {SHELL} "{machine.root}/{script}" "a page.png" --opts "a.b=c d" "e*"'
    done = machine.run([SHELL, "-c", line])
    assert done.stdout == f"{elsewhere}|{command}|--root|{machine.root}|a page.png|--opts|a.b=c d|e*\n", done.stderr
    assert done.returncode == 3


@pytest.mark.parametrize("script", ["train.sh", "test.sh", "check.sh"])
def test_help_prepares_nothing(machine, script):
    done = machine.run([SHELL, script, "--help"])
    assert done.returncode == 0 and f"sh {script}" in done.stdout
    assert machine.pip() == [] and not (machine.root / ".venv").exists()
