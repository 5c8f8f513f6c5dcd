"""The PyTorch twin says what the Paddle networks say. Without PyTorch, which is optional, they are skipped."""

import sys

import numpy as np
import pytest

from dehw import models
from dehw.config import NetworkConfig
from dehw.engine import weights

torch = pytest.importorskip("torch")

from pretrain import train  # noqa: E402
from pretrain.convert import answers, checkpoint, difference, mean_weights, rounding  # noqa: E402
from pretrain.pages import HARD, MOST, Pages, copied  # noqa: E402
from pretrain.states import assign, paddle_state  # noqa: E402
from pretrain.train import erasing_loss, learning_rate, print_pixels, segmentation_loss, share  # noqa: E402
from pretrain.twins.erasenet import EraseNet  # noqa: E402
from pretrain.twins.ppocr import PPOCRDetector, PPOCRMask  # noqa: E402


@pytest.mark.parametrize(
    ("twin", "config"),
    [
        (lambda: EraseNet(0.125), NetworkConfig("erasenet", "", {"width": 0.125, "spectral_norm": False})),
        (PPOCRMask, NetworkConfig("ppocr_small", "")),
    ],
)
def test_twin_and_paddle_agree(twin, config):
    from dehw.engine import weights

    torch.manual_seed(0)
    network = twin().eval()
    for buffer in network.buffers():  # fresh batch norms would hide swapped means and variances
        if buffer.is_floating_point():
            buffer.copy_(torch.rand_like(buffer) + 0.5)
    crops = torch.rand(2, 3, 96, 64)
    layer = models.build(config)
    weights.assign(layer, paddle_state(network), "twin")
    assert difference(layer, crops, answers(network, crops)) < 1e-4


def test_the_twin_of_the_line_finder_agrees():
    torch.manual_seed(0)
    network, tile = PPOCRDetector("tiny").eval(), torch.rand(1, 3, 64, 96)
    layer = models.build(NetworkConfig("ppocr_tiny_lines", ""))
    weights.assign(layer, paddle_state(network), "twin")
    with torch.no_grad():
        assert difference(layer, tile, network(tile).numpy()) < 1e-5


def test_rounding_is_told_and_leaves_the_network(tmp_path):
    layer = models.build(NetworkConfig("ppocr_small", ""))
    crops = torch.rand(1, 3, 64, 64)
    layer.eval()
    import paddle

    wanted = layer.infer(paddle.to_tensor(crops.numpy())).numpy()
    moved = rounding(layer, crops, wanted)
    assert 0 < moved["float16"] < moved["int8"] < 0.1
    assert difference(layer, crops, wanted) == 0


def test_paddle_weights_come_back_as_they_were():
    networks = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        networks.append(PPOCRMask().eval())
    crops = torch.rand(1, 3, 64, 64)
    wanted, other = (answers(network, crops) for network in networks)
    assert np.abs(wanted - other).max() > 1e-3
    assign(networks[1], paddle_state(networks[0]))
    assert np.array_equal(answers(networks[1], crops), wanted)
    incomplete = paddle_state(networks[0])
    incomplete.pop("head.conv4.weight")
    with pytest.raises(KeyError, match="head.conv4.weight"):
        assign(networks[1], incomplete)


def test_weights_of_paddle_have_a_part_in_a_mean(tmp_path):
    config = NetworkConfig(type="ppocr_small", weights="w.pdparams")
    layer, network = models.build(config), PPOCRMask()
    weights.save(layer, tmp_path / "w.pdparams", "float32", type=config.type, args=config.args)
    state = checkpoint(tmp_path / "w.pdparams", network)["network"]
    wanted = layer.head.conv4.weight.numpy()
    torch.nn.init.zeros_(network.head.conv4.weight)  # the state is a copy
    assert np.allclose(state["head.conv4.weight"].numpy(), wanted)


def test_a_checkpoint_named_twice_counts_twice_in_the_mean():
    early, late = ({"w": torch.tensor([v, 2 * v]), "steps": torch.tensor(n)} for v, n in ((3.0, 6), (9.0, 12)))
    mean = mean_weights([early, early, late])
    assert mean["w"].tolist() == [5.0, 10.0] and mean["w"].dtype == torch.float32
    assert mean["steps"] == 8 and mean["steps"].dtype == torch.int64


@pytest.fixture
def folder(tmp_path):
    page = np.full((100, 90, 7), 255, np.uint8)
    page[20:40, 20:60, :3] = 30
    page[..., 6] = 0
    page[20:40, 20:60, 6] = 255
    page[60:64, 10:80, :6] = 0
    np.save(tmp_path / "a.npy", page)
    return tmp_path


