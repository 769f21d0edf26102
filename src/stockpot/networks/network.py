"""What a network is here: features, then a head.

Shapes: N samples, C channels, H x W pixels, F features, L classes.
"""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class Network(nn.Module, ABC):
    """A classifier whose output is `head(features(images))`, by construction.

    Ensembles of features and merges of bodies with private heads rely on that split, so `forward`
    is written once, here, and a subclass says only what its features are.
    """

    head: nn.Linear

    @abstractmethod
    def features(self, images_NCHW: Tensor) -> Tensor:
        """What the head sees, [N, F]."""

    def forward(self, images_NCHW: Tensor) -> Tensor:
        """Logits, [N, L]."""
        return self.head(self.features(images_NCHW))
