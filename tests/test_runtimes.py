"""Exported networks give what Paddle gives, on each engine; untrained networks, since training changes no operator."""

import gc
import hashlib
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import paddle
import pytest

from dehw import models
from dehw.config import NetworkConfig, load_pipeline
from dehw.engine import export, machine, onnxruntime, openvino, parallel, pick, weights
from dehw.eraser import Eraser
from dehw.errors import DeviceError, ExitCode
from dehw.files.images import read_image, write_image
from dehw.page import tiling

pytest.importorskip("openvino")
onnx = pytest.importorskip("onnx")
ort = pytest.importorskip("onnxruntime")
pytest.importorskip("paddle2onnx")

SAMPLES = Path(__file__).parents[1] / "data" / "sample" / "images"
TILE = 64
SIZE = (TILE, TILE)
CPU = [onnxruntime.CPU]
NETWORKS = {
    "segformer_b0": NetworkConfig("segformer_b0", "s.pdparams", {"embedding_dim": 16}),
    "erasenet": NetworkConfig("erasenet", "e.pdparams", {"width": 0.0625, "spectral_norm": False}),
    "multiscale": NetworkConfig("erasenet", "a.pdparams", {"width": 0.0625, "refinement": "multiscale"}),
    "nonlocal": NetworkConfig("erasenet", "n.pdparams", {"width": 0.0625, "refinement": "nonlocal"}),
    "mtrnet": NetworkConfig("mtrnet", "m.pdparams", {"width": 0.0625, "whiten": True}),
    "segformer_b2": NetworkConfig("segformer_b2", "b.pdparams", {"embedding_dim": 768}),
}
SLOW = ("nonlocal", "mtrnet", "segformer_b2")
SIZES = [(64, 96), (96, 32), (32, 160), (128, 64)]  # more than OpenVINO keeps
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
        return network, path, inputs, pick.build(network, path)(*inputs)

    return lambda kind: known[kind] if kind in known else known.setdefault(kind, make(kind))


def built_for(kind):
    """The size that a kind of network is built for; segmenters take any."""
    return None if "seg" in kind else SIZE


def counted(monkeypatch, owner, name):
    """The calls of a function of `owner` from now on."""
    calls, function = [], getattr(owner, name)
    monkeypatch.setattr(owner, name, lambda *args: calls.append(args) or function(*args))
    return calls


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_an_engine_gives_what_paddle_gives(saved, monkeypatch, kind, name):
    """In float32, the rounding of a few hundred layers apart."""
    network, path, inputs, expected = saved(kind)
    monkeypatch.setattr(openvino, "cpu_precision", lambda: "f32")
    answer = pick.build(network, path, "cpu", name, built_for(kind))(*inputs)
    assert answer.dtype == np.float32 and expected.std() > 0.05
    np.testing.assert_allclose(answer, expected, rtol=0, atol=1e-4 * expected.std())


@pytest.mark.parametrize("kind", KINDS)
def test_bf16_stays_near(saved, monkeypatch, kind):
    """Its 8 bits of mantissa round each product by 0.4 %; untrained networks spread that more than trained ones."""
    network, path, inputs, expected = saved(kind)
    monkeypatch.setattr(openvino, "cpu_precision", lambda: "bf16")
    answer = pick.build(network, path, "cpu", "openvino", built_for(kind))(*inputs)
    assert answer.dtype == np.float32
    assert np.abs(answer - expected).mean() < 0.05 * expected.std()


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_tiles_of_another_size_and_number_are_taken(saved, name):
    network, path, _, _ = saved("erasenet")
    built = pick.build(network, path, "cpu", name, SIZE)
    for shape in [(1, 64, 96), (3, 64, 96), (1, TILE, TILE)]:
        tiles = np.random.default_rng(1).random((shape[0], 3, *shape[1:]), dtype=np.float32)
        expected = pick.build(network, path)(tiles, tiles[:, :1])
        assert np.abs(built(tiles, tiles[:, :1]) - expected).mean() < 0.05 * expected.std()


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_a_segmenter_of_any_size_gives_what_paddle_gives_at_each(saved, monkeypatch, name):
    network, path, _, _ = saved("segformer_b0")
    monkeypatch.setattr(openvino, "cpu_precision", lambda: "f32")
    built, by_paddle = pick.build(network, path, "cpu", name), pick.build(network, path)
    for size in SIZES[:2]:
        tiles = np.random.default_rng(1).random((2, 3, *size), dtype=np.float32)
        expected = by_paddle(tiles)
        assert expected.shape == (2, 1, *size) and expected.std() > 0.05
        np.testing.assert_allclose(built(tiles), expected, rtol=0, atol=1e-4 * expected.std())


