"""PyTorch twin of dehw.models.erasenet: the same parameters under the same names (Liu et al. 2020, EraseNet).

Spectral norm is left out: it is folded into the weights that ship, so both forms have the same parameters.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class ConvAct(nn.Module):
    """Convolution, then LeakyReLU 0.2."""

    def __init__(self, i: int, o: int, kernel: int = 3, stride: int = 1, padding: int = 1, dilation: int = 1):
        super().__init__()
        self.conv = nn.Conv2d(i, o, kernel, stride, padding, dilation)
        nn.init.kaiming_normal_(self.conv.weight, a=0.2)
        nn.init.zeros_(self.conv.bias)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.conv(x), 0.2)


class DeconvAct(nn.Module):
    """Transposed convolution that doubles the size, then LeakyReLU 0.2."""

    def __init__(self, i: int, o: int):
        super().__init__()
        self.conv = nn.ConvTranspose2d(i, o, 3, 2, 1, output_padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.conv(x), 0.2)


class Residual(nn.Module):
    def __init__(self, i: int, o: int, stride: int = 1):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(i, i, 3, stride, 1), nn.Conv2d(i, o, 3, 1, 1)
        if stride > 1:
            self.shortcut = nn.Conv2d(i, o, 1, stride)
        self.norm = nn.BatchNorm2d(o, momentum=0.05)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv2(F.relu(self.conv1(x)))
        x = self.shortcut(x) if hasattr(self, "shortcut") else x
        return F.relu(self.norm(y + x))


class Lateral(nn.Module):
    def __init__(self, c: int):
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(c, c, 1), nn.Conv2d(c, 2 * c, 3, padding=1)
        self.conv3, self.conv4 = nn.Conv2d(2 * c, 2 * c, 3, padding=1), nn.Conv2d(2 * c, c, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv4(self.conv3(self.conv2(self.conv1(x))))


class Refinement(nn.Module):
    """The second stage of EraseNet: a dilated encoder-decoder over the coarse page."""

    def __init__(self, c32: int, c64: int, c128: int, c16: int):
        super().__init__()
        self.conva, self.convb = ConvAct(3, c32, 5, 1, 2), ConvAct(c32, c64, 4, 2, 1)
        self.convc, self.convd = ConvAct(c64, c64), ConvAct(c64, c128, 4, 2, 1)
        self.conve, self.convf = ConvAct(c128, c128), ConvAct(c128, c128)
        for i, dilation in enumerate((2, 4, 8, 16), 1):
            self.add_module(f"atrous{i}", ConvAct(c128, c128, 3, 1, dilation, dilation))
        self.convk, self.convl = ConvAct(c128, c128), ConvAct(c128, c128)
        self.skip1, self.skip2 = nn.Conv2d(c32, c64, 1), nn.Conv2d(c64, c128, 1)
        self.deconv1, self.convm = DeconvAct(3 * c128, c64), ConvAct(c64, c64)
        self.deconv2, self.convn = DeconvAct(3 * c64, c32), ConvAct(c32, c16)
        self.out = nn.Conv2d(c16, 3, 3, padding=1)

    def forward(self, coarse: Tensor, x1: Tensor, x2: Tensor) -> Tensor:
        half = self.convc(self.convb(self.conva(coarse)))
        quarter = self.convf(self.conve(self.convd(half)))
        x = quarter
        for i in range(1, 5):
            x = getattr(self, f"atrous{i}")(x)
        x = self.convl(self.convk(x))
        x = self.convm(self.deconv1(torch.cat([x, quarter, self.skip2(x2)], 1)))
        x = self.convn(self.deconv2(torch.cat([x, half, self.skip1(x1)], 1)))
        return self.out(x)


class EraseNet(nn.Module):
    """(N, 3, H, W) in [0, 1] -> (page at 1/4, page at 1/2, coarse page, final page, mask logits), each (N, 3, ., .)."""

    def __init__(self, width: float = 1.0):
        super().__init__()
        c16, c32, c64, c128, c256, c512 = (max(4, round(c * width)) for c in (16, 32, 64, 128, 256, 512))
        self.conv1, self.conva, self.convb = ConvAct(3, c32, 4, 2), ConvAct(c32, c32), ConvAct(c32, c64, 4, 2)
        self.res1, self.res2, self.res3 = Residual(c64, c64), Residual(c64, c64), Residual(c64, c128, 2)
        self.res4, self.res5, self.res6 = Residual(c128, c128), Residual(c128, c256, 2), Residual(c256, c256)
        self.res7, self.res8, self.conv2 = Residual(c256, c512, 2), Residual(c512, c512), ConvAct(c512, c512, 1, 1, 0)
        self.lateral1, self.lateral2, self.lateral3, self.lateral4 = (Lateral(c) for c in (c256, c128, c64, c32))
        self.deconv1, self.deconv2, self.deconv3 = (
            DeconvAct(c512, c256),
            DeconvAct(2 * c256, c128),
            DeconvAct(2 * c128, c64),
        )
        self.deconv4, self.deconv5 = DeconvAct(2 * c64, c32), DeconvAct(2 * c32, 3)
        self.out1, self.out2 = nn.Conv2d(c64, 3, 1), nn.Conv2d(c32, 3, 1)
        self.mask_deconv_a, self.mask_conv_a = DeconvAct(2 * c256, c256), ConvAct(c256, c128)
        self.mask_deconv_b, self.mask_conv_b = DeconvAct(2 * c128, c128), ConvAct(c128, c64)
        self.mask_deconv_c, self.mask_conv_c = DeconvAct(2 * c64, c64), ConvAct(c64, c32)
        self.mask_deconv_d, self.mask_out = DeconvAct(2 * c32, c32), nn.Conv2d(c32, 3, 1)
        self.refine = Refinement(c32, c64, c128, c16)

    def forward(self, page: Tensor) -> tuple[Tensor, ...]:
        x1 = self.conva(self.conv1(page))
        x2 = self.res1(self.convb(x1))
        x3 = self.res3(self.res2(x2))
        x4 = self.res5(self.res4(x3))
        deep = self.res6(x4)
        x = self.deconv1(self.conv2(self.res8(self.res7(deep))))
        x = self.deconv2(torch.cat([self.lateral1(x4), x], 1))
        quarter = self.deconv3(torch.cat([self.lateral2(x3), x], 1))
        half = self.deconv4(torch.cat([self.lateral3(x2), quarter], 1))
        coarse = self.deconv5(torch.cat([self.lateral4(x1), half], 1))
        m = self.mask_conv_a(self.mask_deconv_a(torch.cat([deep, x4], 1)))
        m = self.mask_conv_b(self.mask_deconv_b(torch.cat([m, x3], 1)))
        m = self.mask_conv_c(self.mask_deconv_c(torch.cat([m, x2], 1)))
        mask = self.mask_out(self.mask_deconv_d(torch.cat([m, x1], 1)))
        return self.out1(quarter), self.out2(half), coarse, self.refine(coarse, x1, x2), mask
