"""Strict configurations: what is accepted, where they are found, and what a refused one is told."""

import shutil
import subprocess
import sys
from dataclasses import field, replace
from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field
from pydantic.dataclasses import dataclass

from dehw import config
from dehw.errors import ConfigError, ExitCode

ROOT = Path(__file__).parents[1]


@dataclass(config=config.STRICT)
class Optimizer:
    lr: Annotated[float, Field(ge=0, le=100)] = 1e-3
    betas: list[float] = field(default_factory=lambda: [0.9, 0.999])


@dataclass(config=config.STRICT)
class Training:
    iters: int
    optimizer: Optimizer = field(default_factory=Optimizer)
    amp: bool = False
    resume: str | None = None
    mask: Literal["pipeline", "gt", "none"] = "gt"
    args: dict = field(default_factory=dict)
    stages: list[Optimizer] = field(default_factory=list)
    window: Optimizer | None = None

    def __post_init__(self):
        if self.mask == "none" and self.amp:
            raise ValueError("amp needs a mask")


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def file(tmp_path):
    return lambda text, name="a.yml": write(tmp_path / name, text)


def refusal(path, *opts, schema=Training):
    with pytest.raises(ConfigError) as caught:
        config.load(path, schema, opts)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == ExitCode.USAGE
    return str(caught.value)


def test_values_reach_nested_dataclasses(file):
    loaded = config.load(file("iters: 5\noptimizer: {lr: 1e-4, betas: [0, 1]}\nstages: [{lr: 2}]\n"), Training)
    assert loaded == Training(5, Optimizer(1e-4, [0.0, 1.0]), stages=[Optimizer(2.0)])
    assert isinstance(loaded.stages[0].lr, float)


@pytest.mark.parametrize(
    ("text", "number"),
    [("1e-4", 1e-4), ("1E+3", 1e3), ("2.5e-5", 2.5e-5), ("-3e2", -300.0), ("7", 7.0), (".5", 0.5)],
)
def test_numbers_read_as_people_write_them(file, text, number):
    assert config.load(file(f"iters: 1\noptimizer: {{betas: [{text}]}}"), Training).optimizer.betas == [number]


def test_base_is_merged_key_by_key_and_lists_are_replaced(file):
    file("iters: 1\namp: true\noptimizer: {lr: 0.5, betas: [1, 2, 3]}\nargs: {a: 1, b: 2}", "base.yml")
    file("_base_: base.yml\niters: 2\noptimizer: {betas: [4]}\nargs: {b: 3}", "middle.yml")
    loaded = config.load(file("_base_: middle.yml\nresume: x"), Training)
    assert loaded == Training(2, Optimizer(0.5, [4.0]), True, "x", args={"a": 1, "b": 3})


def test_base_is_looked_for_beside_the_file_that_names_it(file, tmp_path, monkeypatch):
    (tmp_path / "deep").mkdir()
    file("iters: 1", "base.yml")
    path = write(tmp_path / "deep" / "a.yml", "_base_: ../base.yml")
    monkeypatch.chdir("/")
    assert config.load(path, Training).iters == 1


def test_bases_in_a_circle_are_refused(file):
    file("_base_: a.yml", "b.yml")
    assert "_base_" in refusal(file("_base_: b.yml\niters: 1"))


def test_a_missing_base_is_named(file):
    with pytest.raises(ConfigError, match="gone.yml.*cannot be read"):
        config.load(file("_base_: gone.yml\niters: 1"), Training)


