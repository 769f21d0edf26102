"""Gram partials, L1 partials, and the exact total that no order can change."""

import math
import threading
from itertools import pairwise, permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stockpot import core
from stockpot.core import SEGMENT, Sums
from stockpot.ops.l1 import l1_norms
from stockpot.ops.spectra.gram import cosines, gram

NUMEL = 5 * SEGMENT + 131


def rough_rows(count: int, numel: int = NUMEL, seed: int = 0) -> list[torch.Tensor]:
    """Rows whose magnitudes span twelve decades, so that an order of summing would show."""
    rng = np.random.default_rng(seed)
    spread = 10.0 ** rng.integers(-6, 6, (count, numel))
    return list(torch.from_numpy((rng.standard_normal((count, numel)) * spread).astype(np.float32)))


def cut(rows: list[torch.Tensor], edges: list[int]) -> list[list[torch.Tensor]]:
    return [[row[a:b] for row in rows] for a, b in pairwise(edges)]


def test_gram_is_the_inner_products() -> None:
    rows = rough_rows(3, 1000)
    stacked = torch.stack(rows).double()
    assert torch.allclose(gram(rows).total(), stacked @ stacked.T, rtol=1e-12)
    assert gram(rows).partials.shape == (1, 3, 3)
    assert gram(rough_rows(2)).partials.shape == (6, 2, 2)


def test_gram_is_float64_from_the_start() -> None:
    row = torch.full((SEGMENT,), 1 + 2**-23)
    expected = SEGMENT * (1 + 2**-23) ** 2
    assert gram([row]).total().item() == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("step", [gram, l1_norms])
@given(
    count=st.integers(1, 6),
    inner=st.sets(st.integers(1, 5)),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=20)
def test_partials_do_not_depend_on_cuts_at_segments(step, count, inner, order) -> None:
    rows = rough_rows(count)
    edges = [0, *[SEGMENT * i for i in sorted(inner)], NUMEL]
    found = [Sums(_tensor(step(part))) for part in cut(rows, edges)]
    whole = _tensor(step(rows))
    assert torch.equal(torch.cat([f.partials for f in found]), whole)
    order.shuffle(found)
    joined = found[0]
    for other in found[1:]:
        joined = joined.join(other)
    assert torch.equal(joined.total(), Sums(whole).total())


def _tensor(found: Sums | torch.Tensor) -> torch.Tensor:
    return found.partials if isinstance(found, Sums) else found


@pytest.mark.parametrize("count", [1, 2, 3, 5, 8])
def test_equal_rows_have_equal_products(count: int) -> None:
    for numel in (3, 131, 20001, NUMEL):
        (row,) = rough_rows(1, numel)
        found = gram([row] * count).total()
        torch.testing.assert_close(found, found[0, 0].expand_as(found), rtol=1e-14, atol=0)
        assert (cosines(found) > 1 - 1e-14).all()


def test_a_row_alone_has_the_products_it_has_among_others() -> None:
    rows = rough_rows(4)
    together = gram(rows).partials
    largest = together.diagonal(dim1=1, dim2=2).max().item()
    for alone, among in (
        (gram(rows[1:2]).partials[:, 0, 0], together[:, 1, 1]),
        (gram(rows[2:]).partials, together[:, 2:, 2:]),
        (together, together.transpose(1, 2)),
    ):
        torch.testing.assert_close(alone, among, rtol=0, atol=1e-14 * largest)


