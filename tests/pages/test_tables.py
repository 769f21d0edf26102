"""A table of a page: its columns say what is shown of a row, and by what it sorts."""

import math

import pytest

from stockpot.evaluation.results.intervals import Interval
from stockpot.pages.tables import EMPTY, Entry, count, interval, keyed, number, table, words


def test_a_table_is_rows_and_what_its_columns_say_of_them():
    made = table(
        "Rows",
        "What there is.",
        [("a\nb", 0.25), ("c", math.nan)],
        words("name", lambda row: row[0], lambda row: f"under {row[0]}"),
        number("share", lambda row: row[1], 3, "of all"),
        names=1,
    )
    assert made.headings == (Entry("name"), Entry("share", "of all"))
    assert made.cells == (
        (Entry("a b", "under a b"), Entry("0.25", key=0.25)),
        (Entry("c", "under c"), EMPTY),
    )


@pytest.mark.parametrize("most", [None, 2, 3])
def test_what_is_cut_off_is_said(most):
    made = table("T", "Each.", [1, 2, 3], count("n", lambda row: row), most=most)
    assert len(made.cells) == (most or 3)
    assert made.caption == (
        "Each. The first 2 of 3; results.csv has all." if most == 2 else "Each."
    )


@pytest.mark.parametrize(
    ("column", "value", "cell"),
    [
        (words("", lambda row: row), None, EMPTY),
        (words("", lambda row: row), "", Entry("")),
        (count("", lambda row: row), None, EMPTY),
        (count("", lambda row: row, "{:,}".format), 1000, Entry("1,000", key=1000)),
        (keyed("", lambda row: row, "{:.1f}".format), math.inf, Entry("inf")),
        (keyed("", lambda row: row, "{:.1f}".format), 0.5, Entry("0.5", key=0.5)),
        (interval("", lambda row: row, 1, 100), None, EMPTY),
        (interval("", lambda row: row, 1), Interval(math.nan, 0, 1), EMPTY),
        (
            interval("", lambda row: row, 1),
            Interval(1, math.nan, math.nan),
            Entry("1.0", "no interval", 1),
        ),
        (
            interval("", lambda row: row, 1, 100, "+"),
            Interval(0.5, 0.25, 0.75),
            Entry("+50.0", "25.0 to 75.0", 0.5),
        ),
    ],
)
def test_a_cell_shows_a_value_or_a_dash(column, value, cell):
    assert column.cell(value) == cell
