"""Of each model's data, the tensors that a method needs beside one tensor of the models."""

from collections.abc import Mapping, Sequence

from ...checkpoints.entry import Checkpoint, TensorEntry
from ...core import Statistic
from .differences import is_mergeable


def find_statistics(
    name: str,
    needed: Sequence[Statistic],
    taken: Mapping[int, TensorEntry],
    seen: tuple[int, ...],
    files: Sequence[Checkpoint],
) -> tuple[tuple[TensorEntry, ...], ...] | str:
    """Each of those that are needed, of every model; or why one cannot be taken, in a sentence.

    Args:
        name: of the tensor.
        needed: what the method declares.
        taken: by number of the model its tensor.
        seen: the shape in which the method sees it.
        files: the statistics of each model.
    """
    found: list[tuple[TensorEntry, ...]] = []
    for statistic in needed:
        wanted = statistic.shape(seen)
        if wanted is None:
            return f"'{name}' is {seen}, of which there is no {statistic.name}."
        rows: list[TensorEntry] = []
        for k, entry in taken.items():
            row = _find(name, statistic, entry, files[k], alone=len(needed) == 1)
            if isinstance(row, str):
                return row
            expected = entry.shape if statistic.axes is None else wanted
            if row.shape != expected:
                return _misshapen(name, statistic, entry, row, expected, files[k].label)
            rows.append(row)
        found.append(tuple(rows))
    return tuple(found)


def _find(
    name: str, statistic: Statistic, entry: TensorEntry, of: Checkpoint, *, alone: bool
) -> TensorEntry | str:
    """One model's; tied tensors have that of the first."""
    tied = [name, *([] if entry.alias_of is None else [entry.alias_of])]
    keys = [f"{one}.{statistic.name}" for one in tied] + (tied if alone else [])
    known = next((of.entries[key] for key in keys if key in of.entries), None)
    what = "statistics" if alone else statistic.name
    if known is None:
        return (
            f"'{name}' has no {what} in {of.label}: give it a rule with average, or add "
            f"{'them' if alone else repr(keys[0])}."
        )
    if not is_mergeable(known.dtype):
        return f"the {what} of '{name}' are {known.dtype}."
    if entry.stands_for is not None:
        return (
            f"'{name}' is merged together with '{entry.made_of[1].name}', of which statistics say "
            "nothing: give it a rule with average."
        )
    return known


def _misshapen(
    name: str,
    statistic: Statistic,
    entry: TensorEntry,
    row: TensorEntry,
    expected: tuple[int, ...],
    label: str,
) -> str:
    if statistic.axes is None:
        return f"'{name}' is {entry.shape}; its statistics in {label} are {row.shape}."
    return (
        f"'{name}' is {entry.shape}, and so its {statistic.name} must be {expected}; its "
        f"statistics in {label} are {row.shape}."
    )
