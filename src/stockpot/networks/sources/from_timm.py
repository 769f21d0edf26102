"""Networks of timm: hundreds of image classifiers by name."""

from collections.abc import Mapping
from typing import cast

from torch import nn

from ...errors import FieldError, StockpotError
from ...libraries import optional
from ...values.fields import nearest
from .task import Task, require_logits

SETTLED = ("num_classes", "in_chans")
"""What the data decide, under timm's names."""


def open_timm(name: str, task: Task, own: Mapping[str, object]) -> nn.Module:
    """timm's network of that name with random weights and a head for the task's classes.

    A network of a fixed size, such as a vision transformer, is made for the task's image size.

    Args:
        name: as `timm.list_models()` has it.
        task: what it is opened for.
        own: passed on to `timm.create_model`, such as drop_path_rate.

    Raises:
        ExtraError: without timm.
        FieldError: for an unknown name, or options that timm refuses.
        StockpotError: where the network cannot take such images.
    """
    timm, label = optional("timm", "vision"), f"timm:{name}"
    if not timm.is_model(name):
        known = nearest(name, cast(list[str], timm.list_models()))
        raise FieldError(f"timm has no network '{name[:80]}'{known}")
    if settled := [key for key in own if key in SETTLED]:
        raise FieldError(f"{label}: {settled[0]} is decided by the data; leave it out.")
    default = timm.get_pretrained_cfg(name, allow_unregistered=True)
    fixed = default is not None and default.fixed_input_size
    size = {"img_size": task.image_size} if fixed else {}
    settings = {**size, "num_classes": task.num_classes, "in_chans": task.in_channels, **own}
    try:
        network: nn.Module = timm.create_model(name, **settings).eval()
    except Exception as error:  # timm and torch word it in several types
        raise StockpotError(f"{label} cannot be built with {settings}: {error}") from error
    require_logits(network, task.image(), task, label)
    return network
