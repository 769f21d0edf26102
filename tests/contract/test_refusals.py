"""What `needs` and the bounds of fields exclude is refused, by name, before anything is merged."""

import dataclasses
import math
import re
from typing import Any

import pytest
import torch
from annotated_types import Ge, Gt, Le, Lt

import stockpot as sp
from stockpot.core import Method
from stockpot.errors import FieldError, MergeError, NonFiniteError
from stockpot.methods import METHODS, Ties
from stockpot.testing.cases import Case, State, on_grid
from stockpot.values.fields import FieldSpec, field_specs, kebab_name

from ..cases import example

SHAPES = [(40,), (3, 3), ()]


def ordinary(cls: type[Method], count: int | None = None) -> Case:
    method = example(cls)
    base, models = on_grid(SHAPES, count or max(2, method.needs.models[0]), 5)
    return Case(method, models, base if method.needs.base else None)


@pytest.mark.parametrize("cls", METHODS)
def test_a_missing_base_is_refused(cls: type[Method]) -> None:
    case = ordinary(cls)
    if case.method.needs.base:
        with pytest.raises(MergeError, match=f"^{kebab_name(cls)} needs a base"):
            sp.merge(case.models, case.method)
    else:
        given = sp.merge(case.models, case.method, statistics=case.of_data)
        assert list(given) == list(case.models[0])


@pytest.mark.parametrize("cls", METHODS)
def test_statistics_are_used_or_refused(cls: type[Method]) -> None:
    case = ordinary(cls)
    given = dataclasses.replace(case, statistics=case.models)
    name = kebab_name(cls)
    if not case.method.needs.statistics:
        with pytest.raises(MergeError, match="no method uses them"):
            given.merge()
        return
    with pytest.raises(MergeError, match=f"^{name} needs statistics of each model's data"):
        sp.merge(case.models, case.method, base=case.base)
    plain, merged = case.merge(), dataclasses.replace(case, statistics=case.of_data[::-1]).merge()
    assert any(not torch.equal(plain[n], merged[n]) for n in plain), "statistics change nothing"
    few = case.of_data[1:]
    with pytest.raises(MergeError, match=r"got statistics of \d+ models for"):
        sp.merge(case.models, case.method, base=case.base, statistics=few)
    first = next(iter(case.models[0]))
    for wrong, words in (
        ({n: t for n, t in few[0].items() if n != first}, f"'{first}' has no statistics in stat"),
        (few[0] | {first: torch.ones(2, 2)}, f"'{first}' is .*its statistics in statistics.0. are"),
    ):
        with pytest.raises(MergeError, match=words):
            sp.merge(case.models, case.method, base=case.base, statistics=[wrong, *few])
    nans = few[0] | {first: torch.full_like(few[0][first], math.nan)}
    with pytest.raises(NonFiniteError, match=rf"'{first}' in statistics\[0\] holds NaN"):
        sp.merge(case.models, case.method, base=case.base, statistics=[nans, *few])
    count = len(case.models)
    with pytest.raises(MergeError, match=f"^{name} takes no negative weights"):
        dataclasses.replace(case, weights=[2.0, -0.5, *[0.0] * (count - 2)]).merge()


@pytest.mark.parametrize("cls", METHODS)
def test_too_few_and_too_many_models_are_refused(cls: type[Method]) -> None:
    low, high = example(cls).needs.models
    wrong = [count for count in (low - 1, (high or 0) + 1) if count > 0]
    for count in wrong if high is not None else wrong[:-1]:
        with pytest.raises(MergeError, match=rf"^{kebab_name(cls)} takes .* got {count}"):
            ordinary(cls, count).merge()
    with pytest.raises(MergeError, match="no model to merge"):
        sp.merge([], example(cls))


