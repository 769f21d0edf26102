"""Methods that are defined for some tensors only: which those are, and what the others get."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace

from ...checkpoints.roles import Role
from ...core import Described, Method, Selection
from ...errors import MergeError
from ...values.fields import kebab_name
from .assignment import Selected
from .rules import NORM_STATS, Decision

Shapes = Mapping[str, tuple[int, ...]]


def select(
    decisions: Mapping[str, Decision], roles: Mapping[str, Role], shapes: Shapes, models: int
) -> tuple[dict[str, Decision], tuple[Selected, ...]]:
    """Decisions in which such a method keeps its own tensors, and its rest takes the others.

    A method is asked about the tensors in `shapes`; those of complex numbers, which it would see as
    pairs of real ones, are not among them and go to its rest. All values of one class are asked
    about the same tensors, so that a field that runs over the blocks does not change which tensors
    are taken.

    Raises:
        MergeError: values of a class are left with no tensor at all; or one joins tensors and needs
            statistics, which are those of tensors one by one.
    """
    changed = dict(decisions)
    selected: list[Selected] = []
    by_class: dict[type[Method], list[str]] = {}
    for name, decision in decisions.items():
        if decision.method is not None and decision is not NORM_STATS:
            by_class.setdefault(type(decision.method), []).append(name)
    for cls, names in by_class.items():
        real = [name for name in names if name in shapes]
        tensors = [Described(name, shapes[name], roles[name].value) for name in real]
        values = dict.fromkeys(m for n in names if (m := decisions[n].method) is not None)
        asked = {value: value.select(tensors, models) for value in values}
        selections = {value: found for value, found in asked.items() if found is not None}
        for value, selection in selections.items():
            _refuse_statistics_of_joined(value, selection)
        if not selections:
            continue
        changed |= dict(_split(names, decisions, selections, roles))
        taken = [name for name in names if changed[name].view is not None]
        first = next(iter(selections.values()))
        if not taken:
            there = ", ".join(sorted({roles[name].value for name in names}))
            raise MergeError(
                f"{kebab_name(cls)} works on {first.kind}, and none of the {len(names)} tensors "
                f"that it is to merge is one (there are: {there}): {first.mend}"
            )
        others = (changed[name].method for name in names if changed[name].view is None)
        selected.append(
            Selected(
                method=kebab_name(cls),
                kind=first.kind,
                rest=tuple(dict.fromkeys(m for m in others if m is not None)),
                tensors=len(taken),
                of_tensors=len(names),
                parameters=sum(math.prod(shapes[name]) for name in taken),
                of_parameters=sum(math.prod(shapes[name]) for name in real),
            )
        )
    return changed, tuple(selected)


def _refuse_statistics_of_joined(method: Method, selection: Selection) -> None:
    joined = next(iter(selection.joined.values()), ())
    if joined and method.needs.statistics:
        kinds = " and ".join(one.name for one in method.needs.statistics)
        raise MergeError(
            f"{kebab_name(type(method))} would merge {', '.join(map(repr, joined))} as one matrix, "
            f"and has statistics ({kinds}) of each alone: set qkv to 'stored'."
        )


def _split(
    names: list[str],
    decisions: Mapping[str, Decision],
    selections: Mapping[Method, Selection],
    roles: Mapping[str, Role],
) -> Iterator[tuple[str, Decision]]:
    for name in names:
        decision = decisions[name]
        selection = None if decision.method is None else selections.get(decision.method)
        if selection is None:
            continue
        if name in selection.views:
            joined = selection.joined.get(name, ())
            yield name, replace(decision, view=selection.views[name], joined=joined)
        else:
            why = f"{decision.rule}: {kebab_name(type(decision.method))} leaves this {roles[name]}"
            rest = kebab_name(type(selection.rest))
            yield name, replace(decision, method=selection.rest, rule=f"{why} to {rest}")