def test_crops_keep_page_and_mask_together(folder):
    batch = Pages([(folder, 1.0)], 64, seed=0, inked=1.0).batch(16).numpy()
    assert batch.shape == (16, 8, 64, 64) and batch.dtype == np.float32
    assert 0 <= batch.min() and batch.max() <= 1
    inked = batch[:, 6] > 0.95
    drop = batch[:, 3:6].mean(axis=1) - batch[:, :3].mean(axis=1)
    assert inked.any(axis=(1, 2)).mean() > 0.9
    assert drop[inked].mean() > 0.3 and abs(drop[batch[:, 6] < 0.01]).mean() < 0.05


def test_copies_have_one_look_for_page_and_gt():
    rng = np.random.default_rng(0)
    gt = np.full((120, 160, 3), 230, np.uint8)
    gt[30:40, 20:140] = 20
    page = gt.copy()
    page[70:90, 40:60] = (40, 60, 150)
    darkest = []
    for _ in range(40):
        copy, copied_gt = copied(rng, page, gt)
        assert copy.shape == page.shape and copy.dtype == np.uint8
        same = np.abs(copy.astype(int) - copied_gt).max(axis=2)
        assert same[:62].max() == 0 and same[98:].max() == 0  # away from the ink
        assert same[74:86, 44:56].min() > 20  # where it is
        darkest.append(int(copied_gt[100:].min()))
    assert min(darkest) < 100 < max(darkest)  # specks on some


def test_folders_are_given_with_their_shares(tmp_path):
    assert share(f"{tmp_path}/a=b=0.25") == (tmp_path / "a=b", 0.25)
    with pytest.raises(ValueError):
        share(str(tmp_path))


def test_crops_repeat_with_the_seed(folder):
    one, two, other = (Pages([(folder, 1.0)], 48, seed=s).batch(3) for s in (1, 1, 2))
    assert torch.equal(one, two) and not torch.equal(one, other)


def test_windows_that_go_badly_come_again_but_not_for_ever(tmp_path):
    for name, ink in (("easy", 20), ("hard", 70)):
        page = np.full((100, 90, 7), 255, np.uint8)
        page[ink:][:20, 20:60, 6] = 255
        np.save(tmp_path / f"{name}.npy", page)
    pages = Pages([(tmp_path, 1.0)], 48, seed=0)
    for _ in range(80):
        spots = [pages.spot() for _ in range(10)]
        pages.learn(spots, [1.0 if spot.page.stem == "hard" else 0.0 for spot in spots])
        assert len(pages.hard) <= HARD
    again = [spot for spot in (pages.spot() for _ in range(300)) if spot.times]
    assert 0.1 < len(again) / 300 < 0.3 and np.mean([spot.page.stem == "hard" for spot in again]) > 0.8
    count = len(pages.hard)
    pages.learn([again[0]._replace(times=MOST)], [9.0])
    assert len(pages.hard) == count  # a wrong label is hard for ever


def test_each_crop_is_judged_alone(folder):
    batch = Pages([(folder, 1.0)], 64, seed=0, inked=1.0).batch(3)
    batch[1, 6] = 0  # no ink there
    spoilt = batch.clone()
    spoilt[0, 6] = 1 - spoilt[0, 6]

    def network(image):  # knows the true masks
        return torch.stack([1 - batch[:, 6], batch[:, 6]], 1) * 20

    right, wrong = (segmentation_loss(network, each).each for each in (batch, spoilt))
    assert max(right) < 0.1 and wrong[0] > 5
    np.testing.assert_allclose(wrong[1:], right[1:])


def test_losses_fall_on_a_few_steps(folder):
    torch.manual_seed(0)
    batch = Pages([(folder, 1.0)], 64, seed=0, inked=1.0).batch(2)
    for network, loss_of in (
        (PPOCRMask(), segmentation_loss),
        (EraseNet(0.125), erasing_loss),
    ):
        optimizer = torch.optim.Adam(network.parameters(), 2e-3)
        values = []
        for _ in range(8):
            loss = loss_of(network, batch).total
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            values.append(loss.item())
        assert min(values[-2:]) < 0.9 * values[0]


def test_print_is_told_from_paper_and_ink():
    gt = torch.ones(1, 3, 64, 64)
    gt[..., 10:14, 5:60] = 0
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., 10:14, 30:60] = 1
    found = print_pixels(gt, mask)[0, 0]
    assert found[10:14, 5:30].all() and not found[10:14, 30:].any() and not found[30:].any()


