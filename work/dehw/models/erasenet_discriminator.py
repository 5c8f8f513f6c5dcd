"""EraseNet's own discriminator, which the second seed left out.

Liu et al., "EraseNet: End-to-End Text Removal in the Wild", IEEE TIP 2020, in the form of its released code.
"""

from __future__ import annotations

from collections.abc import Callable

import paddle
from paddle import nn
from paddle.nn import functional as F

from dehw.models.layers import ConvAct, scaler


class EraseNetDiscriminator(nn.Layer):
    """Tells pages from erased ones: one tower sees the whole crop, an equal one the handwriting's place alone.

    `width` multiplies the towers' channel counts. The towers' convolutions are under spectral norm.
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


def _tower(scaled: Callable[[int], int]) -> nn.Sequential:
    """Six halvings: (N, 3, H, W) -> (N, 256, H / 64, W / 64)."""
    channels = [3, *(scaled(c) for c in (64, 128, 256, 256, 256, 256))]
    return nn.Sequential(*(ConvAct(i, o, 4, stride=2) for i, o in zip(channels, channels[1:])))
