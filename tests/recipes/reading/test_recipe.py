import json
import re
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockpot.errors import FieldError
from stockpot.methods import Average, Dare, Interpolate, Ties, Weave
from stockpot.recipes.reading.recipe import Ingredient, Recipe, parse_recipe
from stockpot.recipes.reading.yaml import dump_yaml, load_yaml

FULL = """
method: {name: ties, density: 0.2}
base: path/to/base
models:
  - path/to/a
  - {path: path/to/b, weight: 0.5}
rules:
  - {match: "*.mlp.*", method: {name: ties, density: 0.4}}
  - {role: embedding, copy: base}
  - {match: head, copy: path/to/b}
layers: {density: [0.1, 0.4]}
output: {dtype: bfloat16, shard_size: 5GB}
seed: 3
missing: present
only: ["*.weight"]
"""


def test_the_whole_recipe() -> None:
    recipe = parse_recipe(load_yaml(FULL, "r.yml"), "r.yml")
    assert recipe.method == Ties(density=0.2)
    assert recipe.base == "path/to/base"
    assert recipe.models == (Ingredient(path="path/to/a"), Ingredient(path="path/to/b", weight=0.5))
    assert recipe.weights == (1.0, 0.5)
    assert [str(rule) for rule in recipe.rules] == [
        "match '*.mlp.*'",
        "role 'embedding'",
        "match 'head'",
    ]
    assert recipe.rules[0].method == Ties(density=0.4)
    assert recipe.layers == {"density": (0.1, 0.4)}
    assert (recipe.output.dtype, recipe.output.shard_size) == ("bfloat16", 5 * 10**9)
    assert (recipe.seed, recipe.missing, recipe.only) == (3, "present", ("*.weight",))


def test_the_shortest_recipe_has_the_defaults() -> None:
    recipe = parse_recipe({"method": "average", "models": ["a"]})
    assert recipe == Recipe(method=Average(), models=(Ingredient(path="a"),))
    assert recipe.weights is None
    assert (recipe.output.dtype, recipe.missing, recipe.only) == ("same", "error", ())


def test_a_method_value_is_taken_as_it_is() -> None:
    method = Interpolate(t=0.25)
    assert parse_recipe({"method": method, "models": ["a", "b"]}).method is method


WOVEN = """
method:
  name: weave
  method: {name: ties, density: [0.1, 0.2]}
  grid: {scale: [0.5, 1, 1.5], vote: [mass, count]}
  pool: {name: ties, trim: model}
models: [a, b]
base: c
rules:
  - match: head
    method: {name: weave, method: dare, grid: {density: [[0.1, 0.2], 0.5]}, raw: include}
"""


def test_a_method_within_a_method() -> None:
    recipe = parse_recipe(load_yaml(WOVEN, "r.yml"))
    assert recipe.method == Weave(
        Ties(density=(0.1, 0.2)),
        grid={"scale": (0.5, 1, 1.5), "vote": ("mass", "count")},
        pool=Ties(),
    )
    woven = Weave(Dare(), grid={"density": ((0.1, 0.2), 0.5)}, raw="include")
    assert recipe.rules[0].method == woven


@pytest.mark.parametrize("text", [FULL, WOVEN, "{method: average, models: [a, b]}"])
def test_resolved_reads_back_through_yaml_and_json(text: str) -> None:
    recipe = parse_recipe(load_yaml(text, "r.yml"))
    plain = recipe.resolved()
    assert parse_recipe(plain) == recipe
    assert parse_recipe(json.loads(json.dumps(plain))) == recipe
    assert parse_recipe(load_yaml(dump_yaml(plain), "r.yml")) == recipe
    assert parse_recipe(plain).resolved() == plain


NUMBERS = st.floats(-1e6, 1e6)
RECIPES = st.fixed_dictionaries(
    {
        "method": st.fixed_dictionaries(
            {"name": st.just("ties")},
            optional={"density": st.floats(1e-9, 1), "scale": NUMBERS, "vote": st.just("count")},
        ),
        "models": st.lists(
            st.text(min_size=1, max_size=9)
            | st.fixed_dictionaries({"path": st.text(min_size=1), "weight": NUMBERS}),
            min_size=1,
            max_size=3,
        ),
    },
    optional={
        "base": st.text(min_size=1, max_size=9),
        "layers": st.fixed_dictionaries({"scale": st.lists(NUMBERS, min_size=1, max_size=4)}),
        "rules": st.lists(
            st.fixed_dictionaries({"match": st.text(min_size=1, max_size=9), "copy": st.just(0)})
            | st.fixed_dictionaries({"role": st.just("norm-stat"), "method": st.just("median")}),
            max_size=2,
        ),
        "output": st.fixed_dictionaries({}, optional={"shard_size": st.integers(1, 10**15)}),
        "seed": st.integers(0, 2**63 - 1),
        "missing": st.sampled_from(["error", "present"]),
        "only": st.lists(st.text(min_size=1, max_size=9), max_size=2),
    },
)


