"""The pipeline with hand-made networks: numpy functions of (N, C, S, S) arrays."""

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from drawn import READER, print_page
from erasers import MARGIN, TILE, constant, dark, eraser_with, everywhere, identity, inverted, tiny

from dehw import eraser as eraser_module
from dehw.config import Erase, Mask, NetworkConfig, Pipeline, load_pipeline
from dehw.engine.paddle import PaddleNetwork
from dehw.engine.pick import Engine
from dehw.eraser import Eraser
from dehw.errors import InputError
from dehw.page import layout
from dehw.page.layout import Layout, Reader

WORK = Path(__file__).resolve().parents[1] / "work"
SIZES = [(1, 1), (1, 7), (5, 3), (38, 38), (39, 37), (64, 64), (65, 130), (200, 90)]


class Recorder:
    """A network that passes its tiles on and remembers what it was called with."""

    def __init__(self):
        self.calls = []

    def __call__(self, tiles, mask):
        self.calls.append((tiles, mask))
        return tiles

    @property
    def tiles(self):
        return sum(len(tiles) for tiles, _ in self.calls)


def prob_by(eraser, page, *progress):
    return eraser.segment(eraser.prepare(page), *progress)


def erased_by(eraser, page, mask):
    return eraser.erase(eraser.prepare(page), mask)


