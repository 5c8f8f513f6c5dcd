from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dehw.data import crops
from dehw.data.crops import BatchesFrom, CropDataset, CropSettings, CropStream, decode
from dehw.data.pairs import Pair, find_pairs
from dehw.errors import InputError, PageError
from dehw.files.images import write_image, write_mask
from dehw.page.layout import USUAL, Reader
from dehw.page.masks import soft_mask

PLAIN = CropSettings(size=32, hflip=0, rotate=0, crops_per_page=4, buffer=3)
VARIED = replace(PLAIN, hflip=0.5, rotate=0.5)


def write_pairs(folder: Path, count: int = 5, height: int = 60, width: int = 70, masks: bool = False) -> list[Pair]:
    """Pages whose gt holds in each pixel its own row, column and page number, and whose ink is noise."""
    rng = np.random.default_rng(0)
    for number in range(count):
        gt = np.zeros((height, width, 3), np.uint8)
        gt[..., 0], gt[..., 1], gt[..., 2] = np.arange(height)[:, None], np.arange(width), number
        ink = rng.random((height, width)) < 0.2
        image = np.where(ink[..., None], 200, gt).astype(np.uint8)
        write_image(folder / f"images/{number}.png", image)
        write_image(folder / f"gts/{number}.png", gt)
        if masks:
            write_mask(folder / f"masks/{number}.png", rng.random((height, width)))
    return find_pairs(folder)


@pytest.fixture
def pairs(tmp_path) -> list[Pair]:
    return write_pairs(tmp_path)


def same(first: crops.Crop, second: crops.Crop) -> bool:
    return all(np.array_equal(getattr(first, name), getattr(second, name)) for name in ("image", "gt", "mask"))


def test_a_crop_is_a_place_of_one_pair(pairs):
    stream = CropStream(pairs, PLAIN, seed=1)
    for n in range(12):
        crop = stream[n]
        top, left, number = crop.gt[0, 0]
        page = decode(pairs[number])
        place = slice(top, top + 32), slice(left, left + 32)
        np.testing.assert_array_equal(crop.gt, page.gt[place])
        np.testing.assert_array_equal(crop.image, page.image[place])
        np.testing.assert_array_equal(crop.mask, soft_mask(page.image, page.gt)[place])


def test_a_crop_depends_on_seed_lane_and_number_alone(pairs):
    stream = CropStream(pairs, VARIED, seed=1, lane=2)
    in_order = [stream[n] for n in range(10)]
    again = CropStream(pairs, VARIED, seed=1, lane=2)
    assert all(same(again[n], in_order[n]) for n in (9, 3, 0, 7))
    for other in (CropStream(pairs, VARIED, seed=2, lane=2), CropStream(pairs, VARIED, seed=1, lane=3)):
        assert sum(same(other[n], in_order[n]) for n in range(10)) == 0


def test_a_page_is_decoded_once_for_several_crops(pairs, monkeypatch):
    decoded = []
    monkeypatch.setattr(crops, "decode", lambda pair: decoded.append(pair.stem) or decode(pair))
    stream = CropStream(pairs, PLAIN, seed=0)
    used = Counter(int(stream[n].gt[0, 0, 2]) for n in range(200))
    assert len(decoded) <= 200 / 4 + 3
    assert len(stream._decoded) <= 3
    assert set(used) == set(range(5)) and max(used.values()) < 2 * min(used.values())


def test_every_epoch_takes_each_page_once_in_another_order(pairs):
    stream = CropStream(pairs, PLAIN, seed=0)
    epochs = [tuple(stream._order(epoch)) for epoch in range(6)]
    assert all(sorted(order) == [0, 1, 2, 3, 4] for order in epochs)
    assert len(set(epochs)) > 1


def test_neighbouring_crops_come_from_several_pages(pairs):
    stream = CropStream(pairs, PLAIN, seed=0)
    assert len({int(stream[n].gt[0, 0, 2]) for n in range(8)}) > 1


def test_a_mask_file_is_taken_where_there_is_one(tmp_path):
    pairs = write_pairs(tmp_path, masks=True)
    crop = CropStream(pairs, PLAIN, seed=1)[0]
    top, left, number = crop.gt[0, 0]
    expected = decode(pairs[number]).mask[top : top + 32, left : left + 32] / np.float32(255)
    np.testing.assert_array_equal(crop.mask, expected)
    assert not np.array_equal(crop.mask, soft_mask(crop.image, crop.gt))


