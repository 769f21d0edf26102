"""A built-in network from its name."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...errors import FieldError
from ...values.fields import nearest
from ...values.from_plain_data import read_arguments
from ..network import Network
from ..reproducible import seeded
from .cnn import Cnn
from .linear import LinearClassifier
from .mlp import Mlp
from .resnet import ResNet
from .vit import VisionTransformer


@dataclass(frozen=True, slots=True)
class Builtin:
    """A kind of network, and those of its options that the name has settled."""

    kind: type[Network]
    settled: Mapping[str, int] = field(default_factory=dict[str, int])


NETWORKS: Mapping[str, Builtin] = {
    "linear": Builtin(LinearClassifier),
    "mlp": Builtin(Mlp),
    "cnn": Builtin(Cnn),
    **{f"resnet-{depth}": Builtin(ResNet, {"depth": depth}) for depth in (8, 14, 20, 32)},
    "vit-tiny": Builtin(VisionTransformer),
}
"""The built-in networks."""


def build(name: str, *, seed: int = 0, **options: float | str) -> Network:
    """A new network with random weights, in evaluation mode.

    Args:
        name: one of NETWORKS.
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
    if name not in NETWORKS:
        raise FieldError(f"there is no network '{name[:80]}'{nearest(name, NETWORKS)}")
    network = NETWORKS[name]
    chosen = read_arguments(network.kind, options, name, but=("self", *network.settled))
    with seeded(seed):
        return network.kind(**chosen, **network.settled).eval()
