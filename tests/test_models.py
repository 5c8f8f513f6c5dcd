"""The networks against the published figures, against PaddleSeg's own network, and against numpy."""

import numpy as np
import paddle
import pytest
from paddle.nn import functional as F
from paddleseg.core import infer
from paddleseg.models import SegFormer as PaddleSegFormer
from paddleseg.models.backbones.mix_transformer import MixVisionTransformer
from paddleseg.transforms import Normalize

from dehw import models
from dehw.config import NetworkConfig
from dehw.engine import weights
from dehw.errors import ConfigError
from dehw.models.erasenet import EraseNet
from dehw.models.layers import ConvAct, DeconvAct, Residual, fold_spectral_norm
from dehw.models.segformer import SegFormer
from dehw.train import losses

TINY = 0.0625


@pytest.fixture(autouse=True)
def seeded():
    paddle.seed(1)


def learnable(layer):
    return sum(int(p.size) for p in layer.parameters() if not p.stop_gradient)


@pytest.fixture(scope="module")
def erasenet():
    return EraseNet(spectral_norm=False)


def test_erasenet_has_the_published_parameters_part_by_part(erasenet):
    parts = {
        "encoder": (9_149_504, ("conv1", "conva", "convb", "conv2", *(f"res{i}" for i in range(1, 9)))),
        "decoder": (1_956_003, tuple(f"deconv{i}" for i in range(1, 6))),
        "laterals": (4_964_160, tuple(f"lateral{i}" for i in range(1, 5))),
        "outputs": (294, ("out1", "out2")),
        "mask": (1_954_595, tuple(name for name, _ in erasenet.named_children() if name.startswith("mask_"))),
        "refinement and its skips": (1_702_627 + 10_432, ("refine",)),
    }
    assert {part: sum(learnable(getattr(erasenet, name)) for name in names) for part, (_, names) in parts.items()} == {
        part: count for part, (count, _) in parts.items()
    }
    assert learnable(erasenet) == 19_737_615
    assert learnable(erasenet.refine.skip1) + learnable(erasenet.refine.skip2) == 10_432


def test_erasenet_costs_what_is_published(erasenet):
    """115.8 GMAC. The published 117.3 come of an implementation in which all ConvActs share one LeakyReLU
    object, and all DeconvActs another, so that paddle.flops counts each of their outputs 21 and 11 times.
    """
    outputs = {ConvAct: [], DeconvAct: []}
    hooks = [
        layer.register_forward_post_hook(lambda layer, _, output: outputs[type(layer)].append(int(output.size)))
        for layer in erasenet.sublayers()
        if type(layer) in outputs
    ]
    parameters, gmacs = models.summary(erasenet, size=64)
    for hook in hooks:
        hook.remove()
    gmacs *= 64  # eight times the side: every layer's work grows with the area
    assert parameters == 19_737_615
    assert gmacs == pytest.approx(115.80, abs=0.005)
    assert [len(sizes) for sizes in outputs.values()] == [21, 11]
    overcount = sum(len(sizes) * sum(sizes) for sizes in outputs.values()) * 64 / 1e9
    assert gmacs + overcount == pytest.approx(117.3, abs=0.05)


def test_summary_leaves_the_network_as_it_was(erasenet, capsys):
    keys = list(erasenet.state_dict())
    erasenet.train()
    models.summary(erasenet, size=32)
    assert list(erasenet.state_dict()) == keys
    assert erasenet.training
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_segformer_b2_has_the_published_parameters_and_cost():
    parameters, gmacs = models.summary(models.MODELS["segformer_b2"](), size=64)
    assert parameters == 27_348_162
    assert gmacs * 64 == pytest.approx(56.6, abs=0.05)


def test_erasenet_outputs_have_the_specified_shapes():
    net = EraseNet(TINY)
    net.eval()
    shapes = [list(each.shape) for each in net(paddle.rand([2, 3, 64, 96]))]
    assert shapes == [[2, 3, 16, 24], [2, 3, 32, 48], [2, 3, 64, 96], [2, 3, 64, 96], [2, 3, 64, 96]]