@pytest.mark.parametrize(
    ("name", "compiles"), [("openvino", (openvino, "_widened")), ("onnxruntime", (onnxruntime.OnnxNetwork, "_open"))]
)
def test_a_size_is_exported_and_compiled_once(saved, monkeypatch, name, compiles):
    network, path, inputs, _ = saved("erasenet")
    exported, compiled = counted(monkeypatch, export, "onnx_file"), counted(monkeypatch, *compiles)
    built = pick.build(network, path, "cpu", name, SIZE)
    np.testing.assert_array_equal(built(*inputs), built(*inputs))
    assert exported == [(network, path, SIZE)] and len(compiled) == 1


def test_onnx_runtime_opens_a_file_of_any_size_once(saved, monkeypatch):
    network, path, _, _ = saved("segformer_b0")
    opened = counted(monkeypatch, onnxruntime.OnnxNetwork, "_open")
    built = pick.build(network, path, "cpu", "onnxruntime")
    for size in SIZES:
        assert built(np.zeros((1, 3, *size), np.float32)).shape == (1, 1, *size)
    assert len(opened) == 1


def test_openvino_keeps_the_last_sizes_alone(saved, monkeypatch):
    network, path, _, _ = saved("segformer_b0")
    compiled = counted(monkeypatch, openvino, "_widened")
    built = pick.build(network, path, "cpu", "openvino")
    assert openvino.KEPT == 2 and not compiled
    first, second, third, _ = SIZES
    for size, kept, count in [
        (first, [first], 1),
        (second, [first, second], 2),
        (first, [second, first], 2),
        (third, [first, third], 3),  # the one longest unused goes
        (second, [third, second], 4),
    ]:
        built(np.zeros((1, 3, *size), np.float32))
        assert list(built.requests) == kept and len(compiled) == count


def test_a_size_that_goes_while_a_thread_uses_it_answers_still(saved, monkeypatch):
    network, path, _, _ = saved("segformer_b0")
    built = pick.build(network, path, "cpu", "openvino")
    tiles = np.random.default_rng(1).random((1, 3, *SIZES[0]), dtype=np.float32)
    expected, prepare = built(tiles), built.prepare

    def outrun(size):
        """Others' sizes come between a thread's finding its own and using it."""
        requests = prepare(size)
        for other in SIZES[1:]:
            prepare(other)
        assert size not in built.requests
        gc.collect()
        return requests

    monkeypatch.setattr(built, "prepare", outrun)
    np.testing.assert_array_equal(built(tiles), expected)


def test_threads_of_more_sizes_than_are_kept_get_their_own_answers(saved, monkeypatch):
    network, path, _, _ = saved("segformer_b0")
    monkeypatch.setattr(machine, "processors", lambda: 2)
    built, random = pick.build(network, path, "cpu", "openvino"), np.random.default_rng(2)
    inputs = [random.random((1, 3, *SIZES[n % 3]), dtype=np.float32) for n in range(9)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(built, inputs))
    for tiles, answer in zip(inputs, answers):
        np.testing.assert_array_equal(answer, built(tiles))
    assert len(built.requests) == openvino.KEPT


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_threads_may_share_a_network(saved, monkeypatch, name):
    """More of them than run at once: each gets the answer to its own tiles, a new size of tile compiled among them."""
    network, path, _, _ = saved("erasenet")
    monkeypatch.setattr(machine, "processors", lambda: 2)
    built = pick.build(network, path, "cpu", name, SIZE)
    assert built.at_once == 2
    random = np.random.default_rng(2)
    inputs = [random.random((1, 3, TILE, TILE + 32 * (n % 2)), dtype=np.float32) for n in range(8)]
    expected = [built(tiles, tiles[:, :1]) for tiles in inputs]
    again = pick.build(network, path, "cpu", name, SIZE)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda tiles: again(tiles, tiles[:, :1]), inputs))
    for answer, alone in zip(answers, expected):
        np.testing.assert_array_equal(answer, alone)
    assert len(np.unique([answer.mean() for answer in answers])) == 8


