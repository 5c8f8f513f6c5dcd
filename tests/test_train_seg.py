import json
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("paddleseg")
import paddle  # noqa: E402
from paddleseg.cvlibs import manager  # noqa: E402

from dehw import models  # noqa: E402
from dehw.config import NetworkConfig, load_pipeline  # noqa: E402
from dehw.engine import weights  # noqa: E402
from dehw.errors import ConfigError, InputError, WeightsError  # noqa: E402
from dehw.files.images import read_image, write_image  # noqa: E402
from dehw.page.masks import soft_mask  # noqa: E402
from dehw.train import backbone, seg, train_segmenter, validate  # noqa: E402
from dehw.train.folders import record_finished, training_data, weights_folder  # noqa: E402
from dehw.train.segdata import DehwCrops, DehwPages  # noqa: E402
from dehw.train.status import StatusLine  # noqa: E402

CONFIGS = Path(__file__).parents[1] / "configs"
CONFIG = """
pipeline: {pipeline}
data: ["{data}"]
iters: 4
batch_size: 2
save_interval: 2
log_iters: 1
num_workers: 0
train_dataset:
  type: DehwCrops
  size: 32
  transforms: [{{type: RandomDistort}}, {{type: Normalize}}]
val_dataset:
  type: DehwPages
  size: 32
  transforms: [{{type: Normalize}}]
model: {{type: TinySegmenter, num_classes: 2, in_channels: 3}}
loss:
  types:
    - type: MixedLoss
      losses: [{{type: DehwCrossEntropyLoss, ignore_index: 255}}, {{type: DiceLoss, ignore_index: 255}}]
      coef: [1, 1]
  coef: [1]
optimizer: {{type: AdamW, weight_decay: 0.01}}
lr_scheduler: {{type: PolynomialDecay, learning_rate: 0.01, warmup_iters: 2, warmup_start_lr: 0.001}}
test_config: {{is_slide: True, crop_size: [32, 32], stride: [16, 16]}}
"""
PIPELINE = """
segment:
  network: {type: tiny_segmenter, weights: tiny.pdparams}
erase:
  networks: [{type: erasenet, weights: gan.pdparams, args: {width: 0.125}}]
"""


class TinySegmenter(paddle.nn.Layer):
    """PaddleSeg's ways in 50 parameters; the dropout makes a training that forgets its generators show."""

    def __init__(self, num_classes: int = 2, in_channels: int = 3):
        super().__init__()
        self.conv = paddle.nn.Conv2D(in_channels, num_classes, 3, padding=1)
        self.dropout = paddle.nn.Dropout(0.5)

    def forward(self, x):
        return [self.conv(self.dropout(x))]


@pytest.fixture
def data(tmp_path) -> Path:
    rng = np.random.default_rng(0)
    for number in range(4):
        gt = cv2.resize(rng.integers(200, 256, (5, 6, 3)).astype(np.uint8), (60, 50))
        image = gt.copy()
        cv2.line(image, (5, 8 * number), (50, 40), (30, 30, 160), 4)
        write_image(tmp_path / f"data/images/{number}.png", image)
        write_image(tmp_path / f"data/gts/{number}.png", gt)
    return tmp_path / "data"


@pytest.fixture
def config(tmp_path, data, monkeypatch) -> Path:
    monkeypatch.setitem(manager.MODELS._components_dict, "TinySegmenter", TinySegmenter)
    monkeypatch.setitem(models.MODELS, "tiny_segmenter", TinySegmenter)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)  # PaddleSeg's trainer ends in a second's sleep
    (tmp_path / "tiny.yml").write_text(PIPELINE)
    (tmp_path / "seg.yml").write_text(CONFIG.format(pipeline=tmp_path / "tiny.yml", data=data))
    return tmp_path / "seg.yml"


def state_of(path: Path) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in paddle.load(str(path)).items()}


def assert_same(first: dict, second: dict) -> None:
    assert first.keys() == second.keys()
    for name in first:
        np.testing.assert_array_equal(first[name], second[name])


def scores(monkeypatch, values: list[float | None]) -> None:
    """Have the validations give these scores; None is where the process is cut."""
    left = iter(values)

    def evaluate(*args):
        if (value := next(left)) is None:
            raise KeyboardInterrupt
        return value

    monkeypatch.setattr(seg, "evaluate", evaluate)


