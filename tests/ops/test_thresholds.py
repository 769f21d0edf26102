"""The exact k-th largest magnitude, however it is found."""

import random
from collections import Counter
from collections.abc import Sequence
from functools import reduce
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import event, given, settings
from hypothesis import strategies as st

from stockpot.core import Settled
from stockpot.ops import thresholds
from stockpot.ops.thresholds import Magnitudes, Multiset, settle_threshold, survey_magnitudes, trim

FLOATS = (torch.float32, torch.float64)


def kth_largest(delta: torch.Tensor, density: float) -> tuple[float, int]:
    """The threshold by sorting, and how many magnitudes reach it."""
    ordered = np.sort(delta.abs().numpy().ravel())[::-1]
    found = ordered[max(1, int(density * ordered.size)) - 1]
    return float(found), int((ordered >= found).sum())


def survey(
    rows: Sequence[torch.Tensor], hint: Settled | None, edges: Sequence[int] = ()
) -> Magnitudes:
    """The joined facts of blocks of the rows."""
    cuts = [0, *edges, rows[0].numel()]
    parts = [survey_magnitudes([r[a:b] for r in rows], hint, 0) for a, b in pairwise(cuts)]
    return reduce(Magnitudes.join, parts).close()


def settle(
    rows: Sequence[torch.Tensor],
    densities: Sequence[float],
    hint: Settled | None = None,
    edges: Sequence[int] = (),
    most: int = 60,
) -> tuple[Settled, int]:
    """The final value, and how many surveys it took."""
    for rounds in range(1, most + 1):
        hint = settle_threshold(survey(rows, hint, edges), hint, densities)
        if hint.final:
            return hint, rounds
    raise AssertionError("it does not converge")


def bracket(*ends: tuple[int, int], wide: bool = False) -> Settled:
    lows, highs = zip(*ends, strict=True)
    return Settled({"low": lows, "high": highs, "wide": (float(wide),)}, final=False)


def ordinal(value: float, dtype: torch.dtype = torch.float32) -> int:
    integer = torch.int64 if dtype == torch.float64 else torch.int32
    return int(torch.tensor(value, dtype=dtype).view(integer))


def _adversaries() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    normal = rng.standard_normal(1000)
    return {
        "normal": normal,
        "all equal": np.full(1000, -0.3),
        "all zero": np.zeros(1000),
        "signed zeros": np.where(rng.random(1000) < 0.5, 0.0, -0.0),
        "many ties": rng.integers(-3, 4, 1000) / 4,
        "mostly zero": np.where(rng.random(1000) < 0.99, 0.0, normal),
        "denormals": rng.integers(-50, 50, 1000) * 2.0**-149,
        "one huge": np.append(normal, 3e38),
        "all magnitudes": 10.0 ** rng.integers(-40, 38, 1000) * normal,
        "one element": normal[:1],
        "two elements": np.array([1.0, -1.0]),
        "bf16 grid": torch.from_numpy(normal).bfloat16().double().numpy(),
        "sorted": np.sort(np.abs(normal)),
    }


ADVERSARIES = _adversaries()


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("kind", ADVERSARIES)
def test_the_threshold_is_the_kth_largest_magnitude(kind: str, dtype: torch.dtype) -> None:
    delta = torch.from_numpy(ADVERSARIES[kind]).to(dtype)
    for density in (1e-6, 0.001, 0.01, 0.2, 0.5, 0.999, 1.0):
        expected, count = kth_largest(delta, density)
        settled, rounds = settle([delta], [density])
        assert settled.values["threshold"] == (expected,)
        assert settled.report["kept"] == [count]
        assert settled.report["total"] == delta.numel()
        assert rounds == 1
        kept = trim(delta.clone(), expected)
        assert int((kept != 0).sum()) == int(
            (delta.abs() >= expected).logical_and(delta != 0).sum()
        )


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("kind", ADVERSARIES)
@given(data=st.data())
@settings(max_examples=12)
def test_a_missed_bracket_converges_and_stays_exact(
    kind: str, dtype: torch.dtype, data: st.DataObject
) -> None:
    """Any bracket, however narrow and however far off, ends at the same threshold."""
    delta = torch.from_numpy(ADVERSARIES[kind]).to(dtype)
    density = data.draw(st.sampled_from([0.001, 0.1, 0.5, 1.0]))
    largest = ordinal(torch.inf, dtype)
    low = data.draw(st.integers(-1, largest))
    width = data.draw(st.sampled_from([1, 2, 1000, 2**20]))
    hint = bracket((low, low + width), wide=dtype == torch.float64)
    expected, count = kth_largest(delta, density)
    settled, rounds = settle([delta], [density], hint)
    event(f"missed: {rounds > 1}")
    assert settled.values["threshold"] == (expected,)
    assert settled.report["kept"] == [count]
    assert rounds <= 2 + np.log(float(largest)) / np.log(8)


