"""A generator and its discriminator: neither's gradient reaches the other, and a cut training goes on as one."""

from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("visualdl")
import paddle  # noqa: E402
from visualdl import LogReader  # noqa: E402

from dehw import models  # noqa: E402
from dehw.config import Mask, NetworkConfig, load, load_pipeline  # noqa: E402
from dehw.data.crops import CropDataset, CropSettings  # noqa: E402
from dehw.data.pairs import find_pairs  # noqa: E402
from dehw.engine import weights  # noqa: E402
from dehw.errors import ConfigError, DehwError, WeightsError  # noqa: E402
from dehw.files.images import read_image, write_image  # noqa: E402
from dehw.models.discriminators import DISCRIMINATORS, MTRNetDiscriminator  # noqa: E402
from dehw.models.mtrnet import MTRNet  # noqa: E402
from dehw.train import checkpoint, erase, loop, losses  # noqa: E402  # noqa: E402

CONFIGS = Path(__file__).parents[1] / "configs"
TINY = 0.0625
RATE, JUDGES_RATE, WEIGHT = 0.1, 0.2, 0.5


class Writer:
    """In the place of VisualDL's."""

    def __init__(self):
        self.scalars = {}

    def add_scalar(self, tag, value, step):
        self.scalars.setdefault(tag, {})[step] = value


def batches(step):
    """Batch n depends on n alone."""
    for number in range(step, 4):
        image, gt = np.random.default_rng(number).random((2, 2, 3, 16, 16)).astype(np.float32)
        mask = np.zeros((2, 1, 16, 16), np.float32)
        mask[:, :, 4:12, 4 : 10 + number] = 1
        yield [paddle.to_tensor(each) for each in (image, gt, mask)]


def adversary(adam=False, width=TINY):
    discriminator = MTRNetDiscriminator(width)
    scheduler = paddle.optimizer.lr.StepDecay(JUDGES_RATE, 1, 0.5)
    algorithm = paddle.optimizer.Adam if adam else paddle.optimizer.SGD
    optimizer = algorithm(scheduler, parameters=discriminator.parameters())
    return loop.Adversary(discriminator, optimizer, scheduler, lambda outputs: outputs, WEIGHT)


def training(folder, steps=4, adam=False, seed=1, against=True, writer=None):
    """A Training of a tiny MTRNet against its discriminator, built from `seed`."""
    paddle.seed(seed)
    model = MTRNet(TINY)
    scheduler = paddle.optimizer.lr.StepDecay(RATE, 1, 0.5)
    algorithm = paddle.optimizer.Adam if adam else paddle.optimizer.SGD
    return loop.Training(
        model=model,
        optimizer=algorithm(scheduler, parameters=model.parameters()),
        scheduler=scheduler,
        loss=losses.mtrnet,
        batches_from=lambda step: list(batches(step))[: steps - step],
        validate=lambda step: float("nan"),
        pace=loop.Pace(steps, log_every=1, checkpoint_every=2, validate_every=100),
        folder=folder,
        config={},
        writer=writer or Writer(),
        sees_mask=True,
        adversary=adversary(adam) if against else None,
    )


def arrays(layer):
    return {key: value.numpy().copy() for key, value in layer.state_dict().items()}


def assert_equal(first, second):
    """Two plain trees are equal to the last bit."""
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            assert_equal(first[key], second[key])
    else:
        np.testing.assert_array_equal(first, second)


# -- gradients -----------------------------------------------------------------------------------------------


def test_the_generators_loss_leaves_the_discriminator_as_it_was():
    against, net = adversary(), MTRNet(TINY)
    image, _, mask = next(batches(0))
    before = arrays(against.discriminator)
    against.loss(net(image, mask), mask).backward()
    assert [name for name, p in against.discriminator.named_parameters() if p.grad is not None] == []
    assert_equal(arrays(against.discriminator), before)
    learnable = [name for name, p in against.discriminator.named_parameters() if not p.stop_gradient]
    assert learnable == [f"{name}.weight_orig" for name in ("conv1", "conv2", "conv3", "conv4", "out")]
    assert all(layer.training for layer in against.discriminator.sublayers(include_self=True))
    assert [name for name, p in net.named_parameters() if p.grad is None] == []
    assert float(net.coarse.down[0].conv.weight.grad.abs().max()) > 0


