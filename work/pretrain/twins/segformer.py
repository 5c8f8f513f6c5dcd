"""PyTorch twin of PaddleSeg's SegFormer, parameters named alike (Xie et al. 2021, arXiv 2105.15203)."""

from __future__ import annotations

from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

VARIANTS = {  # MiT encoders: dims, heads, depths; spatial reduction is 8, 4, 2, 1 in all
    "segformer_b0": ((32, 64, 160, 256), (1, 2, 5, 8), (2, 2, 2, 2)),
    "segformer_b2": ((64, 128, 320, 512), (1, 2, 5, 8), (3, 4, 6, 3)),
}
REDUCTIONS = (8, 4, 2, 1)


class Attention(nn.Module):
    def __init__(self, dim: int, heads: int, reduction: int):
        super().__init__()
        self.heads, self.reduction = heads, reduction
        self.q, self.kv, self.proj = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim), nn.Linear(dim, dim)
        if reduction > 1:
            self.sr = nn.Conv2d(dim, dim, reduction, reduction)
            self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        n, length, dim = x.shape
        q = self.q(x).reshape(n, length, self.heads, -1).transpose(1, 2)
        if self.reduction > 1:
            x = self.sr(x.transpose(1, 2).reshape(n, dim, height, width)).flatten(2).transpose(1, 2)
            x = self.norm(x)
        # (n, keys, 2, heads, dim / heads) -> 2 x (n, heads, keys, dim / heads)
        k, v = self.kv(x).reshape(n, -1, 2, self.heads, dim // self.heads).permute(2, 0, 3, 1, 4)
        # plain products beat scaled_dot_product_attention on a CPU here: the reduced keys are few
        x = (q * q.shape[-1] ** -0.5 @ k.transpose(2, 3)).softmax(-1).to(v.dtype) @ v
        return self.proj(x.transpose(1, 2).reshape(n, length, dim))


class DepthwiseConv(nn.Module):
    def __init__(self, dim: int):
        super().__init__()
        self.dwconv = nn.Conv2d(dim, dim, 3, padding=1, groups=dim)


class MixFFN(nn.Module):
    def __init__(self, dim: int, ratio: int = 4):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, ratio * dim), nn.Linear(ratio * dim, dim)
        self.dwconv = DepthwiseConv(ratio * dim)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        x = self.fc1(x)
        x = x.transpose(1, 2).reshape(x.shape[0], -1, height, width)
        x = self.dwconv.dwconv(x).flatten(2).transpose(1, 2)
        return self.fc2(F.gelu(x))


class Block(nn.Module):
    def __init__(self, dim: int, heads: int, reduction: int):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(dim, eps=1e-6), nn.LayerNorm(dim, eps=1e-6)
        self.attn, self.mlp = Attention(dim, heads, reduction), MixFFN(dim)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        x = x + self.attn(self.norm1(x), height, width)
        return x + self.mlp(self.norm2(x), height, width)


class PatchEmbed(nn.Module):
    def __init__(self, channels: int, dim: int, size: int, stride: int):
        super().__init__()
        self.proj = nn.Conv2d(channels, dim, size, stride, size // 2)
        self.norm = nn.LayerNorm(dim)

    def forward(self, x: Tensor) -> tuple[Tensor, int, int]:
        x = self.proj(x)
        height, width = x.shape[2:]
        return self.norm(x.flatten(2).transpose(1, 2)), height, width


class Encoder(nn.Module):
    """Mix Transformer: four stages at 1/4, 1/8, 1/16 and 1/32."""

    def __init__(self, dims, heads, depths):
        super().__init__()
        for i in range(4):
            stem = PatchEmbed(dims[i - 1], dims[i], 3, 2) if i else PatchEmbed(3, dims[0], 7, 4)
            blocks = nn.ModuleList(Block(dims[i], heads[i], REDUCTIONS[i]) for _ in range(depths[i]))
            self.add_module(f"patch_embed{i + 1}", stem)
            self.add_module(f"block{i + 1}", blocks)
            self.add_module(f"norm{i + 1}", nn.LayerNorm(dims[i], eps=1e-6))

    def forward(self, x: Tensor) -> list[Tensor]:
        features = []
        for i in range(1, 5):
            x, height, width = getattr(self, f"patch_embed{i}")(x)
            for block in getattr(self, f"block{i}"):
                x = block(x, height, width)
            x = getattr(self, f"norm{i}")(x).transpose(1, 2).reshape(x.shape[0], -1, height, width)
            features.append(x)
        return features


class Embed(nn.Module):
    def __init__(self, channels: int, dim: int):
        super().__init__()
        self.proj = nn.Linear(channels, dim)

    def forward(self, x: Tensor) -> Tensor:
        n, _, height, width = x.shape
        return self.proj(x.flatten(2).transpose(1, 2)).transpose(1, 2).reshape(n, -1, height, width)


@cache
def interpolation(length: int, target: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Bilinear resizing of one axis as a matrix (target, length): bfloat16 units are fast at matrix products."""
    identity = torch.eye(length, device=device)[None]
    return F.interpolate(identity, target, mode="linear", align_corners=False)[0].T.contiguous().to(dtype)


def resize(x: Tensor, height: int, width: int) -> Tensor:
    """F.interpolate(x, mode="bilinear", align_corners=False) of (N, C, h, w) by two matrix products."""
    rows = interpolation(x.shape[2], height, x.dtype, x.device)
    columns = interpolation(x.shape[3], width, x.dtype, x.device)
    return rows @ x @ columns.T


class Fuse(nn.Module):
    """Resize, concatenate and fuse by a 1x1 convolution; the convolution comes first, where the features are small.

    A 1x1 convolution without bias and a bilinear resize commute, so this equals PaddleSeg's order.
    """

    def __init__(self, dim: int):
        super().__init__()
        self._conv = nn.Conv2d(4 * dim, dim, 1, bias=False)
        self._batch_norm = nn.BatchNorm2d(dim)

    def forward(self, features: list[Tensor], height: int, width: int) -> Tensor:
        weights = self._conv.weight.chunk(len(features), dim=1)
        x = sum(resize(F.conv2d(f, w), height, width) for f, w in zip(features, weights))
        return F.relu(self._batch_norm(x))


class SegFormer(nn.Module):
    """(N, 3, H, W) in [0, 1] -> logits (N, 2, H, W); the normalisation (mean and deviation 0.5) is inside."""

    def __init__(self, variant: str = "segformer_b0", embedding_dim: int = 256):
        super().__init__()
        dims, heads, depths = VARIANTS[variant]
        self.backbone = Encoder(dims, heads, depths)
        for i in range(4):
            self.add_module(f"linear_c{i + 1}", Embed(dims[i], embedding_dim))
        self.linear_fuse = Fuse(embedding_dim)
        self.linear_pred = nn.Conv2d(embedding_dim, 2, 1)
        self.apply(self._init)

    @staticmethod
    def _init(module: nn.Module) -> None:
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Conv2d):
            fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
            nn.init.normal_(module.weight, 0, (2 / fan_out) ** 0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        c1, c2, c3, c4 = self.backbone((x - 0.5) / 0.5)
        embedded = [self.linear_c4(c4), self.linear_c3(c3), self.linear_c2(c2), self.linear_c1(c1)]
        logits = self.linear_pred(self.linear_fuse(embedded, *c1.shape[2:]))
        return resize(logits, *x.shape[2:])
