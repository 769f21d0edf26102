"""The contract of the aggregation: any method, weights, robust rules, products of factors."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import stockpot as sp
from stockpot.core import Method
from stockpot.errors import MergeError
from stockpot.experiments.aggregating import read_aggregation
from stockpot.experiments.krum import MultiKrum
from stockpot.federated import Dropped, Reply, aggregate, krum_members
from stockpot.federated.rounds.lora import (
    adapt,
    applied,
    factor_shapes,
    factors_of,
    pairs_of,
    stacked,
)
from stockpot.federated.rounds.replies import sorted_out
from stockpot.methods import METHODS, Average, Interpolate, Median, ModelStock, Slerp, Ties, Weave
from stockpot.networks import build
from stockpot.training import Scope


def state(seed, scale=1.0):
    drawn = torch.Generator().manual_seed(seed)
    return {
        "a.weight": scale * torch.randn(5, 3, generator=drawn),
        "bn.running_var": torch.rand(3, generator=drawn) + 0.5,
        "bn.num_batches_tracked": torch.tensor(seed),
    }


BASE = state(0)


def replies(count=5, examples=None):
    sizes = examples or [10 * (k + 1) for k in range(count)]
    return [Reply(k, 1, state(k + 1), sizes[k], {}, importance(k)) for k in range(count)]


def importance(seed):
    """Statistics of a client's data."""
    return {"a.weight": torch.rand(5, 3, generator=torch.Generator().manual_seed(100 + seed))}


def same(one, other):
    return list(one) == list(other) and all(torch.equal(one[n], other[n]) for n in one)


def test_the_average_is_fedavg():
    merged = aggregate(BASE, replies(), Average())
    sizes = np.array([10, 20, 30, 40, 50])
    rows = np.stack([one.state["a.weight"].double().numpy() for one in replies()])
    expected = np.tensordot(sizes / sizes.sum(), rows, axes=1)
    assert np.abs(merged["a.weight"].numpy() - expected).max() < 1e-6


@pytest.mark.parametrize("cls", METHODS, ids=lambda cls: cls.__name__)
def test_every_method_gives_the_bits_of_a_merge(cls: type[Method]):
    method = Weave(Ties(), {"density": (0.2, 0.5)}) if cls is Weave else cls()
    got = replies(2 if cls in (Slerp, Interpolate) else 5, [10, 20, 30, 40, 50])
    total = sum(one.examples for one in got)
    weights = [one.examples / total for one in got]
    expected = sp.merge(
        [one.state for one in got],
        method,
        base=BASE if method.needs.base else None,
        weights=None if method.needs.weights == "unused" else weights,
        statistics=[one.statistics for one in got] if method.needs.statistics else (),
        seed=7,
    )
    assert same(aggregate(BASE, got, method, seed=7), expected)


@pytest.mark.parametrize("rule", [Average(), Ties(), Median(), ModelStock()], ids=repr)
def test_clients_that_learned_nothing_change_nothing(rule):
    got = [Reply(k, 1, BASE, 10) for k in range(5)]
    assert same(aggregate(BASE, got, rule), BASE)


def test_nothing_comes_of_no_reply():
    with pytest.raises(MergeError, match="no reply"):
        aggregate(BASE, [], Average())


def scores(rows, byzantine):
    """Krum's scores as the paper writes them."""
    found = []
    for i, row in enumerate(rows):
        apart = sorted(((row - r) ** 2).sum() for j, r in enumerate(rows) if j != i)
        found.append(sum(apart[: len(rows) - byzantine - 2]))
    return found


@given(st.integers(0, 2), st.integers(0, 1000))
def test_krum_keeps_the_smallest_scores(byzantine, seed):
    count = 2 * byzantine + 3 + seed % 3
    rows = np.random.default_rng(seed).normal(size=(count, 40))
    states = [{"w": torch.from_numpy(row)} for row in rows]
    rule = MultiKrum(byzantine=byzantine)
    kept = krum_members({"w": torch.ones(40, dtype=torch.float64)}, states, rule)
    assert list(kept) == sorted(np.argsort(scores(rows, byzantine))[: count - byzantine])


