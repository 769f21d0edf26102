"""The decay of a learning rate as an average of checkpoints (WSM, arXiv 2507.17634)."""

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, cast

from ..errors import FieldError
from ..values.fields import nearest
from ..values.from_plain_data import Reads

DECAYS = ("linear", "cosine", "1-sqrt")

Decay = str | tuple[float, ...]
"""A name, or the w_1 ... w_k themselves."""


def decay_weights(count: int, decay: Decay = "linear") -> tuple[float, ...]:
    """Weights of checkpoints θ_n ... θ_{n+k} of one run, oldest first, that stand for a decay.

        Σ_j c_j θ_{n+j},  c_0 = 1 - w_1,  c_j = w_j - w_{j+1},  c_k = w_k

    The average is what training would have come to if the updates from θ_{n+j-1} to θ_{n+j} had
    been taken at w_j of their learning rate, as far as they do not depend on it. At x = j / (k + 1)

        linear    w_j = 1 - x: the plain average
        cosine    w_j = (1 + cos πx) / 2
        1-sqrt    w_j = 1 - √x

    Args:
        count: of checkpoints, k + 1.
        decay: a name, or w_1 ... w_k with 1 ≥ w_1 ≥ ... ≥ w_k ≥ 0.

    Returns:
        Numbers of at least 0 with the sum 1.

    Raises:
        FieldError: an unknown name, or numbers that are too few, too many or do not fall.

    Example:
        >>> decay_weights(3, (0.5, 0.25)), sum(decay_weights(4, "cosine"))
        ((0.5, 0.25, 0.25), 1.0)

    Source: WSM, arXiv 2507.17634.
    """
    if decay == "linear":  # to the last bit, which differences of w_j are not
        return (1 / count,) * count
    shares = (1.0, *_shares(count, decay), 0.0)
    return tuple(before - after for before, after in pairwise(shares))


def _shares(count: int, decay: Decay) -> tuple[float, ...]:
    """w_1 ... w_k."""
    if isinstance(decay, str):
        if decay not in DECAYS:
            raise FieldError(f"decay: there is no '{decay[:80]}'{nearest(decay, DECAYS)}")
        places = [j / count for j in range(1, count)]
        match decay:
            case "cosine":
                return tuple((1 + math.cos(math.pi * x)) / 2 for x in places)
            case _:
                return tuple(1 - math.sqrt(x) for x in places)
    if len(decay) != count - 1:
        raise FieldError(
            f"decay: {count} checkpoints need {count - 1} numbers, one for each after the first; "
            f"got {len(decay)}."
        )
    falls = all(a >= b for a, b in zip((1.0, *decay), (*decay, 0.0), strict=True))
    if not falls:
        raise FieldError(f"decay: numbers must fall from 1 to 0; got {str(list(decay))[:80]}.")
    return decay


def refuse_wrong_order(paths: Sequence[str]) -> None:
    """Refuse paths as a shell's pattern sorts them where their numbers say another order.

    Raises:
        FieldError: naming the first two that are the wrong way round.

    Example:
        >>> refuse_wrong_order(["run/ckpt-1000", "run/ckpt-200"])
        Traceback (most recent call last):
        stockpot.errors.FieldError: decay: models go from the oldest to the newest, and
        run/ckpt-1000 stands before run/ckpt-200. Sort them by number, as `ls -v` does.
    """
    if list(paths) != sorted(paths):
        return
    for one, other in pairwise(paths):
        if _natural(other) < _natural(one):
            raise FieldError(
                f"decay: models go from the oldest to the newest, and {one[-80:]} stands before "
                f"{other[-80:]}. Sort them by number, as `ls -v` does."
            )


def _natural(path: str) -> list[tuple[int, str]]:
    """Runs of digits by their value, everything else by its text."""
    pieces = re.split(r"(\d+)", path)
    return [(int(one), "") if one.isdigit() else (-1, one) for one in pieces]


def _read_decay(value: object) -> Decay:
    listed = cast(list[object], value) if isinstance(value, list | tuple) else [value]
    if isinstance(value, str):
        if value not in DECAYS:
            raise FieldError(f"there is no decay '{value[:80]}'{nearest(value, DECAYS)}")
        return value
    if any(isinstance(one, bool) or not isinstance(one, int | float) for one in listed):
        raise FieldError(f"must be one of {', '.join(DECAYS)}, or a list of numbers.")
    return tuple(float(cast(float, one)) for one in listed)


DecayEntry = Annotated[Decay, Reads(_read_decay)]
