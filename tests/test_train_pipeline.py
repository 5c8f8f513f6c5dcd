"""`dehw train`: which steps run, on what, and why.

But in the last test a stand-in takes the place of the training itself. It records its steps as training does, and
leaves weights and a checkpoint that name the data.
"""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("paddleseg")
import paddle  # noqa: E402

from dehw import models  # noqa: E402
from dehw.commands import main  # noqa: E402
from dehw.config import NetworkConfig, load_pipeline  # noqa: E402
from dehw.data.pairs import find_pairs  # noqa: E402
from dehw.engine import weights  # noqa: E402
from dehw.errors import ExitCode  # noqa: E402
from dehw.files.images import read_image, read_mask, write_image  # noqa: E402
from dehw.page.masks import soft_mask  # noqa: E402
from dehw.train import pipeline, steps  # noqa: E402

ROOT = Path(__file__).parents[1]
PIPELINE = """
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
SEG = """
_base_: CONFIGS/smoke/segformer.yml
data: [data]
iters: 4
save_interval: 2
num_workers: 0
val_count: 1
val_dataset: {size: 64}
test_config: {crop_size: [64, 64], stride: [64, 64]}
"""
ERASE = """
_base_: CONFIGS/smoke/NAME.yml
data: data
stage1: {steps: 4}
crops: {size: 32}
validate_mask: gt
validate_every: 2
checkpoint_every: 1
workers: 0
val_count: 1
"""
WITHOUT_RECIPES = "{mixup: 0.0, distractors: 0.0, handwriting: 0.0}"
GBK = os.fsdecode(b"\xca\xd4\xbe\xed")  # a name as it looks that was unpacked from a zip made on Windows


def write_pairs(folder: Path, count: int = 4, thickness: int = 5) -> Path:
    rng = np.random.default_rng(0)
    for number in range(count):
        gt = cv2.resize(rng.integers(200, 256, (9, 9, 3)).astype(np.uint8), (72, 68))
        image = cv2.line(gt.copy(), (5, 9 * number), (60, 40), (30, 30, 160), thickness)
        write_image(folder / f"images/{number}.png", image)
        write_image(folder / f"gts/{number}.png", gt)
    return folder


def write_pipeline(folder: Path, recipes: bool = False) -> None:
    """The pipeline `tiny.yml` and the configurations that train its networks."""
    seg, erase = SEG, ERASE
    if not recipes:
        seg += f"train_dataset: {{recipes: {WITHOUT_RECIPES}}}\n"
        erase = erase.replace("crops: {size: 32}", f"crops: {{size: 32, recipes: {WITHOUT_RECIPES}}}")
    texts = {"tiny.yml": PIPELINE, "tiny_seg.yml": seg}
    texts |= {f"tiny_{kind}.yml": erase.replace("NAME", kind) for kind in ("mtrnet", "erasenet")}
    for name, text in texts.items():
        (folder / name).write_text(text.replace("CONFIGS", str(ROOT / "configs")))


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """A folder with the pipeline and the dataset `a`, current, in which steps are recorded but nothing is learnt."""
    write_pipeline(tmp_path)
    write_pairs(tmp_path / "a")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(pipeline.Chain, "_train", stand_in)
    return tmp_path


def stand_in(chain: pipeline.Chain, number: str, step: pipeline.NetworkStep, device: str, gpus: int) -> None:
    folder, made_of = chain._folder(step), chain._made_of(step)
    steps.begin(folder, made_of)
    (folder / "checkpoint").write_bytes(os.fsencode(chain.folders[0]))
    path = chain.home / "weights" / step.network.weights
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(os.fsencode(f"{chain.folders[0]} {step.asked}"))
    steps.finish(folder, made_of)


def train(*arguments: object) -> int:
    words = ["train", "--pipeline", "tiny.yml", "--device", "cpu", *map(str, arguments)]
    return main.main(words)


def told(capsys) -> dict[str, str]:
    """What was said of each step, by its number."""
    lines = re.findall(r"^train: (\d)/\d (.*)$", capsys.readouterr().err, re.MULTILINE)
    return dict(lines)


def snapshot(folder: Path) -> dict[Path, tuple[str, int]]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path: (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns) for path in files}


def test_all_steps_run_once_and_the_data_stays_as_it_is(home, capsys):
    before = snapshot(home / "a")
    assert train("--data", "a") == ExitCode.OK
    out, err = capsys.readouterr()
    assert out == "output/tiny/finished.json\n"
    assert err.splitlines()[0].startswith("train: pipeline tiny: seg.pdparams (segformer_b0), one.pdparams (mtrnet)")
    assert json.loads(Path("output/tiny/finished.json").read_text())["pipeline"] == str(home / "tiny.yml")
    for pair in find_pairs("a", "output/tiny/masks"):
        assert pair.mask == Path(f"output/tiny/masks/a/{pair.stem}.png")
        expected = soft_mask(read_image(pair.image), read_image(pair.gt))
        np.testing.assert_allclose(read_mask(pair.mask), expected, atol=0.01)
    assert snapshot(home / "a") == before
    assert train("--data", "a") == ExitCode.OK
    assert all("done before" in line for number, line in told(capsys).items() if number != "1")


def test_other_data_is_trained_on_and_the_training_before_is_kept(home, capsys):
    train("--data", "a")
    write_pairs(home / "b", thickness=7)
    capsys.readouterr()
    assert train("--data", "b") == ExitCode.OK
    lines = told(capsys)
    assert all("data changed since; the training before is now output/tiny/" in lines[number] for number in "345")
    assert Path("output/tiny/seg/checkpoint").read_text() == str(home / "b")
    assert Path("output/tiny/seg.1/checkpoint").read_text() == str(home / "a")
    for name, place in {"seg": "seg.1", "one": "erase/one.1", "two": "erase/two.1"}.items():
        assert Path(f"output/tiny/{place}/{name}.pdparams").read_text().startswith(f"{home / 'a'} ")
        assert Path(f"output/tiny/weights/{name}.pdparams").read_text().startswith(f"{home / 'b'} ")
    train("--data", "a")
    assert Path("output/tiny/seg.2/checkpoint").read_text() == str(home / "b")


def test_a_half_done_training_goes_on_with_its_own_data_alone(home, capsys, monkeypatch):
    def cut(chain, number, step, device, gpus):
        steps.begin(chain._folder(step), chain._made_of(step))
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pipeline.Chain, "_train", cut)
        assert train("--data", "a") == 130
        assert "stopped; the same command goes on" in capsys.readouterr().err
    train("--data", "a")
    assert "changed" not in told(capsys)["3"] and not Path("output/tiny/seg.1").exists()
    write_pairs(home / "a", count=5)
    train("--data", "a")
    assert "data changed since" in told(capsys)["3"] and Path("output/tiny/seg.1").exists()


def test_finished_json_goes_aside_with_the_weights_that_it_tells_of(home, monkeypatch):
    train("--data", "a")
    monkeypatch.setattr(pipeline.Chain, "_train", lambda *arguments: (_ for _ in ()).throw(KeyboardInterrupt))
    train("--data", "a", "--opts", "seg.seed=1")
    assert not Path("output/tiny/finished.json").exists() and Path("output/tiny/seg.1/finished.json").is_file()


def test_networks_of_other_data_are_no_finished_training(home, monkeypatch):
    train("--data", "a")
    write_pairs(home / "b", thickness=7)

    def cut(chain, number, step, device, gpus):
        stand_in(chain, number, step, device, gpus)
        if number == "3/5":
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pipeline.Chain, "_train", cut)
        train("--data", "b")
    assert Path("output/tiny/weights/seg.pdparams").is_file() and not Path("output/tiny/finished.json").exists()
    train("--data", "b")
    assert Path("output/tiny/finished.json").is_file()


def test_another_configuration_is_trained_anew_and_another_pace_goes_on(home, capsys):
    train("--data", "a")
    capsys.readouterr()
    train("--data", "a", "--opts", "two.stage1.learning_rate=0.5")
    lines = told(capsys)
    assert "stage1.learning_rate was 0.0001 and is 0.5; the training before is now" in lines["5"]
    assert "done before" in lines["3"] and "done before" in lines["4"]
    train("--data", "a", "--opts", "two.stage1.learning_rate=0.5", "two.stage1.steps=9", "seg.iters=8")
    lines = told(capsys)
    assert lines["5"].endswith("two.pdparams: stage1.steps was 4 and is 9; by tiny_erasenet.yml")
    assert "iters was 4 and is 8; by" in lines["3"]


def test_another_segmenter_has_those_trained_again_that_were_chosen_by_its_masks(home, capsys):
    (home / "tiny_mtrnet.yml").write_text((home / "tiny_mtrnet.yml").read_text().replace(": gt", ": pipeline"))
    train("--data", "a")
    capsys.readouterr()
    train("--data", "a", "--opts", "seg.seed=1")
    lines = told(capsys)
    assert "seed was 2022 and is 1" in lines["3"] and "seg.pdparams changed since" in lines["4"]
    assert "done before" in lines["5"]


def test_another_version_trains_again(home, capsys, monkeypatch):
    train("--data", "a")
    monkeypatch.setattr("dehw.__version__", "9.9")
    train("--data", "a")
    assert "and is 9.9" in told(capsys)["3"]


def test_a_replaced_page_gets_a_new_mask_and_the_others_keep_theirs(home):
    train("--data", "a")
    before = snapshot(Path("output/tiny/masks"))
    write_image("a/images/1.png", read_image("a/gts/1.png"))  # without any handwriting
    train("--data", "a")
    after = snapshot(Path("output/tiny/masks"))
    changed = {path.name for path in after if after[path] != before[path]}
    assert changed == {"1.png", "index.json"} and not read_mask("output/tiny/masks/a/1.png").any()


def test_masks_that_a_dataset_brings_are_used_and_not_made_again(home):
    own = np.zeros((68, 72), np.uint8)
    write_image("a/masks/2.png", own)
    train("--data", "a")
    assert sorted(path.stem for path in Path("output/tiny/masks/a").glob("*.png")) == ["0", "1", "3"]
    masks = {pair.stem: pair.mask for pair in find_pairs("a", "output/tiny/masks")}
    assert masks["2"] == Path("a/masks/2.png") and masks["3"] == Path("output/tiny/masks/a/3.png")


def write_both_datasets(home: Path) -> None:
    """The first seed's: dataset1 with labels and no ground truths, dataset2 with ground truths, and a test set."""
    write_pairs(home / "data/dataset2")
    (write_pairs(home / "data/dataset1") / "gts").rename(home / "data/dataset1/Annotations")
    write_image(home / "data/dehw_testB_dataset/images/t.png", np.zeros((68, 72, 3), np.uint8))
    for number in range(4):
        label = np.zeros((68, 72), np.uint8)
        label[number : 30 + number] = 1
        write_image(home / f"data/dataset1/Annotations/{number}.png", label)