def test_a_cut_training_goes_on_to_the_same_numbers(config, tmp_path, monkeypatch):
    scores(monkeypatch, [0.5, 0.6])
    seg.train(str(config), output=str(tmp_path / "whole"))
    scores(monkeypatch, [None])
    with pytest.raises(KeyboardInterrupt):
        seg.train(str(config), output=str(tmp_path / "cut"))
    assert not (tmp_path / "cut/tiny/seg/iter_4").exists()
    scores(monkeypatch, [0.5, 0.6])  # the checkpoint that was cut off its validation is scored first
    seg.train(str(config), output=str(tmp_path / "cut"))
    for name in ("iter_2/model.pdparams", "iter_4/model.pdparams"):
        assert_same(state_of(tmp_path / "whole/tiny/seg" / name), state_of(tmp_path / "cut/tiny/seg" / name))
    rates = [paddle.load(str(tmp_path / run / "tiny/seg/iter_4/model.pdopt"))["LR_Scheduler"]["last_lr"]
             for run in ("whole", "cut")]  # fmt: skip
    assert rates[0] == rates[1] < 0.01


def test_a_worse_model_never_replaces_the_best_after_resuming(config, tmp_path, monkeypatch):
    scores(monkeypatch, [0.9, None])
    with pytest.raises(KeyboardInterrupt):
        seg.train(str(config), output=str(tmp_path))
    scores(monkeypatch, [0.1])
    path = seg.train(str(config), output=str(tmp_path))
    folder = tmp_path / "tiny/seg"
    assert_same(state_of(folder / "best_model/model.pdparams"), state_of(folder / "iter_2/model.pdparams"))
    layer = TinySegmenter()
    weights.load(layer, path)
    best = state_of(folder / "iter_2/model.pdparams")
    np.testing.assert_allclose(layer.conv.weight.numpy(), best["conv.weight"], rtol=1e-3)
    facts = weights.manifest(path.parent)["tiny.pdparams"]
    assert facts["scores"] == {"miou": 0.9} and facts["type"] == "tiny_segmenter" and facts["steps"] == 4


def test_a_finished_training_is_not_done_again(config, tmp_path, monkeypatch):
    scores(monkeypatch, [0.5, 0.6])
    seg.train(str(config), output=str(tmp_path))
    written = (tmp_path / "tiny/seg/iter_4/model.pdparams").stat().st_mtime_ns
    scores(monkeypatch, [])
    seg.train(str(config), output=str(tmp_path))
    assert (tmp_path / "tiny/seg/iter_4/model.pdparams").stat().st_mtime_ns == written


def test_resume_takes_the_newest_checkpoint_of_which_both_files_load(config, tmp_path, monkeypatch, caplog):
    scores(monkeypatch, [0.5, 0.6])
    seg.train(str(config), output=str(tmp_path))
    folder, model = tmp_path / "tiny/seg", TinySegmenter()
    assert seg.newest(folder, model) == folder / "iter_4"
    torn = folder / "iter_4/model.pdopt"
    torn.write_bytes(torn.read_bytes()[:20])
    assert seg.newest(folder, model) == folder / "iter_2"
    assert "iter_4" in caplog.text
    (folder / "iter_2/model.pdparams").unlink()
    assert seg.newest(folder, model) is None


def test_another_networks_checkpoint_is_refused(config, tmp_path, monkeypatch):
    scores(monkeypatch, [0.5, 0.6])
    seg.train(str(config), output=str(tmp_path))
    with pytest.raises(ConfigError, match="another network"):
        seg.newest(tmp_path / "tiny/seg", TinySegmenter(in_channels=4))


def test_resume_by_name_starts_there_and_scores_the_rest_anew(config, tmp_path, monkeypatch):
    scores(monkeypatch, [0.5, 0.6])
    seg.train(str(config), output=str(tmp_path))
    scores(monkeypatch, [0.7])
    seg.train(str(config), output=str(tmp_path), resume=str(tmp_path / "tiny/seg/iter_2"))
    assert json.loads((tmp_path / "tiny/seg/training.json").read_text())["scores"] == {"2": 0.5, "4": 0.7}
    with pytest.raises(InputError, match="iter_N"):
        seg.train(str(config), output=str(tmp_path), resume=str(tmp_path / "elsewhere/iter_2"))