def test_overrides_set_any_value(file):
    opts = [
        "optimizer.lr=1e-5",
        "amp=true",
        "args.new.deep=[1, 2]",
        "stages.1.lr=9",
        "resume=null",
        "optimizer.betas.0=0",
        "args.text=a b=c",
        'args.quoted="a b"',
    ]
    loaded = config.load(
        file("iters: 1\nresume: x\noptimizer: {betas: [7, 8]}\nstages: [{lr: 1}, {lr: 2}]"), Training, opts
    )
    assert loaded.optimizer == Optimizer(1e-5, [0.0, 8.0])
    assert loaded.amp and loaded.resume is None
    assert loaded.args == {"new": {"deep": [1, 2]}, "text": "a b=c", "quoted": "a b"}
    assert [stage.lr for stage in loaded.stages] == [1, 9]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("iters: 1\nitres: 2", ["itres", "iters"]),
        ("iters: 1\noptimizer: {lrr: 1}", ["optimizer.lrr", "'lr'"]),
        ("iters: 1\nstages: [{lr: 1}, {beta: [1]}]", ["stages.1.beta", "'betas'"]),
        ("amp: true", ["iters", "missing"]),
        ("iters: many", ["iters", "whole number", "'many'"]),
        ("iters: 1.5", ["iters", "whole number"]),
        ("iters: true", ["iters", "whole number"]),
        ("iters:", ["iters", "nothing"]),
        ("iters: 1\namp: 1", ["amp", "true or false"]),
        ("iters: 1\nresume: 3", ["resume", "text"]),
        ("iters: '1'", ["iters", "whole number", "'1' (str)"]),
        ("iters: 1\nargs: [1]", ["args", "key: value"]),
        ("iters: 1\non: 1", ["key True is not text"]),
        ("iters: 1\noptimizer: {lr: true}", ["optimizer.lr", "a number"]),
        ("iters: 1\noptimizer: {lr: -1}", ["optimizer.lr", "at least 0", "-1"]),
        ("iters: 1\noptimizer: {lr: 101}", ["optimizer.lr", "at most 100", "101"]),
        ("iters: 1\noptimizer: {lr: .inf}", ["optimizer.lr", "number", "inf"]),
        ("iters: 1\nwindow: {lrr: 1}", ["window.lrr", "'lr'"]),
        ("iters: 1\nmask: none\namp: true", ["amp needs a mask"]),
        ("iters: 1\noptimizer: {betas: 0.9}", ["optimizer.betas", "a list"]),
        ("iters: 1\noptimizer: {betas: [a]}", ["optimizer.betas.0", "a number"]),
        ("iters: 1\noptimizer: adam", ["optimizer", "lr, betas", "'adam'"]),
        ("iters: 1\nmask: pipelin", ["mask", "did you mean 'pipeline'", "'gt' or 'none'"]),
        ("iters: 1\niters: 2", ["iters", "twice"]),
        ("iters: [1", ["YAML"]),
        ("- 1", ["key: value"]),
        ("", ["key: value"]),
    ],
)
def test_a_refusal_names_file_key_and_cure(file, text, words):
    message = refusal(file(text))
    assert [word for word in words if word not in message] == []


@pytest.mark.parametrize(
    ("opt", "words"),
    [
        ("optimiser.lr=1", ["optimiser", "'optimizer'"]),
        ("iters=x", ["iters", "whole number"]),
        ("iters", ["key.key=value"]),
        ("iters.deep=1", ["iters.deep", "1 (int)"]),
        ("stages.5.lr=1", ["stages.5.lr"]),
        ("iters=[1", ["YAML"]),
    ],
)
def test_a_refused_override_is_named(file, opt, words):
    message = refusal(file("iters: 1\nstages: [{lr: 1}]"), opt)
    assert [word for word in [opt, *words] if word not in message] == []


def test_all_problems_of_a_file_are_told_at_once(file):
    message = refusal(file("itres: 1\namp: maybe\nstages: [{lr: -1}, 3]"), "mask=all")
    assert "6 problems" in message and len(message.splitlines()) == 1 + 6
    words = ["'iters' is missing", "'itres' (did you mean 'iters'?)", "'amp'", "'stages.0.lr'", "'stages.1'", "'mask'"]
    assert [word for word in words if word not in message] == []


def test_schemas_are_checked_when_made_in_python_too():
    assert isinstance(Optimizer(1).lr, float)
    for wrong in ({"iters": 1.5}, {"iters": True}, {"iters": 1, "itres": 1}, {"iters": 1, "mask": "none", "amp": True}):
        with pytest.raises(ValueError):
            Training(**wrong)
    with pytest.raises(ValueError, match="lr"):
        replace(Optimizer(), lr=-1.0)


def test_overrides_of_a_foreign_grammar_begin_no_blocks(file):
    path = file("model: {backbone: {a: 1}}")
    assert config.read(path, ["model.new=1", "model.backbone.a=x"], grow=False)[0] == {
        "model": {"backbone": {"a": "x"}, "new": 1}
    }
    with pytest.raises(ConfigError, match="model.backbon.a .*'backbon'.*did you mean 'backbone'"):
        config.read(path, ["model.backbon.a=1"], grow=False)


def test_a_missing_file_is_named(tmp_path):
    assert "cannot be read" in refusal(tmp_path / "none.yml")


def test_shipped_pipelines_are_read_by_name():
    lite, full = config.load_pipeline("lite"), config.load_pipeline("erasenet")
    assert (lite.name, full.name) == ("lite", "erasenet")
    assert full.segment.network.type == "segformer_b2"
    assert (full.segment.window, full.segment.stride) == (512, 256)
    # seed 001: windows of 512 answer for their 300 px centre, each also mirrored
    assert full.erase.tile - 2 * full.erase.margin == 300
    assert full.erase.views == full.segment.views == ["identity", "hflip"]
    assert full.erase.cmp and lite.erase.cmp
    assert lite.line_height and full.line_height is None
    assert all(pipeline.train.startswith("sh train.sh") for pipeline in (lite, full))


