"""Decompositions against LAPACK's SVD in float64: errors within bounds, bounds within reach."""

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stockpot.ops.inner import inner
from stockpot.ops.spectra.graded import resolution
from stockpot.ops.spectra.leading import leading
from stockpot.ops.spectra.low_rank import LIMIT, LowRank, Ranks, directions, top_k
from stockpot.ops.spectra.noise import Noise
from stockpot.ops.spectra.polar import polar, turned_apart

NOISE = Noise(share=1e-5)
ROUNDED = torch.finfo(torch.float32).eps
"""A direction in float32."""


def matrix(rows: int, columns: int, values: Tensor, seed: int = 0) -> Tensor:
    """A float32 matrix with these singular values."""
    generator = torch.Generator().manual_seed(seed)
    size = min(rows, columns)

    def basis(length: int) -> Tensor:
        drawn = torch.randn(length, size, generator=generator, dtype=torch.float64)
        return torch.linalg.qr(drawn).Q

    return (basis(rows) * values.double() @ basis(columns).T).float()


def decay(kind: str, size: int) -> Tensor:
    """Spectra as trained networks have them, and the worst there are."""
    i = torch.arange(1, size + 1, dtype=torch.float64)
    return {
        "slow": i**-0.5,
        "fast": i**-1.5,
        "exponential": 10 ** (-6 * i / size),
        "linear": 1.1 - i / size,
        "lora": torch.where(i <= 8, i**-0.5, 1e-6),
        "low rank": torch.where(i <= 5, 6 - i, 0.0),
        "steps": torch.floor(i / 10) * -1 + size / 10,
    }[kind]


def best(given: Tensor, rank: int) -> Tensor:
    u, s, v = torch.linalg.svd(given.double(), full_matrices=False)
    return u[:, :rank] * s[:rank] @ v[:rank]


def error(found: LowRank, exact: Tensor) -> float:
    made = found.left.double() * found.values @ found.right.double()
    return float((made - exact).norm() / exact.norm())


KINDS = ("slow", "fast", "exponential", "linear", "lora", "low rank")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(200, 200), (420, 160), (150, 333), (90, 40)])
@pytest.mark.parametrize("fraction", [0.04, 0.12])
def test_the_bound_is_at_least_the_error_and_small(
    kind: str, shape: tuple[int, int], fraction: float
) -> None:
    size = min(shape)
    given = matrix(*shape, decay(kind, size))
    found = top_k(given, Ranks(fraction=fraction))
    exact = best(given, max(1, int(fraction * size)))
    assert error(found, exact) <= found.bound
    assert found.bound <= 1.5 * LIMIT
    energy = float(exact.norm() ** 2 / given.double().norm() ** 2)
    assert found.energy == pytest.approx(energy, rel=2 * found.bound)
    short = found.right if shape[0] >= shape[1] else found.left.T
    gram = short.double() @ short.double().T
    assert float((gram - torch.eye(found.rank, dtype=torch.float64)).abs().max()) < 1e-5


@given(
    seed=st.integers(0, 10**6),
    rows=st.integers(130, 260),
    columns=st.integers(130, 200),
    power=st.floats(0.0, 3.0),
    count=st.integers(1, 60),
    size=st.integers(-30, 30),
)
@settings(max_examples=25, deadline=None)
def test_bounds_hold_for_any_decay_rank_and_size(
    seed: int, rows: int, columns: int, power: float, count: int, size: int
) -> None:
    i = torch.arange(1, min(rows, columns) + 1, dtype=torch.float64)
    drawn = torch.rand(len(i), generator=torch.Generator().manual_seed(seed)) + 0.1
    given = matrix(rows, columns, drawn * i**-power * 2.0**size, seed)
    found = top_k(given, Ranks(count=count))
    values = torch.linalg.svdvals(given.double())[: found.rank]
    missed = float((found.values - values).norm() / values.norm())
    assert missed <= found.bound
    assert error(found, best(given, count)) <= found.bound


