"""The engine: numpy in, numpy out, the device chosen by what it can do."""

import logging

import numpy as np
import paddle
import pytest
from erasers import tiny

from dehw import models
from dehw.config import NetworkConfig
from dehw.engine import ENGINES, pick, weights
from dehw.engine.paddle import INSTALL_GUIDE, PaddleNetwork, _convolve, gpu_count, pick_device
from dehw.eraser import Eraser
from dehw.errors import DeviceError, ExitCode, WeightsError
from dehw.models.erasenet import EraseNet
from dehw.models.layers import fold_spectral_norm
from dehw.page.views import VIEWS, average


class Echo(paddle.nn.Layer):
    """Gives back tile + 2 * mask, scaled by a parameter; dropout tells train from eval mode."""

    def __init__(self):
        super().__init__()
        self.scale = self.create_parameter([1], default_initializer=paddle.nn.initializer.Constant(3.0))
        self.dropout = paddle.nn.Dropout(0.9)

    def infer(self, tile, mask):
        return self.dropout(self.scale * (tile + 2 * mask)).astype("float64")


def rand(*shape):
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def test_a_layer_is_called_with_every_input_in_eval_mode():
    tile, mask = rand(2, 3, 4, 5), rand(2, 1, 4, 5)
    result = PaddleNetwork(Echo())(tile, mask)
    assert result.dtype == np.float32
    np.testing.assert_allclose(result, 3 * (tile + 2 * mask), rtol=1e-6)


class LeftAndUp(paddle.nn.Layer):
    """Every pixel takes what is left of it and above it, with the page's mask: no two views look alike."""

    def infer(self, tile, mask):
        return paddle.roll(tile, 1, axis=-1) + 2 * paddle.roll(tile, 1, axis=-2) * mask


@pytest.mark.parametrize("stacks", [False, True])  # a GPU runs all views as one batch
@pytest.mark.parametrize("names", [["identity"], ["identity", "hflip"], list(VIEWS)])
def test_views_are_averaged_as_in_numpy(names, stacks):
    network, views = PaddleNetwork(LeftAndUp()), [VIEWS[name] for name in names]
    network.stacks = stacks
    inputs = rand(2, 3, 4, 6), rand(2, 1, 4, 6)
    mean = network.average(views, *inputs)
    assert isinstance(mean, paddle.Tensor) and mean.dtype == paddle.float32 and mean.stop_gradient
    np.testing.assert_allclose(mean.numpy(), average(lambda *each: network(*each), views, *inputs), atol=1e-6)


@pytest.mark.parametrize("average_as", ["probability", "logit"])
def test_a_page_comes_out_the_same_from_averages_on_the_device(average_as):
    """Within a grey level, with two tiny generators and a segmenter, all of random weights."""
    paddle.seed(0)
    pipeline = tiny(["identity", "hflip"], cmp=False)
    pipeline.segment.average = average_as
    segmenter = PaddleNetwork(models.build(NetworkConfig("segformer_b0", "", {"embedding_dim": 16})))
    generators = [(PaddleNetwork(EraseNet(0.0625, name)), weight) for name, weight in (("dilated", 1), ("nonlocal", 3))]
    for network in (segmenter, *(network for network, _ in generators)):
        network.stacks = True
    on_device = Eraser(pipeline, segmenter, generators, "gpu:0")
    wrapped = [(lambda *each, network=network: network(*each), weight) for network, weight in generators]
    in_numpy = Eraser(pipeline, lambda *each: segmenter(*each), wrapped, "gpu:0")
    page = np.random.default_rng(1).integers(0, 256, (90, 150, 3), np.uint8)
    prepared = on_device.prepare(page)
    np.testing.assert_allclose(on_device.segment(prepared), in_numpy.segment(prepared), atol=1e-5)
    everywhere = np.ones(page.shape[:2], bool)
    pages = [eraser.erase(prepared, everywhere).astype(int) for eraser in (on_device, in_numpy)]
    assert np.ptp(pages[0]) > 20 and np.abs(pages[0] - pages[1]).max() <= 1


def test_nothing_is_kept_for_gradients():
    network = PaddleNetwork(Echo())
    seen = []
    network.layer.dropout.register_forward_post_hook(lambda layer, _, output: seen.append(output.stop_gradient))
    network(rand(1, 3, 4, 4), rand(1, 1, 4, 4))
    assert seen == [True]


