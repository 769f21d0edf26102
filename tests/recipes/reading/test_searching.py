"""Axes of a search: how they are written, what they default to, and the points between."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockpot.errors import FieldError
from stockpot.experiments.experiment import parse_experiment
from stockpot.methods import METHODS, Average, Dare, Slerp, TaskArithmetic, Ties
from stockpot.recipes.reading.recipe import parse_recipe
from stockpot.recipes.reading.searching import read_axis, space_of
from stockpot.recipes.reading.space import Candidate, Choices, Range, Simplex, on_simplex, to_sticks

MODELS = ["a", "b", "c"]


def recipe(search, method="ties", **more):
    return parse_recipe({"method": method, "base": "0", "models": MODELS, "search": search} | more)


def test_how_axes_are_written():
    axes = recipe(
        {
            "scale": {"low": 0.1, "high": 10, "log": True, "steps": 3},
            "density": [0.1, 0.2, 0.5],
            "vote": ["mass", "count"],
            "weights": "simplex",
        }
    ).search
    assert axes["scale"].grid() == pytest.approx((0.1, 1.0, 10.0))
    assert axes["density"] == Choices((0.1, 0.2, 0.5))
    assert axes["vote"] == Choices(("mass", "count"))
    assert axes["weights"] == Simplex()
    assert read_axis([0, 2]) == Range(0.0, 2.0)


@pytest.mark.parametrize(
    ("search", "words"),
    [
        ({"scal": [0, 1]}, "did you mean 'scale'"),
        ({"density": [0, 1]}, r"search.density must be in \(0, 1\]; got 0"),
        ({"vote": ["mass", "loud"]}, "search.vote must be one of mass, count; got loud"),
        ({"vote": [0, 1]}, "search.vote must be values that are one of"),
        ({"scale": "simplex"}, "only weights lie on a simplex"),
        ({"scale": [2, 1]}, "search.scale: low must be below high"),
        ({"scale": [1, 1]}, "different values"),
        ({"scale": 3}, r"search.scale must be \[low, high\]"),
        ({"scale": {"low": 0, "high": 1, "log": True}}, "log needs a low above 0"),
        ({"scale": {"low": 0, "high": 1, "lgo": True}}, "unknown key 'lgo'"),
        ({"scale": {"low": 0, "high": 1, "steps": 1}}, "steps must be a whole number"),
        ({"weights": ["a", "b", "c"]}, "must be numbers, or simplex"),
    ],
)
def test_what_is_wrong_with_an_axis(search, words):
    with pytest.raises(FieldError, match=words):
        recipe(search)


def test_weights_and_layers_that_rule_an_axis_out():
    with pytest.raises(FieldError, match="slerp takes no weights"):
        parse_recipe({"method": "slerp", "models": ["a", "b"], "search": {"weights": "simplex"}})
    with pytest.raises(FieldError, match=r"search\.density: layers says already"):
        recipe({"density": [0.1, 0.5]}, layers={"density": [0.1, 0.4]})


def test_a_merge_does_not_look_at_axes_and_keeps_where_fields_come_from():
    plain = recipe({"scale": [0.1, 2.0]}).resolved()
    assert "search" not in plain
    assert "searched" not in plain
    found = {"fields": ["scale"], "trials": 9, "sampler": "tpe", "metric": "nll", "score": 0.3,
             "data": "digits"}  # fmt: skip
    kept = parse_recipe(plain | {"searched": found})
    assert kept.resolved()["searched"] == found | {"seed": 0, "split": "selection"}
    assert parse_recipe(kept.resolved()).resolved() == kept.resolved()


def test_the_usual_axes():
    assert space_of(Average(), 3, {}).axes == {"weights": Simplex()}
    assert space_of(Average(), 1, {}).axes == {}
    assert space_of(TaskArithmetic(), 3, {}).axes == {"scale": Range(0.0, 2.0)}
    assert set(space_of(Dare(), 3, {}).axes) == {"density", "scale"}
    assert space_of(Slerp(), 2, {}).axes["t"] == Range(0.0, 1.0)


@pytest.mark.parametrize("method", METHODS, ids=lambda one: one.__name__)
def test_every_point_of_the_usual_axes_is_a_legal_method_and_found_again(method):
    space = space_of(method(), 3, {})
    for point in space.grid(0, 20) if space.axes else []:
        candidate = space.at(point)
        assert space.point_of(candidate) == pytest.approx(point)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_sticks_are_weights_on_the_simplex(sticks):
    weights = on_simplex(sticks)
    assert len(weights) == len(sticks) + 1
    assert min(weights) >= 0
    assert math.fsum(weights) == pytest.approx(1)
    assert on_simplex(to_sticks(weights)) == pytest.approx(weights, abs=1e-6)


def test_uniform_sticks_are_uniform_on_the_simplex():
    """Each weight has the mean 1/K and the variance of a flat Dirichlet, (K-1) / K^2 (K+1)."""
    steps = [(i + 0.5) / 100 for i in range(100)]
    drawn = [on_simplex([a, b]) for a in steps for b in steps]
    for k in range(3):
        mean = sum(one[k] for one in drawn) / len(drawn)
        variance = sum((one[k] - mean) ** 2 for one in drawn) / len(drawn)
        assert mean == pytest.approx(1 / 3, abs=1e-3)
        assert variance == pytest.approx(2 / 36, abs=1e-3)


def test_points_outside():
    space = space_of(Ties(), 3, {"scale": Range(0.1, 2.0)})
    assert space.point_of(Candidate(Ties(scale=1.0))) == {"scale": 1.0}
    assert space.point_of(Candidate(Ties(scale=3.0))) is None
    assert space.point_of(Candidate(Ties(density=0.9))) is None
    assert space.point_of(Candidate(Average())) is None
    assert space.point_of(Candidate(Ties(), (1.0, 2.0, 3.0))) is None
    some = space_of(Ties(), 3, {"weights": Simplex()})
    assert some.point_of(Candidate(Ties(), (-1.0, 1.0, 1.0))) is None


def test_a_grid_has_every_combination_once_and_a_vast_one_is_refused():
    space = space_of(Ties(), 3, {"density": Choices((0.1, 0.2)), "weights": Simplex(3)})
    points = space.grid(0, 100)
    assert len({tuple(point.values()) for point in points}) == len(points) == 2 * 6
    assert sorted(map(repr, points)) == sorted(map(repr, space.grid(1, 100)))
    assert points[:5] == space.grid(0, 5)
    with pytest.raises(FieldError, match="give fewer steps, or another sampler"):
        space_of(Ties(), 72, {"weights": Range(0.0, 1.0)}).grid(0, 5)


def test_a_budget_is_read_back_and_bounded():
    keys = {"network": "mlp", "data": "digits", "compare": {"search": {"trials": 7}}}
    one = parse_experiment(keys)
    assert one.compare.search.trials == 7
    assert parse_experiment(one.resolved()).resolved() == one.resolved()
    with pytest.raises(FieldError, match=r"compare\.search\.sampler"):
        parse_experiment(keys | {"compare": {"search": {"sampler": "best"}}})
