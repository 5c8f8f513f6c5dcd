"""The detectors of PP-OCRv6 against what ONNX Runtime computed from the deployed graphs, and the mask network."""

from importlib import util
from pathlib import Path

import numpy as np
import paddle
import pytest
from paddle.nn import functional as F

from dehw import models
from dehw.config import NetworkConfig, load_pipeline
from dehw.engine import export, weights
from dehw.errors import ConfigError, WeightsError
from dehw.models import ppocr
from dehw.models.ppocr import PPOCRDetector, PPOCRMask
from dehw.train import losses, seg
from pretrain import detector

ROOT = Path(__file__).parents[1]
# What the deployed graphs give for `drawn()`: the small one's two features that the mask network takes, at one place
# and every few channels; the tiny one's probabilities, from within its two lines.
HALF = [0.198289, 0.27729, 0.265743, 1.219044, 0.0, 0.0, 1.623557, 0.520153]
FUSED = [0.333568, -0.42408, -1.946318, 2.342634, -0.308289, 1.89173, -1.48559, 3.298168]
LINES = [
    [0.000012, 0.016247, 0.036713, 0.016513, 0.028735, 0.000001],
    [0.000002, 0.087004, 0.07681, 0.253508, 0.210791, 0.0],
]


def drawn(height: int = 64, width: int = 96) -> np.ndarray:
    """Two lines of dark strokes on paper: (1, 3, height, width) float32 RGB."""
    y, x = np.mgrid[:height, :width]
    lines = (y % 32 >= 9) & (y % 32 < 22) & (x > 6) & (x < width - 8)
    ink = lines * np.clip(2.5 * np.sin(0.9 * x) * np.sin(0.5 * y + 0.5 * x), 0, 1)
    return np.stack([0.92 - 0.8 * ink, 0.9 - 0.75 * ink, 0.85 - 0.7 * ink])[None].astype(np.float32)


@pytest.fixture(scope="module")
def mask_network() -> PPOCRMask:
    """As training begins it: the detector's trunk, a random head."""
    paddle.seed(0)
    layer = PPOCRMask(pretrained="ppocr_small_init.pdparams")
    layer.eval()
    return layer


def test_the_networks_have_the_published_parameters(mask_network):
    counts = [models.learnable(network) for network in (PPOCRDetector("small"), PPOCRDetector("tiny"), mask_network)]
    assert counts == [2_453_353, 428_405, 2_542_832]


def test_the_shipped_trunk_gives_the_small_detectors_features(mask_network):
    with paddle.no_grad():
        half, fused = mask_network.trunk(paddle.to_tensor(drawn()))
    assert (half.shape, fused.shape) == ([1, 48, 32, 48], [1, 96, 16, 24])
    np.testing.assert_allclose(half[0, ::6, 17, 40].numpy(), HALF, atol=1e-2)  # the file is float16
    np.testing.assert_allclose(fused[0, ::12, 9, 13].numpy(), FUSED, atol=5e-2)


def test_the_shipped_finder_of_lines_gives_the_tiny_detectors_probability():
    layer = models.build(NetworkConfig("ppocr_tiny_lines", ""))
    weights.load(layer, weights.SHIPPED / "ppocr_tiny_lines.pdparams")
    layer.eval()
    with paddle.no_grad():
        lines = layer.infer(paddle.to_tensor(drawn()))
    assert lines.shape == [1, 1, 64, 96]
    np.testing.assert_allclose(lines[0, 0, 12::32, 8::16].numpy(), LINES, atol=1e-5)


def test_a_detectors_file_gives_its_graphs_answer():
    """Of the installed rapidocr, which few have: the shipped weights are tested above."""
    runtime = pytest.importorskip("onnxruntime")
    if util.find_spec("rapidocr") is None:
        pytest.skip("needs rapidocr")
    path = Path(util.find_spec("rapidocr").submodule_search_locations[0]) / "models/PP-OCRv6_det_small.onnx"
    mean, std = (np.array(values, np.float32).reshape(1, 3, 1, 1) for values in (ppocr.MEAN, ppocr.STD))
    layer, tile = detector.detector(path, "small"), drawn()
    layer.eval()
    (expected,) = runtime.InferenceSession(str(path)).run(None, {"x": (tile[:, ::-1] - mean) / std})
    assert 0.9 < expected.max()
    with paddle.no_grad():
        np.testing.assert_allclose(layer.infer(paddle.to_tensor(tile)).numpy(), expected, atol=2e-6, rtol=1e-5)


def test_the_trunk_and_its_head_are_asked_for_what_they_are():
    with pytest.raises(ValueError, match="multiples of 32, got 64 x 48"):
        PPOCRDetector("tiny")(paddle.rand([1, 3, 64, 48]))
    with pytest.raises(ValueError, match="small, tiny, got 'large'"):
        PPOCRDetector("large")
    with pytest.raises(ConfigError, match="must be 2 and 3, got 3 and 3"):
        models.build(NetworkConfig("ppocr_small", "", {"num_classes": 3}))
    with pytest.raises(WeightsError, match="no such file"):
        PPOCRMask(pretrained="nothing.pdparams")
    with pytest.raises(WeightsError, match="does not hold the trunk"):
        PPOCRMask(pretrained="ppocr_tiny_lines.pdparams")


def test_the_probability_is_the_softmax_of_paddlesegs_normalised_page(mask_network):
    tile = paddle.to_tensor(drawn())
    with paddle.no_grad():
        (logits,) = mask_network((tile - 0.5) / 0.5)
        prob = mask_network.infer(tile)
    assert logits.shape == [1, 2, 64, 96] and prob.shape == [1, 1, 64, 96]
    np.testing.assert_allclose(prob.numpy(), F.softmax(logits, axis=1)[:, 1:].numpy(), atol=1e-4)
    assert 0.01 < prob.numpy().std()


