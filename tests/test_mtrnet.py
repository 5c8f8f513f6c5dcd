"""MTRNet++ and its discriminator against published counts and networks written out in PyTorch; its losses in numpy."""

from functools import partial

import numpy as np
import paddle
import pytest
from paddle.vision.models.vgg import VGG, cfgs, make_layers

from dehw import models
from dehw.config import NetworkConfig
from dehw.engine import pick, weights
from dehw.errors import ConfigError, WeightsError
from dehw.models.discriminators import MTRNetDiscriminator
from dehw.models.layers import fold_spectral_norm
from dehw.models.mtrnet import INIT_STD, MTRNet
from dehw.train import losses

TINY = 0.0625
CONVS = (paddle.nn.Conv2D, paddle.nn.Conv2DTranspose)


@pytest.fixture(autouse=True)
def seeded():
    paddle.seed(1)


def rand(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def page_and_mask(height=32, width=48, number=2):
    mask = np.zeros((number, 1, height, width), np.float32)
    mask[:, :, 8:20, 10:30] = 1
    return paddle.to_tensor(rand(number, 3, height, width)), paddle.to_tensor(mask)


def lively(net):
    """The network with weights and norms far from their start, so that a wrong one shows."""
    rng = np.random.default_rng(5)
    for p in net.parameters():
        if not p.stop_gradient:
            p.set_value(rng.normal(0, 0.2, p.shape).astype(np.float32) + (len(p.shape) == 1))
    return net


# -- the generator -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mask_input", "convolutions"), [(False, 12_100_678), (True, 12_103_814)])
def test_mtrnet_has_the_published_parameters_and_cost(mask_input, convolutions):
    net = MTRNet(mask_input=mask_input)
    counted = sum(models.learnable(layer) for layer in net.sublayers() if isinstance(layer, CONVS))
    assert counted == convolutions
    encoder, decoder, residual = 64 + 128 + 256, 128 + 64, 2 * 256  # channels that are normed
    norms = 2 * (2 * encoder + 2 * decoder + 8 * residual)  # a scale and a shift each
    parameters, gmacs = models.summary(net, size=64)
    assert parameters == convolutions + norms
    assert parameters == (12_114_566 if mask_input else 12_111_430)
    # Paddle counts a transposed convolution at its output's size, four times its work: 235 in truth
    assert gmacs * 64 == pytest.approx(338.0 if mask_input else 338.0 - 0.82, abs=0.05)


def reference_stage(net, x):
    """EncoderDecoder in PyTorch, from models.md alone."""
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    w = {key: torch.from_numpy(value.numpy()) for key, value in net.state_dict().items()}

    def conv(x, name, stride=1, zeros=0, mirror=0, dilation=1):
        x = f.pad(x, [mirror] * 4, mode="reflect") if mirror else x
        return f.conv2d(x, w[f"{name}.weight"], w.get(f"{name}.bias"), stride, zeros, dilation)

    def norm(x, name):
        return f.instance_norm(x, weight=w[f"{name}.scale"], bias=w[f"{name}.bias"], eps=1e-5)

    x = f.relu(norm(conv(x, "down.0.conv", mirror=3), "down.0.norm"))
    x = f.relu(norm(conv(x, "down.1.conv", stride=2, zeros=1), "down.1.norm"))
    x = f.relu(norm(conv(x, "down.2.conv", stride=2, zeros=1), "down.2.norm"))
    for block in range(len(net.blocks)):
        name = f"blocks.{block}"
        y = f.relu(norm(conv(x, f"{name}.wide.conv", mirror=2, dilation=2), f"{name}.wide.norm"))
        x = x + norm(conv(y, f"{name}.narrow.conv", mirror=1), f"{name}.narrow.norm")
    for name in ("up.0", "up.1"):
        y = f.conv_transpose2d(x, w[f"{name}.conv.weight"], w[f"{name}.conv.bias"], stride=2, padding=1)
        x = f.relu(norm(y, f"{name}.norm"))
    return (torch.tanh(conv(x, "out", mirror=3)) + 1) / 2


@pytest.mark.parametrize("mask_input", [False, True])
@pytest.mark.parametrize("whiten", [False, True])
def test_mtrnet_is_two_stages_with_cmp_between_and_after(mask_input, whiten):
    torch = pytest.importorskip("torch")
    net = lively(MTRNet(TINY, mask_input, whiten))
    assert (len(net.coarse.blocks), len(net.fine.blocks)) == (6, 2)
    page, mask = page_and_mask()
    x, m = (torch.from_numpy(each.numpy()) for each in (page, mask))
    seen = torch.where(m > 0, torch.ones_like(x), x) if whiten else x
    coarse = reference_stage(net.coarse, torch.cat([seen, m], 1) if mask_input else seen)
    coarse = torch.where(m > 0, coarse, x)
    fine = torch.where(m > 0, reference_stage(net.fine, torch.cat([coarse, m], 1)), x)
    for found, expected in zip(net(page, mask), (fine, coarse)):
        np.testing.assert_allclose(found.numpy(), expected.numpy(), atol=2e-5)
    assert fine.std() > 0.01


@pytest.mark.parametrize("whiten", [False, True])
def test_nothing_changes_outside_the_mask(whiten):
    page, mask = page_and_mask()
    for out in MTRNet(TINY, whiten=whiten)(page, mask):
        changed = np.abs(out.numpy() - page.numpy()).max(1, keepdims=True) > 0
        np.testing.assert_array_equal(changed, mask.numpy() > 0)
        assert out.min() >= 0 and out.max() <= 1


def test_whiten_hides_what_is_under_the_mask():
    page, mask = page_and_mask()
    other = page * (1 - mask) + mask * 0.3
    for whiten in (True, False):
        net = lively(MTRNet(TINY, whiten=whiten))
        same = [bool((a == b).all()) for a, b in zip(net(page, mask), net(other, mask))]
        assert same == [whiten, whiten]


def test_the_coarse_stage_sees_the_mask_only_as_an_input():
    page, mask = page_and_mask()
    more = paddle.clip(mask + mask.flip([3]), 0, 1)
    for mask_input in (False, True):
        net = lively(MTRNet(TINY, mask_input))
        coarse, wider = net(page, mask)[1] * mask, net(page, more)[1] * mask
        assert bool((coarse == wider).all()) is not mask_input


def test_without_a_mask_the_whole_page_is_written():
    page, _ = page_and_mask()
    net = MTRNet(TINY)
    np.testing.assert_array_equal(net(page)[0].numpy(), net(page, paddle.ones([2, 1, 32, 48]))[0].numpy())


def test_infer_is_the_fine_image_of_forward():
    page, mask = page_and_mask()
    net = MTRNet(TINY)
    net.eval()
    np.testing.assert_array_equal(net.infer(page, mask).numpy(), net(page, mask)[0].numpy())


def test_outputs_have_the_specified_shapes_at_512():
    net, inner = MTRNet(TINY), []
    for stage in (net.coarse, net.fine):
        stage.down.register_forward_post_hook(lambda layer, _, output: inner.append(list(output.shape)))
    with paddle.no_grad():
        outputs = net(paddle.rand([1, 3, 512, 512]), paddle.ones([1, 1, 512, 512]))
        judged = MTRNetDiscriminator(TINY)(outputs[0], paddle.ones([1, 1, 512, 512]))
    assert [list(each.shape) for each in outputs] == [[1, 3, 512, 512]] * 2
    assert inner == [[1, 16, 128, 128]] * 2  # 256 channels at full width
    assert list(judged.shape) == [1, 1, 64, 64]


@pytest.mark.parametrize("size", [(34, 32), (32, 47)])
def test_sides_that_the_encoder_cannot_halve_twice_are_refused(size):
    with pytest.raises(ValueError, match=f"4, got {size[0]} x {size[1]}"):
        MTRNet(TINY)(paddle.rand([1, 3, *size]))


def test_width_scales_every_count_but_those_of_images():
    net = MTRNet(0.25, mask_input=True)
    assert net.coarse.down[0].conv.weight.shape == [16, 4, 7, 7]
    assert net.fine.blocks[1].wide.conv.weight.shape == [64, 64, 3, 3]
    assert net.fine.out.weight.shape == [3, 16, 7, 7]


def test_weights_start_small_and_shifts_at_zero():
    for net in (MTRNet(0.25), MTRNetDiscriminator(0.25)):
        for name, p in net.named_parameters():
            if len(p.shape) == 4:
                assert float(p.std()) == pytest.approx(INIT_STD, rel=0.25), name
            elif name.endswith("bias"):
                assert not p.numpy().any(), name


def test_a_mtrnet_nobody_can_build_is_a_config_error():
    for args, word in [({"whitn": True}, "whitn"), ({"width": 0}, "width must be above 0")]:
        with pytest.raises(ConfigError, match=word):
            models.build(NetworkConfig("mtrnet", "", args))


def test_mtrnet_overfits_two_crops():
    page = np.full((2, 3, 32, 32), 0.9, np.float32)
    page[0, :, ::6] = 0.2  # ruled one way, and the other
    page[1, :, :, ::6] = 0.2
    gt, mask = paddle.to_tensor(page), paddle.zeros([2, 1, 32, 32])
    mask[:, :, 8:24, 8:24] = 1
    image = gt * (1 - mask * paddle.to_tensor(rand(2, 1, 32, 32) > 0.5).astype("float32"))
    net = MTRNet(0.125)
    optimizer = paddle.optimizer.Adam(3e-3, 0.5, 0.9, parameters=net.parameters())
    course = []
    for _ in range(80):
        loss = losses.mtrnet(net(image, mask), gt, mask)
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        course.append(float(loss))
    assert course[-1] < course[0] / 8
    found = net(image, mask)[0]
    assert float((found - gt).abs().mean()) < float((image - gt).abs().mean()) / 5


@pytest.mark.slow
def test_a_full_size_mtrnet_is_saved_and_loaded_to_the_same_output(tmp_path):
    page, mask = page_and_mask(64, 64, 1)
    for mask_input in (False, True):
        net, path = MTRNet(mask_input=mask_input), tmp_path / f"{mask_input}.pdparams"
        weights.save(net, path, dtype="float32")
        other = MTRNet(mask_input=mask_input)
        weights.load(other, path)
        np.testing.assert_array_equal(other.infer(page, mask).numpy(), net.infer(page, mask).numpy())
        with pytest.raises(WeightsError, match="coarse.down.0.conv.weight"):
            weights.load(MTRNet(mask_input=not mask_input), path)


# -- the discriminator, spectral norm ------------------------------------------------------------------------


def test_the_discriminator_has_the_published_parameters():
    assert models.learnable(MTRNetDiscriminator()) == 1_854_464


def test_the_discriminator_is_given_the_mask_at_every_size():
    torch = pytest.importorskip("torch")
    f = torch.nn.functional
    net = MTRNetDiscriminator(TINY)
    net(*page_and_mask(16, 24))  # a training pass moves the norms' estimates
    net.eval()
    page, mask = page_and_mask(32, 48)
    found = net(page, mask).numpy()
    w = {key: torch.from_numpy(value.numpy()) for key, value in fold_spectral_norm(net).state_dict().items()}
    x, m = (torch.from_numpy(each.numpy()) for each in (page, mask))
    for name, step in (("conv1", 1), ("conv2", 2), ("conv3", 4)):
        x = f.leaky_relu(f.conv2d(torch.cat([x, m[:, :, ::step, ::step]], 1), w[f"{name}.weight"], None, 2, 1), 0.2)
    x = f.leaky_relu(f.conv2d(torch.cat([x, m[:, :, ::8, ::8]], 1), w["conv4.weight"], None, 1, 1), 0.2)
    np.testing.assert_allclose(found, f.conv2d(x, w["out.weight"], None, 1, 1).numpy(), rtol=1e-4, atol=1e-6)
    assert found.shape == (2, 1, 4, 6)


@pytest.mark.parametrize("build", [MTRNetDiscriminator, partial(MTRNet, spectral_norm=True)])
def test_folding_spectral_norm_changes_no_output(build):
    net = build(TINY)
    page, mask = page_and_mask()
    net(page, mask)
    net.eval()
    before, count = net(page, mask), models.learnable(net)
    normed = [layer for layer in net.sublayers() if hasattr(layer, "weight_orig")]
    assert normed == [layer for layer in net.sublayers() if isinstance(layer, CONVS)]
    fold_spectral_norm(net)
    for a, b in zip(before, net(page, mask)):
        np.testing.assert_allclose(b.numpy(), a.numpy(), rtol=1e-5, atol=1e-6)
    assert not [key for key in net.state_dict() if key.endswith(("_orig", "_u", "_v"))]
    assert models.learnable(net) == count
    for layer in normed:
        rows_first = (1, 0, 2, 3) if isinstance(layer, paddle.nn.Conv2DTranspose) else (0, 1, 2, 3)
        matrix = layer.weight.numpy().transpose(rows_first)
        assert np.linalg.norm(matrix.reshape(len(matrix), -1), 2) == pytest.approx(1, abs=0.1)  # by power iterations


def test_the_engine_runs_a_trained_mtrnet_with_its_norms_folded(tmp_path):
    network = NetworkConfig("mtrnet", "a.pdparams", {"width": TINY, "mask_input": True, "spectral_norm": True})
    net = models.build(network)
    page, mask = page_and_mask()
    net(page, mask)
    weights.save(net, tmp_path / network.weights, dtype="float32")
    run = pick.build(network, tmp_path / network.weights)
    assert not hasattr(run.layer.fine.out, "weight_orig")
    net.eval()
    np.testing.assert_allclose(run(page.numpy(), mask.numpy()), net.infer(page, mask).numpy(), rtol=1e-5, atol=1e-6)


# -- losses --------------------------------------------------------------------------------------------------


def batch():
    gt, mask = rand(2, 3, 8, 12, seed=1), (rand(2, 1, 8, 12, seed=2) > 0.6).astype(np.float32)
    return gt, mask, [rand(2, 3, 8, 12, seed=3 + n) for n in range(2)]


def emphasised(a, b, mask):
    """Mean over all elements of |a - b|, ten times as much under the mask."""
    return np.mean(np.where(mask > 0, 10.0, 1.0) * np.abs(a.astype(np.float64) - b))


def fake_features(image):
    """Stands for VGG-19: every layer asked for, the image at another size and sign each."""
    names = [*losses.PERCEPTUAL_LAYERS, *losses.STYLE_LAYERS]
    return {name: image[:, :, :: n % 2 + 1, :: n % 2 + 1] * (n - 3.5) for n, name in enumerate(names)}


def test_without_vgg_the_loss_is_l1_of_both_images():
    gt, mask, images = batch()
    loss = losses.mtrnet([paddle.to_tensor(image) for image in images], *map(paddle.to_tensor, (gt, mask)))
    assert float(loss) == pytest.approx(sum(10 * emphasised(image, gt, mask) for image in images), rel=1e-5)


def test_with_vgg_perceptual_and_style_terms_of_both_images_are_added():
    gt, mask, images = batch()
    expected = sum(10 * emphasised(image, gt, mask) for image in images)
    for image in images:
        seen, wanted = fake_features(image), fake_features(gt)
        for name in losses.PERCEPTUAL_LAYERS:
            step = mask.shape[2] // seen[name].shape[2]
            expected += 0.1 * emphasised(seen[name], wanted[name], mask[:, :, ::step, ::step])
        for name in losses.STYLE_LAYERS:
            grams = [np.einsum("nihw,njhw->nij", x[name], x[name]) / x[name][0].size for x in (seen, wanted)]
            expected += 250 * np.abs(grams[0] - grams[1]).mean()
    tensors = [paddle.to_tensor(image) for image in images]
    loss = losses.mtrnet(tensors, *map(paddle.to_tensor, (gt, mask)), features=fake_features)
    assert float(loss) == pytest.approx(expected, rel=1e-4)


def test_the_features_give_a_gradient_of_their_own():
    gt, mask, images = batch()
    gradients = []
    for features in (None, fake_features):
        leaves = [paddle.to_tensor(image, stop_gradient=False) for image in images]
        losses.mtrnet(leaves, *map(paddle.to_tensor, (gt, mask)), features=features).backward()
        gradients.append([leaf.grad.numpy() for leaf in leaves])
    for plain, both in zip(*gradients):
        assert (np.abs(both - plain) > 0).mean() > 0.9


def test_hinge_losses_by_hand():
    real, fake = np.array([[2.0, 0.5, -1.0]], np.float32), np.array([[-3.0, 0.0, 0.25, 1.0]], np.float32)
    loss = losses.hinge_discriminator(paddle.to_tensor(real), paddle.to_tensor(fake))
    assert float(loss) == pytest.approx(((0 + 0.5 + 2) / 3 + (0 + 1 + 1.25 + 2) / 4) / 2)
    assert float(losses.hinge_generator(paddle.to_tensor(fake))) == pytest.approx(1.75 / 4)


def test_only_masked_pixels_of_a_composed_page_give_a_gradient():
    page, mask = page_and_mask()
    generated = paddle.to_tensor(rand(2, 3, 32, 48, seed=9), stop_gradient=False)
    composed = generated * mask + page * (1 - mask)
    losses.mtrnet([composed, composed], paddle.to_tensor(rand(2, 3, 32, 48, seed=8)), mask).backward()
    touched = np.abs(generated.grad.numpy()).min(1, keepdims=True) > 0
    np.testing.assert_array_equal(touched, mask.numpy() > 0)


# -- VGG-19 --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def paddles_vgg():
    net = VGG(make_layers(cfgs["E"]), num_classes=0, with_pool=False)
    net.eval()
    return net


@pytest.fixture(scope="module")
def vgg_file(paddles_vgg, tmp_path_factory):
    """A file as Paddle publishes it: more layers than are wanted here."""
    path = tmp_path_factory.mktemp("vgg") / "vgg19.pdparams"
    state = {key: value.numpy() for key, value in paddles_vgg.state_dict().items()}
    paddle.save({**state, "classifier.0.weight": np.zeros((2, 2), np.float32)}, str(path))
    return path


def test_vgg_is_paddles_own_up_to_relu5_2(paddles_vgg, vgg_file):
    x = paddle.rand([1, 3, 32, 32])
    found = weights.load_vgg(vgg_file)(x)
    assert list(found)[::3] == ["relu1_1", "relu2_2", "relu3_3", "relu4_2", "relu5_1"] and len(found) == 14
    for place, layer in enumerate(paddles_vgg.features):
        x = layer(x)
        name = {1: "relu1_1", 8: "relu2_2", 17: "relu3_4", 20: "relu4_1", 26: "relu4_4", 29: "relu5_1", 31: "relu5_2"}
        if place in name:
            np.testing.assert_allclose(found[name[place]].numpy(), x.numpy(), rtol=1e-5, atol=1e-6)


def test_perceptual_and_style_terms_have_gradients_and_vgg_has_none(vgg_file):
    features = weights.load_vgg(vgg_file)
    gt = paddle.rand([1, 3, 32, 32])
    mask = paddle.ones([1, 1, 32, 32])
    for term in (lambda seen, wanted: losses.perceptual(seen, wanted, mask), losses.style):
        image = paddle.to_tensor(rand(1, 3, 32, 32, seed=4), stop_gradient=False)
        term(features(image), features(gt)).backward()
        assert np.abs(image.grad.numpy()).max() > 0
    assert [name for name, p in features.named_parameters() if p.grad is not None or not p.stop_gradient] == []


def test_weights_that_are_not_vggs_are_refused(tmp_path):
    with pytest.raises(WeightsError, match="no such file"):
        weights.load_vgg(tmp_path / "none.pdparams")
    weights.save(MTRNet(TINY), tmp_path / "other.pdparams")
    with pytest.raises(WeightsError, match="other.pdparams.*missing features.0.weight.*VGG-19.*vgg19.pdparams"):
        weights.load_vgg(tmp_path / "other.pdparams")
