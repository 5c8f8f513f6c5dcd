"""The winners' released weights: their names are known, and our networks give with them what theirs gave."""

import hashlib
import os
import pickle
import zlib

import numpy as np
import paddle
import pytest

from dehw import models
from dehw.commands.main import main
from dehw.commands.weights import NETWORKS
from dehw.config import NetworkConfig, load_pipeline
from dehw.engine import pick, weights
from dehw.engine.imported import RELEASES
from dehw.errors import ConfigError, ExitCode
from dehw.files.pickles import NAMES

ROWS, COLUMNS = (0, 20, 40, 63), (0, 31, 70, 95)

# Made outside this project by the original code: the two repositories' networks (sa_gan.STRnet2, sa_aidr.STRAIDR with
# 96 channels, network.MaskInpaintGenerator_v5) and PaddleSeg 2.4.0's SegFormer_B2 of two classes, run by Paddle 3.3.1
# on a CPU with `formula`'s weights on `pages`. How many arrays a network has, the SHA-256 of their sorted lines
# "name [shape]", its output's last channel at ROWS and COLUMNS, the whole output's mean and deviation.
ORIGINALS = {
    "erasenet": (244, "0af2ce82d3fa08ff", [0.050015, 0.62696, 0.582199, 0.051424], 0.527177, 0.164621),
    "erasenet-nonlocal": (224, "ca315068a8b3e3a2", [0.042843, 0.869202, -0.837573, -0.32796], -0.096254, 1.094259),
    "mtrnet": (92, "70e16f2e40ce5db0", [0.328423, 0.789022, 0.710353, 0.307796], 0.527271, 0.275176),
    "segformer_b2": (347, "a34a4bfe57b29fa4", [0.454873, 0.412361, 0.410683, 0.404182], 0.420135, 0.028087),
}


def formula(name, shape):
    """An array made of its name, as the originals call it, and its shape; outputs stay near 1."""
    values = np.random.RandomState(zlib.crc32(name.encode())).uniform(-1, 1, shape)
    last = name.rpartition(".")[2]
    if last in ("weight_u", "weight_v"):
        values = np.full(shape, (9 if last == "weight_u" else 1) ** 0.5 * np.prod(shape) ** -0.5)
    elif last == "weight_orig":
        values = values + (18 * shape[0]) ** -0.5
    elif len(shape) > 1:
        gain = 60 if name.startswith("refine") and shape[-1] == 1 else 3  # non-local blocks are to be seen
        values = values * (gain / np.prod(shape[1:])) ** 0.5
    elif last in ("bias", "_mean"):
        values = values / 10
    else:
        values = 0.7 + values / 5
    return values.astype(np.float32)


def pages():
    rng = np.random.RandomState(0)
    page = rng.uniform(0, 1, (1, 3, 64, 96)).astype(np.float32)
    return page, (rng.uniform(0, 1, (1, 1, 64, 96)) < 0.3).astype(np.float32)


def released(name):
    """A network's arrays as its release has them."""
    release = RELEASES[name]
    own = models.build(release.network).state_dict()
    shapes = {release.theirs(key): list(value.shape) for key, value in own.items()}
    if name == "erasenet-nonlocal":  # two convolutions that the released code makes and never calls
        shapes |= {"c1.weight": [64, 32, 1, 1], "c1.bias": [64], "c2.weight": [128, 64, 1, 1], "c2.bias": [128]}
    return {key: formula(key, shape) for key, shape in shapes.items()}


def bring(path, name, folder="weights"):
    return main(["weights", "import", str(path), "--as", name, "-o", str(path.parent / folder)])


def write(path, content):
    path.write_bytes(pickle.dumps(content, protocol=4))
    return path


@pytest.fixture(scope="module")
def arrays():
    """Each release's arrays."""
    return {name: released(name) for name in RELEASES}


@pytest.fixture
def plain(arrays):
    """The arrays of the first model, which the tests of refusals change."""
    return arrays["erasenet"]


@pytest.fixture(scope="module")
def imported(arrays, tmp_path_factory):
    """The folder that all four were imported to, from files as the releases are: one is within another dict."""
    folder = tmp_path_factory.mktemp("released")
    for name, state in arrays.items():
        tensors = {key: paddle.to_tensor(value) for key, value in state.items()}
        content = {"iteration": 105000, "generator": tensors} if name == "mtrnet" else tensors
        paddle.save(content, str(folder / f"{name}.pdparams"))
        assert bring(folder / f"{name}.pdparams", name) == ExitCode.OK
    return folder / "weights"


def network_of(name):
    """The network as the pipelines that reproduce the seeds have it."""
    first, second = load_pipeline("seed000"), load_pipeline("seed001")
    wanted = {"segformer_b2": first.segment.network, "mtrnet": first.erase.networks[0]}
    return (wanted | dict(zip(("erasenet", "erasenet-nonlocal"), second.erase.networks)))[name]


@pytest.mark.parametrize("name", RELEASES)
def test_the_names_and_shapes_are_those_of_the_originals(arrays, name):
    lines = sorted(f"{key} {list(value.shape)}" for key, value in arrays[name].items())
    digest = hashlib.sha256("\n".join(lines).encode()).hexdigest()
    assert (len(lines), digest[:16]) == ORIGINALS[name][:2]