def test_of_the_first_seed_s_datasets_each_part_learns_from_its_own(home, capsys, monkeypatch):
    write_both_datasets(home)
    asked = commands(monkeypatch)
    monkeypatch.chdir(home)
    assert train() == ExitCode.OK
    err = capsys.readouterr().err
    assert err.count("data/dataset1 is left out: it holds no gts/, which a generator learns from") == 1
    assert err.count("data/dataset2 is not for a segmenter, which has dataset1") == 1 and "testB" not in err
    learnt = [command[command.index("--data") + 1 : command.index("--output")] for command in asked]
    assert learnt == [[str(home / "data/dataset1")], [str(home / "data/dataset2")], [str(home / "data/dataset2")]]
    assert sorted(os.listdir("output/tiny/masks")) == ["dataset2"]


def test_opts_choose_the_data_of_a_part_or_of_a_network_before_all_else(home, monkeypatch):
    asked = commands(monkeypatch)
    monkeypatch.chdir(home)
    for name in ("b/set", "c/set"):
        write_pairs(home / name)
    assert train("--data", "a", "--opts", "seg.data=b", "two.data=[b, c]") == ExitCode.OK
    learnt = [command[command.index("--data") + 1 : command.index("--output")] for command in asked]
    assert learnt == [[str(home / "b/set")], [str(home / "a")], [str(home / "b/set"), str(home / "c/set")]]
    assert all("--masks" in command for command in asked)
    assert train("--data", "a", "--opts", "seg.data=c", "two.data=[b, c]") == ExitCode.OK
    assert ["--masks" in command for command in asked[3:]] == [True, True, False]  # for two, b's would lie in c's place


