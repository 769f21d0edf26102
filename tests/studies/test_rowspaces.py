"""What the measures of row spaces must be equal to, and what a slow reference says."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stockpot.studies.interference.rowspaces import PLACES, effective_rank, row_spaces

from .making import drawn, reference

RANKS = (0.1, 0.25, 0.5, 1.0)


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 1000),
    rows=st.integers(1, 14),
    columns=st.integers(1, 14),
    tasks=st.integers(2, 4),
    wide=st.booleans(),
)
def test_they_are_those_of_the_reference(seed, rows, columns, tasks, wide):
    deltas = [drawn(seed + task, rows, columns) for task in range(tasks)]
    found = row_spaces([d.double() if wide else d for d in deltas], RANKS)
    _agree(found, deltas)


@pytest.mark.parametrize("shape", [(150, 140), (133, 260)])
def test_matrices_that_take_the_route_by_the_gram_matrix_do_too(shape):
    decay = torch.logspace(0, -2, min(shape))
    deltas = [torch.linalg.qr(drawn(k, shape[0], len(decay))).Q * decay for k in range(3)]
    deltas = [d @ torch.linalg.qr(drawn(9 + k, shape[1], len(decay))).Q.T for k, d in
              enumerate(deltas)]  # fmt: skip
    _agree(row_spaces(deltas, RANKS), deltas)
    few, whole = row_spaces(deltas, RANKS[:2]), row_spaces(deltas, RANKS)
    for one in ("interference", "residuals", "overlaps"):
        for a, b in zip(getattr(few, one), getattr(whole, one), strict=False):
            assert a == pytest.approx(b, rel=1e-4)
    assert all(map(math.isnan, few.effective_ranks))
    assert math.isnan(few.spectra[0][-1])
    assert few.error < 1e-5


def _agree(found, deltas):
    rows, entropies = reference([d.numpy() for d in deltas], RANKS)
    total = sum(float(d.double().square().sum()) for d in deltas)
    for g, (interference, residual, overlap) in enumerate(rows):
        assert 2 * math.fsum(found.interference[g]) == pytest.approx(interference, rel=1e-4)
        assert math.fsum(found.residuals[g]) == pytest.approx(residual, rel=1e-4, abs=1e-6 * total)
        assert math.fsum(found.overlaps[g]) / len(found.overlaps[g]) == pytest.approx(
            overlap, rel=1e-4
        )
    assert found.effective_ranks == pytest.approx(entropies, rel=1e-4)
    assert all(one[0] == 1 and len(one) == len(PLACES) for one in found.spectra)


def test_orthogonal_row_spaces_do_not_interfere():
    basis_NN = torch.linalg.qr(drawn(0, 12, 12)).Q
    deltas = [drawn(task, 9, 4) @ basis_NN[4 * task : 4 * task + 4] for task in range(3)]
    found = row_spaces([d.double() for d in deltas], RANKS)
    assert max(max(one) for one in found.interference) < 1e-6
    few = row_spaces([d.double() for d in deltas], (0.1, 0.25, 0.4))  # beyond 4 there is rounding
    assert max(max(one) for one in few.overlaps) < 1e-10


def test_tasks_that_are_alike_share_all_and_interfere_by_their_spectrum():
    delta = drawn(0, 10, 6)
    found = row_spaces([delta, 3 * delta], RANKS)
    shares = torch.linalg.svdvals(delta.double()).square() / delta.double().square().sum()
    for g, k in enumerate(found.counts):
        assert found.interference[g][0] == pytest.approx(float(shares[:k].norm()), rel=1e-6)
        assert found.overlaps[g][0] == pytest.approx(1.0)


def test_at_full_rank_nothing_is_left_out_and_interference_is_that_of_the_products():
    a, b = drawn(0, 10, 6), drawn(1, 10, 6)
    found = row_spaces([a, b], (1.0,))
    assert found.residuals == ((0.0, 0.0),)
    assert found.interference[0][0] == pytest.approx(
        float((a @ b.T).norm() / (a.norm() * b.norm())), rel=1e-5
    )


def test_interference_never_falls_with_the_rank_and_what_is_left_out_never_rises():
    found = row_spaces([drawn(k, 20, 30) for k in range(3)], tuple(k / 20 for k in range(1, 21)))
    for low, high in zip(found.interference, found.interference[1:], strict=False):
        assert all(a <= b + 1e-9 for a, b in zip(low, high, strict=True))
    for low, high in zip(found.residuals, found.residuals[1:], strict=False):
        assert all(a >= b for a, b in zip(low, high, strict=True))


def test_effective_rank_counts_directions():
    assert effective_rank(torch.eye(5).diagonal()) == pytest.approx(5)
    assert effective_rank(torch.tensor([3.0, 0.0])) == 1
    assert effective_rank(torch.zeros(0)) == 0


def test_a_task_that_did_not_move_counts_as_nothing():
    found = row_spaces([torch.zeros(4, 5), drawn(0, 4, 5)], RANKS)
    assert found.interference[-1] == found.overlaps[-1] == (0.0,)
    assert found.squares[0] == found.residuals[0][0] == found.effective_ranks[0] == 0


@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("shape", [(10, 6), (6, 10), (150, 140)])
def test_of_a_task_vector_of_one_row_as_much_overlaps_as_lies_in_the_others_row_space(shape, wide):
    """Of rank 1 against full rank: one direction is shared at most, whatever k is."""
    full = drawn(0, *shape)
    one = torch.zeros(shape)
    one[3] = drawn(1, 1, shape[1])[0]
    found = row_spaces([d.double() if wide else d for d in (one, full)], RANKS)
    right_NN = torch.linalg.svd(full.double(), full_matrices=False).Vh
    direction_N = one[3].double() / one[3].double().norm()
    for k, overlaps in zip(found.counts, found.overlaps, strict=True):
        inside = float((right_NN[:k] @ direction_N).square().sum())
        assert overlaps == (pytest.approx(inside, rel=1e-4),)
    assert found.effective_ranks[0] == pytest.approx(1.0)


def test_taken_to_the_letter_the_papers_product_does_not_see_angles():
    norms = []
    for angle in (0.0, 0.7, math.pi / 2):
        turned = torch.eye(4, dtype=torch.float64)
        turned[0, 0] = turned[2, 2] = math.cos(angle)
        turned[0, 2], turned[2, 0] = math.sin(angle), -math.sin(angle)
        one, other = torch.eye(4, dtype=torch.float64)[:2], turned[:2]
        values = torch.tensor([0.8, 0.6], dtype=torch.float64)[:, None]
        norms.append(float(((values * one).T @ (values * other)).norm()))
    assert norms == pytest.approx([math.hypot(0.8**2, 0.6**2)] * 3)
