"""The shell scripts, run by a strict POSIX shell among made-up interpreters, pip and GPU."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHELL = shutil.which("dash") or shutil.which("sh")
TOOLS = "basename cat cksum cp dirname find grep head ls mkdir mktemp rm sed sh tail tr wc".split()

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


# --- test.sh

MASKS = """
import os, sys
from pathlib import Path
print("masks", *sys.argv[1:])
Path("segoutput").mkdir(exist_ok=True)
if os.environ.get("RECORD"): Path("segoutput/run.json").write_text("{}")
sys.exit(int(os.environ["MASKS"]))
"""
PAGES = """
import os, sys
from pathlib import Path
print("pages", *sys.argv[1:])
Path("submit").mkdir(exist_ok=True)
if os.environ["PAGES"] in "01": Path("submit/result.zip").write_text("zip")
sys.exit(int(os.environ["PAGES"]))
"""


@pytest.fixture
def submission(machine: Machine) -> Machine:
    machine.prepare()
    folder = machine.root / "work" / "pre_and_submit"
    folder.mkdir()
    (folder / "1_predict_segformer.py").write_text(MASKS)
    (folder / "2_predictgan.py").write_text(PAGES)
    return machine


@pytest.mark.parametrize(
    ("masks", "record", "pages", "code", "lines"),
    [
        ("0", "1", "0", 0, ["masks", "pages", "submit/result.zip"]),
        ("1", "1", "1", 1, ["masks", "pages", "submit/result.zip"]),  # a page failed, the others are packed
        ("1", "", "1", 1, ["masks"]),  # a crash
        ("3", "", "0", 3, ["masks"]),  # no weights
        ("0", "1", "2", 2, ["masks", "pages"]),
    ],
)
def test_submission_keeps_the_exit_code(submission, masks, record, pages, code, lines):
    submission.env |= {"MASKS": masks, "RECORD": record, "PAGES": pages}
    for left_over in ("segoutput/run.json", "submit/result.zip"):
        file = submission.root / left_over
        file.parent.mkdir(exist_ok=True)
        file.touch()
        os.utime(file, (0, 0))
    done = submission.run([SHELL, "test.sh"])
    assert done.returncode == code, done.stderr
    assert [line.removeprefix(f"{submission.root}/") for line in done.stdout.splitlines()] == lines


def test_submission_passes_arguments_on_and_finds_pages_from_anywhere(submission):
    submission.env |= {"MASKS": "0", "RECORD": "1", "PAGES": "0"}
    elsewhere = submission.home / "else where"
    elsewhere.mkdir()
    (elsewhere / "a page.png").touch()
    (elsewhere / "lite").mkdir()  # a folder that bears a pipeline's name
    (elsewhere / "own.yml").touch()
    command = f'cd "{elsewhere}" && {SHELL} "{submission.root}/test.sh" "a page.png" lite --pipeline'
    done = submission.run([SHELL, "-c", f"{command} lite"])
    arguments = f"{elsewhere}/a page.png {elsewhere}/lite --pipeline lite"
    assert done.stdout.splitlines()[:2] == [f"masks {arguments}", f"pages {arguments}"]
    done = submission.run([SHELL, "-c", f"{command} own.yml"])
    arguments = f"{elsewhere}/a page.png {elsewhere}/lite --pipeline {elsewhere}/own.yml"
    assert done.stdout.splitlines()[:2] == [f"masks {arguments}", f"pages {arguments}"]


@pytest.mark.parametrize("option", ["--output", "--output=x", "--masks", "--out"])
def test_submission_refuses_folders_that_would_part_its_two_steps(submission, option):
    submission.env |= {"MASKS": "0", "RECORD": "1", "PAGES": "0"}
    done = submission.run([SHELL, "test.sh", option, "x"])
    assert (done.returncode, done.stdout) == (2, "") and "submit/" in done.stderr


@pytest.mark.parametrize("script", ["train.sh", "test.sh", "check.sh"])
def test_help_prepares_nothing(machine, script):
    done = machine.run([SHELL, script, "--help"])
    assert done.returncode == 0 and f"sh {script}" in done.stdout
    assert machine.pip() == [] and not (machine.root / ".venv").exists()


@pytest.mark.parametrize("arguments", ["--pipeline unknown", "--data nowhere", "--data", "page.png"])
def test_training_refuses_wrong_arguments(machine, arguments):
    done = machine.run([SHELL, "train.sh", *arguments.split()])
    assert done.returncode == 2 and "--help" in done.stderr
    assert machine.pip() == []


# --- train.sh

TRAINING = {  # in the place of the program: each part tells how it was called
    "work/dehw/cli.py": "guarded = lambda command: command()",
    "work/dehw/data/pairs.py": "contest_datasets = lambda folder: [folder]",
    "work/dehw/config.py": "load_pipeline = str",
    "work/dehw/engine.py": "import os\ngpu_count = lambda: int(os.environ.get('GPUS', 0))",
    "work/dehw/train/__init__.py": "record_finished = lambda output, pipeline, source: print('recorded', source) or []",
    "work/dehw/train/stages.py": """
