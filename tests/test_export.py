"""Networks as ONNX: what is exported computes what Paddle did; the cache gives each network its own file."""

import inspect
import json
import sys
import threading
from pathlib import Path

import numpy as np
import paddle
import pytest
from paddle.nn import functional as F

from dehw import config
from dehw.commands import doctor, main
from dehw.config import NetworkConfig
from dehw.engine import export, weights
from dehw.errors import DeviceError, ExitCode, WeightsError
from dehw.files.atomic import write_json

onnx = pytest.importorskip("onnx")
runtime = pytest.importorskip("onnxruntime")
pytest.importorskip("paddle2onnx")

SIZE = (8, 12)


class Painter(paddle.nn.Layer):
    """Looks at its mask; has the two operators whose doubles paddle2onnx misreads."""

    def __init__(self):
        super().__init__()
        self.conv = paddle.nn.Conv2D(3, 3, 3, padding=1)

    def infer(self, tile, mask):
        small = F.leaky_relu(self.conv(tile), 0.3) + F.leaky_relu(-tile, 0.1)
        return F.interpolate(F.max_pool2d(small, 2), scale_factor=2, mode="nearest") + 5 * mask


class Blind(Painter):
    def infer(self, tile, mask):
        return self.conv(tile)


class Finder(Painter):
    def infer(self, tile):
        return F.softmax(self.conv(tile), axis=1)[:, 1:2]


def rand(*shape):
    return np.random.default_rng(0).random(shape, dtype=np.float32)


def run(model, **inputs):
    return runtime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, inputs)[0]


@pytest.mark.parametrize(("layer", "names"), [(Painter, ["tile", "mask"]), (Blind, ["tile"]), (Finder, ["tile"])])
def test_what_is_exported_computes_what_the_layer_does(layer, names, capfd):
    layer = layer()
    layer.eval()
    model, inputs = export.export(layer, SIZE)
    assert inputs == names and capfd.readouterr().out == ""
    given = {"tile": rand(3, 3, *SIZE) - 0.5, "mask": rand(3, 1, *SIZE)}
    given = {name: given[name] for name in inspect.signature(layer.infer).parameters}
    with paddle.no_grad():
        expected = layer.infer(*map(paddle.to_tensor, given.values())).numpy()
    answer = run(model, **{name: given[name] for name in names})
    np.testing.assert_allclose(answer, expected, atol=1e-6)
    opset = {each.domain: each.version for each in onnx.load_from_string(model).opset_import}
    assert opset[""] == export.OPSET


def test_what_cannot_be_translated_is_told_and_the_terminal_works_again(capfd):
    class Odd(Painter):
        def infer(self, tile):
            return paddle.erfinv(tile * 0.5)

    with pytest.raises(DeviceError, match="Odd cannot be exported.*unsupported operators.*--engine paddle"):
        export.export(Odd(), SIZE)
    print("still here", flush=True)
    assert capfd.readouterr().out == "still here\n"


def test_what_the_translation_says_may_be_in_any_encoding(tmp_path, monkeypatch):
    (tmp_path / "net.json").write_text('{"program": {"regions": [{"blocks": []}]}}', encoding="utf-8")
    monkeypatch.setattr(export, "TRANSLATE", r"import os; os.write(1, b'[ERROR] \xb2\xbb \xff no such operator')")
    with pytest.raises(RuntimeError, match="no such operator"):
        export._translate(tmp_path)


def test_without_paddle2onnx_its_pip_command_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "paddle2onnx", None)
    with pytest.raises(DeviceError, match="pip install paddle2onnx.*--engine paddle") as caught:
        export.export(Finder(), SIZE)
    assert caught.value.exit_code == ExitCode.DEVICE


def test_paddle_2_is_told_to_be_too_old(monkeypatch):
    monkeypatch.setattr(paddle, "__version__", "2.6.2")
    with pytest.raises(DeviceError, match="Paddle 3.*2.6.2.*--engine paddle"):
        export.export(Finder(), SIZE)


# -- the cache -----------------------------------------------------------------------------------------------


@pytest.fixture
def exports(tmp_path, monkeypatch):
    """Stands in for the export; lists what was exported. `a.pdparams` and `b.pdparams` are there."""
    done = []

    def stand_in(layer, size):
        done.append((layer, size))
        return f"{layer} {size}".encode(), ["tile"]

    monkeypatch.setenv("DEHW_CACHE", str(tmp_path / "cache" / "new"))
    monkeypatch.setattr(export, "load", lambda network, path: f"{network.type} {network.args} {path.read_text()}")
    monkeypatch.setattr(export, "export", stand_in)
    monkeypatch.chdir(tmp_path)
    for name in "ab":
        Path(f"{name}.pdparams").write_text(f"weights of {name}")
    return done


