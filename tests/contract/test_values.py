"""A method is a value: it prints, compares, hashes, travels, and never changes."""

import copy
import dataclasses
import pickle

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import stockpot.methods
from stockpot.core import Method
from stockpot.methods import METHODS
from stockpot.methods.catalogue import make_method, method_fields
from stockpot.values.fields import (
    FieldSpec,
    Grid,
    field_specs,
    kebab_name,
)

from ..cases import counts, example, methods

NAMES = vars(stockpot.methods)


@pytest.mark.parametrize("cls", METHODS)
@given(data=st.data())
@settings(max_examples=20)
def test_repr_is_the_value(cls: type[Method], data: st.DataObject) -> None:
    method = data.draw(methods(cls, data.draw(counts(cls))))
    again = eval(repr(method), dict(NAMES))
    assert again == method
    assert hash(again) == hash(method)
    assert repr(again) == repr(method)


@pytest.mark.parametrize("cls", METHODS)
@given(data=st.data())
@settings(max_examples=10)
def test_values_survive_pickle_copy_and_plain_fields(
    cls: type[Method], data: st.DataObject
) -> None:
    method = data.draw(methods(cls, data.draw(counts(cls))))
    assert pickle.loads(pickle.dumps(method)) == method
    assert copy.deepcopy(method) == method
    assert make_method(kebab_name(cls), method_fields(method)) == method


@pytest.mark.parametrize("cls", METHODS)
def test_values_are_frozen(cls: type[Method]) -> None:
    method = example(cls)
    assert not hasattr(method, "__dict__")
    for spec in field_specs(cls):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(method, spec.name, getattr(method, spec.name))
    with pytest.raises((AttributeError, TypeError)):
        method.something = 1  # type: ignore[attr-defined]


@pytest.mark.parametrize("cls", METHODS)
def test_every_field_tells_values_apart(cls: type[Method]) -> None:
    method = example(cls)
    for spec in field_specs(cls):
        other = dataclasses.replace(method, **{spec.name: _another(spec, method)})
        assert other != method
        assert len({method, other, example(cls)}) == 2


def _another(spec: FieldSpec, method: Method) -> object:
    value = getattr(method, spec.name)
    if spec.choices:
        return next(choice for choice in spec.choices if choice != value)
    if spec.kind is bool:
        return not value
    if spec.kind is Method:
        return dataclasses.replace(value, scale=0.25)
    if spec.kind is Grid:
        return {"scale": [0.25]}
    near = [spec.kind(number) for number in (0.25, 0.75, 1, 2)]
    return next(number for number in near if number != value and spec.admits(number))


@pytest.mark.parametrize("cls", METHODS)
def test_whole_numbers_and_lists_are_the_same_value(cls: type[Method]) -> None:
    for spec in field_specs(cls):
        if spec.kind is float and spec.admits(1):
            method = dataclasses.replace(example(cls), **{spec.name: 1})
            assert type(getattr(method, spec.name)) is float
            assert repr(method) == repr(dataclasses.replace(method, **{spec.name: 1.0}))
        if spec.per_model:
            method = dataclasses.replace(example(cls), **{spec.name: [1, 1.0]})
            assert getattr(method, spec.name) == (1.0, 1.0)
            assert hash(method) == hash(dataclasses.replace(method, **{spec.name: (1.0, 1.0)}))


@pytest.mark.parametrize("cls", METHODS)
def test_a_method_says_what_it_computes_and_from_where(cls: type[Method]) -> None:
    text = cls.__doc__ or ""
    for part in ("Needs:", "Cost:", "Example:", "Source:", "θ = "):
        assert part in text, part
    for spec in field_specs(cls):
        assert f"\n        {spec.name}: " in text, spec.name
