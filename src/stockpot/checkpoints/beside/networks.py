"""Whether checkpoints are the same network, told from what lies beside their weights."""

from collections.abc import Sequence
from dataclasses import dataclass

from ...errors import CheckpointError
from ..entry import Checkpoint
from .config import compare_configs, differing, read_config
from .files import SmallFiles, small_files
from .modules import compare_modules
from .rows import clashes, differences
from .tokens import Vocabulary, vocabularies
from .vocabulary import input_rows


@dataclass(frozen=True, slots=True)
class Sameness:
    """What checkpoints say of themselves, held against each other.

    Attributes:
        unlike: what makes other networks of the same tensors, in short sentences.
        notes: what differs besides, or cannot be compared, in sentences.
        said: whether all of them have a configuration, without which nothing is known.
    """

    unlike: tuple[str, ...]
    notes: tuple[str, ...]
    said: bool


UNKNOWN = Sameness((), (), said=False)
"""Of checkpoints of which nothing but tensors is known."""


def compare_networks(checkpoints: Sequence[Checkpoint]) -> Sameness:
    """Compare configurations, tokenizers and modules of checkpoints; what is damaged is a note."""
    notes = list[str]()
    every = list[SmallFiles]()
    for checkpoint in checkpoints:
        try:
            one = small_files(checkpoint)
            read_config(one)
            every.append(one)
        except CheckpointError as error:
            notes.append(str(error))
            continue
        if one.pointers:
            notes.append(f"{one.label}: {', '.join(one.pointers)}: git-lfs pointers.")
    said = [(one.label, config) for one in every if (config := read_config(one)) is not None]
    found = [*compare_configs(said), *compare_modules(every)]
    known = list[tuple[str, Vocabulary]]()
    try:
        known += vocabularies(every).items()
    except CheckpointError as error:
        notes.append(str(error))
    shapes = [{n: e.shape for n, e in checkpoint.entries.items()} for checkpoint in checkpoints]
    rows = [count for one in shapes if (count := input_rows(one)) is not None]
    wrong = [str(one) for one in clashes(known, min(rows, default=None))]
    notes += differing("the configurations", [one for one in found if not one.forbids])
    if unlike := list(dict.fromkeys(differences(known))):
        notes.append(f"the tokenizers differ: {'; '.join(unlike[:6])}.")
    forbidding = [str(one) for one in found if one.forbids]
    return Sameness((*forbidding, *wrong), tuple(notes), len(said) == len(checkpoints))