def test_a_label_is_taken_before_a_mask_file_and_read_as_paddleseg_writes_it(tmp_path):
    """Indices into a palette, 1 for handwriting, and 255 for what is not counted."""
    (pair,) = write_pairs(tmp_path, 1, masks=True)
    label = np.zeros((60, 70), np.uint8)
    label[20:30, 5:40], label[50:] = 1, 255
    path = tmp_path / "Annotations" / f"{pair.stem}.png"
    path.parent.mkdir()
    image = Image.fromarray(label, "P")
    image.putpalette([0, 0, 0, 128, 0, 0] + [9] * 762)
    image.save(path)
    labelled = decode(find_pairs(tmp_path)[0])
    np.testing.assert_array_equal(labelled.mask, np.where(label == 1, 255, 0))
    assert (labelled.mask != decode(pair).mask).any()
    write_mask(path, label == 1)  # 0 and 255, as masks are
    np.testing.assert_array_equal(decode(find_pairs(tmp_path)[0]).mask, labelled.mask)
    label[0, 0] = 7
    Image.fromarray(label).save(path)
    with pytest.raises(PageError, match="it holds 7"):
        decode(find_pairs(tmp_path)[0])


@pytest.mark.parametrize("masks", [False, True])
def test_what_a_tilt_brings_in_is_paper_without_ink(tmp_path, masks):
    pairs = write_pairs(tmp_path, height=40, width=40, masks=masks)
    stream = CropStream(pairs, replace(PLAIN, size=40, rotate=1.0), seed=0)
    crop = next(crop for crop in map(stream.__getitem__, range(50)) if (crop.gt[0, 0] == 255).all())
    assert (crop.image[0, 0] == 255).all() and crop.mask[0, 0] == 0


def test_a_page_below_the_crop_is_mirrored(tmp_path):
    pairs = write_pairs(tmp_path, height=10, width=12)
    crop = CropStream(pairs, PLAIN, seed=0)[0]
    page = decode(pairs[crop.gt[0, 0, 2]])
    np.testing.assert_array_equal(crop.gt, np.pad(page.gt, ((0, 22), (0, 20), (0, 0)), "reflect"))
    assert crop.mask.shape == (32, 32)


def test_pages_are_brought_to_the_line_height(pairs):
    reader = Reader(lambda tiles: np.zeros((1, 1, *tiles.shape[2:]), np.float32))  # no lines: the page's size tells
    usual = USUAL * 70
    assert crops.scaled(pairs[0], None, reader) == crops.scaled(pairs[0], usual / 2, None) == pairs[0]
    assert decode(pairs[0]).image.shape == (60, 70, 3)
    scaled = decode(crops.scaled(pairs[0], usual / 2, reader))
    assert scaled.image.shape == scaled.gt.shape == (30, 35, 3)
    assert abs(int(scaled.gt[10, 20, 0]) - 20.5) <= 1  # still the same place of the page


def test_a_pair_of_unequal_sizes_is_refused(tmp_path):
    pairs = write_pairs(tmp_path, count=1)
    write_image(pairs[0].gt, np.zeros((5, 5, 3), np.uint8))
    with pytest.raises(InputError, match="differ in size"):
        decode(pairs[0])


def test_settings_are_checked():
    for wrong in ({"size": 0}, {"buffer": 0}, {"hflip": 1.5}):
        with pytest.raises(ValueError):
            CropSettings(**wrong)


def test_batches_go_on_where_they_were_cut(pairs):
    dataset = CropDataset(pairs, VARIED, batch=2, steps=5, seed=0, lanes=2)
    assert len(dataset) == 10
    assert list(BatchesFrom(dataset, 0)) == [[0, 1], [2, 3], [4, 5], [6, 7], [8, 9]]
    assert list(BatchesFrom(dataset, 3)) == [[6, 7], [8, 9]] and len(BatchesFrom(dataset, 3)) == 2


def test_lanes_take_the_batches_in_turn_and_repeat_nothing(pairs):
    dataset = CropDataset(pairs, VARIED, batch=2, steps=4, seed=0, lanes=2)
    image, gt, mask = dataset[5]  # batch 2, its second crop: lane 0, which has given batch 0 before
    expected = CropStream(pairs, VARIED, seed=0, lane=0)[3]
    np.testing.assert_allclose(image, expected.image.transpose(2, 0, 1) / 255, rtol=1e-6)
    np.testing.assert_array_equal(mask[0], expected.mask)
    assert gt.dtype == mask.dtype == np.float32 and gt.shape == (3, 32, 32)
    seen = {dataset[i][0].tobytes() for i in range(8)}
    assert len(seen) == 8


def test_a_data_loader_with_workers_gives_the_very_same_batches(pairs):
    import paddle

    crops.prepare_workers(2)
    dataset = CropDataset(pairs, VARIED, batch=2, steps=5, seed=0, lanes=2)
    loader = paddle.io.DataLoader(dataset, batch_sampler=BatchesFrom(dataset, 1), num_workers=2)
    batches = [image.numpy() for image, _, _ in loader]
    expected = [np.stack([dataset[2 * step][0], dataset[2 * step + 1][0]]) for step in range(1, 5)]
    np.testing.assert_array_equal(batches, expected)
