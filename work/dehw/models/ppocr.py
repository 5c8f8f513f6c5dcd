"""The text detectors of PP-OCRv6, and the mask network that starts from the larger one.

PaddleOCR 3.7 (Apache-2.0): body PPLCNetV4, neck RepLKFPN, head DB (Liao et al., "Real-Time Scene Text Detection with
Differentiable Binarization", 2020). As deployed: batch norms and parallel branches are folded into the convolutions.
The layers stand in the order of the deployed graph, which work/pretrain/detector.py relies on.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import paddle
from paddle import nn
from paddle.nn import functional as F
from paddleseg.cvlibs import manager

from dehw.errors import WeightsError
from dehw.files.pickles import read_state

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of blue, green, red: the detectors were trained on BGR
DOWN = 32  # the body halves five times
BODY_SLOPE, NECK_SLOPE = 0.1666667, 0.2  # of the hard sigmoids, as the graph has them
SHIPPED = Path(__file__).parents[1] / "engine" / "shipped"


class Size(NamedTuple):
    """Channels and depths of a detector; the neck's depthwise kernels are `kernel` px wide."""

    stem: int
    widths: tuple[int, int, int, int]
    depths: tuple[int, int, int, int]
    neck: int
    kernel: int


SIZES = {
    "small": Size(24, (48, 96, 192, 384), (2, 2, 4, 2), 96, 7),
    "tiny": Size(16, (32, 48, 64, 160), (2, 2, 4, 2), 64, 5),
}


