"""A user's own function, named as package.module:function."""

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from .errors import FieldError, StockpotError
from .values.fields import nearest


def find_function(place: str) -> Callable[..., Any]:
    """The function; modules of the current directory come before installed ones.

    Args:
        place: package.module:function.

    Raises:
        FieldError: where there is no such module or function.
        StockpotError: where importing the module fails.
    """
    where, _, what = place.partition(":")
    if not all(part.isidentifier() for part in (*where.split("."), what)):
        raise FieldError(f"'{place[:80]}' must be written package.module:function.")
    try:
        with importable_here():
            module = import_module(where)
    except ModuleNotFoundError as error:
        if not f"{where}.".startswith(f"{error.name}."):
            raise StockpotError(f"{where} needs '{error.name}', which is not installed.") from error
        raise FieldError(
            f"{place}: there is no module '{error.name}' here or among what is installed; the "
            f"current directory is {Path.cwd()}."
        ) from None
    except Exception as error:  # it is the user's code: anything may come
        raise StockpotError(f"{where} failed with {type(error).__name__}: {error}") from error
    function: object = getattr(module, what, None)
    if not callable(function):
        there = [name for name, one in vars(module).items() if callable(one) and name[0] != "_"]
        raise FieldError(f"{place}: '{where}' has no function '{what}'{nearest(what, there)}")
    return cast(Callable[..., Any], function)


@contextmanager
def importable_here() -> Generator[None]:
    """Put the current directory first among those that imports look in."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        with suppress(ValueError):  # the user's code may have changed the list
            sys.path.remove(here)
