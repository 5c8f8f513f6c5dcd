"""The blocks EraseNet is built of, and the folding of spectral norm into plain weights.

Blocks after EraseNet (Liu et al., "EraseNet: End-to-End Text Removal in the Wild", 2020); the non-local one
after Wang et al., "Non-local Neural Networks", CVPR 2018.
"""

from __future__ import annotations

from collections.abc import Callable

import paddle
from paddle import nn
from paddle.nn import functional as F
from paddle.nn.utils import spectral_norm
from paddle.nn.utils.spectral_norm_hook import SpectralNorm

SLOPE = 0.2  # of LeakyReLU below zero
SETTLING = 15  # power iterations on a fresh weight, so that its norm is known before the first training step
HEADROOM = 16.0  # queries and keys are divided by it before their product, which half precision could not hold


class ConvAct(nn.Layer):
    """Convolution under spectral norm, then LeakyReLU.

    forward: (N, i, H, W) float32 -> (N, o, H', W') float32.
    """

    def __init__(
        self, i: int, o: int, kernel: int = 3, stride: int = 1, padding: int = 1, dilation: int = 1,
        norm: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        conv = nn.Conv2D(i, o, kernel, stride, padding, dilation, weight_attr=nn.initializer.KaimingNormal())
        self.conv = normed(conv) if norm else conv

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return F.leaky_relu(self.conv(x), SLOPE)


class DeconvAct(nn.Layer):
    """Transposed convolution under spectral norm, then LeakyReLU; exactly doubles the size.

    forward: (N, i, H, W) float32 -> (N, o, 2H, 2W) float32.
    """

    def __init__(self, i: int, o: int, norm: bool = True) -> None:
        super().__init__()
        conv = nn.Conv2DTranspose(
            i, o, 3, stride=2, padding=1, output_padding=1, weight_attr=nn.initializer.KaimingNormal()
        )
        self.conv = normed(conv) if norm else conv

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return F.leaky_relu(self.conv(x), SLOPE)


class Residual(nn.Layer):
    """Two 3x3 convolutions and a shortcut, with the one batch norm after their sum.

    forward: (N, i, H, W) float32 -> (N, o, H, W) float32, or half that size with `same=False`.
    """

    def __init__(self, i: int, o: int, same: bool = True) -> None:
        super().__init__()
        stride = 1 if same else 2
        init = nn.initializer.KaimingNormal
        self.conv1 = nn.Conv2D(i, i, 3, stride, padding=1, weight_attr=init())
        self.conv2 = nn.Conv2D(i, o, 3, padding=1, weight_attr=init())
        self.shortcut = None if same else nn.Conv2D(i, o, 1, stride, weight_attr=init())
        self.norm = nn.BatchNorm2D(o)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        y = self.conv2(F.relu(self.conv1(x)))
        x = x if self.shortcut is None else self.shortcut(x)
        return F.relu(self.norm(x + y))


class Lateral(nn.Layer):
    """The bridge from an encoder feature to the decoder: four convolutions in a row, nothing between them.

    forward: (N, c, H, W) float32 -> the same shape.
    """

    def __init__(self, c: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2D(c, c, 1)
        self.conv2 = nn.Conv2D(c, 2 * c, 3, padding=1)
        self.conv3 = nn.Conv2D(2 * c, 2 * c, 3, padding=1)
        self.conv4 = nn.Conv2D(2 * c, c, 1)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.conv4(self.conv3(self.conv2(self.conv1(x))))


class NonLocal(nn.Layer):
    """Adds to every position what it finds at all the others, each weighted by its likeness to it.

    Attention with one head over the H * W positions, half the channels, no scaling, no norm, no bias.
    forward: (N, c, H, W) float32 -> the same shape. With `released` it is what the seed's code computes, and what its
    released weights are trained for: that code folds the lower half of the positions into further channels, and takes
    the softmax over the queries; H * W must be even. Without, it is the form that the seed meant. Both have the same
    parameters.
    """

    def __init__(self, c: int, released: bool = False) -> None:
        super().__init__()
        inner = max(1, c // 2)
        self.channels, self.over = (2 * inner, -2) if released else (inner, -1)
        self.query = nn.Conv2D(c, inner, 1, bias_attr=False)
        self.key = nn.Conv2D(c, inner, 1, bias_attr=False)
        self.value = nn.Conv2D(c, inner, 1, bias_attr=False)
        self.out = nn.Conv2D(inner, c, 1, bias_attr=False)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        folded = [0, self.channels, -1]  # (N, c / 2, H * W), or (N, c, H * W / 2) as released
        query, key, value = (conv(x).reshape(folded) for conv in (self.query, self.key, self.value))
        likeness = paddle.matmul(query / HEADROOM, key / HEADROOM, transpose_x=True)  # (N, queries, keys)
        share = F.softmax(likeness.astype("float32") * HEADROOM**2, axis=self.over)
        found = paddle.matmul(value, share.astype(value.dtype), transpose_y=True)  # the shape of value
        return x + self.out(found.reshape([0, self.out.weight.shape[1], x.shape[2], x.shape[3]]))


def scaler(width: float) -> Callable[[int], int]:
    """Channel counts times `width`, never below 4. Raises ValueError for a width that is not above 0, or above 4."""
    if not 0 < width <= 4:
        raise ValueError(f"width must be above 0 and at most 4, got {width}")
    return lambda channels: max(4, round(channels * width))


def normed(conv: nn.Layer) -> nn.Layer:
    """Put spectral norm on a fresh convolution, its estimate of the norm already settled."""
    spectral_norm(conv)
    [(_, hook)] = _spectral_hooks(conv)
    with paddle.no_grad():
        for _ in range(SETTLING):
            hook.compute_weight(conv, do_power_iteration=True)
    return conv


def fold_spectral_norm(layer: nn.Layer) -> nn.Layer:
    """Replace every spectral norm inside `layer` by the divided weight it stands for; returns `layer`.

    Outputs in eval mode stay equal; in the state dict `weight` takes the place of `weight_orig`, `weight_u`
    and `weight_v`. Paddle itself has no remover.
    """
    for sub in layer.sublayers(include_self=True):
        for key, hook in _spectral_hooks(sub):
            with paddle.no_grad():
                weight = hook.compute_weight(sub, do_power_iteration=False)
            del sub._forward_pre_hooks[key]
            for name in (f"{hook.name}_orig", f"{hook.name}_u", f"{hook.name}_v", hook.name):
                delattr(sub, name)
            folded = sub.create_parameter(weight.shape, dtype=weight.dtype)
            folded.set_value(weight)
            sub.add_parameter(hook.name, folded)
    return layer


def _spectral_hooks(layer: nn.Layer) -> list[tuple[int, SpectralNorm]]:
    return [(key, hook) for key, hook in layer._forward_pre_hooks.items() if isinstance(hook, SpectralNorm)]
