"""Moments, quantiles and normality against SciPy in float64, for every format; and slicing."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from stockpot.core import SEGMENT
from stockpot.ops.distribution import pivot_of, sketch

DTYPES = (torch.bfloat16, torch.float16, torch.float32, torch.float64)
SHARES = (0.001, 0.05, 0.5, 0.95, 0.999)


def drawn(dtype, size, mean=0.0, std=0.02, seed=0):
    made = torch.Generator().manual_seed(seed)
    return (mean + std * torch.randn(size, generator=made, dtype=torch.float64)).to(dtype)


def of(row):
    found = sketch(row, pivot_of(row[:4096])).distribution()
    assert found is not None
    return found


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mean", [0.0, 1.0, -50.0])
def test_moments_and_quantiles_are_those_of_float64(dtype, mean):
    row = drawn(dtype, 3 * SEGMENT + 77, mean, std=0.02 if dtype.itemsize > 2 else 0.5)
    plain = row.double().numpy()
    found = of(row)
    moments = found.moments
    assert found.count == plain.size
    assert math.isclose(moments.mean, plain.mean(), rel_tol=1e-12, abs_tol=1e-15)
    assert math.isclose(moments.std, plain.std(), rel_tol=1e-11)
    assert math.isclose(moments.skewness, stats.skew(plain), rel_tol=1e-7, abs_tol=1e-9)
    assert math.isclose(moments.kurtosis, stats.kurtosis(plain), rel_tol=1e-7, abs_tol=1e-9)
    exact = np.quantile(plain, SHARES, method="inverted_cdf")
    if dtype.itemsize == 2:
        assert found.quantiles(SHARES) == tuple(exact)
    else:
        off = np.abs(np.asarray(found.quantiles(SHARES)) - exact)
        assert (off <= 0.02 * 4 * 2**-7).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["normal", "uniform", "skewed"])
def test_distance_to_normal_is_scipys_within_a_bin(dtype, kind):
    rng = np.random.default_rng(1)
    numbers = {
        "normal": rng.standard_normal(60_000),
        "uniform": rng.uniform(-1, 1, 60_000),
        "skewed": rng.exponential(1.0, 60_000),
    }[kind]
    fine = stats.kstest((numbers - numbers.mean()) / numbers.std(), "norm").statistic
    found = of(torch.from_numpy(0.05 * numbers).to(dtype)).distance_to_normal()
    assert abs(found - fine) < 0.003


def test_rounding_to_16_bits_does_not_look_like_a_departure_from_normal():
    row = drawn(torch.bfloat16, 200_000, mean=1.0)  # a grid of 0.4% steps, a fifth of a deviation
    plain = row.double().numpy()
    steps = stats.kstest((plain - plain.mean()) / plain.std(), "norm").statistic
    assert of(row).distance_to_normal() < 0.01 < 0.06 < steps


@settings(deadline=None)
@given(
    st.sampled_from(DTYPES),
    st.lists(st.floats(-1e4, 1e4, width=16), min_size=1, max_size=200),
)
def test_any_entries(dtype, numbers):
    row = torch.tensor(numbers, dtype=torch.float64).to(dtype)
    plain, found = row.double().numpy(), of(row)
    assert math.isclose(found.moments.mean, plain.mean(), rel_tol=1e-9, abs_tol=1e-9)
    assert math.isclose(found.moments.std, plain.std(), rel_tol=1e-6, abs_tol=1e-9)
    assert found.count == plain.size
    low, high = found.quantiles((0.0, 1.0))
    spread = 2**-7 * (plain.max() - plain.min()) if dtype.itemsize > 2 else 0
    assert abs(low - plain.min()) <= spread + 1e-12
    assert abs(high - plain.max()) <= spread + 1e-12
    assert math.isnan(found.distance_to_normal()) or 0 <= found.distance_to_normal() <= 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_do_not_depend_on_slicing_or_order(dtype):
    row = drawn(dtype, 5 * SEGMENT + 11)
    pivot = pivot_of(row[:4096])
    edges = [0, SEGMENT, 4 * SEGMENT, len(row)]
    parts = [sketch(row[a:b], pivot) for a, b in pairwise(edges)]
    joined = parts[2].join([parts[0].join([parts[1]])]).distribution()
    whole = sketch(row, pivot).distribution()
    assert joined is not None
    assert whole is not None
    assert joined.moments == whole.moments
    assert joined.quantiles(SHARES) == whole.quantiles(SHARES)
    assert joined.distance_to_normal() == whole.distance_to_normal()


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_spread_has_no_shape(dtype):
    found = of(torch.full((40_000,), 0.1).to(dtype))
    assert found.moments.std == 0
    assert math.isnan(found.moments.kurtosis)
    assert math.isnan(found.distance_to_normal())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_has_no_distribution(dtype, value):
    row = torch.ones(1000, dtype=dtype)
    row[7] = value
    assert sketch(row, 0.0).distribution() is None


def test_eight_bits_are_counted_as_they_are():
    row = torch.tensor([1.0, -2.0, 0.5, 0.0]).to(torch.float8_e4m3fn)
    assert of(row).quantiles((0.0, 1.0)) == (-2.0, 1.0)