def test_the_tiles_at_once_follow_the_processors(monkeypatch):
    for count, at_once in [(1, 1), (2, 2), (64, parallel.MOST_AT_ONCE)]:
        monkeypatch.setattr(machine, "processors", lambda count=count: count)
        assert onnxruntime.OnnxNetwork(lambda size: b"", CPU).at_once == at_once
    assert onnxruntime.OnnxNetwork(lambda size: b"", ["CUDAExecutionProvider", *CPU]).at_once == 1


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_a_damaged_export_is_told_with_its_file(saved, tmp_path, monkeypatch, name):
    network, path, inputs, _ = saved("erasenet")
    monkeypatch.setenv("DEHW_CACHE", str(tmp_path))
    file = export.cached(network, path, SIZE)
    file.write_bytes(file.read_bytes()[:1000])
    monkeypatch.setattr(export, "cached", lambda *about: file)  # which would make it again
    with pytest.raises(DeviceError, match=f"delete {file}, or use another --engine"):
        pick.build(network, path, "cpu", name, SIZE)


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_a_missing_package_is_named_with_its_pip_command(monkeypatch, name):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DeviceError, match=f"pip install {name}, or use another --engine"):
        pick.engine(name)
    for size in (None, SIZE):
        with pytest.raises(DeviceError, match=f"pip install {name}"):
            pick.build(NETWORKS["erasenet"], Path("e.pdparams"), "cpu", name, size)


