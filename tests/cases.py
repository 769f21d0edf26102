"""What methods are tried on: fields drawn from their declared bounds, and models to merge.

Everything is read off a method's class, so that a new method is tried without a new line here.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import MISSING, fields
from typing import Any

import pytest
import torch
from annotated_types import Ge, Gt, Le, Lt
from hypothesis import strategies as st

from stockpot.core import Method
from stockpot.engine import cutting, driver, plan
from stockpot.engine.tasks import desk, surveying
from stockpot.methods import (
    Consensus,
    Dare,
    Median,
    ModelStock,
    TaskArithmetic,
    Ties,
    Weave,
)
from stockpot.testing.cases import DTYPES, Case, on_grid, smooth
from stockpot.values.fields import FieldSpec, field_specs

WINDOW = 4.0
"""Where a field has no bound it is drawn from [-4, 4]; an excluded bound is kept off by 1/64."""
NEUTRAL: Mapping[str, object] = {
    "scale": 1.0,
    "density": 1.0,
    "rank": 1.0,
    "rank_count": 0,
    "energy": 0.0,
    "agree": 1,
}
"""The shared fields at which a task vector is taken as it is."""
WOVEN = (TaskArithmetic, Ties, Dare, ModelStock, Consensus)
"""What is woven: a method of every reach, at random and not."""
BY_NAME: Mapping[str, object] = {"tensors": "auto"}
"""Fields about the names of tensors, which say nothing here, keep their value."""
SHAPES: tuple[tuple[int, ...], ...] = ((33,), (3, 5), (), (1,), (0, 3), (2, 3, 4), (130,))


def number_of(spec: FieldSpec) -> st.SearchStrategy[Any]:
    """One legal value of a field."""
    if spec.choices:
        return st.sampled_from(spec.choices)
    if spec.kind is bool:
        return st.booleans()
    low, high = -WINDOW, WINDOW
    for bound in spec.bounds:
        match bound:
            case Gt(x):
                low = max(low, float(x) + 1 / 64)
            case Ge(x):
                low = max(low, float(x))
            case Lt(x):
                high = min(high, float(x) - 1 / 64)
            case Le(x):
                high = min(high, float(x))
    return st.integers(int(low), int(high)) if spec.kind is int else st.floats(low, high)


@st.composite
def methods(
    draw: st.DrawFn, cls: type[Method], count: int, pinned: Mapping[str, object] | None = None
) -> Method:
    """A method value for `count` models; what is pinned keeps its value where it is a field."""
    if cls is Weave:
        return draw(weaves(count, pinned))
    values: dict[str, object] = {}
    pinned = {**BY_NAME, **(pinned or {})}
    for spec in field_specs(cls):
        if spec.name in pinned:
            values[spec.name] = pinned[spec.name]
            continue
        one = number_of(spec)
        many = st.tuples(*[one] * count)
        values[spec.name] = draw(st.one_of(one, many) if spec.per_model else one)
    return cls(**values)


@st.composite
def weaves(draw: st.DrawFn, count: int, pinned: Mapping[str, object] | None = None) -> Weave:
    """A weave of a method that takes a base.

    Its scales have few bits, so that points equally far apart are so exactly, whatever shifts them.
    `trim` is left out: thresholds per tensor and over the model are not found together.
    """
    cls = draw(st.sampled_from(WOVEN))
    specs = {spec.name: spec for spec in field_specs(cls) if spec.name != "trim"}
    grid: dict[str, list[Any]] = {}
    names = st.lists(st.sampled_from(list(specs)), min_size=1, max_size=2, unique=True)
    for name in draw(names):
        one = st.just(pinned[name]) if pinned and name in pinned else number_of(specs[name])
        if name == "scale" and not pinned:
            one = st.integers(-16, 16).map(lambda eighths: eighths / 8)
        if specs[name].per_model:
            one = st.one_of(one, st.tuples(*[one] * count))
        grid[name] = draw(st.lists(one, min_size=1, max_size=3))
    return Weave(
        method=draw(methods(cls, count, pinned)),
        grid=grid,
        pool=draw(st.sampled_from(["mean", "random", "largest", Median()])),
        raw=draw(st.sampled_from(["omit", "include"])),
    )


def example(cls: type[Method]) -> Method:
    """The method with its defaults, and the middle of the bounds where there is none."""
    required = {f.name for f in fields(cls) if f.default is MISSING}  # type: ignore[arg-type]
    values: dict[str, Any] = {}
    for spec in field_specs(cls):
        if spec.name in required:
            values[spec.name] = spec.choices[0] if spec.choices else spec.kind(0.5)
    return cls(**values)


def selects(cls: type[Method]) -> bool:
    """Whether it is defined for some tensors only: it must be given a matrix."""
    return cls.select is not Method.select


def counts(cls: type[Method], most: int = 4) -> st.SearchStrategy[int]:
    """How many models."""
    low, high = example(cls).needs.models
    return st.integers(low, max(low, most if high is None else min(high, most)))


def weights_for(method: Method, count: int) -> st.SearchStrategy[list[float] | None]:
    """Raw weights, few bits each, so that sums of weighted grid values are exact."""
    match method.needs.weights:
        case "unused":
            return st.none()
        case "mean":
            one = st.sampled_from([0.0, 0.25, 0.5, 1.0, 2.0, 3.0])
            return st.none() | st.lists(one, min_size=count, max_size=count).filter(any)
        case "sum":
            one = st.sampled_from([-1.0, -0.5, 0.0, 0.25, 0.5, 1.0, 2.0])
            return st.none() | st.lists(one, min_size=count, max_size=count)


@st.composite
def cases(
    draw: st.DrawFn,
    cls: type[Method],
    *,
    pinned: Mapping[str, object] | None = None,
    values: Sequence[Any] = (on_grid, smooth),
    dtypes: Sequence[torch.dtype] = DTYPES,
    shapes: Sequence[tuple[int, ...]] = SHAPES,
) -> Case:
    """A method, as many models as it takes, weights and a base where it wants them."""
    count = draw(counts(cls))
    method = draw(methods(cls, count, pinned))
    weights = draw(weights_for(method, count))
    some = draw(st.lists(st.sampled_from(shapes), min_size=1, max_size=4))
    some = [*some, (3, 5)] if selects(cls) else some
    make = draw(st.sampled_from(values))
    base, models = make(some, count, draw(st.integers(0, 999)), draw(st.sampled_from(dtypes)))
    return Case(method, models, base if method.needs.base else None, weights)


@contextmanager
def cut(**constants: int) -> Iterator[None]:
    """The engine with other constants; each is set wherever it is used."""
    modules = (cutting, plan, desk, surveying, driver)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in constants.items():
            places = [module for module in modules if hasattr(module, name)]
            assert places, name
            for module in places:
                patch.setattr(module, name, value)
        yield
