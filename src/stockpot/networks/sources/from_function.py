"""Networks that a user's own function makes, named as package.module:function."""

from collections.abc import Callable, Mapping

from torch import nn

from ...errors import StockpotError
from ...functions import call, find_function, fitting_arguments
from .task import Task


def open_function(name: str, task: Task, own: Mapping[str, object]) -> nn.Module:
    """What the function returns, in evaluation mode.

    Args:
        name: package.module:function; the current directory is importable, as for `python -m`.
        task: gives num_classes, in_channels and image_size, those of them that the function takes.
        own: passed on as further arguments.

    Raises:
        FieldError: where there is no such function, or it does not take these arguments.
        StockpotError: where it fails, or returns something else than a torch module.
    """
    return made_by(find_function(name), name, task, own)


def made_by(
    function: Callable[..., object], name: str, task: Task, own: Mapping[str, object]
) -> nn.Module:
    """What a function returns that is at hand, in evaluation mode.

    Raises:
        FieldError, StockpotError: as `open_function`.
    """
    offered = {
        "num_classes": task.num_classes,
        "in_channels": task.in_channels,
        "image_size": task.image_size,
    }
    network: object = call(name, function, fitting_arguments(name, function, own, offered))
    if not isinstance(network, nn.Module):
        raise StockpotError(f"{name} must return a torch.nn.Module; got {type(network).__name__}.")
    return network.eval()
