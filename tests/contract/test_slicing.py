"""Results are the same to the last bit however the work is cut, ordered or stored."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from hypothesis import event, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import stockpot as sp
from stockpot.core import SEGMENT, Method
from stockpot.engine import cutting, plan
from stockpot.methods import Average, Slerp, Ties
from stockpot.testing import laws
from stockpot.testing.cases import Case, State, bits, on_grid, smooth

from ..cases import cases, counts, cut, example, methods, weights_for
from .laws import under

SHAPES = ((5 * SEGMENT + 77,), (3,), (200, 203), (17,), (SEGMENT,), (), (0, 4), (33,), (5, 5), (1,))
"""Tensors of several slices, of one, and small ones of odd sizes that are packed end to end."""
TINY = {"BLOCK": SEGMENT, "CHUNK": SEGMENT, "ARENA": 24 * SEGMENT}

LEAST = "1MiB"
WHOLE = "16MiB"
"""What the one matrix takes, for methods that need it whole."""
CUTS: Mapping[str, tuple[dict[str, Any], dict[str, int]]] = {
    "least memory": ({"memory": LEAST, "workers": 1}, {}),
    "three workers on slices of one segment": ({"memory": "64MiB", "workers": 3}, TINY),
    "nothing packed": ({"workers": 2}, {"SMALL": -1, "BLOCK": 2 * SEGMENT}),
    "thresholds by sample": ({"workers": 2}, TINY | {"UNSAMPLED": 2**14, "_SAMPLE": 2**12}),
}


@cache
def family(count: int, dtype: torch.dtype, rough: bool) -> tuple[State, list[State]]:
    return (on_grid if rough else smooth)(SHAPES, count, 3, dtype)


@st.composite
def large_cases(draw: st.DrawFn, cls: type[Method]) -> Case:
    count = draw(counts(cls, most=3))
    method = draw(methods(cls, count))
    dtype = draw(st.sampled_from([torch.float32, torch.bfloat16, torch.float64]))
    base, models = family(count, dtype, draw(st.booleans()))
    weights = draw(weights_for(method, count))
    return Case(method, models, base if method.needs.base else None, weights)


@pytest.mark.parametrize("cls", under("slicing"))
@given(data=st.data())
@settings(max_examples=5)
def test_slices_workers_and_memory_do_not_show(cls: type[Method], data: st.DataObject) -> None:
    case = data.draw(large_cases(cls))
    expected = bits(case.merge(workers=1))
    for name, (options, constants) in CUTS.items():
        if case.method.needs.whole and options.get("memory") == LEAST:
            options = options | {"memory": WHOLE}
        with cut(**constants):
            assert bits(case.merge(**options)) == expected, name
    if case.method.needs.whole:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(cutting, "is_loaded", lambda *_: False)
            assert bits(case.merge(workers=2)) == expected, "rows read when they are asked for"


@pytest.mark.parametrize("cls", [Average, Ties, Slerp])
def test_the_cuts_do_cut(cls: type[Method]) -> None:
    """The plans of the law above have the slices, surveys and packs that it speaks of."""
    base, models = family(2, torch.float32, True)
    plans: list[plan.Plan] = []

    def make_plan(*args: Any, **options: Any) -> plan.Plan:
        plans.append(plan.make_plan(*args, **options))
        return plans[-1]

    for options, constants in CUTS.values():
        with cut(**constants), pytest.MonkeyPatch.context() as patch:
            patch.setattr("stockpot.engine.merge.make_plan", make_plan)
            sp.merge(models, cls(), base=base if cls().needs.base else None, **options)
    least, three, unpacked, sampled = plans
    for made in (least, three):
        pieces = [p for t in made.tasks for p in t.pieces]
        assert len([p for p in pieces if p.assignment.name == "layers.0.weight"]) == 6
    assert (least.workers, three.workers) == (1, 3)
    assert not any(task.packed for task in unpacked.tasks)
    packs = [len(task.pieces) for task in three.tasks if task.packed]
    assert packs == ([] if cls is Slerp else [3, 5])
    assert [survey.numel > 2**14 for survey in sampled.surveys] == {
        Average: [],
        Ties: [True],
        Slerp: [True],
    }[cls]


@pytest.mark.parametrize("cls", under("blocks", lambda needs: not needs.whole))
@given(data=st.data())
@settings(max_examples=5)
def test_blocks_settle_and_map_to_the_same_bits(cls: type[Method], data: st.DataObject) -> None:
    """Facts join in any order, and a block's map does not look beyond the block."""
    case = data.draw(large_cases(cls))
    name = "layers.0.weight"
    ends = data.draw(st.sets(st.integers(1, 5), min_size=1).map(sorted))
    event(f"{len(ends) + 1} blocks")
    for _ in range(2):
        order = data.draw(st.permutations(range(len(ends) + 1)))
        laws.works_by_blocks(case, name, ends, order)