def test_krum_leaves_the_poisoned_out():
    near = [
        {n: one + (0.01 * k if n == "a.weight" else 0) for n, one in BASE.items()}
        for k in (0, 2, 3, 4, 9)
    ]
    far = {"a.weight": torch.full((5, 3), 1e6), **{n: BASE[n] for n in list(BASE)[1:]}}
    states = [*near[:2], far, *near[2:]]
    assert krum_members(BASE, states, MultiKrum(byzantine=1)) == (0, 1, 3, 4, 5)
    got = [Reply(k, 1, one, 1) for k, one in enumerate(states)]
    merged = aggregate(
        BASE, got, read_aggregation({"name": "multi-krum", "byzantine": 1, "keep": 1})
    )
    assert same(merged, near[1])
    with pytest.raises(MergeError, match="at least 5 models; there are 4"):
        krum_members(BASE, states[:4], MultiKrum(byzantine=1))


def bad(**changes):
    fields = {"client": 1, "round": 1, "state": state(9), "examples": 5} | changes
    return Reply(**fields)


def without(name):
    return {n: one for n, one in state(9).items() if n != name}


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (bad(state=state(9) | {"a.weight": torch.full((5, 3), float("nan"))}), "holds NaN"),
        (bad(state=state(9) | {"bn.running_var": torch.tensor([1, float("inf"), 1])}), "infinity"),
        (bad(state=state(9) | {"a.weight": torch.ones(3, 5)}), r"\(3, 5\); expected \(5, 3\)"),
        (bad(state=without("bn.running_var")), "has no 'bn.running_var'"),
        (bad(state={}), "has no 'a.weight' and 2 more"),
        (bad(state=state(9) | {"b.weight": torch.ones(1)}), "'b.weight', which the global"),
        (bad(state=state(9) | {"a.weight": torch.ones(5, 3).double()}), "float64; expected"),
        (bad(examples=0), "0 examples"),
        (bad(round=3), "of round 3"),
        (bad(scopes={"a.weight": Scope(0.0, float("nan"))}), "its scope of 'a.weight'"),
        (bad(statistics={"a.weight": torch.ones(3, 5)}), "statistics of 'a.weight' do not fit"),
        (bad(statistics={"other": torch.ones(3, 5)}), "statistics of 'other' do not fit"),
        (bad(statistics={"a.weight": -torch.ones(5, 3)}), "not finite or below 0"),
        (bad(statistics={"a.weight": torch.full((5, 3), float("nan"))}), "not finite or below 0"),
        (bad(client=7), "not asked"),
        (bad(client=0), "answered twice"),
    ],
)
def test_a_bad_reply_is_dropped_with_its_reason(reply, words):
    good = Reply(0, 1, state(1), 5)
    shapes = {name: tuple(one.shape) for name, one in BASE.items()}
    kept, dropped = sorted_out([good, reply], range(3), 1, shapes, BASE)
    assert kept == [good]
    (only,) = dropped
    assert isinstance(only, Dropped)
    assert only.client == reply.client
    assert re.search(words, only.reason), only.reason


def test_large_finite_values_are_no_infinity():
    shapes = {"w": (2,)}
    given_ = Reply(0, 1, {"w": torch.tensor([3e38, 3e38])}, 1)
    assert sorted_out([given_], [0], 1, shapes, {"w": torch.zeros(2)})[0] == [given_]


def factors(seed, rank=2):
    drawn = torch.Generator().manual_seed(seed)
    return {
        "a.weight.lora_B": torch.randn(5, rank, generator=drawn),
        "a.weight.lora_A": torch.randn(rank, 3, generator=drawn),
    }