def test_resume_by_name_sets_later_checkpoints_aside(config, tmp_path, monkeypatch):
    scores(monkeypatch, [0.1] * 4)
    seg.train(str(config), ["save_interval=1"], output=str(tmp_path))
    folder = tmp_path / "tiny/seg"
    scores(monkeypatch, [0.2, 0.3])
    seg.train(str(config), ["save_interval=1", "keep=1"], output=str(tmp_path), resume=str(folder / "iter_2"))
    assert {path.name for path in folder.glob("iter_*")} == {"iter_4", "iter_3.aside", "iter_4.aside"}


def test_a_training_that_diverges_ends_and_leaves_what_was_before(config, tmp_path, monkeypatch, capsys):
    scores(monkeypatch, [0.5])
    real = seg.loss_computation
    calls = []

    def loss(*args):
        calls.append(1)
        return [value * float("nan") if len(calls) == 3 else value for value in real(*args)]

    monkeypatch.setattr(seg, "loss_computation", loss)
    assert train_segmenter(["--config", str(config), "--output", str(tmp_path), "--device", "cpu"]) == 1
    assert "diverged before step 4" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "tiny/seg").glob("iter_*")] == ["iter_2"]
    assert np.isfinite(state_of(tmp_path / "tiny/seg/best_model/model.pdparams")["conv.weight"]).all()


def test_only_the_newest_checkpoints_stay(config, tmp_path, monkeypatch):
    scores(monkeypatch, [0.1] * 4)
    seg.train(str(config), ["save_interval=1", "keep=2"], output=str(tmp_path))
    assert {path.name for path in (tmp_path / "tiny/seg").glob("iter_*")} == {"iter_3", "iter_4"}


def test_mean_iou_is_that_of_all_pixels_of_all_pages(data):
    class Bright(paddle.nn.Layer):  # calls the upper half of every window handwriting
        def forward(self, x):
            row = 3 * (paddle.arange(x.shape[2]) < 16).astype("float32").reshape([1, 1, -1, 1])
            hand = row.expand([1, 1, x.shape[2], x.shape[3]])
            return [paddle.concat([1 - hand, hand], axis=1)]

    pages = DehwPages(str(data), [], size=32, val_count=1)
    pages.pairs = pages.pairs * 2
    label = pages[0]["label"][0]
    predicted = np.zeros_like(label)
    predicted[:16], predicted[18:34] = 1, 1  # windows at rows 0 and 18
    overlaps = [((label == c) & (predicted == c)).sum() / ((label == c) | (predicted == c)).sum() for c in (0, 1)]
    config = {"is_slide": True, "crop_size": [60, 32], "stride": [60, 32]}
    assert abs(seg.evaluate(Bright(), pages, config) - np.mean(overlaps)) < 1e-6


def test_validation_leaves_a_picture_of_page_mask_and_true_page(config, tmp_path):
    class Bright(paddle.nn.Layer):  # calls the left half of every window handwriting
        def forward(self, x):
            hand = (paddle.arange(x.shape[3]) < 30).astype("float32").expand([1, 1, x.shape[2], x.shape[3]])
            return [paddle.concat([1 - hand, hand], axis=1)]

    pages = DehwPages(str(tmp_path / "data"), [], size=32, val_count=1)
    seg.evaluate(Bright(), pages, {}, preview=tmp_path / "preview.jpg")
    (pair,) = pages.pairs
    sheet = read_image(tmp_path / "preview.jpg").astype(int)
    assert sheet.shape[1] == validate.PICTURE_WIDTH
    scale = validate.PICTURE_WIDTH / (3 * 60 + 24)  # three pages, two gaps
    columns = [sheet[:, round(72 * n * scale) :][:, : int(60 * scale)] for n in range(3)]
    true = cv2.resize(read_image(pair.gt), columns[2].shape[1::-1], interpolation=cv2.INTER_LINEAR)
    assert np.abs(columns[2] - true).mean() < 3 < np.abs(columns[0] - true).mean()
    tinted = columns[1] - columns[0]
    assert np.abs(tinted[:, : int(28 * scale)]).mean() > 20 > 3 > np.abs(tinted[:, int(32 * scale) :]).mean()