def test_two_workers_that_join_in_any_order_agree() -> None:
    rows = rough_rows(2)
    parts = cut(rows, [0, SEGMENT, 3 * SEGMENT, NUMEL])
    expected = gram(rows).total()
    for order in permutations(parts):
        queue, total, lock = list(order), list[Sums](), threading.Lock()

        def worker(queue=queue, total=total, lock=lock) -> None:
            while True:
                with lock:
                    if not queue:
                        return
                    part = queue.pop()
                found = gram(part)
                with lock:
                    total[:] = [total[0].join(found)] if total else [found]

        threads = [threading.Thread(target=worker) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert torch.equal(total[0].total(), expected)


def test_empty_rows_have_one_partial_of_zero() -> None:
    empty = [torch.empty(0), torch.empty(0)]
    assert torch.equal(gram(empty).partials, torch.zeros(1, 2, 2, dtype=torch.float64))
    assert torch.equal(l1_norms(empty), torch.zeros(1, 2, dtype=torch.float64))


def test_l1_norms() -> None:
    rows = rough_rows(3)
    found = l1_norms(iter(rows))
    assert found.shape == (6, 3)
    assert torch.allclose(found.sum(0), torch.stack(rows).double().abs().sum(1), rtol=1e-12)


@given(
    st.lists(st.floats(-1e300, 1e300), min_size=1, max_size=30), st.randoms(use_true_random=False)
)
@settings(max_examples=60)
def test_totals_are_correctly_rounded_in_any_order(numbers: list[float], order) -> None:
    expected = math.fsum(numbers)
    assert Sums(torch.tensor(numbers, dtype=torch.float64)[:, None]).total().tolist() == [expected]
    order.shuffle(numbers)
    shuffled = Sums(torch.tensor(numbers, dtype=torch.float64)[:, None])
    assert shuffled.total().tolist() == [expected]
    assert shuffled.close().total().tolist() == [expected]


def test_totals_that_a_plain_sum_misses() -> None:
    numbers = [1e16, 1.0, -1e16, 1e-8, 3.0] * 3
    partials = torch.tensor([numbers, numbers[::-1]], dtype=torch.float64).T.reshape(15, 2, 1)
    total = Sums(partials).total()
    assert total.shape == (2, 1)
    assert total.flatten().tolist() == [math.fsum(numbers)] * 2 == [12.00000003] * 2
    assert partials.sum(0)[0].item() != total[0].item()


@pytest.mark.parametrize("order", [1, -1])
def test_totals_beyond_the_range_and_of_infinities(order: int) -> None:
    def total(*numbers: float) -> float:
        return Sums(torch.tensor(numbers[::order], dtype=torch.float64)[:, None]).total().item()

    assert total(1e308, 1e308, -1e308) == 1e308
    assert total(1.7e308, 1.7e308) == math.inf
    assert total(-1.7e308, -1.7e308, 1.0) == -math.inf
    assert total(math.inf, 1.0) == math.inf
    assert math.isnan(total(math.inf, -math.inf, 1.0))
    assert math.isnan(total(math.nan, 1.0))


def test_closing_keeps_one_partial() -> None:
    found = gram(rough_rows(2))
    assert found.close().partials.shape == (1, 2, 2)
    assert torch.equal(found.close().total(), found.total())


def test_cosines_are_in_their_range() -> None:
    rows = rough_rows(3, 500)
    rows[1] = 3 * rows[0]
    rows[2] = -rows[0]
    found = cosines(gram(rows).total())
    assert found.abs().max() <= 1
    assert torch.allclose(found, torch.tensor([[1, 1, -1], [1, 1, -1], [-1, -1, 1]]).double())
    zero = cosines(gram([rows[0], torch.zeros(500)]).total())
    assert torch.allclose(zero, torch.tensor([[1.0, 0.0], [0.0, 0.0]]).double())
    assert zero[1, 1] == 0


@given(
    numbers=st.lists(st.floats(-1e300, 1e300), min_size=40, max_size=200),
    seed=st.integers(0, 99),
)
@settings(max_examples=40)
def test_many_partials_fold_into_few_rows_of_the_same_sums(numbers: list[float], seed: int) -> None:
    rows = np.random.default_rng(seed).permutation(np.array([numbers, numbers[::-1]]).T)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "_FOLDED", 0)
        joined = Sums(torch.from_numpy(rows[:20]))
        joined = joined.join(Sums(torch.from_numpy(rows[20:])))
    assert joined.total().tolist() == [math.fsum(numbers)] * 2


def test_partials_of_a_long_tensor_take_bounded_memory() -> None:
    """A Gram matrix of 64 models over a billion elements would else be a gigabyte of partials."""
    rng = np.random.default_rng(0)
    joined, parts = Sums(torch.zeros(0, 64, 64)), list[np.ndarray]()
    for _ in range(120):
        parts.append(rng.standard_normal((4, 64, 64)) * 2.0 ** rng.integers(-20, 20))
        joined = joined.join(Sums(torch.from_numpy(parts[-1])))
        assert len(joined.partials) <= 24
    whole = Sums(torch.from_numpy(np.concatenate(parts)))
    assert torch.equal(joined.total(), whole.total())


def test_partials_whose_sum_passes_the_range_are_kept() -> None:
    numbers = [[1.7e308]] * 40 + [[-1.7e308]] * 39 + [[math.inf]] * 20
    rows = torch.tensor(numbers, dtype=torch.float64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(core, "_FOLDED", 0)
        joined = Sums(rows[:79]).join(Sums(rows[:0]))
        assert joined.total().item() == 1.7e308
        assert Sums(rows).join(joined).total().item() == math.inf
