"""Figures of the validation: what they show is what was found."""

import pytest

from stockpot.pages.drawing import draw
from stockpot.pages.figures import figure
from stockpot.studies.diagnosis.forecast import figures, validate

from .forecasting import DATA, falling, made_table


@pytest.fixture(scope="module")
def found():
    return validate(made_table(falling, pools=24, noise=0.05), resamples=20)


def test_every_merge_is_a_point(found):
    panel = figures.forecast(found)
    dots = {one.name: one for one in panel.series}
    assert set(dots) == set(DATA)
    assert sum(len(one.x) for one in dots.values()) == found.merges
    first = found.points[0]
    assert (dots[first.data].x[0], dots[first.data].value[0]) == (first.forecast, first.seen)


def test_bins_are_where_their_means_are(found):
    (means,) = figures.calibration(found).series
    assert means.x == tuple(one.forecast for one in found.bins)
    assert means.value == tuple(one.seen for one in found.bins)


def test_the_learning_curve_has_both_lines(found):
    overall, same = figures.learning(found).series
    assert overall.value == tuple(one.overall for one in found.curve)
    assert same.value == tuple(one.same_origin for one in found.curve)


def test_all_predictors_are_named_once(found):
    panel = figures.predictors(found)
    names = [one.name for one in panel.series]
    assert names == ["forecast", "mean per method", "same-origin flag", "plain cosine"]
    values = {value for one in panel.series for value in one.value}
    assert {one.value for one in found.ranks if (one.left, one.part) == ("data", "all")} == values


@pytest.mark.parametrize("make", ["calibration", "forecast", "learning", "predictors"])
def test_it_is_drawn(found, make):
    assert draw(figure(make, "t", "c", getattr(figures, make)(found))).get_xlabel()
