"""How far the signs of K task vectors agree, counted exactly: integers that any slicing adds up to.

Signs are packed, 64 elements to a word, and counted by logic on words: a number for each element is
kept as planes of its binary digits. Shapes: K models, S elements, W words.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from ..lazy import Tensor
from ..typed import to_numpy

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]
_WORDS = 2**13
_ONES = np.array([word.bit_count() for word in range(2**16)], np.uint8)
_bit_count = cast(Any, getattr(np, "bitwise_count", None))


@dataclass(frozen=True, slots=True, eq=False)
class SignCounts:
    """Of the elements of some blocks.

    Attributes:
        elements: how many there are.
        both: [K, K], at how many neither of two task vectors is 0; on the diagonal, not one.
        alike: [K, K], at how many of those their signs are equal.
        majority: over elements, how many task vectors have the sign that most have there.
        touched: at how many some task vector is not 0.
        opposed: at how many two task vectors have opposite signs.
    """

    elements: int
    both: Ints
    alike: Ints
    majority: int
    touched: int
    opposed: int

    def join(self, other: "SignCounts") -> "SignCounts":
        """Of both sets of blocks."""
        return SignCounts(
            self.elements + other.elements,
            self.both + other.both,
            self.alike + other.alike,
            self.majority + other.majority,
            self.touched + other.touched,
            self.opposed + other.opposed,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """Signs of K task vectors, a bit for each element; all are 0 to begin with.

    Attributes:
        elements: how many there are.
        positive, negative: [K, bytes], where a task vector is above 0, and below it; up to a
            multiple of 8 bytes.
    """

    elements: int
    positive: Bytes
    negative: Bytes

    @classmethod
    def blank(cls, models: int, elements: int) -> "Planes":
        """Of so many task vectors."""
        shape = (models, -(-elements // 64) * 8)
        return cls(elements, np.zeros(shape, np.uint8), np.zeros(shape, np.uint8))

    def mark(self, start: int, rows_KS: Tensor, centre_S: Tensor | None = None) -> None:
        """Signs of rows less a centre, where there is one, from an element on; it divides by 8."""
        rows = to_numpy(rows_KS)
        centre = 0.0 if centre_S is None else to_numpy(centre_S)
        at = slice(start // 8, -(-(start + rows.shape[1]) // 8))
        self.positive[:, at] = np.packbits(rows > centre, axis=-1)
        self.negative[:, at] = np.packbits(rows < centre, axis=-1)


def count_signs(planes: Planes) -> SignCounts:
    """Counts over all elements; zeros have no sign."""
    positive_KW, negative_KW = planes.positive.view(np.uint64), planes.negative.view(np.uint64)
    counts = _counted(positive_KW[:, :_WORDS], negative_KW[:, :_WORDS])
    for start in range(_WORDS, positive_KW.shape[1], _WORDS):
        words = slice(start, start + _WORDS)
        counts = counts.join(_counted(positive_KW[:, words], negative_KW[:, words]))
    return replace(counts, elements=planes.elements)


def _counted(positive_KW: Words, negative_KW: Words) -> SignCounts:
    count = len(positive_KW)
    there_KW = positive_KW | negative_KW
    both, opposite = (np.zeros((count, count), np.int64) for _ in range(2))
    for i in range(count):
        met = there_KW[i] & there_KW[: i + 1]
        both[i, : i + 1] = both[: i + 1, i] = _ones(met)
        other = (positive_KW[i] ^ positive_KW[:i]) & met[:i]
        opposite[i, :i] = opposite[:i, i] = _ones(other)
    ups, downs = _sum(positive_KW), _sum(negative_KW)
    return SignCounts(
        elements=0,
        both=both,
        alike=both - opposite,
        majority=sum(2**digit * int(_ones(at)) for digit, at in enumerate(_larger(ups, downs))),
        touched=int(_ones(np.bitwise_or.reduce(there_KW))),
        opposed=int(_ones(_any(ups) & _any(downs))),
    )


def mean_of(rows_KS: Tensor, out_S: Tensor) -> Tensor:
    """Σ_k x_k / K, [S], summed in the order of the rows."""
    out_S.copy_(rows_KS[0])
    for row_S in rows_KS[1:]:
        out_S += row_S
    return out_S.div_(len(rows_KS))


def _ones(words: Words) -> Ints:
    """Bits that are set, over the last axis."""
    if _bit_count is None:  # NumPy 1
        return _ONES.take(words.view(np.uint16)).sum(-1, dtype=np.int64)
    return _bit_count(words).sum(-1, dtype=np.int64)


def _sum(words: Words) -> list[Words]:
    """At each bit, in how many of the words [K, W] it is set: planes of that number's digits."""
    planes = [words[0]]
    for count, word in enumerate(words[1:], start=2):
        carry = word
        for digit, plane in enumerate(planes):
            planes[digit], carry = plane ^ carry, plane & carry
        if count.bit_length() > len(planes):
            planes.append(carry)
    return planes


def _any(planes: Sequence[Words]) -> Words:
    found = planes[0]
    for plane in planes[1:]:
        found = found | plane
    return found


def _larger(ones: Sequence[Words], others: Sequence[Words]) -> list[Words]:
    """Planes of the larger of two numbers."""
    differ = [one ^ other for one, other in zip(ones, others, strict=True)]
    more = ones[0] & differ[0]
    for one, unlike in zip(ones[1:], differ[1:], strict=True):  # a higher digit decides
        more = more ^ (unlike & (one ^ more))
    return [other ^ (more & unlike) for other, unlike in zip(others, differ, strict=True)]
