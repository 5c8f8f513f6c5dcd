"""Weight files: exact or refused, with a message that says which file and what to do."""

import json
import logging

import numpy as np
import paddle
import pytest

from dehw.config import Erase, NetworkConfig, Pipeline
from dehw.engine import weights
from dehw.errors import ExitCode, WeightsError

NETWORK = NetworkConfig("erasenet", "net.pdparams")


def pipeline(train="sh train.sh --pipeline p"):
    return Pipeline(name="p", erase=Erase([NETWORK]), train=train)


def small(channels=4):
    return paddle.nn.Sequential(paddle.nn.Conv2D(3, channels, 3), paddle.nn.BatchNorm2D(channels))


def arrays(layer):
    return {key: value.numpy() for key, value in layer.state_dict().items()}


@pytest.fixture
def saved(tmp_path):
    """A layer and the file it was saved to, in full precision."""
    layer = small()
    path = tmp_path / "net.pdparams"
    weights.save(layer, path, dtype="float32", type="small", steps=7)
    return layer, path


def refusal(path, layer=None):
    with pytest.raises(WeightsError) as caught:
        weights.load(layer or small(), path)
    assert str(path) in str(caught.value)
    assert caught.value.exit_code == ExitCode.WEIGHTS
    return str(caught.value)


def rewrite(path, change):
    """Change what a file holds; its folder's manifest is gone, which would say so."""
    state = paddle.load(str(path), return_numpy=True)
    change(state)
    paddle.save(state, str(path))
    (path.parent / "manifest.json").unlink()


def test_a_round_trip_in_full_precision_is_exact(saved):
    layer, path = saved
    other = small()
    weights.load(other, path)
    for key, value in arrays(layer).items():
        np.testing.assert_array_equal(arrays(other)[key], value)


def test_half_precision_keeps_vectors_whole_and_is_widened_when_read(tmp_path):
    layer = small()
    layer[1]._variance.set_value(paddle.full([4], 1e6))  # beyond float16
    weights.save(layer, tmp_path / "net.pdparams")
    stored = paddle.load(str(tmp_path / "net.pdparams"), return_numpy=True)
    assert stored["0.weight"].dtype == np.float16
    other = small()
    weights.load(other, tmp_path / "net.pdparams")
    for key, value in arrays(layer).items():
        expected = value.astype(np.float16).astype(np.float32) if value.ndim > 1 else value
        np.testing.assert_array_equal(arrays(other)[key], expected)
        assert arrays(other)[key].dtype == np.float32


def test_bytes_are_within_half_a_step_of_each_slice(tmp_path):
    layer = small()
    kernel = layer[0].weight.numpy()
    kernel[0] *= 100  # a slice of its own scale
    kernel[1] = 0
    layer[0].weight.set_value(kernel)
    weights.save(layer, tmp_path / "net.pdparams", dtype="int8")
    stored = paddle.load(str(tmp_path / "net.pdparams"), return_numpy=True)
    assert stored["0.weight"].dtype == np.int8
    other = small()
    weights.load(other, tmp_path / "net.pdparams")
    for key, value in arrays(layer).items():
        largest = np.abs(value).max(axis=tuple(range(1, value.ndim)), keepdims=True)
        step = largest / 127 if value.ndim > 1 else 0
        assert (np.abs(arrays(other)[key] - value) <= step * 0.501).all()


def test_the_file_can_be_read_by_paddle_alone(saved):
    layer, path = saved
    other = small()
    missing, unexpected = other.set_state_dict(paddle.load(str(path)))
    assert not missing and not unexpected
    np.testing.assert_array_equal(other[0].weight.numpy(), layer[0].weight.numpy())


def test_a_state_dict_saved_by_paddle_alone_is_read(tmp_path):
    layer, other = small(), small()
    paddle.save(layer.state_dict(), str(tmp_path / "model.pdparams"))
    weights.load(other, tmp_path / "model.pdparams")
    np.testing.assert_array_equal(other[0].weight.numpy(), layer[0].weight.numpy())


def test_a_missing_key_is_named_with_the_nearest(saved):
    path = saved[1]
    rewrite(path, lambda state: state.update({"0.wieght": state.pop("0.weight")}))
    message = refusal(path)
    assert "missing 0.weight (did you mean '0.wieght'?)" in message
    assert "not part of the network 0.wieght (did you mean '0.weight'?)" in message
    assert "pipeline and args" in message


