"""Averages of the weights along the way of one training run, as values: SWA, EMA, LAWA and FGE.

SWA: Izmailov et al., arXiv 1803.05407. LAWA: Kaddour, arXiv 2209.14981. FGE: Garipov et al.,
arXiv 1802.10026.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, cast

from annotated_types import Ge, Gt, Lt

from ..values.family import Family
from ..values.fields import check_fields
from ..values.from_plain_data import Reads


class Averaging:
    """One of the averages; each is a frozen dataclass."""

    __slots__ = ()
    name_key: ClassVar[str] = "kind"

    def __post_init__(self) -> None:
        check_fields(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ema(Averaging):
    """Exponential moving average after every step: m ← d m + (1 - d) θ.

    Attributes:
        decay: d; larger remembers longer, about 1 / (1 - d) steps.
        warmup: `ramp` takes min(d, (1 + n) / (10 + n)) after n updates, so that the start is soon
            forgotten; `none` takes d from the first.
    """

    decay: Annotated[float, Gt(0), Lt(1)] = 0.999
    warmup: Literal["ramp", "none"] = "ramp"


@dataclass(frozen=True, slots=True, kw_only=True)
class Swa(Averaging):
    """The plain mean of the weights at regular moments of the last part of training.

    Attributes:
        start: fraction of the steps after which it begins.
        every: steps from one to the next; 0 for the ends of epochs.
        lr: the learning rate from the start on, reached within an epoch; 0 leaves the schedule.
    """

    start: Annotated[float, Ge(0), Lt(1)] = 0.75
    every: Annotated[int, Ge(0)] = 0
    lr: Annotated[float, Ge(0)] = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Lawa(Averaging):
    """The mean of the last few checkpoints: a window that moves along.

    Attributes:
        last: checkpoints in the window, all held in memory.
        every: steps from one to the next; 0 for the ends of epochs.
    """

    last: Annotated[int, Ge(1)] = 6
    every: Annotated[int, Ge(0)] = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fge(Averaging):
    """Fast geometric ensembling: a cyclic learning rate, and a snapshot at each lowest point.

    The snapshots are for an ensemble; their mean is the network that comes out.

    Attributes:
        start: fraction of the steps after which the cycles begin.
        cycle: epochs of one; the rate falls linearly for half of it and rises for the other.
        lr: the lowest rate; 0 for a hundredth of the largest.
    """

    start: Annotated[float, Ge(0), Lt(1)] = 0.5
    cycle: Annotated[int, Ge(1)] = 2
    lr: Annotated[float, Ge(0)] = 0.0


AVERAGES: tuple[type[Averaging], ...] = (Swa, Ema, Lawa, Fge)
FAMILY: Family[Averaging] = Family("average", AVERAGES, of=Averaging)


def read_averaging(value: object) -> Averaging:
    """An average by its kind and fields; a field that is null keeps its default.

    Raises:
        FieldError: an unknown kind or field, or a value out of its bounds.

    Example:
        >>> read_averaging({"kind": "ema", "decay": 0.9, "warmup": None})
        Ema(decay=0.9, warmup='ramp')
    """
    if isinstance(value, Mapping):
        entries = cast(Mapping[object, object], value)
        value = {key: one for key, one in entries.items() if one is not None}
    return FAMILY.read(value)


AveragingEntry = Annotated[Averaging, Reads(read_averaging)]
