"""`layers:` a field's value that runs over the depth of a network.

`layers: {density: [0.1, 0.4]}` interpolates a field of the recipe's method, piecewise linearly,
over the longest numbered series of blocks in the tensor names, or over the one that `stack` names.
Tensors outside the series keep the method's own value.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, cast

from ..core import Method
from ..errors import FieldError, MergeError
from ..values.fields import FieldSpec, find_field, kebab_name

_NUMBERED = re.compile(r"(.*?)([0-9]{1,9})", re.DOTALL)

Layers = Mapping[str, Sequence[float]]
"""Field name -> its values from the first block to the last."""


@dataclass(frozen=True, slots=True)
class Series:
    """Numbered blocks, such as `model.layers.0.` to `model.layers.31.`.

    Attributes:
        prefix: what stands before the number.
        numbers: the numbers that occur, ascending.
    """

    prefix: str
    numbers: tuple[int, ...]

    def positions(self, names: Iterable[str]) -> dict[str, int]:
        """For each name inside the series, which block it is in, from 0."""
        rank = {number: position for position, number in enumerate(self.numbers)}
        pattern = re.compile(re.escape(self.prefix) + r"([0-9]{1,9})(?:\.|$)")
        found = ((name, pattern.match(name)) for name in names)
        numbered = ((name, int(match[1])) for name, match in found if match)
        return {name: rank[number] for name, number in numbered if number in rank}

    def __str__(self) -> str:
        return f"'{self.prefix}{self.numbers[0]}' to '{self.prefix}{self.numbers[-1]}'"


def find_series(names: Iterable[str]) -> Series | None:
    """The longest numbered series of blocks; None where no number takes two values.

    A number is a whole component of a name (`layers.3.`); only where no such series exists may it
    end one (`layer3.`, as in ResNet). A series that is repeated in each block of another one, as
    experts or the steps of a Sequential are, does not count. Of equal ones the first is taken.
    """
    every = all_series(names)
    return max(every, key=lambda series: len(series.numbers), default=None)


def all_series(names: Iterable[str]) -> list[Series]:
    """Every series that `find_series` chooses from: one for each stack of a network."""
    names = list(names)
    return _numbered(names, whole=True) or _numbered(names, whole=False)


def _numbered(names: Iterable[str], *, whole: bool) -> list[Series]:
    numbers: dict[str, set[int]] = {}
    siblings: dict[str, set[str]] = {}  # a prefix with # for its numbers -> prefixes
    for name in names:
        prefix = template = ""
        for component in name.split("."):
            stem, number = _split(component)
            if number and not (whole and stem):
                numbers.setdefault(prefix + stem, set()).add(int(number))
                siblings.setdefault(template + stem, set()).add(prefix + stem)
            prefix += component + "."
            template += stem + ("#." if number else ".")
    alone = [next(iter(prefixes)) for prefixes in siblings.values() if len(prefixes) == 1]
    found = [Series(prefix, tuple(sorted(numbers[prefix]))) for prefix in alone]
    return [series for series in found if len(series.numbers) > 1]


@lru_cache(2**14)
def _split(component: str) -> tuple[str, str]:
    """What stands before the number that ends a component, and the number."""
    found = _NUMBERED.fullmatch(component)
    return (found[1], found[2]) if found else (component, "")


def check_layers(method: Method, layers: Layers) -> None:
    """Refuse a field that `method` lacks or that is no number, and values out of its bounds.

    What lies between legal values is legal, so that checking the listed ones is enough.

    Raises:
        FieldError: naming the method, the field and the value.
    """
    for name, values in layers.items():
        try:
            _check(method, name, values)
        except FieldError as error:
            raise FieldError(f"layers: {error}") from None


def _check(method: Method, name: str, values: Sequence[float]) -> None:
    spec, kebab = find_field(type(method), name), kebab_name(type(method))
    if spec.kind not in (float, int):
        raise FieldError(f"{name} of {kebab} is no number: it cannot run over the blocks.")
    if not values:
        raise FieldError(f"{name} needs at least one value.")
    for value in values:
        if spec.kind is int and not float(value).is_integer():
            raise FieldError(f"{name} of {kebab} takes whole numbers; got {value}.")
        _with(method, {name: _cast(spec, value)})


def spread(
    method: Method, layers: Layers, names: Sequence[str], stack: str | None = None
) -> dict[str, tuple[Method, str]]:
    """For each tensor inside the series: the method with its block's values, and why, in words.

    Tensors of one block share one method value. Whole-number fields are rounded.

    Args:
        method: whose fields run.
        layers: their values.
        names: of all tensors.
        stack: what stands before the numbers of the series; None for the longest.

    Raises:
        MergeError: no series of blocks is found, or none of that name.
    """
    if not layers:
        return {}
    series = _chosen(all_series(names), stack)
    if series is None:
        raise MergeError(
            f"layers: {', '.join(layers)} cannot run over the blocks: no tensor name holds a "
            f"number with two values or more; names are such as '{names[0]}'."
        )
    last = len(series.numbers) - 1
    specs = {name: find_field(type(method), name) for name in layers}
    blocks = [
        (
            _with(method, {n: _cast(specs[n], at(v, k / last)) for n, v in layers.items()}),
            f"layers: block {k + 1} of {last + 1}, {series}",
        )
        for k in range(last + 1)
    ]
    return {name: blocks[position] for name, position in series.positions(names).items()}


def _chosen(every: Sequence[Series], stack: str | None) -> Series | None:
    if stack is None:
        return max(every, key=lambda series: len(series.numbers), default=None)
    wanted = [series for series in every if stack in (series.prefix, series.prefix.rstrip("."))]
    if every and not wanted:
        there = ", ".join(f"'{series.prefix.rstrip('.')}'" for series in every[:8])
        raise MergeError(f"layers: there is no stack '{stack[:80]}'; there are {there}.")
    return wanted[0] if wanted else None


def other_stacks(names: Sequence[str]) -> tuple[str, ...]:
    """A note on which series `layers` takes, where another lies neither around it nor in it."""
    every = all_series(names)
    taken = _chosen(every, None)
    if taken is None:
        return ()
    others = [
        series
        for series in every
        if not series.prefix.startswith(taken.prefix) and not taken.prefix.startswith(series.prefix)
    ]
    if not others:
        return ()
    return (
        f"layers: runs over {taken}; tensors of {' and '.join(map(str, others[:3]))} keep the "
        f"method's own value. To name one: {{stack: {others[0].prefix.rstrip('.')}, ...}}.",
    )


def at(values: Sequence[float], position: float) -> float:
    """The piecewise linear function through `values`, evenly spaced over [0, 1].

    Example:
        >>> at([0.0, 1.0, 0.0], 0.25), at([0.1, 0.4], 1.0)
        (0.5, 0.4)
    """
    place = position * (len(values) - 1)
    below = min(int(place), len(values) - 1)
    above = min(below + 1, len(values) - 1)
    return values[below] + (place - below) * (values[above] - values[below])


def _cast(spec: FieldSpec, value: float) -> float | int:
    return round(value) if spec.kind is int else value


def _with(method: Method, fields: Mapping[str, object]) -> Method:
    return cast(Method, replace(cast(Any, method), **fields))
