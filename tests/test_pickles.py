"""Weights are data: what Paddle writes is read as Paddle reads it, and nothing that a file names is run."""

import hashlib
import io
import pickle
import struct
import tarfile
import time

import cv2  # noqa: F401  before Paddle
import numpy as np
import paddle
import pytest
from paddleseg import utils

from dehw.engine import weights
from dehw.errors import WeightsError
from dehw.files.pickles import NAMES, SLICES, read_pickle, read_state
from dehw.models.ppocr import PPOCRMask
from dehw.train import backbone, checkpoint, segrecord


class Calls:
    """Asks to have a function called when it is read."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def harmful(marker, protocol):
    """Pickles that would make the folder `marker`, or take all time or memory, were they believed."""
    command = f"__import__('os').mkdir({str(marker)!r})"
    act = Calls(exec, command)
    state = {"weight": np.zeros(3, np.float32)}
    yield "call", pickle.dumps(state | {"act": act}, protocol)
    yield "eval", pickle.dumps(Calls(eval, command), protocol)
    yield "objects", pickle.dumps(state | {"weight": np.array([act, None], object)}, protocol)
    yield "new", b"\x80\x02cbuiltins\nobject\n)\x81."
    yield "codec", pickle.dumps(Calls(__import__("_codecs").encode, "text", "zip"), protocol)
    yield "getattr", b"cbuiltins\ngetattr\n."
    yield "inst", f"(S{command!r}\nibuiltins\nexec\n.".encode()
    yield "object", f"(cbuiltins\nexec\nS{command!r}\no.".encode()
    yield "persistent", b"Pname\n."
    yield "extension", b"\x82\x01."
    yield "state of a name", b"cnumpy\nndarray\n}S'flags'\nI1\nsb."
    yield "state of a dict", b"}}S'a'\nI1\nsb."
    yield "array without numbers", b"}S'a'\ncnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntRs."
    yield "deep", b"]" * 100_000 + b"a" * 99_999 + b"."
    yield "circle", b"]q\x00h\x00a."
    yield "laughs", b"]" + b"".join(b"q%c(%s]" % (n, b"h%c" % n * 10) for n in range(30)) + b"."
    blocks = {"weight": np.array([np.nan])}
    for _ in range(40):
        blocks = {"a": blocks, "b": blocks}
    yield "laughs of blocks", pickle.dumps(blocks, protocol)
    content, items = bytes(1 << 20), [1.5] * 100_000
    again = [Calls(np.core.numeric._frombuffer, content, np.dtype("u1"), (1 << 20,), "C") for _ in range(2000)]
    yield "the same array", pickle.dumps(state | {"again": again}, protocol)
    yield "the same tuple", pickle.dumps(state | {"again": [Calls(tuple, items) for _ in range(2000)]}, protocol)
    yield "long", b"\x8e" + struct.pack("<Q", 1 << 62) + b"abc."
    yield "huge frame", b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"N."
    yield "huge memo", b"}r\xff\xff\xff\xff0N."
    yield "number", b"\x8b" + struct.pack("<i", 1 << 20) + b"\x7f" * (1 << 20) + b"."
    yield "digits", b"L" + b"9" * 5000 + b"L\n."
    yield "endless", b"N0" * 2_000_000 + b"N."
    yield "empty", b""
    yield "other", b"not weights"


HARMFUL = [name for name, _ in harmful("", 2)]


def resumed(path):
    with backbone.arrays_alone():
        utils.load_pretrained_model(paddle.nn.Linear(2, 2), str(path))


def of_torch(path):
    pytest.importorskip("torch")
    from pretrain import states

    states.load(path)


ENTRIES = {
    "a pickle": read_pickle,
    "weights": lambda path: weights.load(paddle.nn.Linear(2, 2), path),
    "VGG": weights.load_vgg,
    "a trunk": lambda path: PPOCRMask(pretrained=str(path)),
    "a checkpoint": lambda path: checkpoint.load(path, model=paddle.nn.Linear(2, 2)),
    "a segmenter's": lambda path: segrecord._check(path.parent, paddle.nn.Linear(2, 2)),
    "a backbone": resumed,
    "PyTorch's": of_torch,
}


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("name", HARMFUL)
def test_nothing_is_run_and_nothing_hangs(tmp_path, name, protocol):
    path, marker = tmp_path / "model.pdparams", tmp_path / "ran"
    path.write_bytes(dict(harmful(marker, protocol))[name])
    started = time.process_time()
    with pytest.raises(WeightsError, match="model.pdparams"):
        read_state(path)
    assert not marker.exists()
    assert time.process_time() - started < 30


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.parametrize("name", ["call", "eval", "objects", "deep", "long", "empty"])
def test_every_way_in_refuses(tmp_path, entry, name):
    path, marker = tmp_path / "model.pdparams", tmp_path / "ran"
    path.write_bytes(dict(harmful(marker, 2))[name])
    (tmp_path / "model.pdopt").write_bytes(path.read_bytes())
    with pytest.raises(WeightsError, match="model.pdparams|backbone") as caught:
        ENTRIES[entry](path)
    assert not marker.exists()
    assert len(str(caught.value)) < 2000


def test_what_is_asked_for_is_named(tmp_path):
    path = tmp_path / "model.pdparams"
    path.write_bytes(pickle.dumps({"a": Calls(eval, "1")}))
    with pytest.raises(WeightsError, match="asks for builtins.eval, which no weights need; it was not read. Get"):
        read_pickle(path)


def same(first, second):
    if isinstance(first, dict):
        assert list(first) == list(second)
        return [same(first[key], second[key]) for key in first]
    if isinstance(first, (list, tuple)):
        assert len(first) == len(second) and type(first) is type(second)
        return [same(*pair) for pair in zip(first, second)]
    if isinstance(first, np.ndarray):
        assert (first.dtype, first.shape) == (second.dtype, second.shape)
        return np.testing.assert_array_equal(first, second)
    assert first == second and type(first) is type(second)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_what_paddle_saves_is_read_as_paddle_reads_it(tmp_path, protocol):
    network = paddle.nn.Sequential(paddle.nn.Conv2D(3, 4, 3), paddle.nn.BatchNorm2D(4))
    schedule = paddle.optimizer.lr.LinearWarmup(paddle.optimizer.lr.PolynomialDecay(0.1, 10), 5, 0.0, 0.1)
    adam = paddle.optimizer.AdamW(schedule, parameters=network.parameters(), multi_precision=True)
    network(paddle.ones([1, 3, 8, 8])).sum().backward()
    adam.step()
    schedule.step()
    kinds = {kind: np.arange(6).astype(kind).reshape(2, 3) for kind in ("f2", "f4", "f8", "i1", "u1", "i8", "?")}
    kinds |= {"columns": np.asfortranarray(kinds["f4"]), "none": np.zeros((0, 3)), "one": np.array(2.5)}
    for name, content in {
        "net.pdparams": network.state_dict(),
        "net.pdopt": adam.state_dict(),
        "all": {
            "net": network.state_dict(),
            "random": np.random.get_state(),
            "step": 3,
            "list": [1.5, None, "ä", True],
        },
        "kinds": kinds | {"scalar": np.float32(0.1)},
    }.items():
        paddle.save(content, str(tmp_path / name), protocol=protocol)
        same(paddle.load(str(tmp_path / name), return_numpy=True), read_pickle(tmp_path / name))


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_arrays_of_any_protocol_are_read(tmp_path, protocol):
    content = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "empty": b"", "big": 2**127, "small": -5}
    content["swapped"] = content["a"].astype(">f4")
    (tmp_path / "a").write_bytes(pickle.dumps(content, protocol))
    same(content, read_pickle(tmp_path / "a"))


def test_arrays_are_put_together_from_slices(tmp_path):
    whole = np.arange(12, dtype=np.float32).reshape(3, 4)
    parts = {f"w@@.{n}": part for n, part in enumerate(np.split(whole.ravel(), 3))}
    cut = {SLICES: {"w": {"OriginShape": (3, 4), "slices": list(parts)}}, NAMES: {"b": "linear_0.b_0"}}
    (tmp_path / "a").write_bytes(pickle.dumps({"b": whole[0], **parts, **cut}, 2))
    same({"b": whole[0], "w": whole}, read_pickle(tmp_path / "a"))
    same(paddle.load(str(tmp_path / "a"), return_numpy=True), read_pickle(tmp_path / "a"))


def test_checkpoints_with_paddles_own_class_for_random_states_are_read(tmp_path):
    paddle.save({"paddle": paddle.get_rng_state()}, str(tmp_path / "a"))
    (state,) = read_pickle(tmp_path / "a")["paddle"]
    assert state == paddle.get_rng_state()[0].__getstate__()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_refused_by_name(tmp_path, value):
    path = tmp_path / "net.pdparams"
    paddle.save({"model": {"conv.weight": np.array([1, value], np.float32)}}, str(path))
    with pytest.raises(WeightsError, match="net.pdparams: model.conv.weight holds numbers that are not finite"):
        weights.read(path)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_those_of_pytorch_are_refused_too(tmp_path, value):
    torch, path = pytest.importorskip("torch"), tmp_path / "net.pt"
    torch.save({"network": {"conv.weight": torch.tensor([1, value])}}, path)
    with pytest.raises(WeightsError, match="net.pt: holds numbers that are not finite"):
        of_torch(path)


def test_a_scale_that_does_not_fit_is_refused(tmp_path):
    path = tmp_path / "net.pdparams"
    for scale in (np.ones((1, 9), np.float32), np.ones(3, np.float32), "text"):
        paddle.save({"w": np.ones((3, 1), np.int8), "w@scale": scale}, str(path))
        with pytest.raises(WeightsError, match="w@scale does not fit w"):
            weights.read(path)


def test_a_backbone_is_checked_and_unpacked_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(backbone.seg_env, "PRETRAINED_MODEL_HOME", str(tmp_path / "home"))
    content, url = pickle.dumps({"weight": np.zeros(3, np.float32)}), "https://host/mit.tar.gz"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in ("../../outside", "mit/model.pdparams"):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    monkeypatch.setattr(backbone, "download", lambda url, target: target.write(packed.getvalue()))
    model = {"backbone": {"pretrained": url, "pretrained_sha256": hashlib.sha256(content).hexdigest()}}
    backbone.settle(model)
    path = tmp_path / "home" / "mit" / "model.pdparams"
    assert model == {"backbone": {"pretrained": str(path)}}
    assert path.read_bytes() == content
    assert sorted(each.name for each in tmp_path.rglob("*") if each.is_file()) == ["model.pdparams"]
    model = {"backbone": {"pretrained": url, "pretrained_sha256": "0" * 64}}
    with pytest.raises(WeightsError, match="model.pdparams: its SHA-256"):
        backbone.settle(model)


def test_nothing_but_the_web_is_downloaded_from():
    with pytest.raises(OSError, match="no http"):
        backbone.download("file:///etc/passwd", io.BytesIO())