NET = NetworkConfig("erasenet", "a.pdparams", {"width": 0.25})


def test_the_second_time_nothing_is_exported(exports):
    first = export.cached(NET, "a.pdparams", SIZE)
    assert first.parent == Path("cache/new").absolute() and first.read_text().endswith("weights of a (8, 12)")
    assert export.cached(NET, "a.pdparams", SIZE) == first and len(exports) == 1
    Path("moved.pdparams").write_text("weights of a")
    assert export.cached(NET, "moved.pdparams", SIZE).read_text() == first.read_text()


def test_other_weights_settings_sizes_and_code_have_files_of_their_own(exports, monkeypatch):
    files = {export.cached(NET, "a.pdparams", SIZE)}
    files.add(export.cached(NET, "a.pdparams", (16, 12)))
    files.add(export.cached(NET, "a.pdparams", None))
    files.add(export.cached(NetworkConfig("erasenet", "a.pdparams", {"width": 0.5}), "a.pdparams", SIZE))
    files.add(export.cached(NetworkConfig("mtrnet", "a.pdparams", {"width": 0.25}), "a.pdparams", SIZE))
    Path("a.pdparams").write_text("trained further")
    files.add(export.cached(NET, "a.pdparams", SIZE))
    assert export.cached(NET, "a.pdparams", SIZE).read_text().endswith("trained further (8, 12)")
    original = export.sha256
    monkeypatch.setattr(export, "sha256", lambda path: original(path) + "changed" * (Path(path).name == "layers.py"))
    files.add(export.cached(NET, "a.pdparams", SIZE))
    assert len(files) == len(exports) == 7


def test_weights_exchanged_against_their_manifest_are_not_taken_from_the_cache(exports):
    assert export.onnx_file(NET, "a.pdparams", SIZE) == export.cached(NET, "a.pdparams", SIZE)
    write_json("manifest.json", {"networks": {"a.pdparams": {"sha256": "of others"}}})
    with pytest.raises(WeightsError, match="SHA-256"):
        export.onnx_file(NET, "a.pdparams", SIZE)


def test_where_the_cache_cannot_be_entered_the_model_is_given(exports, monkeypatch):
    """As with a name too long for a file system, to look into it raises."""
    monkeypatch.setenv("DEHW_CACHE", "x" * 300)
    assert export.cached(NET, "a.pdparams", SIZE) == b"erasenet {'width': 0.25} weights of a (8, 12)"


def test_where_the_cache_cannot_be_written_the_model_is_given(exports):
    Path("cache").write_text("a file, not a folder")
    assert export.cached(NET, "a.pdparams", SIZE) == b"erasenet {'width': 0.25} weights of a (8, 12)"


