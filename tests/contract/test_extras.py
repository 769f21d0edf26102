"""What a method declares to give beside the merged tensors is true, however it runs."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

import stockpot as sp
from stockpot.core import Method
from stockpot.engine import cutting
from stockpot.methods import METHODS
from stockpot.testing.cases import Case, State, bits
from stockpot.testing.steps import settled_from, stack_of

from ..cases import cut, example
from .giving import Masked
from .steps import Telling
from .test_slicing import CUTS, LEAST, WHOLE, large_cases

GIVING = [*(cls for cls in METHODS if cls.extras is not Method.extras), Masked]
NAMES = [cls.__name__ for cls in GIVING]


def written(case: Case, folder: Path, **options: Any) -> State:
    """All that a merge to files gives beside the merged tensors, and these."""
    for i, state in enumerate([*case.models, *([case.base] if case.base else [])]):
        save_file(state, folder / f"{i}.safetensors")
    paths = [folder / f"{i}.safetensors" for i in range(len(case.models))]
    base = folder / f"{len(paths)}.safetensors" if case.base else None
    out = folder / "out"
    sp.merge_to(out, paths, case.method, base=base, weights=case.weights, device="cpu", **options)
    files = [out / "model.safetensors", *(out / "extras").glob("*.safetensors")]
    return {name: tensor for file in files for name, tensor in load_file(file).items()}


@pytest.mark.parametrize("cls", GIVING, ids=NAMES)
@given(data=st.data())
@settings(max_examples=3)
def test_what_is_declared_is_given_and_nothing_else(cls: type[Method], data: st.DataObject) -> None:
    case = data.draw(large_cases(cls))
    count, declared = len(case.models), 0
    for name, tensor in case.models[0].items():
        if not tensor.numel() or (case.method.needs.whole and tensor.ndim != 2):
            continue
        stack, aside = stack_of(case, name), Telling()
        settled = settled_from(case.method, [stack], [0])
        case.method(replace(stack, aside=aside), settled)
        extras = case.method.extras(tuple(stack.models[0].shape), count)
        for extra in extras:
            assert "." not in extra.name
            for model in range(count) if extra.of == "model" else [None]:
                one = aside.given.pop((extra.name, model))
                assert (tuple(one.shape), one.dtype) == (extra.shape, extra.dtype)
                declared += 1
        assert not aside.given
    assert declared


@pytest.mark.parametrize("cls", GIVING, ids=NAMES)
@given(data=st.data())
@settings(max_examples=2)
def test_slices_workers_and_memory_do_not_show_in_extras(
    cls: type[Method], data: st.DataObject
) -> None:
    case = data.draw(large_cases(cls))
    with TemporaryDirectory() as folder:
        expected = written(case, Path(folder), workers=1)
    merged = case.merge(workers=1)
    assert bits({name: expected[name] for name in merged}) == bits(merged)
    assert len(expected) > len(merged)
    for name, (options, constants) in CUTS.items():
        if case.method.needs.whole and options.get("memory") == LEAST:
            options = options | {"memory": WHOLE}
        with TemporaryDirectory() as folder, cut(**constants):
            found = written(case, Path(folder), **options)
        assert bits(found) == bits({n: found[n] for n in expected}) == bits(expected), name


@pytest.mark.parametrize("cls", GIVING, ids=NAMES)
def test_another_order_of_models_gives_their_extras_in_that_order(
    cls: type[Method], tmp_path: Path
) -> None:
    generator = torch.Generator().manual_seed(0)
    base, *models = (
        {"layers.0.weight": torch.randn(40, 30, generator=generator, dtype=torch.float64)}
        for _ in range(4)
    )
    method = example(cls)
    given_base = base if method.needs.base else None
    for place in ("one", "other"):
        (tmp_path / place).mkdir()
    found = written(Case(method, models, given_base), tmp_path / "one")
    turned = written(Case(method, models[::-1], given_base), tmp_path / "other")
    of_models = [name for name in found if name.endswith(".0")]
    assert of_models
    for name in of_models:
        last = f"{name[:-2]}.2"
        torch.testing.assert_close(turned[last].double(), found[name].double(), rtol=0, atol=1e-6)


def test_whole_rows_read_when_asked_for_give_the_same(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(1)
    models = [{"layers.0.weight": torch.randn(90, 70, generator=generator)} for _ in range(3)]
    case = Case(example(next(cls for cls in GIVING if example(cls).needs.whole)), models)
    for place in ("loaded", "swept"):
        (tmp_path / place).mkdir()
    expected = written(case, tmp_path / "loaded")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cutting, "is_loaded", lambda *_: False)
        assert bits(written(case, tmp_path / "swept")) == bits(expected)
