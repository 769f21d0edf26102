"""A network from wherever it comes: built in, timm, transformers, CLIP, or a user's function."""

import copy
from collections.abc import Callable, Mapping
from typing import Any, cast

from torch import nn

from ...errors import FieldError
from ..builtin.family import build
from ..reproducible import seeded
from .from_clip import open_clip
from .from_function import made_by, open_function
from .from_timm import open_timm
from .from_transformers import open_transformers
from .task import Task

NetworkSpec = str | Mapping[str, Any]
"""A name, or a mapping of `name` and the network's own keys."""

SOURCES: Mapping[str, Callable[[str, Task, Mapping[str, object]], nn.Module]] = {
    "timm": open_timm,
    "hf": open_transformers,
    "clip": open_clip,
}
"""What may stand before the colon; any other word there is a module of the user's."""


def open_network(
    spec: NetworkSpec | nn.Module | Callable[..., nn.Module],
    *,
    num_classes: int,
    in_channels: int,
    image_size: int,
    seed: int = 0,
) -> nn.Module:
    """A network in evaluation mode that gives logits [N, num_classes] for a batch of the data.

    Args:
        spec: the name of a built-in network; "timm:NAME"; "hf:DIRECTORY"; "clip:DIRECTORY"; or
            "package.module:function", called with those of num_classes=, in_channels= and
            image_size= that it takes. With keys of its own: {"name": "resnet-20", "norm": "group"}.
            Or such a function itself; or a module, of which a copy is made.
        num_classes: how many logits.
        in_channels: channels of an image; 2 for text, which is ids over their attention mask.
        image_size: pixels along a side; tokens for text.
        seed: of what is random in it; torch's own generator is left as it was.

    Raises:
        FieldError: for a name or an option that does not exist or is out of bounds.
        CheckpointError: for a directory that does not hold what its source expects.
        ExtraError: where the library of the source is not installed.
        StockpotError: where the network does not fit inputs or classes of this size.

    >>> open_network("resnet-8", num_classes=10, in_channels=3, image_size=32).training
    False
    """
    if isinstance(spec, nn.Module):
        return copy.deepcopy(spec).eval()
    sizes = {"num_classes": num_classes, "in_channels": in_channels, "image_size": image_size}
    if callable(spec):
        with seeded(seed):
            return made_by(spec, getattr(spec, "__name__", repr(spec)), Task(**sizes), {})
    name, own = _read(spec)
    if settled := [key for key in own if key in (*sizes, "seed")]:
        raise FieldError(
            f"{name}: {settled[0]} is decided by the data and the experiment; leave it out."
        )
    if ":" not in name:
        return build(name, seed=seed, **sizes, **cast(dict[str, Any], own))
    source, _, rest = name.partition(":")
    with seeded(seed):
        if source in SOURCES:
            return SOURCES[source](rest, Task(**sizes), own)
        return open_function(name, Task(**sizes), own)


def _read(spec: object) -> tuple[str, Mapping[str, object]]:
    if isinstance(spec, str):
        return spec, {}
    if isinstance(spec, Mapping):
        entries = dict(cast(Mapping[str, object], spec))
        name = entries.pop("name", None)
        if isinstance(name, str):
            return name, entries
    raise FieldError(f"A network is a name, or a mapping with a name; got {spec!r:.120}.")
