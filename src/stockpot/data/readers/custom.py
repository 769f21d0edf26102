"""A data set from the user's own function."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ...errors import StockpotError
from ...functions import call, find_function, fitting_arguments
from ..collection import Collection
from ..dataset import Dataset


def from_function(place: str, options: Mapping[str, object]) -> Collection:
    """Call `package.module:function` with the options; the current directory is importable.

    The function returns a Collection, a Dataset, or a pair (inputs, labels) of arrays: inputs as
    Dataset has them (float64 becomes float32), labels whole numbers [N] or bool [N, L].

    Raises:
        StockpotError: where there is no such function, it does not take the options, or it returns
            something else.
    """
    function = find_function(place)
    made: object = call(place, function, fitting_arguments(f"data '{place}'", function, options))
    if isinstance(made, Collection):
        return made
    if isinstance(made, Dataset):
        return Collection(made)
    pair = cast(Sequence[object], made if isinstance(made, tuple) else ())
    if len(pair) == 2:
        return Collection(_dataset(place, *(_tensor(place, one) for one in pair)))
    raise StockpotError(
        f"data '{place}' must return a stockpot.data.Dataset, a Collection, or (inputs, labels); "
        f"got {cast(object, made).__class__.__name__}."
    )


def _tensor(place: str, value: object) -> Tensor:
    if isinstance(value, Tensor):
        return value
    kind = type(value)
    if kind is np.ndarray:
        with suppress(TypeError):  # words, objects: said below
            return torch.tensor(cast(Any, value))
    raise StockpotError(
        f"data '{place}': inputs and labels must be arrays of numbers; got {kind.__name__}."
    )


def _dataset(place: str, inputs: Tensor, labels: Tensor) -> Dataset:
    if labels.dtype == torch.bool and labels.ndim == 2:
        count = labels.shape[1]
    elif labels.ndim == 1 and len(labels) and not labels.is_floating_point():
        labels = labels.long()
        count = int(labels.max()) + 1
    else:
        raise StockpotError(
            f"data '{place}': labels must be whole numbers [N] or bool [N, L]; got {labels.dtype} "
            f"{tuple(labels.shape)}."
        )
    inputs = inputs.float() if inputs.dtype == torch.float64 else inputs
    return Dataset(place, inputs, labels, count, torch.arange(len(labels)))
