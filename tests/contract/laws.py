"""The laws, and who is excused from one and why.

A method is tried under every law that its `needs` do not exclude. One that cannot keep a law is
entered in OPT_OUTS with its reason; it is tried all the same, and must fail (xfail, strict), so
that an excuse cannot outlive its cause.
"""

from collections.abc import Callable
from typing import Any

import pytest

from stockpot.core import Method, Needs
from stockpot.methods import METHODS
from stockpot.values.fields import kebab_name

from ..cases import example

LAWS = (
    "copies",
    "permutation",
    "translation",
    "slicing",
    "blocks",
    "order",
    "seeds",
    "files",
    "inputs",
    "kept",
    "finite",
)

OPT_OUTS: dict[tuple[str, str], str] = {
    ("slerp", "translation"): "the angle is seen from the origin, which a shift moves",
    ("tsv-m", "copies"): "copies share their directions, of which the cut keeps one K-th",
    ("iso-c", "copies"): "singular values are made equal, which those of one model are not",
    ("iso-cts", "copies"): "singular values are made equal, which those of one model are not",
}

FLOAT32_DELTAS: dict[str, str] = {
    "ties": "the mean of those that agree is formed from task vectors, then added to the base",
    "weave": "its points are as near as the method that it weaves brings them",
    "cart": "around the base, what is kept of the task vectors is summed, then added to it",
    "dare": "what the mask leaves of the task vectors is summed, then added to the base",
}
"""Methods that give copies back to within roundings of base and model, not to the last bit."""


def under(law: str, where: Callable[[Needs], bool] | None = None) -> list[Any]:
    """Every method that a law concerns, for pytest.mark.parametrize."""
    assert law in LAWS
    return [_param(cls, law) for cls in METHODS if where is None or where(example(cls).needs)]


def _param(cls: type[Method], law: str) -> Any:
    name = kebab_name(cls)
    reason = OPT_OUTS.get((name, law))
    marks = [pytest.mark.xfail(strict=True, reason=reason)] if reason else []
    return pytest.param(cls, id=name, marks=marks)