def test_a_pipeline_is_read_from_any_file_and_overridden(file):
    path = file("erase: {networks: [{type: erasenet, weights: w.pdparams}]}", "own.yml")
    pipeline = config.load_pipeline(path, ["erase.networks.0.args.width=0.5", "line_height=20"])
    assert pipeline.name == "own"
    assert pipeline.segment is None
    assert pipeline.erase.networks == [config.NetworkConfig("erasenet", "w.pdparams", {"width": 0.5})]
    assert pipeline.line_height == 20.0
    assert pipeline.mask == config.Mask()


def test_shipped_configurations_are_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert config.find_config("configs/erasenet.yml") == ROOT / "configs/erasenet.yml"
    assert config.load_pipeline("configs/pipelines/lite.yml") == config.load_pipeline("lite")
    own = tmp_path / "configs" / "erasenet.yml"
    own.parent.mkdir()
    own.touch()
    assert config.find_config("configs/erasenet.yml").resolve() == own  # what lies in the folder comes first
    assert config.find_config("configs/none.yml") == Path("configs/none.yml")


def test_an_installed_package_has_its_own_configurations(tmp_path):
    package = tmp_path / "site-packages" / "dehw"
    shutil.copytree(ROOT / "work/dehw", package, ignore=shutil.ignore_patterns("shipped", "__pycache__"))
    shutil.copytree(ROOT / "configs", package / "configs")
    code = "from dehw.config import *; print(load_pipeline('lite').name, find_config('configs/erasenet.yml'))"
    command = [sys.executable, "-c", code]
    told = subprocess.run(command, cwd=package.parent, capture_output=True, text=True, check=True).stdout
    assert told.split() == ["lite", str(package / "configs/erasenet.yml")]


def test_an_unknown_pipeline_is_told_the_known_ones():
    with pytest.raises(ConfigError, match="'lite'.*erasenet,.* lite"):
        config.load_pipeline("lit")


CHAIN = ("erase.tile", "erase.networks")  # settings of generators


@pytest.mark.parametrize(
    ("opt", "word"),
    [
        ("segment.stride=1100", "segment.stride"),
        ("segment.window=1000", "segment.window must be a multiple of 32 px for ppocr_small, such as 1024, got 1000"),
        ("segment.views=[hflp]", "'hflip'"),
        ("erase.views=[]", "erase.views"),
        ("erase.margin=256", "erase.margin"),
        ("erase.tile=500", "erase.tile must be a multiple of 32 px for erasenet, such as 512, got 500"),
        ("erase.networks=[]", "give networks, or paper"),
        ("erase.networks.0.weight=0", "erase.networks.0.weight"),
        ("erase.networks.0.weights=a/b.pdparams", "bare file name"),
        ("mask.threshold=1.5", "mask.threshold"),
        ("mask.dilate=-1", "mask.dilate"),
        ("line_height=0", "line_height"),
        ("segment.batch=0", "segment.batch"),
        ("segment.scales=[1.0]", "scales"),
        ("segment.skip=0", "skip"),
        ("segment.codes=true", "codes"),
        ("mask.low=0.2", "low"),
        ("erase.paper=0", "give networks, or paper"),
        ("erase.cmp=false", "paper needs cmp"),
        ("line_height=null", "printed needs line_height"),
    ],
)
def test_values_that_cannot_work_are_refused(opt, word):
    with pytest.raises(ConfigError) as caught:
        config.load_pipeline("lite_chain" if opt.startswith(CHAIN) else "lite", [opt])
    assert word in str(caught.value)


def test_tiles_fit_each_of_the_generators():
    """MTRNet takes multiples of 4, EraseNet of 32; both in one pipeline, of 32."""
    assert config.load_pipeline("seed000", ["erase.tile=500"]).erase.tile == 500
    with pytest.raises(ConfigError, match="multiple of 4 px for mtrnet"):
        config.load_pipeline("seed000", ["erase.tile=510"])
    with pytest.raises(ConfigError, match="multiple of 32 px for erasenet"):
        config.load_pipeline("full", ["erase.tile=500"])


def test_the_sides_that_tiles_need_are_those_the_networks_ask_for():
    from dehw.models import erasenet, mtrnet, ppocr

    assert config.SIDES == {"erasenet": erasenet.DOWN, "mtrnet": mtrnet.DOWN, "ppocr_small": ppocr.DOWN}
