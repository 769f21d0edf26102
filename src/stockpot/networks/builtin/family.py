"""A built-in network from its name."""

from ...values.family import Family
from ..network import Network
from ..reproducible import seeded
from .cnn import CnnConfig
from .config import NetworkConfig
from .linear import LinearConfig
from .mlp import MlpConfig
from .resnet import ResNet8Config, ResNet14Config, ResNet20Config, ResNet32Config
from .vit import VitTinyConfig

NETWORKS: tuple[type[NetworkConfig], ...] = (
    LinearConfig,
    MlpConfig,
    CnnConfig,
    ResNet8Config,
    ResNet14Config,
    ResNet20Config,
    ResNet32Config,
    VitTinyConfig,
)
FAMILY: Family[NetworkConfig] = Family("network", NETWORKS, of=NetworkConfig)
"""The built-in networks by name."""


def build(name: str, *, seed: int = 0, **options: float | str) -> Network:
    """A new network with random weights, in evaluation mode.

    Args:
        name: of one of NETWORKS.
        seed: the same seed gives the same weights; torch's own generator is left as it was.
        options: num_classes, in_channels, image_size, and the network's own options: whole numbers
            of at least 1, fractions in [0, 1), or one of a few words.

    Raises:
        FieldError: for an unknown name, or an option that is unknown, missing or out of bounds.

    >>> build("cnn", num_classes=10, in_channels=1, image_size=8).head
    Linear(in_features=256, out_features=10, bias=True)
    >>> build("resnet-8", num_classes=10, in_channels=3, image_size=32, norm="group").head
    Linear(in_features=64, out_features=10, bias=True)
    """
    config = FAMILY.find(name).parse(options, name)
    with seeded(seed):
        return config.build().eval()