def test_a_discriminator_that_fails_is_not_left_frozen():
    against = adversary()
    with pytest.raises(Exception):  # noqa: B017  whatever Paddle raises for a mask of another batch
        against.loss([paddle.rand([2, 3, 16, 16])], paddle.ones([3, 1, 16, 16]))
    assert models.learnable(against.discriminator) > 0 and against.discriminator.training


def test_the_generators_gradient_is_minus_the_judgements():
    against, (image, gt, mask) = adversary(), next(batches(0))
    fakes = [paddle.to_tensor(each.numpy(), stop_gradient=False) for each in (image, gt)]
    loss = against.loss(fakes, mask)
    loss.backward()
    against.discriminator.eval()
    alone = [paddle.to_tensor(each.numpy(), stop_gradient=False) for each in (image, gt)]
    means = [against.discriminator(each, mask).mean() for each in alone]
    assert float(loss) == pytest.approx(-WEIGHT * (float(means[0]) + float(means[1])), rel=1e-5)
    for fake, each, mean in zip(fakes, alone, means):
        mean.backward()
        np.testing.assert_allclose(fake.grad.numpy(), -WEIGHT * each.grad.numpy(), rtol=1e-4, atol=1e-9)
        assert float(fake.grad.abs().max()) > 0


def test_the_discriminators_step_leaves_the_generator_as_it_was():
    against, net = adversary(), MTRNet(TINY)
    image, gt, mask = next(batches(0))
    outputs = net(image, mask)
    before, judge = arrays(net), arrays(against.discriminator)
    loss = against.learn(outputs, gt, mask)
    assert [name for name, p in net.named_parameters() if p.grad is not None] == []
    assert_equal(arrays(net), before)
    moved = [key for key, value in arrays(against.discriminator).items() if (value != judge[key]).any()]
    assert {key for key in judge if key.endswith("_orig")} < set(moved)
    assert "conv1.weight_u" in moved  # the norms' estimates go on here, and here only
    assert loss.stop_gradient and float(loss) == pytest.approx(2.0, abs=0.1)  # at first it knows nothing: 1 an image
    sum(each.sum() for each in outputs).backward()  # the graph of the generator is still whole
    assert net.fine.out.weight.grad is not None


def test_a_step_of_both_is_a_step_of_each_alone(tmp_path):
    """One step of Training by SGD, against both updates done by hand with their own gradients only."""
    whole = training(tmp_path / "whole", steps=1)
    by_hand = training(tmp_path, steps=1)  # the same seed: the same networks
    image, gt, mask = next(batches(0))
    net, judge = by_hand.model, by_hand.adversary.discriminator
    outputs = net(image, mask)
    judge.eval()
    judgements = sum(judge(each, mask).mean() for each in outputs)
    parameters = [p for p in net.parameters() if not p.stop_gradient]
    gradients = paddle.grad(losses.mtrnet(outputs, gt, mask) - WEIGHT * judgements, parameters)
    judge.train()
    real = judge(gt, mask)
    verdicts = [losses.hinge_discriminator(real, judge(each.detach(), mask)) for each in outputs]
    judges = [p for p in judge.parameters() if not p.stop_gradient]
    judges_gradients = paddle.grad(sum(verdicts), judges)
    with paddle.no_grad():
        for p, gradient in zip(parameters, gradients):
            p.set_value(p - RATE * gradient)
        for p, gradient in zip(judges, judges_gradients):
            p.set_value(p - JUDGES_RATE * gradient)

    whole.run()
    for after, expected in ((whole.model, net), (whole.adversary.discriminator, judge)):
        for key, value in arrays(expected).items():
            np.testing.assert_allclose(arrays(after)[key], value, rtol=1e-4, atol=1e-6, err_msg=key)


def test_the_discriminator_learns_to_tell(tmp_path):
    against = adversary(adam=True, width=0.25)
    against.scheduler.gamma, against.optimizer = 1.0, paddle.optimizer.Adam(
        1e-2, parameters=against.discriminator.parameters()
    )  # fmt: skip
    mask = paddle.ones([2, 1, 16, 16])
    for _ in range(40):
        loss = against.learn([paddle.full([2, 3, 16, 16], 0.3)], paddle.full([2, 3, 16, 16], 0.9), mask)
    assert float(loss) < 0.5
    assert float(against.loss([paddle.full([2, 3, 16, 16], 0.3)], mask)) > 0  # found out
    assert float(against.loss([paddle.full([2, 3, 16, 16], 0.9)], mask)) < 0


# -- training and checkpoints --------------------------------------------------------------------------------


