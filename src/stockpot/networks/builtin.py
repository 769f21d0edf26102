"""A network from its name."""

from collections.abc import Mapping
from difflib import get_close_matches
from inspect import signature

from ..errors import FieldError
from .cnn import Cnn
from .mlp import Mlp
from .network import Network
from .reproducible import seeded

NETWORKS: Mapping[str, type[Network]] = {"mlp": Mlp, "cnn": Cnn}
"""The built-in networks."""


def build(name: str, *, seed: int = 0, **options: int) -> Network:
    """A new network with random weights, in evaluation mode.

    Args:
        name: one of NETWORKS.
        seed: the same seed gives the same weights; torch's own generator is left as it was.
        options: num_classes, in_channels, image_size, and the network's own options; positive.

    Raises:
        FieldError: for an unknown name, or an option that is unknown, missing or out of bounds.

    >>> build("cnn", num_classes=10, in_channels=1, image_size=8).head
    Linear(in_features=256, out_features=10, bias=True)
    """
    if name not in NETWORKS:
        near = get_close_matches(name, NETWORKS, n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise FieldError(f"No network '{name[:80]}'; there are {', '.join(NETWORKS)}.{hint}")
    kind = NETWORKS[name]
    try:
        signature(kind).bind(**options)
    except TypeError as error:
        raise FieldError(
            f"{name}: {error}; it takes {', '.join(signature(kind).parameters)}."
        ) from None
    for key, value in options.items():
        if type(value) is not int or value < 1:
            raise FieldError(f"{name}: {key} must be a whole number of at least 1; got {value!r}.")
    with seeded(seed):
        return kind(**options).eval()
