"""Losses against numpy written out, and inside PaddleSeg's own MixedLoss."""

import numpy as np
import paddle
import pytest
from paddleseg.models.losses import DiceLoss, MixedLoss

from dehw.train import losses


def rand(*shape, seed=0):
    return np.random.default_rng(seed).random(shape, dtype=np.float32)


def page_batch():
    gt = rand(2, 3, 8, 12, seed=1)
    mask = (rand(2, 1, 8, 12, seed=2) > 0.6).astype(np.float32)
    return gt, mask


def number(loss):
    assert loss.ndim == 0
    return float(loss)


def dice_by_loop(logits, target):
    """Per sample, one element at a time, in Python floats."""
    overlaps = []
    for sample, truth in zip(logits, target):
        pq = pp = qq = 0.0
        for channel in sample:
            for value, q in zip(channel.ravel().tolist(), truth.ravel().tolist()):
                p = 1 / (1 + np.exp(-value))
                pq, pp, qq = pq + p * q, pp + p * p, qq + q * q
        overlaps.append(2 * pq / (pp + 1e-3 + qq + 1e-3))
    return 1 - sum(overlaps) / len(overlaps)


def test_dice_equals_a_loop_over_elements():
    logits = rand(2, 3, 5, 7) * 6 - 3
    target = rand(2, 1, 5, 7, seed=1)
    loss = losses.dice(paddle.to_tensor(logits), paddle.to_tensor(target))
    assert number(loss) == pytest.approx(dice_by_loop(logits, target), abs=1e-6)


def test_dice_of_a_sure_prediction_is_0_when_right_and_1_when_inverted():
    mask = page_batch()[1]
    sure = paddle.to_tensor((mask * 2 - 1) * 50)
    assert number(losses.dice(sure, paddle.to_tensor(mask))) == pytest.approx(0, abs=1e-4)
    assert number(losses.dice(-sure, paddle.to_tensor(mask))) == pytest.approx(1, abs=1e-4)


def test_dice_survives_half_precision_logits_of_a_whole_crop():
    logits = paddle.full([1, 3, 256, 256], 20.0, dtype="float16")
    loss = losses.dice(logits, paddle.ones([1, 1, 256, 256]))
    assert number(loss) == pytest.approx(0, abs=1e-4)


def test_l1_split_is_taken_over_all_elements():
    gt, mask = page_batch()
    out = rand(*gt.shape, seed=3)
    tensors = [paddle.to_tensor(a) for a in (out, gt, mask)]
    error = np.abs(out - gt)
    hole = error[np.broadcast_to(mask, error.shape) == 1].sum() / error.size
    valid = error[np.broadcast_to(mask, error.shape) == 0].sum() / error.size
    assert number(losses.l1_hole(*tensors)) == pytest.approx(hole, rel=1e-5)
    assert number(losses.l1_valid(*tensors)) == pytest.approx(valid, rel=1e-5)


def erasenet_outputs():
    sizes = [(2, 3, 2, 3), (2, 3, 4, 6), (2, 3, 8, 12), (2, 3, 8, 12), (2, 3, 8, 12)]
    return [rand(*size, seed=10 + i) for i, size in enumerate(sizes)]


def multiscale_by_hand(outputs, gt, mask):
    """8/0.8 on the coarse image, 6/1 at half size, 5/0.8 at a quarter (EraseNet's released weights)."""
    total = 0.0
    for image, step, hole, valid in ((outputs[2], 1, 8, 0.8), (outputs[1], 2, 6, 1), (outputs[0], 4, 5, 0.8)):
        small_gt, small_mask = gt[:, :, ::step, ::step], mask[:, :, ::step, ::step]
        error = np.abs(image - small_gt)
        total += hole * (error * small_mask).mean() + valid * (error * (1 - small_mask)).mean()
    return total


def test_multiscale_l1_equals_its_weights_by_hand():
    gt, mask = page_batch()
    outputs = erasenet_outputs()
    loss = losses.multiscale_l1(*to_tensors(outputs[:3], gt, mask))
    assert number(loss) == pytest.approx(multiscale_by_hand(outputs, gt, mask), rel=1e-5)


def to_tensors(outputs, gt, mask):
    return [paddle.to_tensor(a) for a in outputs], paddle.to_tensor(gt), paddle.to_tensor(mask)


@pytest.mark.parametrize("multiscale", [False, True])
def test_stage_1_is_dice_and_l1_of_the_final_image(multiscale):
    gt, mask = page_batch()
    outputs = erasenet_outputs()
    expected = dice_by_loop(outputs[4], mask) + np.abs(outputs[3] - gt).mean()
    if multiscale:
        expected += multiscale_by_hand(outputs, gt, mask)
    loss = losses.erasenet_stage1(*to_tensors(outputs, gt, mask), multiscale=multiscale)
    assert number(loss) == pytest.approx(expected, rel=1e-5)


def test_stage_2_looks_at_the_final_image_alone():
    gt, mask = page_batch()
    outputs = erasenet_outputs()
    loss = losses.erasenet_stage2(*to_tensors(outputs, gt, mask))
    assert number(loss) == pytest.approx(np.abs(outputs[3] - gt).mean(), rel=1e-5)


def labelled():
    logits = rand(2, 2, 6, 5) * 4 - 2
    labels = np.random.default_rng(1).integers(0, 2, (2, 6, 5))
    labels[0, :2] = 255
    return logits, labels


def cross_entropy_by_hand(logits, labels):
    chosen = []
    for n, y, x in np.ndindex(*labels.shape):
        if labels[n, y, x] != 255:
            scores = logits[n, :, y, x].astype(np.float64)
            chosen.append(np.log(np.exp(scores).sum()) - scores[labels[n, y, x]])
    return np.mean(chosen)


def test_cross_entropy_leaves_ignored_pixels_out():
    logits, labels = labelled()
    loss = losses.DehwCrossEntropyLoss()(paddle.to_tensor(logits), paddle.to_tensor(labels))
    assert number(loss) == pytest.approx(cross_entropy_by_hand(logits, labels), rel=1e-5)


def test_cross_entropy_of_nothing_but_ignored_pixels_is_0():
    logits, labels = labelled()
    loss = losses.DehwCrossEntropyLoss()(paddle.to_tensor(logits), paddle.to_tensor(np.full_like(labels, 255)))
    assert number(loss) == 0


def test_cross_entropy_trains_beside_paddlesegs_dice():
    logits, labels = labelled()
    logits = paddle.to_tensor(logits, stop_gradient=False)
    mixed = MixedLoss([losses.DehwCrossEntropyLoss(), DiceLoss()], [1, 1])
    entropy, dice = mixed(logits, paddle.to_tensor(labels))
    assert number(entropy) == pytest.approx(cross_entropy_by_hand(logits.numpy(), labels), rel=1e-5)
    (entropy + dice).backward()

    alone = paddle.to_tensor(logits.numpy(), stop_gradient=False)
    (losses.DehwCrossEntropyLoss()(alone, paddle.to_tensor(labels))).backward()
    apart = paddle.to_tensor(logits.numpy(), stop_gradient=False)
    DiceLoss()(apart, paddle.to_tensor(labels)).backward()
    np.testing.assert_allclose(logits.grad.numpy(), (alone.grad + apart.grad).numpy(), atol=1e-6)


def test_paddleseg_finds_the_cross_entropy_by_name():
    from paddleseg.cvlibs import manager

    assert manager.LOSSES["DehwCrossEntropyLoss"] is losses.DehwCrossEntropyLoss
