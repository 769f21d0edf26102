"""The forecast on tables whose answer is known, and on the one that is shipped."""

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from stockpot.methods import METHODS
from stockpot.studies.diagnosis.forecast import CANDIDATES, Forecast, candidates, shipped, validate
from stockpot.studies.diagnosis.forecast.fitted import without_base
from stockpot.studies.diagnosis.forecast.held_out import (
    BASELINES,
    aided,
    by_data,
    by_network,
    cases_of,
    fit_model,
    left_out,
    spearman,
)
from stockpot.studies.diagnosis.forecast.scoring import AIDED
from stockpot.studies.diagnosis.forecast.table import pools_of
from stockpot.studies.diagnosis.forecast.traits import NAMES, OF_TASK_VECTORS

from .forecasting import DATA, falling, made_table, some_traits

ONE_OF_EACH = {"average", "median", "cart", "task-arithmetic", "ties", "dare", "model-stock"}


@pytest.fixture(scope="module")
def known():
    return validate(made_table(falling), curve=False, resamples=40)


def test_a_rule_is_found_where_data_sets_and_networks_are_left_out(known):
    for left in ("data", "network"):
        assert known.rank(left=left).value > 0.95
        assert known.rank("same origin", left=left).value > 0.9
        assert known.rank("within a method", left=left).value > 0.95
        assert known.rank("same origin", "same-origin flag", left=left).value < 0.5
        assert known.rank("within a method", "mean per method", left=left).value < 0.5
    first = known.rank()
    assert first.low <= first.value <= first.high
    assert (known.pools, known.merges) == (48, len(made_table(falling)))


def test_the_rule_is_calibrated_and_its_advice_is_as_good_as_the_best(known):
    overall = dict(known.coverage)["all"]
    assert 0.6 <= overall <= 0.95
    assert [one.forecast for one in known.bins] == sorted(one.forecast for one in known.bins)
    assert all(abs(one.forecast - one.seen) < 0.1 for one in known.bins)
    ours = next(one for one in known.advice if (one.rule, one.among) == ("forecast", "all"))
    assert ours.within > 0.9
    assert ours.regret < 0.01


def test_where_weights_say_nothing_neither_does_the_forecast():
    random = np.random.default_rng(5)
    found = validate(made_table(lambda *_: float(random.uniform(0, 1))), curve=False, resamples=40)
    assert abs(found.rank().value) < 0.3
    assert abs(found.rank("same origin").value) < 0.3


@pytest.mark.parametrize("fold", [by_data, by_network])
def test_what_is_left_out_is_not_seen(fold):
    table = made_table(falling)
    part = fold(table[0].pool)
    changed = [
        replace(one, score=1 - one.score) if fold(one.pool) == part else one for one in table
    ]
    before, after = left_out(table, fold), left_out(changed, fold)
    same = [
        (a.quality, a.spread, a.baselines) == (b.quality, b.spread, b.baselines)
        for a, b in zip(before, after, strict=True)
        if a.part == part
    ]
    assert same
    assert all(same)
    assert len(before) == len(table)
    others = [a.quality != b.quality for a, b in zip(before, after, strict=True) if a.part != part]
    assert any(others)


def test_gradients_help_where_they_know_more_than_weights():
    random = np.random.default_rng(5)
    hidden = {one.pool.pool: float(random.uniform()) for one in made_table(falling)}
    table = [
        replace(
            one,
            pool=replace(one.pool, gradients=(hidden[one.pool.pool],)),
            score=0.1 + 0.8 * hidden[one.pool.pool],
        )
        for one in made_table(falling)
    ]
    found = validate(table, curve=False, resamples=40)
    assert found.rank(predictor=AIDED).value > 0.9
    assert abs(found.rank().value) < 0.4
    assert aided(made_table(falling)) == ()


