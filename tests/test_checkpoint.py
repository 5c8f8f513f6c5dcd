"""Checkpoints: a stopped training goes on to the same numbers, and a broken file does not end it."""

import logging
import random

import numpy as np
import paddle
import pytest

from dehw.errors import WeightsError
from dehw.models.layers import ConvAct, Residual
from dehw.train import checkpoint

PADDLE_2 = paddle.__version__.startswith("2.")


class Training:
    """A small training on data from numpy's and Python's global generators and one of its own."""

    def __init__(self, seed=1, algorithm=paddle.optimizer.Adam, channels=4):
        paddle.seed(seed)
        np.random.seed(seed)
        random.seed(seed)
        self.own = np.random.default_rng(seed)
        out = paddle.nn.Conv2D(channels, 3, 1)
        self.model = paddle.nn.Sequential(ConvAct(3, channels), Residual(channels, channels), out)
        self.scheduler = paddle.optimizer.lr.StepDecay(1e-2, step_size=1, gamma=0.5)
        self.optimizer = algorithm(self.scheduler, parameters=self.model.parameters())
        self.scaler = paddle.amp.GradScaler(enable=False)
        self.losses = []

    def steps(self, count):
        for _ in range(count):
            page = np.random.rand(1, 3, 16, 16) * random.random() + self.own.random()
            loss = (self.model(paddle.to_tensor(page.astype(np.float32))) - 1).abs().mean()
            loss.backward()
            self.optimizer.step()
            self.optimizer.clear_grad()
            self.scheduler.step()
            self.losses.append(float(loss))
        return self

    def parts(self):
        return {name: getattr(self, name) for name in ("model", "optimizer", "scheduler", "scaler")}

    def save(self, path, step=2):
        rng = {"own": self.own.bit_generator.state}
        checkpoint.save(path, **self.parts(), config={"channels": 4}, step=step, best=31.5, rng=rng)
        return self

    def load(self, path):
        loaded = checkpoint.load(path, **self.parts())
        self.own.bit_generator.state = loaded.rng["own"]
        return loaded


def weights_of(training):
    return {key: value.numpy() for key, value in training.model.state_dict().items()}


@pytest.mark.parametrize(
    "algorithm",
    [paddle.optimizer.Adam, paddle.optimizer.AdamW, paddle.optimizer.Momentum, paddle.optimizer.SGD],
)
def test_2_steps_and_2_more_after_a_restart_equal_4(tmp_path, algorithm):
    whole = Training(algorithm=algorithm).steps(4)
    Training(algorithm=algorithm).steps(2).save(tmp_path / "a.pdckpt")
    # another seed, and layers that Paddle numbers on from the ones above: nothing may come from luck
    resumed = Training(seed=99, algorithm=algorithm)
    loaded = resumed.load(tmp_path / "a.pdckpt")
    resumed.steps(2)
    assert loaded.step == 2
    assert loaded.best == 31.5
    assert loaded.config == {"channels": 4}
    assert resumed.losses == whole.losses[2:]
    for key, value in weights_of(whole).items():
        np.testing.assert_array_equal(weights_of(resumed)[key], value, err_msg=key)


def test_a_training_that_has_begun_can_be_put_back(tmp_path):
    begun = Training().steps(1).save(tmp_path / "a.pdckpt", step=1)
    first = begun.steps(2).losses[-2:]
    begun.load(tmp_path / "a.pdckpt")
    assert begun.steps(2).losses[-2:] == first


@pytest.mark.skipif(PADDLE_2, reason="Paddle 2.6 does not tell the state of its CPU generator")
def test_paddles_own_generator_goes_on(tmp_path):
    training = Training()
    paddle.rand([5])
    training.save(tmp_path / "a.pdckpt")
    drawn = paddle.rand([7]).numpy()
    training.load(tmp_path / "a.pdckpt")
    np.testing.assert_array_equal(paddle.rand([7]).numpy(), drawn)


def test_parts_can_be_loaded_without_the_random_generators(tmp_path):
    Training().steps(2).save(tmp_path / "a.pdckpt")
    other = Training()
    random.seed(5)
    checkpoint.load(tmp_path / "a.pdckpt", model=other.model, scheduler=other.scheduler)
    assert other.scheduler() == 1e-2 * 0.5**2
    assert random.random() == random.Random(5).random()


def test_another_network_is_refused_and_left_unchanged(tmp_path):
    Training().save(tmp_path / "a.pdckpt")
    other = Training(channels=8)
    before = weights_of(other)
    with pytest.raises(WeightsError, match="a.pdckpt.*another shape"):
        other.load(tmp_path / "a.pdckpt")
    for key, value in weights_of(other).items():
        np.testing.assert_array_equal(value, before[key])


def test_a_part_the_file_lacks_is_named(tmp_path):
    training = Training()
    checkpoint.save(tmp_path / "a.pdckpt", model=training.model, optimizer=training.optimizer, config={}, step=0)
    with pytest.raises(WeightsError, match="a.pdckpt was written without a scheduler"):
        training.load(tmp_path / "a.pdckpt")


def test_a_weight_file_is_no_checkpoint(tmp_path):
    training = Training()
    paddle.save(training.model.state_dict(), str(tmp_path / "a.pdckpt"))
    with pytest.raises(WeightsError, match="not a checkpoint.*optimizer"):
        training.load(tmp_path / "a.pdckpt")


@pytest.mark.parametrize("kept", [0, 1000, -1])
def test_a_truncated_newest_file_is_passed_over(tmp_path, caplog, kept):
    training = Training().save(tmp_path / "step_9.pdckpt", step=9)
    training.save(tmp_path / "step_10.pdckpt", step=10)
    assert checkpoint.newest(tmp_path) == tmp_path / "step_10.pdckpt"
    newest = tmp_path / "step_10.pdckpt"
    newest.write_bytes(newest.read_bytes()[:kept])
    with caplog.at_level(logging.WARNING):
        assert checkpoint.newest(tmp_path) == tmp_path / "step_9.pdckpt"
    assert "step_10.pdckpt" in caplog.text


def test_no_checkpoint_is_none(tmp_path):
    assert checkpoint.newest(tmp_path) is None
    assert checkpoint.newest(tmp_path / "not there") is None


def test_a_kill_while_writing_leaves_the_file_before(tmp_path, monkeypatch):
    training = Training().save(tmp_path / "last.pdckpt", step=1)

    def killed(state, path):
        with open(path, "wb") as file:
            file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(paddle, "save", killed)
    with pytest.raises(KeyboardInterrupt):
        training.save(tmp_path / "last.pdckpt", step=2)
    assert checkpoint.newest(tmp_path) == tmp_path / "last.pdckpt"
    assert training.load(tmp_path / "last.pdckpt").step == 1
