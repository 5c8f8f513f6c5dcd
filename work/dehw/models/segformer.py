"""SegFormer: PaddleSeg's own network, with the way from a page to a probability.

Xie et al., "SegFormer: Simple and Efficient Design for Semantic Segmentation with Transformers", 2021. The
state dict is PaddleSeg's, so its checkpoints load here and ours there.
"""

from __future__ import annotations

import paddle
from paddle.nn import functional as F
from paddleseg.models import SegFormer as PaddleSegFormer
from paddleseg.models.backbones import MixVisionTransformer_B0, MixVisionTransformer_B2

WIDEST = 4096  # channels of an embedding; the published networks have up to 768
HANDWRITING = 1  # the class index; 0 is everything else


class SegFormer(PaddleSegFormer):
    """PaddleSeg's SegFormer, `forward` untouched: normalised pages in, a list of one tensor of logits out."""

    def infer(self, tile: paddle.Tensor) -> paddle.Tensor:
        """Handwriting: (N, 3, H, W) float32 RGB in [0, 1] -> probability (N, 1, H, W) float32 in [0, 1]."""
        # PaddleSeg's Normalize, mean and std 0.5: what the network is trained on
        logits = self.forward((tile - 0.5) / 0.5)[0]
        return F.softmax(logits, axis=1)[:, HANDWRITING : HANDWRITING + 1]


def segformer_b0(embedding_dim: int = 256) -> SegFormer:
    """The 3.7 M parameter SegFormer of two classes. Raises ValueError for an embedding_dim that is none."""
    return SegFormer(2, MixVisionTransformer_B0(), _width(embedding_dim))


def segformer_b2(embedding_dim: int = 768) -> SegFormer:
    """The 27 M parameter SegFormer of two classes. Raises ValueError for an embedding_dim that is none."""
    return SegFormer(2, MixVisionTransformer_B2(), _width(embedding_dim))


def _width(embedding_dim: int) -> int:
    if not isinstance(embedding_dim, int) or not 1 <= embedding_dim <= WIDEST:
        raise ValueError(f"embedding_dim must lie in 1..{WIDEST}, got {embedding_dim!r}")
    return embedding_dim
