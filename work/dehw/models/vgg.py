"""VGG-19 as far as the perceptual and style losses of MTRNet++ look into it; frozen, never trained here.

Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image Recognition", 2015.
"""

from __future__ import annotations

import paddle
from paddle import nn

BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (2, 512))  # convolutions and channels; halved between blocks


class VGG19(nn.Layer):
    """The convolutions of VGG-19 up to relu5_2; gradients pass through to the image, not into the weights."""

    def __init__(self) -> None:
        super().__init__()
        layers, self.places, i = [], {}, 3
        for block, (count, o) in enumerate(BLOCKS, 1):
            if block > 1:
                layers.append(nn.MaxPool2D(2))
            for number in range(1, count + 1):
                layers += [nn.Conv2D(i, o, 3, padding=1), nn.ReLU()]
                self.places[len(layers) - 1] = f"relu{block}_{number}"
                i = o
        self.features = nn.Sequential(*layers)  # numbered as in the published files
        for parameter in self.parameters():
            parameter.stop_gradient = True
        self.eval()

    def forward(self, x: paddle.Tensor) -> dict[str, paddle.Tensor]:
        """RGB (N, 3, H, W) float32 in [0, 1], not normalised any further -> feature maps, 'relu1_1' .. 'relu5_2'.

        'reluB_n' is (N, C, H >> B-1, W >> B-1) float32, at least 0. H and W are 16 or more.
        """
        features = {}
        for place, layer in enumerate(self.features):
            x = layer(x)
            if place in self.places:
                features[self.places[place]] = x
        return features
