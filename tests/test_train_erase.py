"""The generator's training: a cut one goes on to the same numbers, the best is kept, validation is real."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml

pytest.importorskip("visualdl")
import paddle  # noqa: E402
from visualdl import LogReader  # noqa: E402

from dehw import models  # noqa: E402
from dehw.config import NetworkConfig, load, load_pipeline  # noqa: E402
from dehw.data.pairs import find_pairs  # noqa: E402
from dehw.engine import weights  # noqa: E402
from dehw.eraser import Eraser  # noqa: E402
from dehw.errors import ConfigError, DehwError, ExitCode, InputError, WeightsError  # noqa: E402
from dehw.files.images import read_image, write_image  # noqa: E402
from dehw.page import metrics  # noqa: E402
from dehw.train import erase, train_generator, validate  # noqa: E402

CONFIGS = Path(__file__).parents[1] / "configs"
FIGURES = ("psnr", "msssim", "contest", "residual", "lost", "touched")
PIPELINE = """
segment: {network: {type: dark_pixels, weights: seg.pdparams}, window: 64, stride: 32}
mask: {threshold: 0.5, dilate: 5}
erase: {networks: [{type: tiny_generator, weights: gan.pdparams}], tile: 64, margin: 8}
"""
CONFIG = """
pipeline: PIPELINE
stage1: {steps: 4, learning_rate: 0.01, decay_every: 1}
batch: 2
crops: {size: 32, buffer: 2, crops_per_page: 2}
validate_mask: gt
validate_every: 100
checkpoint_every: 2
log_every: 1
workers: 0
"""


class TinyGenerator(paddle.nn.Layer):
    """EraseNet's outputs from 90 parameters; the dropout makes a training that forgets its generators show."""

    def __init__(self, channels: int = 3):
        super().__init__()
        self.conv = paddle.nn.Conv2D(3, channels, 3, padding=1)
        self.dropout = paddle.nn.Dropout(0.5)

    def forward(self, x):
        out = self.conv(self.dropout(x))
        return out[:, :, ::4, ::4], out[:, :, ::2, ::2], out, out, out

    def infer(self, tile, mask):
        return self.conv(tile)


class Inverter(TinyGenerator):
    """A generator whose page can be told without it: 255 - page."""

    def infer(self, tile, mask):
        return 1 - tile


class DarkPixels(paddle.nn.Layer):
    """A segmenter whose mask can be told without it: pixels of less than 50 of 255 in red."""

    def __init__(self):
        super().__init__()
        self.limit = self.create_parameter([1], default_initializer=paddle.nn.initializer.Constant(50.0))

    def infer(self, tile):
        return (tile[:, :1] * 255 < self.limit).astype("float32")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Twenty pages, of which two go to validation; large enough for MS-SSIM, with grey print and dark ink."""
    folder = tmp_path_factory.mktemp("pages") / "data"
    rng = np.random.default_rng(0)
    for number in range(20):
        gt = cv2.resize(rng.integers(200, 256, (9, 9, 3)).astype(np.uint8), (184, 180))
        cv2.putText(gt, f"page {number}", (10, 60), cv2.FONT_HERSHEY_SIMPLEX, 1, (90, 90, 90), 3)
        image = gt.copy()
        cv2.line(image, (5, 8 * number), (170, 120), (30, 30, 160), 4)
        write_image(folder / f"images/{number}.png", image)
        write_image(folder / f"gts/{number}.png", gt)
    return folder


@pytest.fixture
def train(tmp_path, data, monkeypatch):
    """erase.train of a tiny pipeline: train(opts..., output=, resume=) -> the weights file."""
    monkeypatch.setitem(models.MODELS, "tiny_generator", TinyGenerator)
    monkeypatch.setitem(models.MODELS, "dark_pixels", DarkPixels)
    (tmp_path / "tiny.yml").write_text(PIPELINE)
    (tmp_path / "erase.yml").write_text(CONFIG.replace("PIPELINE", str(tmp_path / "tiny.yml")))

    def run(*opts: str, output: str = "out", **kwargs) -> Path:
        return erase.train(
            str(tmp_path / "erase.yml"), opts, [str(data)], str(tmp_path / output), device="cpu", **kwargs
        )

    return run


@pytest.fixture
def stage1(tmp_path) -> Path:
    return tmp_path / "out/tiny/erase/gan/stage1"


def script_scores(monkeypatch, *scores: float | None) -> None:
    """Have the validations give these scores; None is where the process is cut."""
    left = iter(scores)

    def validate(self, writer, step):
        if (score := next(left)) is None:
            raise KeyboardInterrupt
        return score

    monkeypatch.setattr(erase.Validator, "__call__", validate)


def script_losses(monkeypatch, wrong_at: int, wrong) -> None:
    """Have the first stage's loss number `wrong_at`, from 1, be what wrong(loss) makes of it."""
    real, calls = erase.losses.erasenet_stage1, []

    def loss(*args, **kwargs):
        calls.append(1)
        value = real(*args, **kwargs)
        return wrong(value) if len(calls) == wrong_at else value

    monkeypatch.setattr(erase.losses, "erasenet_stage1", loss)


