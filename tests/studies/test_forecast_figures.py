"""Figures of the validation: what they show is what was found."""

import pytest
from matplotlib.figure import Figure

from stockpot.studies.diagnosis.forecast import validate
from stockpot.studies.diagnosis.forecast.figures import (
    plot_calibration,
    plot_forecast,
    plot_learning,
    plot_predictors,
)

from .forecasting import DATA, falling, made_table


@pytest.fixture(scope="module")
def found():
    return validate(made_table(falling, pools=24, noise=0.05), resamples=20)


def axes():
    return Figure().subplots()


def test_every_merge_is_a_point(found):
    ax = plot_forecast(found, axes())
    dots = {one.get_label(): one for one in ax.get_lines() if one.get_label() in DATA}
    assert set(dots) == set(DATA)
    assert sum(len(one.get_xdata()) for one in dots.values()) == found.merges
    first = found.points[0]
    line = dots[first.data]
    assert (line.get_xdata()[0], line.get_ydata()[0]) == (first.forecast, first.seen)


def test_bins_are_where_their_means_are(found):
    ax = plot_calibration(found, axes())
    means = next(one for one in ax.get_lines() if one.get_label().startswith("mean"))
    assert list(means.get_xdata()) == [one.forecast for one in found.bins]
    assert list(means.get_ydata()) == [one.seen for one in found.bins]


def test_the_learning_curve_has_both_lines(found):
    ax = plot_learning(found, axes())
    overall, same = ax.get_lines()
    assert list(overall.get_ydata()) == [one.overall for one in found.curve]
    assert list(same.get_ydata()) == [one.same_origin for one in found.curve]


def test_all_predictors_are_named_once(found):
    ax = plot_predictors(found, axes())
    words = [one.get_text() for one in ax.get_legend().get_texts()]
    assert words == ["forecast", "mean per method", "same-origin flag", "plain cosine"]
    values = {float(one.get_xdata()[0]) for one in ax.get_lines() if len(one.get_xdata()) == 1}
    assert {one.value for one in found.ranks if (one.left, one.part) == ("data", "all")} == values


@pytest.mark.parametrize("plot", [plot_calibration, plot_forecast, plot_learning, plot_predictors])
def test_a_figure_of_its_own_is_made_without_axes(found, plot):
    assert plot(found).get_figure().get_suptitle().endswith("?")
