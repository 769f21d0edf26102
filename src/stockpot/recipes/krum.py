"""Multi-Krum as a file writes it: a name and its fields, beside the merge methods."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, cast

from annotated_types import Ge
from pydantic import PlainValidator

from ..core import Method
from ..errors import FieldError
from ..fields import check_fields, find_field
from ..methods.catalogue import plain_method, read_method

MULTI_KRUM = "multi-krum"
"""What it is called in files and tables."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiKrum:
    """Average the models that lie closest to the others; a rule for whole models.

        score_k = Σ over the K - f - 2 nearest others j of ||θ_k - θ_j||²
        θ = mean of the models of the `keep` smallest scores

    Attributes:
        byzantine: f, how many models may be arbitrarily bad; K must be at least 2f + 3.
        keep: how many are averaged; 0 for K - f, 1 for Krum.

    Source: Blanchard et al., Machine Learning with Adversaries, NeurIPS 2017, arXiv 1703.02757.
    """

    byzantine: Annotated[int, Ge(0)] = 1
    keep: Annotated[int, Ge(0)] = 0

    def __post_init__(self) -> None:
        check_fields(self)

    def misfit(self, count: int) -> str | None:
        """Why it cannot choose among `count` models, in words; None where it can."""
        if count < 2 * self.byzantine + 3:
            return (
                f"multi-krum with byzantine={self.byzantine} needs at least "
                f"{2 * self.byzantine + 3} models; there are {count}."
            )
        if self.keep > count:
            return f"multi-krum keeps {self.keep} of {count} models."
        return None


Rule = Method | MultiKrum
"""What turns several models into one."""


def read_rule(value: object) -> Rule:
    """A merge method as `read_method` takes it, or multi-krum alike.

    Raises:
        FieldError: an unknown name or field, or a value out of its bounds.

    Example:
        >>> read_rule({"name": "multi-krum", "byzantine": 2})
        MultiKrum(byzantine=2, keep=0)
    """
    if isinstance(value, MultiKrum):
        return value
    entries = dict[object, object]()
    if isinstance(value, Mapping):
        entries.update(cast(Mapping[object, object], value))
    if MULTI_KRUM not in (value, entries.get("name")):
        return read_method(cast(object, value))
    given = {str(key): one for key, one in entries.items() if key != "name"}
    for name in given:
        find_field(MultiKrum, name)
    return MultiKrum(**cast(dict[str, Any], given))


def plain_rule(rule: Rule) -> dict[str, object]:
    """The rule as a file has it; `read_rule` reads it back."""
    if isinstance(rule, MultiKrum):
        return {"name": MULTI_KRUM, **asdict(rule)}
    return plain_method(rule)


def _located(value: object) -> Rule:
    try:
        return read_rule(value)
    except FieldError as error:
        raise ValueError(str(error)) from None


RuleValue = Annotated[Any, PlainValidator(_located)]
"""A Rule where it stands in a file."""