def cut(loss):
    raise KeyboardInterrupt


def in_file(path: Path) -> dict[str, np.ndarray]:
    """The network's arrays in a checkpoint."""
    return weights.read(path)["model"]


def assert_same(first, second) -> None:
    """Two plain trees are equal to the last bit."""
    assert type(first) is type(second)
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            assert_same(first[key], second[key])
    else:
        np.testing.assert_array_equal(first, second)


def assert_exported(path: Path, checkpoint: Path) -> None:
    """The weights file holds a checkpoint's network, in half precision, and loads strictly."""
    layer = TinyGenerator()
    weights.load(layer, path)
    np.testing.assert_array_equal(layer.conv.weight.numpy(), in_file(checkpoint)["conv.weight"].astype(np.float16))


def logged(folder: Path) -> dict[str, dict[int, float]]:
    """The scalars of all VisualDL files in a stage's folder: {tag: {step: value}}."""
    found: dict[str, dict[int, float]] = {}
    for file in sorted(folder.glob("log/*/*.log")):
        reader = LogReader(file_path=str(file))
        for tag in reader.get_tags()["scalar"]:
            found.setdefault(tag, {}).update({item.id: item.value for item in reader.get_data("scalar", tag)})
    return found


@pytest.mark.parametrize("workers", [0, 2])
def test_two_and_two_steps_are_four(train, tmp_path, stage1, monkeypatch, workers):
    opts = [f"workers={workers}", "checkpoint_every=2"]
    train(*opts, output="whole")
    with monkeypatch.context() as patch:
        script_losses(patch, 4, cut)  # step 3 is done by then, and lost
        with pytest.raises(KeyboardInterrupt):
            train(*opts)
    assert [path.name for path in stage1.glob("*.pdckpt")] == ["step_0000002.pdckpt"]
    train(*opts)
    whole, parts = (
        weights.read(tmp_path / run / "tiny/erase/gan/stage1/step_0000004.pdckpt") for run in ("whole", "out")
    )
    for part in ("model", "optimizer", "scheduler", "config", "step", "best"):
        assert_same(whole[part], parts[part])
    assert {key.partition("/")[2] for key in parts["optimizer"]} >= {"moment1", "moment2"}
    assert parts["scheduler"]["last_lr"] == 0.01 / 2**4
    before = in_file(stage1 / "step_0000002.pdckpt")
    assert np.abs(before["conv.weight"] - parts["model"]["conv.weight"]).max() > 1e-4
    logs = [logged(tmp_path / run / "tiny/erase/gan/stage1") for run in ("whole", "out")]
    assert logs[0] == logs[1] and list(logs[0]["train/loss"]) == [1, 2, 3, 4]


