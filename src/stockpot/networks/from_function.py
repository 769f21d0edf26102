"""Networks that a user's own function makes, named as package.module:function."""

import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from difflib import get_close_matches
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any, cast

from torch import nn

from ..errors import FieldError, StockpotError
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
    with _importable_here():
        function = _find(name)
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


def _find(name: str) -> Callable[..., object]:
    where, _, what = name.partition(":")
    if not where or not what.isidentifier():
        raise FieldError(f"'{name[:80]}' is no package.module:function.")
    try:
        module = import_module(where)
    except ModuleNotFoundError as error:
        if not f"{where}.".startswith(f"{error.name}."):
            raise StockpotError(f"{where} needs '{error.name}', which is not installed.") from error
        raise FieldError(
            f"{name}: there is no module '{error.name}' here or among what is installed; the "
            f"current directory is {Path.cwd()}."
        ) from None
    except Exception as error:  # it is the user's code: anything may come
        raise StockpotError(f"{where} failed with {type(error).__name__}: {error}") from error
    function: object = getattr(module, what, None)
    if not callable(function):
        near = get_close_matches(what, vars(module), n=1)
        hint = f" Did you mean '{near[0]}'?" if near else ""
        raise FieldError(f"{name}: '{where}' has no function '{what}'.{hint}")
    return cast(Callable[..., Any], function)


@contextmanager
def _importable_here() -> Generator[None]:
    """Put the current directory first among those that imports look in."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        with suppress(ValueError):  # the user's code may have changed the list
            sys.path.remove(here)