def test_two_and_two_steps_are_four(tmp_path):
    training(tmp_path / "whole", adam=True).run()
    training(tmp_path / "parts", steps=2, adam=True).run()
    training(tmp_path / "parts", adam=True, seed=99).run()  # other weights, other names: all must come from the file
    whole, parts, half = (
        weights.read(tmp_path / name)
        for name in ("whole/step_0000004.pdckpt", "parts/step_0000004.pdckpt", "parts/step_0000002.pdckpt")
    )
    for part in ("model", "optimizer", "scheduler", "discriminator"):
        assert_equal(parts[part], whole[part])
    judge = parts["discriminator"]
    assert judge["scheduler"]["last_lr"] == JUDGES_RATE / 2**4
    assert {key.partition("/")[2] for key in judge["optimizer"]} >= {"moment1", "moment2"}
    for part in ("conv1.weight_orig", "conv1.weight_u"):
        assert (judge["model"][part] != half["discriminator"]["model"][part]).any()


def test_both_losses_are_logged(tmp_path):
    writer = Writer()
    training(tmp_path, steps=2, writer=writer).run()
    assert set(writer.scalars) == {"train/loss", "train/discriminator_loss", "train/learning_rate"}
    assert list(writer.scalars["train/discriminator_loss"]) == [1, 2]
    assert writer.scalars["train/discriminator_loss"][1] == pytest.approx(2.0, abs=0.1)


def test_a_discriminators_loss_that_is_no_number_ends_the_training(tmp_path):
    broken = training(tmp_path)
    broken.adversary.learn = lambda *args: paddle.to_tensor(float("nan"))
    with pytest.raises(DehwError, match="the discriminator_loss is nan at step 1"):
        broken.run()


def test_the_generator_alone_can_be_taken_from_a_checkpoint_of_both(tmp_path):
    whole = training(tmp_path, steps=2)
    whole.run()
    other = MTRNet(TINY)
    checkpoint.load(tmp_path / "step_0000002.pdckpt", model=other)
    assert_equal(arrays(other), arrays(whole.model))


def test_a_checkpoint_without_a_discriminator_is_refused_where_there_is_one(tmp_path):
    training(tmp_path, steps=2, against=False).run()
    path = tmp_path / "step_0000002.pdckpt"
    with pytest.raises(WeightsError, match="step_0000002.pdckpt was written without a discriminator"):
        training(tmp_path).run()
    state = weights.read(path)
    del state["discriminator"]  # as such files were before there were discriminators
    paddle.save(state, str(path))
    with pytest.raises(WeightsError, match="written without a discriminator"):
        training(tmp_path).run()
    training(tmp_path, against=False).run()


def test_another_discriminator_is_refused_and_nothing_changed(tmp_path):
    training(tmp_path, steps=2).run()
    other = training(tmp_path)
    other.adversary = adversary(width=0.25)
    before = arrays(other.model), arrays(other.adversary.discriminator)
    with pytest.raises(WeightsError, match="discriminator.conv2.weight_orig"):
        other.run()
    assert_equal(arrays(other.model), before[0])
    assert_equal(arrays(other.adversary.discriminator), before[1])


# -- from configurations -------------------------------------------------------------------------------------


PIPELINE = """
mask: {threshold: 0.4, dilate: 3}
erase: {networks: [{type: TYPE, weights: gan.pdparams, args: {width: 0.0625}}], tile: 64, margin: 8}
"""
CONFIG = """
pipeline: PIPELINE
stage1: {steps: 2}
batch: 1
crops: {size: 32, buffer: 2}
validate_mask: gt
log_every: 1
workers: 0
"""


@pytest.fixture
def data(tmp_path):
    rng = np.random.default_rng(0)
    for number in range(20):
        gt = cv2.resize(rng.integers(200, 256, (9, 9, 3)).astype(np.uint8), (72, 68))
        image = cv2.line(gt.copy(), (5, 3 * number), (60, 40), (30, 30, 160), 4)
        write_image(tmp_path / f"data/images/{number}.png", image)
        write_image(tmp_path / f"data/gts/{number}.png", gt)
    return tmp_path / "data"


@pytest.fixture
def train(tmp_path, data):
    """erase.train of a pipeline with one tiny generator: train(its type, opts...) -> the weights file."""

    def run(kind, *opts):
        (tmp_path / "tiny.yml").write_text(PIPELINE.replace("TYPE", kind))
        (tmp_path / "erase.yml").write_text(CONFIG.replace("PIPELINE", str(tmp_path / "tiny.yml")))
        return erase.train(str(tmp_path / "erase.yml"), opts, [str(data)], str(tmp_path / "out"), "cpu")

    return run