def test_what_paddleseg_prints_goes_to_a_file(config, tmp_path, monkeypatch, capfd):
    scores(monkeypatch, [0.5, 0.6])
    seg.train(str(config), output=str(tmp_path))
    out, err = capfd.readouterr()
    assert "[TRAIN]" not in out + err and out.startswith("segmenter: ")
    assert (tmp_path / "tiny/seg/log.txt").read_text(encoding="utf-8").count("[TRAIN]") == 4


def test_other_data_never_goes_on_from_these_checkpoints(config, tmp_path, data, monkeypatch):
    scores(monkeypatch, [0.5, 0.6])
    seg.train(str(config), output=str(tmp_path))
    write_image(data / "images/0.png", np.zeros((50, 60, 3), np.uint8))
    with pytest.raises(ConfigError, match="on other data"):
        seg.train(str(config), ["iters=6"], output=str(tmp_path))


def test_mirrored_pixels_of_a_small_page_do_not_count(data):
    item = DehwPages(str(data), [], size=64, val_count=1)[0]
    assert item["img"].shape == (3, 64, 64) and item["label"].shape == (1, 64, 64)
    counted = item["label"][0] != 255
    assert counted[:50, :60].all() and counted.sum() == 50 * 60


def test_labels_are_the_soft_mask_from_its_half_on(data):
    crops = DehwCrops(str(data), [], val_count=1, size=48, hflip=0, rotate=0)
    item = crops[0]
    crop = crops._stream[0]
    np.testing.assert_array_equal(item["img"], crop.image.transpose(2, 0, 1))  # no transforms: as it is
    np.testing.assert_array_equal(item["label"], soft_mask(crop.image, crop.gt) >= 0.5)
    assert set(np.unique(item["label"])) == {0, 1}
    faint = DehwCrops(str(data), [], val_count=1, size=48, hflip=0, rotate=0, label_threshold=1.1)
    assert not faint[0]["label"].any()


def test_crops_go_on_after_those_that_were_used(data):
    whole, rest = (DehwCrops(str(data), [], val_count=1, size=32) for _ in range(2))
    taken = [whole[0]["img"] for _ in range(6)]
    rest.start(steps=2, batch=2, length=2)
    assert len(rest) == 2
    np.testing.assert_array_equal(rest[0]["img"], taken[4])
    np.testing.assert_array_equal(rest[1]["img"], taken[5])


def test_losses_have_the_shape_paddleseg_logs(tmp_path):
    logits, label = paddle.randn([1, 2, 8, 8]), paddle.zeros([1, 8, 8], "int64")
    loss = {"types": [paddle.nn.CrossEntropyLoss(axis=1)], "coef": [2.0]}
    with seg.LossLog(tmp_path, 0, 1, StatusLine("seg")) as losses:
        (value,) = losses([logits], loss, {"label": label})
    assert value.shape == [1]
    np.testing.assert_allclose(value.numpy()[0], 2 * float(loss["types"][0](logits, label)), rtol=1e-6)


@pytest.mark.parametrize("name", ["segformer_b2", "smoke/segformer"])
def test_the_configurations_are_their_pipelines_segmenters(name):
    config, run = seg.read_config(str(CONFIGS / f"{name}.yml"))
    network = load_pipeline(run.pipeline).segment.network
    assert config.dic["model"]["embedding_dim"] == network.args["embedding_dim"]
    assert config.dic["model"]["backbone"]["type"].endswith(network.type[-3:].upper())
    assert config.batch_size >= 2 and run.seed == 2022


def test_the_recipe_is_the_decided_one():
    config, run = seg.read_config(str(CONFIGS / "segformer_b2.yml"))
    assert (config.batch_size, run.val_count) == (4, 81)
    assert config.optimizer_cfg["type"] == "AdamW" and config.lr_scheduler_cfg["learning_rate"] == 6e-5
    assert config.lr_scheduler_cfg["warmup_iters"] == 1500
    assert config.test_config == {"is_slide": True, "crop_size": [512, 512], "stride": [256, 256]}