@given(RECIPES)
def test_any_recipe_reads_back(plain: dict[str, Any]) -> None:
    recipe = parse_recipe(plain)
    assert parse_recipe(load_yaml(dump_yaml(recipe.resolved()), "r.yml")) == recipe


def test_a_recipe_is_frozen() -> None:
    recipe = parse_recipe({"method": "average", "models": ["a"]})
    with pytest.raises(FrozenInstanceError):
        recipe.seed = 1  # pyright: ignore[reportAttributeAccessIssue]


def wrong(**changes: object) -> dict[str, object]:
    right: dict[str, object] = {"method": "ties", "base": "base", "models": ["a", "b"]}
    return {key: value for key, value in (right | changes).items() if value != "REMOVED"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "a recipe must be a mapping; got nothing."),
        ([1], "a recipe must be a mapping; got a list."),
        (wrong(methd=1), "unknown key 'methd': did you mean 'method'?"),
        (wrong(merge_methods=1), "unknown key 'merge_methods'"),
        (
            {"merge_method": "passthrough", "slices": [{"sources": []}], "dtype": "float16"},
            "this is a recipe of mergekit; needed is a recipe, with method and models. That format",
        ),
        (wrong(method="REMOVED"), "method is required."),
        (wrong(models="REMOVED"), "models is required."),
        (wrong(models=[]), "models needs at least one entry."),
        (wrong(models="a"), "models must be a list; got 'a'."),
        (wrong(models=[""]), "models[0].path must not be empty; got ''."),
        (wrong(models=["a", 3]), "models[1] must be a mapping; got 3."),
        (wrong(models=[{"path": 3}]), "models[0].path must be text; got 3."),
        (wrong(models=[{"weight": 3}]), "models[0].path is required."),
        (
            wrong(models=["a", {"path": "b", "wieght": 1}]),
            "models[1]: unknown key 'wieght': did you mean 'weight'?",
        ),
        (
            wrong(models=[{"path": "b", "weight": float("nan")}]),
            "models[0].weight must be a finite number; got nan.",
        ),
        (
            wrong(models=[{"path": "b", "weight": "0.5"}]),
            "models[0].weight must be a number, or nothing; got '0.5'.",
        ),
        (
            wrong(models=[{"path": "b", "weight": True}]),
            "models[0].weight must be a number, or nothing; got True.",
        ),
        (wrong(method="tis"), "method: there is no method 'tis': did you mean 'ties'?"),
        (
            wrong(method={"name": "ties", "densty": 1}),
            "method: ties has no field 'densty': did you mean 'density'?",
        ),
        (
            wrong(method={"name": "weave", "method": "tis"}),
            "method: weave: method: there is no method 'tis': did you mean 'ties'?",
        ),
        (
            wrong(method={"name": "weave", "method": {"name": "ties", "scal": 1}}),
            "method: weave: method: ties has no field 'scal': did you mean 'scale'?",
        ),
        (
            wrong(method={"name": "weave", "method": {"density": 1}}),
            "method: weave: method: must be a method's name, or {name: ..., and its fields}.",
        ),
        (
            wrong(method={"name": "weave", "grid": {"density": 0.5}}),
            "method: weave: grid must be a mapping of fields to lists of values",
        ),
        (
            wrong(method={"name": "weave"}, layers={"scale": [0, 1]}),
            "layers: weave has no field 'scale'",
        ),
        (
            wrong(method={"name": "weave"}, layers={"grid": [0, 1]}),
            "layers: grid of weave is no number",
        ),
        (wrong(method={"density": 1}), "method must be a method's name, or {name: ..."),
        (wrong(method=None), "method must be a method's name"),
        (
            wrong(method={"name": "ties", "density": 0}),
            "method: ties: density must be in (0, 1]",
        ),
        (
            wrong(rules=[{"match": "x", "method": {"name": "ties", "scal": 1}}]),
            "rules[0].method: ties has no field 'scal': did you mean 'scale'?",
        ),
        (wrong(rules=[{"match": "x"}]), "rules[0] needs exactly one of method and copy."),
        (
            wrong(rules=[{"match": "x", "copy": "base", "method": "ties"}]),
            "rules[0] needs exactly one of method and copy.",
        ),
        (wrong(rules=[{"copy": "base"}]), "rules[0] needs exactly one of match and role."),
        (
            wrong(rules=[{"match": "x", "role": "conv", "copy": "base"}]),
            "rules[0] needs exactly one of match and role.",
        ),
        (
            wrong(rules=[{"role": "embeding", "copy": "base"}]),
            "rules[0].role: there is no role 'embeding': did you mean 'embedding'?",
        ),
        (
            wrong(rules=[{"macth": "x", "copy": 0}]),
            "rules[0]: unknown key 'macth': did you mean 'match'?",
        ),
        (wrong(rules=[{"match": "x", "copy": 2}]), "rules[0].copy: there is no model 2"),
        (wrong(rules=[{"match": "x", "copy": -1}]), "rules[0].copy: there is no model -1"),
        (
            wrong(rules=[{"match": "x", "copy": "7"}]),
            "rules[0].copy: there is no model 7: indices run 0 to 1.",
        ),
        (
            wrong(rules=[{"match": "x", "copy": "bse"}]),
            "rules[0].copy: there is no model 'bse': did you mean 'base'?",
        ),
        (wrong(rules=[{"match": "x", "copy": True}]), "rules[0].copy must be 'base'"),
        (
            wrong(base="REMOVED", rules=[{"match": "x", "copy": "base"}]),
            "rules[0].copy: there is no base to copy from",
        ),
        (wrong(layers={"densty": [0.1]}), "layers: ties has no field 'densty'"),
        (wrong(layers={"vote": [0.1]}), "layers: vote of ties is no number"),
        (wrong(layers={"density": []}), "layers: density needs at least one value."),
        (wrong(layers={"density": [0.1, 1.5]}), "layers: ties: density must be in (0, 1]"),
        (wrong(layers={"density": 0.1}), "layers.density must be a list; got 0.1."),
        (wrong(layers={"density": ["x"]}), "layers.density[0] must be a number; got 'x'."),
        (wrong(layers=[1]), "layers must be a mapping; got a list."),
        (
            wrong(output={"dtype": "f32"}),
            "output.dtype must be one of 'same', 'float32', 'bfloat16', 'float16'; got 'f32'.",
        ),
        (wrong(output={"shard_size": "5XB"}), "output.shard_size: cannot read the size '5XB'"),
        (wrong(output={"shardsize": 1}), "output: unknown key 'shardsize': did you mean"),
        (wrong(seed=-1), f"seed must be a whole number in [0, {2**63}); got -1."),
        (wrong(seed=2**63), f"seed must be a whole number in [0, {2**63}); got {2**63}."),
        (wrong(seed=1.5), f"seed must be a whole number in [0, {2**63}); got 1.5."),
        (wrong(seed=True), f"seed must be a whole number in [0, {2**63}); got True."),
        (wrong(missing="skip"), "missing must be one of 'error', 'base', 'present'; got 'skip'."),
        (wrong(only="x"), "only must be a list; got 'x'."),
        (wrong(base=""), "base must not be empty; got ''."),
    ],
)
def test_what_is_wrong_is_said_with_its_place(data: object, message: str) -> None:
    with pytest.raises(FieldError, match=re.escape(f"r.yml: {message}")) as caught:
        parse_recipe(data, "r.yml")
    text = str(caught.value)
    assert text.count("r.yml: ") == len(text.splitlines())


def test_everything_wrong_is_said_at_once() -> None:
    data = wrong(seed="x", models=[{"path": "a", "weight": "x"}], output={"dtype": 5})
    with pytest.raises(FieldError) as caught:
        parse_recipe(data)
    lines = str(caught.value).splitlines()
    assert [line.split()[0] for line in lines] == ["models[0].weight", "output.dtype", "seed"]


def test_long_values_are_cut() -> None:
    with pytest.raises(FieldError) as caught:
        parse_recipe(wrong(seed="x" * 10_000))
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("copy", "index"), [("a", 0), ("b", 1), (0, 0), (1, 1), ("1", 1), ("base", "base")]
)
def test_a_copy_means_a_path_an_index_or_the_base(copy: str | int, index: int | str) -> None:
    assert parse_recipe(wrong()).copied_model(copy) == index


def test_a_path_of_digits_comes_before_an_index() -> None:
    recipe = parse_recipe({"method": "average", "models": ["1", "x"]})
    assert recipe.copied_model("1") == 0
    assert recipe.copied_model(1) == 1
