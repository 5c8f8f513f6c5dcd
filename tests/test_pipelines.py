"""The pipeline files: what they decide, that their headers are true, and that each erases a page."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import paddle
import pytest
import yaml
from paddleseg.models.backbones.mix_transformer import MixVisionTransformer

from dehw import models
from dehw.config import PIPELINES, NetworkConfig, Pipeline, load_pipeline
from dehw.data.pairs import find_pairs
from dehw.engine import weights
from dehw.eraser import Eraser
from dehw.errors import ConfigError, WeightsError
from dehw.files.images import read_image
from dehw.models.segformer import SegFormer
from dehw.page.layout import Layout
from dehw.page.masks import soft_mask
from dehw.train import losses
from dehw.train import pipeline as training

ROOT = Path(__file__).parents[1]
NAMES = sorted(path.stem for path in PIPELINES.glob("*.yml"))
SMALL = {  # what stands for each type of network here: the same code, in small
    "segformer_b0": ("segformer_b0", {"embedding_dim": 16}),
    "segformer_b2": ("segformer_b0", {"embedding_dim": 16}),
    "ppocr_small": ("ppocr_small", {}),
    "erasenet": ("erasenet", {"width": 0.03}),
    "mtrnet": ("mtrnet", {"width": 0.03}),
}
TILE = 64


def networks(pipeline: Pipeline) -> list[NetworkConfig]:
    return [*([pipeline.segment.network] if pipeline.segment else []), *pipeline.erase.networks]


def test_these_pipelines_are_here():
    assert {"lite", "erasenet", "seed000", "seed001", "full"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_a_header_tells_what_the_file_is_and_how_it_is_made(name):
    """Every claim of a number of pixels is one of the file's settings, or their difference."""
    text = (PIPELINES / f"{name}.yml").read_text(encoding="utf-8")
    header = text[: text.index("\n\n")].replace("\n#", " ")
    pipeline = load_pipeline(name)
    assert pipeline.name == name
    assert header.startswith(("# What it reproduces:", "# What it is:")) and " Command:" in header
    assert name.startswith("smoke") or (" Departs from" in header and " Hours, score:" in header)
    assert pipeline.train.removeprefix("sh ").split(" --")[0] in header
    settings = [pipeline.erase.tile, pipeline.erase.tile - 2 * pipeline.erase.margin]
    settings += [pipeline.segment.window, pipeline.segment.stride] if pipeline.segment else []
    words = header.split()
    claims = {int(before) for before, unit in zip(words, words[1:]) if unit.strip(",;.") == "px" and before.isdigit()}
    assert name == "watermark" or claims <= set(settings)  # that one tells the sizes of its contest's pictures


@pytest.mark.parametrize("name", NAMES)
def test_every_network_names_the_configuration_that_trains_it(name):
    """The configurations' own pipeline may be another one, whose network is the same: train.sh names its own."""
    pipeline = load_pipeline(name)
    for network in networks(pipeline):
        training = yaml.safe_load((ROOT / network.train).read_text(encoding="utf-8"))
        assert training.get("pipeline"), network.train
        assert ("segformer" in network.train) == (network.type.startswith("segformer"))
    assert len({network.weights for network in networks(pipeline)}) == len(networks(pipeline))


def test_pipelines_that_share_a_file_of_weights_mean_the_same_network():
    seen = {}
    for name in NAMES:
        for network in networks(load_pipeline(name)):
            assert seen.setdefault(network.weights, network) == network


def test_seed000_is_the_first_seeds_way():
    pipeline = load_pipeline("seed000")
    segment, erase = pipeline.segment, pipeline.erase
    assert (segment.network.type, segment.network.args) == ("segformer_b2", {"embedding_dim": 768})
    assert (segment.window, segment.stride, segment.views) == (512, 256, ["identity", "hflip"])
    assert segment.average == "probability"
    assert [(network.type, network.args) for network in erase.networks] == [("mtrnet", {"whiten": True})]
    assert (erase.tile, erase.margin, erase.views, erase.cmp) == (512, 0, ["identity"], True)
    assert (pipeline.mask.threshold, pipeline.mask.dilate, pipeline.line_height) == (0.5, 3, None)


def test_seed001_is_the_second_seeds_way():
    pipeline = load_pipeline("seed001")
    erase = pipeline.erase
    assert pipeline.segment is None and pipeline.line_height is None
    kinds = [(network.type, network.args, network.weight) for network in erase.networks]
    assert kinds == [("erasenet", {}, 1.0), ("erasenet", {"refinement": "nonlocal"}, 1.0)]
    assert (erase.tile, erase.tile - 2 * erase.margin, erase.views, erase.cmp) == (
        512,
        300,
        ["identity", "hflip"],
        False,
    )


def test_full_is_both():
    full, first, second = map(load_pipeline, ("full", "seed000", "seed001"))
    assert (full.segment, full.mask) == (first.segment, first.mask)
    assert full.erase.networks == [*first.erase.networks, *second.erase.networks]
    assert full.erase == replace(second.erase, networks=full.erase.networks, cmp=True)


