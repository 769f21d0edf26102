"""How far the signs of K task vectors agree, counted exactly: integers that any slicing adds up to.

Signs are packed, 64 elements to a word, and counted by logic on words: a number for each element is
kept as planes of its binary digits. Shapes: K models, S elements, W words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
from torch import Tensor

from ..typed import to_numpy

Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]
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


def count_signs(rows: Sequence[Tensor], centre_S: Tensor) -> SignCounts:
    """Counts over one block of K rows [S] of which a centre is to be taken; zeros have no sign."""
    centre = to_numpy(centre_S.reshape(-1).cpu())
    arrays = [to_numpy(row_S.reshape(-1).cpu()) for row_S in rows]
    positive_KW = np.stack([_packed(row > centre) for row in arrays])
    negative_KW = np.stack([_packed(row < centre) for row in arrays])
    there_KW = positive_KW | negative_KW
    both, alike = (np.zeros((len(rows), len(rows)), np.int64) for _ in range(2))
    for i in range(len(rows)):
        met = there_KW[i] & there_KW[: i + 1]
        opposite = (positive_KW[i] ^ positive_KW[: i + 1]) & met
        both[i, : i + 1] = both[: i + 1, i] = _ones(met)
        alike[i, : i + 1] = alike[: i + 1, i] = both[i, : i + 1] - _ones(opposite)
    positive, negative = list(positive_KW), list(negative_KW)
    ups, downs = _sum(positive), _sum(negative)
    more = _exceeds(ups, downs)
    larger = (down ^ (more & (up ^ down)) for up, down in zip(ups, downs, strict=True))
    some_up, some_down = _any(ups), _any(downs)
    return SignCounts(
        elements=centre.size,
        both=both,
        alike=alike,
        majority=sum(2**digit * int(_ones(plane)) for digit, plane in enumerate(larger)),
        touched=int(_ones(some_up | some_down)),
        opposed=int(_ones(some_up & some_down)),
    )


def mean_of(rows: Sequence[Tensor]) -> Tensor:
    """Σ_k x_k / K, [S], summed in the order of the rows."""
    total_S = rows[0].clone()
    for row_S in rows[1:]:
        total_S += row_S
    return total_S.div_(len(rows))


def _packed(signs_S: npt.NDArray[np.bool_]) -> Words:
    packed = np.packbits(signs_S)
    if packed.size % 8:
        packed = np.append(packed, np.zeros(-packed.size % 8, np.uint8))
    return packed.view(np.uint64)


def _ones(words: Words) -> Ints:
    """Bits that are set, over the last axis."""
    if _bit_count is None:  # NumPy 1
        return _ONES.take(words.view(np.uint16)).sum(-1, dtype=np.int64)
    return _bit_count(words).sum(-1, dtype=np.int64)


def _sum(words: Sequence[Words]) -> list[Words]:
    """At each bit, in how many of the words it is set: planes of that number's digits."""
    planes = [np.zeros_like(words[0]) for _ in range(len(words).bit_length())]
    for word in words:
        carry = word
        for digit, plane in enumerate(planes):
            planes[digit], carry = plane ^ carry, plane & carry
    return planes


def _any(planes: Sequence[Words]) -> Words:
    found = planes[0]
    for plane in planes[1:]:
        found = found | plane
    return found


def _exceeds(ones: Sequence[Words], others: Sequence[Words]) -> Words:
    """Where the first number is the larger one."""
    more = np.zeros_like(ones[0])
    for one, other in zip(
        ones, others, strict=True
    ):  # from the last digit on, a higher one decides
        differ = one ^ other
        more = (differ & one) | (~differ & more)
    return more