import sys
print("stages", *sys.argv[1:], sep="|", file=sys.stderr)
print("mine", "seg a.pdparams configs/a.yml", "erase b.pdparams configs/b.yml", "erase c.pdparams c d.yml", sep="\\n")
""",
}
STAGE = """
import os, sys
from pathlib import Path
print("call", Path(sys.argv[0]).name, *sys.argv[1:], sep="|")
if os.environ.get("FAILS") in sys.argv: sys.exit(3)
given = dict(word.split("=", 1) for word in sys.argv if "=" in word)
file = Path("output/mine/weights") / given.get("network", "a.pdparams")
file.parent.mkdir(parents=True, exist_ok=True)
file.touch()
"""
LAUNCH = """
import runpy, sys
print("launch", *sys.argv[1:4], sep="|")
sys.argv = sys.argv[3:]
runpy.run_path(sys.argv[0])
"""


@pytest.fixture
def training(machine: Machine) -> Machine:
    machine.prepare()
    launcher = {"paddle/__init__.py": (machine.root / ".venv/site/paddle.py").read_text()}
    launcher |= {"paddle/distributed/__init__.py": "", "paddle/distributed/launch.py": LAUNCH}
    scripts = {"work/train/train_seg.py": STAGE, "work/train/train.py": STAGE, "configs/pipelines/mine.yml": ""}
    files = {**TRAINING, **scripts, **{f".venv/site/{name}": text for name, text in launcher.items()}}
    for name, text in files.items():
        file = machine.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (machine.root / "work/dehw/data/__init__.py").touch()
    for folder in ("gts", "masks"):
        (machine.home / "my data" / folder).mkdir(parents=True)
    return machine


def train(machine: Machine, *arguments: str) -> tuple[list[str], subprocess.CompletedProcess]:
    """Run train.sh on the folder `my data`, from the folder above it; returns how the parts were called."""
    command = 'cd "$1"; script=$2; shift 2; exec "$0" "$script" --pipeline mine --data "my data" "$@"'
    script = str(machine.root / "train.sh")
    done = machine.run([SHELL, "-c", command, SHELL, str(machine.home), script, *arguments])
    lines = done.stdout.replace(str(machine.home), "HOME").splitlines()
    return [line for line in lines if line.startswith(("call|", "launch|", "recorded"))], done


def test_training_goes_through_a_pipelines_networks(training):
    shared = "--data|HOME/my data|--device|auto|--opts|pipeline=mine"
    expected = [
        f"call|train_seg.py|--config|configs/a.yml|{shared}",
        f"call|train.py|--config|configs/b.yml|{shared}|network=b.pdparams",
        f"call|train.py|--config|c d.yml|{shared}|network=c.pdparams",
    ]
    calls, done = train(training)
    assert (calls, done.returncode) == ([*expected, "recorded mine"], 0), done.stderr
    (training.root / "output/mine/weights/b.pdparams").unlink()
    (training.root / "output/mine/finished.json").touch()
    assert train(training)[0] == expected[1:2]  # what is done is passed over


def test_training_hands_each_network_its_options(training):
    calls, done = train(training, "--opts", "seg.iters=5", "erase.batch=1", "c.stage1.steps=2", "a.keep=1")
    assert [call.split("pipeline=mine")[1] for call in calls[:3]] == [
        "|iters=5|keep=1",
        "|network=b.pdparams|batch=1",
        "|network=c.pdparams|batch=1|stage1.steps=2",
    ]
    assert [call.split("|")[1] for call in train(training, "--opts", "c.batch=3")[0][:-1]] == ["train.py"]
    calls, done = train(training, "--opts", "sge.iters=5")
    assert (calls, done.returncode) == ([], 2) and "seg erase a b c" in done.stderr


def test_training_takes_networks_from_other_trainings(training):
    for name in ("one", "number two"):
        (training.home / name).mkdir()
    _, done = train(training, "--from", "one", "--from", "number two")
    told = next(line for line in done.stderr.splitlines() if line.startswith("stages|"))
    assert told == f"stages|mine|--from|{training.home}/one|{training.home}/number two"
    calls, done = train(training, "--from", "three")
    assert (calls, done.returncode) == ([], 2) and "--from" in done.stderr


def test_training_stops_where_a_network_fails(training):
    training.env["FAILS"] = "network=b.pdparams"
    calls, done = train(training)
    assert (len(calls), done.returncode) == (2, 3) and "b.pdparams: stopped with exit code 3" in done.stderr


@pytest.mark.parametrize(("gpus", "device", "launched"), [("2", "auto", 3), ("1", "gpu", 0), ("2", "cpu", 0)])
def test_training_runs_on_every_gpu_that_paddle_sees(training, gpus, device, launched):
    training.env["GPUS"] = gpus
    calls, done = train(training, "--device", device)
    assert done.returncode == 0, done.stderr
    launches = [call for call in calls if call.startswith("launch|")]
    scripts = ["train_seg.py", "train.py", "train.py"][:launched]
    assert launches == [f"launch|--log_dir|output/mine/launch|work/train/{script}" for script in scripts]
    assert len([call for call in calls if call.startswith("call|")]) == 3


# --- train.sh with the program itself, cut in every stage

TINY_PIPELINE = """
segment:
  network: {type: segformer_b0, weights: seg.pdparams, args: {embedding_dim: 16}, train: tiny_seg.yml}
  window: 64
  stride: 64
