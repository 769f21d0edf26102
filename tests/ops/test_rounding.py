"""Rounding once, and the steps of the stored dtypes, against whole numbers."""

from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import stockpot as sp
from stockpot.methods import Average
from stockpot.ops.rounding import copy_rounded, mean_square_step, rounded

NARROW = (torch.bfloat16, torch.float16, torch.float8_e4m3fn, torch.float8_e5m2)


def neighbours(dtype: torch.dtype) -> Tensor:
    """Every finite number of a dtype, ascending, in float64."""
    bits = 8 * dtype.itemsize
    whole = torch.int16 if bits == 16 else torch.uint8
    every = torch.arange(2**bits, dtype=torch.int32).to(whole).view(dtype).double()
    return every[every.isfinite()].unique()


@pytest.mark.parametrize("dtype", NARROW, ids=str)
@given(data=st.data())
@settings(max_examples=30, deadline=None)
def test_a_float64_goes_to_the_nearest_and_half_way_to_the_even_one(
    dtype: torch.dtype, data: st.DataObject
) -> None:
    """Near the middle between two neighbours, from 2^-52 of it to a quarter, and exactly there."""
    every = neighbours(dtype)
    at = data.draw(st.integers(0, len(every) - 2))
    low, high = float(every[at]), float(every[at + 1])
    apart = data.draw(st.sampled_from([0.0, *(2.0**-n for n in (2, 8, 17, 25, 33, 45, 50))]))
    side = data.draw(st.sampled_from([-1, 1]))
    value = (low + high) / 2 + side * apart * (high - low)
    found = rounded(torch.tensor([value], dtype=torch.float64), dtype)
    exact = Fraction(value)
    below, above = exact - Fraction(low), Fraction(high) - exact
    if below != above:
        assert float(found.double()) == (low if below < above else high)
    else:
        assert float(found.double()) in (low, high)
        assert int(found.view(torch.int16 if dtype.itemsize == 2 else torch.uint8)) % 2 == 0


def test_torch_rounds_twice_and_we_do_not() -> None:
    value = torch.tensor([1 + 2.0**-8 + 2.0**-40], dtype=torch.float64)
    assert value.to(torch.bfloat16).item() == 1
    assert rounded(value, torch.bfloat16).item() == 1 + 2.0**-7
    assert rounded(-value, torch.bfloat16).item() == -1 - 2.0**-7


def test_what_is_not_finite_or_out_of_range_stays_what_torch_makes_of_it() -> None:
    some = [float("inf"), -float("inf"), 1e39, -1e300, 0.0, -0.0, 1e-320, 3.4e38]
    values = torch.tensor(some, dtype=torch.float64)
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        found, torchs = rounded(values, dtype), values.to(dtype)
        assert torch.equal(found.view(torch.uint8), torchs.view(torch.uint8))
        assert rounded(values * torch.nan, dtype).isnan().all()
    assert rounded(values, torch.float64) is values


def test_runs_of_many_elements_are_all_copied() -> None:
    values = torch.linspace(-3, 3, 2**20 + 77).double()  # float32 numbers: torch rounds them once
    into = torch.empty(len(values), dtype=torch.bfloat16)
    copy_rounded(into, values)
    assert torch.equal(into, values.to(torch.bfloat16))


def test_a_merge_of_float64_models_is_rounded_once() -> None:
    model = {"w": torch.tensor([1 + 2.0**-8 + 2.0**-40, 2.0], dtype=torch.float64)}
    merged = sp.merge([model, model], Average(), dtype="bfloat16")
    assert merged["w"].tolist() == [1 + 2.0**-7, 2.0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("count", [2, 3, 5, 6, 7, 10, 12])
def test_averages_of_narrow_models_are_the_nearest_and_the_even_one_half_way(
    dtype: torch.dtype, count: int
) -> None:
    """Against whole numbers: every sum of models is one, in units of 2^-40."""
    generator = torch.Generator().manual_seed(count)
    base = torch.randn(4000, generator=generator) / 50
    models = [(base + torch.randn(4000, generator=generator) / 250).to(dtype) for _ in range(count)]
    found = sp.merge([{"w": model} for model in models], Average())["w"]
    whole = [(model.double() * 2**40).to(torch.int64) for model in models]
    total = torch.stack(whole).sum(0)

    def missed(values: Tensor) -> Tensor:
        return (total - count * (values.double() * 2**40).to(torch.int64)).abs()

    infinite = torch.full_like(found, torch.inf)
    beside = [missed(torch.nextafter(found, way)) for way in (infinite, -infinite)]
    nearest = torch.minimum(*beside)
    assert not (nearest < missed(found)).any()
    even = found.view(torch.int16) % 2 == 0
    half_way = nearest == missed(found)
    assert half_way.any()
    assert even[half_way].all()


@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_steps_are_the_distances_to_the_next_number(stored: torch.dtype) -> None:
    values = torch.randn(999, generator=torch.Generator().manual_seed(0)).to(stored)
    wide = values.double().abs()
    steps = torch.nextafter(values.abs(), torch.full_like(values, torch.inf)).double() - wide
    rows = values if stored == torch.float64 else values.float()
    exact = float((steps**2).mean())
    assert mean_square_step(rows, stored) == pytest.approx(exact, rel=1e-6)


def test_steps_of_nothing_of_zeros_and_of_what_is_not_finite() -> None:
    assert mean_square_step(torch.zeros(0), torch.float32) == 0
    assert mean_square_step(torch.zeros(3), torch.float16) == pytest.approx(2.0**-48)
    assert mean_square_step(torch.tensor([1.0, torch.inf]), torch.float32) == float("inf")
