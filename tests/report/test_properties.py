"""No comparison that is valid breaks the page, whatever its numbers, names and gaps."""

import re
from typing import get_args

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from stockpot.evaluation import Comparison, Row
from stockpot.evaluation.results.comparison import Confusion, Cost, Decision, Kind, Verdict
from stockpot.evaluation.results.intervals import Difference, Interval
from stockpot.report import render_page
from stockpot.report.metric_rows import metric_rows

numbers = st.one_of(
    st.floats(0, 1), st.floats(-1e9, 1e9), st.sampled_from([0.0, float("nan"), float("inf")])
)
names = st.one_of(
    st.sampled_from(["uniform-soup", "logits-ensemble", "single-mean", "single:a", "ties:bn", ""]),
    st.text(max_size=12),
)
few = st.sampled_from(["", "a", "b"])
counts = st.integers(1, 4)
whole_numbers = st.integers(0, 10**15)
intervals = st.builds(Interval, numbers, numbers, numbers)
rows = st.builds(
    Row,
    n=counts,
    subset=st.integers(-1, 1),
    seed=st.integers(-1, 1),
    method=names,
    kind=st.sampled_from(get_args(Kind)),
    split=st.sampled_from(["test", "selection"]),
    part=st.sampled_from(["all", "left"]),
    metric=st.sampled_from(["accuracy", "auroc", "nll", "own"]),
    value=numbers,
    low=numbers,
    high=numbers,
    forwards=st.integers(1, 10),
    network=few,
    data=few,
)
costs = st.builds(
    Cost,
    method=names,
    n=counts,
    parameters=whole_numbers,
    macs=whole_numbers,
    seconds=numbers,
    nbytes=whole_numbers,
    network=few,
    data=few,
)
steps = st.builds(
    Decision,
    seed=st.integers(0, 1),
    subset=st.integers(0, 1),
    n=counts,
    step=st.integers(0, 3),
    candidate=names,
    score=numbers,
    accepted=st.booleans(),
    network=few,
    data=few,
)
pairs = st.builds(Difference, names, names, intervals)
verdicts = st.builds(
    Verdict,
    choice=st.sampled_from(["keep-best", "undecided"]),
    sentence=names,
    evidence=st.lists(st.tuples(pairs, st.floats(0, 1)), max_size=2).map(tuple),
    margin=st.floats(0, 1),
)


@st.composite
def confusions(draw):
    classes = draw(st.lists(st.text(max_size=5), min_size=1, max_size=4))
    line = st.tuples(*[st.integers(0, 5000)] * len(classes))
    counts = draw(st.tuples(*[line] * len(classes)))
    return Confusion(method=draw(names), classes=tuple(classes), counts=counts)


comparisons = st.builds(
    Comparison,
    title=st.text(max_size=20),
    rows=st.lists(rows, min_size=1, max_size=8).map(tuple),
    differences=st.lists(pairs, max_size=2).map(tuple),
    conclusion=names,
    costs=st.lists(costs, max_size=3).map(tuple),
    decisions=st.lists(steps, max_size=4).map(tuple),
    confusion=st.none() | confusions(),
    verdict=st.none() | verdicts,
    facts=st.lists(st.tuples(names, names), max_size=2).map(tuple),
).filter(lambda one: bool(one.overall()))


# Shrinking would render hundreds of pages; the examples are small as they are.
@settings(max_examples=12, phases=[Phase.explicit, Phase.generate])
@given(comparisons)
def test_every_valid_comparison_has_a_page(result):
    page = render_page(result)
    assert page.startswith("<!DOCTYPE html>")
    page.encode("utf-8")
    ids = re.findall(r'\bid="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    shown = metric_rows(result)
    for row in shown.contenders():
        assert shown.unit.show(row.value) in page
