"""Checkpoints weighted as a decay of the learning rate weights the updates between them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import stockpot
from stockpot.errors import FieldError
from stockpot.methods import Average
from stockpot.recipes.decay import DECAYS, decay_weights
from stockpot.recipes.reading.recipe import parse_recipe

falling = st.lists(st.floats(0, 1), min_size=1, max_size=8).map(
    lambda numbers: tuple(sorted(numbers, reverse=True))
)


@given(falling, st.integers(0, 2**32 - 1))
def test_the_average_is_what_smaller_updates_would_have_come_to(shares, seed):
    theta = np.random.default_rng(seed).normal(size=(len(shares) + 1, 5))
    decayed = theta[0] + sum(w * (theta[j + 1] - theta[j]) for j, w in enumerate(shares))
    weights = decay_weights(len(theta), shares)
    np.testing.assert_allclose(np.array(weights) @ theta, decayed, rtol=1e-9, atol=1e-12)
    assert sum(weights) == pytest.approx(1)
    assert min(weights) >= 0


@pytest.mark.parametrize("decay", DECAYS)
@pytest.mark.parametrize("count", [1, 2, 7])
def test_named_decays(decay, count):
    weights = decay_weights(count, decay)
    assert len(weights) == count
    assert sum(weights) == pytest.approx(1)
    assert min(weights) > 0
    if decay == "linear":
        assert weights == pytest.approx([1 / count] * count)


def test_wrong_decays_are_refused():
    with pytest.raises(FieldError, match="there is no 'cosin': did you mean 'cosine'"):
        decay_weights(3, "cosin")
    with pytest.raises(FieldError, match="3 checkpoints need 2 numbers"):
        decay_weights(3, (0.5,))
    for numbers in ((0.5, 0.6), (1.5, 0.1), (0.5, -0.1), (0.5, float("nan"))):
        with pytest.raises(FieldError, match="numbers must fall from 1 to 0"):
            decay_weights(3, numbers)


def recipe(decay, models=("a", "b", "c")):
    return parse_recipe({"method": "average", "models": list(models), "decay": decay})


def test_a_recipe_takes_a_decay_in_place_of_weights():
    one = recipe("cosine")
    assert one.weights == decay_weights(3, "cosine")
    assert parse_recipe(one.resolved()) == one
    assert recipe([0.5, 0.25]).weights == (0.5, 0.25, 0.25)
    with pytest.raises(FieldError, match="leave weights out"):
        recipe("cosine", [{"path": "a", "weight": 1}, "b"])
    with pytest.raises(FieldError, match="there is no decay 'cosinus'"):
        recipe("cosinus")
    with pytest.raises(FieldError, match="a list of numbers"):
        recipe([True, "x"])


def test_the_order_that_a_shell_gives_numbers_is_refused():
    with pytest.raises(FieldError, match="ckpt-1000 stands before run/ckpt-200"):
        recipe("cosine", ["run/ckpt-1000", "run/ckpt-200", "run/ckpt-300"])
    recipe("cosine", ["run/ckpt-200", "run/ckpt-1000"])
    recipe("cosine", ["run/ckpt-0200", "run/ckpt-1000"])
    recipe("cosine", ["run/ckpt-300", "run/ckpt-200"])  # somebody's own order


def test_in_memory_the_same_weights_go_to_merge():
    states = [{"w": torch.full((3,), float(k))} for k in range(4)]
    merged = stockpot.merge(states, Average(), weights=decay_weights(4, "1-sqrt"))
    expected = sum(k * c for k, c in enumerate(decay_weights(4, "1-sqrt")))
    assert merged["w"].tolist() == pytest.approx([expected] * 3)
