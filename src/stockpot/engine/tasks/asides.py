"""What maps tell and give beside the merged tensors, taken by a worker piece by piece."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Any, Protocol

import blake3
import torch
from torch import Tensor

from ...asides import Count, Extra, Largest, Note, Where
from ...errors import NonFiniteError
from ...recipes.resolving.assignment import Assignment, PlacedExtra
from ...typed import to_floats
from ...values.fields import kebab_name
from ..pieces import Piece
from ..rows import is_finite, raw_bytes
from ..sinks import Target
from .done import Given

_Hashers = dict[str, "blake3.blake3"]


@dataclass(slots=True)
class ExtrasOut:
    """Where extras of a task go; the pieces of a tensor come in their order where they are hashed.

    Attributes:
        target: what is written to.
        check: whether NaN and infinity are refused.
        hashed: whether digests are taken.
        hashers: of what was written so far, by key.
    """

    target: Target
    check: bool
    hashed: bool
    hashers: _Hashers = field(default_factory=dict[str, blake3.blake3])

    def write(self, placed: PlacedExtra, start: int, values: Tensor) -> Given:
        """Elements of an extra from `start` on."""
        flat = values.detach().reshape(-1).contiguous().cpu()
        data, key = raw_bytes(flat), placed.key
        if self.hashed:
            self.hashers.setdefault(key, blake3.blake3()).update(data)
        at = start * flat.dtype.itemsize
        kept = self.target.write(key, at, data)
        return Given(placed.tensor, key, at, flat.numel(), kept)

    def digests(self, a: Assignment | None) -> Mapping[str, str | None]:
        """Of all extras of a tensor, whose last piece has been written; of None there are none."""
        keys = [placed.key for placed in a.extras] if a is not None else []
        return {k: self.hashers.pop(k).hexdigest() if k in self.hashers else None for k in keys}


class Asides:
    """What is told and given of pieces that lie end to end.

    Counts stay on the device that counts until they are asked for.

    Attributes:
        given: extras that were written.
    """

    def __init__(self, pieces: Sequence[Piece], out: ExtrasOut) -> None:
        self._pieces, self._out = pieces, out
        self._bounds = [*pairwise([0, *accumulate(piece.numel for piece in pieces)])]
        self._totals: dict[str, Tensor] = {}
        self._notes: dict[str, Note] = {}
        self._placed: dict[tuple[str, int | None], PlacedExtra] | None = None
        self.given: list[Given] = []

    def block(self, low: int, high: int) -> "_Block":
        """For elements [low, high) of all pieces."""
        return _Block(self, low, high)

    @property
    def notes(self) -> list[dict[str, Note]]:
        """For each piece what was told of it."""
        numbers = {name: to_floats(total) for name, total in self._totals.items()}
        counted = [
            {name: Count(int(counts[i]), piece.numel) for name, counts in numbers.items()}
            for i, piece in enumerate(self._pieces)
        ]
        return [{**of_piece, **self._notes} for of_piece in counted]

    def tell(self, name: str, what: Where | Note, low: int) -> None:
        """Take what is told of a block that begins at element `low`."""
        if isinstance(what, Where):
            flat = what.holds.reshape(-1)
            parts = [flat[max(a - low, 0) : max(b - low, 0)] for a, b in self._bounds]
            counts = torch.stack([torch.count_nonzero(part) for part in parts])
            before = self._totals.get(name)
            self._totals[name] = counts if before is None else before.add_(counts)
            return
        if len(self._pieces) > 1:
            raise TypeError(f"{name} is told of a block of several tensors: tell a Where")
        before = self._notes.get(name)
        self._notes[name] = what if before is None else _join(before, what)

    def give(self, name: str, values: Tensor, model: int | None, low: int, high: int) -> None:
        """Write what is given of a block of elements [low, high)."""
        a, start = self._pieces[0].assignment, self._pieces[0].start + low
        placed = self._find(a, name, model)
        by_element = placed.extra.shape == (a.view or a.shape)
        if not by_element and start > 0:  # the same in every block
            return
        _refuse_other(a, placed.extra, values, high - low if by_element else None)
        if self._out.check and values.dtype.is_floating_point and not is_finite(values):
            raise NonFiniteError(
                f"{kebab_name(type(a.method))} gives NaN or infinity in '{placed.key}' from finite "
                "inputs: leave out that tensor, or pass --allow-non-finite."
            )
        self.given.append(self._out.write(placed, start, values))

    def _find(self, a: Assignment, name: str, model: int | None) -> PlacedExtra:
        if self._placed is None:
            self._placed = {(one.extra.name, one.model): one for one in a.extras}
        number = None if model is None else a.models[model]
        if (name, number) not in self._placed:
            which = "of all models" if model is None else f"of model {model}"
            raise TypeError(f"{kebab_name(type(a.method))} gives {name} {which} undeclared")
        return self._placed[name, number]


class _Block:
    """The aside of one block."""

    def __init__(self, asides: Asides, low: int, high: int) -> None:
        self._asides, self._low, self._high = asides, low, high

    def tell(self, name: str, what: Where | Note) -> None:
        self._asides.tell(name, what, self._low)

    def give(self, name: str, values: Tensor, model: int | None) -> None:
        self._asides.give(name, values, model, self._low, self._high)


class _Joins(Protocol):
    def join(self, other: Note) -> Note: ...


def _join(one: _Joins, other: Note) -> Note:
    """Both; of one name all that is told is of one type."""
    return one.join(other)


def join_notes(one: Mapping[str, Note], other: Mapping[str, Note]) -> dict[str, Note]:
    """What is told of two parts of a tensor, in any order."""
    both = dict(one)
    for name, what in other.items():
        both[name] = _join(both[name], what) if name in both else what
    return both


def report_of(notes: Mapping[str, Note]) -> dict[str, object]:
    """What is told of a tensor as merge.json has it; `total` is its elements, where some count."""
    plain = {name: what.plain for name, what in notes.items()}
    totals = [n.total for n in notes.values() if isinstance(n, Count) and n.total is not None]
    return plain | ({"total": totals[0]} if totals else {})


def joined_reports(reports: Iterable[Mapping[str, object]]) -> dict[str, object]:
    """What is told of several tensors, in their order: counts add up, of other numbers the largest.

    Example:
        >>> joined_reports([{"rank": [4, 3], "error": 0.1}, {"rank": [2], "error": 0.3}])
        {'rank': [4, 3, 2], 'error': 0.3}
    """
    both = dict[str, Any]()
    for report in reports:
        for name, plain in report.items():
            if isinstance(plain, float) and name in both:
                both[name] = Largest(both[name]).join(Largest(plain)).value
            else:
                both[name] = both[name] + plain if name in both else plain
    return both


def _refuse_other(a: Assignment, extra: Extra, values: Tensor, elements: int | None) -> None:
    """Refuse what was not declared; `elements` of a block, where it is given block by block."""
    shape, whole = tuple(values.shape), math.prod(extra.shape)
    fits = shape == extra.shape and elements in (None, whole)
    if values.dtype != extra.dtype or not (fits or shape == (elements,)):
        raise TypeError(
            f"{kebab_name(type(a.method))} gives {extra.name} of '{a.name}' as {shape} "
            f"{values.dtype}, and declares {extra.shape} {extra.dtype}"
        )
