"""Tables of a comparison across tasks."""

from dataclasses import replace

from stockpot.report import render_page
from stockpot.report.page import how_it_was_measured
from stockpot.report.task_tables import across_tasks, normalised_results

from .making import row, whole

METHODS = {"individual": "single", "uniform-soup": "merge", "joint": "control"}
VALUES = {"all-tasks": 0.7, "digits": 0.6, "emoji": 0.8}


def crossed():
    """Two tasks: the mean over them and each, at N = 2."""
    rows = [
        row(method, value * share, kind=kind, n=2, data=data, metric=metric, network="cnn")
        for metric, share in (("accuracy", 1.0), ("normalised accuracy", 1.1))
        for data, value in VALUES.items()
        for method, kind in METHODS.items()
    ]
    return whole(rows, confusion=None, decisions=(), costs=(), verdict=None)


def test_methods_stand_down_and_tasks_across():
    table = across_tasks(crossed())
    assert [one.text for one in table.headings] == [
        "method", "mean over tasks", "mean, normalised", "digits", "emoji", "evaluations",
    ]  # fmt: skip
    assert {line[0].text for line in table.cells} == set(METHODS)
    assert [one.text for one in table.cells[0][1:]] == ["70.0", "77.0", "60.0", "80.0", "1"]


def test_the_page_has_them_and_the_quotients_before_what_is_folded():
    (quotients,) = normalised_results(crossed())
    assert "Normalised accuracy" in quotients.caption
    page = render_page(crossed())
    assert page.index("mean, normalised") < page.index("<details>")


def test_what_has_seen_test_inputs_says_so_in_the_table_and_under_it():
    result = crossed()
    seen = [
        replace(one, method="adamerging", kind="test-time-adaptation")
        for one in result.rows
        if one.method == "uniform-soup"
    ]
    result = replace(result, rows=(*result.rows, *seen))
    (line,) = [one for one in across_tasks(result).cells if one[0].text == "adamerging"]
    assert line[0].detail == "adapted on unlabelled test inputs"
    assert any("But adamerging" in one for one in how_it_was_measured(result))
    assert not any("But" in one for one in how_it_was_measured(crossed()))
    assert "adapted on unlabelled test inputs" in render_page(result)


def test_other_comparisons_have_neither():
    other = whole([row(n=2), row(n=3)])
    assert across_tasks(other) is None
    assert normalised_results(other) == ()