def test_stage_2_starts_from_the_best_of_stage_1(train, stage1, monkeypatch):
    script_scores(monkeypatch, 0.5, 0.9, 0.2, 0.95)
    path = train("stage1.steps=3", "validate_every=1", "keep=3", "stage2={steps: 1, learning_rate: 0.0}")
    best, last = (in_file(stage1 / f"step_000000{step}.pdckpt") for step in (2, 3))
    assert_same(in_file(stage1 / "best.pdckpt"), best)
    assert np.abs(best["conv.weight"] - last["conv.weight"]).max() > 1e-4
    assert_same(in_file(stage1.parent / "stage2/best.pdckpt"), best)  # at a rate of 0 nothing moves
    facts = weights.manifest(path.parent)["gan.pdparams"]
    assert facts["stage"] == "stage2" and facts["steps"] == 1 and facts["scores"] == {"contest": 0.95}
    assert facts["type"] == "tiny_generator" and facts["sources"] == ["data"]


def test_the_stages_learn_by_their_own_losses(train, stage1, monkeypatch):
    asked = []
    one, two = erase.losses.erasenet_stage1, erase.losses.erasenet_stage2
    monkeypatch.setattr(
        erase.losses, "erasenet_stage1", lambda *args, multiscale: asked.append(multiscale) or one(*args)
    )
    monkeypatch.setattr(erase.losses, "erasenet_stage2", lambda *args: asked.append("two") or two(*args))
    script_scores(monkeypatch, 0.5, 0.6)
    train("stage1.steps=2", "stage1.multiscale=true", "stage2={steps: 1}")
    assert asked == [True, True, "two"]


def test_a_second_stage_that_is_worse_is_not_exported(train, stage1, monkeypatch):
    script_scores(monkeypatch, 0.9, 0.5)
    path = train("stage2={steps: 1}")
    assert_exported(path, stage1 / "step_0000004.pdckpt")
    facts = weights.manifest(path.parent)["gan.pdparams"]
    assert facts["stage"] == "stage1" and facts["scores"] == {"contest": 0.9}


def test_a_second_stage_that_a_longer_first_one_has_overtaken_is_not_exported(train, stage1, monkeypatch):
    script_scores(monkeypatch, 0.5, 0.6)
    train("stage2={steps: 1}")
    script_scores(monkeypatch, 0.9)
    path = train("stage1.steps=6", "stage2={steps: 1}")
    assert_exported(path, stage1 / "step_0000006.pdckpt")
    assert weights.manifest(path.parent)["gan.pdparams"]["scores"] == {"contest": 0.9}


def test_a_worse_model_never_replaces_the_best_after_resuming(train, stage1, monkeypatch):
    script_scores(monkeypatch, 0.9, None)
    with pytest.raises(KeyboardInterrupt):
        train("validate_every=1")
    best = in_file(stage1 / "best.pdckpt")
    script_scores(monkeypatch, 0.1, 0.5, float("nan"))
    path = train("validate_every=1", "keep=9")
    assert_same(in_file(stage1 / "best.pdckpt"), best)
    assert_exported(path, stage1 / "step_0000001.pdckpt")
    assert weights.read(stage1 / "step_0000004.pdckpt")["best"] == 0.9


def test_a_best_model_newer_than_the_newest_checkpoint_counts(train, stage1, monkeypatch):
    script_scores(monkeypatch, 0.5, 0.9)
    train("stage1.steps=2", "validate_every=1")
    (stage1 / "step_0000002.pdckpt").unlink()  # as if cut between the two files
    best = in_file(stage1 / "best.pdckpt")
    script_scores(monkeypatch, 0.6, 0.7, 0.8)
    train("validate_every=1")
    assert_same(in_file(stage1 / "best.pdckpt"), best)


def test_a_torn_checkpoint_is_passed_over(train, stage1, monkeypatch, caplog):
    script_scores(monkeypatch, 0.5)
    train()
    torn = stage1 / "step_0000004.pdckpt"
    whole = in_file(torn)
    torn.write_bytes(torn.read_bytes()[:200])
    script_scores(monkeypatch, 0.4)
    train()
    assert "step_0000004" in caplog.text
    assert_same(in_file(torn), whole)  # written anew, from step 2 on


