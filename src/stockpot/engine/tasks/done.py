"""What comes of one step of a task, for the driver: facts, notes, digests, where the bytes are."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ...asides import Note


@dataclass(frozen=True, slots=True)
class Part:
    """Elements of one output tensor that are merged.

    Attributes:
        name: of the tensor.
        start: byte of the tensor at which they begin.
        numel: how many.
        kept: what the target gives the driver of them: None where they are where they belong.
        notes: what the map tells of them.
        report: what was settled for the tensor.
        digests: of the output and each input, with the tensor's last part; None where none is
            taken.
        extras: digests of its extras by key, likewise.
    """

    name: str
    start: int
    numel: int
    kept: object
    notes: Mapping[str, Note]
    report: Mapping[str, object] | None
    digests: tuple[str | None, ...] | None
    extras: Mapping[str, str | None] = field(default_factory=dict[str, str | None])


@dataclass(frozen=True, slots=True)
class Given:
    """Elements of an extra that are written.

    Attributes:
        tensor: the output tensor beside which it is.
        key: its name among all tensors of the output.
        start: byte of it at which they begin.
        numel: how many.
        kept: as of a part.
    """

    tensor: str
    key: str
    start: int
    numel: int
    kept: object


@dataclass(frozen=True, slots=True)
class Done:
    """A step of a task that merges.

    Attributes:
        parts: what was merged.
        given: what was given beside that.
        bytes_read, bytes_written: moved for that.
    """

    parts: tuple[Part, ...]
    given: tuple[Given, ...]
    bytes_read: int
    bytes_written: int
