"""Methods that are not stockpot's: named by their place, or declared by an installed package.

A place is `package.module:Class`, or the name of a function of a stack. A package declares methods
as entry points of the group `stockpot.methods`, which give places short names.
"""

import sys
import sysconfig
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cache
from importlib.metadata import (
    EntryPoint,
    PackageNotFoundError,
    entry_points,
    packages_distributions,
    version,
)
from inspect import getsourcefile
from pathlib import Path
from typing import Any, cast

from blake3 import blake3

from ..core import Method
from ..errors import FieldError, StockpotError
from ..functions import find_object
from ..values.fields import kebab_name
from . import METHODS
from .from_function import FunctionMethod, method_class

GROUP = "stockpot.methods"


@dataclass(frozen=True, slots=True)
class Declared:
    """A method that an installed package declares.

    Attributes:
        name: the short one.
        place: package.module:Class.
        package: its name and version.
        refused: why the name does not stand for it; '' where it does.
    """

    name: str
    place: str
    package: str
    refused: str = ""

    def load(self) -> type[Method]:
        """The class.

        Raises:
            StockpotError: it cannot be imported, or is no method; with the package's name.
        """
        try:
            return method_class(find_object(self.place, "method"), self.place)
        except StockpotError as error:
            raise StockpotError(f"'{self.name}' of {self.package} is broken: {error}") from error


class OwnMethods:
    """Whatever else a method's name may mean."""

    def names(self) -> Iterator[str]:
        """The short names that are declared."""
        return (one.name for one in declared() if not one.refused)

    def find(self, name: str) -> type[Method] | None:
        """The class of a place or a declared name; None where it is neither.

        Raises:
            FieldError: there is no such module, or no method of that name in it; or two packages
                declare the name.
            StockpotError: importing the module fails.
        """
        if ":" in name:
            return method_class(find_object(name, "method"), name)
        for one in declared():
            if one.name == name:
                if one.refused:
                    raise FieldError(one.refused)
                return one.load()
        return None

    def adopt(self, value: object) -> Method | None:
        """The method of a function, with its defaults; None where the value is no function.

        Raises:
            FieldError: it is a class, which is no value.
        """
        if isinstance(value, type) and issubclass(value, Method):
            name = value.__name__
            raise FieldError(f"{name} is the class of a method: give a value of it, {name}(...).")
        if isinstance(value, type) or not callable(value):
            return None
        return method_class(cast(object, value), getattr(value, "__name__", "?"))()


@cache
def declared() -> tuple[Declared, ...]:
    """What installed packages declare, by name; one that is taken is refused, with both named."""
    found = [_declared(one) for one in entry_points(group=GROUP)]
    taken = {kebab_name(cls): f"stockpot's own {cls.__name__}" for cls in METHODS}
    return tuple(_judged(one, found, taken) for one in sorted(found, key=lambda one: one.name))


def _declared(point: EntryPoint) -> Declared:
    package = "a package" if point.dist is None else f"{point.dist.name} {point.dist.version}"
    return Declared(point.name, point.value.replace(" ", ""), package)


def _judged(one: Declared, found: list[Declared], taken: Mapping[str, str]) -> Declared:
    rivals = [f"{r.place} of {r.package}" for r in found if r.name == one.name and r != one]
    others = [taken[one.name]] if one.name in taken else rivals
    if not others:
        return one
    refused = (
        f"'{one.name}' is {others[0]}, and {one.place} of {one.package} too: name the latter "
        f"{one.place}."
    )
    return Declared(one.name, one.place, one.package, refused)


def origins(*methods: Method) -> list[dict[str, str]]:
    """Where those of the methods that are not stockpot's come from, and those that these hold.

    Each with its `method` (package.module:Class), the `package` that brings it with its version,
    and of the file of its module the name and digest (`source`, `blake3`); what cannot be told is
    left out. What that module imports is not told.
    """
    classes = dict.fromkeys(cls for one in methods for cls in _classes(one))
    return [_origin(cls) for cls in classes if not is_built_in(cls)]


def is_built_in(cls: type[Method]) -> bool:
    """Whether a class is stockpot's own."""
    return cls.called() == kebab_name(cls)


def is_own(method: Method) -> bool:
    """Whether a method is the user's, or is made of one that is."""
    return not all(map(is_built_in, _classes(method)))


def _classes(method: Method) -> Iterator[type[Method]]:
    yield type(method)
    for one in fields(cast(Any, method)):
        held: object = getattr(method, one.name)
        if isinstance(held, Method):
            yield from _classes(held)


def _origin(cls: type[Method]) -> dict[str, str]:
    told = {"method": cls.called()}
    if package := _package(cls.__module__.partition(".")[0]):
        told["package"] = package
    source = _source(cls)
    if source is not None:
        told |= {"source": source.name, "blake3": blake3(source.read_bytes()).hexdigest()}
    return told


@cache
def _package(module: str) -> str:
    """The package that brings a module, with its version; '' where there is none."""
    with suppress(PackageNotFoundError):  # most are called as their module
        return f"{module} {version(module)}"
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    if not file.startswith(tuple(sysconfig.get_paths()[key] for key in ("purelib", "platlib"))):
        return ""
    packages = packages_distributions().get(module, [])  # a second of work
    return f"{packages[0]} {version(packages[0])}" if packages else ""


def _source(cls: type[Method]) -> Path | None:
    """The file of the module that a class, or the function of one, is in."""
    place: object = sys.modules.get(cls.__module__)
    if issubclass(cls, FunctionMethod):
        place = cls.function
    try:
        file = None if place is None else getsourcefile(cast(Any, place))
    except TypeError:  # a module without a file, as a notebook is
        return None
    return Path(file) if file is not None and Path(file).is_file() else None