def test_infer_is_the_final_image_of_forward():
    net = EraseNet(TINY)
    net.eval()
    page = paddle.rand([1, 3, 64, 32])
    erased = net.infer(page, paddle.ones([1, 1, 64, 32]))
    np.testing.assert_array_equal(erased.numpy(), net(page)[3].numpy())


@pytest.mark.parametrize("size", [(64, 48), (33, 64)])
def test_sides_that_the_encoder_cannot_halve_five_times_are_refused(size):
    with pytest.raises(ValueError, match=f"32, got {size[0]} x {size[1]}"):
        EraseNet(TINY)(paddle.rand([1, 3, *size]))


def test_width_scales_every_count_but_those_of_images():
    net = EraseNet(0.25, spectral_norm=False)
    assert net.conv1.conv.weight.shape == [8, 3, 4, 4]
    assert net.res8.conv1.weight.shape == [128, 128, 3, 3]
    assert net.deconv5.conv.weight.shape == [16, 3, 3, 3]
    assert net.refine.out.weight.shape == [3, 4, 3, 3]
    assert EraseNet(0.01, spectral_norm=False).res8.conv1.weight.shape == [5, 5, 3, 3]
    assert EraseNet(0.01, spectral_norm=False).conv1.conv.weight.shape == [4, 3, 4, 4]


@pytest.mark.parametrize(("name", "reach"), [("atrous1", 2), ("atrous2", 4), ("atrous3", 8), ("atrous4", 16)])
def test_each_dilated_convolution_reaches_twice_as_far(name, reach):
    block = getattr(EraseNet(TINY, spectral_norm=False).refine, name)
    block.conv.weight.set_value(paddle.ones_like(block.conv.weight))
    impulse = np.zeros((1, block.conv.weight.shape[1], 33, 33), np.float32)
    impulse[..., 16, 16] = 1
    rows, columns = np.nonzero(block(paddle.to_tensor(impulse)).numpy()[0, 0])
    assert sorted(set(rows)) == sorted(set(columns)) == [16 - reach, 16, 16 + reach]


def test_the_residual_block_norms_the_sum_once():
    block = Residual(4, 4)
    block.conv2.weight.set_value(paddle.zeros_like(block.conv2.weight))
    block.conv2.bias.set_value(paddle.zeros_like(block.conv2.bias))
    block.norm._mean.set_value(paddle.to_tensor([0.1, 0.2, 0.3, 0.4]))
    block.norm._variance.set_value(paddle.to_tensor([4.0, 4.0, 4.0, 4.0]))
    block.eval()
    x = np.random.default_rng(0).random((1, 4, 5, 6), dtype=np.float32)
    expected = np.maximum((x - np.array([0.1, 0.2, 0.3, 0.4]).reshape(1, 4, 1, 1)) / np.sqrt(4 + 1e-5), 0)
    np.testing.assert_allclose(block(paddle.to_tensor(x)).numpy(), expected, atol=1e-6)


def test_spectral_norm_divides_by_the_greatest_singular_value():
    net = fold_spectral_norm(EraseNet(TINY))
    for block, rows_first in ((net.conv1, (0, 1, 2, 3)), (net.deconv2, (1, 0, 2, 3))):
        matrix = block.conv.weight.numpy().transpose(rows_first)
        greatest = np.linalg.svd(matrix.reshape(len(matrix), -1), compute_uv=False)[0]
        assert greatest == pytest.approx(1, abs=0.05)


def test_folding_spectral_norm_changes_no_output_and_leaves_a_plain_network():
    net = EraseNet(TINY)
    page = paddle.rand([2, 3, 32, 32])
    net(page)  # one training pass moves the norms' estimates
    net.eval()
    before = [each.numpy() for each in net(page)]
    learnt = learnable(net)
    assert fold_spectral_norm(net) is net
    for a, b in zip(before, net(page)):
        np.testing.assert_allclose(b.numpy(), a, rtol=1e-5, atol=1e-6)
    assert set(net.state_dict()) == set(EraseNet(TINY, spectral_norm=False).state_dict())
    assert learnable(net) == learnt