def small(name: str) -> Pipeline:
    """A shipped pipeline with small networks and tiles; all else as its file has it."""
    pipeline = load_pipeline(name)
    for network in networks(pipeline):
        network.type, args = SMALL[network.type]
        kept = {key: value for key, value in network.args.items() if key not in ("width", "embedding_dim")}
        network.args = {**kept, **args}
    if pipeline.segment:
        pipeline.segment.window, pipeline.segment.stride = TILE, TILE // 2
    pipeline.erase.tile, pipeline.erase.margin = TILE, min(pipeline.erase.margin, 13)
    return pipeline


def turned(array: np.ndarray, view: str) -> np.ndarray:
    rows, columns = {"identity": (1, 1), "hflip": (1, -1), "vflip": (-1, 1), "rot180": (-1, -1)}[view]
    return array[..., ::rows, ::columns]


def mean_of_views(layer: paddle.nn.Layer, views: list[str], *inputs: np.ndarray) -> np.ndarray:
    """A network's mean answer to (C, H, W) arrays, written out: (C', H, W)."""
    tensors = lambda view: (paddle.to_tensor(turned(each, view)[None].copy()) for each in inputs)  # noqa: E731
    return np.mean([turned(layer.infer(*tensors(view)).numpy()[0], view) for view in views], axis=0)


@pytest.mark.parametrize("name", [name for name in NAMES if load_pipeline(name).erase.networks])
def test_a_pipeline_erases_a_page_as_its_file_says(name, tmp_path, monkeypatch):
    """A page of one tile, from files of random weights, against the steps written out network by network."""
    monkeypatch.setattr(Layout, "factor", lambda self, target: 1.0)
    pipeline, layers = small(name), []
    paddle.seed(3)
    for network in networks(pipeline):
        layers.append(models.build(network))
        weights.save(layers[-1], tmp_path / network.weights, dtype="float32")
        layers[-1].eval()
    page = np.random.default_rng(0).integers(0, 256, (TILE, TILE, 3), np.uint8)
    tile = page.transpose(2, 0, 1).astype(np.float32) / 255
    mask = np.ones((TILE, TILE), np.float32)
    with paddle.no_grad():
        if pipeline.segment:
            prob = mean_of_views(layers.pop(0), pipeline.segment.views, tile)[0]
            pipeline.mask.spare = 0  # this has tests of its own
            pipeline.mask.threshold = float(np.sort(prob, axis=None)[-10 * TILE] - 1e-5)  # finds some pixels
            kernel = np.ones((max(1, pipeline.mask.dilate),) * 2)
            mask = cv2.dilate((prob >= pipeline.mask.threshold).astype(np.float32), kernel)
        answers = [mean_of_views(layer, pipeline.erase.views, tile, mask[None]) for layer in layers]
    shares = [network.weight for network in pipeline.erase.networks]
    generated = np.rint(np.average(answers, axis=0, weights=shares).clip(0, 1) * 255).transpose(1, 2, 0)
    expected = np.where(mask[..., None] > 0, generated, page) if pipeline.erase.cmp else generated

    erased = Eraser.load(pipeline, "cpu", tmp_path, engine="paddle")(page)
    np.testing.assert_array_equal(erased.mask, mask > 0)
    assert erased.page.dtype == np.uint8 and np.abs(erased.page.astype(int) - expected).max() <= 1
    assert 0.1 < (erased.page != page).any(2).mean()
    assert bool(pipeline.segment) == (not mask.all())
    if pipeline.erase.cmp:
        np.testing.assert_array_equal(erased.page[mask == 0], page[mask == 0])


def test_given_shares_fuse_the_networks_of_full(tmp_path, monkeypatch):
    """weight: 2 counts a network as if it were named twice."""
    pipeline = small("full")
    for network in networks(pipeline):
        weights.save(models.build(network), tmp_path / network.weights)
    page = np.random.default_rng(0).integers(0, 256, (TILE, TILE, 3), np.uint8)
    mask = np.ones((TILE, TILE), bool)

    def erase():
        eraser = Eraser.load(pipeline, "cpu", tmp_path, ["erase"], "paddle")
        return eraser.erase(eraser.prepare(page), mask).astype(int)

    equal = erase()
    pipeline.erase.networks[1].weight = 2.0
    weighed = erase()
    pipeline.erase.networks[1].weight = 1.0
    pipeline.erase.networks.append(pipeline.erase.networks[1])
    assert np.abs(erase() - weighed).max() <= 1 < np.abs(equal - weighed).max()