@pytest.mark.parametrize("workers", [0, 2])
def test_mtrnet_trains_against_its_discriminator(train, tmp_path, workers):
    path = train("mtrnet", "stage1.adversary={learning_rate: 0.01}", f"workers={workers}")
    net = models.build(NetworkConfig("mtrnet", "", {"width": TINY}))
    weights.load(net, path)
    state = weights.read(tmp_path / "out/tiny/erase/gan/stage1/step_0000002.pdckpt")
    assert state["discriminator"]["model"]["conv1.weight_orig"].shape == (4, 4, 4, 4)  # of the generator's width
    assert state["discriminator"]["scheduler"]["last_lr"] == 0.01 and state["scheduler"]["last_lr"] == 1e-4
    assert state["config"]["mask"] == {"threshold": 0.4, "dilate": 3, "spare": 0.0}
    (log,) = (tmp_path / "out/tiny/erase/gan/stage1").glob("log/*/*.log")
    assert "train/discriminator_loss" in LogReader(file_path=str(log)).get_tags()["scalar"]
    train("mtrnet", "stage1.adversary={learning_rate: 0.01}", "stage1.steps=3")
    with pytest.raises(ConfigError, match="another configuration: stage was"):
        train("mtrnet", "stage1.adversary={learning_rate: 0.02}", "stage1.steps=4")


def test_each_adam_has_its_own_betas(train, tmp_path):
    train("mtrnet", "stage1.adversary={beta1: 0.3, beta2: 0.7}", "stage1.beta1=0.4", "stage1.beta2=0.8")
    state = weights.read(tmp_path / "out/tiny/erase/gan/stage1/step_0000002.pdckpt")
    for learner, betas in ((state, (0.4, 0.8)), (state["discriminator"], (0.3, 0.7))):
        for number, beta in enumerate(betas, 1):
            powers = [v.item() for key, v in learner["optimizer"].items() if key.endswith(f"beta{number}_pow_acc")]
            np.testing.assert_allclose(powers, beta**3, rtol=1e-5)  # Adam's powers start at 1, two steps are done
            assert powers


@pytest.mark.parametrize(("kind", "values"), [("mtrnet", {0, 1}), ("erasenet", {0, 0.25, 1})])
def test_only_networks_that_see_the_mask_are_trained_on_hard_ones(train, data, monkeypatch, kind, values):
    for path in (data / "images").glob("*.png"):  # ink of 60 levels, and of 5, a quarter of what a full mask takes
        image = read_image(data / "gts" / path.name).astype(int)
        image[20:40, 20:30] -= 60
        image[20:40, 40:50] -= 5
        write_image(path, image.astype(np.uint8))
    name, seen = {"mtrnet": "mtrnet", "erasenet": "erasenet_stage1"}[kind], set()
    real = getattr(losses, name)

    def spy(outputs, gt, mask, **kwargs):
        seen.update(np.unique(mask.numpy()).tolist())
        return real(outputs, gt, mask, **kwargs)

    monkeypatch.setattr(erase.losses, name, spy)
    train(kind, "stage1.steps=4", "batch=4", "crops.size=64", "crops.hflip=0", "crops.rotate=0")
    assert seen == values


def test_without_an_adversary_mtrnet_learns_by_its_other_losses(train, tmp_path):
    train("mtrnet")
    assert weights.read(tmp_path / "out/tiny/erase/gan/stage1/step_0000002.pdckpt")["discriminator"] is None


def test_erasenet_trains_against_its_own_by_one_key(train, tmp_path):
    train("erasenet", "stage1.adversary={}", "stage1.steps=1", "crops.size=256")
    state = weights.read(tmp_path / "out/tiny/erase/gan/stage1/step_0000001.pdckpt")
    assert state["config"]["stage"]["adversary"] == {
        "weight": 0.1,
        "learning_rate": 1e-5,
        "beta1": 0.0,
        "beta2": 0.9,
    }
    own = DISCRIMINATORS["erasenet"](TINY).state_dict()
    assert state["discriminator"]["model"].keys() == own.keys()


@pytest.mark.parametrize(
    ("kind", "opt", "told"),
    [
        ("mtrnet", "stage1.multiscale=true", "multiscale is EraseNet's"),
        ("erasenet", "stage1.vgg=vgg19.pdparams", r"vgg is MTRNet\+\+'s"),
        ("mtrnet", "stage1.adversary.rate=1", "unknown key 'stage1.adversary.rate'"),
    ],
)
def test_keys_that_mean_nothing_are_refused(train, kind, opt, told):
    with pytest.raises(ConfigError, match=told):
        train(kind, opt)