@pytest.mark.parametrize("cls", under("order"))
@given(data=st.data())
@settings(max_examples=12)
def test_the_order_of_tensors_does_not_show(cls: type[Method], data: st.DataObject) -> None:
    case = data.draw(cases(cls))
    names = data.draw(st.permutations(list(case.models[0])))
    event(f"moved: {names != list(case.models[0])}")
    laws.ignores_order_of_tensors(case, names)


@pytest.mark.parametrize("cls", under("seeds"))
@given(data=st.data(), seed=st.integers(0, 2**63 - 1))
@settings(max_examples=10)
def test_a_seed_repeats_its_merge(cls: type[Method], data: st.DataObject, seed: int) -> None:
    """The same seed gives the same bits; without randomness any seed does."""
    case = data.draw(cases(cls))
    laws.repeats_by_seed(case, seed)


@pytest.mark.parametrize("cls", under("seeds", lambda needs: needs.random))
def test_another_seed_another_name_another_draw(cls: type[Method]) -> None:
    """Every (seed, tensor name, model) has draws of its own."""
    base, (first,) = smooth([(400,)], 1, 1)
    (name,) = first
    method = example(cls)

    def merged(name: str, seed: int, copies: int = 1) -> torch.Tensor:
        models = [{name: tensor} for tensor in first.values()] * copies
        (given,) = base.values()
        weights = [0.0] * (copies - 1) + [1.0]
        return sp.merge(models, method, base={name: given}, weights=weights, seed=seed)[name]

    found = [merged(name, 0), merged(name, 1), merged("another", 0), merged(name, 0, copies=2)]
    for i, one in enumerate(found):
        assert not any(torch.equal(one, other) for other in found[i + 1 :])


@pytest.mark.parametrize("cls", under("files"))
@given(data=st.data())
@settings(max_examples=2)
def test_files_and_memory_agree(cls: type[Method], data: st.DataObject) -> None:
    case = data.draw(large_cases(cls))
    expected = case.merge(seed=3)
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{i}.safetensors" for i in range(len(case.models))]
        base = Path(folder) / "base.safetensors"
        for path, state in zip(paths, case.models, strict=True):
            save_file(state, path)
        if case.base is not None:
            save_file(case.base, base)
        given = [Path(folder) / f"of-{i}.safetensors" for i in range(len(case.of_data))]
        for path, of_data in zip(given, case.of_data, strict=True):
            save_file(of_data, path)
        out = Path(folder) / "out"
        sp.merge_to(
            out,
            paths,
            case.method,
            base=None if case.base is None else base,
            weights=case.weights,
            statistics=given,
            seed=3,
            memory=WHOLE if case.method.needs.whole else "8MiB",
            workers=2,
            device="cpu",
        )
        merged = load_file(out / "model.safetensors")
        assert merged.keys() == expected.keys()
        assert bits(merged) == bits({name: expected[name] for name in merged})