def test_a_small_segformer_overfits_two_crops():
    pair = find_pairs([ROOT / "data" / "sample"])[0]
    image, gt = read_image(pair.image), read_image(pair.gt)
    ink = soft_mask(image, gt) >= 0.5
    row, column = np.argwhere(ink)[len(np.argwhere(ink)) // 2]
    corners = [(max(0, row - 32), max(0, column - shift)) for shift in (16, 48)]
    crops = np.stack([image[top : top + 64, left : left + 64] for top, left in corners])
    labels = np.stack([ink[top : top + 64, left : left + 64] for top, left in corners])
    assert 0.02 < labels.mean() < 0.5
    paddle.seed(1)
    sizes = {"embed_dims": [16, 16, 32, 32], "num_heads": [1, 1, 2, 2], "depths": [1, 1, 1, 1]}
    net = SegFormer(2, MixVisionTransformer(patch_size=4, qkv_bias=True, sr_ratios=[8, 4, 2, 1], **sizes), 16)
    tiles = paddle.to_tensor(crops.transpose(0, 3, 1, 2).astype(np.float32) / 255)
    truth = paddle.to_tensor(labels.astype(np.int64))
    optimizer = paddle.optimizer.AdamW(4e-3, parameters=net.parameters())
    cross_entropy = losses.DehwCrossEntropyLoss()
    for _ in range(60):
        cross_entropy(net((tiles - 0.5) / 0.5)[0], truth).backward()
        optimizer.step()
        optimizer.clear_grad()
    net.eval()
    found = net.infer(tiles).numpy()[:, 0] >= 0.5
    assert (found & labels).sum() / (found | labels).sum() > 0.6


def test_the_segmenter_is_trained_first_and_every_network_by_its_own_configuration():
    found = training.network_steps(load_pipeline("full"), ["erase.batch=2", "mtrnet.keep=1"], [ROOT])
    assert [(step.part, step.network.weights, str(step.config.relative_to(ROOT)), step.asked) for step in found] == [
        ("seg", "segformer_b2.pdparams", "configs/segformer_b2.yml", ()),
        ("erase", "mtrnet.pdparams", "configs/mtrnet.yml", ("batch=2", "keep=1")),
        ("erase", "erasenet.pdparams", "configs/erasenet.yml", ("batch=2",)),
        ("erase", "erasenet_nonlocal.pdparams", "configs/erasenet_nonlocal.yml", ("batch=2",)),
    ]
    assert [step.part for step in training.network_steps(load_pipeline("seed001"), [], [ROOT])] == ["erase", "erase"]


def test_a_network_that_nothing_trains_is_told(tmp_path):
    (tmp_path / "own.yml").write_text("erase: {networks: [{type: erasenet, weights: w.pdparams}]}")
    with pytest.raises(ConfigError, match="no configuration that trains w.pdparams"):
        training.network_steps(load_pipeline(tmp_path / "own.yml"), [], [ROOT])


def test_networks_are_taken_over_from_other_trainings(tmp_path):
    """From a training's folder or one of weights, the first that has them; what is there already stays."""
    network = NetworkConfig("erasenet", "net.pdparams", {"width": 0.03})
    first, second, own = tmp_path / "first", tmp_path / "second/weights", tmp_path / "own/weights"
    for number, folder in enumerate((first, second)):
        paddle.seed(number)
        facts = {"type": network.type, "args": network.args, "steps": number}
        weights.save(models.build(network), folder / network.weights, **facts)
    training.adopt(network, own, [tmp_path, second.parent, first])
    taken = weights.read(own / network.weights)
    for key, value in weights.read(second / network.weights).items():
        np.testing.assert_array_equal(taken[key], value)
    assert weights.manifest(own) == weights.manifest(second)
    training.adopt(network, own, [first])
    assert weights.manifest(own)[network.weights]["steps"] == 1


def test_another_network_of_the_same_name_is_not_taken_over(tmp_path):
    network = NetworkConfig("mtrnet", "net.pdparams", {"width": 0.03})
    facts = {"type": network.type, "args": network.args}
    weights.save(models.build(network), tmp_path / network.weights, **facts)
    other = replace(network, args={"width": 0.03, "whiten": True})  # the same shapes
    with pytest.raises(ConfigError, match="net.pdparams was trained as mtrnet"):
        training.adopt(other, tmp_path / "own", [tmp_path])
    (tmp_path / "manifest.json").unlink()  # the weights of somebody who keeps no list of them
    with pytest.raises(WeightsError, match="does not belong"):
        training.adopt(replace(network, args={"width": 0.0625}), tmp_path / "own", [tmp_path])
    assert not (tmp_path / "own").exists()


@pytest.mark.slow
@pytest.mark.parametrize("place", range(4))
def test_full_size_networks_keep_their_output_when_saved_and_loaded(place, tmp_path):
    """The networks of full.yml on a 512 px tile: shapes as specified, strict loading, the same numbers."""
    network = networks(load_pipeline("full"))[place]
    paddle.seed(0)
    first, second = models.build(network), models.build(network)
    weights.save(first, tmp_path / network.weights, dtype="float32")
    weights.load(second, tmp_path / network.weights)
    inputs = [paddle.rand([1, 3, 512, 512])]
    if not network.type.startswith("segformer"):
        inputs.append((paddle.rand([1, 1, 512, 512]) > 0.5).astype("float32"))
    answers = []
    for layer in (first, second):
        layer.eval()
        with paddle.no_grad():
            answers.append(layer.infer(*inputs).numpy())
    assert answers[0].shape == (1, 1 if len(inputs) == 1 else 3, 512, 512)
    np.testing.assert_array_equal(*answers)
    if len(inputs) == 1:
        with paddle.no_grad():
            assert [list(each.shape) for each in first(inputs[0])] == [[1, 2, 512, 512]]