def test_pages_that_do_not_fit_are_named_before_any_training(home, capsys):
    write_image("a/gts/1.png", np.zeros((9, 9, 3), np.uint8))
    assert train("--data", "a") == ExitCode.USAGE
    assert "unequal sizes" in capsys.readouterr().err and not Path("output/tiny/weights").exists()


def test_two_datasets_of_one_name_have_masks_of_their_own(home):
    for place, thickness in (("all/x/set", 5), ("all/y/set", 9)):
        write_pairs(home / place, thickness=thickness)
    train("--data", "all")
    first, second = (read_mask(f"output/tiny/masks/{name}/0.png") for name in ("set", "set.2"))
    assert (first != second).any()
    assert {pair.mask.parent.name for pair in find_pairs("all", "output/tiny/masks")} == {"set", "set.2"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--pipeline unknown", "there is no pipeline 'unknown'"),
        ("--data nowhere", "no training data in nowhere"),
        ("--opts erase.data=nowhere seg.data=a", "no training data in nowhere"),
        ("--data a --from nowhere", "--from: nowhere is no folder"),
        ("--data a --opts sge.iters=5", "'sge.iters=5' begins with none of erase, one, seg, two"),
        ("--data a --opts seg.iters=abc", "'iters' must be a whole number, got 'abc'"),
        ("--data a --opts erase.batch=abc", "batch"),
        ("--data a --opts two.stage1.stepz=3", "stepz"),
        ("--data a --opts two.stage1.vgg=x", "vgg is MTRNet++'s"),
    ],
)
def test_wrong_arguments_are_told_before_work_begins(home, capsys, arguments, message):
    assert train(*arguments.split()) == ExitCode.USAGE
    told = capsys.readouterr().err
    assert message in told and "Traceback" not in told and not Path("output").exists()


