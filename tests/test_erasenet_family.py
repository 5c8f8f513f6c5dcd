"""EraseNet's three refinements and its discriminator: published counts, and forward passes written out in numpy."""

from pathlib import Path

import cv2
import numpy as np
import paddle
import pytest
from paddle import nn

from dehw import config, models
from dehw.config import NetworkConfig
from dehw.engine import pick, weights
from dehw.files import images
from dehw.models.aidr import AIDR
from dehw.models.discriminators import DISCRIMINATORS, EraseNetDiscriminator
from dehw.models.erasenet import REFINEMENTS, EraseNet
from dehw.models.layers import NonLocal, fold_spectral_norm, scaler
from dehw.page import masks
from dehw.train import checkpoint, losses

TINY = 0.0625
ROOT = Path(__file__).parents[1]
SAMPLES, CONFIGS = ROOT / "data" / "sample", ROOT / "configs"

# AIDR at 96 channels as models.md draws it: (in, out) of its 3x3 convolutions, channels of its non-local blocks
CONVS = [(3, 96), *[(96, 96)] * 6, (448, 192), (192, 192), (416, 192), (192, 192), (352, 192), (192, 192)]
CONVS += [(288, 192), (192, 192), (195, 64), (64, 32), (32, 3)]
BLOCKS = {96: 2, 192: 1}


@pytest.fixture(autouse=True)
def seeded():
    paddle.seed(1)