def random_page(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize("cmp", [True, False])
@pytest.mark.parametrize("size", SIZES, ids="{0[0]}x{0[1]}".format)
def test_identity_networks_under_a_full_mask_give_the_page_back(size, cmp):
    page = random_page(*size)
    erased = eraser_with(identity, cmp=cmp, views=["identity", "hflip", "vflip"])(page)
    assert erased.page.dtype == np.uint8
    np.testing.assert_array_equal(erased.page, page)
    assert erased.mask.all() and erased.mask.shape == size and erased.share == 1.0
    assert erased.seconds > 0


@pytest.mark.parametrize("size", SIZES, ids="{0[0]}x{0[1]}".format)
def test_only_masked_pixels_change_and_each_in_its_place(size):
    page = random_page(*size)
    mask = np.random.default_rng(1).random(size) < 0.3
    mask[0, 0] = True
    eraser = eraser_with(inverted, views=["identity", "rot180"])
    np.testing.assert_array_equal(erased_by(eraser, page, mask), np.where(mask[..., None], 255 - page, page))


def test_the_page_and_the_mask_given_stay_as_they_were():
    page, mask = random_page(70, 80), np.ones((70, 80), bool)
    before = page.copy()
    page.flags.writeable = mask.flags.writeable = False
    erased_by(eraser_with(inverted), page, mask)
    np.testing.assert_array_equal(page, before)


def test_from_ink_to_paper():
    """All four steps together: a dark stroke on light paper is found, grown by one pixel and whitened."""
    page = np.full((150, 100, 3), 230, np.uint8)
    page[70:75, 20:80] = 40
    erased = eraser_with(constant(1.0), segmenter=dark, dilate=3)(page)
    expected = np.zeros((150, 100), bool)
    expected[69:76, 19:81] = True
    np.testing.assert_array_equal(erased.mask, expected)
    np.testing.assert_array_equal(erased.page, np.where(expected[..., None], 255, page))
    assert erased.share == pytest.approx(7 * 62 / 15000)


@pytest.mark.parametrize("size", [(512, 512), (600, 1100), (1025, 513)], ids="{0[0]}x{0[1]}".format)
def test_segment_agrees_with_paddleseg_slide_inference(size):
    import paddle
    from paddleseg.core.infer import slide_inference

    paddle.seed(0)
    convolution = paddle.nn.Conv2D(3, 1, 3, padding=1)  # zero padding: each window's border differs

    @paddle.no_grad()
    def probability(image):
        return [paddle.nn.functional.sigmoid(8 * convolution(image))]

    page = random_page(*size)
    image = paddle.to_tensor(page.transpose(2, 0, 1)[None].astype("float32") / 255)
    expected = slide_inference(probability, image, (512, 512), (256, 256)).numpy()[0, 0]
    segmenter = lambda tiles: probability(paddle.to_tensor(tiles))[0].numpy()  # noqa: E731
    prob = prob_by(eraser_with(segmenter=segmenter, window=512, stride=256, batch=4), page)
    assert prob.dtype == np.float32 and prob.shape == size
    assert expected.std() > 0.05
    np.testing.assert_allclose(prob, expected, atol=1e-5)


def tiny_segformer():
    """PaddleSeg's own network, whose judgement is made firm, and ours with the same weights."""
    import paddle
    from paddleseg.models import SegFormer as PaddleSegFormer
    from paddleseg.models.backbones.mix_transformer import MixVisionTransformer

    from dehw.models.segformer import SegFormer

    paddle.seed(2)
    sizes = {"embed_dims": [8, 8, 16, 16], "num_heads": [1, 1, 2, 2], "depths": [1, 1, 1, 1]}
    backbones = [MixVisionTransformer(patch_size=4, qkv_bias=True, sr_ratios=[8, 4, 2, 1], **sizes) for _ in "ab"]
    theirs, ours = PaddleSegFormer(2, backbones[0], 16), SegFormer(2, backbones[1], 16)
    theirs.linear_pred.weight.set_value(theirs.linear_pred.weight * 2)
    ours.set_state_dict(theirs.state_dict())
    theirs.eval()
    ours.eval()
    return theirs, ours


@pytest.mark.parametrize("flips", [{}, {"flip_horizontal": True}, {"flip_horizontal": True, "flip_vertical": True}])
@pytest.mark.parametrize("mean", ["probability", "logit"])
def test_segment_agrees_with_paddleseg_aug_inference(mean, flips):
    """PaddleSeg 2.8 averages logits; given a network that ends in the softmax, it averages probabilities."""
    import paddle
    from paddle.nn import functional as F
    from paddleseg.core.infer import aug_inference

    theirs, ours = tiny_segformer()
    page = random_page(96, 160)  # windows of 64 lie alike on it and on its mirror image
    image = paddle.to_tensor((page.transpose(2, 0, 1)[None] / 127.5 - 1).astype("float32"))
    softened = lambda x: [F.softmax(theirs(x)[0], axis=1)]  # noqa: E731
    with paddle.no_grad():
        network = theirs if mean == "logit" else softened
        slide = {"is_slide": True, "crop_size": (64, 64), "stride": (32, 32)}
        _, total = aug_inference(network, image, [], scales=1.0, **flips, **slide)
    expected = (F.softmax(total, axis=1) if mean == "logit" else total).numpy()[0, 1]
    views = ["identity", "hflip", "vflip", "rot180"][: 2 ** len(flips)]
    pipeline = tiny(views=views)
    pipeline.segment.average = mean
    prob = prob_by(eraser_with(segmenter=PaddleNetwork(ours), pipeline=pipeline), page)
    assert prob.dtype == np.float32 and expected.std() > 0.02
    np.testing.assert_allclose(prob, expected, atol=1e-4)


@pytest.mark.parametrize("mean, expected", [("probability", 0.7), ("logit", 0.75)])
def test_two_views_are_averaged_by_hand(mean, expected):
    """0.5 and 0.9 are odds of 1 and 9, so their logits' mean has odds of 3; the logits of 0 and 1 stay finite."""
    pipeline, answers = tiny(views=["identity", "hflip"]), iter([0.5, 0.9, 0.0, 1.0])
    pipeline.segment.average = mean
    eraser = eraser_with(segmenter=lambda tiles: np.full_like(tiles[:, :1], next(answers)), pipeline=pipeline)
    np.testing.assert_allclose(prob_by(eraser, random_page(9, 9)), expected, atol=1e-6)
    np.testing.assert_allclose(prob_by(eraser, random_page(9, 9)), 0.5, atol=1e-6)


def test_blended_windows_hide_what_a_network_does_at_their_borders():
    """A network that is wrong in the outer 4 px of its windows; three windows of 64 px instead of four."""
    calls = []

    def wrong_at_the_border(tiles):
        calls.append(len(tiles))
        prob = np.ones_like(tiles[:, :1])
        prob[:, :, :, :4] = prob[:, :, :, -4:] = 0
        return prob

    page, worst = random_page(64, 160), {}
    for blend, stride in [(False, 32), (True, 48)]:
        pipeline = tiny(window=64, stride=stride)
        pipeline.segment.blend = blend
        prob = prob_by(eraser_with(segmenter=wrong_at_the_border, pipeline=pipeline), page)
        assert prob.shape == (64, 160) and prob.dtype == np.float32
        worst[blend, sum(calls)] = prob[:, 4:-4].min()
        calls.clear()
    assert worst[False, 4] == pytest.approx(0.5) and worst[True, 3] > 0.75


def test_what_a_network_does_in_the_margin_is_not_seen():
    def wrong_at_the_border(tiles, mask):
        out = np.zeros_like(tiles)
        inside = slice(MARGIN, -MARGIN)
        out[:, :, inside, inside] = tiles[:, :, inside, inside]
        return out

    for size in [(65, 130), (200, 90), (64 + 38, 64 + 39)]:  # smaller pages fit one tile, edge to edge
        page = random_page(*size)
        np.testing.assert_array_equal(eraser_with(wrong_at_the_border, cmp=False)(page).page, page)


def test_tiles_without_ink_are_skipped_only_under_cmp():
    page, mask = random_page(200, 200), np.zeros((200, 200), bool)
    mask[100, 100] = True
    skipping, thorough = Recorder(), Recorder()
    erased_by(eraser_with(skipping), page, mask)
    erased_by(eraser_with(thorough, cmp=False), page, mask)
    assert skipping.tiles == 1
    assert thorough.tiles == 6 * 6  # ceil(200 / (64 - 2 * 13)) a side


def test_an_empty_mask_calls_no_generator():
    page, recorder = random_page(90, 70), Recorder()
    for cmp in (True, False):
        out = erased_by(eraser_with(recorder, cmp=cmp), page, np.zeros((90, 70), bool))
        np.testing.assert_array_equal(out, page)
        assert not np.shares_memory(out, page)
    assert recorder.tiles == 0


def test_generators_are_called_with_tiles_and_their_mask():
    page, mask = random_page(150, 100), np.zeros((150, 100), bool)
    mask[:, :20] = True
    recorder = Recorder()
    erased_by(eraser_with(recorder, batch=2), page, mask)
    for tiles, tile_mask in recorder.calls:
        assert tiles.dtype == tile_mask.dtype == np.float32
        assert tiles.shape[1:] == (3, TILE, TILE) and tile_mask.shape[1:] == (1, TILE, TILE)
        assert len(tiles) == len(tile_mask) <= 2
        assert 0 <= tiles.min() and tiles.max() <= 1 and set(np.unique(tile_mask)) == {0.0, 1.0}
        assert tiles.flags.c_contiguous and tile_mask.flags.c_contiguous
    # The first tile starts a margin before the page, which is mirrored there; page and mask lie alike in it.
    tile, tile_mask = recorder.calls[0][0][0], recorder.calls[0][1][0, 0]
    mirrored = np.pad(page, ((MARGIN, 0), (MARGIN, 0), (0, 0)), "reflect")[:TILE, :TILE]
    np.testing.assert_array_equal(np.rint(tile * 255), mirrored.transpose(2, 0, 1))
    mirrored = np.pad(mask, MARGIN, "reflect")[:TILE, :TILE]
    np.testing.assert_array_equal(tile_mask, mirrored)


def test_views_are_averaged():
    ramp = np.linspace(0, 1, TILE, dtype=np.float32)

    def by_column(tiles, mask):
        return np.broadcast_to(ramp, tiles.shape)

    page, mask = random_page(TILE, TILE), np.ones((TILE, TILE), bool)
    plain = erased_by(eraser_with(by_column), page, mask)
    both = erased_by(eraser_with(by_column, views=["identity", "hflip"]), page, mask)
    np.testing.assert_array_equal(plain[0, :, 0], np.rint(ramp * 255))
    np.testing.assert_allclose(both, 127.5, atol=0.5)


def test_networks_are_fused_by_weight():
    page, mask = random_page(40, 40), np.ones((40, 40), bool)
    out = erased_by(eraser_with((constant(0.0), 1.0), (constant(0.8), 3.0)), page, mask)
    assert np.unique(out).tolist() == [153]  # (0 * 1 + 0.8 * 3) / 4 * 255


@pytest.mark.parametrize("value, level", [(1.7, 255), (-0.3, 0), (100.4 / 255, 100), (100.6 / 255, 101)])
def test_network_outputs_are_clipped_and_rounded(value, level):
    out = eraser_with(constant(value))(random_page(20, 20)).page
    assert np.unique(out).tolist() == [level]


def test_the_batch_changes_nothing():
    def blur(tiles, mask):
        return (tiles + np.roll(tiles, 1, 3) + np.roll(tiles, 1, 2)) / 3

    page = random_page(150, 140)
    pages = [eraser_with(blur, segmenter=dark, batch=batch)(page).page for batch in (1, 2, 50)]
    np.testing.assert_array_equal(pages[0], pages[1])
    np.testing.assert_array_equal(pages[0], pages[2])


def test_a_cpu_takes_tiles_one_by_one():
    page, recorder, windows = random_page(150, 140), Recorder(), []

    def segmenter(tiles):
        windows.append(len(tiles))
        return everywhere(tiles)

    eraser_with(recorder, segmenter=segmenter, device="cpu", batch=4)(page)
    assert {len(tiles) for tiles, _ in recorder.calls} == set(windows) == {1}


def test_networks_that_run_several_tiles_at_once_are_given_them_side_by_side():
    """Each call waits for another one; the page comes out as if they had come one by one."""

    class Pair:
        def __init__(self, network, at_once):
            self.network, self.at_once = network, at_once
            self.together = threading.Barrier(at_once, timeout=30)

        def __call__(self, *inputs):
            assert len(inputs[0]) == 1
            self.together.wait()
            return self.network(*inputs)

    page = random_page(200, 38)  # 6 tiles and 6 windows, 5 a column and one row more
    told = [[], []]
    pages = []
    for calls, at_once in zip(told, (1, 2)):
        networks = [Pair(dark, at_once), Pair(inverted, at_once)]
        eraser = eraser_with(networks[1], segmenter=networks[0], device="cpu")
        pages.append(eraser(page, progress=lambda *call, calls=calls: calls.append(call)).page)
    np.testing.assert_array_equal(*pages)
    assert told[0] == told[1] and len([done for _, done, _ in told[0] if done]) == 12


def test_without_a_segmenter_the_whole_page_is_erased():
    pipeline = tiny(cmp=False)
    pipeline.segment = None
    page = random_page(80, 90)
    erased = eraser_with(inverted, segmenter=None, pipeline=pipeline)(page)
    assert erased.mask.all()
    np.testing.assert_array_equal(erased.page, 255 - page)


@pytest.mark.parametrize("factor", [0.5, 0.3, 1.7])
def test_networks_see_the_page_at_its_line_height(monkeypatch, factor):
    monkeypatch.setattr(Layout, "factor", lambda self, target: factor if target == 20 else 1.0)
    page = np.full((101, 143, 3), 230, np.uint8)
    page[40:60, 30:100] = 40
    sizes, recorder = [], Recorder()

    def segmenter(tiles):
        sizes.append(tiles.shape)
        return dark(tiles)

    settings = {"segmenter": segmenter, "pipeline": tiny(line_height=20.0)}
    eraser = eraser_with(recorder, **settings)
    prepared = eraser.prepare(page)
    assert prepared.scaled.shape == (round(101 * factor), round(143 * factor), 3)
    prob = eraser.segment(prepared)
    assert prob.shape == prepared.scaled.shape[:2] and prob.dtype == np.float32
    assert 0 <= prob.min() and prob.max() <= 1
    mask = eraser.mask(prob, prepared)
    truth = page[..., 0] < 128
    assert (mask != truth).mean() < 0.03
    erased = eraser_with(constant(1.0), **settings)(page)
    np.testing.assert_array_equal(erased.mask, mask)
    np.testing.assert_array_equal(erased.page, np.where(mask[..., None], 255, page))


def test_at_line_height_the_mask_s_rim_shows_no_ink(monkeypatch):
    """Pixels brought back to full size mix with neighbours: those must be the generators', not the ink's."""
    monkeypatch.setattr(Layout, "factor", lambda self, target: 0.4)
    page = np.full((120, 120, 3), 255, np.uint8)
    page[50:70, 50:70] = 0
    mask = np.zeros((120, 120), bool)
    mask[53:67, 53:67] = True  # the rim of the ink is missed
    out = erased_by(eraser_with(constant(1.0), pipeline=tiny(line_height=20.0)), page, mask)
    assert (out[mask] == 255).all()
    np.testing.assert_array_equal(out[~mask], page[~mask])


def test_a_page_is_read_once():
    shapes = []
    reader = Reader(lambda tiles: shapes.append(tiles.shape) or tiles[:, :1] * 0)
    eraser_with(identity, pipeline=tiny(line_height=20.0), reader=reader)(random_page(60, 60))
    assert shapes == [(1, 3, layout.SIDE, layout.SIDE)]


@pytest.mark.parametrize(("factor", "width"), [(0.25, 20), (0.5, 10), (1.0, 5), (2.0, 2)])
def test_masks_are_dilated_at_the_scale_of_the_networks(monkeypatch, factor, width):
    """A stroke in a photo of many pixels keeps no outline."""
    monkeypatch.setattr(Layout, "factor", lambda self, target: factor)
    eraser = eraser_with(identity, pipeline=tiny(line_height=20.0, dilate=5))
    prepared = eraser.prepare(np.full((80, 120, 3), 255, np.uint8))
    prob = np.zeros((80, 120), np.float32)
    prob[:, 60] = 1
    assert (eraser.mask(prob, prepared).sum(1) == width).all()


def test_sensitivity_moves_the_threshold_of_a_page():
    """A ramp of probabilities: what is erased is where the moved threshold lies, and grows with sensitivity."""
    ramp = np.linspace(255, 0, 64).astype(np.uint8)
    page = np.ascontiguousarray(np.broadcast_to(ramp[None, :, None], (64, 64, 3)))
    brightness = eraser_with(constant(1.0), segmenter=lambda tiles: 1 - tiles[:, :1])
    shares = [brightness(page, sensitivity=each).share for each in (0.0, 0.3, 0.5, 0.7, 1.0)]
    assert shares == sorted(shares) and len(set(shares)) == 5
    assert shares[2] == 0.5 == brightness(page).share
    assert shares[4] == pytest.approx(0.98, abs=0.02) and shares[0] == pytest.approx(0.02, abs=0.02)
    with pytest.raises(InputError, match="sensitivity"):
        brightness(page, sensitivity=2)


@pytest.mark.parametrize("cmp", [True, False])
@pytest.mark.parametrize("segmenter", [everywhere, None])
def test_nothing_changes_outside_only_and_inside_keep(cmp, segmenter):
    pipeline = tiny(cmp=cmp, dilate=9)
    pipeline.segment = pipeline.segment if segmenter else None
    page = random_page(90, 70)
    eraser = eraser_with(inverted, segmenter=segmenter, pipeline=pipeline)
    erased = eraser(page, only=[(10, 20, 50, 60), (0, 80, 70, 90)], keep=[(30, 30, 40, 40)])
    expected = np.zeros((90, 70), bool)
    expected[20:60, 10:50] = expected[80:] = True
    expected[30:40, 30:40] = False
    np.testing.assert_array_equal(erased.mask, expected)
    np.testing.assert_array_equal(erased.page, np.where(expected[..., None], 255 - page, page))


def test_a_box_off_the_page_is_told_before_the_networks_work():
    def never(tiles):
        raise AssertionError

    with pytest.raises(InputError, match="70 px wide and 90 px high"):
        eraser_with(identity, segmenter=never)(random_page(90, 70), keep=[(0, 0, 90, 70)])


def test_spare_takes_print_out_of_the_mask_and_sensitivity_moves_it():
    page = np.full((240, 240, 3), 235, np.uint8)
    page[100:116, 60:70] = page[116:120, 40:120] = 30  # a letter, and the ink that it stands on
    prob = np.full((240, 240), 0.05, np.float32)
    prob[112:124, 36:124], prob[116:120, 40:120] = 0.45, 0.9
    pipeline = tiny()
    pipeline.mask, pipeline.line_height = Mask(threshold=0.4, spare=0.5), 32
    eraser = eraser_with(identity, pipeline=pipeline)
    foot = (slice(112, 116), slice(60, 70))
    prepared = eraser.prepare(page)
    mask, eager = eraser.mask(prob, prepared), eraser.mask(prob, prepared, 0.7)
    assert not mask[foot].any() and mask[116:120, 40:120].all() and mask[112:116, 40:58].all()
    assert eager[foot].all()  # its `spare` is 0.17, and the letter is likelier handwriting than that


@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_a_turned_page_is_brought_upright_for_the_networks_and_turned_back(turns):
    """The networks see lines that stand upright; page, mask and each step by itself come back as the page was given."""
    page = print_page(size=(700, 500), letters=True)
    page[600:620, 100:400] = (0, 0, 200)
    upright = []

    def blue(tiles):
        rows, columns = (np.argwhere(tiles[0, 2] - tiles[0, 0] > 0.3).mean(0) / tiles.shape[2:]).tolist()
        upright.append(rows > 0.6 and columns < 0.5)  # where the page has its blue
        return (tiles[:, 2:] - tiles[:, :1] > 0.3).astype(np.float32)

    pipeline = tiny(window=768, stride=768, line_height=layout.measure(page, READER).height)
    settings = {"segmenter": blue, "pipeline": pipeline, "reader": READER}
    eraser = eraser_with(constant(1.0), **settings)
    flat, turned = eraser(page), np.ascontiguousarray(np.rot90(page, turns))
    assert flat.mask.sum() == 20 * 300
    erased = eraser(turned, keep=[(0, 0, 1, 1)])
    np.testing.assert_array_equal(erased.mask, np.rot90(flat.mask, turns))
    np.testing.assert_array_equal(erased.page, np.rot90(flat.page, turns))
    prepared = eraser.prepare(turned)
    assert prepared.turns == -turns % 4
    np.testing.assert_array_equal(eraser.mask(eraser.segment(prepared), prepared), erased.mask)
    np.testing.assert_array_equal(eraser.erase(prepared, erased.mask), erased.page)
    assert all(upright)


def test_pages_are_turned_for_pipelines_with_a_line_height_alone():
    page = np.ascontiguousarray(np.rot90(print_page(letters=True)))
    assert eraser_with(identity, reader=READER).prepare(page).turns == 0
    assert eraser_with(identity, pipeline=tiny(line_height=30.0)).prepare(page).turns == 0  # nobody reads it
    assert eraser_with(identity, pipeline=tiny(line_height=30.0), reader=READER).prepare(page).turns == 3


@pytest.mark.parametrize(
    "shape, dtype",
    [((9, 9), np.uint8), ((9, 9, 4), np.uint8), ((9, 9, 3), np.float32), ((0, 9, 3), np.uint8)],
    ids=["grey", "rgba", "float", "empty"],
)
def test_what_is_no_page_is_refused(shape, dtype):
    with pytest.raises(InputError, match="uint8 RGB"):
        eraser_with(identity)(np.zeros(shape, dtype))


def test_a_mask_of_another_size_is_refused():
    with pytest.raises(InputError, match="mask"):
        erased_by(eraser_with(identity), random_page(9, 8), np.ones((8, 9), bool))


def test_load_builds_the_parts_asked_for(monkeypatch, tmp_path):
    pipeline = tiny()
    pipeline.segment.network = NetworkConfig(type="segformer_b0", weights="seg.pdparams")
    pipeline.erase.networks = [
        NetworkConfig(type="erasenet", weights="a.pdparams", weight=2.0),
        NetworkConfig(type="erasenet", weights="b.pdparams"),
    ]
    monkeypatch.setattr(eraser_module, "find", lambda network, folder, pipeline: folder / network.weights)
    monkeypatch.setattr(eraser_module.pick, "engine", lambda name, device: Engine(name, f"{device}:0", "asked for"))
    monkeypatch.setattr(eraser_module, "build_all", lambda jobs, engine: ([path for _, path, _ in jobs], engine))
    built = {name: tmp_path / f"{name}.pdparams" for name in ("seg", "a", "b")}
    for parts in [("segment", "erase"), ("segment",), ("erase",)]:
        loaded = Eraser.load(pipeline, "gpu", tmp_path, parts, "paddle")
        assert loaded.segmenter == (built["seg"] if "segment" in parts else None)
        assert loaded.generators == ([(built["a"], 2.0), (built["b"], 1.0)] if "erase" in parts else [])
        assert loaded.device == "gpu:0" and loaded.engine == "paddle on gpu:0: asked for"


def test_a_saved_pipeline_loads_and_erases(tmp_path):
    """From two weight files and a YAML file to a page, with real networks (untrained)."""
    from dehw import models
    from dehw.engine import weights

    path = tmp_path / "small.yml"
    path.write_text(
        "segment: {network: {type: segformer_b0, weights: s.pdparams, args: {embedding_dim: 32}},"
        " window: 64, stride: 32}\n"
        "mask: {threshold: 0.0}\n"
        "erase: {networks: [{type: erasenet, weights: e.pdparams, args: {width: 0.03}}],"
        " tile: 64, margin: 13}"
    )
    pipeline = load_pipeline(path)
    for network in (pipeline.segment.network, *pipeline.erase.networks):
        weights.save(models.build(network), tmp_path / network.weights)
    page = random_page(50, 70)
    erased = Eraser.load(path, "cpu", tmp_path, engine="paddle")(page)
    assert erased.page.shape == page.shape and erased.page.dtype == np.uint8 and erased.mask.all()
    assert (erased.page != page).any()


def test_importing_the_package_imports_no_paddle():
    code = "import dehw, sys; print(any(name in sys.modules for name in ('paddle', 'cv2', 'numpy')))"
    run = subprocess.run([sys.executable, "-c", code], cwd=WORK, capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"


def test_the_package_lends_eraser_and_load():
    import dehw

    assert dehw.Eraser is Eraser and dehw.load == Eraser.load
    with pytest.raises(AttributeError, match="nothing"):
        _ = dehw.nothing


MEMORY_PROBE = """
import sys
from pathlib import Path
import cv2
import numpy as np
from dehw import models
from dehw.page.layout import Layout, Reader
from dehw.config import load_pipeline
from dehw.engine.paddle import PaddleNetwork
from dehw.eraser import Eraser
from dehw.models.layers import fold_spectral_norm
from dehw.files.images import read_image, write_image

name, factor, path = sys.argv[1], float(sys.argv[2]), sys.argv[3]
Layout.factor = lambda self, target: factor
pipeline = load_pipeline(name)

class First:
    "Runs its network on the first three tiles alone: the others would take no more memory, but an hour."
    def __init__(self, config):
        self.network, self.calls = PaddleNetwork(fold_spectral_norm(models.build(config))), 0

    def __call__(self, tiles, mask=None):
        self.calls += 1
        if self.calls <= 3:
            self.network(*([tiles] if mask is None else [tiles, mask]))
        return np.ones_like(tiles[:, :1]) if mask is None else tiles

def kib(name):
    text = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in text.splitlines() if line.startswith(name + ":")))

segmenter, *generators = [First(each) for each in (pipeline.segment.network, *pipeline.erase.networks)]
eraser = Eraser(pipeline, segmenter, [(each, 1.0) for each in generators])
before = kib("VmRSS")
Path("/proc/self/clear_refs").write_text("5")  # forgets the peak so far
erased = eraser(read_image(path))
write_image(path + ".out.jpg", erased.page)
assert erased.mask.all() and min(each.calls for each in (segmenter, *generators)) > 3
print(kib("VmHWM") - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="reads Linux's /proc")
@pytest.mark.parametrize("pipeline, factor", [("lite", 1.0), ("lite", 2.0), ("erasenet", 1.0)])
def test_a_large_page_stays_under_one_gib(tmp_path, pipeline, factor):
    """All that is held above the loaded networks, whose weights are random; factor: the page's scale for them."""
    from dehw.files.images import write_image

    path = tmp_path / "page.jpg"
    write_image(path, random_page(4628, 3300))
    command = [sys.executable, "-c", MEMORY_PROBE, pipeline, str(factor), str(path)]
    run = subprocess.run(command, cwd=WORK, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    used = int(run.stdout.split()[-1])
    print(f"{pipeline}, scale {factor}: {used / 1024:.0f} MiB")
    assert used < 1024 * 1024


@pytest.mark.parametrize("factor", [1.0, 0.5])
@pytest.mark.parametrize("turns", [0, 1])
def test_without_generators_ink_becomes_paper_and_rules_come_back_but_where_a_person_drew(monkeypatch, factor, turns):
    """At the page's own size, whatever the networks' is."""
    monkeypatch.setattr(Layout, "factor", lambda self, target: factor)
    clean = np.full((300, 400, 3), 235, np.uint8)
    clean[200:203, 20:380] = 30  # a rule
    page, (mask, drawn) = clean.copy(), np.zeros((2, 300, 400), bool)
    page[150:202, 100:106] = (30, 60, 160)
    mask[146:206, 96:110] = mask[180:220, 250:280] = drawn[180:220, 250:280] = True
    pipeline = Pipeline(erase=Erase(paper=31, printed=True), line_height=40 * factor)
    eraser = Eraser(pipeline, None, [])
    page, mask, drawn, clean = (np.ascontiguousarray(np.rot90(each, turns)) for each in (page, mask, drawn, clean))
    np.testing.assert_array_equal(erased_by(eraser, page, mask), clean)
    rubbed = eraser.erase(eraser.prepare(page), mask, drawn=drawn)
    np.testing.assert_array_equal(rubbed, np.where(drawn[..., None], 235, clean))