@pytest.mark.parametrize("spectral_norm", [True, False])
def test_an_optimiser_step_lowers_the_loss_and_every_parameter_learns(spectral_norm):
    net = EraseNet(0.125, spectral_norm=spectral_norm)
    page, gt = paddle.rand([2, 3, 64, 64]), paddle.rand([2, 3, 64, 64])
    mask = (paddle.rand([2, 1, 64, 64]) > 0.7).astype("float32")
    optimizer = paddle.optimizer.Adam(1e-3, parameters=net.parameters())

    def loss():
        return losses.erasenet_stage1(net(page), gt, mask, multiscale=True)

    before = loss()
    before.backward()
    assert [name for name, p in net.named_parameters() if not p.stop_gradient and p.grad is None] == []
    optimizer.step()
    optimizer.clear_grad()
    assert float(loss()) < float(before)


def tiny_backbone():
    sizes = {"embed_dims": [8, 8, 16, 16], "num_heads": [1, 1, 2, 2], "depths": [1, 1, 1, 1]}
    return MixVisionTransformer(patch_size=4, qkv_bias=True, sr_ratios=[8, 4, 2, 1], **sizes)


def tiny_pair():
    """PaddleSeg's own network and ours, with the same weights: its state dict must fit as it is."""
    theirs = PaddleSegFormer(2, tiny_backbone(), embedding_dim=16)
    ours = SegFormer(2, tiny_backbone(), embedding_dim=16)
    weights.assign(ours, {key: value.numpy() for key, value in theirs.state_dict().items()}, "PaddleSeg")
    theirs.eval()
    ours.eval()
    return theirs, ours


def test_segformers_probability_is_paddlesegs_softmax_of_its_normalised_page():
    theirs, ours = tiny_pair()
    page = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    normalised = Normalize()({"img": page.astype(np.float32)})["img"].transpose(2, 0, 1)[None]
    with paddle.no_grad():
        logits = infer.inference(theirs, paddle.to_tensor(normalised.astype(np.float32)))
        expected = F.softmax(logits, axis=1).numpy()[:, 1:]
        tile = paddle.to_tensor(page.transpose(2, 0, 1)[None].astype(np.float32) / 255)
        prob = ours.infer(tile).numpy()
    assert prob.shape == (1, 1, 64, 96)
    np.testing.assert_allclose(prob, expected, atol=1e-6)
    assert prob.std() > 0


def test_segformers_forward_is_paddlesegs():
    theirs, ours = tiny_pair()
    x = paddle.rand([1, 3, 64, 64])
    (a,), (b,) = theirs(x), ours(x)
    np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_class_1_is_handwriting():
    ours = tiny_pair()[1]
    ours.linear_pred.bias.set_value(np.array([-20, 20], dtype=np.float32))
    assert ours.infer(paddle.rand([1, 3, 64, 64])).min() > 0.99


def test_segformer_b0_takes_an_embedding_width():
    net = models.build(NetworkConfig("segformer_b0", "", {"embedding_dim": 32}))
    assert net.linear_fuse._conv.weight.shape == [32, 128, 1, 1]
    assert net.linear_pred.weight.shape == [2, 32, 1, 1]


@pytest.mark.parametrize(
    ("kind", "args", "words"),
    [
        ("erasnet", {}, ["'erasnet'", "'erasenet'"]),
        ("erasenet", {"widht": 1}, ["erasenet", "widht"]),
        ("erasenet", {"refinement": "dilatd"}, ["erasenet", "dilated"]),
        ("erasenet", {"width": 0}, ["width must be above 0"]),
    ],
)
def test_a_network_nobody_can_build_is_a_config_error(kind, args, words):
    with pytest.raises(ConfigError) as caught:
        models.build(NetworkConfig(kind, "", args))
    assert [word for word in words if word not in str(caught.value)] == []
