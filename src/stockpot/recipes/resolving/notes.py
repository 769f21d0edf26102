"""What a user should know about a merge that is legal: sentences, none of them an error."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from ...checkpoints.entry import Checkpoint, same_bytes
from ...checkpoints.lineage import lineage_of
from ...checkpoints.roles import Role
from ...values.fields import kebab_name
from ...views.derived import Norms, SingularVector
from .assignment import ONLY_IN, Assignment, Assignments
from .differences import dtype_name
from .fit import Participants
from .following import AnyOf

AVERAGED = "norm-stats are averaged"
"""How the note of statistics begins, which holds no more where they are estimated again."""


def notes_on(ingredients: Participants, tensors: Sequence[Assignment]) -> tuple[str, ...]:
    """Notes on what was decided, in the order in which a reader would ask."""
    return (
        *_base(ingredients, tensors),
        *_methods(ingredients, tensors),
        *_missing(ingredients.models, tensors),
        *_dtypes(tensors),
        *_statistics(ingredients.models, tensors),
        *_untied(tensors),
        *_parametrised(ingredients.models, tensors),
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


def _base(ingredients: Participants, tensors: Sequence[Assignment]) -> Iterator[str]:
    base = ingredients.base
    if base is None:
        return
    if not ingredients.base_is_first:
        for model in ingredients.models:
            if _is_same(model, base):
                yield (
                    f"the base {base.label} is listed among the models too: it counts as one of "
                    f"{len(ingredients.models)}, with a task vector of zero."
                )
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


def _is_same(one: Checkpoint, other: Checkpoint) -> bool:
    """Whether two checkpoints are the very same files."""
    files = [file.identity for file in one.files]
    return one is other or (bool(files) and files == [file.identity for file in other.files])


def _methods(ingredients: Participants, tensors: Sequence[Assignment]) -> Iterator[str]:
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
    mixed = [t for t in tensors if len({entry.stored_dtype for entry in t.sources}) > 1]
    if mixed:
        found = sorted({dtype_name(entry.stored_dtype) for t in mixed for entry in t.sources})
        written = sorted({dtype_name(t.stored_dtype) for t in mixed})
        yield (
            f"the models differ in dtype ({', '.join(found)}); written as {', '.join(written)}: "
            f"{_some([t.name for t in mixed])}."
        )


def _statistics(models: Sequence[Checkpoint], tensors: Sequence[Assignment]) -> Iterator[str]:
    averaged = [t.name for t in tensors if t.role is Role.NORM_STAT and t.method is not None]
    if averaged:
        yield (
            f"{AVERAGED}, and an average of statistics is not the statistics of the average: "
            f"{_some(averaged)}. Estimate them again on training data: `--reestimate` in this "
            "command, `stockpot reestimate` after it, `stockpot.reestimate_batch_norm` in Python."
        )
    copied = [t for t in tensors if t.role is Role.COUNTER and t.copy_from is not None]
    some = [t.name for t in copied if any(t.name not in model.entries for model in models)]
    if some:
        yield f"counters that not every model has are copied from one that has them: {_some(some)}."
    counted = [t.name for t in copied if t.name not in some]
    if counters := [name for name in counted if _differs(name, models)]:
        yield f"counters that differ between the models are copied: {_some(counters)}."


def _differs(name: str, models: Sequence[Checkpoint]) -> bool:
    found = [model.entries[name] for model in models if name in model.entries]
    first, *others = found
    return not all(same_bytes(first, other) for other in others)


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


def _parametrised(models: Sequence[Checkpoint], tensors: Sequence[Assignment]) -> Iterator[str]:
    """How weights that are computed from several tensors are merged."""
    derived = [t for t in tensors if t.derivation is not None]
    if norms := [t.derivation.of for t in derived if isinstance(t.derivation, Norms)]:
        yield f"weight norm: g v / |v| is merged, and split into g and v again: {_some(norms)}."
    if vectors := [t.name for t in derived if isinstance(t.derivation, SingularVector)]:
        yield (
            "spectral norm: singular vectors are computed anew from the merged weights: "
            f"{_some(vectors)}."
        )
    masks = [t.name for t in tensors if isinstance(t.method, AnyOf)]
    if differing := [name for name in masks if _differs(name, models)]:
        yield (
            "pruning masks differ between the models; the output keeps what any of them keeps: "
            f"{_some(differing)}."
        )


def _some(names: Sequence[str]) -> str:
    return f"'{names[0]}'" + (f" and {len(names) - 1} more" if len(names) > 1 else "")
