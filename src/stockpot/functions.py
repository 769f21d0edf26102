"""A user's own code, named as package.module:function or package.module:Class."""

import sys
import sysconfig
import traceback
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from inspect import Parameter, signature
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
    return cast(Callable[..., Any], find_object(place, "function"))


def find_object(place: str, what: str) -> object:
    """What a module calls by that name, which can be called.

    Args:
        place: package.module:name; modules of the current directory come before installed ones.
        what: it is, in messages.

    Raises:
        FieldError: where there is no such module, or nothing of that name in it.
        StockpotError: where importing the module fails.
    """
    where, _, name = place.partition(":")
    if not all(part.isidentifier() for part in (*where.split("."), name)):
        raise FieldError(f"'{place[:80]}' must be written package.module:{what}.")
    try:
        with importable_here():
            module = import_module(where)
    except ModuleNotFoundError as error:
        if not f"{where}.".startswith(f"{error.name}."):
            raise StockpotError(f"{where} needs '{error.name}', which is not installed.") from error
        raise FieldError(
            f"{place}: there is no module '{error.name}' among what is installed, and in the "
            f"current directory, {Path.cwd()}{nearest(where, _modules_here())}"
        ) from None
    except Exception as error:  # it is the user's code: anything may come
        raise StockpotError(f"{where} failed with {failure(error)}") from error
    found: object = getattr(module, name, None)
    if callable(found):
        return found
    if where == "__main__":
        raise FieldError(
            f"{place}: it was defined in a script or a notebook, where no other run finds it: put "
            "it into a module of its own."
        )
    known = [one for one, value in vars(module).items() if callable(value)]
    raise FieldError(f"{place}: '{where}' has no {what} '{name}'{nearest(name, known)}")


def _modules_here() -> list[str]:
    here = Path.cwd()
    packages = [one.parent.name for one in here.glob("*/__init__.py")]
    return [*(one.stem for one in here.glob("*.py")), *packages]


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


def call(place: str, function: Callable[..., Any], arguments: Mapping[str, object]) -> Any:
    """What a user's function returns, called while the current directory is importable.

    Raises:
        StockpotError: where it raises something; with the line of the user's code.
    """
    try:
        with importable_here():
            return function(**arguments)
    except StockpotError:
        raise
    except Exception as error:  # it is the user's code: anything may come
        raise StockpotError(f"{place} failed with {failure(error)}") from error


def fitting_arguments(
    place: str,
    function: Callable[..., Any],
    own: Mapping[str, object],
    offered: Mapping[str, object] | None = None,
) -> dict[str, object]:
    """What a function is called with: the user's arguments, and of those offered what it takes.

    Args:
        place: what messages call the function.
        function: whose signature decides.
        own: what the user has given; all of it must fit.
        offered: what is there to be had; left out where the signature has no such parameter.

    Raises:
        FieldError: for an argument that the function does not take, or one that it misses.

    Example:
        >>> def network(num_classes, width=8): ...
        >>> fitting_arguments("mine:network", network, {"width": 4},
        ...                   {"num_classes": 10, "in_channels": 3})
        {'num_classes': 10, 'width': 4}
    """
    parameters = signature(function).parameters.values()
    any_name = any(one.kind is Parameter.VAR_KEYWORD for one in parameters)
    by_name = (Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY)
    known = [one.name for one in parameters if one.kind in by_name]
    for name in own:
        if name not in known and not any_name:
            raise FieldError(f"{place} takes no '{name[:80]}'{nearest(name, known)}")
    taken = {name: one for name, one in (offered or {}).items() if any_name or name in known}
    arguments = {**taken, **own}
    needed = [one for one in parameters if one.kind in by_name and one.default is Parameter.empty]
    if missing := [one.name for one in needed if one.name not in arguments]:
        known_here = f", or take {', '.join(offered)}, which are known here" if offered else ""
        raise FieldError(f"{place} needs '{missing[0]}': give it with the name{known_here}.")
    return arguments


def failure(error: BaseException) -> str:
    """What a user's code raised, and at which line of it.

    Example:
        >>> failure(ValueError("no such norm"))
        'ValueError: no such norm.'
    """
    text = " ".join(str(error).split())[:300].rstrip(".")
    place = _line_of(error)
    said = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return f"{said} ({place})." if place else f"{said}."


def _line_of(error: BaseException) -> str:
    """The innermost line that is neither ours nor a library's."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}, line {error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [one for one in frames if _is_the_users(one.filename)]
    if not own:
        return ""
    code = f": {own[-1].line}" if own[-1].line else ""
    return f"{own[-1].filename}, line {own[-1].lineno}{code}"


def _is_the_users(file: str) -> bool:
    if file.startswith(("<frozen", str(Path(__file__).parent))):
        return False
    for where in _INSTALLED:
        if file.startswith(where):
            return Path(file).relative_to(where).parts[0] not in ("torch", "numpy")
    return not file.startswith(sysconfig.get_paths()["stdlib"])


_INSTALLED = tuple(sysconfig.get_paths()[key] for key in ("purelib", "platlib"))