def commands(monkeypatch, code: int = 0) -> list[list[str]]:
    """Have the steps' processes end at once; returns what is asked of them."""
    asked: list[list[str]] = []
    monkeypatch.undo()

    def run(command, **options):
        if "--config" in command:  # some libraries start programs when they are imported
            asked.append(command)
        return subprocess.CompletedProcess(command, code if "one.pdparams" in " ".join(command) else 0)

    monkeypatch.setattr(pipeline.subprocess, "run", run)
    return asked


def test_every_network_gets_its_options_as_they_were_written(home, monkeypatch):
    asked = commands(monkeypatch)
    monkeypatch.chdir(home)
    opts = ["seg.iters=5", "erase.batch=1", "two.stage1.steps=2", "seg.train_dataset.recipes.materials=my ink/of = b"]
    opts[-1] = "one.init=my weights/a b.pdparams"
    assert train("--data", "a", "--opts", *opts) == ExitCode.OK
    given = [command[command.index("--opts") + 1 :] for command in asked]
    source = f"pipeline={home / 'tiny.yml'}"
    assert given == [
        [source, "iters=5"],
        [source, "network=one.pdparams", "batch=1", "init=my weights/a b.pdparams"],
        [source, "network=two.pdparams", "batch=1", "stage1.steps=2"],
    ]
    assert [command[command.index("--label") + 1] for command in asked] == [
        "3/5 seg.pdparams",
        "4/5 one.pdparams",
        "5/5 two.pdparams",
    ]
    assert all(command[1:3] == ["-m", "dehw.train"] for command in asked)
    assert all(command[command.index("--data") + 1] == str(home / "a") for command in asked)


