"""What rounding does to singular values, and what is told from it."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stockpot.ops.rounding import mean_square_step
from stockpot.ops.spectra.noise import ROUNDED, TRAINED, Noise


def rounding(shape: tuple[int, int], dtype: torch.dtype, seed: int) -> tuple[Tensor, Noise]:
    """What storing random weights in a dtype changes in them, and the noise of that."""
    weights = torch.randn(shape, generator=torch.Generator().manual_seed(seed)).double() / 30
    stored = weights.to(dtype)
    steps = mean_square_step(stored.float(), dtype)
    return stored.double() - weights, Noise.of_rounding(steps, *shape)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@given(seed=st.integers(0, 10**6), rows=st.integers(2, 200), columns=st.integers(2, 200))
@settings(max_examples=25, deadline=None)
def test_all_that_rounding_makes_is_noise_and_little_more(
    dtype: torch.dtype, seed: int, rows: int, columns: int
) -> None:
    change, noise = rounding((rows, columns), dtype, seed)
    values = torch.linalg.svdvals(change)
    assert noise.real(values) == 0
    if min(rows, columns) > 30:  # 1/√12 = 0.289 of ROUNDED, but for chance and unequal steps
        assert float(values[0]) > 0.25 / ROUNDED * noise.level


@pytest.mark.parametrize("units", [2.0, TRAINED - 1])
def test_a_sudden_fall_is_noise_that_training_has_made(units: float) -> None:
    noise = Noise.of_rounding(1e-12, 10, 300)
    low = units * noise.level
    fall = torch.tensor([1.0, 0.5, low], dtype=torch.float64)
    slope = torch.tensor([1.0, 500 * low, low], dtype=torch.float64)
    assert noise.real(fall) == 2
    assert noise.real(slope) == 3
    assert noise.real(fall * 2 * TRAINED / units) == 3
    assert noise.real(torch.tensor([low])) == 1
    assert noise.real(torch.tensor([low]), above=1.0) == 0


def test_a_share_of_the_largest_is_that_and_nothing_else() -> None:
    noise = Noise(share=0.1).beside(2.0)
    assert noise.level == 0.2
    assert noise.real(torch.tensor([2.0, 0.3, 0.2001, 0.2, 1e-9])) == 3
    assert Noise().real(torch.tensor([1.0, 1e-30, 0.0])) == 2


def test_nan_is_not_noise() -> None:
    assert Noise(level=1.0).real(torch.tensor([torch.nan])) == 1
    assert Noise(level=1.0).real(torch.zeros(0)) == 0
