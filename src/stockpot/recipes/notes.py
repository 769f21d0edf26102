"""What a user should know about a merge that is legal: sentences, none of them an error."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from ..checkpoints.entry import Checkpoint
from ..checkpoints.lineage import lineage_of
from ..checkpoints.roles import Role
from ..fields import kebab_name
from .assignment import ONLY_IN, Assignment, Assignments
from .differences import dtype_name
from .fit import Ingredients

COMPARED = 2**16
"""Bytes up to which a counter's values are compared."""


def notes_on(ingredients: Ingredients, tensors: Sequence[Assignment]) -> tuple[str, ...]:
    """Notes on what was decided, in the order in which a reader would ask."""
    return (
        *_base(ingredients.base, tensors),
        *_methods(ingredients, tensors),
        *_missing(ingredients.models, tensors),
        *_dtypes(tensors),
        *_statistics(ingredients.models, tensors),
        *_untied(tensors),
    )


def with_lineage(assignments: Assignments) -> Assignments:
    """With a note where a sample of the weights says that the base is not what models come from.

    It reads weights, 16 KiB of each of 64 layers at most, which `notes_on` does not.
    """
    base = assignments.base
    said = "" if base is None else lineage_of(assignments.models, base).said
    if base is None or not said:
        return assignments
    note = f"the base {base.label} {said}. Check the base."
    return replace(assignments, notes=(*assignments.notes, note))


def _base(base: Checkpoint | None, tensors: Sequence[Assignment]) -> Iterator[str]:
    if base is None:
        return
    own = {id(entry) for entry in base.entries.values()}
    if not any(
        id(entry) in own and t.role is not Role.COUNTER for t in tensors for entry in t.entries
    ):
        methods = dict.fromkeys(kebab_name(type(t.method)) for t in tensors if t.method)
        unused = f": it is not used by {', '.join(methods)}" if methods else ""
        yield f"the base {base.label} does not change the result{unused}."
    written = {t.name for t in tensors}
    if left_out := [name for name in base.entries if name not in written]:
        yield f"left out, as only the base has it: {_some(left_out)}."


def _methods(ingredients: Ingredients, tensors: Sequence[Assignment]) -> Iterator[str]:
    merged = dict.fromkeys((t.method, t.weights) for t in tensors if t.method is not None)
    if ingredients.weights is not None:
        unused = (type(method) for method, _ in merged if method.needs.weights == "unused")
        for method in dict.fromkeys(unused):
            yield f"{kebab_name(method)} ignores the weights."
    advised: set[type] = set()  # once per method: with `layers` there is one value per block
    for method, weights in merged:
        if type(method) not in advised and (sentences := method.advice(weights)):
            advised.add(type(method))
            yield from sentences


def _missing(models: Sequence[Checkpoint], tensors: Sequence[Assignment]) -> Iterator[str]:
    single = [t.name for t in tensors if t.rule.startswith(ONLY_IN)]
    fewer = [t.name for t in tensors if t.sources and len(t.sources) < len(models)]
    if single or fewer:
        yield f"merged over the models that have it: {_some(single + fewer)}."
    lent = [t.name for t in tensors if any(t.name not in models[k].entries for k in t.models)]
    if lent:
        yield f"taken from the base for the models that lack it: {_some(lent)}."


def _dtypes(tensors: Sequence[Assignment]) -> Iterator[str]:
    mixed = [t for t in tensors if len({entry.dtype for entry in t.sources}) > 1]
    if mixed:
        found = sorted({dtype_name(entry.dtype) for t in mixed for entry in t.sources})
        written = sorted({dtype_name(t.dtype) for t in mixed})
        yield (
            f"the models differ in dtype ({', '.join(found)}); written as {', '.join(written)}: "
            f"{_some([t.name for t in mixed])}."
        )


def _statistics(models: Sequence[Checkpoint], tensors: Sequence[Assignment]) -> Iterator[str]:
    averaged = [t.name for t in tensors if t.role is Role.NORM_STAT and t.method is not None]
    if averaged:
        yield (
            "norm-stats are averaged; re-estimate them on data before the network is used: "
            f"{_some(averaged)}."
        )
    counters = [t.name for t in tensors if t.role is Role.COUNTER and _differs(t.name, models)]
    if counters:
        yield f"counters that differ between the models are copied: {_some(counters)}."


def _differs(name: str, models: Sequence[Checkpoint]) -> bool:
    found = [model.entries[name] for model in models if name in model.entries]
    kinds = {(entry.dtype, entry.shape) for entry in found}
    if len(kinds) > 1 or found[0].nbytes > COMPARED:
        return len(kinds) > 1
    first, *others = (entry.load().reshape(-1).view(torch.uint8) for entry in found)
    return not all(torch.equal(first, other) for other in others)


def _untied(tensors: Sequence[Assignment]) -> Iterator[str]:
    keys = {t.name: t.key for t in tensors}
    untied = [
        t.name
        for t in tensors
        if any(e.alias_of in keys and keys[e.alias_of] != t.key for e in t.entries)
    ]
    if untied:
        yield (
            "tied in some of the models, but not in all or not by the same rule, and so not in "
            f"the output: {_some(untied)}."
        )


def _some(names: Sequence[str]) -> str:
    return f"'{names[0]}'" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
