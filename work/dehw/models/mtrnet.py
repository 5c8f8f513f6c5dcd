"""MTRNet++ as the contest's first seed changed it: two plain encoder-decoders, the mask between and after them.

Tursun et al., "MTRNet++: One-stage Mask-based Scene Text Eraser", CVIU 2020. Its mask branch and the gates A1-A4
are gone, for the mask comes from SegFormer; nowhere outside the mask can the network change a page.
"""

from __future__ import annotations

from collections.abc import Callable

import paddle
from paddle import nn

from dehw.models.layers import normed, scaler

DOWN = 4  # the encoders halve twice
INIT_STD = 0.02
COARSE_BLOCKS, FINE_BLOCKS = 6, 2


class MTRNet(nn.Layer):
    """Writes the masked pixels of a page anew, in a coarse stage and a fine one.

    `width` multiplies every channel count but those of images. `mask_input` gives the mask to the coarse stage too,
    as a 4th channel; the fine stage always has it. `whiten` paints the masked pixels white before the network sees
    them. `spectral_norm` puts every convolution under it, which MTRNet++ leaves to the discriminator.
    """

    def __init__(
        self, width: float = 1.0, mask_input: bool = False, whiten: bool = False, spectral_norm: bool = False
    ) -> None:
        super().__init__()
        self.mask_input, self.whiten = mask_input, whiten
        scaled = scaler(width)
        self.coarse = EncoderDecoder(4 if mask_input else 3, COARSE_BLOCKS, scaled, spectral_norm)
        self.fine = EncoderDecoder(4, FINE_BLOCKS, scaled, spectral_norm)

    def forward(self, x: paddle.Tensor, mask: paddle.Tensor | None = None) -> tuple[paddle.Tensor, paddle.Tensor]:
        """Everything training looks at: the page after the fine stage and after the coarse one.

        x: (N, 3, H, W) float32 RGB in [0, 1], H and W multiples of 4, else ValueError; mask: (N, 1, H, W) float32,
        1 = handwriting, 0 = keep, None for the whole page. Returns two (N, 3, H, W) float32 in [0, 1], each equal
        to x where the mask is 0.
        """
        height, width = x.shape[2:]
        if height % DOWN or width % DOWN:
            raise ValueError(f"MTRNet takes sides that are multiples of {DOWN}, got {height} x {width}")
        mask = paddle.ones_like(x[:, :1]) if mask is None else mask
        seen = compose(paddle.ones_like(x), x, mask) if self.whiten else x
        coarse = self.coarse(paddle.concat([seen, mask], axis=1) if self.mask_input else seen)
        coarse = compose(coarse, x, mask)
        fine = self.fine(paddle.concat([coarse, mask], axis=1))
        return compose(fine, x, mask), coarse

    def infer(self, tile: paddle.Tensor, mask: paddle.Tensor) -> paddle.Tensor:
        """The erased page alone: (N, 3, H, W) and mask (N, 1, H, W) -> (N, 3, H, W), all float32 in [0, 1]."""
        return self.forward(tile, mask)[0]


class EncoderDecoder(nn.Layer):
    """Two halvings, dilated residual blocks, two doublings; `i` channels in, an image out.

    forward: (N, i, H, W) float32 -> (N, 3, H, W) float32 in [0, 1].
    """

    def __init__(self, i: int, blocks: int, scaled: Callable[[int], int], sn: bool) -> None:
        super().__init__()
        c64, c128, c256 = (scaled(c) for c in (64, 128, 256))
        self.down = nn.Sequential(
            ConvNorm(_conv(i, c64, 7, reflect=3, sn=sn), c64),
            ConvNorm(_conv(c64, c128, 4, stride=2, padding=1, sn=sn), c128),
            ConvNorm(_conv(c128, c256, 4, stride=2, padding=1, sn=sn), c256),
        )
        self.blocks = nn.Sequential(*(DilatedResidual(c256, sn) for _ in range(blocks)))
        self.up = nn.Sequential(ConvNorm(_deconv(c256, c128, sn), c128), ConvNorm(_deconv(c128, c64, sn), c64))
        self.out = _conv(c64, 3, 7, reflect=3, sn=sn)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return (paddle.tanh(self.out(self.up(self.blocks(self.down(x))))) + 1) / 2


class DilatedResidual(nn.Layer):
    """A 3x3 convolution of dilation 2 and a plain one, added to what came in; nothing after the sum.

    forward: (N, c, H, W) float32, H and W above 2 -> the same shape.
    """

    def __init__(self, c: int, sn: bool) -> None:
        super().__init__()
        self.wide = ConvNorm(_conv(c, c, 3, reflect=2, dilation=2, bias=False, sn=sn), c)
        self.narrow = ConvNorm(_conv(c, c, 3, reflect=1, bias=False, sn=sn), c, act=False)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return x + self.narrow(self.wide(x))


class ConvNorm(nn.Layer):
    """A convolution, instance norm with a learnt scale and shift, and ReLU unless `act` is off."""

    def __init__(self, conv: nn.Layer, channels: int, act: bool = True) -> None:
        super().__init__()
        self.conv, self.norm, self.act = conv, nn.InstanceNorm2D(channels), act

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = self.norm(self.conv(x))
        return nn.functional.relu(x) if self.act else x


def compose(generated: paddle.Tensor, page: paddle.Tensor, mask: paddle.Tensor) -> paddle.Tensor:
    """cmp: the generated pixels where the mask is 1, the page's own where it is 0.

    generated and page (N, 3, H, W), mask (N, 1, H, W) in [0, 1] -> (N, 3, H, W) of page's dtype.
    """
    return generated.astype(page.dtype) * mask + page * (1 - mask)


def _conv(
    i: int, o: int, kernel: int, stride: int = 1, padding: int = 0, reflect: int = 0, dilation: int = 1,
    bias: bool = True, sn: bool = False,
) -> nn.Layer:  # fmt: skip
    """A convolution padded by zeros, or by the mirrored image where `reflect` says how far."""
    conv = nn.Conv2D(
        i, o, kernel, stride, reflect or padding, dilation, padding_mode="reflect" if reflect else "zeros",
        weight_attr=nn.initializer.Normal(0.0, INIT_STD), bias_attr=None if bias else False,
    )  # fmt: skip
    return normed(conv) if sn else conv


def _deconv(i: int, o: int, sn: bool) -> nn.Layer:
    conv = nn.Conv2DTranspose(i, o, 4, stride=2, padding=1, weight_attr=nn.initializer.Normal(0.0, INIT_STD))
    return normed(conv) if sn else conv
