"""Of each model the key of its state dict, and of `layers` the stack over which they run."""

import pytest

from stockpot.errors import FieldError
from stockpot.recipes.reading.recipe import parse_recipe

GAN = {"path": "gan.pth", "key": "params_ema"}


def test_a_key_belongs_to_one_model() -> None:
    recipe = parse_recipe({"method": "average", "models": [GAN, "psnr.pth"]})
    assert [model.key for model in recipe.models] == ["params_ema", None]
    plain = recipe.resolved()
    assert plain["models"] == [GAN, {"path": "psnr.pth"}]
    assert parse_recipe(plain) == recipe


def test_a_base_has_a_key_too() -> None:
    data = {"method": "ties", "models": ["a"], "base": GAN}
    recipe = parse_recipe(data)
    assert (recipe.base, recipe.base_key) == ("gan.pth", "params_ema")
    assert recipe.resolved()["base"] == GAN
    assert parse_recipe(recipe.resolved()) == recipe
    assert parse_recipe(data | {"base": "gan.pth"}).resolved()["base"] == "gan.pth"


def test_a_stack_stands_among_the_layers() -> None:
    layers = {"stack": "vision.layers", "density": [0.1, 0.4]}
    data = {"method": "ties", "base": "base", "models": ["a"], "layers": layers}
    recipe = parse_recipe(data)
    assert (recipe.stack, recipe.layers) == ("vision.layers", {"density": (0.1, 0.4)})
    assert recipe.resolved()["layers"] == layers
    assert parse_recipe(recipe.resolved()) == recipe


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            {"base": GAN | {"weight": 2}},
            "base: it has a path, a key, rename and view, and nothing else",
        ),
        ({"base": {"key": "x"}}, "path"),
        ({"base": {"path": "x", "kee": "y"}}, "unknown key 'kee'"),
        ({"base": "b", "layers": {"stack": "x"}}, "no field runs over them"),
        ({"base": "b", "layers": {"stack": 3, "density": [0.1]}}, "stack"),
        ({"base": "b", "base.key": "x"}, "unknown key 'base.key'"),
        ({"base": "b", "layers.stack": "x"}, "unknown key 'layers.stack'"),
        ({"base": "b", "stack": "x"}, "unknown key 'stack'"),
        ({"base": "b", "models": [{"path": "a", "key": ""}]}, "key"),
        ({"base": "b", "models": [{"path": "a", "key": 3}]}, "key"),
    ],
)
def test_what_is_refused(data: dict[str, object], message: str) -> None:
    with pytest.raises(FieldError, match=message):
        parse_recipe({"method": "ties", "models": ["a"], **data})


def test_no_inner_name_is_proposed_as_a_key() -> None:
    for key in ("base.kei", "qqqqqq"):
        with pytest.raises(FieldError, match=f"unknown key '{key}'") as error:
            parse_recipe({"method": "average", "models": ["a"], key: 1})
        assert "base.key" not in str(error.value)
        assert "layers.stack" not in str(error.value)