class SqueezeExcite(nn.Layer):
    """Weighs each channel by what all positions say together (Hu et al. 2018): (N, c, H, W) -> the same shape."""

    def __init__(self, c: int, slope: float) -> None:
        super().__init__()
        self.slope = slope
        self.squeeze = nn.Conv2D(c, c // 4, 1)
        self.excite = nn.Conv2D(c // 4, c, 1)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        weight = self.excite(F.relu(self.squeeze(x.mean([2, 3], keepdim=True))))  # (N, c, 1, 1)
        return x * F.hardsigmoid(weight, self.slope)


class MixerBlock(nn.Layer):
    """Positions mixed by a depthwise convolution, then channels: (N, c, H, W) -> the same shape."""

    def __init__(self, c: int, excite: bool) -> None:
        super().__init__()
        self.depthwise = nn.Conv2D(c, c, 3, padding=1, groups=c)
        self.excite = SqueezeExcite(c, BODY_SLOPE) if excite else nn.Identity()
        self.expand = nn.Conv2D(c, 2 * c, 1)
        self.project = nn.Conv2D(2 * c, c, 1)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = self.excite(self.depthwise(x))
        return x + self.project(F.gelu(self.expand(x)))


class Downsample(nn.Layer):
    """A mixer without the shortcut that halves the size: (N, i, H, W) -> (N, o, H / 2, W / 2)."""

    def __init__(self, i: int, o: int) -> None:
        super().__init__()
        self.depthwise = nn.Conv2D(i, i, 3, stride=2, padding=1, groups=i)
        self.expand = nn.Conv2D(i, 2 * i, 1)
        self.project = nn.Conv2D(2 * i, o, 1)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.project(F.gelu(self.expand(self.depthwise(x))))


class Stem(nn.Layer):
    """(N, 3, H, W) -> what it sees at half the size (N, 2c, H / 2, W / 2), and (N, o, H / 4, W / 4)."""

    def __init__(self, c: int, o: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2D(3, c, 3, stride=2, padding=1)
        self.conv2a = nn.Conv2D(c, c // 2, 2, padding="SAME")  # by a row below and a column right
        self.conv2b = nn.Conv2D(c // 2, c, 2, padding="SAME")
        self.conv3 = nn.Conv2D(2 * c, c, 3, stride=2, padding=1)
        self.conv4 = nn.Conv2D(c, o, 1)

    def forward(self, x: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
        x = F.relu(self.conv1(x))
        fine = F.relu(self.conv2b(F.relu(self.conv2a(x))))
        half = paddle.concat([F.max_pool2d(x, 2, stride=1, padding="SAME"), fine], axis=1)
        return half, F.relu(self.conv4(F.relu(self.conv3(half))))


class PPLCNetV4(nn.Layer):
    """The body: (N, 3, H, W) -> features at 1/2, 1/4, 1/8, 1/16 and 1/32 of the size.

    The first has 2 * stem channels, the others `widths`. Every other block squeezes and excites.
    """

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.stem = Stem(size.stem, size.widths[0])
        self.stages = nn.LayerList()
        for i, (c, depth) in enumerate(zip(size.widths, size.depths)):
            down = [Downsample(size.widths[i - 1], c)] if i else []
            self.stages.append(nn.Sequential(*down, *(MixerBlock(c, n % 2 == 0) for n in range(depth))))

    def forward(self, x: paddle.Tensor) -> list[paddle.Tensor]:
        half, x = self.stem(x)
        features = [half]
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


class ExcitedConv(nn.Layer):
    """A pointwise convolution, and what squeeze and excitation makes of it: (N, i, H, W) -> (N, o, H, W)."""

    def __init__(self, i: int, o: int) -> None:
        super().__init__()
        self.conv = nn.Conv2D(i, o, 1, bias_attr=False)
        self.excite = SqueezeExcite(o, NECK_SLOPE)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = self.conv(x)
        return x + self.excite(x)


class RepLKFPN(nn.Layer):
    """The neck, a feature pyramid with large depthwise kernels: four features -> (N, neck, H / 4, W / 4)."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        c, kernel = size.neck, size.kernel
        self.laterals = nn.LayerList([ExcitedConv(i, c) for i in reversed(size.widths)])
        self.outputs = nn.LayerList(
            nn.Sequential(nn.Conv2D(c, c, kernel, padding=kernel // 2, groups=c), ExcitedConv(c, c // 4))
            for _ in size.widths
        )

    def forward(self, features: Sequence[paddle.Tensor]) -> paddle.Tensor:
        """features: (N, widths[i], H >> i + 2, W >> i + 2), finest first."""
        levels: list[paddle.Tensor] = []  # coarsest first
        for lateral, feature in zip(self.laterals, reversed(features)):
            x = lateral(feature)
            levels.append(x + _enlarged(levels[-1], 2) if levels else x)
        parts = [output(level) for output, level in zip(self.outputs, levels)]
        return paddle.concat([_enlarged(part, 8 >> i) for i, part in enumerate(parts)], axis=1)


class Trunk(nn.Layer):
    """Body and neck, which the detector and the mask network have in common.

    forward: RGB (N, 3, H, W) float32 in [0, 1], H and W multiples of 32, else ValueError -> the stem's feature
    (N, 2 * stem, H / 2, W / 2) and the neck's (N, neck, H / 4, W / 4).
    """

    def __init__(self, size: str) -> None:
        super().__init__()
        self.body = PPLCNetV4(SIZES[size])
        self.neck = RepLKFPN(SIZES[size])

    def forward(self, tile: paddle.Tensor) -> tuple[paddle.Tensor, paddle.Tensor]:
        height, width = tile.shape[2:]
        if any(isinstance(side, int) and side % DOWN for side in (height, width)):  # an export may leave them open
            raise ValueError(f"height and width must be multiples of {DOWN}, got {height} x {width}")
        mean, std = (paddle.to_tensor(values).reshape([1, 3, 1, 1]) for values in (MEAN, STD))
        half, *features = self.body((tile.flip([1]) - mean) / std)
        return half, self.neck(features)


class DBHead(nn.Layer):
    """The neck's feature (N, c, H / 4, W / 4) -> probability of text lines, shrunk, (N, 1, H, W)."""

    def __init__(self, c: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2D(c, c // 4, 3, padding=1)
        self.conv2 = nn.Conv2DTranspose(c // 4, c // 4, 2, stride=2)
        self.conv3 = nn.Conv2DTranspose(c // 4, 1, 2, stride=2)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return F.sigmoid(self.conv3(F.relu(self.conv2(F.relu(self.conv1(x))))))


class PPOCRDetector(nn.Layer):
    """A text detector of PP-OCRv6, `size` small or tiny. Raises ValueError for another one."""

    def __init__(self, size: str = "small") -> None:
        super().__init__()
        if size not in SIZES:
            raise ValueError(f"size must be one of {', '.join(SIZES)}, got {size!r}")
        self.trunk = Trunk(size)
        self.head = DBHead(SIZES[size].neck)

    def forward(self, tile: paddle.Tensor) -> paddle.Tensor:
        """Lines of text, each shrunk towards its middle by area * 1.5 / perimeter.

        RGB (N, 3, H, W) float32 in [0, 1], H and W multiples of 32 -> probability (N, 1, H, W) float32 in [0, 1].
        """
        return self.head(self.trunk(tile)[1])

    infer = forward


class MaskHead(nn.Layer):
    """Both features of the trunk -> logits of the rest and of handwriting, (N, 2, H, W)."""

    def __init__(self, half: int, fused: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2D(fused, 96, 3, padding=1)
        self.norm1 = nn.BatchNorm2D(96)
        self.conv2 = nn.Conv2D(96, 128, 1)
        self.skip = nn.Conv2D(half, 16, 1)
        self.conv3 = nn.Conv2D(32 + 16, 32, 3, padding=1)
        self.norm3 = nn.BatchNorm2D(32)
        self.conv4 = nn.Conv2D(32, 8, 3, padding=1)

    def forward(self, half: paddle.Tensor, fused: paddle.Tensor) -> paddle.Tensor:
        x = self.conv2(F.relu(self.norm1(self.conv1(fused))))  # (N, 128, H / 4, W / 4)
        x = paddle.concat([F.pixel_shuffle(x, 2), self.skip(half)], axis=1)  # (N, 48, H / 2, W / 2)
        x = F.relu(self.norm3(self.conv3(x)))
        return F.pixel_shuffle(self.conv4(x), 2)


@manager.MODELS.add_component
class PPOCRMask(nn.Layer):
    """The mask network: the small detector's trunk under a light head, which draws what the trunk recognises.

    num_classes and in_channels are 2 and 3; PaddleSeg's builder names them. pretrained: a file with the trunk's
    weights, or the name of a shipped one; None begins with random ones. Raises ValueError, WeightsError.
    """

    def __init__(self, num_classes: int = 2, in_channels: int = 3, pretrained: str | None = None) -> None:
        super().__init__()
        if (num_classes, in_channels) != (2, 3):
            raise ValueError(f"num_classes and in_channels must be 2 and 3, got {num_classes} and {in_channels}")
        self.trunk = Trunk("small")
        self.head = MaskHead(2 * SIZES["small"].stem, SIZES["small"].neck)
        if pretrained:
            _fill(self.trunk, SHIPPED / pretrained if Path(pretrained).name == pretrained else Path(pretrained))

    def forward(self, x: paddle.Tensor) -> list[paddle.Tensor]:
        """RGB (N, 3, H, W) as PaddleSeg's Normalize leaves it (mean and std 0.5) -> [logits (N, 2, H, W)]."""
        return [self._logits(x * 0.5 + 0.5)]

    def infer(self, tile: paddle.Tensor) -> paddle.Tensor:
        """Handwriting: (N, 3, H, W) float32 RGB in [0, 1] -> probability (N, 1, H, W) float32 in [0, 1]."""
        logits = self._logits(tile)
        return F.sigmoid(logits[:, 1:] - logits[:, :1])  # the softmax of two

    def _logits(self, tile: paddle.Tensor) -> paddle.Tensor:
        return self.head(*self.trunk(tile))


def ppocr_tiny_lines() -> PPOCRDetector:
    """The 0.4 M parameter text detector, which finds a page's lines."""
    return PPOCRDetector("tiny")


def _enlarged(x: paddle.Tensor, factor: int) -> paddle.Tensor:
    return F.interpolate(x, scale_factor=factor, mode="nearest") if factor > 1 else x


def _fill(trunk: Trunk, path: Path) -> None:
    """Set all of a trunk's arrays from a file that holds nothing else. Raises WeightsError."""
    if not path.is_file():
        raise WeightsError(f"{path}: there is no such file; name another by `pretrained`, or null for none.")
    state, own = read_state(path), trunk.state_dict()
    if {key: tuple(value.shape) for key, value in own.items()} != {key: np.shape(v) for key, v in state.items()}:
        raise WeightsError(f"{path} does not hold the trunk of PPOCRMask; work/pretrain/detector.py writes such files.")
    for key, value in own.items():
        value.set_value(state[key].astype("float32"))
