"""Where the state dict lies in what a training script saved: at the top, or beside an optimizer."""

import re
from collections.abc import Iterator, Mapping
from typing import cast

from torch import Tensor

from ...errors import CheckpointError
from .untrusted import listed, shown

USUAL = ("state_dict", "model_state_dict", "model.state_dict", "model")
TOP = "."
TRAINING = re.compile(
    r"optim|sched|scaler|rng|random|epoch|step|iter|loss|acc|metric|best|callbacks|loops|logging"
    r"|message_hub|lightning_version|dataloader|sampler|^(ds_\w+|lr|amp|date|time)$",
    re.IGNORECASE,
)
"""What a training script saves beside the weights to go on from there, by its key."""
DEPTH = 2
MOST_ENTRIES = 2**22
"""Names that are looked through, with those that are reached on several ways."""


def find_state_dict(
    content: object, key: str | None, where: str
) -> tuple[Mapping[str, Tensor], tuple[str, ...]]:
    """The state dict in the content of a torch file, and notes on what was taken and left.

    A dictionary with a tensor in it is a candidate, down to two levels. One of the usual names is
    taken before others; without one, the only candidate is.

    Raises:
        CheckpointError: where there is none, or several, of which it lists the keys.
    """
    found = _candidates(content, where)
    notes: list[str] = []
    if key is None:
        key = _choose(found, content, where)
    elif list(found) == [TOP]:
        if key != TOP:
            notes.append(f"{where}: key {shown(key)} not used, the file nests nothing.")
        key = TOP
    elif key not in found:
        raise CheckpointError(
            f"{where} has no state dict under {shown(key)}; it has {listed(found) or 'none'}."
        )
    chosen = found[key]
    state = {name: value for name, value in chosen.items() if isinstance(value, Tensor)}
    if key != TOP:
        left = listed([*(other for other in found if other != key), *_beside(content, found)])
        notes.append(f"{where}: took the state dict under {shown(key)}{left and ', left ' + left}.")
    if rest := [name for name in chosen if name not in state]:
        notes.append(f"{where}: left {listed(rest)}, which is no tensor.")
    return state, tuple(notes)


def _candidates(content: object, where: str) -> dict[str, dict[str, object]]:
    """Every dictionary that holds a tensor, by its keys joined by dots."""
    found: dict[str, dict[str, object]] = {}
    level = [("", content)]
    visited = 0
    for depth in range(DEPTH + 1):
        below: list[tuple[str, object]] = []
        for path, value in level:
            if not isinstance(value, dict):
                continue
            visited += len(cast(dict[object, object], value))
            if visited > MOST_ENTRIES:  # dictionaries may hold one another many times
                raise CheckpointError(
                    f"{where} nests more than {MOST_ENTRIES:,} entries: save the state dict alone."
                )
            inside = cast(dict[str, object], value)
            if not all(isinstance(name, str) for name in cast(dict[object, object], value)):
                continue  # as in an optimizer, which counts its parameters
            if any(isinstance(one, Tensor) for one in inside.values()):
                found[path or TOP] = inside
            if depth < DEPTH:
                below += ((f"{path}.{name}" if path else name, v) for name, v in inside.items())
        level = below
    return found


def _beside(content: object, found: Mapping[str, object]) -> Iterator[str]:
    """What else stands at the top, such as a configuration, but for the state of the training."""
    if isinstance(content, dict):
        for name in cast(dict[str, object], content):
            dicts = any(other == name or other.startswith(f"{name}.") for other in found)
            if not dicts and not TRAINING.search(name):
                yield name


def _choose(found: Mapping[str, object], content: object, where: str) -> str:
    usual = [key for key in USUAL if key in found]
    likely = usual or [key for key in found if "optim" not in key]
    if len(likely) == 1:
        return likely[0]
    if likely:
        raise CheckpointError(
            f"{where} holds several state dicts: {listed(likely)}. Say which one "
            f'with the key, such as {shown(likely[0])} ("." is the outermost).'
        )
    what = type(content).__name__
    if isinstance(content, dict):
        what += f" of {listed(map(str, cast(dict[object, object], content))) or 'nothing'}"
    raise CheckpointError(
        f"{where} holds no state dict, only a {what}. Save the model's state_dict()."
    )