@pytest.mark.parametrize("cls", METHODS)
def test_weights_are_used_or_refused(cls: type[Method]) -> None:
    case = ordinary(cls)
    count, name = len(case.models), kebab_name(cls)
    kind = case.method.needs.weights
    with pytest.raises(MergeError, match=f"{count + 1} weights for {count} models"):
        dataclasses.replace(case, weights=[1.0] * (count + 1)).merge()
    weighted = dataclasses.replace(case, weights=[1.0, 0.25, *[0.5] * (count - 2)])
    if kind == "unused":
        with pytest.raises(MergeError, match=f"^{name} takes no weights"):
            weighted.merge()
        return
    plain, merged = case.merge(), weighted.merge()
    assert any(not torch.equal(plain[n], merged[n]) for n in plain), "weights change nothing"
    if kind == "mean":
        zero = dataclasses.replace(case, weights=[1.0, -1.0, *[0.0] * (count - 2)])
        with pytest.raises(MergeError, match=f"sum to zero .* {name} divides"):
            zero.merge()
        double = dataclasses.replace(case, weights=[2 * w for w in weighted.weights or ()])
        for n, tensor in double.merge().items():
            assert torch.equal(tensor, merged[n])


@pytest.mark.parametrize("cls", METHODS)
def test_values_per_model_must_be_one_per_model(cls: type[Method]) -> None:
    case = ordinary(cls)
    for spec in (spec for spec in field_specs(cls) if spec.per_model):
        many = (1.0,) * (len(case.models) + 1)
        method = dataclasses.replace(case.method, **{spec.name: many})
        with pytest.raises(MergeError, match=f"^{kebab_name(cls)}: {spec.name} has {len(many)}"):
            dataclasses.replace(case, method=method).merge()


def outside(spec: FieldSpec) -> list[Any]:
    """Values that a field must not take."""
    wrong: list[Any] = [None, [], (), {}, object(), 1 + 0j, b"1", torch.tensor(0.5)]
    if not spec.per_model:
        wrong.append((1.0, 1.0))
    match spec.kind.__name__:
        case "str":
            return [*wrong, "nonsense", spec.choices[0].upper(), 1, True]
        case "Method":
            return [*wrong, "nonsense", 1, True, Ties]
        case "Grid":
            wrong = [value for value in wrong if not isinstance(value, dict)]
            return [*wrong, "scale", {"scale": 0.5}, {0.5: [0.5]}, {"scale": {0.5}}]
        case "bool":
            return [*wrong, 0, 1, 1.0, "true"]
    wrong += [True, False, "0.5", "1", math.nan, math.inf, -math.inf, 10**400]
    for bound in spec.bounds:
        match bound:
            case Gt(x):
                wrong += [x, x - 1]
            case Ge(x):
                wrong += [x - 1] if math.isfinite(float(x)) else []
            case Lt(x):
                wrong += [x, x + 1]
            case Le(x):
                wrong += [x + 1] if math.isfinite(float(x)) else []
    return wrong


@pytest.mark.parametrize("cls", METHODS)
def test_a_field_out_of_its_bounds_is_refused_by_name(cls: type[Method]) -> None:
    method = example(cls)
    for spec in field_specs(cls):
        expected = re.escape(f"{kebab_name(cls)}: {spec.name} must be {spec.interval()}")
        wrong = outside(spec)
        if spec.per_model:
            wrong += [(1.0, one) for one in outside(spec)]
        for value in wrong:
            with pytest.raises(FieldError, match=f"^{expected}.*; got "):
                dataclasses.replace(method, **{spec.name: value})


def _poisoned(state: State, name: str, value: float) -> State:
    tensor = state[name].clone()
    tensor.view(-1)[-1] = value
    return state | {name: tensor}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("cls", METHODS)
def test_a_non_finite_input_is_named_or_let_through(cls: type[Method], value: float) -> None:
    case = ordinary(cls)
    name = list(case.models[0])[1]
    models = [case.models[0], _poisoned(case.models[1], name, value), *case.models[2:]]
    poisoned = dataclasses.replace(case, models=models)
    with pytest.raises(NonFiniteError, match=rf"'{name}' in models\[1\] holds NaN or infinity"):
        poisoned.merge()
    assert list(poisoned.merge(allow_non_finite=True)) == list(case.models[0])
    if case.base is not None:
        poisoned = dataclasses.replace(case, base=_poisoned(case.base, name, value))
        with pytest.raises(NonFiniteError, match=f"'{name}' in base holds NaN or infinity"):
            poisoned.merge()
        assert list(poisoned.merge(allow_non_finite=True)) == list(case.models[0])
