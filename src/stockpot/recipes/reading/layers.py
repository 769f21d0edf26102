"""`layers:` a field's value that runs over the depth of a network.

`layers: {density: [0.1, 0.4]}` interpolates a field of the recipe's method, piecewise linearly,
over the longest numbered series of blocks in the tensor names, or over the one that `stack` names.
Tensors outside the series keep the method's own value.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from ...checkpoints.names.series import Series, all_series
from ...core import Method
from ...errors import FieldError, MergeError
from ...values.fields import FieldSpec, find_field, kebab_name

Layers = Mapping[str, Sequence[float]]
"""Field name -> its values from the first block to the last."""


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
