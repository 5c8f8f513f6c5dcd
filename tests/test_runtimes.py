"""Exported networks give what Paddle gives, on each engine; untrained networks, since training changes no operator."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import paddle
import pytest

from dehw import engine, models, runtimes, weights
from dehw.config import NetworkConfig
from dehw.eraser import Eraser
from dehw.errors import DeviceError
from dehw.pages import read_image

pytest.importorskip("openvino")
ort = pytest.importorskip("onnxruntime")
pytest.importorskip("paddle2onnx")

SAMPLES = Path(__file__).parents[1] / "data" / "sample" / "images"
TILE = 64
CPU = ["CPUExecutionProvider"]
NETWORKS = {
    "segformer_b0": NetworkConfig("segformer_b0", "s.pdparams", {"embedding_dim": 16}),
    "erasenet": NetworkConfig("erasenet", "e.pdparams", {"width": 0.0625, "spectral_norm": False}),
    "multiscale": NetworkConfig("erasenet", "a.pdparams", {"width": 0.0625, "refinement": "multiscale"}),
    "nonlocal": NetworkConfig("erasenet", "n.pdparams", {"width": 0.0625, "refinement": "nonlocal"}),
    "mtrnet": NetworkConfig("mtrnet", "m.pdparams", {"width": 0.0625, "whiten": True}),
    "segformer_b2": NetworkConfig("segformer_b2", "b.pdparams", {"embedding_dim": 768}),
}
SLOW = ("nonlocal", "mtrnet", "segformer_b2")
KINDS = [pytest.param(kind, marks=[pytest.mark.slow] if kind in SLOW else []) for kind in NETWORKS]


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """A function of a kind of network to (its settings, its file of random weights, inputs, what Paddle gives)."""
    folder, known = tmp_path_factory.mktemp("weights"), {}

    def make(kind):
        network = NETWORKS[kind]
        path = folder / network.weights
        paddle.seed(0)
        weights.save(models.build(network), path)
        random = np.random.default_rng(0)
        tiles, masks = random.random((2, 3, TILE, TILE)), random.random((2, 1, TILE, TILE)) > 0.8
        inputs = [each.astype(np.float32) for each in (tiles, masks)][: 1 if "seg" in kind else 2]
        return network, path, inputs, engine.build(network, path)(*inputs)

    return lambda kind: known[kind] if kind in known else known.setdefault(kind, make(kind))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_an_engine_gives_what_paddle_gives(saved, monkeypatch, kind, name):
    """In float32, the rounding of a few hundred layers apart."""
    network, path, inputs, expected = saved(kind)
    monkeypatch.setattr(runtimes, "cpu_precision", lambda: "f32")
    answer = engine.build(network, path, "cpu", name, TILE)(*inputs)
    assert answer.dtype == np.float32 and expected.std() > 0.05
    np.testing.assert_allclose(answer, expected, rtol=0, atol=1e-4 * expected.std())


@pytest.mark.parametrize("kind", KINDS)
def test_bf16_stays_near(saved, monkeypatch, kind):
    """Its 8 bits of mantissa round each product by 0.4 %; untrained networks spread that more than trained ones."""
    network, path, inputs, expected = saved(kind)
    monkeypatch.setattr(runtimes, "cpu_precision", lambda: "bf16")
    answer = engine.build(network, path, "cpu", "openvino", TILE)(*inputs)
    assert answer.dtype == np.float32
    assert np.abs(answer - expected).mean() < 0.05 * expected.std()


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_tiles_of_another_size_and_number_are_taken(saved, name):
    network, path, _, _ = saved("erasenet")
    built = engine.build(network, path, "cpu", name, TILE)
    for shape in [(1, 64, 96), (3, 64, 96), (1, TILE, TILE)]:
        tiles = np.random.default_rng(1).random((shape[0], 3, *shape[1:]), dtype=np.float32)
        expected = engine.build(network, path)(tiles, tiles[:, :1])
        assert np.abs(built(tiles, tiles[:, :1]) - expected).mean() < 0.05 * expected.std()


@pytest.mark.parametrize("runtime", [runtimes.OpenVinoNetwork, lambda source: runtimes.OnnxNetwork(source, CPU)])
def test_a_size_is_compiled_once(saved, runtime):
    network, path, inputs, _ = saved("erasenet")
    asked = []

    def source(size):
        asked.append(size)
        return engine.export.cached(network, path, size)

    built = runtime(source)
    built.prepare((TILE, TILE))
    np.testing.assert_array_equal(built(*inputs), built(*inputs))
    assert asked == [(TILE, TILE)]


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_a_damaged_export_is_told_with_its_file(saved, tmp_path, monkeypatch, name):
    network, path, inputs, _ = saved("erasenet")
    monkeypatch.setenv("DEHW_CACHE", str(tmp_path))
    file = engine.export.cached(network, path, (TILE, TILE))
    file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(DeviceError, match=f"delete {file}, or use --engine paddle"):
        engine.build(network, path, "cpu", name, TILE)


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_a_missing_package_is_named_with_its_pip_command(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DeviceError, match=f"pip install {name} paddle2onnx.*--engine paddle"):
        engine.pick(name)
    with pytest.raises(DeviceError, match=f"pip install {name} paddle2onnx"):
        engine.build(NETWORKS["erasenet"], Path("e.pdparams"), "cpu", name)


def test_the_providers_of_onnx_runtime_follow_the_device(monkeypatch):
    found = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "AzureExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(ort, "get_available_providers", lambda: found)
    assert runtimes.providers("auto") == runtimes.providers("gpu") == ["CUDAExecutionProvider", "CPUExecutionProvider"]
    assert runtimes.providers("cpu") == ["CPUExecutionProvider"]
    assert engine.pick("onnxruntime", "cpu").device == "cpu" and engine.pick("onnxruntime").device == "gpu"
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert engine.pick("onnxruntime").device == "cpu"
    with pytest.raises(DeviceError, match="onnxruntime-gpu.*--device cpu"):
        runtimes.providers("gpu")


@pytest.mark.parametrize(
    ("flags", "precision"),
    [
        ("flags : fpu avx512f amx_bf16 amx_tile", "bf16"),
        ("flags : fpu avx512f avx512_bf16", "bf16"),
        ("flags : fpu avx512f avx512_vnni", "f32"),
        ("flags : fpu not_amx_bf16", "f32"),
        ("", "f32"),
    ],
)
def test_bf16_is_taken_where_the_processor_has_units_for_it(flags, precision):
    assert runtimes.cpu_precision(flags) == precision


WARM = """
import sys
from pathlib import Path
from dehw import engine
from dehw.config import NetworkConfig
import numpy as np
network = NetworkConfig("erasenet", "e.pdparams", {"width": 0.0625, "spectral_norm": False})
taken = engine.pick()
(built,), taken = engine.build_all([(network, Path(sys.argv[1]), 64)], taken)
built(np.zeros((1, 3, 64, 64), np.float32), np.zeros((1, 1, 64, 64), np.float32))
print(taken.name, "paddle" in sys.modules, sys.modules.get("openvino_telemetry"))
"""


@pytest.mark.skipif(paddle.device.is_compiled_with_cuda(), reason="a Paddle for GPUs is asked for one")
def test_with_the_cache_warm_paddle_is_not_imported_and_nothing_is_sent(saved):
    """Importing Paddle takes longer than erasing a page; importing OpenVINO reports it, unless it is kept from it."""
    network, path, _, _ = saved("erasenet")
    engine.export.cached(network, path, (TILE, TILE))
    work = Path(engine.__file__).parents[1]
    run = subprocess.run([sys.executable, "-c", WARM, path], cwd=work, capture_output=True, text=True)
    assert run.stdout.split() == ["openvino", "False", "None"], run.stderr


@pytest.fixture(scope="module")
def by_paddle():
    """The sample pages, each with what Paddle makes of it by the weights that ship."""
    eraser = Eraser.load("lite", "cpu", engine="paddle")
    return [(page, eraser(page)) for page in map(read_image, sorted(SAMPLES.glob("*.jpg")))]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_the_networks_that_ship_erase_alike_on_every_engine(by_paddle, name):
    """In the precision that users get: what they find and what they paint, over all the sample pages."""
    eraser = Eraser.load("lite", "cpu", engine=name)
    union, common, apart = 0, 0, []
    for page, expected in by_paddle:
        erased = eraser(page)
        either = erased.mask | expected.mask
        union += either.sum()
        common += (erased.mask & expected.mask).sum()
        apart.append(np.abs(erased.page.astype(int) - expected.page)[either])
        print(f"{name}: mean {apart[-1].mean():.3f}, most {apart[-1].max()} grey levels")
    assert union > 100_000 and np.concatenate(apart).mean() <= 1 and common / union >= 0.99