def test_a_flat_spectrum_falls_back_and_gives_one_of_the_best() -> None:
    """Where the values at the cut are equal no matrix is the best; the energy still is."""
    found = top_k(matrix(200, 180, torch.ones(180)), Ranks(count=20))
    assert found.exact
    assert found.bound > LIMIT
    assert found.energy == pytest.approx(20 / 180, rel=1e-6)
    stepped = top_k(matrix(200, 180, decay("steps", 180)), Ranks(count=25))
    assert float(stepped.values.norm() ** 2) == pytest.approx(
        float((decay("steps", 180)[:25] ** 2).sum()), rel=1e-5
    )


def test_the_fast_route_is_taken_on_ordinary_spectra() -> None:
    for kind in ("slow", "exponential"):
        assert not top_k(matrix(300, 256, decay(kind, 256)), Ranks(fraction=0.08)).exact


@pytest.mark.parametrize("kind", ["slow", "fast", "exponential", "linear"])
@pytest.mark.parametrize("kept", [6, 20, 40])
def test_leading_eigenvectors_are_certified_on_steep_spectra_too(kind: str, kept: int) -> None:
    gram = inner(matrix(300, 240, decay(kind, 240), 3))
    found = leading(gram, kept)
    assert found is not None
    assert found.bound <= LIMIT
    values, vectors = torch.linalg.eigh(gram)
    lengths = values.flip(0)[:kept].sqrt()
    missed = float((found.values.sqrt() - lengths).norm() / lengths.norm())
    assert missed <= found.bound  # by Mirsky's theorem, whatever the processor
    exact = vectors.flip(1)[:, :kept]
    root = (values.clamp(min=0).sqrt() * vectors) @ vectors.T
    difference = root @ (found.vectors @ found.vectors.T - exact @ exact.T)
    assert float(difference.norm() / (root @ exact).norm()) <= found.bound
    orthonormal = found.vectors.T @ found.vectors - torch.eye(kept)
    assert float(orthonormal.abs().max()) < 1e-10


