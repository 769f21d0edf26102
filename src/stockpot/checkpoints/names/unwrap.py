"""What torch.compile, FSDP and DistributedDataParallel put into names is taken off, with a note."""

from collections.abc import Mapping
from dataclasses import replace

from ..entry import Checkpoint, TensorEntry
from ..formats.untrusted import listed, shown
from .spelling import WRAPPERS

MODULE = "module."
"""What DistributedDataParallel and AveragedModel put before every parameter."""


def unwrap(checkpoint: Checkpoint) -> Checkpoint:
    """The checkpoint under the names that its network has without wrappers.

    The modules in `WRAPPERS` go from wherever they stand; `module.` goes where it stands before
    every name but those of counters, such as AveragedModel's `n_averaged`. Where two tensors would
    get one name, all names stay.
    """
    names = bare_names({name: _counts(entry) for name, entry in checkpoint.entries.items()})
    taken = [(old, new) for old, new in names.items() if old != new]
    if not taken or len(set(names.values())) < len(names):
        return checkpoint
    entries: dict[str, TensorEntry] = {}
    for old, entry in checkpoint.entries.items():
        alias = names[entry.alias_of] if entry.alias_of else None
        entries[names[old]] = replace(entry, name=names[old], alias_of=alias)
    said = _said(taken, [old for old, new in names.items() if old == new])
    note = f"{checkpoint.label}: took {said}."
    return replace(checkpoint, entries=entries, notes=(*checkpoint.notes, note))


def bare_names(counters: Mapping[str, bool]) -> dict[str, str]:
    """Name -> the name without wrappers.

    Args:
        counters: of each name, whether it is that of a counter.

    Example:
        >>> bare_names({"n_averaged": True, "module.block._orig_mod.w": False})
        {'n_averaged': 'n_averaged', 'module.block._orig_mod.w': 'block.w'}
    """
    names = {name: name for name in counters}
    while True:
        inner = {old: _without_wrappers(new) for old, new in names.items()}
        others = [old for old, new in inner.items() if "." in new or not counters[old]]
        if others and all(inner[old].startswith(MODULE) for old in others):
            inner |= {old: inner[old].removeprefix(MODULE) for old in others}
        if inner == names or not all(inner.values()):
            return names
        names = inner


def _without_wrappers(name: str) -> str:
    if not any(wrapper in name for wrapper in WRAPPERS):
        return name
    *modules, leaf = name.split(".")
    return ".".join([*(m for m in modules if m not in WRAPPERS), leaf])


def _counts(entry: TensorEntry) -> bool:
    return entry.numel == 1 and not entry.dtype.is_floating_point and not entry.dtype.is_complex


def _said(taken: list[tuple[str, str]], kept: list[str]) -> str:
    old, new = taken[0]
    prefix = old.removesuffix(new)
    if old.endswith(new) and all(old == prefix + new for old, new in taken):
        but = f" but {listed(kept)}" if kept else ""
        return f"the prefix {shown(prefix)} off all names{but}"
    modules = dict.fromkeys(part for old, _ in taken for part in old.split("."))
    found = " and ".join(shown(f"{part}.") for part in modules if part in (*WRAPPERS, MODULE[:-1]))
    return f"{found} out of {len(taken)} names"