@given(
    seed=st.integers(0, 99),
    densities=st.lists(st.floats(0.01, 1), min_size=3, max_size=3),
    edges=st.sets(st.integers(1, 499)).map(sorted),
)
@settings(max_examples=30)
def test_models_are_settled_one_by_one_over_any_blocks(
    seed: int, densities: list[float], edges: list[int]
) -> None:
    """Some models hit their bracket and wait for those that missed it."""
    rng = np.random.default_rng(seed)
    rows = [torch.from_numpy(rng.standard_normal(500).astype(np.float32)) for _ in range(3)]
    hit = ordinal(kth_largest(rows[1], densities[1])[0])
    hint = bracket((ordinal(1e-3), ordinal(1.1e-3)), (hit - 5, hit + 5), (-1, 0))
    settled, rounds = settle(rows, densities, hint, edges)
    expected = [kth_largest(row, d) for row, d in zip(rows, densities, strict=True)]
    assert settled.values["threshold"] == tuple(value for value, _ in expected)
    assert settled.report["kept"] == [count for _, count in expected]
    assert rounds > 1


def test_blocks_join_to_the_same_facts_in_any_order() -> None:
    rows = [torch.randn(900, generator=torch.Generator().manual_seed(k)) for k in range(2)]
    hint = bracket((ordinal(0.2), ordinal(0.9)), (ordinal(0.1), ordinal(0.2)))
    parts = [survey_magnitudes([r[a : a + 300] for r in rows], hint, 0) for a in (0, 300, 600)]
    settled = [
        settle_threshold(
            reduce(Magnitudes.join, [parts[i] for i in order]).close(), hint, [0.5, 0.9]
        )
        for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0))
    ]
    assert settled[0] == settled[1] == settled[2]
    joined = reduce(Magnitudes.join, parts)
    assert joined.total == 900
    for k, row in enumerate(rows):
        magnitudes = row.abs()
        low, high = ((0.2, 0.9), (0.1, 0.2))[k]
        assert joined.above[k] == int((magnitudes > high).sum())
        assert len(joined.inside[k]) == int(((magnitudes > low) & (magnitudes <= high)).sum())


@pytest.mark.parametrize("density", [0.001, 0.05, 0.2, 0.7, 1.0])
@pytest.mark.parametrize("kind", ["normal", "heavy", "many ties", "zeros"])
def test_a_sample_brackets_the_threshold(kind: str, density: float) -> None:
    """Found from a 64th of the elements, and narrow: one survey, little kept."""
    rng = np.random.default_rng(0)
    values = {
        "normal": lambda: rng.standard_normal(2**18),
        "heavy": lambda: rng.standard_cauchy(2**18),
        "many ties": lambda: rng.integers(-9, 10, 2**18),
        "zeros": lambda: np.where(rng.random(2**18) < 0.9, 0, rng.standard_normal(2**18)),
    }[kind]()
    delta = torch.from_numpy(values.astype(np.float32))
    thin = delta[::64].contiguous()
    facts = survey_magnitudes([thin], None, thin.numel())
    assert (facts.runs, facts.total) == (4096, 4096)
    hint = settle_threshold(facts.close(), None, [density])
    assert not hint.final
    settled, rounds = settle([delta], [density], hint)
    assert rounds == 1
    assert settled.values["threshold"] == (kth_largest(delta, density)[0],)
    if kind in ("normal", "heavy") and density == 0.2:
        assert len(survey([delta], hint).inside[0]) < 0.15 * delta.numel()


def test_a_sample_of_one_run_brackets_everything() -> None:
    delta = torch.randn(128, generator=torch.Generator().manual_seed(0))
    hint = settle_threshold(survey_magnitudes([delta], None, 1).close(), None, [0.5])
    assert hint.values["low"] == (-1,)
    assert hint.values["high"][0] >= ordinal(torch.inf)