@pytest.mark.parametrize("gpus", [1, 2])
def test_every_gpu_that_paddle_drives_has_a_process(home, monkeypatch, gpus):
    asked = commands(monkeypatch)
    monkeypatch.chdir(home)
    monkeypatch.setattr(pipeline, "choose_device", lambda request: ("gpu", gpus))
    assert train("--data", "a") == ExitCode.OK
    launched = [
        command[1:5] == ["-m", "paddle.distributed.launch", "--log_dir", "output/tiny/launch"] for command in asked
    ]
    assert launched == [gpus > 1] * 3
    assert all(command[command.index("--device") + 1] == "gpu" for command in asked)


def test_a_network_that_fails_ends_the_chain_with_its_exit_code(home, monkeypatch, capsys):
    asked = commands(monkeypatch, code=3)
    monkeypatch.chdir(home)
    assert train("--data", "a") == 3
    assert len(asked) == 2 and "one.pdparams: its training stopped with exit code 3" in capsys.readouterr().err


def test_networks_taken_over_are_not_trained_unless_opts_change_them(home, capsys):
    network = NetworkConfig("erasenet", "two.pdparams", {"width": 0.03})
    weights.save(
        models.build(network), home / "other training/weights/two.pdparams", type="erasenet", args=network.args
    )
    train("--data", "a", "--from", "other training")
    assert "done before, elsewhere" in told(capsys)["5"]
    train("--data", "a", "--opts", "two.seed=5")
    assert "by tiny_erasenet.yml" in told(capsys)["5"]


def test_a_gpu_that_paddle_does_not_drive_stops_training_but_not_by_cpu(home, monkeypatch, capsys):
    if paddle.device.is_compiled_with_cuda():
        pytest.skip("this Paddle may drive a GPU")
    program = home / "bin/nvidia-smi"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\necho GPU 0: something new\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    assert train("--data", "a", "--device", "auto") == ExitCode.DEVICE
    told = capsys.readouterr().err
    assert "paddlepaddle.org.cn" in told and "--device cpu" in told and not Path("output").exists()
    assert train("--data", "a", "--device", "cpu") == ExitCode.OK
    program.write_text("#!/bin/sh\nexit 9\n")  # a driver without a GPU
    assert train("--data", "a", "--device", "auto") == ExitCode.OK
    assert train("--data", "a", "--device", "gpu") == ExitCode.DEVICE


def test_without_data_the_sample_pages_prove_the_code(home, capsys):
    shutil.copytree(ROOT / "data/sample/images", home / "data/sample/images")
    shutil.copytree(ROOT / "data/sample/gts", home / "data/sample/gts")
    before = snapshot(home / "data")
    assert main.main(["train", "--device", "cpu"]) == ExitCode.OK
    assert "SMOKE RUN" in capsys.readouterr().err
    assert json.loads(Path("output/smoke/finished.json").read_text())["pipeline"] == "smoke"
    assert snapshot(home / "data") == before
    shutil.rmtree("data")
    assert main.main(["train", "--device", "cpu"]) == ExitCode.USAGE


def test_results_go_below_the_root_and_paths_are_seen_from_here(home, capsys, monkeypatch):
    (home / "elsewhere").mkdir()
    monkeypatch.chdir(home / "elsewhere")
    assert main.main(
        ["train", "--root", str(home), "--pipeline", "../tiny.yml", "--data", "../a", "--device", "cpu"]
    ) == ExitCode.OK  # fmt: skip
    assert capsys.readouterr().out == f"{home}/output/tiny/finished.json\n"
    assert os.listdir(".") == []


def test_the_first_line_says_what_is_trained_in_how_many_hours(home, capsys):
    for name, hours in {"seed001": 38 + 80, "seed000": 14 + 38, "full": 14 + 38 + 38 + 80}.items():
        found = load_pipeline(name)
        pipeline.introduce(found, pipeline.network_steps(found, [], [ROOT]))
        first = capsys.readouterr().err.splitlines()[0]
        assert first.startswith(f"train: pipeline {name}: {found.networks[0].weights} (")
        assert f"; about {hours} h on one V100 GPU, estimated; --pipeline" in first