def test_a_generator_without_a_discriminator_of_its_own_is_told():
    stage = erase.Stage(1, adversary=erase.AdversarySettings())
    with pytest.raises(ConfigError, match="no discriminator for another, only for erasenet, mtrnet"):
        erase.check_stage(NetworkConfig("another", "a.pdparams"), stage, 512)


def test_crops_too_small_for_a_discriminator_are_told_before_training():
    network, stage = NetworkConfig("erasenet", "a.pdparams"), erase.Stage(1, adversary=erase.AdversarySettings())
    with pytest.raises(ConfigError, match="256 at least, not 64"):
        erase.check_stage(network, stage, 64)
    erase.check_stage(network, stage, 256)


def test_missing_vgg_weights_are_told_before_the_first_step(train, tmp_path):
    with pytest.raises(WeightsError, match="vgg19.pdparams: there is no such file"):
        train("mtrnet", f"stage1.vgg={tmp_path}/vgg19.pdparams")


@pytest.mark.parametrize("grow", [0, 1, 3, 4])
def test_networks_that_see_the_mask_are_given_what_the_eraser_makes_of_it(grow):
    soft = np.random.default_rng(0).random((1, 12, 14)).astype(np.float32) ** 4
    crop = (np.zeros((3, 12, 14), np.float32), np.ones((3, 12, 14), np.float32), soft)
    found = erase.InferenceMasks([crop], Mask(0.6, grow))[0]
    hard = soft[0] >= 0.6
    before, after = grow // 2, max(0, grow - 1 - grow // 2)
    grown = np.pad(hard, ((before, after), (before, after)))
    windows = np.lib.stride_tricks.sliding_window_view(grown, (max(1, grow),) * 2)
    np.testing.assert_array_equal(found[2], windows.any((2, 3))[None].astype(np.float32))
    assert found[2].dtype == np.float32 and 0 < found[2].mean() < 1
    assert found[0] is crop[0]


def test_outside_the_mask_real_and_fake_are_both_the_page(tmp_path):
    """What compression left on the page, and the faint edge of a stroke, tell a discriminator nothing."""
    rng = np.random.default_rng(0)
    gt = np.full((64, 64, 3), 200, np.uint8)
    image = gt + rng.integers(0, 12, gt.shape, np.uint8)
    image[20:30, 20:40] = 30
    write_image(tmp_path / "set/images/0.png", image)
    write_image(tmp_path / "set/gts/0.png", gt)
    settings = CropSettings(size=64, hflip=0, rotate=0)
    dataset = CropDataset(find_pairs(tmp_path / "set"), settings, 1, 1, 0)
    page, real, mask = erase.InferenceMasks(dataset, Mask(0.7, 3))[0]
    paddle.seed(0)
    fine, coarse = MTRNet(TINY, whiten=True)(*(paddle.to_tensor(each[None]) for each in (page, mask)))
    outside = np.broadcast_to(mask == 0, page.shape)
    assert outside.mean() > 0.8
    for fake in (fine, coarse):
        np.testing.assert_array_equal(fake.numpy()[0][outside], real[outside])
    np.testing.assert_array_equal(real[~outside], np.float32(200 / 255))


def test_the_recipe_is_the_decided_one():
    config = load(CONFIGS / "mtrnet.yml", erase.EraseTraining)
    stage, against = config.stage1, config.stage1.adversary
    assert (stage.learning_rate, against.learning_rate) == (1e-4, 5e-4)  # MTRNet++: the discriminator's is five times
    assert {stage.beta1, against.beta1} == {0.0} and {stage.beta2, against.beta2} == {0.9}
    assert against.weight == 0.1 and stage.vgg is None and config.stage2 is None
    assert config.crops.clean_gt == 5
    network = erase.choose_network(load_pipeline(config.pipeline), config.network)
    assert (network.type, network.args.get("mask_input", False), network.args["whiten"]) == ("mtrnet", False, True)


@pytest.mark.slow
def test_mtrnet_trains_by_the_smoke_configuration(data, tmp_path):
    path = erase.train(str(CONFIGS / "smoke/mtrnet.yml"), [], [str(data)], str(tmp_path), "cpu")
    weights.load(models.build(load_pipeline("smoke_mtrnet").erase.networks[0]), path)
