"""Grids of a method's fields: checked, laid out as method values, and what those need together."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import product
from typing import Any, cast

from ..core import Costs, Method, Needs, Reach
from ..errors import FieldError
from ..values.fields import Grid, find_field, kebab_name

Values = Mapping[str, Sequence[object]]
MOST_POINTS = 1000
"""More is a mistake: each is a merge."""


def checked_grid(method: Method, grid: Values) -> Grid:
    """The grid with its values as the method keeps them.

    Raises:
        FieldError: there is nothing in it, too much, a field that the method lacks, or a value that
            it refuses.
    """
    count = math.prod(map(len, grid.values()))
    if not grid or not 0 < count <= MOST_POINTS:
        raise FieldError(
            f"grid must have a field with values, and at most {MOST_POINTS} combinations; "
            f"got {count if grid else 'none'}."
        )
    kept: dict[str, list[object]] = {}
    try:
        for name, values in grid.items():
            find_field(type(method), name)
            kept[name] = [getattr(_with(method, {name: value}), name) for value in values]
    except FieldError as error:
        raise FieldError(f"grid: {error}") from None
    return Grid.of(kept)


def grid_points(method: Method, grid: Values) -> tuple[Method, ...]:
    """The method at each combination of values, the last field running fastest.

    Raises:
        FieldError: as the method refuses a combination.
    """
    combinations = product(*grid.values())
    return tuple(_with(method, dict(zip(grid, each, strict=True))) for each in combinations)


def _with(method: Method, fields: Mapping[str, object]) -> Method:
    return cast(Method, replace(cast(Any, method), **fields))


def grid_among(grid: Values, indices: Sequence[int]) -> Grid:
    """The grid for some of the models: values per model keep theirs only."""

    def among(value: object) -> object:
        if not isinstance(value, tuple):
            return value
        return tuple(cast(tuple[object, ...], value)[i] for i in indices)

    return Grid.of({name: [among(value) for value in grid[name]] for name in grid})


def joint_needs(points: Sequence[Method], pool: Method | None, *, with_models: bool) -> Needs:
    """What points need together, and a method that has them as models, and perhaps theirs too.

    Raises:
        FieldError: they cannot be computed together, or the pool does not take as many.
    """
    each = [point.needs for point in points]
    last = Needs() if pool is None else pool.needs
    if any(needs.statistics for needs in (*each, last)):
        raise FieldError("methods that need statistics of the models' data are not woven.")
    giving = [type(one) for one in (*points, pool) if one is not None]
    if any(cls.extras is not Method.extras for cls in giving):
        raise FieldError("methods that give more than the merged tensors are not woven.")
    reaches = {needs.reach for needs in (*each, last)} - {Reach.ELEMENT}
    if len(reaches) > 1:
        raise FieldError(
            "some of it needs facts of each tensor and some of the whole model, which cannot be "
            "found together: choose the fields so that all do the same."
        )
    if len({needs.weights for needs in each}) > 1:
        raise FieldError("the points differ in what they do with weights.")
    settling = [needs for needs in each if needs.reach is not Reach.ELEMENT]
    sampled = any(needs.sample for needs in settling)
    return Needs(
        base=last.base or any(needs.base for needs in each),
        reach=next(iter(reaches), Reach.ELEMENT),
        sample=sampled or (not settling and last.sample),
        whole=last.whole or any(needs.whole for needs in each),
        models=_models(each, pool, with_models=with_models),
        weights=each[0].weights,
        random=last.random or any(needs.random for needs in each),
        symmetric=all(needs.symmetric for needs in each) and (last.symmetric or not with_models),
    )


def joint_costs(points: Sequence[Method], pool: Method | None, *, with_models: bool) -> Costs:
    """What running points together takes, and a method that pools them."""
    each = [point.costs for point in points]
    last = Costs() if pool is None else pool.costs
    return Costs(
        sweeps=sum(costs.sweeps for costs in each) + with_models,
        held_rows=max(costs.held_rows for costs in each) + last.held_rows,
        held_per_model=max(costs.held_per_model for costs in (*each, last)),
    )


def _models(
    each: Sequence[Needs], pool: Method | None, *, with_models: bool
) -> tuple[int, int | None]:
    """How few and how many models all points take, and the pool where models are among its own."""
    low = max(needs.models[0] for needs in each)
    most = [needs.models[1] for needs in each]
    if pool is not None:
        least, pool_most = pool.needs.models
        count = len(each)
        if with_models:
            low = max(low, least - count)
            most.append(None if pool_most is None else pool_most - count)
        elif count < least or (pool_most is not None and count > pool_most):
            raise FieldError(f"{kebab_name(type(pool))} does not pool {count} points.")
    bounds = [number for number in most if number is not None]
    high = min(bounds) if bounds else None
    if high is not None and high < low:
        raise FieldError("no number of models suits all of it.")
    return low, high
