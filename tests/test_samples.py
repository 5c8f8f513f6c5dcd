"""The sample pages that ship: pairs in the contest's layout that differ by handwriting alone."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from dehw.data.pairs import find_pairs
from dehw.files.images import read_image
from dehw.page import metrics

SAMPLES = Path(__file__).parents[1] / "data" / "sample"
PAIRS = find_pairs(SAMPLES)


def test_samples_are_enough_and_small():
    assert len(PAIRS) >= 6
    assert sum(path.stat().st_size for path in SAMPLES.rglob("*.*")) < 8 * 2**20


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.stem)
def test_sample_differs_from_its_truth_by_handwriting_alone(pair):
    image, gt = read_image(pair.image), read_image(pair.gt)
    ink = metrics.ink_mask(image, gt)
    assert image.shape == gt.shape and 0.01 < ink.mean() < 0.15
    away = ~cv2.dilate(ink.astype(np.uint8), np.ones((25, 25), np.uint8)).astype(bool)
    assert np.abs(image.astype(int) - gt)[away].mean() < 2  # JPEG's share
    assert (image[ink].mean() + 20) < gt[ink].mean()


def test_samples_hold_colour_and_print():
    hues = []
    for pair in PAIRS:
        image, gt = read_image(pair.image), read_image(pair.gt)
        inked = image[metrics.ink_mask(image, gt)].astype(int)
        hues += [(inked[:, 0] - inked[:, 2] > 60).mean() > 0.05, (inked[:, 2] - inked[:, 0] > 30).mean() > 0.2]
        assert 0.01 < (gt.min(axis=2) < 128).mean() < 0.3
    assert sum(hues[::2]) >= 6 and sum(hues[1::2]) >= 2  # red marks; blue pens