def test_factors_are_merged_on_the_product():
    parts, shares = [factors(k) for k in range(3)], [0.2, 0.3, 0.5]
    products = [one["a.weight.lora_B"] @ one["a.weight.lora_A"] for one in parts]
    right = sum(p * s for p, s in zip(products, shares, strict=True))
    both = stacked(parts, shares)
    assert both["a.weight"].left.shape == (5, 6)
    torch.testing.assert_close(both["a.weight"].product(), right)
    apart = [
        sum(one[name] * s for one, s in zip(parts, shares, strict=True)) for name in factors(0)
    ]
    assert (apart[0] @ apart[1] - right).abs().max() > 0.1  # averaging factors is another matrix
    got = [
        Reply(k, 1, one, int(10 * s)) for k, (one, s) in enumerate(zip(parts, shares, strict=True))
    ]
    merged = aggregate(BASE, got, Average())
    torch.testing.assert_close(merged["a.weight"], BASE["a.weight"] + right)
    assert merged["bn.running_var"] is BASE["bn.running_var"]
    middle = aggregate(BASE, got, Median())["a.weight"]
    torch.testing.assert_close(middle, BASE["a.weight"] + torch.stack(products).median(0).values)


@pytest.mark.parametrize("rule", [Average(), Median(), Ties(density=0.5)], ids=repr)
@pytest.mark.parametrize("rank", [1, 2, 3, 9])
def test_a_refactored_merge_is_the_best_of_its_rank(rule, rank):
    """The dense merged change's truncated SVD, in float64 by NumPy."""
    wide = {"a.weight": torch.zeros(40, 3, 3, 3)}
    drawn = torch.Generator().manual_seed(4)

    def sent(number):
        sizes = {"a.weight.lora_B": (40, 3), "a.weight.lora_A": (3, 27)}
        found = {n: torch.randn(size, generator=drawn) for n, size in sizes.items()}
        return Reply(number, 1, found, 10 + 20 * number)

    got = [sent(number) for number in range(3)]
    dense = aggregate(wide, got, rule)["a.weight"].reshape(40, 27).double().numpy()
    left, values, right = np.linalg.svd(dense, full_matrices=False)
    best = (left[:, :rank] * values[:rank]) @ right[:rank]
    merged = aggregate(wide, got, rule, rank=rank)["a.weight"]
    assert (merged.shape, merged.dtype) == ((40, 3, 3, 3), torch.float32)
    found = merged.reshape(40, 27).double().numpy()
    assert np.linalg.norm(found - best) < 2e-5 * np.linalg.norm(best)
    assert np.linalg.matrix_rank(found, tol=1e-4 * values[0]) == min(rank, 27)
    if isinstance(rule, Average) and rank == 9:  # of rank 9 as it comes: nothing is cut
        assert np.linalg.norm(found - dense) < 2e-5 * np.linalg.norm(dense)


def test_clients_that_send_no_change_are_refactored_to_none():
    nothing = {n: one * 0 for n, one in factors(0).items()}
    found = aggregate(BASE, [Reply(0, 1, nothing, 1)], Average(), rank=2)
    assert torch.equal(found["a.weight"], BASE["a.weight"])


def test_an_adapted_network_begins_as_it_was_and_changes_by_its_factors():
    network = build("cnn", num_classes=3, in_channels=1, image_size=8, width=4)
    before = {name: one.clone() for name, one in network.state_dict().items()}
    images = torch.rand(2, 1, 8, 8)
    plain = network(images)
    adapt(network, 2, seed=5)
    assert torch.equal(network(images), plain)
    trained = [name for name, one in network.named_parameters() if one.requires_grad]
    assert len(trained) == 2 * 4
    with torch.no_grad():
        for name, one in network.named_parameters():
            if name.endswith("lora_B"):
                one.add_(0.1)
    found = factors_of(network)
    assert {n: tuple(one.shape) for n, one in found.items()} == factor_shapes(before, 2)
    other = build("cnn", num_classes=3, in_channels=1, image_size=8, width=4)
    other.load_state_dict(applied(before, pairs_of(found)))
    torch.testing.assert_close(other(images), network(images))
