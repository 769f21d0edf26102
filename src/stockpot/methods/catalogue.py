"""Methods by name: how YAML and the command line find a method and give it its fields."""

from collections.abc import Mapping, Sequence

from ..core import Method
from ..values import family
from ..values.family import Family
from . import METHODS
from .own import OwnMethods

OWN = OwnMethods()
FAMILY: Family[Method] = Family("method", METHODS, of=Method, elsewhere=OWN)  # pyright: ignore[reportAbstractUsage]


def find_method(name: str) -> type[Method]:
    """The method class of a name: stockpot's own, one that a package declares, or a place.

    Everything that takes a method's name comes here or to a `Family` with the same `elsewhere`.

    Raises:
        FieldError: no method has this name; the text names the nearest.
        StockpotError: the module of a place cannot be imported.

    Example:
        >>> find_method("task-arithmetic").__name__
        'TaskArithmetic'
    """
    return FAMILY.find(name)


def make_method(name: str, fields: Mapping[str, object]) -> Method:
    """The method `name` with `fields`; fields that are not given keep their defaults.

    A field that holds a method takes what `read_method` does.

    Raises:
        FieldError: an unknown method or field, a field that is required and missing, or a value
            out of its bounds.

    Example:
        >>> make_method("interpolate", {"t": 0.3})
        Interpolate(t=0.3)
    """
    return FAMILY.make(name, fields)


def read_method(value: object) -> Method:
    """A method: its name, a mapping of its name and its fields, or the value itself.

    Raises:
        FieldError: it is none of these, or `make_method` refuses it.

    Example:
        >>> read_method({"name": "interpolate", "t": 0.3})
        Interpolate(t=0.3)
    """
    return FAMILY.read(value)


def told_apart(methods: Sequence[object]) -> list[str]:
    """A name for each method: its own, with the fields that tell it from others of its kind.

    Equal values have equal names.

    Example:
        >>> told_apart([make_method("ties", {}), make_method("interpolate", {"t": 0.3}),
        ...             make_method("interpolate", {"t": 0.5})])
        ['ties', 'interpolate t=0.3', 'interpolate t=0.5']
        >>> told_apart([make_method("weave", {"method": name}) for name in ("ties", "iso-c")])
        ['weave method=ties', 'weave method=iso-c']
        >>> grids = ({"scale": [0.5, 1.0]}, {"scale": [0.1, 0.2, 0.3, 0.4]})
        >>> told_apart([make_method("weave", {"method": "ties", "grid": one}) for one in grids])
        ['weave grid=scale(0.5,1.0)', 'weave grid=scale(0.1..0.4/4)']
    """
    return family.told_apart(methods)


def required_fields(cls: type[Method]) -> list[str]:
    """Names of the fields that have no default."""
    return family.required_fields(cls)


def with_defaults(cls: type[Method]) -> Method | None:
    """The method with its defaults; None where a field has none."""
    return None if required_fields(cls) else cls()


def method_fields(method: object) -> dict[str, object]:
    """Every field and its value, as JSON and YAML have them: a value per model is a list.

    Example:
        >>> method_fields(make_method("interpolate", {}))
        {'t': 0.5}
    """
    return family.plain_fields(method)


def plain_method(method: object) -> dict[str, object]:
    """The method as a recipe writes it; `read_method` reads it back.

    Example:
        >>> plain_method(make_method("interpolate", {}))
        {'name': 'interpolate', 't': 0.5}
    """
    return family.plain_value(method)
