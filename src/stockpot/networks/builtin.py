"""A built-in network from its name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from inspect import Parameter, Signature, signature
from typing import Any, get_args

from ..errors import FieldError
from .cnn import Cnn
from .linear import LinearClassifier
from .mlp import Mlp
from .network import Network
from .reproducible import seeded
from .resnet import ResNet
from .vit import VisionTransformer


@dataclass(frozen=True, slots=True)
class Builtin:
    """A kind of network, and those of its options that the name has settled."""

    kind: type[Network]
    settled: Mapping[str, int] = field(default_factory=dict[str, int])

    def options(self) -> Mapping[str, Parameter]:
        """What a caller may set, and what it may be."""
        parameters = signature(self.kind, eval_str=True).parameters
        return {key: one for key, one in parameters.items() if key not in self.settled}


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
        near = get_close_matches(name, NETWORKS, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise FieldError(f"No network '{name[:80]}'; there are {', '.join(NETWORKS)}.{hint}")
    network = NETWORKS[name]
    allowed = network.options()
    try:
        Signature(list(allowed.values())).bind(**options)
    except TypeError as error:
        raise FieldError(f"{name}: {error}; it takes {', '.join(allowed)}.") from None
    for key, value in options.items():
        _check_option(name, key, value, allowed[key].annotation)
    chosen: dict[str, Any] = {**options, **network.settled}
    with seeded(seed):
        return network.kind(**chosen).eval()


def _check_option(name: str, key: str, value: object, kind: object) -> None:
    """`kind` is a Literal of words, float for a fraction, or int; a bool is no number."""
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else None
    if words := get_args(kind):
        fits, wanted = value in words, " or ".join(words)
    elif kind is float:
        fits, wanted = number is not None and 0 <= number < 1, "a number in [0, 1)"
    else:
        fits, wanted = isinstance(number, int) and number >= 1, "a whole number of at least 1"
    if not fits:
        raise FieldError(f"{name}: {key} must be {wanted}; got {value!r:.80}.")
