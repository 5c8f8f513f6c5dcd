"""Two processes under paddle.distributed.launch, on the CPU: they learn what one does from both their batches."""

import subprocess
import sys
import textwrap
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("visualdl")
import paddle  # noqa: E402
from paddle.nn import functional as F  # noqa: E402

from dehw.data.crops import BatchesFrom, CropDataset, CropSettings, CropStream  # noqa: E402
from dehw.data.pairs import find_pairs, split  # noqa: E402
from dehw.engine import paddle as paddle_engine  # noqa: E402
from dehw.files.images import write_image  # noqa: E402
from dehw.train import ranks, train_generator  # noqa: E402

WORK = Path(__file__).parents[1] / "work"
RATE, STEPS, BATCH, SIZE = 0.05, 4, 2, 32

ERASE = f"""
pipeline: tiny.yml
stage1: {{steps: {STEPS}, learning_rate: {RATE}, adversary: {{learning_rate: {RATE}}}}}
batch: {BATCH}
crops: {{size: {SIZE}, buffer: 2}}
validate_mask: gt
validate_every: 2
checkpoint_every: 2
log_every: 1
workers: 0
val_count: 2
"""
SEG = f"""
pipeline: tiny.yml
iters: {STEPS}
batch_size: {BATCH}
save_interval: 2
log_iters: 1
num_workers: 0
val_count: 2
train_dataset: {{type: DehwCrops, size: {SIZE}, transforms: [{{type: Normalize}}]}}
val_dataset: {{type: DehwPages, size: {SIZE}, transforms: [{{type: Normalize}}]}}
model: {{type: TinySegmenter, num_classes: 2, in_channels: 3}}
loss: {{types: [{{type: DehwCrossEntropyLoss}}], coef: [1]}}
optimizer: {{type: SGD}}
lr_scheduler: {{type: PolynomialDecay, learning_rate: {RATE}, end_lr: {RATE}}}
test_config: {{is_slide: True, crop_size: [{SIZE}, {SIZE}], stride: [16, 16]}}
"""
PIPELINE = """
segment: {network: {type: tiny_segmenter, weights: seg.pdparams}}
erase: {networks: [{type: mtrnet, weights: gan.pdparams, args: {width: 0.0625}}], tile: 64, margin: 8}
"""

