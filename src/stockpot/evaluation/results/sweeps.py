"""Comparisons of several networks and data sets, side by side as one."""

from collections.abc import Iterable, Sequence

from ...errors import StockpotError
from .comparison import Comparison


def join(found: Sequence[Comparison]) -> Comparison:
    """The cells of a sweep as one comparison; a single one is given back as it is.

    Rows, costs and decisions say which cell they are of. A verdict is of one cell, so each cell's
    goes into the conclusion in words.

    Raises:
        StockpotError: without a comparison.
    """
    if not found:
        raise StockpotError("There is no comparison to join.")
    if len(found) == 1:
        return found[0]
    return Comparison(
        title=found[0].title,
        rows=tuple(row for one in found for row in one.rows),
        differences=(),
        conclusion="\n".join(f"{_cell(one)}: {one.conclusion}" for one in found),
        costs=tuple(cost for one in found for cost in one.costs),
        decisions=tuple(step for one in found for step in one.decisions),
        facts=tuple(_facts(found)),
        attempts=tuple(attempt for one in found for attempt in one.attempts),
        origin="\n".join(dict.fromkeys(one.origin for one in found if one.origin)),
    )


def _cell(one: Comparison) -> str:
    return f"{one.rows[0].network} on {one.rows[0].data}"


def _facts(found: Sequence[Comparison]) -> Iterable[tuple[str, str]]:
    """Each fact once where all cells agree on it, else cell by cell."""
    for name in dict.fromkeys(name for one in found for name, _ in one.facts):
        texts = {_cell(one): dict(one.facts).get(name, "") for one in found}
        if len(set(texts.values())) == 1:
            yield name, next(iter(texts.values()))
        else:
            yield name, "; ".join(f"{cell}: {text}" for cell, text in texts.items() if text)
