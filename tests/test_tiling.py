"""Tiles cover every page, read it mirrored, and average as PaddleSeg's sliding windows do."""

import itertools

import cv2  # noqa: F401  (Paddle 2.6.2 wants it imported first)
import numpy as np
import pytest

from dehw.page.tiling import Average, Blend, Tile, batches, read_tile, spread, tiles

LENGTHS = [1, 2, 3, 5, 8, 11, 12, 13, 16, 17, 20, 23, 24, 25, 31, 40, 61]
KINDS = [(16, 8, 0), (16, 16, 0), (16, 5, 0), (16, 8, 4), (16, 8, 3), (16, 3, 5), (17, 7, 5), (3, 1, 1)]


def kept(cover, height, width):
    """How many tiles keep each pixel."""
    count = np.zeros((height, width), int)
    for tile in cover:
        count[tile.keep] += 1
    return count


@pytest.mark.parametrize(("size", "stride", "margin"), KINDS)
def test_every_pixel_is_kept_by_one_tile_away_from_its_ends(size, stride, margin):
    for height, width in itertools.product(LENGTHS, LENGTHS):
        cover = tiles(height, width, size, stride, margin)
        count = kept(cover, height, width)
        assert count.min() == 1 if margin else count.min() >= 1
        assert count.max() == 1 or not margin
        assert len({(tile.top, tile.left) for tile in cover}) == len(cover)
        for tile in cover:
            for inner, length in zip(tile.inner, (height, width)):
                away = margin if length > size else 0
                assert away <= inner.start < inner.stop <= size - away


@pytest.mark.parametrize(("size", "stride", "margin"), KINDS)
def test_page_in_is_page_out_for_an_identity_network(size, stride, margin):
    rng = np.random.default_rng(0)
    for height, width in itertools.product(LENGTHS, LENGTHS):
        page = rng.integers(0, 256, (height, width, 3), np.uint8)
        out, average = np.zeros_like(page), Average(height, width)
        for tile in tiles(height, width, size, stride, margin):
            cut = read_tile(page, tile)
            assert cut.shape == (size, size, 3)
            out[tile.keep] = cut[tile.inner]
            average.add(tile, cut[..., 0].astype(np.float32))
        np.testing.assert_array_equal(out, page)
        np.testing.assert_array_equal(average.result(), page[..., 0].astype(np.float32))


def test_counts_of_a_page_of_the_contest():
    # 5 x 7 of either kind, counted by hand for 1500 x 2000 pixels
    assert len(tiles(1500, 2000, 512, 300, margin=106)) == 35
    assert len(tiles(1500, 2000, 512, 256)) == 35


@pytest.mark.parametrize("length", [1, 2, 3, 7, 30])
@pytest.mark.parametrize("start", [-9, -3, 0, 4])
def test_reading_beyond_the_page_mirrors_it(length, start):
    # numpy's own padding: reflect-101, back and forth on small pages
    page = np.random.default_rng(1).integers(0, 256, (length, length + 2), np.uint8)
    padded = np.pad(page, ((9, 60), (9, 60)), mode="reflect")
    tile = Tile(start, start, (25, 25), (slice(0, 0), slice(0, 0)))
    expected = padded[start + 9 : start + 34, start + 9 : start + 34]
    np.testing.assert_array_equal(read_tile(page, tile), expected)


def test_reading_a_tile_gives_a_copy():
    page = np.zeros((8, 8, 3), np.uint8)
    cut = read_tile(page, tiles(8, 8, 4, 4)[0])
    cut += 1
    assert page.max() == 0 and cut.flags.c_contiguous


PAGES = [(32, 32), (33, 32), (47, 90), (64, 64), (96, 52), (97, 53)]