def test_a_torn_best_checkpoint_gives_way_to_the_next(train, stage1, monkeypatch, caplog):
    script_scores(monkeypatch, 0.9)
    train()
    (stage1 / "best.pdckpt").write_bytes(b"torn")
    with pytest.raises(ConfigError, match="nothing to export"):
        train()
    script_scores(monkeypatch, 0.2)
    assert_exported(train("stage1.steps=5"), stage1 / "step_0000005.pdckpt")
    assert "the best so far is lost" in caplog.text


def test_what_a_cut_left_of_a_file_is_no_checkpoint(train, stage1, monkeypatch):
    script_scores(monkeypatch, 0.5, 0.6)
    train("stage1.steps=2")
    left = stage1 / ".dehw-0123456789ab.pdckpt"  # written whole, but not renamed
    left.write_bytes((stage1 / "step_0000002.pdckpt").read_bytes())
    train()
    assert not left.exists()
    written = (stage1 / "step_0000004.pdckpt").stat().st_mtime_ns
    script_scores(monkeypatch)
    train()  # done before: no step, no validation
    assert (stage1 / "step_0000004.pdckpt").stat().st_mtime_ns == written


def test_resume_by_name_goes_on_from_there(train, stage1, monkeypatch, tmp_path):
    script_scores(monkeypatch, 0.5)
    train("stage1.steps=6", "checkpoint_every=1", "keep=4")
    whole = {step: in_file(stage1 / f"step_000000{step}.pdckpt") for step in (3, 4, 6)}
    script_scores(monkeypatch, None)  # cut at the end of it
    with pytest.raises(KeyboardInterrupt):
        train("stage1.steps=6", "checkpoint_every=1", resume=str(stage1 / "step_0000003.pdckpt"))
    names = {path.name for path in stage1.glob("step_*")}
    assert names == {"step_0000004.pdckpt", "step_0000005.pdckpt"} | {f"step_000000{n}.aside" for n in (4, 5, 6)}
    assert_same(in_file(stage1 / "step_0000004.pdckpt"), whole[4])
    script_scores(monkeypatch, 0.4)
    train("stage1.steps=6")
    assert_same(in_file(stage1 / "step_0000006.pdckpt"), whole[6])
    with pytest.raises(InputError, match="not one of this training's"):
        train(resume=str(tmp_path / "elsewhere/step_0000003.pdckpt"))
    with pytest.raises(WeightsError, match="no such file"):
        train(resume=str(stage1 / "step_0000099.pdckpt"))


def test_only_the_newest_checkpoints_stay(train, stage1, monkeypatch):
    script_scores(monkeypatch, 0.5)
    train("checkpoint_every=1", "keep=2")
    assert {path.name for path in stage1.glob("step_*")} == {"step_0000003.pdckpt", "step_0000004.pdckpt"}


def test_going_on_by_another_configuration_is_refused(train, tmp_path, monkeypatch):
    script_scores(monkeypatch, 0.5, 0.6)
    train()
    for opt, told in [
        ("batch=3", "batch was 2 and is 3"),
        ("crops.size=64", "crops was"),
        ("stage1.learning_rate=0.1", "stage was"),
        ("validate_mask=none", "validate_mask was gt and is none"),
        ("val_pages=1", "val_pages was None and is 1"),
    ]:
        with pytest.raises(ConfigError, match=told):
            train(opt)
    (tmp_path / "tiny.yml").write_text(PIPELINE + "line_height: 20\n")
    with pytest.raises(ConfigError, match="line_height was None and is 20"):
        train()
    (tmp_path / "tiny.yml").write_text(PIPELINE.replace("gan.pdparams", "gan.pdparams, args: {channels: 4}"))
    with pytest.raises(WeightsError, match="does not belong"):
        train()
    (tmp_path / "tiny.yml").write_text(PIPELINE)
    train("stage1.steps=6", "checkpoint_every=1", "log_every=2", "keep=9")  # how often may change


