"""What comes of one step of a task, for the driver: facts, counts, digests, where the bytes are."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """Elements of one output tensor that are merged.

    Attributes:
        name: of the tensor.
        start: byte of the tensor at which they begin.
        numel: how many.
        kept: what the target gives the driver of them: None where they are where they belong.
        counts: what the map counted in them.
        report: what was settled for the tensor, or a method tells of it.
        digests: of the output and each input, with the tensor's last part; None where none is
            taken.
    """

    name: str
    start: int
    numel: int
    kept: object
    counts: Mapping[str, int]
    report: Mapping[str, object] | None
    digests: tuple[str | None, ...] | None


@dataclass(frozen=True, slots=True)
class Done:
    """A step of a task that merges.

    Attributes:
        parts: what was merged.
        bytes_read, bytes_written: moved for that.
    """

    parts: tuple[Part, ...]
    bytes_read: int
    bytes_written: int
