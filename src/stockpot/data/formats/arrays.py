"""Data in memory: arrays, loaders and what functions return, as a collection.

Shapes: N samples, L classes.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from types import FunctionType, MethodType
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ...errors import FieldError, StockpotError
from ..collection import Collection
from ..dataset import Dataset

PARTS = ("train", "selection", "test")
InMemory = Collection | Dataset | tuple[object, object] | DataLoader[Any] | Callable[[], object]
"""What `collection_of` takes beside a mapping of parts."""


def are_parts(given: object) -> bool:
    """Whether something is a mapping of data by the names of parts."""
    names = set(cast(Mapping[str, object], given)) if isinstance(given, Mapping) else set[str]()
    return bool(names) and names <= set(PARTS)


def collection_of(given: object, place: str = "data") -> Collection:
    """Data in memory as a collection.

    Args:
        given: a pair (inputs, labels) of tensors or arrays: inputs as `Dataset` has them (float64
            becomes float32), labels whole numbers [N] or bool [N, L]; torch's DataLoader of such
            pairs, which is read to its end once; a `Dataset`; or a mapping of `train` and, where
            there are such parts, `selection` and `test` to these. Or a `Collection`; or a function
            of no argument that gives any of these.
        place: what the data are called.

    Raises:
        FieldError: it is none of these.
        StockpotError: what is in it does not fit together.

    Example:
        >>> import torch
        >>> pair = torch.rand(5, 1, 8, 8), torch.tensor([0, 1, 2, 1, 0])
        >>> collection_of({"train": pair, "test": pair}).test.num_classes
        3
    """
    if isinstance(given, Collection):
        return given
    if isinstance(given, FunctionType | MethodType | partial):
        return collection_of(cast(Callable[[], object], given)(), place)
    if are_parts(given):
        return _of_parts(cast(Mapping[str, object], given), place)
    return Collection(_part(given, place))


def _of_parts(given: Mapping[str, object], place: str) -> Collection:
    if "train" not in given:
        raise FieldError(f"{place}: parts are train and, beside it, selection and test.")
    parts = {name: _part(one, f"{place} {name}") for name, one in given.items()}
    count = max(one.num_classes for one in parts.values())
    return Collection(**{name: replace(one, num_classes=count) for name, one in parts.items()})


def _part(given: object, place: str) -> Dataset:
    kind = type(given).__name__
    if isinstance(given, Dataset):
        return given
    if isinstance(given, DataLoader):
        return _dataset(place, *_gathered(place, cast(Iterable[object], given)))
    if isinstance(given, tuple) and len(pair := cast(tuple[object, ...], given)) == 2:
        return _dataset(place, *(_tensor(place, one) for one in pair))
    raise FieldError(
        f"{place} must be a stockpot.data.Dataset, a Collection, a pair (inputs, labels) or a "
        f"DataLoader; got {kind}."
    )


def _gathered(place: str, batches: Iterable[object]) -> Sequence[Tensor]:
    """Inputs and labels of all batches."""
    columns: tuple[list[Tensor], list[Tensor]] = ([], [])
    for batch in batches:
        kind = type(batch).__name__
        pair = cast(Sequence[object], batch if isinstance(batch, list | tuple) else ())
        if len(pair) != 2:
            raise FieldError(
                f"{place}: each batch of a loader must be (inputs, labels); got {kind}"
                f"{f' of {len(pair)}' if pair else ''}."
            )
        for column, value in zip(columns, pair, strict=True):
            column.append(_tensor(place, value))
    if not columns[0]:
        raise FieldError(f"{place}: the loader has no batch.")
    return [torch.cat(column) for column in columns]


def _tensor(place: str, value: object) -> Tensor:
    if isinstance(value, Tensor):
        return value.detach().cpu()
    kind = type(value)
    if kind is np.ndarray:
        with suppress(TypeError):  # words, objects: said below
            return torch.tensor(cast(Any, value))
    raise StockpotError(
        f"{place}: inputs and labels must be arrays of numbers; got {kind.__name__}."
    )


def _dataset(place: str, inputs: Tensor, labels: Tensor) -> Dataset:
    if labels.dtype == torch.bool and labels.ndim == 2:
        count = labels.shape[1]
    elif labels.ndim == 1 and len(labels) and not labels.is_floating_point():
        labels = labels.long()
        count = int(labels.max()) + 1
    else:
        raise StockpotError(
            f"{place}: labels must be whole numbers [N] or bool [N, L]; got {labels.dtype} "
            f"{tuple(labels.shape)}."
        )
    inputs = inputs.float() if inputs.dtype == torch.float64 else inputs
    return Dataset(place, inputs, labels, count, torch.arange(len(labels)))
