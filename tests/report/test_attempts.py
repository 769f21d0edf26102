"""Figures and files of what a search tried."""

import csv
import io
import json
import math
from dataclasses import replace

import pytest

from stockpot.evaluation import Attempt, Comparison
from stockpot.report import figures, render_page
from stockpot.report.attempts import attempts_csv, attempts_json

from .making import grid


def attempt(number, score, *, leads=False, origin="tpe", **values):
    return Attempt(
        method="ties",
        number=number,
        origin=origin,
        score=score,
        leads=leads,
        values=tuple(values.items()),
    )


ATTEMPTS = (
    attempt(0, 0.5, leads=True, origin="uniform-soup", scale=None, vote=None),
    attempt(1, 0.7, leads=True, origin="defaults", scale=1.0, vote="mass"),
    attempt(2, -math.inf, scale=2.0, vote="count"),
    attempt(3, 0.6, scale=0.4, vote="count"),
    attempt(4, 0.8, leads=True, scale=0.7, vote="mass"),
)


def comparison(attempts=ATTEMPTS):
    rows = tuple(grid(methods={"searched": "merge", "uniform-soup": "merge"}, counts=(2,)))
    return Comparison(
        title="t", rows=rows, differences=(), conclusion="c", attempts=tuple(attempts)
    )


def panels(name, result):
    return next(one for one in figures(result) if one.name == name).panels


def test_the_line_is_the_best_until_then_and_reaches_the_last_trial():
    (panel,) = panels("attempts", comparison())
    *dots, line = panel.series
    assert line.x == (0, 1, 1, 4, 4, 4)
    assert line.value == pytest.approx((50, 50, 70, 70, 80, 80))
    assert sorted(x for one in dots for x in one.x) == [0, 1, 3, 4]  # no score, no dot


def test_a_panel_for_each_field_with_words_side_by_side():
    scale, vote = panels("fields", comparison())
    assert sorted(x for one in scale.series for x in one.x) == [0.4, 0.7, 1.0]
    assert vote.x.names == ("count", "mass")
    assert (scale.x.label, vote.x.label) == ("scale", "vote")


def test_what_was_tried_first_in_several_pools_is_named_once():
    pools = [replace(one, seed=seed) for seed in range(5) for one in ATTEMPTS]
    scale, _ = panels("fields", comparison(pools))
    assert sum(len(one.x) for one in scale.series) == 5 * 3
    assert [word for one in scale.series for word in one.labels if word] == ["defaults"]
    assert "Trial 4, pool 0, subset 0 is best" in render_page(comparison(pools))
    several = [*ATTEMPTS, replace(ATTEMPTS[1], method="cart", leads=False)]
    assert "Trial 4 of ties is best" in render_page(comparison(several))


def test_files_have_every_attempt():
    rows = list(csv.DictReader(io.StringIO(attempts_csv(ATTEMPTS))))
    assert [row["score"] for row in rows] == ["0.5", "0.7", "-inf", "0.6", "0.8"]
    assert [row["scale"] for row in rows] == ["", "1.0", "2.0", "0.4", "0.7"]
    plain = json.loads(attempts_json(comparison()))
    assert plain[2]["score"] is None
    assert [one["leads"] for one in plain] == [True, True, False, False, True]


def test_the_page_shows_them_only_where_something_was_searched():
    assert "The score over trials" in render_page(comparison())
    assert "The score over trials" not in render_page(comparison(()))
    lost = [attempt(0, math.inf, scale=1.0)]
    assert "The score over trials" not in render_page(comparison(lost))