def test_a_step_in_bfloat16_moves_float32_weights_and_the_network_with_them():
    torch.manual_seed(0)
    network = PPOCRMask()
    master = train.Master(network, half=True)
    before = master.state()
    assert network.trunk.body.stem.conv1.weight.dtype == torch.bfloat16
    assert network.head.norm1.weight.dtype == torch.float32
    (share, trunk), (_, head) = master.groups()
    assert share == 0.5 and len(trunk) + len(head) == len(list(network.parameters()))
    optimizer = torch.optim.AdamW(master.weights.values(), lr=1e-4, weight_decay=0)
    network(torch.rand(2, 3, 32, 32)).float().square().mean().backward()
    master.step(optimizer)
    after = master.state()
    assert all(value.dtype in (torch.float32, torch.int64) for value in after.values())
    still = {name for name, value in after.items() if torch.equal(value, before[name])}
    assert {name for name in still if ".outputs." in name and "excite" not in name} == {
        f"trunk.neck.outputs.{i}.0.weight" for i in range(4)
    }  # the frozen kernels
    moved = (after["head.conv3.weight"] - before["head.conv3.weight"]).abs().max()
    assert 5e-5 < moved < 2e-4  # less than bfloat16 could add to weights of 0.05
    assert torch.equal(network.head.conv3.weight, after["head.conv3.weight"].bfloat16())


def test_the_optimizer_moves_the_networks_own_weights_without_half():
    network = torch.nn.Conv2d(3, 2, 3)
    master = train.Master(network, half=False)
    assert len(master.groups()) == 1
    optimizer = torch.optim.AdamW(master.weights.values(), lr=1e-3)
    before = network.weight.detach().clone()
    network(torch.rand(1, 3, 64, 64)).square().mean().backward()
    master.step(optimizer)
    assert not torch.equal(network.weight, before)
    assert torch.equal(network.weight, master.weights["weight"])


def test_a_training_goes_on_from_its_checkpoint_and_starts_from_a_trunk(folder, tmp_path, monkeypatch):
    def run(output, *more):
        arguments = ["--pages", f"{folder}=1", "--batch", "2", "--crop", "32", "--output", str(tmp_path / output)]
        monkeypatch.setattr(sys, "argv", ["train.py", "ppocr_small", *arguments, *more])
        train.main()
        return torch.load(tmp_path / output / "ppocr_small.pt")

    first = run("run", "--steps", "2", "--hold", "1", "--peak", "1e-6")
    lent = weights.read(weights.SHIPPED / "ppocr_small_init.pdparams")["body.stem.conv1.weight"]
    assert np.abs(first["network"]["trunk.body.stem.conv1.weight"].numpy() - lent).max() < 1e-5
    second = run("run", "--steps", "4", "--hold", "1")
    assert (first["step"], second["step"]) == (2, 4) and second["seconds"] > first["seconds"]
    assert set(second["ema"]) == set(second["network"])
    assert second["optimizer"]["state"][0]["step"] == 4
    other = run("other", "--steps", "1", "--peak", "0", "--start", str(tmp_path / "run/ppocr_small.pt"))
    assert torch.equal(other["network"]["head.conv4.weight"], second["ema"]["head.conv4.weight"])
    torch.save({"ema": second["ema"], "step": 4}, tmp_path / "mean.pt")  # as the repository keeps them: nothing else
    mean = run("mean", "--steps", "1", "--peak", "0", "--start", str(tmp_path / "mean.pt"))
    assert torch.equal(mean["network"]["head.conv4.weight"], second["ema"]["head.conv4.weight"])


def test_a_mean_of_weights_follows_them_slowly():
    mean = {"w": torch.zeros(2), "count": torch.tensor(0)}
    train.follow(mean, {"w": torch.ones(2), "count": torch.tensor(5)}, 0.9)
    assert mean["w"].tolist() == pytest.approx([0.1, 0.1]) and mean["count"] == 5


def test_learning_rate_warms_up_and_falls():
    assert learning_rate(0, 150, 1.0) == pytest.approx(0.5)
    assert learning_rate(0, 150, 1.0, warmup=200) == pytest.approx(0.75)
    assert learning_rate(0, 300, 1.0) == pytest.approx(1.0)
    assert learning_rate(1.0, 9999, 1.0) == pytest.approx(0.02)
