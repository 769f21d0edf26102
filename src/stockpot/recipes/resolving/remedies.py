"""What to do about tensors that not all models have alike: the `--copy` lines that settle them."""

import glob
import shlex
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from ...checkpoints.entry import Checkpoint

_NAMED = 3
"""Patterns that are told."""


def copies(wanted: Sequence[tuple[str, str]]) -> list[str]:
    """`--copy` flags, each of a pattern and the model that it is copied from."""
    return [f"--copy {_quoted(f'{pattern}={model}')}" for pattern, model in wanted]


def _quoted(text: str) -> str:
    return shlex.quote(text) if "'" in text else f"'{text}'"


def shape_remedies(shapes: Mapping[str, str], models: Sequence[Checkpoint]) -> Iterator[str]:
    """For tensors whose shapes differ -> the first model that has them.

    Where half of the tensors differ, the networks do, and no copy makes sense.
    """
    if shapes and 2 * len(shapes) <= len(models[0].entries):
        yield f"To take what differs in shape from one of them: {_flags(shapes, models)}"


def different_networks(models: Sequence[Checkpoint], base: Checkpoint | None) -> str | None:
    """One sentence where two of them have less than half of their tensors alike, else None."""
    first, *others = models
    for other in (*others, *(() if base is None else (base,))):
        both = [name for name in first.entries if name in other.entries]
        alike = sum(first.entries[name].shape == other.entries[name].shape for name in both)
        if 2 * alike >= min(len(first.entries), len(other.entries)):
            continue
        pairs = f"{first.label} and {other.label}"
        sizes = f"{len(first.entries):,} and {len(other.entries):,} tensors"
        unlike = [n for n in both if first.entries[n].shape != other.entries[n].shape]
        only = next((n for n in first.entries if n not in other.entries), "")
        example = (
            f"'{unlike[0]}' is {first.entries[unlike[0]].stored_shape} and "
            f"{other.entries[unlike[0]].stored_shape}"
            if unlike
            else f"'{only}' is in {first.label} alone"
        )
        return (
            f"{pairs} are different networks: of {sizes}, {alike:,} have the same name and shape; "
            f"{example}. Only networks of one architecture can be merged; `stockpot inspect` shows "
            "both."
        )
    return None


def missing_remedies(
    names: Collection[str], models: Sequence[Checkpoint], base: Checkpoint | None
) -> Iterator[str]:
    """For tensors that some models lack; `base` only where it is not asked already.

    `--missing present` is named only where it averages: where each is in two models or more.
    """
    if not names:
        return
    having = {name: [m.label for m in models if name in m.entries] for name in names}
    if base is not None and all(name in base.entries for name in names):
        yield "--missing base takes the base's in their place."
    elif all(len(labels) > 1 for labels in having.values()):
        yield "--missing present merges each over the models that have it."
    else:
        single = {name: labels[0] for name, labels in having.items()}
        yield f"To take what some lack from a model that has it: {_flags(single, models)}"


def _flags(wanted: Mapping[str, str], models: Sequence[Checkpoint]) -> str:
    found = [
        (pattern, label)
        for label in dict.fromkeys(wanted.values())
        for pattern in patterns(
            [name for name, of in wanted.items() if of == label],
            {name: None for model in models for name in model.entries},
        )
    ]
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return " ".join(copies(found[:_NAMED])) + more


def patterns(names: Sequence[str], every: Collection[str]) -> list[str]:
    """Globs that match these names and none of the others; names themselves where no fewer do.

    Example:
        >>> every = ["body.w", "head.a", "head.b", "head.c.d", "head.c.e"]
        >>> patterns(every[1:], every)
        ['head.*']
    """
    all_below, own_below = Counter(_above(every)), Counter(_above(names))
    found: dict[str, None] = {}
    for name in names:
        modules = [m for m in _above([name]) if own_below[m] == all_below[m]]
        found[f"{glob.escape(modules[0])}*" if modules else glob.escape(name)] = None
    return list(found) if len(found) < len(names) else [glob.escape(name) for name in names]


def _above(names: Collection[str]) -> Iterator[str]:
    """Each module that a name lies in, the outermost first: `a.`, `a.b.`."""
    for name in names:
        parts = name.split(".")
        yield from (".".join(parts[:k]) + "." for k in range(1, len(parts)))
