"""docs/seeds.md: what it names is there, and its commands do what the seeds did, typed as they stand."""

import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("paddleseg")
import compute_mask  # noqa: E402
import dehw.train  # noqa: E402
from dehw import models  # noqa: E402
from dehw.commands import main  # noqa: E402
from dehw.config import Pipeline, load_pipeline, read  # noqa: E402
from dehw.config.reader import _keys  # noqa: E402
from dehw.engine import weights  # noqa: E402
from dehw.files.images import write_image  # noqa: E402
from dehw.train import erase, pipeline, seg  # noqa: E402
from dehw.train.segconfig import RunSettings  # noqa: E402

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "docs/seeds.md").read_text(encoding="utf-8")
BLOCKS = [block.splitlines() for block in re.findall(r"^```sh\n(.*?)^```$", TEXT, re.DOTALL | re.MULTILINE)]
FIRST, SECOND = BLOCKS[:2]
SPAN = re.compile(r"`([^`]+)`")


def rows() -> list[list[str]]:
    """The cells of the two tables of five columns, without their heads."""
    cells = [
        [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in TEXT.splitlines() if line[:1] == "|"
    ]
    return [row for row in cells if len(row) == 5 and row[0] != "the seed" and set(row[0]) != {"-"}]


def test_every_statement_of_the_seeds_has_a_place():
    assert len(rows()) > 60
    named = {row[0]: SPAN.findall(row[1]) for row in rows()}
    there = {
        statement: places
        and all((ROOT / place).is_file() or (ROOT / "work/dehw" / place).is_file() for place in places)
        for statement, places in named.items()
    }
    assert [statement for statement, found in there.items() if not found] == []
    assert len(named) == len(rows())


def known(key: str) -> bool:
    """Whether a pipeline, a configuration that trains, a network or compute_mask.py has this key."""
    *above, last = key.split(".")
    if key.startswith("--"):
        return key in compute_mask._parser()._option_string_actions
    if above == ["args"]:
        return any(last in inspect.signature(build).parameters for build in models.MODELS.values())
    node = read(ROOT / "configs/segformer_b2.yml")[0]
    for name in above:
        node = node.get(name) if isinstance(node, dict) else None
    if isinstance(node, dict) and last in node:
        return True
    for schema in (Pipeline, erase.EraseTraining, RunSettings):
        try:
            if last in _keys(schema, above):
                return True
        except (KeyError, TypeError):  # there is no such block
            continue
    return False


def test_every_key_exists():
    keys = {key for row in rows() for key in SPAN.findall(row[2])}
    assert len(keys) > 30
    assert [key for key in sorted(keys) if not known(key)] == []
    assert not known("erase.margins") and not known("crops.recipes.mixups") and not known("args.widht")


def commands() -> set[str]:
    """All that are named, in blocks and tables."""
    return {line for block in BLOCKS for line in block} | {row[3].strip("`") for row in rows()}


def test_every_command_is_understood():
    """dehw's own are checked with those of the other pages, in test_readme.py."""
    parsers = {
        "train_seg.py": dehw.train._parser("", ""),
        "train.py": dehw.train._parser("", ""),
        "compute_mask.py": compute_mask._parser(),
    }
    for command in commands():
        program, *words = shlex.split(command)
        if program == "python" and words[0] != "-m":
            assert (ROOT / words[0]).is_file()
            if parser := parsers.get(Path(words[0]).name):
                parser.parse_args(words[1:])
        elif program == "sh":
            args = main.parser().parse_args([{"train.sh": "train", "test.sh": "submit"}[words[0]], *words[1:]])
            if words[0] == "train.sh":
                pipeline.network_steps(load_pipeline(args.pipeline), args.opts, [ROOT])
        else:
            assert program in ("dehw", "unzip", "pip", "cd", "zip", "python"), command


def test_the_trainings_typed_bare_are_the_seeds(monkeypatch):
    """The first seed's generator with its discriminator; of the second two networks, without discriminator or masks."""
    read_by = {}
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(seg, "train", lambda config, opts, *rest: read_by.update(seg=seg.read_config(config, opts)[1]))
    monkeypatch.setattr(erase, "train", lambda config, opts, *rest: read_by.update(erase=load(config, opts)))
    load = lambda config, opts: erase.load(config, erase.EraseTraining, opts)  # noqa: E731
    assert dehw.train.train_segmenter([]) == dehw.train.train_generator([]) == 0
    first = load_pipeline("seed000")
    assert read_by["seg"].pipeline == read_by["erase"].pipeline == "seed000"
    assert [network.type for network in first.networks] == ["segformer_b2", "mtrnet"]
    assert read_by["erase"].stage1.adversary is not None and read_by["erase"].stage2 is None

    second = load_pipeline(main.parser().parse_args(["train"]).pipeline)
    assert second.segment is None and second.erase.views == ["identity", "hflip"]
    assert [network.args for network in second.networks] == [{}, {"refinement": "nonlocal"}]
    for step in pipeline.network_steps(second, [], [ROOT]):
        config = load(str(step.config), step.opts("seed001"))
        assert config.stage1.adversary is None and config.stage2 is not None


# --- by the shell, with small networks on made-up zips

TOY = {
    "segformer_b2.yml": """
        iters: 4
        save_interval: 2
        batch_size: 2
        num_workers: 0
        train_dataset: {size: 64, buffer: 2}
        val_dataset: {size: 64}
        model: {embedding_dim: 16, backbone: {type: MixVisionTransformer_B0, pretrained: null}}
        lr_scheduler: {warmup_iters: 2}
        test_config: {crop_size: [64, 64], stride: [64, 64]}""",
    "mtrnet.yml": "stage1: {steps: 2}",
    "erasenet.yml": "stage1: {steps: 2}\nstage2: {steps: 1}",
    "erasenet_nonlocal.yml": "stage1: {steps: 2}\nstage2: {steps: 1}",
    "pipelines/seed000.yml": """
        segment: {network: {type: segformer_b0, args: {embedding_dim: 16}}, window: 128, stride: 64}
        erase:
          tile: 128
          networks:
            - type: mtrnet
              weights: mtrnet.pdparams
              args: {width: 0.0625, whiten: true}
              train: configs/mtrnet.yml""",
    "pipelines/seed001.yml": """
        erase:
          tile: 128
          margin: 26
          networks:
            - {type: erasenet, weights: erasenet.pdparams, args: {width: 0.0625}, train: configs/erasenet.yml}
            - type: erasenet
              weights: erasenet_nonlocal.pdparams
              args: {width: 0.0625, refinement: nonlocal}
              train: configs/erasenet_nonlocal.yml""",
}
GENERATOR = """
batch: 1
crops: {size: 64, buffer: 2}
workers: 0
val_pages: 1
validate_every: 2
checkpoint_every: 2
"""
HEIGHT, WIDTH = 190, 260  # of the made-up pages; MS-SSIM needs 176


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the repository whose networks and trainings are small, with the contest's zips in place."""
    root = tmp_path / "checkout"
    ignored = shutil.ignore_patterns("__pycache__", "pretrain", "shipped")
    for name in ("work", "configs", "scripts", "requirements"):
        shutil.copytree(ROOT / name, root / name, ignore=ignored)
    for file in (
        *ROOT.glob("*.sh"),
        *ROOT.glob("requirements*.txt"),
        ROOT / "pyproject.toml",
        ROOT / "compute_mask.py",
    ):
        shutil.copy(file, root)
    shutil.copytree(root / "configs", root / "whole")
    for name, text in TOY.items():
        base = "../" * (1 + name.count("/")) + f"whole/{name}"
        rest = "" if "pipelines" in name or "seg" in name else GENERATOR
        (root / "configs" / name).write_text(f"_base_: {base}\n{inspect.cleandoc(text)}\n{rest}")
    write_zips(root / "data/data126591", tmp_path / "pages")
    return root


def write_zips(zips: Path, scratch: Path) -> None:
    """dataset1 with pages and labels, dataset2 with ground truths too, and list B, each in a folder of its name."""
    rng = np.random.default_rng(0)
    for number in range(3):
        for name, home in (("dataset1", "Annotations"), ("dataset2", "gts"), ("dehw_testB_dataset", "")):
            page = np.full((HEIGHT, WIDTH, 3), 240, np.uint8)
            page[20:-20:12, 15:-15:6] = 40
            label = np.zeros((HEIGHT, WIDTH), np.uint8)
            for row in rng.integers(20, HEIGHT - 20, 4):
                label[row : row + 4, 30:-30] = 1
            stem = f"dehw_{'train' if home else 'testB'}_{number:05d}" + ("_0_1" if name == "dataset1" else "")
            inked = np.where(label[..., None], np.uint8([30, 40, 200]), page)
            write_image(scratch / name / ("JPEGImages" if home else "") / f"{stem}.jpg", inked)
            if home:
                write_image(scratch / name / home / f"{stem}.png", label if home == "Annotations" else page)
    zips.mkdir(parents=True)
    for folder in scratch.iterdir():
        with zipfile.ZipFile(zips / f"{folder.name}.zip", "w") as archive:
            for file in sorted(folder.rglob("*.*")):
                archive.write(file, file.relative_to(scratch))


def type_in(lines: list[str], root: Path) -> str:
    """Have a shell run these lines, one after another; returns what they say on stderr."""
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    small = {"PIP_DRY_RUN": "1", "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    env = {**os.environ, **small, "PATH": programs, "PYTHONPATH": str(root / "work")}
    done = subprocess.run(["sh", "-e"], input="\n".join(lines), cwd=root, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


def check_submission(root: Path, stems: list[str], pipeline: str) -> None:
    """The folder and its zip hold these pages and the readme, which names what was trained."""
    names = sorted([*(f"{stem}.png" for stem in stems), "readme.txt"])
    assert sorted(path.name for path in (root / "submit").glob("*.*")) == sorted([*names, "result.zip"])
    with zipfile.ZipFile(root / "submit/result.zip") as archive:
        assert sorted(archive.namelist()) == names and archive.testzip() is None
        assert all(Image.open(archive.open(f"{stem}.png")).size == (WIDTH, HEIGHT) for stem in stems)
        assert re.search(
            rf"pipeline: {pipeline} \(trained in .*output/{pipeline},", archive.read("readme.txt").decode()
        )


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("zip") and shutil.which("unzip")), reason="zip and unzip are not installed")
def test_the_seeds_commands_work_as_they_stand_in_their_order(checkout):
    stems = [f"dehw_testB_{number:05d}" for number in range(3)]
    told = type_in(FIRST, checkout)
    assert "dataset1 is left out: it holds no gts/, which a generator learns from" in told
    folder = checkout / "output/seed000/weights"
    assert sorted(path.name for path in folder.glob("*.pdparams")) == ["mtrnet.pdparams", "segformer_b2.pdparams"]
    assert weights.manifest(folder)["segformer_b2.pdparams"]["sources"] == ["dataset1"]
    assert weights.manifest(folder)["mtrnet.pdparams"]["sources"] == ["dataset2"]
    (last,) = (checkout / "output/seed000/erase/mtrnet/stage1").glob("step_*2.pdckpt")
    assert weights.read(last)["discriminator"]
    assert sorted(path.stem for path in (checkout / "segoutput").glob("*.png")) == stems
    check_submission(checkout, stems, "seed000")

    pages = checkout / "data/dehw_testB_dataset"
    (pages / f"{stems[0]}.jpg").rename(pages / "another.jpg")
    told = type_in(SECOND, checkout)
    first_line = next(line for line in told.splitlines() if line.startswith("train: "))
    assert first_line.startswith("train: pipeline seed001: erasenet.pdparams (erasenet), erasenet_nonlocal.pdparams (")
    assert list((checkout / "output/seed001/masks").rglob("*.png"))
    assert weights.manifest(checkout / "output/seed001/weights").keys() == {
        "erasenet.pdparams", "erasenet_nonlocal.pdparams",
    }  # fmt: skip
    check_submission(checkout, ["another", *stems[1:]], "seed001")