def test_hours_are_those_of_the_configurations_header():
    told = pipeline.hours_of(ROOT / "configs/mtrnet.yml")
    assert told.startswith("about 38 h and 6 GB on one V100-16G (estimated: the seed's authors report 0.46 s a step in")
    assert told.endswith("takes 5.4 GB on a CPU, measured).")
    assert pipeline.hours_of(ROOT / "configs/smoke/mtrnet.yml") == ""


def test_names_that_are_no_utf8_do_no_harm(home, capsys):
    folder = write_pairs(home / GBK)
    (folder / "images/0.png").rename(folder / f"images/{GBK}.png")
    (folder / "gts/0.png").rename(folder / f"gts/{GBK}.png")
    assert train("--data", GBK) == ExitCode.OK
    index = json.loads(Path("output/tiny/masks", GBK, "index.json").read_text())
    assert set(index) == {GBK, "1", "2", "3"}
    train("--data", GBK)
    assert all("done before" in line for number, line in told(capsys).items() if number != "1")


# --- with the training itself, cut in every step


def start(home: Path, log: Path) -> subprocess.Popen:
    """The command, from above the folder, in a group of processes of its own."""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "work"), "OMP_NUM_THREADS": "1"}
    options = ["--pipeline", home / "tiny.yml", "--data", home / GBK, "--root", home, "--device", "cpu"]
    command = [sys.executable, "-m", "dehw", "train", *options]
    with log.open("w") as file:
        return subprocess.Popen(command, cwd=home.parent, env=env, stdout=file, stderr=file, start_new_session=True)


def kill_when(home: Path, log: Path, there: str) -> None:
    """Start the training and kill all of it by SIGKILL as soon as a file of this name is there."""
    training = start(home, log)
    while not any(home.glob(there)):
        assert training.poll() is None, log.read_text()
        time.sleep(0.01)
    os.killpg(training.pid, signal.SIGKILL)
    training.wait()


def checksums(home: Path) -> dict[str, str]:
    entries = json.loads((home / "output/tiny/weights/manifest.json").read_text())["networks"]
    return {name: facts["sha256"] for name, facts in entries.items()}


@pytest.mark.slow
def test_a_training_killed_in_every_step_goes_on_to_the_same_weights(tmp_path):
    """What is left of each cut does no harm, and what was done before it is not done again."""
    whole, cut, log = tmp_path / "whole", tmp_path / "cut", tmp_path / "log.txt"
    for home in (whole, cut):
        home.mkdir()
        write_pipeline(home, recipes=True)
        write_pairs(home / GBK)
    before = snapshot(cut / GBK)
    assert start(whole, log).wait() == 0, log.read_text()
    assert (whole / "output/tiny/preview.jpg").is_file() and "[TRAIN]" not in log.read_text()
    assert "[TRAIN]" in (whole / "output/tiny/seg/log.txt").read_text()
    stages = {
        "output/tiny/masks/*/*.png": "2/7",
        "output/tiny/materials/*/*/*.png": "3/7",
        "output/tiny/seg/iter_2/model.pdparams": "4/7",
        "output/tiny/mistakes/index.json": "5/7",
        "output/tiny/erase/one/stage1/step_0000001.pdckpt": "6/7",
        "output/tiny/erase/two/stage1/step_0000003.pdckpt": "7/7",
        "output/tiny/erase/two/stage2/step_*.pdckpt": "7/7",
    }
    for there, stage in stages.items():
        kill_when(cut, log, there)
        assert f"train: {stage}" in log.read_text()
        assert not (cut / "output/tiny/finished.json").exists()
    assert start(cut, log).wait() == 0, log.read_text()
    lines = re.findall(r"^train: [2-7]/7 .*", log.read_text(), re.MULTILINE)
    assert [("done before" in line) for line in lines] == [True, True, True, True, True, False]
    assert checksums(cut) == checksums(whole) and len(checksums(whole)) == 3
    assert json.loads((cut / "output/tiny/finished.json").read_text())["networks"] == list(checksums(whole))
    assert snapshot(cut / GBK) == before and not list(cut.glob("output/tiny/**/*.1"))
