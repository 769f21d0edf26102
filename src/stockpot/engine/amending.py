"""A last change of merged weights before they are put in place."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import blake3
from torch import Tensor

from ..checkpoints.entry import Checkpoint
from ..checkpoints.formats.safetensors import read_safetensors
from ..checkpoints.source import FileSource
from ..checkpoints.writing.journal import Record
from ..checkpoints.writing.writer import Output
from ..errors import CheckpointError, MergeError, NonFiniteError
from .rows import raw_bytes


class Amendment(Protocol):
    """What is changed, and how it is told; the same weights give the same change."""

    @property
    def metadata(self) -> Mapping[str, str]:
        """Entries of the header of every weight file, over those that a merge has."""
        ...

    @property
    def key(self) -> str:
        """Under which merge.json tells it."""
        ...

    @property
    def told(self) -> Mapping[str, object]:
        """What merge.json tells under the key."""
        ...

    @property
    def sentence(self) -> str:
        """What the model card tells."""
        ...

    def __call__(self, merged: Checkpoint) -> Mapping[str, Tensor]:
        """The tensors that change, by name, each of the shape and dtype that it has."""
        ...


@dataclass(frozen=True, slots=True)
class Amended:
    """What came of it.

    Attributes:
        digests: of the tensors that were changed, BLAKE3 of their new bytes; None without digests.
    """

    digests: Mapping[str, str | None] = field(default_factory=dict[str, str | None])


def amend(output: Output, amendment: Amendment, records: Mapping[str, Record]) -> Amended:
    """Change what was merged where it lies; the journal keeps telling of it as it was merged.

    So a run that is killed afterwards merges these tensors again, whose bytes are others, and
    changes them again. A file that cannot be read leaves what is finished for a resume; a change
    that fails leaves no output, because what does not fit the network never will.
    """
    try:
        return _change(output, amendment, records)
    except (NonFiniteError, MergeError, CheckpointError):
        output.discard()
        raise


def _change(output: Output, amendment: Amendment, records: Mapping[str, Record]) -> Amended:
    tensors = amendment(_written(output.weights))
    digests: dict[str, str | None] = {}
    for name, tensor in tensors.items():
        if name not in records:
            raise MergeError(f"'{name}' is to be changed, and is not among what was merged.")
        data = raw_bytes(tensor.reshape(-1))
        output.write(name, 0, data)
        hashed = records[name].digest is not None
        digests[name] = blake3.blake3(data).hexdigest() if hashed else None
    return Amended(digests)


def _written(files: tuple[Path, ...]) -> Checkpoint:
    parts = [read_safetensors(FileSource(path)) for path in files]
    entries = {name: entry for part in parts for name, entry in part.entries.items()}
    return Checkpoint(str(files[0].parent), entries)