# What each process runs: the command as it is, but for a network of few parameters and for gradient descent itself,
# in which gradients that differ by a rounding error stay as near each other. Its weights are left for the test.
PROCESS = """
import sys
import cv2
import numpy as np
import paddle
from paddleseg.cvlibs import manager
from dehw import models
from dehw.train import erase, loop, ranks, seg, train_generator, train_segmenter

class TinySegmenter(paddle.nn.Layer):
    def __init__(self, num_classes=2, in_channels=3):
        super().__init__()
        self.first = paddle.nn.Conv2D(in_channels, 4, 3, padding=1)
        self.last = paddle.nn.Conv2D(4, num_classes, 3, padding=1)

    def forward(self, x):
        return [self.last(paddle.tanh(self.first(x)))]

def descent(layer, settings, decay):
    scheduler = paddle.optimizer.lr.StepDecay(settings.learning_rate, 1000)
    return paddle.optimizer.SGD(scheduler, parameters=layer.parameters()), scheduler

def leave(name, layer):
    np.savez(f"{name}{ranks.rank()}.npz", **{key: value.numpy() for key, value in layer.state_dict().items()})

def told(function, name):
    def tell(*args, **kwargs):
        with open("writers.txt", "a") as file:
            file.write(f"{name} {ranks.rank()}\\n")
        return function(*args, **kwargs)
    return tell

def run(training, floor=None, resume=None, original=loop.Training.run):
    best = original(training, floor, resume)
    leave("model", training.model)
    leave("judge", training.adversary.discriminator)
    return best

def prepare():
    models.MODELS["tiny_segmenter"] = TinySegmenter
    manager.MODELS._components_dict["TinySegmenter"] = TinySegmenter
    erase._adam = descent
    loop.Training.run = run
    loop.Training._save = told(loop.Training._save, "checkpoint")
    erase.Validator.__call__ = told(erase.Validator.__call__, "validation")
    erase.LogWriter = told(erase.LogWriter, "log")
    erase.weights.save = told(erase.weights.save, "export")
    seg.evaluate = told(seg.evaluate, "validation")
    seg.export = told(seg.export, "export")
    advance = seg.advance
    def advanced(builder, *args):
        result = advance(builder, *args)
        leave("model", builder.model)
        return result
    seg.advance = advanced

if __name__ == "__main__":
    prepare()
    sys.exit({"seg": train_segmenter, "erase": train_generator}[sys.argv[1]](sys.argv[2:]))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    rng = np.random.default_rng(0)
    for number in range(6):
        gt = cv2.resize(rng.integers(200, 256, (9, 9, 3)).astype(np.uint8), (72, 68))
        image = cv2.line(gt.copy(), (5, 9 * number), (60, 40), (30, 30, 160), 9)
        write_image(tmp_path / f"data/images/{number}.png", image)
        write_image(tmp_path / f"data/gts/{number}.png", gt)
    for name, text in {"tiny.yml": PIPELINE, "erase.yml": ERASE, "seg.yml": SEG, "process.py": PROCESS}.items():
        (tmp_path / name).write_text(textwrap.dedent(text))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def launch(what: str, *options: str) -> None:
    """Train by two processes in the current folder."""
    command = [sys.executable, "-m", "paddle.distributed.launch", "--nproc_per_node", "2", "--log_dir", "launch"]
    arguments = [what, "--config", f"{what}.yml", "--data", "data", "--device", "cpu", *options]
    env = {"PYTHONPATH": str(WORK), "OMP_NUM_THREADS": "1", "PATH": "/usr/bin:/bin"}
    done = subprocess.run([*command, "process.py", *arguments], env=env, capture_output=True, text=True, timeout=300)
    logs = "\n".join(log.read_text(errors="replace") for log in sorted(Path("launch").glob("workerlog.*")))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{logs}"


def left(name: str) -> dict[str, np.ndarray]:
    """The weights that both processes ended with: the same to the last bit."""
    first, second = (dict(np.load(f"{name}{rank}.npz")) for rank in (0, 1))
    assert first.keys() == second.keys()
    for key in first:
        np.testing.assert_array_equal(first[key], second[key], err_msg=key)
    return first


def assert_close(found: dict[str, np.ndarray], expected: dict[str, np.ndarray], start: dict[str, np.ndarray]) -> None:
    """Nearer by far than where the training began."""
    assert found.keys() == expected.keys()
    gap = max(np.abs(found[key] - expected[key]).max() for key in found)
    way = max(np.abs(start[key] - expected[key]).max() for key in found)
    assert gap < 1e-5 < 1e-3 < way


def writers() -> set[str]:
    return set(Path("writers.txt").read_text().splitlines())


def test_processes_take_the_batches_in_turn(folder):
    pairs = find_pairs(["data"])
    dataset = CropDataset(pairs, CropSettings(size=SIZE, buffer=2), batch=2, steps=6, seed=1, lanes=2)
    shares = [list(BatchesFrom(dataset, 1, rank, ranks=2)) for rank in (0, 1)]
    assert shares == [[[4, 5], [8, 9]], [[6, 7], [10, 11]]]
    assert [len(BatchesFrom(dataset, 1, rank, ranks=2)) for rank in (0, 1)] == [2, 2]


def test_alone_nothing_is_shared():
    layer = paddle.nn.Linear(2, 1)
    layer(paddle.ones([1, 2])).sum().backward()
    ranks.connect()
    ranks.share(layer)
    ranks.average_gradients(layer)
    ranks.wait()
    with ranks.first_goes_ahead():
        assert (ranks.count(), ranks.rank(), ranks.is_first()) == (1, 0, True)
    np.testing.assert_array_equal(layer.weight.grad.numpy(), np.ones((2, 1)))
    assert (ranks.agreed(0.5), ranks.agreed(None)) == (0.5, None)


@pytest.mark.parametrize(("rank", "order"), [(0, "lines bank wait"), (1, "wait lines bank")])
def test_rank_0_ends_the_outer_of_two_blocks_before_the_others_begin(monkeypatch, rank, order):
    """As when a bank is cut, which first has the lines of its pages read."""
    events = []
    monkeypatch.setattr(ranks, "rank", lambda: rank)
    monkeypatch.setattr(ranks, "wait", lambda: events.append("wait"))
    for _ in range(2):
        with ranks.first_goes_ahead():
            with ranks.first_goes_ahead():
                events.append("lines")
            events.append("bank")
        assert " ".join(events) == order
        events.clear()


@pytest.mark.slow
def test_two_processes_train_a_generator_as_one_with_the_double_batch(folder, monkeypatch):
    launch("erase")
    model, judge = left("model"), left("judge")
    assert writers() == {"checkpoint 0", "validation 0", "log 0", "export 0"}
    checkpoints = sorted(path.name for path in Path("output/tiny/erase/gan/stage1").glob("*.pdckpt"))
    assert checkpoints == ["best.pdckpt", "step_0000002.pdckpt", "step_0000004.pdckpt"]
    assert Path("output/tiny/weights/gan.pdparams").is_file()

    # One process, through the same code, from batches that are both processes' put together.
    import runpy

    from dehw.train import erase, loop

    monkeypatch.setattr(erase, "_adam", runpy.run_path("process.py")["descent"])
    begun, ended = {}, {}
    train, whole = loop.Training.run, lambda layer: {k: v.numpy() for k, v in layer.state_dict().items()}

    def run(training, floor=None, resume=None):
        both = {"model": training.model, "judge": training.adversary.discriminator}
        begun.update({name: whole(layer) for name, layer in both.items()})
        best = train(training, floor, resume)
        ended.update({name: whole(layer) for name, layer in both.items()})
        return best

    def batches(trainer, steps, step):
        settings = (trainer.train_pairs, trainer.config.crops, BATCH, 2 * steps, trainer.config.seed, 2)
        dataset = erase.InferenceMasks(CropDataset(*settings), trainer.pipeline.mask)
        for at in range(step, steps):
            crops = [dataset[at * 2 * BATCH + place] for place in range(2 * BATCH)]
            yield [paddle.to_tensor(np.stack(each)) for each in zip(*crops)]

    monkeypatch.setattr(loop.Training, "run", run)
    monkeypatch.setattr(erase.Trainer, "_batches_from", batches)
    options = ["--config", "erase.yml", "--data", "data", "--output", "alone", "--device", "cpu"]
    assert train_generator(options) == 0
    assert_close(model, ended["model"], begun["model"])
    assert_close(judge, ended["judge"], begun["judge"])


@pytest.mark.slow
def test_two_processes_train_a_segmenter_as_one_with_the_double_batch(folder):
    launch("seg")
    found = left("model")
    assert writers() == {"validation 0", "export 0"}
    assert Path("output/tiny/weights/seg.pdparams").is_file()
    assert sorted(path.name for path in Path("output/tiny/seg").glob("iter_*")) == ["iter_2", "iter_4"]
    assert len(list(Path("output/tiny/seg/log").glob("*/vdlrecords*"))) == 1

    # One process: plain gradient descent, written out, on the crops of both.
    import runpy

    paddle.seed(2022)
    net = runpy.run_path("process.py")["TinySegmenter"]()
    begun = {key: value.numpy() for key, value in net.state_dict().items()}
    pairs, _ = split(find_pairs(["data"]), 2)
    streams = [CropStream(pairs, CropSettings(size=SIZE), 2022, lane) for lane in (0, 1)]
    for step in range(STEPS):
        crops = [stream[step * BATCH + place] for stream in streams for place in range(BATCH)]
        images = np.stack([crop.image.transpose(2, 0, 1) / 127.5 - 1 for crop in crops]).astype(np.float32)
        labels = np.stack([crop.mask >= 0.5 for crop in crops]).astype(np.int64)
        logits = net(paddle.to_tensor(images))[0].transpose([0, 2, 3, 1])
        F.cross_entropy(logits, paddle.to_tensor(labels)[..., None]).backward()
        for parameter in net.parameters():
            parameter.set_value(parameter - RATE * parameter.grad)
            parameter.clear_grad()
    assert_close(found, {key: value.numpy() for key, value in net.state_dict().items()}, begun)


@pytest.mark.slow
@pytest.mark.parametrize("what", ["seg", "erase"])
def test_two_processes_go_on_where_they_were_cut(folder, what):
    """Two steps and then two more are four, to the last bit, in both processes."""
    launch(what, "--output", "whole")
    whole = left("model")
    steps = "iters" if what == "seg" else "stage1.steps"
    launch(what, "--output", "cut", "--opts", f"{steps}=2")
    launch(what, "--output", "cut")
    cut = left("model")
    for key in whole:
        np.testing.assert_array_equal(cut[key], whole[key], err_msg=key)


def test_each_process_takes_the_gpu_it_was_given(monkeypatch):
    tried = []
    monkeypatch.setattr(paddle.device, "is_compiled_with_cuda", lambda: True)
    monkeypatch.setattr(paddle.device.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(paddle_engine, "_convolve", tried.append)
    monkeypatch.setenv("FLAGS_selected_gpus", "3")
    assert paddle_engine.pick_device("auto") == paddle_engine.pick_device("gpu") == "gpu:3"
    assert set(tried) == {"gpu:3"}