def test_an_extra_key_is_refused(saved):
    path = saved[1]
    rewrite(path, lambda state: state.update({"2.bias": np.zeros(3, np.float32)}))
    assert "not part of the network 2.bias" in refusal(path)


def test_a_wrong_shape_is_refused_and_nothing_is_set(saved):
    path = saved[1]
    layer = small(channels=5)
    before = arrays(layer)
    message = refusal(path, layer)
    assert "0.weight is [4, 3, 3, 3], not [5, 3, 3, 3]" in message
    assert "and 3 more" in message
    for key, value in arrays(layer).items():
        np.testing.assert_array_equal(value, before[key])


def test_a_changed_file_is_refused_by_its_checksum(saved):
    path = saved[1]
    manifest = (path.parent / "manifest.json").read_bytes()
    rewrite(path, lambda state: state["0.weight"].__iadd__(1))
    weights.load(small(), path)
    (path.parent / "manifest.json").write_bytes(manifest)
    assert "SHA-256" in refusal(path)


def test_a_file_the_manifest_does_not_list_is_read_unchecked(saved):
    path = saved[1]
    other = path.rename(path.with_name("other.pdparams"))
    weights.load(small(), other)


def test_a_broken_manifest_is_named(saved):
    path = saved[1]
    (path.parent / "manifest.json").write_text("{", encoding="utf-8")
    with pytest.raises(WeightsError, match="manifest.json.*restore"):
        weights.load(small(), path)


@pytest.mark.parametrize("content", [b"", b"not weights", None])
def test_a_file_that_is_no_weight_file_is_refused(tmp_path, saved, content):
    path = tmp_path / "bad.pdparams"
    path.write_bytes(saved[1].read_bytes()[:-100] if content is None else content)
    assert "damaged" in refusal(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    assert "no such file" in refusal(tmp_path / "none.pdparams")


def test_the_manifest_gathers_the_facts_of_every_file(saved):
    path = saved[1]
    weights.save(small(), path.with_name("second.pdparams"), type="other", args={"width": 0.25}, scores={"psnr": 30.5})
    listed = json.loads((path.parent / "manifest.json").read_text(encoding="utf-8"))["networks"]
    assert listed["net.pdparams"]["type"] == "small"
    assert listed["net.pdparams"]["steps"] == 7
    assert listed["second.pdparams"]["args"] == {"width": 0.25}
    assert len(listed["second.pdparams"]["sha256"]) == 64
    assert weights.manifest(path.parent) == listed


@pytest.mark.parametrize("dtype, value", [("float16", 1e5), ("int8", np.inf), ("int8", np.nan)])  # 1e5: beyond float16
def test_weights_that_are_not_finite_are_not_written(tmp_path, saved, dtype, value):
    layer, path = saved
    before = path.read_bytes()
    layer[0].weight.set_value(paddle.full_like(layer[0].weight, value))
    with pytest.raises(WeightsError, match="0.weight[a-z@]* not finite"):
        weights.save(layer, path, dtype)
    assert path.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["manifest.json", "net.pdparams"]


def test_weights_are_found_in_the_folder_given_before_the_shipped(tmp_path, monkeypatch, caplog):
    shipped, own = tmp_path / "shipped", tmp_path / "own"
    monkeypatch.setattr(weights, "SHIPPED", shipped)
    for folder in (shipped, own):
        folder.mkdir()
        (folder / "net.pdparams").touch()
    with caplog.at_level(logging.WARNING):
        assert weights.find(NETWORK, None, pipeline()) == shipped / "net.pdparams"
        assert weights.find(NETWORK, own, pipeline()) == own / "net.pdparams"
        assert caplog.messages == []
        (own / "net.pdparams").unlink()
        assert weights.find(NETWORK, own, pipeline()) == shipped / "net.pdparams"
    assert caplog.messages == [f"net.pdparams is not in {own}; taking the one that ships."]
    with pytest.raises(WeightsError, match="owm is no folder; name the one that holds the weights"):
        weights.find(NETWORK, tmp_path / "owm", pipeline())


def test_missing_weights_name_the_command_that_trains_them(tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "SHIPPED", tmp_path / "shipped")
    with pytest.raises(WeightsError) as caught:
        weights.find(NETWORK, tmp_path / "own", pipeline())
    words = ("net.pdparams", str(tmp_path / "own"), str(tmp_path / "shipped"), "`sh train.sh --pipeline p`")
    assert [word for word in words if word not in str(caught.value)] == []
    with pytest.raises(WeightsError, match="put the file there"):
        weights.find(NETWORK, None, pipeline(train=None))
