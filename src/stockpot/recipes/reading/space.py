"""What a search may change of a recipe: weights and fields, as axes on which a sampler draws.

A point has one value for each parameter; a parameter is a field, or one of those that weights are
made of. Shapes: K models.
"""

import itertools
import math
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from ...core import Method
from ...errors import FieldError
from ...methods.catalogue import method_fields

Value = float | int | bool | str
Point = Mapping[str, Value]

STEPS = 5
"""Values of a range in a grid, both ends included."""

WEIGHTS = "weights"

MOST_POINTS = 10**9
"""Of a grid."""


@dataclass(frozen=True, slots=True)
class Range:
    """All numbers from low to high, both included; `steps` of them in a grid."""

    low: float
    high: float
    whole: bool = False
    log: bool = False
    steps: int = STEPS

    def __contains__(self, value: object) -> bool:
        fits = int if self.whole else int | float
        is_number = isinstance(value, fits) and not isinstance(value, bool)
        return is_number and self.low <= cast(float, value) <= self.high

    def grid(self) -> tuple[Value, ...]:
        """Equal steps, of the logarithm where `log`."""
        low, high = (math.log(one) if self.log else one for one in (self.low, self.high))
        parts = max(self.steps - 1, 1)
        inner = [low + (high - low) * i / parts for i in range(1, parts)]
        found = [self.low, *(math.exp(one) if self.log else one for one in inner), self.high]
        return tuple(dict.fromkeys(round(one) if self.whole else float(one) for one in found))


@dataclass(frozen=True, slots=True)
class Choices:
    """A few values."""

    values: tuple[Value, ...]

    def __contains__(self, value: object) -> bool:
        return any((value, type(value) is bool) == (one, type(one) is bool) for one in self.values)

    def grid(self) -> tuple[Value, ...]:
        """All of them."""
        return self.values


@dataclass(frozen=True, slots=True)
class Simplex:
    """Weights of at least 0 that sum to 1; a grid has them in multiples of 1 / (steps - 1)."""

    steps: int = STEPS


