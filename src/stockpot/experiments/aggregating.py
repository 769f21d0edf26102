"""What makes one model of the replies of a round, as a file writes it: a name and its fields."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, cast

from pydantic import PlainValidator

from ..core import Method
from ..errors import FieldError
from ..methods.catalogue import plain_method, read_method
from ..values.fields import find_field
from .flower import PREFIX, FlowerStrategy, read_strategy
from .krum import MULTI_KRUM, MultiKrum

Rule = Method | MultiKrum
"""What turns several models into one, whatever was before."""
Aggregation = Rule | FlowerStrategy
"""A rule, or a strategy that may remember earlier rounds."""


def read_aggregation(value: object) -> Any:
    """A merge method as `read_method` takes it; multi-krum, or a strategy of Flower's, alike.

    Raises:
        FieldError: an unknown name or field, or a value out of its bounds.

    Example:
        >>> read_aggregation({"name": "multi-krum", "byzantine": 2})
        MultiKrum(byzantine=2, keep=0)
        >>> read_aggregation("flower:FedMedian")
        FlowerStrategy(name='FedMedian', fields=())
    """
    if isinstance(value, MultiKrum | FlowerStrategy):
        return value
    given, entries = value, dict[str, object]()
    if isinstance(given, Mapping):
        entries = {str(k): v for k, v in cast(Mapping[object, object], given).items()}
    name = entries.pop("name", None) if entries else value
    if isinstance(name, str) and name.startswith(PREFIX):
        return read_strategy(name.removeprefix(PREFIX), entries)
    if name != MULTI_KRUM:
        return read_method(value)
    for field in entries:
        find_field(MultiKrum, field)
    return MultiKrum(**cast(dict[str, Any], entries))


def plain_aggregation(rule: Aggregation) -> dict[str, object]:
    """The aggregation as a file has it; `read_aggregation` reads it back."""
    if isinstance(rule, MultiKrum):
        return {"name": MULTI_KRUM, **asdict(rule)}
    if isinstance(rule, FlowerStrategy):
        return {"name": PREFIX + rule.name, **dict(rule.fields)}
    return plain_method(rule)


def _located(value: object) -> Aggregation:
    try:
        return read_aggregation(value)
    except FieldError as error:
        raise ValueError(str(error)) from None


AggregationValue = Annotated[Any, PlainValidator(_located)]
"""An Aggregation where it stands in a file."""
