"""Errors that name the tensor and the model in which something is not finite."""

import math
from collections.abc import Sequence

from torch import Tensor

from ...checkpoints.entry import TensorEntry
from ...checkpoints.roles import Role
from ...errors import NonFiniteError
from ...recipes.resolving.assignment import Assignment
from ...values.fields import kebab_name
from ..pieces import Piece
from ..rows import OnDisk, Row, is_finite, of_row


def refuse_input(among: Sequence[Assignment], rows: Sequence[Row], row: int) -> None:
    """Name the tensor, of those that lie end to end, that is not finite in a row."""
    for a in among:
        _refuse_beside(a, row)
    at, found = 0, rows[row]
    for a in among:
        numel = math.prod(a.shape) if len(among) > 1 or isinstance(found, OnDisk) else len(found)
        if isinstance(found, OnDisk) or not is_finite(found[at : at + numel]):
            raise _non_finite(a.name, a.entries[row])
        at += numel


def _refuse_beside(a: Assignment, row: int) -> None:
    """Name what is not finite among the tensors that are seen as one with this one."""
    for one in (*a.above, *a.below):
        entry = of_row(one, row)
        if not is_finite(entry.load()):
            raise _non_finite(entry.name, entry)


def refuse_copy(pieces: Sequence[Piece], row: Tensor, out: Tensor) -> None:
    """Name the first copied tensor that is not finite, but for masks, which may be so."""
    at = 0
    for piece in pieces:
        a, part = piece.assignment, slice(at, at + piece.numel)
        at += piece.numel
        if a.role is Role.COUNTER or is_finite(out[part]):
            continue
        if is_finite(row[part]):
            raise NonFiniteError(
                f"'{a.name}' is copied and exceeds the range of "
                f"{str(a.dtype).removeprefix('torch.')}: try --dtype float32, or pass "
                "--allow-non-finite."
            )
        assert a.copy_from is not None
        raise _non_finite(a.name, a.copy_from)


def refuse_result(pieces: Sequence[Piece], out: Tensor) -> None:
    """Name the tensor that is not finite though its inputs are."""
    at = 0
    for piece in pieces:
        a = piece.assignment
        if not is_finite(out[at : at + piece.numel]):
            assert a.method is not None
            raise NonFiniteError(
                f"{kebab_name(type(a.method))} gives NaN or infinity in '{a.name}' from finite "
                f"inputs: it may exceed the range of {str(a.dtype).removeprefix('torch.')}. "
                "Try a smaller scale or --dtype float32, or pass --allow-non-finite."
            )
        at += piece.numel


def _non_finite(name: str, entry: TensorEntry) -> NonFiniteError:
    return NonFiniteError(
        f"'{name}' in {entry.owner} holds NaN or infinity. Mend or leave out that model, or pass "
        "--allow-non-finite to merge it as it is."
    )
