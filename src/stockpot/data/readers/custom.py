"""A data set from the user's own function."""

from collections.abc import Mapping

from ...functions import call, find_function, fitting_arguments
from ..collection import Collection
from ..formats.arrays import collection_of


def from_function(place: str, options: Mapping[str, object]) -> Collection:
    """Call `package.module:function` with the options; the current directory is importable.

    The function returns what `collection_of` takes: a pair (inputs, labels) of arrays, a loader, a
    Dataset, a Collection, or parts.

    Raises:
        StockpotError: where there is no such function, it does not take the options, or it returns
            something else.
    """
    function, name = find_function(place), f"data '{place}'"
    made: object = call(place, function, fitting_arguments(name, function, options))
    return collection_of(made, place)