def test_a_loss_that_is_no_number_ends_the_training(train, tmp_path, data, stage1, monkeypatch, capsys):
    script_losses(monkeypatch, 3, lambda loss: loss * float("nan"))
    arguments = ["--config", str(tmp_path / "erase.yml"), "--data", str(data), "--output", str(tmp_path / "out")]
    opts = ["--device", "cpu", "--opts", "log_every=50", "checkpoint_every=1"]
    assert train_generator([*arguments, *opts]) == DehwError.exit_code != 0
    told = capsys.readouterr().err
    assert "the loss is nan at step 3" in told and "lower the learning rate" in told and "Traceback" not in told
    assert {path.name for path in stage1.glob("*.pdckpt")} == {"step_0000001.pdckpt", "step_0000002.pdckpt"}
    assert np.isfinite(in_file(stage1 / "step_0000002.pdckpt")["conv.weight"]).all()


def test_the_step_of_a_loss_that_is_no_number_is_told_late_too(train, stage1, monkeypatch):
    script_losses(monkeypatch, 2, lambda loss: loss * float("inf"))
    with pytest.raises(DehwError, match="the loss is inf at step 2"):
        train("log_every=4", "checkpoint_every=9")
    assert not list(stage1.glob("*.pdckpt"))


def expected_scores(pairs, mask_from: str) -> metrics.Scores:
    """What validation by Inverter must find, from numpy and the metrics alone."""
    scores = []
    for pair in pairs:
        image, gt = read_image(pair.image), read_image(pair.gt)
        mask = {
            "none": np.ones(image.shape[:2], bool),
            "gt": np.abs(image.astype(int) - gt).mean(2) >= 10,  # half of the soft mask's 20 grey levels
            "pipeline": image[..., 0] < 50,
        }[mask_from]
        grown = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        scores.append(metrics.evaluate(image, gt, np.where(grown[..., None], 255 - image, image)))
    return metrics.mean(scores)


@pytest.mark.parametrize("mask_from", ["pipeline", "gt", "none"])
@pytest.mark.parametrize("pages", [1, 2])
def test_validation_scores_whole_pages_as_the_eraser_leaves_them(
    train, tmp_path, data, stage1, monkeypatch, mask_from, pages
):
    monkeypatch.setitem(models.MODELS, "tiny_generator", Inverter)
    weights.save(DarkPixels(), tmp_path / "out/tiny/weights/seg.pdparams")
    train(f"validate_mask={mask_from}", f"val_pages={pages}", "stage1.steps=2", "validate_every=1")
    _, val = erase.split(find_pairs(data), 81)
    assert len(val) == 2
    expected = expected_scores(val[:pages], mask_from)
    found = logged(stage1)
    for name in FIGURES:
        values = found[f"validation/{name}"]
        assert list(values) == [1, 2]
        np.testing.assert_allclose(list(values.values()), getattr(expected, name), rtol=1e-5)
    assert abs(weights.read(stage1 / "best.pdckpt")["best"] - expected.contest) < 1e-9


def test_all_validation_pages_are_erased_where_no_number_is_given(train, data, monkeypatch):
    erased = []
    real = Eraser.erase
    monkeypatch.setattr(Eraser, "erase", lambda self, *args: erased.append(args[0].page.shape) or real(self, *args))
    train("stage1.steps=1")
    assert erased == [(180, 184, 3)] * 2


def test_without_the_segmenter_the_way_on_is_named(train):
    with pytest.raises(WeightsError, match="Train the segmenter first.*validate_mask=gt"):
        train("validate_mask=pipeline")


def test_small_pages_are_scored_by_psnr_alone_and_perfect_ones_by_one():
    score = metrics.Scores(30.0, np.nan, np.nan, 0.1, 0.1, 0.1)
    assert validate._score(score) == 0.3
    assert validate._score(metrics.Scores(np.inf, 1.0, np.inf, 0, 0, 0)) == 1.0
    assert validate._score(metrics.Scores(30.0, 0.9, 0.6, 0, 0, 0)) == 0.6