def test_unknown_keys_and_wrong_types_are_named():
    path = str(CONFIGS / "segformer_b2.yml")
    for opts, told in [
        (["itres=3"], "did you mean 'iters'"),
        (["test_config.strides=3"], "did you mean 'stride'"),
        (["seed=many"], "--opts seed=many: 'seed' must be a whole number"),
        (["iters=abc"], "--opts iters=abc: 'iters' must be a whole number, got 'abc'"),
        (["batch_size=0"], "'batch_size' must be above 0"),
        (["iters=null"], "'iters' must be a whole number, got nothing"),
        (["loss.types="], "loss"),
        (["model.backbon.pretrained=null"], "backbon"),
        (["train_dataset"], "key=value"),
        (["val_dataset.dataset_root=x"], "dataset_root is the key data"),
    ]:
        with pytest.raises(ConfigError, match=told):
            seg.read_config(path, opts)
    with pytest.raises(ConfigError, match="nowhere.yml"):
        seg.read_config("nowhere.yml")


def test_opts_are_read_as_yaml_reads_them():
    opts = ["model.backbone.pretrained=null", "lr_scheduler.learning_rate=1e-4", "test_config.is_slide=false"]
    config, run = seg.read_config(str(CONFIGS / "segformer_b2.yml"), [*opts, "data=my pages=a"])
    assert config.dic["model"]["backbone"]["pretrained"] is None
    assert config.dic["lr_scheduler"]["learning_rate"] == 1e-4
    assert config.test_config["is_slide"] is False
    assert run.data == ["my pages=a"]


def test_without_internet_the_way_on_is_named(data, tmp_path, monkeypatch, capsys):
    def unreachable(url, target):
        raise OSError("no route to host")

    monkeypatch.setattr(backbone, "download", unreachable)
    monkeypatch.setattr(backbone.seg_env, "PRETRAINED_MODEL_HOME", str(tmp_path / "downloads"))
    arguments = [
        "--config",
        str(CONFIGS / "segformer_b2.yml"),
        "--data",
        str(data),
        "--output",
        str(tmp_path),
    ]
    assert train_segmenter([*arguments, "--device", "cpu"]) == WeightsError.exit_code
    told = capsys.readouterr().err
    assert "--opts model.backbone.pretrained=null" in told and "no route to host" in told


def test_a_model_that_is_not_the_pipelines_is_refused(config, tmp_path, monkeypatch):
    monkeypatch.setitem(models.MODELS, "tiny_segmenter", lambda: TinySegmenter(in_channels=4))
    with pytest.raises(ConfigError, match="not the segmenter of pipeline"):
        seg.train(str(config), output=str(tmp_path))


def test_training_without_data_tells_where_it_goes(tmp_path):
    for part in ("seg", "erase"):
        with pytest.raises(InputError, match="data126591"):
            training_data([tmp_path], part)


def test_a_training_is_recorded_once_all_its_networks_are_there(tmp_path):
    (tmp_path / "tiny.yml").write_text(PIPELINE)
    pipeline = load_pipeline(tmp_path / "tiny.yml")
    folder = weights_folder(tmp_path, pipeline)
    weights.save(TinySegmenter(), folder / "tiny.pdparams")
    assert record_finished(tmp_path, pipeline, "tiny.yml") == ["gan.pdparams"]
    assert not (tmp_path / "tiny/finished.json").exists()
    weights.save(TinySegmenter(), folder / "gan.pdparams")
    assert record_finished(tmp_path, pipeline, "tiny.yml") == []
    facts = json.loads((tmp_path / "tiny/finished.json").read_text())
    assert facts["pipeline"] == "tiny.yml" and facts["networks"] == ["tiny.pdparams", "gan.pdparams"]


@pytest.mark.slow
def test_segformer_trains_by_the_smoke_configuration(data, tmp_path):
    arguments = [
        "--config",
        str(CONFIGS / "smoke/segformer.yml"),
        "--data",
        str(data),
        "--output",
        str(tmp_path),
    ]
    assert train_segmenter([*arguments, "--device", "cpu"]) == 0
    network = NetworkConfig("segformer_b0", "smoke_segformer.pdparams", {"embedding_dim": 16})
    weights.load(models.build(network), tmp_path / "smoke/weights/smoke_segformer.pdparams")
