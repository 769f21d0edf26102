"""A data set from the user's own function."""

import importlib
import sys
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager, suppress
from inspect import signature
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ..errors import StockpotError
from .collection import Collection
from .dataset import Dataset


def from_function(place: str, options: Mapping[str, object]) -> Collection:
    """Call `package.module:function` with the options; the current directory is importable.

    The function returns a Collection, a Dataset, or a pair (inputs, labels) of arrays: inputs as
    Dataset has them (float64 becomes float32), labels whole numbers [N] or bool [N, L].

    Raises:
        StockpotError: where there is no such function, it does not take the options, or it returns
            something else.
    """
    function = _function(place)
    try:
        signature(function).bind(**options)
    except TypeError as error:
        raise StockpotError(f"data '{place}': {error}; given {sorted(options)}.") from None
    made = function(**options)
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


def _function(place: str) -> Callable[..., object]:
    module, _, name = place.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), name)):
        raise StockpotError(f"data '{place[:80]}' must be written package.module:function.")
    with _current_directory():
        try:
            found = getattr(importlib.import_module(module), name, None)
        except ModuleNotFoundError as error:
            if error.name is None or not f"{module}.".startswith(f"{error.name}."):
                raise  # the module is there, and misses one of its own
            raise StockpotError(
                f"data '{place}': no module '{error.name}' in the current directory or among the "
                "installed packages."
            ) from None
    if not callable(found):
        raise StockpotError(f"data '{place}': {module} has no function '{name}'.")
    return found


@contextmanager
def _current_directory() -> Generator[None]:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)


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
