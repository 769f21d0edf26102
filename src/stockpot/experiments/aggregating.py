"""What makes one model of the replies of a round, as a file writes it: a name and its fields."""

from collections.abc import Mapping
from typing import Annotated, Any, cast

from ..core import Method
from ..methods import METHODS, catalogue
from ..values.family import Family, plain_value
from ..values.from_plain_data import Reads
from .flower import PREFIX, FlowerStrategy, read_strategy
from .krum import MultiKrum

Rule = Method | MultiKrum
"""What turns several models into one, whatever was before."""
Aggregation = Rule | FlowerStrategy
"""A rule, or a strategy that may remember earlier rounds."""
RULES: Family[Rule] = Family(
    "method",
    (*METHODS, MultiKrum),
    of=Method | MultiKrum,
    inner=(catalogue.FAMILY,),
    elsewhere=catalogue.OWN,
)


def read_aggregation(value: object) -> Any:
    """A rule by its name and fields, or a strategy of Flower's.

    Raises:
        FieldError: an unknown name or field, or a value out of its bounds.

    Example:
        >>> read_aggregation({"name": "multi-krum", "byzantine": 2})
        MultiKrum(byzantine=2, keep=0)
        >>> read_aggregation("flower:FedMedian")
        FlowerStrategy(name='FedMedian', fields=())
    """
    if isinstance(value, FlowerStrategy):
        return value
    entries = cast(object, value if isinstance(value, Mapping) else {"name": value})
    named = {str(key): one for key, one in cast(Mapping[object, object], entries).items()}
    name = named.pop("name", None)
    if isinstance(name, str) and name.startswith(PREFIX):
        return read_strategy(name.removeprefix(PREFIX), named)
    return RULES.read(cast(object, value))


def plain_aggregation(rule: Aggregation) -> dict[str, object]:
    """The aggregation as a file has it; `read_aggregation` reads it back."""
    if isinstance(rule, FlowerStrategy):
        return {"name": PREFIX + rule.name, **dict(rule.fields)}
    return plain_value(rule)


AggregationEntry = Annotated[Any, Reads(read_aggregation)]
"""An Aggregation where it stands in a file."""
