import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stockpot.ops.signs import agreeing, disjoint_merge, elect_sign, vote_and_merge

EDGES = torch.tensor([2.0, -2.0, 0.0, -0.0, 1e-45, -1e-45, torch.inf, -torch.inf])


def test_elected_signs() -> None:
    assert elect_sign(EDGES).tolist() == [1, -1, 1, 1, 1, -1, 1, -1]
    assert EDGES.tolist()[:2] == [2.0, -2.0]
    assert elect_sign(EDGES.double()).dtype == torch.float64


def test_agreeing_parts() -> None:
    delta = torch.tensor([1.5, -1.5, 0.0, 2.0, -1e-45])
    assert agreeing(delta, torch.ones(5)).tolist() == [1.5, 0, 0, 2, 0]
    found = agreeing(delta, -torch.ones(5))
    assert found.tolist()[1] == 1.5
    assert found.tolist()[4] > 0
    assert found.tolist()[3] == 0


def naive(deltas, sign, weights, mean):
    """The definition, element by element."""
    merged = []
    for i, elected in enumerate(sign.tolist()):
        own = [(d[i].item(), w) for d, w in zip(deltas, weights, strict=True)]
        agree = [(d, w) for d, w in own if d * elected > 0]
        total, share = sum(d for d, _ in agree), sum(w for _, w in agree)
        merged.append(total / (share or 1) if mean else total)
    return torch.tensor(merged)


@given(
    st.integers(0, 999),
    st.lists(st.sampled_from([-1.0, -0.5, 0.25, 0.5, 1.0, 2.0]), min_size=1, max_size=5),
    st.booleans(),
)
@settings(max_examples=60)
def test_disjoint_merge_is_its_definition(seed: int, weights: list[float], mean: bool) -> None:
    """Weights of both signs and zeros included; a share of 0 divides by 1."""
    generator = torch.Generator().manual_seed(seed)
    deltas = [w * torch.randint(-4, 5, (40,), generator=generator).float() / 4 for w in weights]
    sign = elect_sign(torch.randn(40, generator=generator))
    expected = naive(deltas, sign, weights, mean)
    assert torch.allclose(disjoint_merge(deltas, sign, weights, mean=mean), expected, atol=1e-6)


@pytest.mark.parametrize("mean", [True, False])
def test_where_nobody_agrees_nothing_moves(mean: bool) -> None:
    deltas = [torch.tensor([-1.0, 0.0]), torch.tensor([-2.0, 0.0])]
    for weights in ([1.0, 1.0], [0.5, -0.5], [0.0, 0.0]):
        found = disjoint_merge(deltas, torch.ones(2), weights, mean=mean)
        assert found.abs().tolist() == [0, 0]


def test_nothing_is_changed_in_place() -> None:
    deltas, sign = [torch.tensor([1.0, -2.0]), torch.tensor([3.0, 4.0])], torch.ones(2)
    disjoint_merge(deltas, sign, [0.5, 2.0], mean=True)
    assert [d.tolist() for d in deltas] == [[1, -2], [3, 4]]
    assert sign.tolist() == [1, 1]


def test_votes() -> None:
    """By mass the large one wins, by count the many do; even votes go to +."""
    columns = torch.tensor([[1.0, 1.0, 1.0], [2.0, -1.0, 0.0], [-8.0, 0.0, -1.0]])
    deltas, weights = list(columns), (1.0, 1.0, 1.0)
    assert vote_and_merge(deltas, weights, "mass", "mean").tolist() == [-8, 1, 1]
    assert vote_and_merge(deltas, weights, "count", "mean").tolist() == [1.5, 1, 1]
    assert vote_and_merge(deltas, weights, "count", "sum").tolist() == [3, 1, 1]
