"""What a merge keeps: inputs, names, shapes, dtypes, and finite numbers."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stockpot.core import Method, Reach
from stockpot.testing import laws
from stockpot.testing.cases import DTYPES, KINDS, Case, edges
from stockpot.testing.steps import settled_from, stack_of

from ..cases import cases, counts, example, methods, weights_for
from .laws import under


@pytest.mark.parametrize("cls", under("inputs"))
@given(data=st.data())
@settings(max_examples=15)
def test_inputs_are_not_changed(cls: type[Method], data: st.DataObject) -> None:
    """Neither state dicts, nor the rows that a method sees; its result is memory of its own."""
    laws.keeps_inputs(data.draw(cases(cls)))


@pytest.mark.parametrize("cls", under("kept"))
@given(data=st.data())
@settings(max_examples=15)
def test_names_shapes_and_dtypes_are_kept(cls: type[Method], data: st.DataObject) -> None:
    case = data.draw(cases(cls))
    laws.keeps_names_shapes_dtypes(case)
    assert all(t.is_contiguous() and t.device.type == "cpu" for t in case.merge().values())
    names = {torch.bfloat16: "bfloat16", torch.float16: "float16", torch.float32: "float32"}
    for dtype, word in names.items():
        assert {t.dtype for t in case.merge(dtype=word).values()} == {dtype}


@pytest.mark.parametrize("cls", under("kept"))
def test_a_mixture_of_dtypes_is_merged_in_the_one_that_holds_them(cls: type[Method]) -> None:
    method = example(cls)
    kinds = [torch.bfloat16, torch.float32, torch.float16]
    count = max(2, method.needs.models[0])
    rows = [torch.linspace(-1, k, 9, dtype=kinds[k % 3]) for k in range(count)]
    models = [{"w": row.reshape(3, 3)} for row in rows]
    base = {"w": torch.zeros(3, 3, dtype=torch.float64)} if method.needs.base else None
    merged = Case(method, models, base).merge()["w"]
    assert merged.dtype == (torch.float64 if base else torch.float32)
    wide = [{"w": model["w"].to(merged.dtype)} for model in models]
    assert torch.equal(merged, Case(method, wide, base).merge()["w"])


@pytest.mark.parametrize("cls", under("finite"))
@given(data=st.data())
@settings(max_examples=60)
def test_degenerate_inputs_stay_finite(cls: type[Method], data: st.DataObject) -> None:
    count = data.draw(counts(cls))
    method = data.draw(methods(cls, count))
    dtype = data.draw(st.sampled_from(DTYPES))
    base, models = edges(data.draw(st.sampled_from(KINDS)), count, dtype)
    weights = data.draw(weights_for(method, count))
    case = Case(method, models, base if method.needs.base else None, weights)
    laws.stays_finite(case)
    merged = case.merge()
    assert {name: t.shape for name, t in merged.items()} == {n: t.shape for n, t in base.items()}


@pytest.mark.parametrize("cls", under("finite"))
def test_one_model_of_nothing_but_empty_tensors(cls: type[Method]) -> None:
    method = example(cls)
    states = [{"a": torch.empty(0), "b": torch.empty(0, 7)}] * max(1, method.needs.models[0])
    merged = Case(method, states, states[0] if method.needs.base else None).merge()
    assert {name: tuple(t.shape) for name, t in merged.items()} == {"a": (0,), "b": (0, 7)}


@pytest.mark.parametrize("cls", under("kept"))
def test_a_method_reaches_no_further_than_it_says(cls: type[Method]) -> None:
    """Beyond the element there is something to settle; at the element there is not."""
    method = example(cls)
    count = max(2, method.needs.models[0])
    base, models = edges("constants", count, torch.float32)
    stack = stack_of(Case(method, models, base if method.needs.base else None), "matrix.weight")
    settled = settled_from(method, [stack], [0])
    assert (settled is None) == (method.needs.reach is Reach.ELEMENT)
    assert method(stack, settled).shape == stack.models[0].shape
