"""What training minimises: pure functions (prediction, target, mask) -> scalar; mask is 1 on handwriting.

Forms and weights are those of EraseNet and of the second seed, with the mask's dice taken from logits, once.
"""

from __future__ import annotations

from collections.abc import Sequence

import paddle
from paddle import nn
from paddle.nn import functional as F
from paddleseg.cvlibs import manager

# of the handwriting and of the rest, in the quarter, half and coarse image (EraseNet)
MULTISCALE_WEIGHTS = ((5.0, 0.8), (6.0, 1.0), (8.0, 0.8))


def dice(logits: paddle.Tensor, target: paddle.Tensor) -> paddle.Tensor:
    """One minus the dice overlap of sigmoid(logits) and target, squared-sum form, averaged over the batch.

    logits (N, C, H, W) float; target (N, 1, H, W) float32 in [0, 1], soft or hard, held against each channel.
    """
    p = F.sigmoid(logits.astype("float32")).flatten(1)  # half precision would overflow in the sums
    q = target.expand_as(logits).flatten(1)
    overlap = 2 * (p * q).sum(1) / ((p * p).sum(1) + 1e-3 + (q * q).sum(1) + 1e-3)
    return 1 - overlap.mean()


def l1_hole(prediction: paddle.Tensor, gt: paddle.Tensor, mask: paddle.Tensor) -> paddle.Tensor:
    """Absolute error on the handwriting, mean over all elements: images (N, 3, H, W), mask (N, 1, H, W)."""
    return (mask * (prediction.astype("float32") - gt)).abs().mean()


def l1_valid(prediction: paddle.Tensor, gt: paddle.Tensor, mask: paddle.Tensor) -> paddle.Tensor:
    """Absolute error off the handwriting, mean over all elements: images (N, 3, H, W), mask (N, 1, H, W)."""
    return l1_hole(prediction, gt, 1 - mask)


def multiscale_l1(images: Sequence[paddle.Tensor], gt: paddle.Tensor, mask: paddle.Tensor) -> paddle.Tensor:
    """EraseNet's weighted error of the (quarter, half, coarse) images, gt and mask shrunk by nearest pixel.

    gt (N, 3, H, W), mask (N, 1, H, W), float32 in [0, 1]; each image (N, 3, h, w), h and w dividing H and W.
    """
    total = paddle.zeros([])
    for image, (hole, valid) in zip(images, MULTISCALE_WEIGHTS, strict=True):
        step = gt.shape[2] // image.shape[2]
        small_gt, small_mask = gt[:, :, ::step, ::step], mask[:, :, ::step, ::step]
        total += hole * l1_hole(image, small_gt, small_mask) + valid * l1_valid(image, small_gt, small_mask)
    return total


def erasenet_stage1(
    outputs: Sequence[paddle.Tensor], gt: paddle.Tensor, mask: paddle.Tensor, multiscale: bool = False
) -> paddle.Tensor:
    """The second seed's first stage: dice of the mask branch plus L1 on and off the handwriting.

    outputs are what EraseNet's forward returns; gt (N, 3, H, W), mask (N, 1, H, W), float32 in [0, 1].
    `multiscale` adds EraseNet's own supervision of the quarter, half and coarse images.
    """
    *early, final, logits = outputs
    loss = dice(logits, mask) + l1_hole(final, gt, mask) + l1_valid(final, gt, mask)
    return loss + multiscale_l1(early, gt, mask) if multiscale else loss


def erasenet_stage2(outputs: Sequence[paddle.Tensor], gt: paddle.Tensor, mask: paddle.Tensor) -> paddle.Tensor:
    """The second seed's fine-tuning: L1 of the final image. `mask` is there for likeness with stage 1."""
    return (outputs[3].astype("float32") - gt).abs().mean()


@manager.LOSSES.add_component
class DehwCrossEntropyLoss(nn.Layer):
    """Cross-entropy that PaddleSeg's configs can name; PaddleSeg 2.8's own fails on Paddle 3.

    Name it before DiceLoss in a MixedLoss: DiceLoss turns ignored labels into class 0 in place.
    """

    def __init__(self, ignore_index: int = 255) -> None:
        super().__init__()
        self.ignore_index = ignore_index

    def forward(self, logits: paddle.Tensor, labels: paddle.Tensor) -> paddle.Tensor:
        """logits (N, C, H, W) float32, labels (N, H, W) int64 -> mean over pixels not ignored, a scalar."""
        # a copy, because backward needs the labels and DiceLoss beside us overwrites them
        return F.cross_entropy(logits, labels.clone(), axis=1, ignore_index=self.ignore_index)
