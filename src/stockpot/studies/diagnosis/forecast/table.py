"""The measured table that is shipped: pools, their traits, and what became of their merges."""

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from io import StringIO

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