erase:
  networks:
    - {type: mtrnet, weights: one.pdparams, args: {width: 0.0625}, train: tiny_mtrnet.yml}
    - {type: erasenet, weights: two.pdparams, args: {width: 0.03}, train: tiny_erasenet.yml}
  tile: 64
  margin: 8
"""
TINY_SEG = """
_base_: configs/smoke/segformer.yml
iters: 4
save_interval: 2
num_workers: 0
val_count: 1
val_dataset: {size: 64}
test_config: {crop_size: [64, 64], stride: [64, 64]}
"""
TINY_ERASE = """
_base_: configs/smoke/NAME.yml
stage1: {steps: 4}
crops: {size: 32}
validate_mask: gt
validate_every: 2
checkpoint_every: 1
workers: 0
val_count: 1
"""


def whole_repository(home: Path) -> Path:
    """A copy of the repository with a tiny pipeline of three networks and a few tiny pages."""
    import cv2
    import numpy as np

    root = home / "repo"
    for name in ("scripts", "configs", "work/dehw", "work/train"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "weights"))
    for file in ("train.sh", "compute_mask.py", "pyproject.toml", *(path.name for path in ROOT.glob("requirements*"))):
        shutil.copy(ROOT / file, root)
    erase = {f"tiny_{kind}.yml": TINY_ERASE.replace("NAME", kind) for kind in ("mtrnet", "erasenet")}
    for name, text in {"tiny.yml": TINY_PIPELINE, "tiny_seg.yml": TINY_SEG, **erase}.items():
        (root / name).write_text(text)
    rng = np.random.default_rng(0)
    for number in range(4):
        gt = cv2.resize(rng.integers(200, 256, (9, 9, 3)).astype(np.uint8), (72, 68))
        for folder, page in {
            "gts": gt,
            "images": cv2.line(gt.copy(), (5, 9 * number), (60, 40), (30, 30, 160), 5),
        }.items():
            (root / "pages" / folder).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / "pages" / folder / f"{number}.png"), page)
    return root


def start_training(root: Path, log: Path) -> subprocess.Popen:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = {**os.environ, "PATH": path, "PYTHONPATH": str(root / "work"), "PYTHONUNBUFFERED": "1"}
    command = [SHELL, "train.sh", "--pipeline", "tiny.yml", "--data", "pages", "--device", "cpu"]
    with log.open("w") as file:
        return subprocess.Popen(command, cwd=root, env=env, stdout=file, stderr=file, start_new_session=True)


def kill_when(root: Path, log: Path, there: str) -> None:
    """Start the training and kill all of it by SIGKILL as soon as a file of this name is there."""
    training = start_training(root, log)
    while not any(root.glob(there)):
        assert training.poll() is None, log.read_text()
        time.sleep(0.01)
    os.killpg(training.pid, signal.SIGKILL)
    training.wait()


def checksums(root: Path) -> dict[str, str]:
    entries = json.loads((root / "output/tiny/weights/manifest.json").read_text())["networks"]
    return {name: facts["sha256"] for name, facts in entries.items()}


@pytest.mark.slow
def test_a_training_killed_in_every_stage_goes_on_to_the_same_weights(tmp_path):
    """What is left of each cut does no harm, and what was done before it is not done again."""
    whole, cut, log = whole_repository(tmp_path / "whole"), whole_repository(tmp_path / "cut"), tmp_path / "log.txt"
    assert start_training(whole, log).wait() == 0, log.read_text()
    stages = {
        "pages/masks/*.png": "2/5",
        "output/tiny/seg/iter_2/model.pdparams": "3/5",
        "output/tiny/erase/one/stage1/step_0000001.pdckpt": "4/5",
        "output/tiny/erase/two/stage1/step_0000003.pdckpt": "5/5",
        "output/tiny/erase/two/stage2/step_*.pdckpt": "5/5",
    }
    for there, stage in stages.items():
        kill_when(cut, log, there)
        assert f"train: {stage}" in log.read_text()
        assert not (cut / "output/tiny/finished.json").exists()
    assert start_training(cut, log).wait() == 0, log.read_text()
    told = [line for line in log.read_text().splitlines() if line.startswith("train: ")]
    assert [("done before" in line) for line in told[1:5]] == [True, True, True, False]
    assert checksums(cut) == checksums(whole) and len(checksums(whole)) == 3
    assert json.loads((cut / "output/tiny/finished.json").read_text())["networks"] == list(checksums(whole))