Axis = Range | Choices | Simplex
_UNIT = Range(0.0, 1.0)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A method with its fields, and one raw weight for each model (None: as the recipe has)."""

    method: Method
    weights: tuple[float, ...] | None = None

    def values(self, names: Sequence[str]) -> dict[str, Value | None]:
        """What it has on some axes; weights one by one, and nothing for several numbers."""
        fields, found = method_fields(self.method), dict[str, Value | None]()
        for name in names:
            if name == WEIGHTS:
                found |= {f"weights[{k}]": one for k, one in enumerate(self.weights or ())}
            else:
                value = fields.get(name)
                found[name] = None if isinstance(value, list) else cast(Value, value)
        return found


@dataclass(frozen=True, slots=True)
class Space:
    """The axes of a search around one method and its weights.

    Attributes:
        centre: what keeps its value where no axis says otherwise.
        axes: by field, or `weights`.
        count: how many models there are, K.
    """

    centre: Candidate
    axes: Mapping[str, Axis]
    count: int

    @property
    def parameters(self) -> dict[str, Range | Choices]:
        """What a sampler draws: K - 1 sticks for a simplex, K weights, and the fields."""
        found: dict[str, Range | Choices] = {}
        for name, axis in self.axes.items():
            if isinstance(axis, Simplex):
                found |= {f"stick[{k}]": _UNIT for k in range(self.count - 1)}
            elif name == WEIGHTS:
                found |= {f"weights[{k}]": axis for k in range(self.count)}
            else:
                found[name] = axis
        return found

    def at(self, point: Point) -> Candidate:
        """The candidate of a point."""
        weights = self.centre.weights
        if isinstance(self.axes.get(WEIGHTS), Simplex):
            sticks = [cast(float, point[f"stick[{k}]"]) for k in range(self.count - 1)]
            weights = on_simplex(sticks)
        elif WEIGHTS in self.axes:
            weights = tuple(float(point[f"weights[{k}]"]) for k in range(self.count))
        fields = {name: point[name] for name in self.axes if name != WEIGHTS}
        method = cast(Method, replace(cast(Any, self.centre.method), **fields))
        return Candidate(method, weights)

    def point_of(self, candidate: Candidate) -> dict[str, Value] | None:
        """The point at which a candidate is; None where it is none of this space."""
        own, fixed = method_fields(candidate.method), method_fields(self.centre.method)
        same = type(candidate.method) is type(self.centre.method)
        if not same or any(own[n] != fixed[n] for n in own if n not in self.axes):
            return None
        point: dict[str, Value] = {n: cast(Value, own[n]) for n in self.axes if n != WEIGHTS}
        weights = candidate.weights or (1.0,) * self.count
        if isinstance(self.axes.get(WEIGHTS), Simplex):
            if min(weights) < 0 or not any(weights):
                return None
            point |= {f"stick[{k}]": one for k, one in enumerate(to_sticks(weights))}
        elif WEIGHTS in self.axes:
            point |= {f"weights[{k}]": one for k, one in enumerate(weights)}
        elif weights != (self.centre.weights or (1.0,) * self.count):
            return None
        parameters = self.parameters
        inside = all(value in parameters[name] for name, value in point.items())
        return {name: point[name] for name in parameters} if inside else None

    def grid(self, seed: int, most: int) -> list[dict[str, Value]]:
        """Points on which every axis has its grid's values, `most` of them, in a seeded order.

        Raises:
            FieldError: where there are far too many to count.
        """
        _refuse_vast(self.axes, self.count)
        parts: list[list[dict[str, Value]]] = []
        for name, axis in self.axes.items():
            if isinstance(axis, Simplex):
                shares = _shares(self.count, max(axis.steps - 1, 1))
                parts.append(
                    [{f"stick[{k}]": v for k, v in enumerate(to_sticks(w))} for w in shares]
                )
            elif name == WEIGHTS:
                parts += [[{f"weights[{k}]": v} for v in axis.grid()] for k in range(self.count)]
            else:
                parts.append([{name: value} for value in axis.grid()])
        sizes = [len(one) for one in parts]
        order = random.Random(seed)
        total = math.prod(sizes)
        chosen = order.sample(range(total), min(most, total))
        return [_joined(parts, sizes, index) for index in chosen]


def _refuse_vast(axes: Mapping[str, Axis], count: int) -> None:
    total = 1
    for name, axis in axes.items():
        if isinstance(axis, Simplex):
            total *= math.comb(axis.steps + count - 2, count - 1)
        else:
            total *= len(axis.grid()) ** (count if name == WEIGHTS else 1)
    if total > MOST_POINTS or any(
        isinstance(axis, Simplex) and math.comb(axis.steps + count - 2, count - 1) > 10**6
        for axis in axes.values()
    ):
        raise FieldError(
            f"search: a grid over {', '.join(axes)} has {total:,} points: give fewer steps, or "
            "another sampler."
        )


def on_simplex(sticks: Sequence[float]) -> tuple[float, ...]:
    """K weights that sum to 1 from K - 1 numbers in [0, 1]; uniform ones are uniform on it.

    w_k = rest_k · (1 - (1 - v_k)^(1 / (K - k))),  k = 1 to K - 1,  rest_1 = 1

    Example:
        >>> [round(one, 6) for one in on_simplex(to_sticks([2, 1, 1]))]
        [0.5, 0.25, 0.25]
    """
    rest, weights = 1.0, list[float]()
    for k, stick in enumerate(sticks):
        weights.append(rest * (1 - (1 - stick) ** (1 / (len(sticks) - k))))
        rest -= weights[-1]
    return (*weights, max(rest, 0.0))


def to_sticks(weights: Sequence[float]) -> list[float]:
    """The numbers from which `on_simplex` makes these weights, divided by their sum."""
    rest, sticks = math.fsum(weights), list[float]()
    for k, weight in enumerate(weights[:-1]):
        share = min(weight / rest, 1.0) if rest > 0 else 0.0
        sticks.append(1 - (1 - share) ** (len(weights) - 1 - k))
        rest -= weight
    return sticks


def _shares(count: int, parts: int) -> list[tuple[float, ...]]:
    """All ways to give `parts` equal pieces to `count` models."""

    def given(left: int, models: int) -> Iterator[tuple[int, ...]]:
        if models == 1:
            yield (left,)
            return
        for first in range(left + 1):
            yield from ((first, *others) for others in given(left - first, models - 1))

    return [tuple(one / parts for one in pieces) for pieces in given(parts, count)]


def _joined(
    parts: Sequence[Sequence[Mapping[str, Value]]], sizes: Sequence[int], index: int
) -> dict[str, Value]:
    """The point of that number in the product of the parts, the last of which runs fastest."""
    chosen: list[Mapping[str, Value]] = []
    for part, size in zip(reversed(parts), reversed(sizes), strict=True):
        index, at = divmod(index, size)
        chosen.append(part[at])
    return dict(itertools.chain.from_iterable(one.items() for one in reversed(chosen)))