def test_spearman_is_the_library_s():
    random = np.random.default_rng(0)
    for _ in range(20):
        one, other = random.integers(0, 6, size=(2, 30))
        assert spearman(one, other) == pytest.approx(spearmanr(one, other).statistic)
    assert spearman([1.0, 1.0], [1.0, 2.0]) == 0.0


def test_fits_repeat_to_the_last_bit():
    table = made_table(falling, noise=0.1)
    cases = cases_of(table)
    one, other = (fit_model(table).predict(cases) for _ in range(2))
    assert np.array_equal(one[0], other[0])
    assert np.array_equal(one[1], other[1])


def test_a_learning_curve_rises_where_there_is_something_to_learn():
    found = validate(made_table(falling, pools=24, noise=0.05), resamples=2)
    assert [one.pools for one in found.curve] == [5, 10, 18]
    assert found.curve[-1].overall > found.curve[0].overall


def test_merges_without_a_base_are_those_that_need_none():
    blind = without_base(made_table(falling))
    assert all(not one.pool.traits.based for one in blind)
    assert {one.method for one in blind} == {"average", "median", "cart"}
    found = validate(blind, curve=False, resamples=40)
    assert found.rank().value > 0.9


def test_candidates_are_methods_that_fit():
    names = {one.__name__.lower() for one in METHODS}
    for one in CANDIDATES:
        assert one.name.replace("-", "") in names
    assert {one.name for one in candidates(3, based=True)} >= ONE_OF_EACH
    assert "slerp" in {one.name for one in candidates(2, based=False)}
    assert "slerp" not in {one.name for one in candidates(3, based=False)}
    assert not any(one.base for one in candidates(5, based=False))


def test_the_shipped_table_is_whole():
    merges = shipped()
    pools = pools_of(merges)
    assert len(pools) >= 40
    assert len(merges) >= 300
    assert {one.data for one in pools} == set(DATA)
    assert len({one.network for one in pools}) >= 6
    assert {one.method for one in merges} == {one.name for one in CANDIDATES}
    assert len({(one.pool.pool, one.method, one.mended) for one in merges}) == len(merges)
    for pool in pools:
        given = {name: getattr(pool.traits, name) for name in NAMES}
        lacking = {name for name, value in given.items() if math.isnan(value)}
        assert lacking in (set(), set(OF_TASK_VECTORS))
        assert pool.traits.based == (pool.relation != "independent")
        assert len(pool.gradients) == 5
        assert all(map(math.isfinite, pool.gradients))
        assert 0 < pool.chance < pool.mean <= pool.best <= 1
        own = [one for one in merges if one.pool is pool]
        assert {one.method for one in own} == {
            one.name for one in candidates(round(pool.traits.count), based=pool.traits.based)
        }
        assert all(0 <= one.score <= 1 and math.isfinite(one.quality) for one in own)
        assert any(one.mended for one in own) == bool(pool.traits.batch_norm)


def test_the_shipped_forecast():
    forecast = Forecast.fitted()
    assert forecast is Forecast.fitted()
    assert f"{len(shipped())} merges of {len(pools_of(shipped()))} pools" in forecast.error
    random = np.random.default_rng(0)
    near = next(one.pool.traits for one in shipped() if one.pool.relation == "pretrained")
    far = next(one.pool.traits for one in shipped() if one.pool.relation == "independent")
    best, worst = forecast.predict(near), forecast.predict(far)
    assert best[0].quality > 0.8
    assert max(one.quality for one in worst) < best[0].quality
    for found in (best, worst):
        assert [one.quality for one in found] == sorted((e.quality for e in found), reverse=True)
        assert all(one.low < one.quality < one.high for one in found)
    mended = forecast.predict(some_traits(random, spread=0.1, batch_norm=True))
    assert {one.mended for one in mended} == {True, False}


def test_baselines_are_named_once():
    assert len(set(BASELINES)) == len(left_out(made_table(falling, pools=8), by_data)[0].baselines)