def test_no_elements() -> None:
    settled, _ = settle([torch.empty(0), torch.empty(0)], [0.2, 1.0])
    assert settled.values["threshold"] == (0.0, 0.0)
    assert settled.report["kept"] == [0, 0]


@pytest.mark.parametrize("first", [torch.float32, torch.float64])
@given(
    density=st.floats(0.001, 1),
    low=st.integers(-1, 2**31),
    width=st.sampled_from([1, 2**10, 2**25, 2**40]),
    wide=st.booleans(),
    sampled=st.booleans(),
)
@settings(max_examples=40)
def test_blocks_of_both_widths_are_ranked_together(
    first: torch.dtype, density: float, low: int, width: int, wide: bool, sampled: bool
) -> None:
    """float32 blocks beside float64 blocks of one model, with a bracket in the bits of either."""
    rng = np.random.default_rng(3)
    values = rng.integers(-40, 41, 600) / 16 + np.where(rng.random(600) < 0.5, 0, 2.0**-40)
    other = torch.float32 if first == torch.float64 else torch.float64
    blocks = [
        torch.from_numpy(part).to(first if i % 2 else other)
        for i, part in enumerate(np.split(values, 6))
    ]
    delta = torch.cat([block.double() for block in blocks])
    hint: Settled | None = None
    if sampled:
        hint = (
            bracket((low << 29, (low + width) << 29), wide=True)
            if wide
            else bracket((low, low + width))
        )
    for _ in range(80):
        facts = [survey_magnitudes([block], hint, 0) for block in blocks]
        hint = settle_threshold(reduce(Magnitudes.join, facts).close(), hint, [density])
        if hint.final:
            break
    expected, count = kth_largest(delta, density)
    assert hint is not None
    assert hint.values["threshold"] == (expected,)
    assert hint.report["kept"] == [count]
    trimmed = sum(int((trim(block.clone(), expected) != 0).sum()) for block in blocks)
    assert trimmed == count - (int((delta == 0).sum()) if expected == 0 else 0)


@pytest.mark.parametrize("dtype", FLOATS)
def test_trim_keeps_what_reaches_the_threshold(dtype: torch.dtype) -> None:
    at = torch.tensor(0.3, dtype=dtype)
    below, above = (torch.nextafter(at, torch.tensor(x, dtype=dtype)) for x in (0.0, 1.0))
    delta = torch.stack([at, below, above, -at, -below, -above, torch.zeros_like(at)])
    found = trim(delta.clone(), at.item())
    assert torch.equal(found, delta * torch.tensor([1, 0, 1, 1, 0, 1, 0], dtype=dtype))
    assert torch.equal(trim(delta.clone(), 0.0), delta)
    least = torch.tensor([torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps, 0.0])
    assert torch.equal(trim(least.to(dtype).clone(), least[0].item()), least.to(dtype))


def test_trim_compares_float32_with_a_threshold_between_its_steps() -> None:
    at = torch.tensor(0.3)
    up, down = at.double().item() * (1 + 1e-12), at.double().item() * (1 - 1e-12)
    assert trim(at[None].clone(), down).item() == at.item()
    assert trim(at[None].clone(), up).item() == 0
    assert trim(-at[None], up).item() == 0


