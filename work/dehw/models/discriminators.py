"""The discriminators, by the type of the generator they judge: called (image, mask), higher is more like print."""

from __future__ import annotations

from collections.abc import Callable

import paddle
from paddle import nn
from paddle.nn import functional as F

from dehw.models.layers import SLOPE, ConvAct, normed, scaler

INIT_STD = 0.02


class EraseNetDiscriminator(nn.Layer):
    """Tells pages from erased ones: one tower sees the whole crop, an equal one the handwriting's place alone.

    EraseNet's own, as its code was released (Liu et al., "EraseNet: End-to-End Text Removal in the Wild", IEEE TIP
    2020); the second seed left it out. `width` multiplies the towers' channel counts. The towers' convolutions are
    under spectral norm.
    """

    SMALLEST = 256  # px: what six halvings and the last 4x4 convolution need

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        scaled = scaler(width)
        self.whole = _tower(scaled)
        self.local = _tower(scaled)
        self.out = nn.Conv2D(2 * scaled(256), 1, 4)

    def forward(self, image: paddle.Tensor, mask: paddle.Tensor) -> paddle.Tensor:
        """How much each patch looks like print on paper: (N, P) float32 in [0, 1], 1 = real; 25 patches at 512 px.

        image: (N, 3, H, W) float32 RGB in [0, 1]; mask: (N, 1, H, W) float32 in [0, 1], 1 = handwriting. Raises
        ValueError for sides below SMALLEST.
        """
        height, width = image.shape[2:]
        if min(height, width) < self.SMALLEST:
            raise ValueError(f"EraseNet's discriminator takes crops from {self.SMALLEST} px up, got {height} x {width}")
        features = paddle.concat([self.whole(image), self.local(image * mask)], axis=1)
        return F.sigmoid(self.out(features)).flatten(1)


class MTRNetDiscriminator(nn.Layer):
    """Judges patches of a page, knowing where it was written anew: MTRNet++'s, every convolution spectrally normed.

    `width` multiplies every channel count but those of images and masks.
    """

    def __init__(self, width: float = 1.0) -> None:
        super().__init__()
        c64, c128, c256, c512 = (scaler(width)(c) for c in (64, 128, 256, 512))
        self.conv1 = _conv(3 + 1, c64, 4, stride=2)
        self.conv2 = _conv(c64 + 1, c128, 4, stride=2)
        self.conv3 = _conv(c128 + 1, c256, 4, stride=2)
        self.conv4 = _conv(c256 + 1, c512, 3)
        self.out = _conv(c512, 1, 3)

    def forward(self, image: paddle.Tensor, mask: paddle.Tensor) -> paddle.Tensor:
        """image (N, 3, H, W) and mask (N, 1, H, W), float32 in [0, 1] -> logits (N, 1, H // 8, W // 8) float32."""
        x = image
        for conv in (self.conv1, self.conv2, self.conv3, self.conv4):
            small = F.interpolate(mask, x.shape[2:], mode="nearest").astype(x.dtype)
            x = F.leaky_relu(conv(paddle.concat([x, small], axis=1)), SLOPE)
        return self.out(x)


def _tower(scaled: Callable[[int], int]) -> nn.Sequential:
    """Six halvings: (N, 3, H, W) -> (N, 256, H / 64, W / 64)."""
    channels = [3, *(scaled(c) for c in (64, 128, 256, 256, 256, 256))]
    return nn.Sequential(*(ConvAct(i, o, 4, stride=2) for i, o in zip(channels, channels[1:])))


def _conv(i: int, o: int, kernel: int, stride: int = 1) -> nn.Layer:
    init = nn.initializer.Normal(0.0, INIT_STD)
    return normed(nn.Conv2D(i, o, kernel, stride, padding=1, weight_attr=init, bias_attr=False))


DISCRIMINATORS: dict[str, Callable[..., nn.Layer]] = {
    "erasenet": EraseNetDiscriminator,
    "mtrnet": MTRNetDiscriminator,
}
