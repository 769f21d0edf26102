"""Figures as values: drawn as they are, split where they are full, a sentence where empty."""

import math
import sys

import pytest
from matplotlib.figure import Figure as Canvas

from stockpot.errors import ExtraError
from stockpot.pages.drawing import COLUMN, PAGE, draw, draw_panels
from stockpot.pages.figures import (
    MOST_SERIES,
    Axis,
    Dots,
    Level,
    Lines,
    Series,
    figure,
    heat,
    nothing_to_see,
    shown_rows,
)
from stockpot.pages.styles import Style


def lines(count=2, value=(1.0, 2.0), **more):
    return Lines(
        series=tuple(
            Series(name=f"s{k}", x=(0, 1), value=value, style=Style("#0072b2"), **more)
            for k in range(count)
        ),
        x=Axis("x"),
        y=Axis("y"),
    )


def dots(count, names=("a", "b")):
    places = tuple(range(len(names)))
    return Dots(
        series=tuple(
            Series(name=f"s{k}", x=places, value=(1.0 * k,) * len(names), style=Style("#0072b2"))
            for k in range(count)
        ),
        names=names,
        x=Axis("x"),
    )


def test_a_line_has_its_values_and_its_interval_as_a_band():
    axes = Canvas().subplots()
    shown = figure("f", "t", "c", lines(1, low=(0.5, 1.5), high=(1.5, 2.5)))
    assert draw(shown, axes) is axes
    (line,) = axes.lines
    assert list(line.get_ydata()) == [1, 2]
    (band,) = axes.collections
    assert {0.5, 2.5} <= {float(y) for _, y in band.get_paths()[0].vertices}


def test_what_is_not_finite_is_left_out_and_a_single_mark_has_a_bar():
    one = Series(
        name="", x=(0, 1), value=(math.nan, 2.0), low=(0.0, 1.0), high=(0.0, 3.0),
        style=Style("#0072b2", dash="none"),
    )  # fmt: skip
    axes = Canvas().subplots()
    draw(figure("f", "t", "c", Lines(series=(one,), x=Axis(), y=Axis())), axes)
    assert [list(line.get_ydata()) for line in axes.lines] == [[1, 3], [2]]


def test_dots_of_one_name_stand_side_by_side():
    axes = Canvas().subplots()
    draw(figure("f", "t", "c", dots(3)), axes)
    places = [line.get_ydata()[0] for line in axes.lines if len(line.get_xdata()) == 1]
    assert len(set(places)) == 6
    assert sorted(places)[2] < 0.5 < sorted(places)[3]


@pytest.mark.parametrize("make", [lines, dots])
def test_more_than_seven_series_have_panels_of_their_own(make):
    assert len(figure("f", "t", "c", make(MOST_SERIES)).panels) == 1
    full = figure("f", "t", "c", make(MOST_SERIES + 1))
    assert len(full.panels) == (MOST_SERIES + 1 if make is lines else 2)
    assert len({one.title for one in full.panels}) == len(full.panels)
    assert len(draw_panels(full)) == len(full.panels)


def test_what_has_nothing_to_see_is_a_sentence():
    def said(*panels):
        return nothing_to_see(figure("f", "t", "c", *panels))

    assert said(lines()) == ""
    assert said(lines(1, (0.0, 0.0))) == "All 2 values are 0, so there is nothing to draw."
    assert said(lines(1, (math.nan, math.nan))).startswith("No value is finite")
    assert said(lines(1, (1.0, 1.0), low=(0.0, 0.0), high=(2.0, 2.0))) == ""
    flat = heat({("a", "b"): 0.0, ("c", "b"): 0.0}, ["a", "c"], ["b"], x="", show=str)
    assert said(flat).startswith("All 2 values are 0")


def test_a_level_is_drawn_where_the_axis_reaches_it():
    panel = Lines(series=lines().series, x=Axis(), y=Axis(), levels=(Level(1.5), Level(99)))
    axes = Canvas().subplots()
    draw(figure("f", "t", "c", panel), axes)
    assert [line.get_ydata()[0] for line in axes.lines[2:]] == [1.5]


def test_a_paper_has_columns_and_text_of_eight_points():
    one, two = (draw(figure("f", "t", "c", *[lines()] * k)).figure for k in (1, 2))
    assert (one.get_size_inches()[0], two.get_size_inches()[0]) == (COLUMN, PAGE)
    assert one.axes[0].xaxis.label.get_fontsize() == 8


def test_of_many_rows_forty_are_shown_evenly():
    rows = [str(k) for k in range(90)]
    assert shown_rows(rows[:40]) == rows[:40]
    assert (len(shown_rows(rows)), shown_rows(rows)[20]) == (40, "45")


def test_without_matplotlib_the_message_names_the_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(ExtraError, match=r"pip install 'stockpot\[lab\]'"):
        draw(figure("f", "t", "c", lines()))
