"""A method settles the same whatever the fields that it says its survey and settle do not read."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stockpot.core import Method
from stockpot.methods import METHODS
from stockpot.testing.cases import Case
from stockpot.testing.steps import settled_from, stack_of

from ..cases import cases, example, methods

SURVEYING = {"rescale": "norm"}
"""Fields at which a method that does not always survey does so."""
READING = [cls for cls in METHODS if example(cls).costs.settle_reads is not None]


@pytest.mark.parametrize("cls", METHODS)
def test_what_is_read_are_fields(cls: type[Method]) -> None:
    costs = example(cls).costs
    for names in (costs.survey_reads, costs.settle_reads):
        assert set(names or ()) <= set(cls.__dataclass_fields__)  # type: ignore[attr-defined]
    if costs.survey_reads and costs.settle_reads is not None:
        assert set(costs.survey_reads) <= set(costs.settle_reads)


@pytest.mark.parametrize("cls", READING)
@given(data=st.data())
@settings(max_examples=25)
def test_what_is_not_read_does_not_change_what_is_settled(
    cls: type[Method], data: st.DataObject
) -> None:
    case = data.draw(cases(cls, pinned=SURVEYING))
    reads = case.method.costs.settle_reads or ()
    kept = {name: getattr(case.method, name) for name in reads}
    other = data.draw(methods(cls, len(case.models), SURVEYING | kept))
    stacks = [stack_of(case, name) for name in case.models[0]]
    order = range(len(stacks))
    assert settled_from(case.method, stacks, order) == settled_from(other, stacks, order)


@pytest.mark.parametrize("cls", [c for c in METHODS if example(c).costs.survey_reads is not None])
@given(data=st.data())
@settings(max_examples=25)
def test_facts_of_one_survey_serve_all_that_read_the_same(
    cls: type[Method], data: st.DataObject
) -> None:
    case: Case = data.draw(cases(cls, pinned=SURVEYING))
    reads = case.method.costs.survey_reads or ()
    kept = {name: getattr(case.method, name) for name in reads}
    other = data.draw(methods(cls, len(case.models), SURVEYING | kept))
    stack = stack_of(case, next(iter(case.models[0])))
    own = other.settle(other.survey(stack, None).close(), None)
    lent = other.settle(case.method.survey(stack, None).close(), None)
    assert dataclasses.asdict(lent) == dataclasses.asdict(own)