@given(
    chunks=st.lists(st.lists(st.integers(0, 50), max_size=40), min_size=1, max_size=12),
    compact=st.lists(st.booleans(), min_size=12, max_size=12),
    pending=st.sampled_from([0, 10, 10**6]),
    arrays=st.sampled_from([1, 256]),
)
@settings(max_examples=60)
def test_multiset_is_a_sorted_array(
    chunks: list[list[int]], compact: list[bool], pending: int, arrays: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(thresholds, "_PENDING", pending)
        patch.setattr(thresholds, "_CHUNKS", arrays)
        bags = [
            bag.compact() if now else bag
            for chunk, now in zip(chunks, compact, strict=False)
            for bag in [Multiset((np.array(chunk, np.int32),))]
        ]
        joined = reduce(Multiset.join, bags)
    everything = sorted((value for chunk in chunks for value in chunk), reverse=True)
    assert len(joined) == len(everything)
    for k in range(1, len(everything) + 1):
        value = everything[k - 1]
        assert joined.largest(k) == (value - 1, value, sum(v >= value for v in everything))
    assert joined.compact().pending == ()


@given(
    chunks=st.lists(st.lists(st.integers(0, 2**20), min_size=1, max_size=60), min_size=2),
    order=st.randoms(),
    most=st.integers(2, 40),
)
@settings(max_examples=60)
def test_a_bounded_multiset_counts_in_bins_whatever_the_order(
    chunks: list[list[int]], order: random.Random, most: int
) -> None:
    """Never more bins than there is room for, and always the narrowest that fit all values."""
    bags = [Multiset((np.array(chunk, np.int32),), most=most).tidied() for chunk in chunks]
    found = reduce(Multiset.join, bags).compact()
    everything = sorted(value for chunk in chunks for value in chunk)
    fitting = (s for s in range(32) if len({v >> s for v in everything}) <= most)
    shift = next(fitting)
    bins = Counter(value >> shift for value in everything)
    assert (found.shift, found.values.tolist()) == (shift, sorted(bins))
    assert found.counts.tolist() == [bins[number] for number in sorted(bins)]
    order.shuffle(bags)
    again = reduce(Multiset.join, bags).compact()
    assert (again.shift, again.values.tolist()) == (shift, sorted(bins))
    for k in (1, len(everything)):
        low, high, above = found.largest(k)
        assert low < everything[-k] <= high == low + 2**shift
        assert above == sum(value > low for value in everything)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("kind", ADVERSARIES)
def test_a_survey_without_room_takes_more_rounds_to_the_same_threshold(
    kind: str, dtype: torch.dtype
) -> None:
    delta = torch.from_numpy(ADVERSARIES[kind]).to(dtype)
    for density in (0.01, 0.2, 0.999):
        hint, rounds = None, 0
        while hint is None or not hint.final:
            parts = [survey_magnitudes([part], hint, 0, 0) for part in delta.split(300)]
            tables = reduce(Magnitudes.join, parts).close()
            assert tables.inside[0].values.size <= 256
            hint, rounds = settle_threshold(tables, hint, [density]), rounds + 1
        expected, count = kth_largest(delta, density)
        assert hint.values["threshold"] == (expected,)
        assert hint.report["kept"] == [count]
        assert rounds <= 9


def test_models_in_bins_of_float32_join_those_of_float64() -> None:
    rows = [torch.randn(4000, generator=torch.Generator().manual_seed(k)) for k in range(2)]
    expected = [kth_largest(torch.cat([row.double(), row.double() / 3]), 0.3) for row in rows]
    hint = None
    while hint is None or not hint.final:
        narrow = survey_magnitudes(rows, hint, 0, 0)
        wide = survey_magnitudes([row.double() / 3 for row in rows], hint, 0, 0)
        hint = settle_threshold(narrow.join(wide).close(), hint, [0.3, 0.3])
    assert hint.values["threshold"] == tuple(value for value, _ in expected)
    assert hint.report["kept"] == [count for _, count in expected]


def test_multiset_of_values_far_apart_and_close_together() -> None:
    """Both ways to tabulate: by sorting, and by counting within a narrow span."""
    rng = np.random.default_rng(0)
    for values in (rng.integers(0, 2**62, 500), rng.integers(2**40, 2**40 + 90, 500)):
        found = Multiset((values,)).compact()
        expected, counts = np.unique(values, return_counts=True)
        assert np.array_equal(found.values, expected)
        assert np.array_equal(found.counts, counts)


def test_widened_bits_keep_order_and_value() -> None:
    values = torch.tensor([0.0, 1e-45, 1e-38, 0.1, 1.0, 3e38, torch.inf])
    bag = Multiset((values.view(torch.int32).numpy(),)).widened()
    expected = values.double().view(torch.int64).numpy()
    assert np.array_equal(bag.pending[0], expected)
    table = Multiset((values.view(torch.int32).numpy(),)).compact().widened()
    assert np.array_equal(table.values, expected)


def test_joining_many_small_blocks_stays_in_few_arrays() -> None:
    bag = Multiset()
    for i in range(2000):
        bag = bag.join(Multiset((np.array([i], np.int32),)))
    assert len(bag.pending) <= 257
    assert bag.largest(1) == (1998, 1999, 1)