def test_the_providers_of_onnx_runtime_follow_the_device(monkeypatch):
    found = ["TensorrtExecutionProvider", "CUDAExecutionProvider", "AzureExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(ort, "get_available_providers", lambda: found)
    assert onnxruntime.providers("auto") == onnxruntime.providers("gpu") == ["CUDAExecutionProvider", *CPU]
    assert onnxruntime.providers("cpu") == CPU
    assert pick.engine("onnxruntime", "cpu").device == "cpu" and pick.engine("onnxruntime").device == "gpu"
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CPUExecutionProvider"])
    assert pick.engine("onnxruntime").device == "cpu"
    with pytest.raises(DeviceError, match="onnxruntime-gpu.*--device cpu"):
        onnxruntime.providers("gpu")


@pytest.mark.parametrize(
    ("cpuinfo", "precision"),
    [
        ("flags : fpu avx512f amx_bf16 amx_tile", "bf16"),
        ("flags : fpu avx512f avx512_bf16", "bf16"),
        ("flags : fpu avx512f avx512_vnni", "f32"),
        ("flags : fpu not_amx_bf16", "f32"),
        ("", "f32"),
    ],
)
def test_bf16_is_taken_where_the_processor_has_units_for_it(monkeypatch, cpuinfo, precision):
    monkeypatch.setattr(machine, "_read", lambda path: cpuinfo)
    assert openvino.cpu_precision() == precision


WARM = """
import sys
from pathlib import Path
from dehw.config import NetworkConfig
from dehw.engine import pick
import numpy as np
network = NetworkConfig("erasenet", "e.pdparams", {"width": 0.0625, "spectral_norm": False})
taken = pick.engine()
(built,), taken = pick.build_all([(network, Path(sys.argv[1]), (64, 64))], taken)
built(np.zeros((1, 3, 64, 64), np.float32), np.zeros((1, 1, 64, 64), np.float32))
print(taken.name, "paddle" in sys.modules, sys.modules.get("openvino_telemetry"))
"""


ALONE = """
import sys
from pathlib import Path
from dehw.engine import onnxruntime, openvino
name, source = sys.argv[1:]
if name == "openvino":
    network = openvino.OpenVinoNetwork(lambda size: Path(source))
else:
    network = onnxruntime.OnnxNetwork(lambda size: Path(source), onnxruntime.providers("cpu"))
network.prepare((64, 64))
"""


@pytest.mark.skipif(paddle.device.is_compiled_with_cuda(), reason="a Paddle for GPUs is asked for one")
def test_with_the_cache_warm_paddle_is_not_imported_and_nothing_is_sent(saved):
    """Importing Paddle takes longer than erasing a page; importing OpenVINO reports it, unless it is kept from it."""
    network, path, _, _ = saved("erasenet")
    export.cached(network, path, SIZE)
    work = Path(pick.__file__).parents[2]
    run = subprocess.run([sys.executable, "-c", WARM, path], cwd=work, capture_output=True, text=True)
    assert run.stdout.split() == ["openvino", "False", "None"], run.stderr


@pytest.mark.parametrize("name", ["onnxruntime", "openvino"])
def test_a_runtime_gathers_nothing_for_its_makers(saved, tmp_path, name):
    """ONNX Runtime collects its reports in the user's cache, and sends them from a thread."""
    network, path, _, _ = saved("erasenet")
    source = str(export.cached(network, path, SIZE))
    env = {key: value for key, value in os.environ.items() if key not in ("ORT_DISABLE_TELEMETRY", "CI")}
    env |= {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    work = Path(pick.__file__).parents[2]
    subprocess.run([sys.executable, "-c", ALONE, name, source], cwd=work, env=env, check=True)
    assert not list(tmp_path.iterdir())


FIRST = """
import sys, threading
import numpy as np
from dehw.engine.openvino import OpenVinoNetwork
sys.setswitchinterval(1e-6)  # threads take turns at every chance
source, side = sys.argv[1], int(sys.argv[2])
network, tile = OpenVinoNetwork(lambda size: source), np.zeros((1, 3, side, side), np.float32)
start = threading.Barrier(2)
def work():
    start.wait()
    for _ in range(20):
        network(tile)
threads = [threading.Thread(target=work) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""


def test_two_threads_may_make_the_first_calls_at_once(saved):
    """OpenVINO's binding would wait for itself for ever; each try has a process of its own."""
    network, path, _, _ = saved("erasenet")
    source, work = str(export.cached(network, path, SIZE)), Path(pick.__file__).parents[2]
    for _ in range(3):
        subprocess.run([sys.executable, "-c", FIRST, source, str(TILE)], cwd=work, check=True, timeout=60)


APART = """
import sys, threading, time
import numpy as np
import openvino
from dehw.engine.openvino import OpenVinoNetwork
sys.setswitchinterval(1e-6)
source, side = sys.argv[1], int(sys.argv[2])
tile, make, cores = np.zeros((1, 3, side, side), np.float32), openvino.Core, []
def slow():
    cores.append(make())
    time.sleep(0.1)
    return cores[-1]
openvino.Core = slow
start = threading.Barrier(2)
def work():
    start.wait()
    OpenVinoNetwork(lambda size: source)(tile)
threads = [threading.Thread(target=work) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
sys.exit(len(cores) != 1)
"""


def test_two_threads_may_load_networks_of_their_own_at_once(saved):
    """Two cores would end the process by the next signal, and two first calls wait for each other."""
    network, path, _, _ = saved("erasenet")
    source, work = str(export.cached(network, path, SIZE)), Path(pick.__file__).parents[2]
    for _ in range(3):
        subprocess.run([sys.executable, "-c", APART, source, str(TILE)], cwd=work, check=True, timeout=60)


SIGNALLED = """
import gc, signal, sys
import numpy as np
from dehw.engine.openvino import OpenVinoNetwork
source, side = sys.argv[1], int(sys.argv[2])
for _ in range(3):
    networks = [OpenVinoNetwork(lambda size: source) for _ in range(2)]
    [network(np.zeros((1, 3, side, side), np.float32)) for network in networks]
    while networks:
        del networks[0]
        gc.collect()
told = []
signal.signal(signal.SIGUSR1, lambda number, frame: told.append(number))
signal.raise_signal(signal.SIGUSR1)
sys.exit(told != [signal.SIGUSR1])
"""


def test_signals_are_taken_after_networks_are_gone(saved):
    """Each of OpenVINO's cores lays a stack for signals and frees it, in the wrong order where there are two."""
    network, path, _, _ = saved("erasenet")
    source, work = str(export.cached(network, path, SIZE)), Path(pick.__file__).parents[2]
    subprocess.run([sys.executable, "-c", SIGNALLED, source, str(TILE)], cwd=work, check=True, timeout=120)


# -- the networks that ship


def shipped():
    """Each network that ships: its settings, its weights, and the size of its tiles, None for any."""
    pipeline = load_pipeline("lite")
    return [(network, weights.find(network, None, pipeline), size) for network, size in export.tiles(pipeline)]


def page_tiles(height, width):
    """Four tiles of a sample page, near the networks' scale, and two of noise; the masks are of noise."""
    page = cv2.resize(read_image(SAMPLES / "dehw_sample_01.jpg"), (2 * width, 2 * height), interpolation=cv2.INTER_AREA)
    tiles = page.reshape(2, height, 2, width, 3).transpose(0, 2, 4, 1, 3).reshape(4, 3, height, width) / np.float32(255)
    random = np.random.default_rng(0)
    noise = random.random((2, 3, height, width), dtype=np.float32)
    return np.concatenate([tiles, noise]), (random.random((6, 1, height, width)) > 0.8).astype(np.float32)


def test_the_files_that_ship_are_those_of_the_manifest():
    listed = weights.manifest(weights.SHIPPED)
    files = {path.name for path in weights.SHIPPED.iterdir() if path.suffix in (".onnx", ".pdparams")}
    assert files == set(listed) and {path.name for _, path, _ in shipped()} <= files
    for name, facts in listed.items():
        assert hashlib.sha256((weights.SHIPPED / name).read_bytes()).hexdigest() == facts["sha256"]
    assert sum((weights.SHIPPED / name).stat().st_size for name in files) < 25 * 2**20
    for network, path, size in shipped():
        assert export.onnx_file(network, path, size) == path.with_suffix(".onnx")


@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_the_onnx_files_that_ship_give_what_paddle_gives(monkeypatch, name):
    monkeypatch.setattr(openvino, "cpu_precision", lambda: "f32")
    for network, path, size in shipped():
        finder = network.type == "ppocr_tiny_lines"  # whose square of 1,280 px its excitations sum over
        by_paddle, built = pick.build(network, path), pick.build(network, path, "cpu", name, size)
        for met in [size] if size else [(512, 384), (256, 640)]:
            inputs = [each[: 1 if finder else 6] for each in page_tiles(*met)]
            expected = by_paddle(*inputs[: 2 if network.type == "erasenet" else 1])
            assert expected.std() > 0.05
            np.testing.assert_allclose(built(*inputs), expected, rtol=0, atol=2e-3 if finder else 2e-4)


def test_the_onnx_files_that_ship_can_be_made_again(tmp_path):
    """By ship.py, from the weights, with the same numbers in them."""
    from pretrain import ship

    network, path, size = shipped()[0]
    copy = Path(shutil.copy(path, tmp_path))
    made = ship.ship(network, copy, size)
    assert export.beside(network, copy, size) == made
    constants = [
        [node.attribute[0].t.raw_data for node in onnx.load(file).graph.node if node.op_type == "Constant"]
        for file in (made, path.with_suffix(".onnx"))
    ]
    assert constants[0] == constants[1]
    assert made.stat().st_size < 1.2 * path.stat().st_size


BARE = """
import sys
for name in ("paddle", "resource", "fcntl", "pwd", "grp", "termios"):
    sys.modules[name] = None
from dehw.commands.main import main
sys.exit(main(sys.argv[1:]))
"""


def without_paddle(*arguments):
    command = [sys.executable, "-c", BARE, *map(str, arguments)]
    return subprocess.run(command, cwd=Path(pick.__file__).parents[2], capture_output=True, text=True)


def test_pages_are_erased_without_paddle_and_modules_that_only_unix_has(tmp_path):
    """As on Windows, where there is no resource, fcntl or pwd; pages of two window sizes, erased as they are here."""
    eraser, page = Eraser.load(engine="openvino"), read_image(SAMPLES / "dehw_sample_02.jpg")
    pages, windows = {"part.png": page[:300, :400], "strip.png": page[:250, :800]}, set()
    (tmp_path / "pages").mkdir()
    for name, page in pages.items():
        write_image(tmp_path / "pages" / name, page)
        segment, scaled = eraser.pipeline.segment, eraser.prepare(page).scaled
        windows |= {tile.size for tile in tiling.spread(*scaled.shape[:2], segment.window, segment.stride)}
    assert len(windows) == 2
    done = without_paddle("erase", tmp_path / "pages", "-o", tmp_path / "out")
    assert done.returncode == ExitCode.OK, done.stderr
    for name, page in pages.items():
        erased = read_image(tmp_path / "out" / name)
        np.testing.assert_array_equal(erased, eraser(page).page)
        assert (erased != page).any()


@pytest.mark.parametrize("command", ["models", "export"])
def test_a_command_that_needs_paddle_says_how_to_get_it(tmp_path, command):
    done = without_paddle(*([command] if command == "models" else [command, "lite", "-o", tmp_path / "out"]))
    assert done.returncode == ExitCode.DEVICE, done.stderr
    assert "pip install 'dehw[train]'" in done.stderr and "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def by_paddle():
    """The sample pages, each with what Paddle makes of it by the weights that ship."""
    eraser = Eraser.load("lite", "cpu", engine="paddle")
    return [(page, eraser(page)) for page in map(read_image, sorted(SAMPLES.glob("*.jpg")))]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["openvino", "onnxruntime"])
def test_the_networks_that_ship_erase_alike_on_every_engine(by_paddle, name):
    """In the precision that users get: what they find and what they paint, on each of the sample pages."""
    eraser = Eraser.load("lite", "cpu", engine=name)
    far = []
    for number, (page, expected) in enumerate(by_paddle, 1):
        erased = eraser(page)
        either = erased.mask | expected.mask
        assert either.sum() > 10_000
        common = (erased.mask & expected.mask).sum() / either.sum()
        apart = np.abs(erased.page.astype(int) - expected.page)[either]
        told = f"page {number}: mean {apart.mean():.3f}, most {apart.max()} grey levels, masks' IoU {common:.4f}"
        print(f"{name}, {told}")
        far += [told] if apart.mean() > 1 or common < 0.99 else []
    assert not far