@pytest.mark.parametrize(("height", "width"), PAGES)
@pytest.mark.parametrize("stride", [32, 20, 16])
def test_windows_lie_and_average_as_in_paddleseg(height, width, stride):
    import paddle
    from paddleseg.core.infer import slide_inference

    paddle.seed(0)
    network = paddle.nn.Conv2D(3, 2, 3, padding=1)  # its zero padding makes every window's border different
    page = np.random.default_rng(2).random((height, width, 3), np.float32)
    seen = []

    def model(crop):
        seen.append(crop.numpy()[0].transpose(1, 2, 0))
        return [network(crop)]

    whole = paddle.to_tensor(page.transpose(2, 0, 1)[None])
    with paddle.no_grad():
        expected = slide_inference(model, whole, crop_size=(32, 32), stride=(stride, stride)).numpy()[0]
        cover = tiles(height, width, 32, stride)
        crops = np.stack([read_tile(page, tile) for tile in cover])
        answers = network(paddle.to_tensor(crops.transpose(0, 3, 1, 2))).numpy()
    np.testing.assert_array_equal(crops, np.stack(seen))
    for channel in range(2):
        average = Average(height, width)
        for tile, answer in zip(cover, answers):
            average.add(tile, answer[channel])
        np.testing.assert_allclose(average.result(), expected[channel], atol=1e-5)


@pytest.mark.parametrize(
    "wrong", [(8, 8, 16, 17, 0), (8, 8, 16, 9, 4), (0, 8, 16, 8, 0), (8, 8, 16, 0, 0), (8, 8, 16, 8, -1)]
)
def test_tiles_that_would_leave_gaps_are_refused(wrong):
    with pytest.raises(ValueError):
        tiles(*wrong)


def test_batches_keep_order_and_lose_nothing():
    assert list(batches(range(7), 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(batches([], 3)) == []


@pytest.mark.parametrize(
    "length, size, stride, side, starts",
    [
        (64, 64, 48, 64, [0]),
        (40, 64, 48, 64, [-12]),
        (65, 64, 48, 64, [0, 1]),
        (112, 64, 48, 64, [0, 48]),
        (113, 64, 48, 64, [0, 24, 49]),  # 24.5 is rounded to the even number
        (200, 64, 48, 64, [0, 45, 91, 136]),
        (1000, 1024, 960, 1024, [-12]),
        (300, 1024, 960, 512, [-106]),
        (1024, 1024, 960, 1024, [0]),
        (500, 1024, 960, 512, [-6]),
        (1025, 1024, 960, 1024, [0, 1]),
        (1985, 1024, 960, 1024, [0, 480, 961]),  # 480.5
    ],
)
def test_windows_are_as_few_as_the_stride_allows_and_then_as_small(length, size, stride, side, starts):
    down, across = spread(length, 50, size, stride), spread(50, length, size, stride)
    assert [tile.top for tile in down] == [tile.left for tile in across] == starts
    assert {tile.size[0] for tile in down} == {tile.size[1] for tile in across} == {side}
    assert len(starts) == len({tile.top for tile in tiles(length, 50, size, stride)})
    for one, next_one in itertools.pairwise(starts):
        assert one + side - next_one >= size - stride


@pytest.mark.parametrize("height, width", [(64, 64), (5, 7), (40, 150), (113, 200), (65, 300)])
@pytest.mark.parametrize("lay", [lambda *page: spread(*page, 64, 48), lambda *page: tiles(*page, 64, 32)])
def test_blended_windows_give_the_page_they_saw(height, width, lay):
    page = np.random.default_rng(3).random((height, width), np.float32)
    windows = lay(height, width)
    blend = Blend(height, width, windows)
    for window in windows:
        blend.add(window, read_tile(page, window))
    assert blend.result().dtype == np.float32
    np.testing.assert_allclose(blend.result(), page, atol=1e-6)


def test_a_window_counts_for_less_towards_its_border():
    """Against the weighted mean written out: full weight from 16 px inside a window of 64 on."""
    windows = spread(64, 112, 64, 48)
    blend = Blend(64, 112, windows)
    for window, value in zip(windows, (0.0, 1.0)):
        blend.add(window, np.full((64, 64), value, np.float32))
    ramp = np.array([min(n + 0.5, 63.5 - n, 16) / 16 for n in range(64)])
    first, second = (np.pad(ramp, pad) for pad in ((0, 48), (48, 0)))
    np.testing.assert_allclose(blend.result(), np.tile(second / (first + second), (64, 1)), atol=1e-6)
    assert blend.result()[0, 48] < 0.04 and blend.result()[0, 63] > 0.96