def test_half_precision_is_for_gpus(monkeypatch):
    entered = []
    auto_cast = paddle.amp.auto_cast
    monkeypatch.setattr(paddle.amp, "auto_cast", lambda *args: entered.append(args) or auto_cast(enable=False))
    network = PaddleNetwork(Echo())
    expected = network(rand(1, 3, 4, 4), rand(1, 1, 4, 4))
    assert entered == []
    network.device = "gpu:0"  # as if it had been built there
    answer = network(rand(1, 3, 4, 4), rand(1, 1, 4, 4))
    assert entered == [()] and answer.dtype == np.float32  # Paddle's defaults: level O1, float16
    np.testing.assert_array_equal(answer, expected)


@pytest.mark.parametrize("args", [{"width": 0.0625}, {"width": 0.0625, "spectral_norm": False}])
def test_a_built_network_computes_what_the_trained_one_did(tmp_path, args):
    trained = EraseNet(**args)
    weights.save(trained, tmp_path / "net.pdparams", dtype="float32")
    trained.eval()
    network = pick.build(NetworkConfig("erasenet", "net.pdparams", args), tmp_path / "net.pdparams")
    page, mask = rand(1, 3, 32, 64), rand(1, 1, 32, 64)
    expected = trained(paddle.to_tensor(page))[3].numpy()
    np.testing.assert_allclose(network(page, mask), expected, rtol=1e-4, atol=1e-6)


def test_a_built_network_carries_no_spectral_norm(tmp_path):
    weights.save(EraseNet(0.0625), tmp_path / "net.pdparams")
    network = pick.build(NetworkConfig("erasenet", "", {"width": 0.0625}), tmp_path / "net.pdparams")
    plain = set(fold_spectral_norm(EraseNet(0.0625)).state_dict())
    assert set(network.layer.state_dict()) == plain


def test_weights_of_another_width_are_refused(tmp_path):
    weights.save(EraseNet(0.125), tmp_path / "net.pdparams")
    with pytest.raises(WeightsError, match="net.pdparams"):
        pick.build(NetworkConfig("erasenet", "", {"width": 0.25}), tmp_path / "net.pdparams")


def gpu_build(monkeypatch, count, convolve):
    """A Paddle built for GPUs, on a machine with `count` of them."""
    monkeypatch.setattr(paddle.device, "is_compiled_with_cuda", lambda: True)
    monkeypatch.setattr(paddle.device.cuda, "device_count", lambda: count)
    monkeypatch.setattr("dehw.engine.paddle._convolve", convolve)


def no_kernel(device):
    raise OSError("C++ Traceback\n(External) CUDA error(209), no kernel image is available for execution on the device")


def test_a_gpu_that_computes_is_taken(monkeypatch):
    tried = []
    gpu_build(monkeypatch, 1, tried.append)
    assert pick_device("auto") == pick_device("gpu") == "gpu:0"
    assert tried == ["gpu:0", "gpu:0"]


def test_the_cpu_is_taken_when_asked_for_without_trying_the_gpu(monkeypatch):
    gpu_build(monkeypatch, 1, no_kernel)
    assert pick_device("cpu") == "cpu"


def test_a_gpu_this_paddle_cannot_drive_is_left_with_a_warning(monkeypatch, caplog):
    gpu_build(monkeypatch, 1, no_kernel)
    with caplog.at_level(logging.WARNING):
        assert pick_device("auto") == "cpu"
    assert "no kernel image" in caplog.text
    assert INSTALL_GUIDE in caplog.text


def test_a_gpu_asked_for_that_cannot_be_driven_is_an_error(monkeypatch):
    gpu_build(monkeypatch, 1, no_kernel)
    with pytest.raises(DeviceError) as caught:
        pick_device("gpu")
    words = ("no kernel image", INSTALL_GUIDE, "--device cpu")
    assert [word for word in words if word not in str(caught.value)] == []
    assert caught.value.exit_code == ExitCode.DEVICE


@pytest.mark.parametrize(("compiled", "word"), [(False, "for the CPU only"), (True, "sees no GPU")])
def test_without_a_gpu_auto_is_silent_and_gpu_an_error(monkeypatch, caplog, compiled, word):
    gpu_build(monkeypatch, 0, no_kernel)
    monkeypatch.setattr(paddle.device, "is_compiled_with_cuda", lambda: compiled)
    with caplog.at_level(logging.WARNING):
        assert pick_device("auto") == "cpu"
    assert caplog.text == ""
    with pytest.raises(DeviceError, match=word):
        pick_device("gpu")


def test_an_unknown_device_is_refused():
    with pytest.raises(DeviceError, match="'tpu'.*auto, cpu, gpu"):
        pick_device("tpu")


def test_the_trial_operation_runs_and_leaves_the_device_as_it_was():
    before = paddle.device.get_device()
    _convolve("cpu")
    assert paddle.device.get_device() == before


# -- which engine


