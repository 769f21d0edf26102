import math
from typing import Any

import pytest

from stockpot.errors import FieldError
from stockpot.methods import Average, Ties
from stockpot.recipes.build import amend, build_recipe
from stockpot.recipes.model import parse_recipe


def test_a_recipe_from_arguments_is_the_recipe_from_a_file() -> None:
    built = build_recipe(Ties(density=0.3), ["a", "b"], base="c", weights=[1, 0.5])
    written = {
        "method": {"name": "ties", "density": 0.3},
        "base": "c",
        "models": [{"path": "a", "weight": 1.0}, {"path": "b", "weight": 0.5}],
    }
    assert built == parse_recipe(written)
    assert build_recipe(Average(), ["a"]).weights is None


@pytest.mark.parametrize(
    ("models", "weights", "message"),
    [
        ([], None, "no model"),
        (["a", "b"], [1.0], "got 1 weights for 2 models"),
        (["a"], [1.0, 2.0], "got 2 weights for 1 models"),
        (["a", "b"], [1.0, math.nan], "weights must be finite numbers; got 1.0, nan"),
        (["a", "b"], [math.inf, 1.0], "weights must be finite numbers; got inf"),
    ],
)
def test_weights_and_models_that_do_not_fit(
    models: list[str], weights: list[float] | None, message: str
) -> None:
    with pytest.raises(FieldError, match=message):
        build_recipe(Average(), models, weights=weights)


RECIPE = parse_recipe(
    {
        "method": "average",
        "base": "base",
        "models": ["a", "b"],
        "rules": [{"role": "conv", "copy": 0}],
        "output": {"dtype": "float16", "shard_size": "1GB"},
        "seed": 5,
        "missing": "present",
        "only": ["x*"],
    }
)


def test_flags_that_are_not_given_change_nothing() -> None:
    assert amend(RECIPE) == RECIPE


@pytest.mark.parametrize(
    ("flags", "changed"),
    [
        ({"dtype": "bfloat16"}, {"output": {"dtype": "bfloat16", "shard_size": "1GB"}}),
        ({"shard_size": "2GiB"}, {"output": {"dtype": "float16", "shard_size": "2GiB"}}),
        ({"seed": 0}, {"seed": 0}),
        ({"missing": "error"}, {"missing": "error"}),
        ({"only": ["y*", "z*"]}, {"only": ["y*", "z*"]}),
        (
            {"copies": ["head.*=base", "x=a=b"]},
            {
                "rules": [
                    {"match": "head.*", "copy": "base"},
                    {"match": "x", "copy": "a=b"},
                    {"role": "conv", "copy": 0},
                ]
            },
        ),
    ],
)
def test_flags_stand_over_the_recipe(flags: dict[str, Any], changed: dict[str, Any]) -> None:
    recipe = RECIPE
    if "copies" in flags:
        recipe = parse_recipe(RECIPE.resolved() | {"models": ["a", "a=b"]})
    assert amend(recipe, **flags).resolved() == recipe.resolved() | changed


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({"dtype": "f32"}, "output.dtype must be one of 'same'"),
        ({"shard_size": "x"}, "cannot read the size 'x'"),
        ({"seed": -1}, "seed must be at least 0"),
        ({"missing": "skip"}, "missing must be one of"),
        ({"copies": ["head"]}, "--copy takes PATTERN=MODEL, such as 'head.*=base'; got 'head'"),
        ({"copies": ["=base"]}, "--copy takes PATTERN=MODEL"),
        ({"copies": ["head="]}, "--copy takes PATTERN=MODEL"),
        ({"copies": ["head=c"]}, r"rules\[0\].copy: there is no model 'c'"),
    ],
)
def test_flags_that_the_recipe_does_not_take(flags: dict[str, Any], message: str) -> None:
    with pytest.raises(FieldError, match=message):
        amend(RECIPE, **flags)
