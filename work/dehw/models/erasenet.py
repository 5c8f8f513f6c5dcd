"""EraseNet: the generators of the contest's second seed: coarse stage, mask branch and one of three refinements.

Liu et al., "EraseNet: End-to-End Text Removal in the Wild", IEEE TIP 2020. The images it takes and gives
are RGB in [0, 1]; nothing squashes its outputs.
"""

from __future__ import annotations

from collections.abc import Callable

import paddle
from paddle import nn

from dehw.models.aidr import AIDR
from dehw.models.layers import ConvAct, DeconvAct, Lateral, Residual, normed, scaler

DOWN = 32  # the encoder halves five times
NONLOCAL_FORMS = ("corrected", "released")
Features = tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor, paddle.Tensor]


class EraseNet(nn.Layer):
    """Erases handwriting from a page in two stages and tells where it saw any.

    `width` multiplies every channel count but those of images. `refinement` names the second stage: `dilated` is
    EraseNet's own, `nonlocal` AIDR, `multiscale` AIDR without its non-local blocks. `nonlocal_form` is that of these
    blocks: `corrected`, or `released` for the seed's own weights, see NonLocal. `spectral_norm=False` leaves the
    convolutions bare; those of AIDR always are.
    """

    def __init__(
        self,
        width: float = 1.0,
        refinement: str = "dilated",
        spectral_norm: bool = True,
        nonlocal_form: str = "corrected",
    ) -> None:
        super().__init__()
        if refinement not in REFINEMENTS:
            raise ValueError(f"refinement must be one of {', '.join(REFINEMENTS)}, got {refinement!r}")
        if nonlocal_form not in NONLOCAL_FORMS:
            raise ValueError(f"nonlocal_form must be one of {', '.join(NONLOCAL_FORMS)}, got {nonlocal_form!r}")
        released = nonlocal_form == "released"
        if released and refinement != "nonlocal":
            raise ValueError(f"nonlocal_form: released needs refinement: nonlocal, not {refinement}")
        scaled = scaler(width)
        self._build_encoder(scaled, spectral_norm)
        self._build_decoder(scaled, spectral_norm)
        self._build_mask_branch(scaled, spectral_norm)
        self.refine = AIDR(scaled, released=True) if released else REFINEMENTS[refinement](scaled, spectral_norm)

    def _build_encoder(self, scaled: Callable[[int], int], sn: bool) -> None:
        c32, c64, c128, c256, c512 = (scaled(c) for c in (32, 64, 128, 256, 512))
        self.conv1 = ConvAct(3, c32, 4, stride=2, norm=sn)
        self.conva = ConvAct(c32, c32, norm=sn)
        self.convb = ConvAct(c32, c64, 4, stride=2, norm=sn)
        self.res1 = Residual(c64, c64)
        self.res2 = Residual(c64, c64)
        self.res3 = Residual(c64, c128, same=False)
        self.res4 = Residual(c128, c128)
        self.res5 = Residual(c128, c256, same=False)
        self.res6 = Residual(c256, c256)
        self.res7 = Residual(c256, c512, same=False)
        self.res8 = Residual(c512, c512)
        self.conv2 = ConvAct(c512, c512, 1, padding=0, norm=sn)

    def _build_decoder(self, scaled: Callable[[int], int], sn: bool) -> None:
        c32, c64, c128, c256, c512 = (scaled(c) for c in (32, 64, 128, 256, 512))
        self.lateral1 = Lateral(c256)
        self.lateral2 = Lateral(c128)
        self.lateral3 = Lateral(c64)
        self.lateral4 = Lateral(c32)
        self.deconv1 = DeconvAct(c512, c256, norm=sn)
        self.deconv2 = DeconvAct(2 * c256, c128, norm=sn)
        self.deconv3 = DeconvAct(2 * c128, c64, norm=sn)
        self.deconv4 = DeconvAct(2 * c64, c32, norm=sn)
        self.deconv5 = DeconvAct(2 * c32, 3, norm=sn)
        self.out1 = nn.Conv2D(c64, 3, 1)
        self.out2 = nn.Conv2D(c32, 3, 1)

    def _build_mask_branch(self, scaled: Callable[[int], int], sn: bool) -> None:
        c32, c64, c128, c256, c512 = (scaled(c) for c in (32, 64, 128, 256, 512))
        self.mask_deconv_a = DeconvAct(2 * c256, c256, norm=sn)
        self.mask_conv_a = ConvAct(c256, c128, norm=sn)
        self.mask_deconv_b = DeconvAct(2 * c128, c128, norm=sn)
        self.mask_conv_b = ConvAct(c128, c64, norm=sn)
        self.mask_deconv_c = DeconvAct(2 * c64, c64, norm=sn)
        self.mask_conv_c = ConvAct(c64, c32, norm=sn)
        self.mask_deconv_d = DeconvAct(2 * c32, c32, norm=sn)
        self.mask_out = nn.Conv2D(c32, 3, 1)

    def forward(self, x: paddle.Tensor) -> tuple[paddle.Tensor, ...]:
        """Everything training looks at.

        x: (N, 3, H, W) float32 RGB in [0, 1], H and W multiples of 32, else ValueError. Returns, all float32
        and unbounded: the erased page at a quarter of the size (N, 3, H/4, W/4), at half (N, 3, H/2, W/2),
        coarse (N, 3, H, W) and final (N, 3, H, W); the handwriting's logits, thrice (N, 3, H, W).
        """
        skips, mid, deep = self._encode(x)
        quarter, half, coarse = self._decode(skips, deep)
        final = self.refine(coarse, skips)
        return self.out1(quarter), self.out2(half), coarse, final, self._mask_logits(skips, mid)

    def infer(self, tile: paddle.Tensor, mask: paddle.Tensor) -> paddle.Tensor:
        """The erased page alone: (N, 3, H, W) float32 in [0, 1] -> the same shape, not clipped.

        `mask` (N, 1, H, W) is what every generator is given; this one finds the handwriting by itself.
        """
        skips, _, deep = self._encode(tile)
        return self.refine(self._decode(skips, deep)[2], skips)

    def _encode(self, x: paddle.Tensor) -> tuple[Features, paddle.Tensor, paddle.Tensor]:
        height, width = x.shape[2:]
        if height % DOWN or width % DOWN:
            raise ValueError(f"EraseNet takes sides that are multiples of {DOWN}, got {height} x {width}")
        x1 = self.conva(self.conv1(x))  # 1/2
        x2 = self.res1(self.convb(x1))  # 1/4
        x3 = self.res3(self.res2(x2))  # 1/8
        x4 = self.res5(self.res4(x3))  # 1/16
        mid = self.res6(x4)
        deep = self.conv2(self.res8(self.res7(mid)))  # 1/32
        return (x1, x2, x3, x4), mid, deep

    def _decode(self, skips: Features, deep: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor, paddle.Tensor]:
        """Features at 1/4 and 1/2 of the size, and the coarse image."""
        x1, x2, x3, x4 = skips
        x = self.deconv1(deep)
        x = self.deconv2(paddle.concat([self.lateral1(x4), x], axis=1))
        quarter = self.deconv3(paddle.concat([self.lateral2(x3), x], axis=1))
        half = self.deconv4(paddle.concat([self.lateral3(x2), quarter], axis=1))
        coarse = self.deconv5(paddle.concat([self.lateral4(x1), half], axis=1))
        return quarter, half, coarse

    def _mask_logits(self, skips: Features, mid: paddle.Tensor) -> paddle.Tensor:
        x1, x2, x3, x4 = skips
        x = self.mask_conv_a(self.mask_deconv_a(paddle.concat([mid, x4], axis=1)))
        x = self.mask_conv_b(self.mask_deconv_b(paddle.concat([x, x3], axis=1)))
        x = self.mask_conv_c(self.mask_deconv_c(paddle.concat([x, x2], axis=1)))
        return self.mask_out(self.mask_deconv_d(paddle.concat([x, x1], axis=1)))


