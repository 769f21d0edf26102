"""Which kind of file a mapping is, so that one of another kind is called by its name."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, cast

from ...errors import FieldError

Kind = Literal["recipe", "experiment", "federated", "mergekit"]


class _Description(NamedTuple):
    """A kind of file: keys that tell it, what it is called, and what is to be done with it."""

    keys: frozenset[str]
    noun: str
    what_to_do: str


_KINDS: Mapping[Kind, _Description] = {
    "recipe": _Description(
        frozenset({"method", "models"}),
        "a recipe, with method and models",
        "`stockpot run` carries it out.",
    ),
    "experiment": _Description(
        frozenset({"network", "data", "tasks", "ingredients"}),
        "an experiment, with network and data",
        "`stockpot train` and `stockpot compare` carry it out.",
    ),
    "federated": _Description(
        frozenset({"network", "data", "federated"}),
        "a federated experiment, with network, data and federated",
        "`stockpot federate` carries it out.",
    ),
    "mergekit": _Description(
        frozenset({"merge_method", "base_model", "models", "slices"}),
        "a recipe of mergekit",
        "That format is not read yet. Here merge_method is method, base_model is base, the model "
        "of an entry of models is its path, its weight stands beside that, and other parameters "
        "are fields of the method: method: {name: ties, density: 0.5}.",
    ),
}


def refuse_other(data: object, wanted: Kind) -> None:
    """Refuse the plain data of a file that has more keys of another kind than of the one wanted.

    Raises:
        FieldError: what it is, and what to do with it.

    Example:
        >>> refuse_other({"network": "cnn", "data": "digits"}, "recipe")
        Traceback (most recent call last):
        stockpot.errors.FieldError: this is an experiment, with network and data; needed is a \
recipe, with method and models. `stockpot train` and `stockpot compare` carry it out.
    """
    if not isinstance(data, Mapping):
        return
    keys = cast(Mapping[object, object], data).keys()
    needed, described = _KINDS[wanted], max(_KINDS.values(), key=lambda one: len(keys & one.keys))
    if len(keys & described.keys) <= len(keys & needed.keys):
        return
    raise FieldError(f"this is {described.noun}; needed is {needed.noun}. {described.what_to_do}")
