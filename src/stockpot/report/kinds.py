"""Every kind of result that has a page: how a results file calls it, its type, and its page.

A study says itself what it gives and what makes a page of that. Any other kind is one line in
KINDS: a frozen dataclass with `as_dict` and `to_csv`, and a function that makes a `Page` of it.
Writing, reading back and `stockpot report` follow.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..errors import StockpotError
from ..evaluation.results.comparison import Comparison
from ..federated.page import federation_page
from ..federated.result import Outcome
from ..pages.drawing import draw
from ..pages.figures import Figure
from ..pages.page import Page
from ..studies import FAMILY
from ..values.result import Result
from .page import comparison_page


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of result.

    Attributes:
        result: its type, a frozen dataclass whose `as_dict` has every field.
        page: what a page says of one.
    """

    result: type[Result]
    page: Callable[[Any], Page]


KINDS: Mapping[str, Kind] = {
    kind.result.file_kind: kind
    for kind in (
        Kind(Comparison, comparison_page),
        Kind(Outcome, federation_page),
        *(Kind(study.result(), study.page()) for study in FAMILY.classes),
    )
}
"""By the name that is in a results file under report, kind."""


def figures(result: Result) -> tuple[Figure, ...]:
    """The figures of a result's page, as values.

    Example:
        draw(figures(result)[0], ax)
    """
    kind = next(one for one in KINDS.values() if type(result) is one.result)
    return tuple(kind.page(result).figures)


def plot(result: Result, ax: Any) -> Any:
    """The main figure of a result's page, on matplotlib's axes or in a figure of its own.

    Raises:
        StockpotError: there is no figure of it.
        ExtraError: matplotlib is not installed.
    """
    drawn = figures(result) if type(result) in {one.result for one in KINDS.values()} else ()
    if not drawn:
        raise StockpotError(f"{type(result).__name__} has no figure: draw what to_pandas() gives.")
    return draw(drawn[0], ax)
