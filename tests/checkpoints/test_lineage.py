"""Whether a base is what models come from: the numbers, the notes, and when there is none."""

import math
from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from stockpot.checkpoints.entry import TensorEntry, from_state_dict
from stockpot.checkpoints.lineage import Lineage, bar, lineage_of
from stockpot.checkpoints.sampling import ELEMENTS, TENSORS, sample, thinned

State = dict[str, Tensor]
SHAPES = {"embed_tokens.weight": (40, 16), "0.weight": (32, 16), "1.weight": (16, 32)}


def random(seed: int, scale: float = 1.0) -> State:
    generator = torch.Generator().manual_seed(seed)
    return {n: scale * torch.randn(s, generator=generator) for n, s in SHAPES.items()}


def plus(*states: State) -> State:
    return {name: sum(one[name] for one in states) for name in states[0]}  # type: ignore[misc]


def tuned(base: State, seed: int, scale: float = 0.05) -> State:
    return plus(base, random(seed, scale))


def lineage(models: list[State], base: State, **how: list[str]) -> Lineage:
    opened = [from_state_dict(one, f"m{k}") for k, one in enumerate(models)]
    return lineage_of(opened, from_state_dict(base, "base"), **how)


BASE = random(0)
TUNED = [tuned(BASE, seed) for seed in (1, 2, 3)]


def test_it_is_found_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    threads = list[int]()

    def sampled(entry: TensorEntry) -> Tensor:
        threads.append(torch.get_num_threads())
        return sample(entry)

    monkeypatch.setattr("stockpot.checkpoints.lineage.sample", sampled)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        lineage(TUNED, BASE)
        assert (set(threads), torch.get_num_threads()) == ({1}, 2)
    finally:
        torch.set_num_threads(before)


def test_the_numbers_are_those_of_numpy() -> None:
    found = lineage(TUNED, BASE)
    rows = np.stack(
        [np.concatenate([m[n].double().numpy().ravel() for n in SHAPES]) for m in TUNED]
    )
    base = np.concatenate([BASE[n].double().numpy().ravel() for n in SHAPES])
    deltas, length = rows - base, np.linalg.norm(base)
    pairs = list(combinations(range(3), 2))
    moved = math.sqrt(np.mean([d @ d for d in deltas])) / length
    apart = math.sqrt(np.mean([np.sum((rows[i] - rows[j]) ** 2) for i, j in pairs])) / length
    cosines = [
        deltas[i] @ deltas[j] / np.linalg.norm(deltas[i]) / np.linalg.norm(deltas[j])
        for i, j in pairs
    ]
    assert (found.moved, found.apart, found.cosine) == pytest.approx((moved, apart, min(cosines)))
    assert (found.layers, found.entries) == (3, sum(math.prod(s) for s in SHAPES.values()))
    assert (found.models, found.strangers, found.kind, found.said) == (
        ("m0", "m1", "m2"),
        (),
        "",
        "",
    )
    assert (found.held, found.turned) == (0, 0.0)


def test_a_base_of_another_start_is_told_with_the_correlation() -> None:
    other = random(9)
    found = lineage(TUNED, other, names=["a", "b", "c"])
    assert (found.kind, found.strangers) == ("stranger", ("a", "b", "c"))
    medians = [
        sorted(np.corrcoef(m[n].numpy().ravel(), other[n].numpy().ravel())[0, 1] for n in SHAPES)[1]
        for m in TUNED
    ]
    assert found.correlation == pytest.approx(max(medians), abs=1e-5)
    assert found.said.startswith(
        "has nothing in common with a, b, c: in 1,664 sampled entries of 3"
    )
    assert f"correlations of {max(medians):.3f} at most" in found.said
    assert lineage(TUNED[:1], other).kind == "stranger"  # one model is enough
    assert lineage([*TUNED, other], BASE).strangers == ("m3",)


def test_a_large_common_drift_is_another_version() -> None:
    version = plus(BASE, random(8, 0.7))
    found = lineage([tuned(BASE, seed, 0.03) for seed in (1, 2, 3)], version)
    assert (found.kind, found.strangers) == ("shifted", ())
    assert found.said.startswith("may not be what they were trained from")
    assert f"the models are {found.moved / found.apart:.0f} times as far from it" in found.said
    assert f"(cosines from {found.cosine:.4f})" in found.said
    assert found.cosine > 0.98
    assert lineage(TUNED[:1], version).kind == ""  # one task vector is parallel to none
    large = [tuned(BASE, seed, 0.3) for seed in (1, 2, 3)]
    assert lineage(large, version).kind == ""  # cannot be told from fine-tunes of one task


