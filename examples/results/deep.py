"""Plain deep networks in the manner of VGG: no shortcuts, and where asked for, no normalisation.

`perceptron` has as many layers with weights as VGG19, which is what a factor on all weights is
raised to; `vgg` has its two layers of dropout before the head, and batch normalisation if wanted.
"""

from itertools import pairwise

from torch import nn


def perceptron(
    num_classes: int, in_channels: int, pixels: int = 64, width: int = 64, layers: int = 19
) -> nn.Module:
    """`layers` linear layers with ReLU between them, from He's initialisation."""
    sizes = [in_channels * pixels] + [width] * (layers - 1) + [num_classes]
    linear = [nn.Linear(inputs, outputs) for inputs, outputs in pairwise(sizes)]
    parts: list[nn.Module] = [nn.Flatten()]
    for one in linear:
        nn.init.kaiming_normal_(one.weight, nonlinearity="relu")
        nn.init.zeros_(one.bias)
        parts += [one, nn.ReLU()]
    nn.init.normal_(linear[-1].weight, std=width**-0.5)
    return nn.Sequential(*parts[:-1])


def vgg(num_classes: int, in_channels: int, width: int = 16, norm: str = "batch") -> nn.Module:
    """Four convolutions, then two wide layers with Dropout(0.5), then the head."""
    parts: list[nn.Module] = []
    channels = in_channels
    for outputs in (width, width, 2 * width, 2 * width):
        parts += [nn.Conv2d(channels, outputs, 3, padding=1)]
        parts += [nn.BatchNorm2d(outputs)] if norm == "batch" else []
        parts += [nn.ReLU()]
        channels = outputs
    parts += [nn.AdaptiveAvgPool2d(4), nn.Flatten()]
    wide = 8 * width
    parts += [nn.Linear(16 * channels, wide), nn.ReLU(), nn.Dropout(0.5)]
    parts += [nn.Linear(wide, wide), nn.ReLU(), nn.Dropout(0.5), nn.Linear(wide, num_classes)]
    return nn.Sequential(*parts)
