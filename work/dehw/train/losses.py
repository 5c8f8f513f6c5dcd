"""What training minimises: pure functions (prediction, target, mask) -> scalar; mask is 1 on handwriting.

Forms and weights are those of EraseNet and of the second seed, with the mask's dice taken from logits, once; and
of MTRNet++ as the first seed uses it, with gradients in the perceptual and style terms and L1 weighed per pixel.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import paddle
from paddle import nn
from paddle.nn import functional as F
from paddleseg.cvlibs import manager

from dehw.train.terms import MULTISCALE_WEIGHTS

# of MTRNet++: the terms, and how much more a masked pixel counts
L1_WEIGHT, PERCEPTUAL_WEIGHT, STYLE_WEIGHT = 10.0, 0.1, 250.0
MASKED = 10.0
PERCEPTUAL_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")  # of VGG-19
STYLE_LAYERS = ("relu2_2", "relu3_4", "relu4_4", "relu5_2")

Features = Mapping[str, paddle.Tensor]  # feature maps of VGG-19 by layer, see dehw.models.vgg


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


def mtrnet(
    outputs: Sequence[paddle.Tensor],
    gt: paddle.Tensor,
    mask: paddle.Tensor,
    features: Callable[[paddle.Tensor], Features] | None = None,
) -> paddle.Tensor:
    """MTRNet++'s losses, the adversarial one apart, each on the fine and again on the coarse image.

    outputs are what MTRNet's forward returns, composed with the page; gt (N, 3, H, W), mask (N, 1, H, W), float32
    in [0, 1]. features gives VGG-19's feature maps of an image; without it there is no perceptual and style term.
    """
    loss = sum(L1_WEIGHT * masked_l1(image, gt, mask) for image in outputs)
    if features is None:
        return loss
    wanted = features(gt)
    for image in outputs:
        seen = features(image)
        loss = loss + PERCEPTUAL_WEIGHT * perceptual(seen, wanted, mask) + STYLE_WEIGHT * style(seen, wanted)
    return loss


def masked_l1(prediction: paddle.Tensor, gt: paddle.Tensor, mask: paddle.Tensor) -> paddle.Tensor:
    """Absolute error, mean over all elements, each masked one counting 10 times: (N, C, H, W), mask (N, 1, H, W)."""
    return ((prediction.astype("float32") - gt).abs() * _emphasis(mask)).mean()


def perceptual(seen: Features, wanted: Features, mask: paddle.Tensor) -> paddle.Tensor:
    """Distance of two images' feature maps, those under the mask counting 10 times; mask (N, 1, H, W), 1 = ink."""
    total = paddle.zeros([])
    for layer in PERCEPTUAL_LAYERS:
        small = F.interpolate(mask, wanted[layer].shape[2:], mode="nearest")
        total += masked_l1(seen[layer], wanted[layer].astype("float32"), small)
    return total


def style(seen: Features, wanted: Features) -> paddle.Tensor:
    """Distance of which features occur together in two images, wherever that is."""
    return sum((gram(seen[layer]) - gram(wanted[layer])).abs().mean() for layer in STYLE_LAYERS)


def gram(x: paddle.Tensor) -> paddle.Tensor:
    """The products of every two channels: (N, C, H, W) float -> (N, C, C) float32, divided by C * H * W."""
    _, c, height, width = x.shape
    flat = x.astype("float32").flatten(2)
    with paddle.amp.auto_cast(enable=False):  # half precision could not hold the sums
        return paddle.matmul(flat, flat, transpose_y=True) / (c * height * width)


def hinge_discriminator(real: paddle.Tensor, fake: paddle.Tensor) -> paddle.Tensor:
    """What a discriminator minimises: its judgements of real images above 1, of generated ones below -1.

    Floats of any shape. EraseNet's adversarial loss is the same but for the factor: its judgements lie in (0, 1),
    where no side of the hinge is ever reached.
    """
    return (F.relu(1 - real.astype("float32")).mean() + F.relu(1 + fake.astype("float32")).mean()) / 2


def hinge_generator(fake: paddle.Tensor) -> paddle.Tensor:
    """What a generator minimises against a discriminator: minus the mean judgement of its images, of any shape."""
    return -fake.astype("float32").mean()


def _emphasis(mask: paddle.Tensor) -> paddle.Tensor:
    return MASKED * mask + (1 - mask)


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