def test_losses_rates_and_a_picture_are_logged(train, stage1):
    train("log_every=2")
    found = logged(stage1)
    assert list(found["train/loss"]) == [2, 4] and all(np.isfinite(list(found["train/loss"].values())))
    np.testing.assert_allclose(list(found["train/learning_rate"].values()), [0.01 / 4, 0.01 / 16], rtol=1e-6)
    assert set(found) == {"train/loss", "train/learning_rate", *(f"validation/{name}" for name in FIGURES)}
    (file,) = stage1.glob("log/*/*.log")
    (picture,) = LogReader(file_path=str(file)).get_data("image", "validation/page, mask, result")
    assert picture.id == 4
    pixels = cv2.imdecode(np.frombuffer(picture.image.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)
    assert pixels.shape[1] == validate.PICTURE_WIDTH


def test_validation_leaves_a_picture_of_three_pages(train, tmp_path, data, monkeypatch):
    monkeypatch.setitem(models.MODELS, "tiny_generator", Inverter)
    train("val_count=2", "stage1.steps=1")
    sheet = read_image(tmp_path / "out/tiny/preview.jpg").astype(int)
    scale = validate.PICTURE_WIDTH / (3 * 184 + 24)
    assert sheet.shape[:2] == (2 * int(180 * scale) + 12, validate.PICTURE_WIDTH)
    page, result = (sheet[: int(180 * scale), int(left * scale) :][:, : int(180 * scale)] for left in (0, 2 * 196))
    _, val = erase.split(find_pairs(data), 2)
    shown = cv2.resize(read_image(val[0].image), None, fx=scale, fy=scale)[: len(page), : page.shape[1]]
    assert np.abs(page - shown).mean() < 5  # the first of the pages kept aside
    assert 0 < (np.abs(result - page).max(2) > 60).mean() < 0.2  # changed where there is handwriting alone
    written = (tmp_path / "out/tiny/preview.jpg").stat().st_mtime_ns
    train("val_count=2", "stage1.steps=2")
    assert (tmp_path / "out/tiny/preview.jpg").stat().st_mtime_ns > written


def test_other_data_never_goes_on_from_these_checkpoints(train, tmp_path, data, monkeypatch):
    script_scores(monkeypatch, 0.5)
    train()
    shutil.copytree(data, tmp_path / "data")
    write_image(tmp_path / "data/images/0.png", read_image(data / "gts/0.png"))
    with pytest.raises(ConfigError, match="on other data"):
        erase.train(str(tmp_path / "erase.yml"), ["stage1.steps=9"], [str(tmp_path / "data")], str(tmp_path / "out"))


def test_the_record_is_written_when_all_weights_are_there(train, tmp_path, capsys):
    path = train()
    record = tmp_path / "out/tiny/finished.json"
    assert path.is_file() and not record.exists()
    assert "still to train: seg.pdparams" in capsys.readouterr().out
    weights.save(DarkPixels(), path.parent / "seg.pdparams")
    train()
    facts = json.loads(record.read_text())
    assert facts["pipeline"] == str(tmp_path / "tiny.yml") and facts["networks"] == ["seg.pdparams", "gan.pdparams"]
    page = np.full((40, 50, 3), 200, np.uint8)
    page[10:20, 10:20] = 0
    erased = Eraser.load(facts["pipeline"], "cpu", facts["weights"], engine="paddle")(page)
    assert erased.mask.sum() == 14 * 14 and (erased.page != page).any()


def test_the_start_can_be_weights_from_a_file(train, tmp_path, stage1):
    start = TinyGenerator()
    weights.save(start, tmp_path / "start.pdparams", dtype="float32")
    train(f"init={tmp_path / 'start.pdparams'}", "stage1.steps=1", "stage1.learning_rate=0.0")
    np.testing.assert_array_equal(in_file(stage1 / "best.pdckpt")["conv.weight"], start.conv.weight.numpy())


def test_a_pipeline_of_several_generators_wants_a_name(tmp_path, train, stage1):
    two = yaml.safe_load(PIPELINE)
    two["erase"]["networks"].append({"type": "tiny_generator", "weights": "other.pdparams"})
    (tmp_path / "tiny.yml").write_text(yaml.safe_dump(two))
    with pytest.raises(ConfigError, match="network=: gan.pdparams, other.pdparams"):
        train()
    with pytest.raises(ConfigError, match="network=: gan.pdparams, other.pdparams"):
        train("network=third.pdparams")
    assert train("network=other.pdparams", "stage1.steps=1").name == "other.pdparams"
    assert not stage1.exists() and (stage1.parents[1] / "other/stage1/best.pdckpt").is_file()


def test_what_makes_no_sense_is_refused(train):
    for opt, told in [
        ("val_pages=0", "'val_pages' must be above 0"),
        ("log_every=0", "'log_every' must be above 0"),
        ("stage1.step=3", "did you mean 'steps'"),
        ("validate_mask=true", "validate_mask"),
        ("batch=many", "batch"),
    ]:
        with pytest.raises(ConfigError, match=told):
            train(opt)


def test_the_commands_errors_are_one_line_and_an_exit_code(tmp_path, capsys, monkeypatch):
    (tmp_path / "empty").mkdir()
    arguments = ["--config", str(CONFIGS / "smoke/erasenet.yml"), "--output", str(tmp_path / "out")]
    assert train_generator([*arguments, "--data", str(tmp_path / "empty")]) == ExitCode.USAGE
    told = capsys.readouterr().err
    assert told.startswith("dehw: no training data") and told.count("\n") == 1
    assert train_generator(["--config", str(tmp_path / "none.yml")]) == ExitCode.USAGE

    def stopped(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(erase, "train", stopped)
    assert train_generator(arguments) == 130
    assert "the same command goes on" in capsys.readouterr().err


def test_the_recipe_is_the_decided_one():
    config = load(CONFIGS / "erasenet.yml", erase.EraseTraining)
    assert (config.batch, config.crops.size, config.crops.hflip, config.crops.rotate) == (4, 512, 0.3, 0.3)
    assert (config.stage1.learning_rate, config.stage1.decay_every, config.stage1.decay) == (1e-4, 400_000, 0.5)
    assert config.stage2.steps and not config.stage1.multiscale
    assert (config.val_count, config.validate_mask, config.seed) == (81, "pipeline", 2022)


@pytest.mark.parametrize("name", ["erasenet", "smoke/erasenet"])
def test_the_configurations_train_a_generator_of_their_pipeline(name):
    config = load(CONFIGS / f"{name}.yml", erase.EraseTraining)
    pipeline = load_pipeline(config.pipeline)
    assert erase.choose_network(pipeline, config.network).type == "erasenet"


@pytest.mark.slow
def test_erasenet_trains_by_the_smoke_configuration(data, tmp_path):
    arguments = ["--config", str(CONFIGS / "smoke/erasenet.yml"), "--data", str(data), "--output", str(tmp_path)]
    assert train_generator([*arguments, "--device", "cpu", "--opts", "validate_mask=gt"]) == 0
    network = NetworkConfig("erasenet", "smoke_erasenet.pdparams", {"width": 0.125})
    weights.load(models.build(network), tmp_path / "smoke/weights/smoke_erasenet.pdparams")


@pytest.mark.slow
def test_a_killed_command_goes_on_to_the_same_weights(data, tmp_path):
    command = [sys.executable, str(CONFIGS.parent / "work/train/train.py"), "--device", "cpu", "--data", str(data)]
    command += ["--config", str(CONFIGS / "smoke/erasenet.yml"), "--opts", "validate_mask=gt", "stage2.steps=4"]

    def start(output: str) -> subprocess.Popen:
        return subprocess.Popen([*command, "--output", str(tmp_path / output)], start_new_session=True)

    for left in ("stage1/step_0000003.pdckpt", "stage2/log", "stage2/step_0000003.pdckpt"):
        process = start("cut")
        while not (tmp_path / "cut/smoke/erase/smoke_erasenet" / left).exists():
            assert process.poll() is None, f"ended before {left}"
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert not (tmp_path / "cut/smoke/weights").exists()
    assert start("cut").wait() == start("whole").wait() == 0
    facts = [weights.manifest(tmp_path / run / "smoke/weights") for run in ("cut", "whole")]
    assert facts[0] == facts[1] and facts[0]["smoke_erasenet.pdparams"]["sha256"]