def test_training_moves_every_parameter_and_lowers_the_loss():
    paddle.seed(1)
    layer = PPOCRMask(pretrained="ppocr_small_init.pdparams")
    page = paddle.to_tensor(drawn(32, 64) * 2 - 1)
    label = (page[:, 0] < 0).astype("int64")
    optimizer = paddle.optimizer.AdamW(1e-3, parameters=layer.parameters())
    values = []
    for _ in range(4):
        loss = losses.DehwCrossEntropyLoss()(layer(page)[0], label)
        loss.backward()
        assert [name for name, p in layer.named_parameters() if not p.stop_gradient and p.grad is None] == []
        optimizer.step()
        optimizer.clear_grad()
        values.append(float(loss))
    assert values[-1] < 0.8 * values[0]


def test_paddleseg_builds_it_from_the_configuration(mask_network):
    config, run = seg.read_config(str(ROOT / "configs/ppocr_small.yml"), ["val_count=2"])
    pipeline = load_pipeline(run.pipeline)
    builder = seg.build(config, run, pipeline, [ROOT / "data/sample"])
    assert pipeline.segment.network.train == "configs/ppocr_small.yml" and isinstance(builder.model, PPOCRMask)
    for name, value in mask_network.trunk.state_dict().items():
        np.testing.assert_array_equal(builder.model.trunk.state_dict()[name].numpy(), value.numpy())


def test_it_is_exported_to_onnx(mask_network):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("paddle2onnx")
    model, names = export.export(mask_network, (64, 96))
    tiles = np.concatenate([drawn(), drawn()[..., ::-1]])
    answer = runtime.InferenceSession(model).run(None, dict.fromkeys(names, tiles))[0]
    with paddle.no_grad():
        np.testing.assert_allclose(answer, mask_network.infer(paddle.to_tensor(tiles)).numpy(), atol=1e-4)


# -- the detectors' ONNX files ---------------------------------------------------------------------------------


def graph(path: Path, **more: np.ndarray) -> list[np.ndarray]:
    """Write the graph of two convolutions, the second with a bias added to it; returns its arrays in their order."""
    onnx = pytest.importorskip("onnx")
    from onnx import helper, numpy_helper

    arrays = {name: np.full(shape, i, np.float32) for i, (name, shape) in enumerate(
        {"last": (2, 2, 1, 1), "first": (2, 3, 1, 1), "bias": (1, 2, 1, 1), "helper.constant.0": (4,)}.items()
    )}  # fmt: skip
    nodes = [
        helper.make_node("Identity", ["bias"], ["b"]),
        helper.make_node("Conv", ["x", "first"], ["y"]),
        helper.make_node("Conv", ["y", "last"], ["z"]),
        helper.make_node("Identity", ["z"], ["same"]),
        helper.make_node("Add", ["same", "b"], ["out"]),
    ]
    ends = [[helper.make_tensor_value_info(name, 1, None)] for name in ("x", "out")]
    initializers = [numpy_helper.from_array(value, name) for name, value in {**arrays, **more}.items()]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", *ends, initializers)), str(path))
    return [arrays[name] for name in ("first", "last", "bias")]


def test_convolutions_are_read_in_the_graphs_order(tmp_path):
    expected = graph(tmp_path / "a.onnx")
    for read, wanted in zip(detector.convolutions(tmp_path / "a.onnx"), expected, strict=True):
        np.testing.assert_array_equal(read, wanted)
    with pytest.raises(WeightsError, match="a.onnx holds 3 arrays, the tiny detector"):
        detector.detector(tmp_path / "a.onnx", "tiny")


def test_an_array_that_no_convolution_uses_is_told(tmp_path):
    graph(tmp_path / "a.onnx", left=np.ones(3, np.float32))
    with pytest.raises(WeightsError, match="unused are .'left'."):
        detector.convolutions(tmp_path / "a.onnx")


# -- its PyTorch twin, where PyTorch is installed --------------------------------------------------------------


def test_a_checkpoint_under_the_graphs_names_goes_on():
    """Biases lie there as (1, c, 1, 1), and the moments of frozen kernels are missing."""
    torch = pytest.importorskip("torch")
    from pretrain.twins.ppocr import PPOCRMask as Twin

    torch.manual_seed(0)
    twin, fresh = Twin().eval(), Twin().eval()
    biases = {id(p): p.reshape(1, -1, 1, 1) for name, p in twin.trunk.named_parameters() if name.endswith("bias")}
    named = [biases.get(id(p), p).detach() for p in twin.state_dict(keep_vars=True).values()]
    old = {"mean": torch.zeros(3), "std": torch.ones(3)} | {f"p_{i}": value for i, value in enumerate(named)}
    moments = [biases.get(id(p), p).detach() for p in twin.parameters()]
    state = {i: {"step": torch.tensor(7.0), "exp_avg": m} for i, m in enumerate(moments) if m.shape[2:] != (7, 7)}
    optimizer = {"state": state, "param_groups": []}
    new = detector.adopted({"net": old, "ema": old, "opt": optimizer, "step": 7, "secs": 9.0}, fresh)
    fresh.load_state_dict(new["network"])
    tile = torch.from_numpy(drawn())
    with torch.no_grad():
        assert torch.equal(fresh(tile), twin(tile))
    assert (new["step"], new["seconds"]) == (7, 9.0)
    parameters = list(fresh.parameters())
    assert len(new["optimizer"]["state"]) == len(parameters) - 4
    for i, of_one in new["optimizer"]["state"].items():
        assert of_one["exp_avg"].shape == parameters[i].shape and of_one["step"] == 7