def test_writers_at_once_leave_one_whole_file(exports, monkeypatch):
    barrier = threading.Barrier(4)

    def slow(layer, size):
        barrier.wait(10)
        return b"model" * 1_000_000, ["tile"]

    monkeypatch.setattr(export, "export", slow)
    found = []
    writers = [threading.Thread(target=lambda: found.append(export.cached(NET, "a.pdparams", SIZE))) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(set(found)) == 1 and list(found[0].parent.iterdir()) == [found[0]]
    assert found[0].read_bytes() == b"model" * 1_000_000


@pytest.mark.parametrize("damage", [lambda content: content[:10], lambda content: b"", lambda content: content[::-1]])
def test_a_damaged_file_in_the_cache_is_made_again(exports, damage):
    first = export.cached(NET, "a.pdparams", SIZE)
    whole = first.read_bytes()
    first.write_bytes(damage(whole))
    assert export.cached(NET, "a.pdparams", SIZE).read_bytes() == whole and len(exports) == 2
    assert len(list(first.parent.iterdir())) == 1
    assert export.cached(NET, "a.pdparams", SIZE).read_bytes() == whole and len(exports) == 2


def test_the_cache_is_the_users(monkeypatch, tmp_path):
    monkeypatch.delenv("DEHW_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert export.cache_folder() == tmp_path / "dehw"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert export.cache_folder() == Path.home() / ".cache" / "dehw"


def test_a_user_without_a_home_keeps_nothing(exports, monkeypatch):
    def unknown():
        raise RuntimeError("Could not determine home directory.")

    for name in ("DEHW_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", unknown)
    assert export.cached(NET, "a.pdparams", SIZE) == b"erasenet {'width': 0.25} weights of a (8, 12)"
    [finding] = doctor.cache()
    assert not finding.ok and "DEHW_CACHE" in finding.remedy


# -- beside the weights ---------------------------------------------------------------------------------------


@pytest.fixture
def beside(exports):
    """The file a.onnx, and its manifest, which says that it is made of a.pdparams."""
    file = Path("a.onnx")
    file.write_text("shipped")
    facts = {"sha256": export.sha256(file), **export.made_of(NET, "a.pdparams", SIZE), "opset": 17}
    write_json("manifest.json", {"networks": {file.name: facts}})
    return file


def test_the_file_beside_the_weights_is_taken_and_nothing_exported(beside, exports):
    assert export.onnx_file(NET, "a.pdparams", SIZE) == beside and not exports


def test_what_is_made_of_something_else_is_exported_instead(beside, exports):
    other = NetworkConfig("erasenet", "a.pdparams", {"width": 0.5})
    for network, size in [(other, SIZE), (NET, (16, 12)), (NET, None)]:
        assert export.onnx_file(network, "a.pdparams", size).parent.name == "new"
    Path("a.pdparams").write_text("trained further")
    assert export.onnx_file(NET, "a.pdparams", SIZE).read_text().endswith("trained further (8, 12)")
    assert len(exports) == 4
    beside.unlink()
    assert export.onnx_file(NET, "a.pdparams", SIZE).parent.name == "new"


def test_a_file_for_tiles_of_any_size_is_taken_where_they_are_asked_for(beside, exports):
    listed = json.loads(Path("manifest.json").read_text())
    listed["networks"]["a.onnx"]["size"] = None
    write_json("manifest.json", listed)
    assert export.onnx_file(NET, "a.pdparams", None) == beside and not exports
    assert export.onnx_file(NET, "a.pdparams", SIZE).parent.name == "new"


def test_a_damaged_file_beside_the_weights_is_refused(beside):
    beside.write_text("damaged")
    with pytest.raises(WeightsError, match="a.onnx.*SHA-256"):
        export.onnx_file(NET, "a.pdparams", SIZE)


# -- dehw export ---------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path, monkeypatch):
    """The file of a pipeline of two tiny networks, with its weights in the folder `own`."""
    from dehw import models

    path = tmp_path / "small.yml"
    path.write_text(
        "segment: {network: {type: segformer_b0, weights: s.pdparams, args: {embedding_dim: 16}},"
        " window: 64, stride: 32}\n"
        "erase: {networks: [{type: erasenet, weights: e.pdparams, args: {width: 0.0625}}], tile: 96, margin: 13}"
    )
    pipeline = config.load_pipeline(path)
    for network in (pipeline.segment.network, *pipeline.erase.networks):
        weights.save(models.build(network), tmp_path / "own" / network.weights)
    monkeypatch.chdir(tmp_path)
    return path


def test_a_pipeline_is_exported_with_a_readme_of_inputs_and_outputs(small, capsys):
    assert main.main(["export", str(small), "-o", "out", "--weights", "own"]) == ExitCode.OK
    assert sorted(path.name for path in Path("out").iterdir()) == ["README.md", "e.onnx", "s.onnx"]
    readme = Path("out/README.md").read_text()
    for stem, sides, channels, met in (("s", "H, W", 1, [(64, 96), (32, 128)]), ("e", "96, 96", 3, [(96, 96)])):
        network = config.load_pipeline(small)
        network = network.segment.network if stem == "s" else network.erase.networks[0]
        assert f"| `{stem}.onnx` | {network.type} | `tile` (N, 3, {sides}) | (N, {channels}, {sides})" in readme
        assert export.sha256(Path(f"own/{stem}.pdparams")) in readme
        layer = export.load(network, f"own/{stem}.pdparams")
        for size in met:
            tile, mask = rand(2, 3, *size), [] if stem == "s" else [paddle.to_tensor(rand(2, 1, *size))]
            with paddle.no_grad():
                expected = layer.infer(paddle.to_tensor(tile), *mask).numpy()
            np.testing.assert_allclose(run(f"out/{stem}.onnx", tile=tile), expected, atol=1e-5)
    assert main.main(["export", str(small), "-o", "out", "--weights", "own"]) == ExitCode.USAGE
    assert "out is not empty" in capsys.readouterr().err


def test_missing_weights_are_told_before_anything_is_exported(small):
    Path("own/e.pdparams").unlink()
    assert main.main(["export", str(small), "-o", "out", "--weights", "own"]) == ExitCode.WEIGHTS
    assert not Path("out").exists()