def test_what_no_model_changed_should_be_the_bases() -> None:
    version = plus(BASE, random(8, 0.3))
    frozen = {"embed_tokens.weight": BASE["embed_tokens.weight"]}
    models = [tuned(BASE, seed, 0.2) | frozen for seed in (1, 2)]
    found = lineage(models, version)
    assert found.kind == "held"
    assert found.held == 640
    one, other = (s["embed_tokens.weight"].double().numpy().ravel() for s in (BASE, version))
    sine = math.sqrt(1 - (one @ other / np.linalg.norm(one) / np.linalg.norm(other)) ** 2)
    assert found.turned == pytest.approx(sine)
    assert f"640 are bit by bit the same in all models, and {found.other:,} of those" in found.said
    assert lineage(models, BASE).kind == ""
    assert lineage([*models, version], version).kind == "held"  # the base itself has no say
    shrunk = {name: 0.8 * one for name, one in BASE.items()}
    decayed = [one | {"embed_tokens.weight": shrunk["embed_tokens.weight"]} for one in models]
    assert lineage(decayed, BASE).kind == ""  # weight decay turns nothing


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rounding_and_codes_are_no_other_base(dtype: torch.dtype) -> None:
    def stored(state: State) -> State:
        return {name: one.to(dtype) for name, one in state.items()}

    def codes(state: State, bits: int) -> State:
        step = {n: t.abs().amax(1, keepdim=True) / (2 ** (bits - 1) - 1) for n, t in state.items()}
        return {n: (t / step[n]).round() * step[n] for n, t in state.items()}

    tiny = [tuned(BASE, seed, 1e-4) for seed in (1, 2, 3)]
    for models, base in (
        ([stored(one) for one in tiny], stored(BASE)),
        ([stored(one) for one in tiny], BASE),
        (tiny, stored(BASE)),
        ([codes(one, 4) for one in tiny], BASE),
        ([codes(one, 8) for one in TUNED], BASE),
        (TUNED, codes(BASE, 4)),
    ):
        assert lineage(models, base).kind == ""


def test_copies_and_negated_task_vectors_say_nothing() -> None:
    far = plus(BASE, random(5, 0.8))
    near = plus(far, random(6, 1e-4))
    for models in (
        [far, far],
        [far, near],
        [far, {name: one.bfloat16() for name, one in far.items()}],
        [far, plus(BASE, random(5, -0.8))],
        [BASE, BASE],
        [BASE, far],
        [BASE],
    ):
        assert lineage(models, BASE).kind == ""
    assert lineage([far, near], BASE).models == ("m0",)
    assert lineage([BASE, far], BASE).models == ("m1",)


def test_what_cannot_be_compared_says_nothing() -> None:
    nothing = [
        {"0.weight": torch.ones(2, 2)},
        {"x": torch.ones(99)},
        {"0.weight": torch.ones(7, 16)},
    ]
    for base in nothing:
        found = lineage(TUNED, base)
        assert (found.kind, found.layers, found.entries) == ("", 0, 0)
        assert math.isnan(found.moved)
    damaged = {"1.weight": torch.full((16, 32), math.nan)}
    found = lineage([TUNED[0] | damaged, TUNED[1]], random(9))
    assert (found.kind, found.layers) == ("stranger", 2)  # by the others
    huge = {name: 1e300 * one.double() for name, one in BASE.items()}
    assert lineage([huge, TUNED[0]], BASE).kind == ""
    whole = {name: one.to(torch.int64) for name, one in BASE.items()}
    assert lineage(TUNED, whole).layers == 0
    assert lineage(TUNED, random(9), private=list(SHAPES)).layers == 0


def test_samples_lie_in_the_middle_and_are_few() -> None:
    tensor = torch.arange(3.0 * ELEMENTS)
    entry = from_state_dict({"x": tensor}, "m").entries["x"]
    assert torch.equal(sample(entry), tensor[ELEMENTS : 2 * ELEMENTS].double())
    assert [len(thinned(range(n))) for n in (0, 1, TENSORS, TENSORS + 1, 1000)] == [
        0, 1, TENSORS, 33, 63,
    ]  # fmt: skip
    many = {f"{k}.weight": torch.randn(8, 8) for k in range(200)}
    assert lineage([many], many).layers == 50


@settings(deadline=None, max_examples=25)
@given(
    seed=st.integers(0, 2**20),
    count=st.integers(1, 5),
    size=st.floats(1e-5, 0.9),
    common=st.floats(0.0, 0.9),
    scale=st.floats(1e-3, 1e3),
)
def test_random_pools(seed: int, count: int, size: float, common: float, scale: float) -> None:
    """Fine-tunes around their base; common is the cosine of what they have learned."""
    base = random(seed, scale)
    shared = random(seed + 1, scale * size * math.sqrt(common))
    own = scale * size * math.sqrt(1 - common)
    models = [plus(base, shared, random(seed + 2 + k, own)) for k in range(count)]
    assert lineage(models, base).kind == ""
    assert lineage(models[::-1], base).kind == ""
    assert lineage(models, random(seed + 99, scale)).kind == "stranger"
    wrong = plus(base, random(seed + 98, scale * 0.8))
    parallel = count > 1 and 2**-6 < own * math.sqrt(2) / scale < 0.05
    if parallel and size * common < 0.1:
        assert lineage(models, wrong).kind == "shifted"
    assert bar(100) == 0.5