def test_a_direction_that_the_filter_missed_is_not_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The Cholesky factorisation sees it, and the bound is infinite or the direction found."""
    gram = torch.diag(torch.arange(200, 0, -1, dtype=torch.float64) ** 3)
    start = torch.eye(200)[:, 1:50]  # the first direction is not in it, to the last bit
    values = gram.diagonal().float()[1:50]
    monkeypatch.setattr(
        "stockpot.ops.spectra.leading._filtered", lambda *_: (start[:, :26], values[:26])
    )
    found = leading(gram, 10)
    assert found is not None
    assert found.bound == math.inf


def test_eigenvalues_that_are_equal_at_the_cut_are_left_to_the_exact_route() -> None:
    assert leading(torch.eye(200, dtype=torch.float64), 10) is None
    few = torch.diag(torch.tensor([1.0] * 5 + [0.0] * 195, dtype=torch.float64))
    assert leading(few, 10) is None


def test_ranks_by_count_energy_and_fraction() -> None:
    squares = torch.tensor([4.0, 3.0, 2.0, 1.0], dtype=torch.float64)
    assert Ranks(fraction=0.5).of(squares, 10.0) == 2
    assert Ranks(fraction=0.1).of(squares, 10.0) == 1
    assert Ranks(count=3, energy=0.1, fraction=0.1).of(squares, 10.0) == 3
    assert Ranks(count=9).of(squares, 10.0) == 4
    assert [Ranks(energy=e).of(squares, 10.0) for e in (0.4, 0.41, 0.7, 0.71, 1.0)] == [
        1,
        2,
        2,
        3,
        4,
    ]
    assert Ranks(fraction=0.29).of(torch.ones(100), 100.0) == 29


def test_full_rank_is_the_matrix() -> None:
    given = matrix(200, 150, decay("slow", 150))
    found = top_k(given, Ranks(fraction=1.0))
    assert float((found.factors().product() - given).norm() / given.norm()) < 1e-6
    assert found.energy == pytest.approx(1.0)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0), (4, 4), (200, 150), (1, 7)])
def test_nothing_is_rank_zero_and_what_is_not_finite_stays_so(shape: tuple[int, int]) -> None:
    found = top_k(torch.zeros(shape), Ranks())
    assert (found.rank, tuple(found.factors().product().shape)) == (0, shape)
    assert polar(torch.zeros(shape), NOISE).rank == 0
    if math.prod(shape):
        for value in (math.nan, math.inf):
            given = torch.zeros(shape)
            given[-1, -1] = value
            assert top_k(given, Ranks()).factors().product().isnan().all()
            assert polar(given, NOISE).factor.isnan().all()
            assert directions(given, 1).factors().product().isnan().all()


@pytest.mark.parametrize("shape", [(3, 5), (160, 140)])
@pytest.mark.parametrize("unit", [1e-42, 1e-30, 1e30])
def test_very_small_and_very_large_numbers(shape: tuple[int, int], unit: float) -> None:
    given = (matrix(*shape, decay("linear", min(shape))).double() * unit).float()
    found = top_k(given, Ranks(count=2))
    assert float(found.values[0]) == pytest.approx(
        float(torch.linalg.svdvals(given.double())[0]), rel=1e-3
    )
    assert found.factors().product().isfinite().all()


def test_double_precision_is_kept() -> None:
    given = matrix(160, 140, decay("slow", 140)).double()
    found = top_k(given, Ranks(count=9))
    assert found.left.dtype == torch.float64
    assert error(found, best(given, 9)) < 1e-12


@pytest.mark.parametrize("shape", [(300, 200), (200, 300), (60, 50)])
@pytest.mark.parametrize("kind", ["slow", "linear", "lora", "low rank"])
def test_polar_factors_are_those_of_the_svd(shape: tuple[int, int], kind: str) -> None:
    given = matrix(*shape, decay(kind, min(shape)))
    u, s, v = torch.linalg.svd(given.double(), full_matrices=False)
    kept = s > 1e-5 * s[0]
    found = polar(given, NOISE)
    assert found.rank == int(kept.sum())
    assert found.nuclear == pytest.approx(float(s[kept].sum()), rel=1e-5)
    exact = u[:, kept] @ v[kept]
    assert float((found.factor.double() - exact).norm() / exact.norm()) < 1e-5


def test_an_ill_conditioned_matrix_has_a_polar_factor_to_float32_too() -> None:
    """As directions of eight tasks side by side: a square stack, the least direction 1e-4."""
    generator = torch.Generator().manual_seed(0)
    left_NN, _ = torch.linalg.qr(torch.randn(256, 256, generator=generator).double())
    right_NN, _ = torch.linalg.qr(torch.randn(256, 256, generator=generator).double())
    values_N = torch.logspace(0, -4, 256, dtype=torch.float64)
    matrix_NN = ((left_NN * values_N) @ right_NN).float()
    left, _, right = torch.linalg.svd(matrix_NN.double())
    error = (polar(matrix_NN, NOISE).factor - left @ right).norm() / math.sqrt(256)
    assert error < 2e-7


@pytest.mark.parametrize("kind", ["slow", "fast", "exponential", "steep"])
@pytest.mark.parametrize("shape", [(200, 200), (320, 150), (140, 300)])
@pytest.mark.parametrize("share", [0.12, 0.8, 1.0])
def test_weak_directions_are_as_right_as_strong_ones(
    kind: str, shape: tuple[int, int], share: float
) -> None:
    """Both sides, though the last value is down to a millionth of the first."""
    size = min(shape)
    values = decay("fast", size) ** 1.7 if kind == "steep" else decay(kind, size)
    given = matrix(*shape, values)
    count = int(share * size)
    found = directions(given, count)
    u, s, v = torch.linalg.svd(given.double(), full_matrices=False)
    assert found.rank == count
    assert torch.allclose(found.values, s[:count], rtol=1e-6, atol=0)
    blurred = resolution(size) * float(s[0] / s[count - 1])
    for side, exact_NK in ((found.left, u[:, :count]), (found.right.mT, v[:count].mT)):
        side = side.double()
        outside = side - exact_NK @ (exact_NK.mT @ side)
        assert float(outside.norm()) / math.sqrt(count) <= found.bound + ROUNDED
        orthonormal = side.mT @ side - torch.eye(count)
        assert float(orthonormal.abs().max()) <= 2 * LIMIT + blurred + 2 * ROUNDED
    made, best_MN = found.factors().product().double(), best(given, count)
    assert float((made - best_MN).norm() / best_MN.norm()) < LIMIT


def test_a_polar_factor_is_right_down_to_values_of_a_ten_millionth() -> None:
    given = matrix(220, 200, 10 ** torch.linspace(0, -7, 200, dtype=torch.float64))
    found = polar(given, Noise())
    left, _, right = torch.linalg.svd(given.double(), full_matrices=False)
    assert found.rank == 200
    assert float((found.factor - left @ right).norm() / math.sqrt(200)) < 1e-6


def test_directions_are_turned_apart_by_the_least() -> None:
    parts = [directions(matrix(180, 150, decay("slow", 150), seed), 20) for seed in range(3)]
    apart = turned_apart(parts, [NOISE.beside(1.0)] * 3, torch.float32)
    assert float((apart.left.T @ apart.left - torch.eye(60)).abs().max()) < 1e-5
    assert float((apart.right @ apart.right.T - torch.eye(60)).abs().max()) < 1e-5
    assert apart.dependent == 0
    same = turned_apart([parts[0], parts[0]], [NOISE.beside(1.0)] * 2, torch.float32)
    twice = torch.cat([parts[0].left] * 2, 1) / math.sqrt(2)
    assert float((same.left - twice).abs().max()) < 1e-5
    assert same.dependent == 20


def shared_but_for(apart: float) -> tuple[list[LowRank], Tensor]:
    """Two halves of the axes, the first axis in both but for so much."""
    axes = torch.eye(160, dtype=torch.float64)
    second = axes[80:].clone()
    second[0] = axes[0] + apart * axes[80]
    ones = torch.ones(80, dtype=torch.float64)
    parts = [
        LowRank(left=rows.T, values=ones, right=rows, energy=1.0, bound=0.0, exact=True)
        for rows in (axes[:80], second)
    ]
    return parts, axes


@pytest.mark.parametrize("apart", [1e-2, 1e-4, 1e-6])
def test_a_direction_that_two_tasks_nearly_share_is_turned_apart_and_not_dropped(
    apart: float,
) -> None:
    parts, axes = shared_but_for(apart)
    turned = turned_apart(parts, [Noise(level=1e-7)] * 2, torch.float32)
    for rows in (turned.left.T, turned.right):
        assert float((rows.double() @ rows.double().T - axes).abs().max()) < 1e-4
    assert turned.dependent == 0


def test_a_direction_that_two_tasks_share_up_to_noise_is_one_direction() -> None:
    parts, _ = shared_but_for(1e-7)
    turned = turned_apart(parts, [Noise(level=1e-6)] * 2, torch.float32)
    assert turned.dependent == 1
    assert int(torch.linalg.matrix_rank(turned.left)) == 159
    weak = [replace(part, values=part.values * 1e-3) for part in shared_but_for(1e-5)[0]]
    assert turned_apart(weak, [Noise(level=1e-6)] * 2, torch.float32).dependent == 1


def test_a_gram_matrix_is_symmetric_to_the_last_bit() -> None:
    given = matrix(1100, 300, decay("slow", 300))
    gram = inner(given, 4.0)
    assert torch.equal(gram, gram.T)
    assert torch.allclose(gram, given.double().T @ given.double() / 16, rtol=0, atol=1e-12)
