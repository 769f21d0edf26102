"""The measured table that is shipped: pools, their traits, methods, what became of their merges."""

import csv
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import StringIO

from ....core import Method
from ....methods import (
    Average,
    Cart,
    Dare,
    IsoC,
    Median,
    ModelStock,
    Slerp,
    TaskArithmetic,
    Ties,
    TsvM,
)
from .traits import NAMES, Traits

POOLS, MERGES, GRADIENTS = "pools.csv", "merges.csv", "gradients.csv"
SAME_ORIGIN = ("pretrained", "init", "hot", "skewed")
"""Relations whose ingredients all come from the base."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRow:
    """One pool of the table; scores are balanced accuracies on the test split.

    Attributes:
        pool: its name; its networks have random seeds of their own.
        data, network, relation: what it was trained on, of what kind, from what.
        chance: the score of constant answers, one over the number of classes.
        mean, best: of the ingredients' scores.
        traits: from its weights.
        gradients: what a few batches tell, by the columns of gradients.csv; see
            examples/results/diagnosis_gradients.py. Nothing where that was not measured.
    """

    pool: str
    data: str
    network: str
    relation: str
    chance: float
    mean: float
    best: float
    traits: Traits
    gradients: tuple[float, ...] = ()

    @property
    def same_origin(self) -> bool:
        """Whether all ingredients come from its base."""
        return self.relation in SAME_ORIGIN


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeRow:
    """One merge of the table.

    Attributes:
        pool: of what.
        method: how, by name.
        mended: whether batch-norm statistics were estimated again afterwards.
        score: balanced accuracy on the test split.
    """

    pool: PoolRow
    method: str
    mended: bool
    score: float

    @property
    def quality(self) -> float:
        """(score - chance) / (mean - chance): 1 is as good as the mean ingredient, 0 knows nothing.

        So data sets with few and many classes, easy and hard ones, can be compared.
        """
        return (self.score - self.pool.chance) / (self.pool.mean - self.pool.chance)


@cache
def shipped() -> tuple[MergeRow, ...]:
    """All merges of the table that comes with stockpot."""
    here = files("stockpot.studies.diagnosis.forecast")
    return parse(
        here.joinpath(POOLS).read_text(encoding="utf8"),
        here.joinpath(MERGES).read_text(encoding="utf8"),
        here.joinpath(GRADIENTS).read_text(encoding="utf8"),
    )


def parse(pools: str, merges: str, gradients: str = "") -> tuple[MergeRow, ...]:
    """Merges from the tables as text; an empty cell of a trait is not known."""
    rows = list(csv.reader(StringIO(gradients)))[1:]
    slopes = {name: tuple(map(float, values)) for name, *values in rows}
    known = {
        one["pool"]: _pool(one, slopes.get(one["pool"], ()))
        for one in csv.DictReader(StringIO(pools))
    }
    return tuple(
        MergeRow(
            pool=known[one["pool"]],
            method=one["method"],
            mended=one["mended"] == "1",
            score=float(one["score"]),
        )
        for one in csv.DictReader(StringIO(merges))
    )


def pools_of(merges: Sequence[MergeRow]) -> tuple[PoolRow, ...]:
    """The pools of some merges, each once."""
    return tuple({one.pool.pool: one.pool for one in merges}.values())


def _pool(row: dict[str, str], gradients: tuple[float, ...]) -> PoolRow:
    numbers = {name: float(row[name]) if row[name] else math.nan for name in NAMES}
    return PoolRow(
        pool=row["pool"],
        data=row["data"],
        network=row["network"],
        relation=row["relation"],
        chance=float(row["chance"]),
        mean=float(row["mean"]),
        best=float(row["best"]),
        traits=Traits(**numbers),
        gradients=gradients,
    )


@dataclass(frozen=True, slots=True)
class Candidate:
    """A method that is forecast.

    Attributes:
        name: as the command line has it.
        value: its value for K models.
        reach: roughly how far it goes from the base, in mean task vectors; so that methods that
            overshoot or hold back are neighbours.
        most: the largest number of models that it takes, or none.
    """

    name: str
    value: Callable[[int], Method]
    reach: float
    most: int | None = None

    @property
    def base(self) -> bool:
        """Whether it needs one."""
        return self.value(2).needs.base

    def takes(self, count: int, *, based: bool) -> bool:
        """Whether it can merge K models, with or without a base."""
        return (self.most is None or count <= self.most) and (based or not self.base)


CANDIDATES: tuple[Candidate, ...] = (
    Candidate("average", lambda _: Average(), 1.0),
    Candidate("slerp", lambda _: Slerp(), 1.0, most=2),
    Candidate("median", lambda _: Median(), 1.0),
    Candidate("task-arithmetic", lambda count: TaskArithmetic(scale=1.5 / count), 1.5),
    Candidate("ties", lambda _: Ties(density=0.2), 1.3),
    Candidate("dare", lambda count: Dare(density=0.5, scale=1 / count), 1.2),
    Candidate("model-stock", lambda _: ModelStock(), 0.5),
    Candidate("cart", lambda _: Cart(rank=0.08, tensors="matrices"), 1.1),
    Candidate("tsv-m", lambda _: TsvM(), 2.0),
    Candidate("iso-c", lambda _: IsoC(), 3.0),
)
"""With each method's own defaults, but for: task arithmetic goes half as far again as the average,
DARE sums to an average, CART takes all matrices. Simplest first."""


def candidates(count: int, *, based: bool) -> tuple[Candidate, ...]:
    """Those that can merge K models, with or without a base.

    Example:
        >>> [one.name for one in candidates(3, based=False)]
        ['average', 'median', 'cart']
    """
    return tuple(one for one in CANDIDATES if one.takes(count, based=based))
