"""A data set from its name: `load`."""

from collections.abc import Mapping
from typing import cast

from ..checkpoints.formats.untrusted import shown
from ..errors import FieldError
from ..values.family import Family
from ..values.fields import nearest
from .collection import Collection, DataReader
from .formats.arrays import InMemory, are_parts, collection_of
from .formats.sources import SOURCES
from .readers import (
    Celeba,
    ChestxRay14,
    Cifar10,
    Cifar100,
    CsvText,
    Digits,
    Emoji,
    FashionMnist,
    HuggingFace,
    ImageFolder,
    Medmnist,
    Mnist,
    Mnist5k,
    TinyImagenet,
)
from .readers.custom import from_function

Spec = str | Mapping[str, object]

READERS: tuple[type[DataReader], ...] = (
    Digits,
    FashionMnist,
    Mnist,
    Mnist5k,
    Emoji,
    Cifar10,
    Cifar100,
    TinyImagenet,
    Celeba,
    ChestxRay14,
    Medmnist,
    ImageFolder,
    HuggingFace,
    CsvText,
)
FAMILY: Family[DataReader] = Family("data set", READERS, of=DataReader)
"""What `load` knows by name."""


def load(spec: Spec | InMemory) -> Collection:
    """A data set with its official parts.

    Args:
        spec: the name of one of READERS, a mapping of `name` and the reader's own fields (`path`
            first of all), or "package.module:function" (as a name, its options are passed on). Or
            data in memory, as `stockpot.data.collection_of` takes them.

    Raises:
        FieldError: for an unknown name or option.
        StockpotError: where the set is not there or not what it should be; the text says where it
            comes from.
        ExtraError: where a package is missing; the text names the install line.

    >>> load("digits").train.num_classes
    10
    """
    if not isinstance(spec, str | Mapping) or are_parts(cast(object, spec)):
        return collection_of(cast(object, spec))
    options = {"name": spec} if isinstance(spec, str) else dict(cast(Mapping[str, object], spec))
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise FieldError(
            f"data needs a name, one of {', '.join(FAMILY.by_name)}; got {shown(name)}."
        )
    if ":" in name:
        return from_function(name, options)
    if name not in FAMILY.by_name:
        raise FieldError(
            f"there is no data set '{name[:80]}'{nearest(name, FAMILY.by_name, most=40)} Or give "
            "package.module:function."
        )
    try:
        reader = FAMILY.find(name).parse(options, f"data '{name}'")
    except FieldError as error:
        source = f" {SOURCES[name]}" if name in SOURCES and "path" not in options else ""
        raise FieldError(f"{error}{source}") from None
    return reader.read()