def rand(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def learnable(layer):
    return sum(int(p.size) for p in layer.parameters() if not p.stop_gradient)


# --- counts ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def full():
    """EraseNet with both AIDR refinements, at full width."""
    return {name: EraseNet(refinement=name, spectral_norm=False) for name in ("multiscale", "nonlocal")}


def test_aidr_has_the_parameters_of_its_layers_and_the_published_sum(full):
    convs = sum(9 * i * o + o for i, o in CONVS)
    blocks = sum(count * 4 * c * (c // 2) for c, count in BLOCKS.items())
    assert learnable(full["nonlocal"].refine) == convs + blocks == 4_670_787
    assert learnable(full["multiscale"].refine) == convs == 4_560_195


def test_the_networks_have_the_published_parameters(full):
    """22,705,775 as published, less the 10,432 of two convolutions that its code defines and never uses."""
    coarse = 19_737_615 - 1_702_627 - 10_432  # EraseNet without its own refinement
    assert learnable(full["nonlocal"]) == 22_705_775 - 10_432 == 22_695_343
    assert learnable(full["multiscale"]) == coarse + 4_560_195 == 22_584_751


def test_the_networks_cost_what_is_published(full):
    """Counted by paddle.flops, which takes a transposed convolution for four times its work."""
    gmacs = {name: models.summary(net, size=64)[1] * 64 for name, net in full.items()}  # all but attention is linear
    assert gmacs["nonlocal"] == pytest.approx(195.65, abs=0.005)
    pixels = {96: 32**2 + 16**2, 192: 32**2}  # where the blocks stand, at 512 px
    blocks = sum(4 * c * (c // 2) * area for c, area in pixels.items()) / 1e9
    assert gmacs["multiscale"] == pytest.approx(gmacs["nonlocal"] - blocks, abs=1e-4)
    assert gmacs["multiscale"] == pytest.approx(195.55, abs=0.005)


def test_the_discriminator_has_the_published_parameters():
    """Two towers 3-64-128-256-256-256-256 of 4x4 convolutions, and one over both."""
    channels = [3, 64, 128, 256, 256, 256, 256]
    tower = sum(16 * i * o + o for i, o in zip(channels, channels[1:]))
    assert learnable(EraseNetDiscriminator()) == 2 * tower + 16 * 512 + 1 == 7_618_945


# --- the non-local block and AIDR -----------------------------------------------------------------------------------


def attention_by_hand(x, query, key, value, out):
    """x (c, H, W); query, key, value (c / 2, c); out (c, c / 2): one position after the other, in float64."""
    flat = x.reshape(len(x), -1).astype(np.float64)
    result = flat.copy()
    for i in range(flat.shape[1]):
        scores = [np.dot(query @ flat[:, i], key @ flat[:, j]) for j in range(flat.shape[1])]
        shares = np.exp(scores - np.max(scores))
        shares /= shares.sum()
        found = sum(share * (value @ flat[:, j]) for j, share in enumerate(shares))
        result[:, i] += out @ found
    return result.reshape(x.shape)


def test_the_non_local_block_is_plain_attention_added_to_its_input():
    block = NonLocal(6)
    x = rand(2, 6, 3, 5) * 4 - 2
    arrays = [conv.weight.numpy()[:, :, 0, 0] for conv in (block.query, block.key, block.value, block.out)]
    assert [a.shape for a in arrays] == [(3, 6)] * 3 + [(6, 3)]
    expected = np.stack([attention_by_hand(page, *arrays) for page in x])
    assert np.abs(expected - x).max() > 0.1
    np.testing.assert_allclose(block(paddle.to_tensor(x)).numpy(), expected, atol=1e-5)


def test_a_likeness_that_half_precision_cannot_hold_is_kept(monkeypatch):
    """Queries and keys of 300 multiply to 90,000, and float16 ends at 65,504."""
    exact = paddle.matmul
    monkeypatch.setattr(paddle, "matmul", lambda *a, **how: exact(*a, **how).astype("float16").astype("float32"))
    block = NonLocal(2)
    for conv in (block.query, block.key, block.value):
        conv.weight.set_value(paddle.to_tensor([[[[1.0]], [[0.0]]]]))
    block.out.weight.set_value(paddle.to_tensor([[[[1.0]]], [[[0.0]]]]))
    x = paddle.to_tensor(np.array([[300, 1], [0, 0]], np.float32).reshape(1, 2, 1, 2))
    np.testing.assert_allclose(block(x).numpy()[0, 0, 0], [600, 301])


class ByHand:
    """The layers of AIDR in numpy, (C, H, W); `parameters` are those of an AIDR."""

    def __init__(self, net):
        self.state = {key: value.numpy().astype(np.float64) for key, value in net.state_dict().items()}

    def conv(self, name, x):
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        height, width = x.shape[1:]
        padded = np.pad(x, ((0, 0), (1, 1), (1, 1)))
        y = np.broadcast_to(bias[:, None, None], (len(bias), height, width)).copy()
        for row in range(3):
            for column in range(3):
                shifted = padded[:, row : row + height, column : column + width]
                y += np.einsum("oi,ihw->ohw", weight[:, :, row, column], shifted)
        return y

    def act(self, x):
        return np.where(x > 0, x, 0.1 * x)

    def convs(self, name, x, count):
        for i in range(count):
            x = self.act(self.conv(f"{name}.convs.{i}", x))
        return x

    def attend(self, name, x):
        if f"{name}.query.weight" not in self.state:
            return x
        weights = [self.state[f"{name}.{part}.weight"][:, :, 0, 0] for part in ("query", "key", "value", "out")]
        return self.act(attention_by_hand(x, *weights))

    def halve(self, x):
        return x.reshape(len(x), x.shape[1] // 2, 2, x.shape[2] // 2, 2).max((2, 4))

    def double(self, x):
        return x.repeat(2, 1).repeat(2, 2)

    def aidr(self, coarse, x2, x3, x4):
        pools = [self.halve(self.convs("en1", coarse, 2))]
        for level in (2, 3, 4):
            pools.append(self.halve(self.convs(f"en{level}", pools[-1], 1)))
        x = self.halve(self.attend("nonlocal5a", self.convs("en5a", pools[3], 1)))
        x = self.double(self.attend("nonlocal5b", self.convs("en5b", x, 1)))
        x = self.attend("nonlocal1", self.convs("de1a", np.concatenate([x, pools[3], x4]), 1))
        x = self.double(self.convs("de1b", x, 1))
        x = self.double(self.convs("de2", np.concatenate([x, pools[2], x3]), 2))
        x = self.double(self.convs("de3", np.concatenate([x, pools[1], x2]), 2))
        x = self.double(self.convs("de4", np.concatenate([x, pools[0]]), 2))
        return self.conv("out", self.convs("de5", np.concatenate([x, coarse]), 2))


@pytest.mark.parametrize("attention", [True, False])
def test_aidr_is_its_drawing_written_out(attention):
    net = AIDR(scaler(TINY), attention=attention)
    coarse = rand(3, 64, 32)
    skips = [rand(4, 64 // side, 32 // side, seed=side) * 2 - 1 for side in (2, 4, 8)] + [rand(16, 4, 2)]
    skips[2] = rand(8, 8, 4, seed=3)
    with paddle.no_grad():
        out = net(paddle.to_tensor(coarse[None]), tuple(paddle.to_tensor(x[None]) for x in skips))
    expected = ByHand(net).aidr(coarse, *skips[1:])
    assert expected.std() > 0.01
    np.testing.assert_allclose(out.numpy()[0], expected, atol=1e-4 * np.abs(expected).max())


# --- the whole network ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("refinement", REFINEMENTS)
def test_outputs_at_512_px_have_the_specified_shapes(refinement):
    net = EraseNet(TINY, refinement=refinement)
    net.eval()
    with paddle.no_grad():
        shapes = [list(each.shape) for each in net(paddle.rand([1, 3, 512, 512]))]
    assert shapes == [[1, 3, 128, 128], [1, 3, 256, 256], *[[1, 3, 512, 512]] * 3]


def test_the_non_local_blocks_stand_at_32_and_16_px_of_a_512_px_tile():
    net = EraseNet(TINY, refinement="nonlocal")
    seen = []
    for layer in net.sublayers():
        if isinstance(layer, NonLocal):
            layer.register_forward_post_hook(lambda layer, _, output: seen.append(list(output.shape[1:])))
    with paddle.no_grad():
        net(paddle.rand([1, 3, 512, 512]))
    assert seen == [[6, 32, 32], [6, 16, 16], [12, 32, 32]]


@pytest.mark.parametrize("refinement", ["multiscale", "nonlocal"])
def test_the_width_scales_aidr_too(refinement):
    refine = EraseNet(0.25, refinement=refinement, spectral_norm=False).refine
    shapes = [conv.weight.shape for conv in refine.sublayers() if isinstance(conv, nn.Conv2D)]
    images = {3: 3, 195: 192 // 4 + 3}  # where an image goes in or out
    expected = [[images.get(o, o // 4), images.get(i, i // 4), 3, 3] for i, o in CONVS]
    assert sorted(shape for shape in shapes if shape[2] == 3) == sorted(expected)
    assert [shape for shape in shapes if shape[2] == 1] == [
        shape
        for c in (24, 24, 48)
        for shape in [[c // 2, c, 1, 1]] * 3 + [[c, c // 2, 1, 1]]
        if refinement == "nonlocal"
    ]


@pytest.mark.parametrize("refinement", ["multiscale", "nonlocal"])
def test_folding_leaves_aidr_as_it_is_and_the_outputs_too(refinement):
    net = EraseNet(TINY, refinement=refinement)
    page = paddle.rand([2, 3, 64, 32])
    net(page)  # one training pass moves the norms' estimates
    net.eval()
    before, bare = [each.numpy() for each in net(page)], set(net.refine.state_dict())
    fold_spectral_norm(net)
    for a, b in zip(before, net(page)):
        np.testing.assert_allclose(b.numpy(), a, rtol=1e-4, atol=1e-5)
    assert set(net.refine.state_dict()) == bare
    assert set(net.state_dict()) == set(EraseNet(TINY, refinement=refinement, spectral_norm=False).state_dict())


@pytest.mark.parametrize("refinement", ["multiscale", "nonlocal"])
def test_infer_is_the_final_image_of_forward(refinement):
    net = EraseNet(TINY, refinement=refinement)
    net.eval()
    page = paddle.rand([1, 3, 64, 32])
    erased = net.infer(page, paddle.ones([1, 1, 64, 32]))
    np.testing.assert_array_equal(erased.numpy(), net(page)[3].numpy())


@pytest.mark.parametrize("refinement", REFINEMENTS)
@pytest.mark.parametrize("multiscale", [False, True])
def test_every_parameter_learns_the_small_outputs_only_under_multiscale_supervision(refinement, multiscale):
    net = EraseNet(TINY, refinement=refinement)
    page, gt = paddle.rand([2, 3, 64, 64]), paddle.rand([2, 3, 64, 64])
    mask = (paddle.rand([2, 1, 64, 64]) > 0.7).astype("float32")
    losses.erasenet_stage1(net(page), gt, mask, multiscale=multiscale).backward()
    learnt = {name: p.grad is not None for name, p in net.named_parameters() if not p.stop_gradient}
    idle = {name for name, moved in learnt.items() if not moved}
    assert idle == (set() if multiscale else {f"out{n}.{part}" for n in (1, 2) for part in ("weight", "bias")})


def test_a_saved_non_local_network_is_built_by_name(tmp_path):
    network = NetworkConfig("erasenet", "net.pdparams", {"width": TINY, "refinement": "nonlocal"})
    trained = models.build(network)
    weights.save(trained, tmp_path / "net.pdparams", dtype="float32")
    trained.eval()
    page, mask = rand(1, 3, 32, 64), np.ones((1, 1, 32, 64), np.float32)
    expected = trained(paddle.to_tensor(page))[3].numpy()
    np.testing.assert_allclose(pick.build(network, tmp_path / "net.pdparams")(page, mask), expected, atol=1e-4)


def test_the_configuration_trains_the_second_generator_of_the_second_seed():
    erase = pytest.importorskip("dehw.train.erase")
    training = config.load(CONFIGS / "erasenet_nonlocal.yml", erase.EraseTraining)
    pipeline = config.load_pipeline(training.pipeline)
    assert pipeline.name == "seed001" and pipeline.segment is None and not pipeline.erase.cmp
    network = erase.choose_network(pipeline, training.network)
    assert network.args == {"refinement": "nonlocal"}
    assert [each.args for each in pipeline.erase.networks if each is not network] == [{}]
    assert (training.stage1.multiscale, training.stage1.adversary) == (False, None)  # the seed left both out


# --- learning and keeping -------------------------------------------------------------------------------------------


def inked_crops(size=64):
    """The most written-on windows of two sample pages as image, gt (2, 3, S, S) and mask (2, 1, S, S) tensors."""
    crops = []
    for stem in ("dehw_sample_01", "dehw_sample_02"):
        image = images.read_image(SAMPLES / "images" / f"{stem}.jpg")
        gt = images.read_image(SAMPLES / "gts" / f"{stem}.png")
        mask = masks.soft_mask(image, gt)
        ink = cv2.integral(mask)
        inside = ink[size:, size:] - ink[:-size, size:] - ink[size:, :-size] + ink[:-size, :-size]
        y, x = np.unravel_index(inside.argmax(), inside.shape)
        crops.append([page[y : y + size, x : x + size] for page in (image, gt, mask)])
    image, gt, mask = (np.stack(each) for each in zip(*crops))
    image, gt = (np.ascontiguousarray(each.transpose(0, 3, 1, 2), np.float32) / 255 for each in (image, gt))
    return [paddle.to_tensor(each) for each in (image, gt, mask[:, None])]


def psnr(a, b):
    return -10 * np.log10(float(((a - b) ** 2).mean()))


@pytest.mark.parametrize("refinement", REFINEMENTS)
@pytest.mark.parametrize(("steps", "gain"), [(80, 3.0), pytest.param(400, 8.0, marks=pytest.mark.slow)])
def test_a_narrow_network_overfits_two_crops(refinement, steps, gain):
    """gain: decibels that the erased crops are nearer to the ground truth than the written ones."""
    image, gt, mask = inked_crops()
    net = EraseNet(TINY, refinement=refinement, spectral_norm=False)
    scheduler = paddle.optimizer.lr.StepDecay(8e-3, steps * 3 // 4, 0.2)
    optimizer = paddle.optimizer.Adam(scheduler, parameters=net.parameters())
    for _ in range(steps):
        losses.erasenet_stage1(net(image), gt, mask).backward()
        optimizer.step()
        optimizer.clear_grad()
        scheduler.step()
    net.eval()
    with paddle.no_grad():
        *_, final, logits = net(image)
    assert psnr(final, gt) > psnr(image, gt) + gain
    assert float(losses.dice(logits, mask)) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("refinement", REFINEMENTS)
def test_a_full_size_network_is_the_same_after_saving_and_loading(refinement, tmp_path):
    args = {"refinement": refinement}
    net, again = (models.build(NetworkConfig("erasenet", "", args)) for _ in range(2))
    optimizer = paddle.optimizer.Adam(1e-4, parameters=net.parameters())
    page, mask = paddle.rand([1, 3, 128, 128]), paddle.ones([1, 1, 128, 128])
    net(page)
    checkpoint.save(tmp_path / "step_1.pdckpt", model=net, optimizer=optimizer, config=args, step=1)
    weights.save(net, tmp_path / "net.pdparams", dtype="float32")
    net.eval()
    expected = net.infer(page, mask).numpy()
    for load in (
        lambda: checkpoint.load(tmp_path / "step_1.pdckpt", model=again),
        lambda: weights.load(again, tmp_path / "net.pdparams"),
    ):
        for parameter in again.parameters():
            parameter.set_value(paddle.zeros_like(parameter))
        load()
        again.eval()
        np.testing.assert_array_equal(again.infer(page, mask).numpy(), expected)


# --- the discriminator ----------------------------------------------------------------------------------------------


def test_the_discriminator_judges_25_patches_of_512_px():
    judge = EraseNetDiscriminator(TINY)
    with paddle.no_grad():
        judgement = judge(paddle.rand([2, 3, 512, 512]), paddle.ones([2, 1, 512, 512]))
        assert judge(paddle.rand([1, 3, 256, 256]), paddle.ones([1, 1, 256, 256])).shape == [1, 1]
    assert judgement.shape == [2, 25]
    assert 0 < float(judgement.min()) < float(judgement.max()) < 1


def test_one_tower_sees_the_handwriting_alone_the_other_everything():
    judge = EraseNetDiscriminator(TINY)
    judge.eval()
    seen = {judge.whole: [], judge.local: []}
    for tower, answers in seen.items():
        tower.register_forward_post_hook(lambda _, inputs, output, answers=answers: answers.append(output.numpy()))
    mask = np.zeros((1, 1, 256, 256), np.float32)
    mask[..., 100:120, 50:200] = 1
    image, noise = rand(1, 3, 256, 256), rand(1, 3, 256, 256, seed=1)
    for page in (image, np.where(mask == 1, image, noise), np.where(mask == 0, image, noise)):
        judge(paddle.to_tensor(page), paddle.to_tensor(mask))
    moved = {tower: [np.abs(each - answers[0]).max() for each in answers[1:]] for tower, answers in seen.items()}
    assert moved[judge.local][0] == 0  # what lies outside the mask
    assert min(moved[judge.local][1], *moved[judge.whole]) > 1e-4


def test_crops_too_small_for_the_discriminator_are_refused():
    with pytest.raises(ValueError, match="256 px up, got 256 x 255"):
        EraseNetDiscriminator(TINY)(paddle.rand([1, 3, 256, 255]), paddle.ones([1, 1, 256, 255]))


def test_its_hinge_is_the_released_one_but_for_a_factor():
    """Released: relu(1 - mean real) + relu(1 + mean fake), of judgements in (0, 1)."""
    real, fake = rand(2, 25), rand(2, 25, seed=1)
    released = max(0, 1 - real.mean()) + max(0, 1 + fake.mean())
    ours = losses.hinge_discriminator(paddle.to_tensor(real), paddle.to_tensor(fake))
    assert 2 * float(ours) == pytest.approx(released, rel=1e-6)
    assert float(losses.hinge_generator(paddle.to_tensor(fake))) == pytest.approx(-fake.mean(), rel=1e-6)


def test_it_learns_to_tell_clean_from_written():
    judge = DISCRIMINATORS["erasenet"](TINY)
    image, gt, mask = inked_crops(256)
    optimizer = paddle.optimizer.Adam(3e-3, parameters=judge.parameters())
    for _ in range(10):
        losses.hinge_discriminator(judge(gt, mask), judge(image, mask)).backward()
        assert all(p.grad is not None for p in judge.parameters() if not p.stop_gradient)
        optimizer.step()
        optimizer.clear_grad()
    judge.eval()
    assert float(judge(gt, mask).min()) > float(judge(image, mask).max()) + 0.1
