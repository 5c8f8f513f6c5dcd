"""AIDR: the deep encoder-decoder that the second seed puts in the place of EraseNet's refinement.

Its author built it for another contest, against moire: a U-net of 3x3 convolutions that also sees what
EraseNet's encoder saw. With non-local blocks it is the second stage of the seed's second model.
"""

from __future__ import annotations

from collections.abc import Callable

import paddle
from paddle import nn
from paddle.nn import functional as F

from dehw.models.layers import NonLocal

SLOPE = 0.1  # of LeakyReLU below zero


class Convs(nn.Layer):
    """3x3 convolutions in a row, each followed by LeakyReLU; `channels` are those before, between and after.

    forward: (N, channels[0], H, W) float32 -> (N, channels[-1], H, W) float32.
    """

    def __init__(self, *channels: int) -> None:
        super().__init__()
        # Paddle draws such a convolution's weights from Normal(0, sqrt(2 / fan_in)): Kaiming's
        self.convs = nn.LayerList(nn.Conv2D(i, o, 3, padding=1) for i, o in zip(channels, channels[1:]))

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        for conv in self.convs:
            x = F.leaky_relu(conv(x), SLOPE)
        return x


class AIDR(nn.Layer):
    """A second stage in five halvings and five doublings, with three of the encoder's features joined in.

    scaled: turns a channel count into that of the network's width. attention=False leaves the three non-local
    blocks out; released=True computes them as the seed's released code does, see NonLocal. forward: (coarse
    (N, 3, H, W), the encoder's features at 1/2, 1/4, 1/8 and 1/16 of the size) -> final (N, 3, H, W), all float32;
    H and W multiples of 32.
    """

    def __init__(self, scaled: Callable[[int], int], attention: bool = True, released: bool = False) -> None:
        super().__init__()
        n, c32, c64, c128, c256 = (scaled(c) for c in (96, 32, 64, 128, 256))
        self.en1 = Convs(3, n, n)
        self.en2, self.en3, self.en4 = (Convs(n, n) for _ in range(3))
        self.en5a, self.en5b = Convs(n, n), Convs(n, n)
        self.de1a, self.de1b = Convs(2 * n + c256, 2 * n), Convs(2 * n, 2 * n)
        self.de2 = Convs(3 * n + c128, 2 * n, 2 * n)
        self.de3 = Convs(3 * n + c64, 2 * n, 2 * n)
        self.de4 = Convs(3 * n, 2 * n, 2 * n)
        self.de5 = Convs(2 * n + 3, c64, c32)
        self.out = nn.Conv2D(c32, 3, 3, padding=1)
        self.nonlocal5a = NonLocal(n, released) if attention else None
        self.nonlocal5b = NonLocal(n, released) if attention else None
        self.nonlocal1 = NonLocal(2 * n, released) if attention else None

    def forward(self, coarse: paddle.Tensor, skips: tuple[paddle.Tensor, ...]) -> paddle.Tensor:
        _, x2, x3, x4 = skips
        pool1 = _halved(self.en1(coarse))  # 1/2
        pool2 = _halved(self.en2(pool1))  # 1/4
        pool3 = _halved(self.en3(pool2))  # 1/8
        pool4 = _halved(self.en4(pool3))  # 1/16
        x = _halved(_attend(self.nonlocal5a, self.en5a(pool4)))  # 1/32
        x = _doubled(_attend(self.nonlocal5b, self.en5b(x)))
        x = _attend(self.nonlocal1, self.de1a(paddle.concat([x, pool4, x4], axis=1)))
        x = _doubled(self.de1b(x))
        x = _doubled(self.de2(paddle.concat([x, pool3, x3], axis=1)))
        x = _doubled(self.de3(paddle.concat([x, pool2, x2], axis=1)))
        x = _doubled(self.de4(paddle.concat([x, pool1], axis=1)))
        return self.out(self.de5(paddle.concat([x, coarse], axis=1)))


def _attend(block: NonLocal | None, x: paddle.Tensor) -> paddle.Tensor:
    return x if block is None else F.leaky_relu(block(x), SLOPE)


def _halved(x: paddle.Tensor) -> paddle.Tensor:
    return F.max_pool2d(x, 2)


def _doubled(x: paddle.Tensor) -> paddle.Tensor:
    return F.interpolate(x, scale_factor=2, mode="nearest")
