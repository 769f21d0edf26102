import torch
from hypothesis import given
from hypothesis import strategies as st

from stockpot.core import Stack
from stockpot.ops.pools import RUN, STRIDE, choose, every_so_many, farthest

POINTS = torch.tensor([[1.0, 1.0, 1.0, 1.0], [2.0, -2.0, 0.0, 1.0], [0.5, 2.0, -1.0, 1.0]])


def test_choose_takes_the_drawn_candidate() -> None:
    draw = torch.tensor([0.0, 0.34, 0.67, 0.99999994])
    assert choose(list(POINTS), draw).tolist() == [1.0, -2.0, -1.0, 1.0]


@given(st.integers(1, 1000))
def test_the_largest_draw_is_of_the_last_candidate(count: int) -> None:
    largest = torch.tensor([1 - 2**-24])
    rows = [torch.tensor([float(i)]) for i in range(count)]
    assert choose(rows, largest).item() == count - 1
    assert choose(rows, torch.zeros(1)).item() == 0


def test_choose_takes_each_as_often() -> None:
    draw = torch.rand(2**16, generator=torch.Generator().manual_seed(0))
    rows = [torch.full((2**16,), float(i)) for i in range(5)]
    counts = torch.bincount(choose(rows, draw).long(), minlength=5).double()
    assert (counts - 2**16 / 5).abs().max() < 5 * (2**16 * 0.16) ** 0.5


def test_farthest_goes_by_the_change_and_not_by_the_value() -> None:
    rows = list(POINTS)
    assert farthest(rows, torch.zeros(4)).tolist() == [2.0, 2.0, 1.0, 1.0]
    assert farthest(rows, torch.tensor([2.0, 1.0, 2.0, 0.0])).tolist() == [0.5, -2.0, -1.0, 1.0]


@given(st.permutations(range(3)))
def test_farthest_does_not_depend_on_the_order(order: list[int]) -> None:
    origin = torch.tensor([0.0, 0.0, 0.0, 3.0])
    moved = farthest([POINTS[i] for i in order], origin)
    assert torch.equal(moved, farthest(list(POINTS), origin))


def test_neither_changes_its_candidates() -> None:
    rows = [row.clone() for row in POINTS]
    choose(rows, torch.rand(4))
    farthest(rows, torch.ones(4))
    assert torch.equal(torch.stack(rows), POINTS)


def test_a_sample_is_a_run_of_each_stride() -> None:
    row = torch.arange(2.0 * STRIDE + 5)
    stack = Stack(models=[row, row + 1], weights=(1.0, 1.0), base=row - 1)
    some = every_so_many(stack)
    parts = [torch.arange(float(a), a + n) for a, n in ((0, RUN), (STRIDE, RUN), (2 * STRIDE, 5))]
    assert torch.equal(some.models[0], torch.cat(parts))
    assert torch.equal(some.models[1], torch.cat(parts) + 1)
    assert some.base is not None
    assert torch.equal(some.base, torch.cat(parts) - 1)
    assert (some.runs, some.fresh) == (3, True)


def test_a_sample_of_nothing_is_empty() -> None:
    assert every_so_many(Stack(models=[torch.empty(0)], weights=(1.0,))).models[0].numel() == 0
