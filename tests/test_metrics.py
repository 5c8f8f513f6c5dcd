"""The figures agree with scikit-image, with sums done by hand and with an MS-SSIM written out in float64."""

import math
from dataclasses import astuple, fields

import cv2
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from dehw.errors import InputError
from dehw.page import metrics

WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])  # Wang, Simoncelli and Bovik 2003


def noisy_pair(height, width, seed=0):
    """A smooth page and the same with noise: (H, W, 3) uint8 each."""
    rng = np.random.default_rng(seed)
    page = cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), np.uint8), (0, 0), 3)
    noise = rng.normal(0, 12, page.shape)
    return np.clip(page + noise, 0, 255).astype(np.uint8), page


def slow_msssim(out, gt):
    """MS-SSIM in float64 by direct sums over whole windows."""
    offsets = np.arange(-5, 6)
    line = np.exp(-(offsets**2) / (2 * 1.5**2))
    window = np.outer(line, line) / line.sum() ** 2

    def blur(x):
        patches = np.lib.stride_tricks.sliding_window_view(x, (11, 11))
        return np.einsum("ijkl,kl->ij", patches, window)

    scores = []
    for channel in range(3):
        x, y = (page[..., channel] / 255.0 for page in (out, gt))
        product = 1.0
        for scale, weight in enumerate(WEIGHTS):
            mx, my = blur(x), blur(y)
            vx, vy, cov = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
            term = (2 * cov + 0.03**2) / (vx + vy + 0.03**2)
            if scale == 4:
                term = term * (2 * mx * my + 0.01**2) / (mx * mx + my * my + 0.01**2)
            product *= term.mean() ** weight
            height, width = (side // 2 * 2 for side in x.shape)
            x, y = (p[:height, :width].reshape(height // 2, 2, width // 2, 2).mean(axis=(1, 3)) for p in (x, y))
        scores.append(product)
    return np.mean(scores)


def test_psnr_agrees_with_scikit_image():
    out, gt = noisy_pair(40, 30)
    assert metrics.psnr(out, gt) == pytest.approx(peak_signal_noise_ratio(gt, out, data_range=255))


def test_psnr_looks_at_valid_pixels_alone():
    gt = np.full((2, 2, 3), 100, np.uint8)
    out = gt.copy()
    out[0, 0] = 110
    out[1, 1] = 0
    valid = np.array([[True, True], [False, False]])
    assert metrics.psnr(out, gt, valid) == pytest.approx(10 * math.log10(255**2 / 50))
    assert metrics.psnr(gt, gt) == math.inf
    assert math.isnan(metrics.psnr(out, gt, np.zeros((2, 2), bool)))


def test_psnr_does_not_wrap_around():
    black, white = np.zeros((4, 4, 3), np.uint8), np.full((4, 4, 3), 255, np.uint8)
    assert metrics.psnr(black, white) == 0


@pytest.mark.parametrize("size", [(176, 176), (193, 230)])
def test_msssim_agrees_with_direct_sums(size):
    out, gt = noisy_pair(*size)
    assert metrics.msssim(out, gt) == pytest.approx(slow_msssim(out, gt), abs=1e-5)


def test_one_scale_agrees_with_scikit_image(monkeypatch):
    monkeypatch.setattr(metrics, "SSIM_WEIGHTS", (1.0,))
    out, gt = noisy_pair(200, 190)
    expected = structural_similarity(
        out, gt, channel_axis=2, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    assert metrics.msssim(out, gt) == pytest.approx(expected, abs=1e-5)


def test_msssim_of_a_page_with_itself_is_one_and_never_nan():
    out, gt = noisy_pair(180, 180)
    assert metrics.msssim(gt, gt) == pytest.approx(1)
    assert 0 <= metrics.msssim(255 - gt, gt) < 0.5  # anticorrelated: a negative mean has no power


@pytest.mark.parametrize("size", [(175, 300), (300, 175), (1, 1)])
def test_msssim_refuses_pages_too_small_and_names_their_size(size):
    page = np.zeros((*size, 3), np.uint8)
    with pytest.raises(InputError, match=f"{size[0]}x{size[1]}"):
        metrics.msssim(page, page)


def exam():
    """A page of 400 x 400 with two printed bars and one stroke of ink, and its ground truth."""
    gt = np.full((400, 400, 3), 240, np.uint8)
    gt[100:110, 50:150] = 40  # print, 1000 px
    gt[200:210, 50:150] = 40
    image = gt.copy()
    image[300:305, 100:200] = 80  # ink, 500 px
    return image, gt


def test_the_page_itself_leaves_everything():
    image, gt = exam()
    scores = metrics.evaluate(image, gt, image)
    assert scores.residual == 1 and scores.lost == 0 and scores.touched == 0
    assert scores.contest == pytest.approx((scores.psnr / 100 + scores.msssim) / 2)
    assert scores.psnr == pytest.approx(10 * math.log10(255**2 / (160**2 * 500 / 400**2)))


def test_residual_is_the_share_of_darkness_left():
    image, gt = exam()
    out = image.copy()
    out[300:305, 100:150] = 240  # half of the stroke gone
    out[300:305, 150:200] = 200  # and a quarter of the other half's darkness left
    assert metrics.evaluate(image, gt, out).residual == pytest.approx(0.125)
    assert metrics.evaluate(image, gt, gt).residual == 0


def test_lost_is_the_share_of_print_turned_paper():
    image, gt = exam()
    out = gt.copy()
    out[100:110, 50:100] = 240  # half of one of two bars
    out[200:210, 50:150] = 130  # the other paler, by less than half of its contrast
    scores = metrics.evaluate(image, gt, out)
    assert scores.lost == pytest.approx(0.25)
    assert scores.residual == 0


def test_print_within_five_pixels_of_ink_is_not_judged():
    image, gt = exam()
    image[105:106, 100:200] = image[106:107, 100:200] = 140  # ink over a bar's right half
    ink = np.zeros((400, 400), bool)
    ink[105:107, 100:200] = True
    out = gt.copy()
    out[100:110, 95:150] = 240  # gone from 5 px left of the ink on
    scores = metrics.evaluate(image, gt, out, ink=ink)
    assert scores.lost == 0 and scores.touched == 0
    out[100:110, 94] = 240
    scores = metrics.evaluate(image, gt, out, ink=ink)
    assert scores.lost == pytest.approx(10 / (450 + 1000)) and scores.touched > 0


def test_touched_counts_moves_of_more_than_eight_levels():
    image, gt = exam()
    ink = metrics.ink_mask(image, gt)
    clear = ~cv2.dilate(ink.astype(np.uint8), np.ones((11, 11), np.uint8)).astype(bool)
    out = gt.copy()
    out[:10, :10] = 231  # 9 levels
    out[20:30, :10] = 232  # 8 levels
    assert metrics.evaluate(image, gt, out).touched == pytest.approx(100 / clear.sum())


def test_outside_valid_nothing_counts():
    image, gt = exam()
    out = image.copy()
    out[:150] = 0
    valid = np.zeros((400, 400), bool)
    valid[150:] = True
    inside = metrics.evaluate(image, gt, out, valid=valid)
    assert inside.residual == 1 and inside.lost == 0 and inside.touched == 0
    whole = metrics.evaluate(image, gt, image)
    assert inside.msssim == pytest.approx(whole.msssim)
    assert inside.psnr == pytest.approx(whole.psnr + 10 * math.log10(250 / 400))


def test_ink_is_found_by_difference_without_specks():
    image, gt = exam()
    image[20, 20] = 0  # a speck, opened away
    image[30:34, 20:24] -= 25  # too faint
    expected = np.zeros((400, 400), bool)
    expected[300:305, 100:200] = True
    np.testing.assert_array_equal(metrics.ink_mask(image, gt), expected)


def test_figures_that_are_not_defined_are_nan():
    blank = np.full((100, 100, 3), 255, np.uint8)
    scores = metrics.evaluate(blank, blank, blank)
    assert scores.psnr == math.inf and scores.touched == 0
    for name in ("msssim", "contest", "residual", "lost"):
        assert math.isnan(getattr(scores, name)), name


def test_unequal_sizes_are_an_input_error():
    page = np.zeros((20, 20, 3), np.uint8)
    with pytest.raises(InputError, match="differ in size"):
        metrics.evaluate(page, page, page[:10])
    with pytest.raises(InputError, match="differ in size"):
        metrics.evaluate(page, page, page, ink=np.zeros((10, 20), bool))


def test_mean_averages_every_figure_where_it_is_defined():
    count = len(fields(metrics.Scores))
    one = metrics.Scores(*(float(i) for i in range(count)))
    two = metrics.Scores(*(float(i + 2) for i in range(count - 1)), math.nan)
    averaged = astuple(metrics.mean([one, two]))
    assert averaged == tuple([i + 1.0 for i in range(count - 1)] + [count - 1.0])
    assert all(math.isnan(value) for value in astuple(metrics.mean([])))
