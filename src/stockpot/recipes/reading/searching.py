"""`search:` of a recipe and `compare.search` of an experiment: axes, defaults, and the budget."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, cast

from annotated_types import Ge, Le

from ...core import Method
from ...errors import FieldError
from ...methods.catalogue import required_fields
from ...values.bounds import Count, Seed, Text
from ...values.fields import FieldSpec, field_specs, find_field, kebab_name
from ...values.from_plain_data import Reads, read
from ...values.section import Section
from .space import STEPS, WEIGHTS, Axis, Candidate, Choices, Range, Simplex, Space, Value

Sampler = Literal["grid", "random", "tpe", "cma-es"]

USUAL: Mapping[str, Range] = {
    "scale": Range(0.0, 2.0),
    "t": Range(0.0, 1.0),
    "density": Range(0.05, 1.0),
    "rank": Range(0.02, 1.0, log=True),
    "common": Range(0.05, 1.0),
    "ratio": Range(0.0, 1.0),
}
"""The fields that are searched without being asked for, whatever method has them; the others are
switches, tolerances, or another way to say the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget(Section):
    """How much is searched on the selection split, and how.

    Attributes:
        trials: candidates that are scored, those that are tried first among them.
        sampler: how the others are drawn: grid (in a seeded order), random, tpe or cma-es.
        seed: of the sampler; the same seed gives the same trials.
    """

    trials: Count = 20
    sampler: Sampler = "tpe"
    seed: Seed = 0


ONE_SEARCH = Budget(trials=50)
"""Of a search; tuning every method of a comparison has less for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Searched(Section):
    """What a recipe that was found by a search says of it; merge.json has it with the recipe.

    Attributes:
        fields: what was searched.
        trials: how many candidates were scored.
        sampler, seed: how they were drawn.
        metric, score: on the selection split of `data`; the test split chose nothing.
    """

    fields: tuple[Text, ...]
    trials: Count
    sampler: Sampler
    seed: Seed = 0
    metric: Text
    score: float
    data: Text
    split: Literal["selection"] = "selection"


def read_axis(value: object) -> Axis:
    """An axis: [low, high], more than two values, `{low, high, log, steps}`, or simplex.

    Example:
        >>> read_axis([0.1, 2.0])
        Range(low=0.1, high=2.0, whole=False, log=False, steps=5)
        >>> read_axis(["mass", "count"])
        Choices(values=('mass', 'count'))
    """
    if isinstance(value, Range | Choices | Simplex):
        return value
    if value == "simplex":
        return Simplex()
    if isinstance(value, list | tuple):
        return _listed(list(cast(list[object], value)))
    if isinstance(value, Mapping):
        return read(_Mapped, cast(object, value)).axis
    raise FieldError(
        "must be [low, high], a list of three or more values, or {low: ..., high: ...}; "
        "weights may be simplex."
    )


def _listed(values: list[object]) -> Axis:
    plain = [one for one in values if isinstance(one, bool | int | float | str)]
    if len(plain) < len(values) or len(set(map(repr, plain))) < len(plain) or len(plain) < 2:
        raise FieldError("must be a list of two or more different values.")
    if len(plain) == 2 and all(_is_number(one) for one in plain):
        return _range(float(plain[0]), float(plain[1]), log=False, steps=STEPS)
    return Choices(tuple(plain))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mapped(Section):
    """An axis as a mapping."""

    low: float | None = None
    high: float | None = None
    log: bool = False
    steps: Annotated[int, Ge(2), Le(1000)] = STEPS
    simplex: bool = False

    @property
    def axis(self) -> Axis:
        """What it says."""
        if self.simplex:
            return Simplex(self.steps)
        if self.low is None or self.high is None:
            raise FieldError("needs numbers low and high.")
        return _range(self.low, self.high, log=self.log, steps=self.steps)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _range(low: float, high: float, *, log: bool, steps: int) -> Range:
    if not low < high:
        raise FieldError(f"low must be below high; got {low:g} and {high:g}.")
    if log and low <= 0:
        raise FieldError(f"log needs a low above 0; got {low:g}.")
    return Range(float(low), float(high), log=log, steps=steps)


AxisEntry = Annotated[Any, Reads(read_axis)]


def space_of(
    method: Method,
    count: int,
    search: Mapping[str, Axis],
    weights: tuple[float, ...] | None = None,
) -> Space:
    """The space around a method of `count` models; `search` empty for the usual axes.

    Those are the method's fields that USUAL has, and weights on the simplex where it averages. A
    method that adds task vectors has its weights searched only where they are asked for, because
    its scale says most of what they do.

    Raises:
        FieldError: an axis that the method does not have, or that leaves its field's bounds.
    """
    axes = {name: _fitted(method, name, axis) for name, axis in search.items()}
    if not search:
        axes = usual_fields(method)
        if method.needs.weights == "mean":
            axes[WEIGHTS] = Simplex()
    if count < 2:
        axes = {name: axis for name, axis in axes.items() if not isinstance(axis, Simplex)}
    return Space(Candidate(method, weights), axes, count)


def usual_fields(method: Method) -> dict[str, Axis]:
    """The axes of a method's own fields that are searched without being asked for."""
    found = ((spec.name, _usual(spec)) for spec in field_specs(type(method)))
    return {name: axis for name, axis in found if axis is not None}


def defaults_of(method: Method) -> Method:
    """The method with its own defaults; fields that have none stay."""
    needed = {name: getattr(method, name) for name in required_fields(type(method))}
    return type(method)(**needed)


def _usual(spec: FieldSpec) -> Range | None:
    found = USUAL.get(spec.name)
    if found is None or spec.kind is not float:
        return None
    return found if spec.admits(found.low) and spec.admits(found.high) else None


def _fitted(method: Method, name: str, axis: Axis) -> Axis:
    """The axis as this method's field can have it."""
    kind = kebab_name(type(method))
    if name == WEIGHTS:
        if method.needs.weights == "unused":
            raise FieldError(f"search.weights: {kind} takes no weights.")
        if isinstance(axis, Choices) and not all(_is_number(one) for one in axis.values):
            raise FieldError("search.weights: must be numbers, or simplex.")
        return axis
    if isinstance(axis, Simplex):
        raise FieldError(f"search.{name}: only weights lie on a simplex.")
    try:
        spec = find_field(type(method), name)
    except FieldError as error:
        raise FieldError(f"search: {error}") from None
    if isinstance(axis, Range) and spec.kind is int:
        if axis.low % 1 or axis.high % 1:
            raise FieldError(f"search.{name} must be {spec.interval()}.")
        axis = replace(axis, low=int(axis.low), high=int(axis.high), whole=True)
    if isinstance(axis, Range) and spec.kind not in (int, float):
        raise FieldError(f"search.{name} must be values that are {spec.interval()}.")
    ends: tuple[Value, ...] = (axis.low, axis.high) if isinstance(axis, Range) else axis.values
    for end in ends:
        if not spec.admits(end):
            raise FieldError(f"search.{name} must be {spec.interval()}; got {str(end)[:80]}.")
    if isinstance(axis, Choices) and spec.kind is float:
        return Choices(tuple(float(cast(float, end)) for end in axis.values))
    return axis