@pytest.mark.parametrize("name", RELEASES)
def test_our_networks_give_what_the_originals_give(imported, name):
    values, mean, deviation = ORIGINALS[name][2:]
    network = network_of(name)
    output = pick.build(network, imported / network.weights)(*pages()[: 1 if name == "segformer_b2" else 2])
    np.testing.assert_allclose(output[0, -1, ROWS, COLUMNS], values, atol=1e-4)
    assert (output.mean(), output.std()) == (pytest.approx(mean, abs=1e-4), pytest.approx(deviation, abs=1e-4))


def test_the_corrected_non_local_block_gives_something_else(imported):
    corrected = NetworkConfig("erasenet", "", {"refinement": "nonlocal", "nonlocal_form": "corrected"})
    output = pick.build(corrected, imported / "erasenet_nonlocal.pdparams")(*pages())
    assert np.abs(output[0, -1, ROWS, COLUMNS] - ORIGINALS["erasenet-nonlocal"][2]).max() > 0.1


def test_the_manifest_says_how_the_networks_compute(imported):
    args = {file: facts["args"] for file, facts in weights.manifest(imported).items()}
    assert args == {
        "erasenet.pdparams": {},
        "erasenet_nonlocal.pdparams": {"refinement": "nonlocal", "nonlocal_form": "released"},
        "mtrnet.pdparams": {"mask_input": True, "whiten": True},
        "segformer_b2.pdparams": {"embedding_dim": 768},
    }
    assert args["segformer_b2.pdparams"] == network_of("segformer_b2").args  # so trainings take it over by --from


def test_what_paddle_kept_of_parameters_names_is_passed_over(tmp_path, plain):
    names = {key: f"parameter_{number}" for number, key in enumerate(plain)}
    assert bring(write(tmp_path / "str.pdparams", plain | {NAMES: names}), "erasenet") == ExitCode.OK


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"conv1.conv2d.bias": None}, ["missing conv1.conv2d.bias"]),
        ({"conv9.weight": np.zeros((3, 3), np.float32)}, ["not part of the network conv9.weight"]),
        ({"conv1.conv2d.bias": np.zeros(31, np.float32)}, ["conv1.conv2d.bias is [31], not [32]"]),
        ({"conv1.conv2d.bias": "text"}, ["conv1.conv2d.bias is no array of numbers"]),
    ],
)
def test_a_file_that_is_not_the_release_is_refused(tmp_path, capsys, plain, change, words):
    state = {key: value for key, value in (plain | change).items() if value is not None}
    path = write(tmp_path / "odd.pdparams", state)
    assert bring(path, "erasenet") == ExitCode.WEIGHTS
    told = capsys.readouterr().err
    assert [word for word in [str(path), *words] if word not in told] == []
    assert not (tmp_path / "weights").exists()


def test_another_release_is_told_by_its_name(tmp_path, capsys, plain):
    assert bring(write(tmp_path / "str.pdparams", plain), "erasenet-nonlocal") == ExitCode.WEIGHTS
    assert capsys.readouterr().err.endswith("Import it --as erasenet.\n")


class Harmful:
    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_nothing_that_a_file_names_is_run(tmp_path, capsys):
    path = write(tmp_path / "harmful.pdparams", {"conv1.conv2d.bias": Harmful(tmp_path / "ran")})
    assert bring(path, "erasenet") == ExitCode.WEIGHTS
    assert "asks for posix.mkdir" in capsys.readouterr().err or os.name != "posix"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [b"", b"not weights", pickle.dumps([1, 2])])
def test_a_file_without_weights_is_refused(tmp_path, capsys, content):
    path = tmp_path / "bad.pdparams"
    path.write_bytes(content)
    assert bring(path, "erasenet") == ExitCode.WEIGHTS
    assert bring(tmp_path / "none.pdparams", "erasenet") == ExitCode.WEIGHTS
    told = capsys.readouterr().err
    assert str(path) in told and "no such file" in told


def test_a_trained_network_is_not_replaced(tmp_path, capsys):
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "erasenet.pdparams").write_bytes(b"mine")
    assert bring(tmp_path / "str.pdparams", "erasenet") == ExitCode.USAGE
    assert "another folder" in capsys.readouterr().err
    assert (tmp_path / "weights" / "erasenet.pdparams").read_bytes() == b"mine"


def test_the_command_knows_every_release():
    assert NETWORKS == tuple(RELEASES)


def test_the_released_form_needs_non_local_blocks():
    with pytest.raises(ConfigError, match="needs refinement: nonlocal"):
        models.build(NetworkConfig("erasenet", "", {"nonlocal_form": "released"}))
    with pytest.raises(ConfigError, match="nonlocal_form must be one of corrected, released"):
        models.build(NetworkConfig("erasenet", "", {"refinement": "nonlocal", "nonlocal_form": "theirs"}))


def test_a_pipeline_may_name_the_released_form():
    network = NetworkConfig("erasenet", "", {"width": 0.0625, "refinement": "nonlocal", "nonlocal_form": "released"})
    assert models.build(network)(paddle.rand([1, 3, 64, 64]))[3].shape == [1, 3, 64, 64]
