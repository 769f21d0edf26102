"""Networks that a user's own function makes, named as package.module:function."""

from collections.abc import Mapping
from inspect import signature

from torch import nn

from ...errors import FieldError, StockpotError
from ...functions import find_function, importable_here
from .task import Task


def open_function(name: str, task: Task, own: Mapping[str, object]) -> nn.Module:
    """What the function returns, in evaluation mode.

    Args:
        name: package.module:function; the current directory is importable, as for `python -m`.
        task: gives the arguments num_classes and in_channels.
        own: passed on as further arguments.

    Raises:
        FieldError: where there is no such function, or it does not take these arguments.
        StockpotError: where it fails, or returns something else than a torch module.
    """
    function = find_function(name)
    with importable_here():
        arguments = {"num_classes": task.num_classes, "in_channels": task.in_channels, **own}
        try:
            signature(function).bind(**arguments)
        except TypeError as error:
            raise FieldError(f"{name} is called with {', '.join(arguments)}: {error}.") from None
        try:
            network = function(**arguments)
        except Exception as error:  # it is the user's code: anything may come
            kind = type(error).__name__
            raise StockpotError(f"{name} failed with {kind}: {error}") from error
    if not isinstance(network, nn.Module):
        raise StockpotError(f"{name} must return a torch.nn.Module; got {type(network).__name__}.")
    return network.eval()