class DilatedRefinement(nn.Layer):
    """EraseNet's own second stage: two halvings, four dilated convolutions, and back up.

    forward: (coarse (N, 3, H, W), the encoder's features) -> final (N, 3, H, W), all float32.
    """

    def __init__(self, scaled: Callable[[int], int], sn: bool) -> None:
        super().__init__()
        c16, c32, c64, c128 = (scaled(c) for c in (16, 32, 64, 128))
        self.conva = ConvAct(3, c32, 5, padding=2, norm=sn)
        self.convb = ConvAct(c32, c64, 4, stride=2, norm=sn)
        self.convc = ConvAct(c64, c64, norm=sn)
        self.convd = ConvAct(c64, c128, 4, stride=2, norm=sn)
        self.conve = ConvAct(c128, c128, norm=sn)
        self.convf = ConvAct(c128, c128, norm=sn)
        self.atrous1 = ConvAct(c128, c128, padding=2, dilation=2, norm=sn)
        self.atrous2 = ConvAct(c128, c128, padding=4, dilation=4, norm=sn)
        self.atrous3 = ConvAct(c128, c128, padding=8, dilation=8, norm=sn)
        self.atrous4 = ConvAct(c128, c128, padding=16, dilation=16, norm=sn)
        self.convk = ConvAct(c128, c128, norm=sn)
        self.convl = ConvAct(c128, c128, norm=sn)
        self.skip1 = nn.Conv2D(c32, c64, 1)
        self.skip2 = nn.Conv2D(c64, c128, 1)
        self.deconv1 = DeconvAct(3 * c128, c64, norm=sn)
        self.convm = ConvAct(c64, c64, norm=sn)
        self.deconv2 = DeconvAct(3 * c64, c32, norm=sn)
        self.convn = ConvAct(c32, c16, norm=sn)
        out = nn.Conv2D(c16, 3, 3, padding=1, weight_attr=nn.initializer.KaimingNormal())
        self.out = normed(out) if sn else out

    def forward(self, coarse: paddle.Tensor, skips: Features) -> paddle.Tensor:
        x1, x2 = skips[:2]
        half = self.convc(self.convb(self.conva(coarse)))
        quarter = self.convf(self.conve(self.convd(half)))
        x = self.atrous4(self.atrous3(self.atrous2(self.atrous1(quarter))))
        x = self.convl(self.convk(x))
        x = self.convm(self.deconv1(paddle.concat([x, quarter, self.skip2(x2)], axis=1)))
        x = self.deconv2(paddle.concat([x, half, self.skip1(x1)], axis=1))
        return self.out(self.convn(x))


REFINEMENTS: dict[str, Callable[[Callable[[int], int], bool], nn.Layer]] = {
    "dilated": DilatedRefinement,
    "multiscale": lambda scaled, sn: AIDR(scaled, attention=False),
    "nonlocal": lambda scaled, sn: AIDR(scaled),
}