@pytest.fixture
def installed(monkeypatch):
    """Sets which packages are installed, on a machine without a GPU."""
    monkeypatch.setattr(paddle.device, "is_compiled_with_cuda", lambda: False)
    monkeypatch.setattr("dehw.engine.openvino.cpu_precision", lambda: "bf16")

    def install(*packages):
        monkeypatch.setattr("importlib.util.find_spec", lambda name: name if name in packages else None)

    return install


def test_auto_takes_paddle_on_a_gpu_that_computes(monkeypatch, installed):
    installed("openvino", "paddle")
    gpu_build(monkeypatch, 1, lambda device: None)
    taken = pick.engine()
    assert (taken.name, taken.device) == ("paddle", "gpu:0") and "GPU" in taken.why
    assert pick.engine("auto", "cpu").name == "openvino"


def test_without_a_gpu_auto_takes_the_fastest_that_is_installed_and_says_why(monkeypatch, installed):
    monkeypatch.setattr("dehw.engine.onnxruntime.providers", lambda device: ["CPUExecutionProvider"])
    installed("openvino", "onnxruntime", "paddle")
    assert str(pick.engine()) == "openvino on cpu: the fastest engine on a CPU, bf16"
    installed("onnxruntime", "paddle")
    taken = str(pick.engine())
    assert taken.startswith("onnxruntime on cpu:") and "pip install openvino; CPUExecutionProvider" in taken
    installed("paddle")
    taken = str(pick.engine())
    assert taken.startswith("paddle on cpu:") and taken.endswith("pip install openvino")
    installed()
    with pytest.raises(DeviceError, match="pip install openvino") as caught:
        pick.engine()
    assert caught.value.exit_code == ExitCode.DEVICE


def test_what_is_asked_for_is_taken(installed):
    installed("openvino", "paddle")
    assert pick.engine("paddle", "cpu") == pick.Engine("paddle", "cpu", "asked for")
    assert pick.engine("openvino") == pick.Engine("openvino", "cpu", "asked for, bf16")
    with pytest.raises(DeviceError, match="openvino runs on the CPU.*--engine paddle"):
        pick.engine("openvino", "gpu")
    with pytest.raises(DeviceError, match="'tensorrt'.*auto, paddle, openvino, onnxruntime"):
        pick.engine("tensorrt")
    with pytest.raises(DeviceError, match="'tpu'.*auto, cpu, gpu"):
        pick.engine("openvino", "tpu")


def test_without_paddle_what_needs_it_says_how_to_get_it(tmp_path, installed):
    installed("openvino")
    path = tmp_path / "net.pdparams"
    weights.save(EraseNet(0.0625), path)
    network = NetworkConfig("erasenet", "net.pdparams", {"width": 0.0625})
    assert gpu_count() == 0
    with pytest.raises(DeviceError, match="engine paddle needs Paddle.*pip install 'dehw\\[train\\]'"):
        pick.engine("paddle")
    with pytest.raises(DeviceError, match="device gpu needs Paddle.*pip install 'dehw\\[train\\]'"):
        pick.engine("auto", "gpu")
    with pytest.raises(DeviceError, match="net.pdparams needs Paddle.*pip install 'dehw\\[train\\]'"):
        pick.build_all([(network, path, (64, 64))], pick.engine())


def test_where_openvino_fails_auto_goes_on_with_paddle_and_says_so(tmp_path, monkeypatch, caplog, installed):
    def refuse(network, path, size):
        raise DeviceError("it cannot be exported.")

    path = tmp_path / "net.pdparams"
    weights.save(EraseNet(0.0625), path)
    jobs = [(NetworkConfig("erasenet", "net.pdparams", {"width": 0.0625}), path, (64, 64))]
    pytest.importorskip("openvino")
    monkeypatch.setattr(pick.export, "cached", refuse)
    installed("openvino", "paddle")
    with caplog.at_level(logging.WARNING):
        (network,), taken = pick.build_all(jobs, pick.engine())
    assert isinstance(network, PaddleNetwork) and taken.name == "paddle" and "openvino failed" in taken.why
    assert "it cannot be exported. Going on with paddle." in caplog.text
    with pytest.raises(DeviceError, match="cannot be exported"):
        pick.build_all(jobs, pick.engine("openvino"))


def test_damaged_weights_are_an_error_on_every_engine(tmp_path, installed):
    pytest.importorskip("openvino")
    pytest.importorskip("onnxruntime")
    path = tmp_path / "net.pdparams"
    path.write_bytes(b"damaged")
    for name in ENGINES:
        installed("openvino", "paddle", "paddle2onnx")
        with pytest.raises(WeightsError, match="net.pdparams"):
            pick.build_all([(NetworkConfig("erasenet", ""), path, (64, 64))], pick.engine(name))
