import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stockpot.ops.means import affine, median, weighted_sum

FINITE = st.floats(-4, 4, width=32)


def rows(count: int, seed: int = 0, numel: int = 101) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(numel, generator=generator) for _ in range(count)]


@given(st.lists(FINITE, min_size=1, max_size=6))
def test_affine_of_copies_is_the_copy(coefficients: list[float]) -> None:
    (row,) = rows(1)
    assert torch.equal(affine([row] * len(coefficients), coefficients), row)
    assert torch.equal(affine([row] * len(coefficients), coefficients, row), row)


@given(st.lists(FINITE, min_size=1, max_size=6), st.integers(0, 99))
@settings(max_examples=50)
def test_affine_is_the_sum_it_says(coefficients: list[float], seed: int) -> None:
    base, *models = rows(len(coefficients) + 1, seed)
    found = affine(models, coefficients, base)
    wide = base.double() + sum(
        c * (m.double() - base.double()) for c, m in zip(coefficients, models, strict=True)
    )
    size = 1 + sum(map(abs, coefficients))
    assert torch.allclose(found.double(), wide, rtol=0, atol=4e-6 * size)
    assert found.dtype == torch.float32


@pytest.mark.parametrize("count", [1, 2, 3, 7, 10, 49])
def test_affine_takes_coefficients_that_miss_one_by_rounding(count: int) -> None:
    models, coefficients = rows(count), [1 / count] * count
    alone = affine(models, coefficients)
    assert torch.equal(alone, affine(models, coefficients, torch.full((101,), 1e30)))
    wide = torch.stack(models).double().mean(0)
    assert torch.allclose(alone.double(), wide, rtol=0, atol=1e-6)


@pytest.mark.parametrize("k", [0, 1, 2])
def test_affine_returns_a_point_of_coefficient_one_exactly(k: int) -> None:
    models, base = rows(3), rows(1, 9)[0]
    coefficients = [float(k == i) for i in range(3)]
    for found in (affine(models, coefficients), affine(models, coefficients, base)):
        assert torch.equal(found, models[k])
        assert found.data_ptr() != models[k].data_ptr()
    zero = affine(models, [0.0] * 3, base)
    assert torch.equal(zero, base)
    assert zero.data_ptr() != base.data_ptr()


def test_affine_does_not_cancel_between_close_models() -> None:
    """A difference in the last bits survives a base that is far away."""
    one = torch.full((64,), 1000.0)
    other = torch.nextafter(one, torch.tensor(2000.0))
    found = affine([one, other], [0.5, 0.5], torch.full((64,), -1e6))
    assert torch.equal(found, one) or torch.equal(found, other)


def test_affine_asks_for_one_row_at_a_time_and_changes_none() -> None:
    models, base = rows(4), rows(1, 5)[0]
    seen = [m.clone() for m in (*models, base)]
    affine(models, [0.1, 0.5, 0.2, -0.3], base)
    assert all(torch.equal(m, was) for m, was in zip((*models, base), seen, strict=True))


@given(st.lists(FINITE, min_size=2, max_size=5), st.integers(1, 70))
@settings(max_examples=40)
def test_cutting_does_not_show(coefficients: list[float], at: int) -> None:
    """Vector bodies and tails round alike, wherever a row is cut."""
    base, *models = rows(len(coefficients) + 1, 3)
    ends = [slice(0, at), slice(at, None)]
    for step in (
        lambda p: affine([m[p] for m in models], coefficients, base[p]),
        lambda p: weighted_sum([m[p] for m in models], coefficients),
        lambda p: median([m[p] for m in models]),
    ):
        assert torch.equal(torch.cat([step(p) for p in ends]), step(slice(None)))


def test_weighted_sum_adds_in_order() -> None:
    a, b, c = rows(3)
    assert torch.equal(weighted_sum([a, b, c], [2.0, -1.0, 0.3]), (a * 2 + b * -1) + c * 0.3)
    assert torch.equal(weighted_sum([a], [0.5]), a / 2)


@pytest.mark.parametrize("count", range(1, 10))
def test_median_is_numpy_s(count: int) -> None:
    models = rows(count, count, 300)
    models[0][:50] = models[-1][:50]
    found = median(models).double()
    wide = torch.stack(models).double().sort(0).values
    middle = (wide[(count - 1) // 2] + wide[count // 2]) / 2
    if count % 2:
        assert torch.equal(found, middle)
    assert torch.allclose(found, middle, rtol=0, atol=1e-6)


def test_median_sorts_every_order() -> None:
    """All zeros and ones of seven rows: a network that sorts these sorts everything."""
    patterns = torch.tensor([[(i >> k) & 1 for i in range(128)] for k in range(7)]).float()
    assert torch.equal(median(list(patterns)), (patterns.sum(0) > 3).float())
    six = median(list(patterns[:6]))
    ones = patterns[:6].sum(0)
    assert torch.equal(six, (ones > 3).float() + 0.5 * (ones == 3))


def test_median_changes_no_row() -> None:
    models = rows(4)
    seen = [m.clone() for m in models]
    median(models)
    assert all(torch.equal(m, was) for m, was in zip(models, seen, strict=True))


def test_float64_rows_stay_float64() -> None:
    models = [row.double() + math.pi * 1e-12 for row in rows(3)]
    for found in (affine(models, [0.2, 0.5, 0.3]), median(models), weighted_sum(models, [1, 2, 3])):
        assert found.dtype == torch.float64
    wide = 0.2 * models[0] + 0.5 * models[1] + 0.3 * models[2]
    assert torch.allclose(affine(models, [0.2, 0.5, 0.3]), wide, rtol=0, atol=1e-15)
