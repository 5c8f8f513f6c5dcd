"""PyTorch twin of dehw.models.ppocr: the same parameters under the same names, in the same order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of blue, green, red
BODY_SLOPE, NECK_SLOPE = 0.1666667, 0.2


class Size(NamedTuple):
    stem: int
    widths: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    neck: int
    kernel: int


SIZES = {
    "small": Size(24, (48, 96, 192, 384), (2, 2, 4, 2), 96, 7),
    "tiny": Size(16, (32, 48, 64, 160), (2, 2, 4, 2), 64, 5),
}


class SqueezeExcite(nn.Module):
    def __init__(self, c: int, slope: float):
        super().__init__()
        self.slope = slope
        self.squeeze, self.excite = nn.Conv2d(c, c // 4, 1), nn.Conv2d(c // 4, c, 1)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.excite(F.relu(self.squeeze(x.mean((2, 3), keepdim=True))))
        return x * (weight * self.slope + 0.5).clamp(0, 1)


class MixerBlock(nn.Module):
    def __init__(self, c: int, excite: bool):
        super().__init__()
        self.depthwise = nn.Conv2d(c, c, 3, padding=1, groups=c)
        self.excite = SqueezeExcite(c, BODY_SLOPE) if excite else nn.Identity()
        self.expand, self.project = nn.Conv2d(c, 2 * c, 1), nn.Conv2d(2 * c, c, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.excite(self.depthwise(x))
        return x + self.project(F.gelu(self.expand(x)))


class Downsample(nn.Module):
    def __init__(self, i: int, o: int):
        super().__init__()
        self.depthwise = nn.Conv2d(i, i, 3, 2, 1, groups=i)
        self.expand, self.project = nn.Conv2d(i, 2 * i, 1), nn.Conv2d(2 * i, o, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.project(F.gelu(self.expand(self.depthwise(x))))


class Stem(nn.Module):
    def __init__(self, c: int, o: int):
        super().__init__()
        self.conv1 = nn.Conv2d(3, c, 3, 2, 1)
        self.conv2a, self.conv2b = nn.Conv2d(c, c // 2, 2), nn.Conv2d(c // 2, c, 2)
        self.conv3, self.conv4 = nn.Conv2d(2 * c, c, 3, 2, 1), nn.Conv2d(c, o, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = F.pad(F.relu(self.conv1(x)), (0, 1, 0, 1))
        fine = F.relu(self.conv2b(F.pad(F.relu(self.conv2a(x)), (0, 1, 0, 1))))
        half = torch.cat([F.max_pool2d(x, 2, 1), fine], 1)
        return half, F.relu(self.conv4(F.relu(self.conv3(half))))


class PPLCNetV4(nn.Module):
    def __init__(self, size: Size):
        super().__init__()
        self.stem = Stem(size.stem, size.widths[0])
        self.stages = nn.ModuleList()
        for i, (c, depth) in enumerate(zip(size.widths, size.depths)):
            down = [Downsample(size.widths[i - 1], c)] if i else []
            self.stages.append(nn.Sequential(*down, *(MixerBlock(c, n % 2 == 0) for n in range(depth))))

    def forward(self, x: Tensor) -> list[Tensor]:
        half, x = self.stem(x)
        features = [half]
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class ExcitedConv(nn.Module):
    def __init__(self, i: int, o: int):
        super().__init__()
        self.conv, self.excite = nn.Conv2d(i, o, 1, bias=False), SqueezeExcite(o, NECK_SLOPE)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(x)
        return x + self.excite(x)


class RepLKFPN(nn.Module):
    """The depthwise kernels are frozen: their gradients cost a fifth of a training step."""

    def __init__(self, size: Size):
        super().__init__()
        c, k = size.neck, size.kernel
        self.laterals = nn.ModuleList([ExcitedConv(i, c) for i in reversed(size.widths)])
        self.outputs = nn.ModuleList(
            [nn.Sequential(nn.Conv2d(c, c, k, padding=k // 2, groups=c), ExcitedConv(c, c // 4)) for _ in size.widths]
        )
        for output in self.outputs:
            output[0].weight.requires_grad_(False)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        levels: list[Tensor] = []
        for lateral, feature in zip(self.laterals, reversed(features)):
            x = lateral(feature)
            levels.append(x + enlarged(levels[-1], 2) if levels else x)
        parts = [output(level) for output, level in zip(self.outputs, levels)]
        return torch.cat([enlarged(part, 8 >> i) for i, part in enumerate(parts)], 1)


class Trunk(nn.Module):
    """(N, 3, H, W) float32 in [0, 1] -> features at 1/2 and 1/4, in the type of the weights."""

    def __init__(self, size: str):
        super().__init__()
        self.body, self.neck = PPLCNetV4(SIZES[size]), RepLKFPN(SIZES[size])
        for name, values in (("mean", MEAN), ("std", STD)):
            self.register_buffer(name, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, tile: Tensor) -> tuple[Tensor, Tensor]:
        bgr = (tile.flip(1) - self.mean) / self.std
        half, *features = self.body(bgr.to(self.body.stem.conv1.weight.dtype))
        return half, self.neck(features)


class DBHead(nn.Module):
    def __init__(self, c: int):
        super().__init__()
        self.conv1 = nn.Conv2d(c, c // 4, 3, padding=1)
        self.conv2, self.conv3 = nn.ConvTranspose2d(c // 4, c // 4, 2, 2), nn.ConvTranspose2d(c // 4, 1, 2, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv3(F.relu(self.conv2(F.relu(self.conv1(x))))).sigmoid()


class PPOCRDetector(nn.Module):
    """(N, 3, H, W) in [0, 1] -> probability of text lines (N, 1, H, W)."""

    def __init__(self, size: str = "small"):
        super().__init__()
        self.trunk, self.head = Trunk(size), DBHead(SIZES[size].neck)

    def forward(self, tile: Tensor) -> Tensor:
        return self.head(self.trunk(tile)[1])


class MaskHead(nn.Module):
    def __init__(self, half: int, fused: int):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(fused, 96, 3, padding=1), nn.BatchNorm2d(96)
        self.conv2, self.skip = nn.Conv2d(96, 128, 1), nn.Conv2d(half, 16, 1)
        self.conv3, self.norm3 = nn.Conv2d(32 + 16, 32, 3, padding=1), nn.BatchNorm2d(32)
        self.conv4 = nn.Conv2d(32, 8, 3, padding=1)

    def forward(self, half: Tensor, fused: Tensor) -> Tensor:
        x = self.conv2(F.relu(self.norm1(self.conv1(fused))))
        x = torch.cat([F.pixel_shuffle(x, 2), self.skip(half)], 1)
        return F.pixel_shuffle(self.conv4(F.relu(self.norm3(self.conv3(x)))), 2)


class PPOCRMask(nn.Module):
    """(N, 3, H, W) in [0, 1] -> logits (N, 2, H, W); the normalisation is inside."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = Trunk("small")
        self.head = MaskHead(2 * SIZES["small"].stem, SIZES["small"].neck)

    def forward(self, tile: Tensor) -> Tensor:
        return self.head(*self.trunk(tile))


def enlarged(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode="nearest") if factor > 1 else x
