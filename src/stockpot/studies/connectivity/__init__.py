"""Connectivity: lines, curves and planes between networks, and what lies there."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from annotated_types import Ge, Gt

from ...errors import FieldError
from ...values.fields import check_fields
from ..study import StudyOfPools

if TYPE_CHECKING:
    from .result import ConnectivityResult as ConnectivityResult

CurveKind = Literal["bezier", "polygon"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Connectivity(StudyOfPools["ConnectivityResult"]):
    """What lies between networks: barriers on lines, fitted curves, planes through three.

        barrier = max over a in [0, 1] of L((1 - a) A + a B) - ((1 - a) L(A) + a L(B))

    With batch norm everything is told twice: with statistics interpolated as weights are, and with
    statistics that are estimated again on training data at each point, the ends among them. L is
    the mean negative log-likelihood; an output that is not finite counts as wrong.

    Args:
        pairs: all pairs of a pool; the first network with each other; or so many of all.
        points: of each path, an odd number.
        plane: points along a side of a plane; 0 for none.
        curves: which curves are fitted, between the first pair of each pool.
        bends: control points of a curve between its ends.
        epochs: of the curves' fit, by SGD.
        lr: learning rate of the curves' fit.
        samples: at most so many of each split, drawn once; statistics are estimated on as many.
        rescale: give both ends of a path or plane one fused scope first: not; by scaling weights
            (the function changes); or where a batch norm keeps the function.

    Raises:
        FieldError: a pool of one network.
        StockpotError: networks of one pool that do not fit each other; data without samples.

    Cost: of a path, `points` evaluations of both splits, and with batch norm as many passes more
        over the training samples; of a plane the square of its side; of a curve a training.
    Deviations: ends count in the maximum, so a barrier is never below 0. REPAIR, which rescales
        networks without batch norm too, is not computed.
    """

    pairs: Literal["all", "first"] | Annotated[int, Ge(1)] = "all"
    points: Annotated[int, Ge(3)] = 11
    plane: Annotated[int, Ge(0)] = 21
    curves: tuple[CurveKind, ...] = ("bezier",)
    bends: Annotated[int, Ge(1)] = 1
    epochs: Annotated[int, Ge(1)] = 10
    lr: Annotated[float, Gt(0)] = 0.05
    samples: Annotated[int, Ge(2)] = 2000
    rescale: Literal["none", "weights", "function"] = "none"

    def __post_init__(self) -> None:
        check_fields(self)

        if self.points % 2 == 0:
            raise FieldError(f"connectivity: points must be odd; got {self.points}.")
        if 0 < self.plane < 5:
            raise FieldError(f"connectivity: plane must be at least 5, or 0; got {self.plane}.")
