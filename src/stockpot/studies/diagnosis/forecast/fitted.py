"""What a merge is expected to be worth, from weights alone, with an interval that was tested."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, cached_property

from ....libraries import optional
from .held_out import Case, Model, aided, by_data, fit_model, left_out, scale, spearman, width_of
from .table import CANDIDATES, MergeRow, candidates, pools_of, shipped
from .traits import Traits

COVERAGE = 0.8
"""Of the intervals, in data sets that the fit has not seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What one method is expected to give.

    Attributes:
        method: its name.
        quality: (score - chance) / (mean score of the ingredients - chance).
        low, high: in four of five merges of unseen data sets the quality was between them.
        mended: whether batch-norm statistics are estimated again after merging, which takes data.
    """

    method: str
    quality: float
    low: float
    high: float
    mended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitted:
    """A model fitted to all of the table, and what is known of its error.

    Attributes:
        model: of merges with a base, or of those without one.
        width: half an interval over the spread of the trees, from data sets left out in turn.
        error: the measured error, in a sentence.
    """

    model: Model
    width: float
    error: str


@dataclass(frozen=True, eq=False)
class Forecast:
    """What merges are expected to be worth, with a base and without; each fitted when asked for.

    Attributes:
        merges: of the table.
    """

    merges: Sequence[MergeRow]

    @cached_property
    def based(self) -> Fitted:
        """Fitted to the merges as they are."""
        alone, found = _fitted(self.merges), aided(self.merges)
        if not found:
            return alone
        rank = spearman([one.quality for one in found], [one.merge.quality for one in found])
        more = (
            f" Gradients of a few batches, which this does not look at, would make it {rank:.2f}."
        )
        return replace(alone, error=alone.error + more)

    @cached_property
    def blind(self) -> Fitted:
        """Fitted to those that need no base, from what is known without one."""
        return _fitted(without_base(self.merges))

    @staticmethod
    def fitted() -> "Forecast":
        """From the shipped table; once in a process.

        Raises:
            ExtraError: without scikit-learn.
        """
        return _forecast()

    @property
    def error(self) -> str:
        """The measured error where there is a base, in a sentence; `blind.error` is without one."""
        return self.based.error

    def predict(self, traits: Traits) -> tuple[Expected, ...]:
        """What every method that can merge this pool is expected to give, best first.

        Where there are statistics of batches, each method is there as it is and mended.
        """
        cases = [
            Case(traits=traits, method=one.name, mended=mended)
            for one in candidates(round(traits.count), based=traits.based)
            for mended in ((False, True) if traits.batch_norm else (False,))
        ]
        mine = self.based if traits.based else self.blind
        means, spreads = mine.model.predict(cases)
        found = [
            Expected(
                method=case.method,
                quality=float(mean),
                low=float(mean - mine.width * scale(spread)),
                high=float(mean + mine.width * scale(spread)),
                mended=case.mended,
            )
            for case, mean, spread in zip(cases, means, spreads, strict=True)
        ]
        return tuple(sorted(found, key=lambda one: -one.quality))


def without_base(merges: Sequence[MergeRow]) -> list[MergeRow]:
    """The merges that need no base, with the traits that are known without one."""
    needs = {one.name: one.base for one in CANDIDATES}
    blind = {
        one.pool.pool: replace(one.pool, traits=one.pool.traits.without_base()) for one in merges
    }
    return [replace(one, pool=blind[one.pool.pool]) for one in merges if not needs[one.method]]


@cache
def _forecast() -> Forecast:
    optional("sklearn.ensemble")
    return Forecast(shipped())


def _fitted(merges: Sequence[MergeRow]) -> Fitted:
    found = left_out(merges, by_data)
    rank = spearman([one.quality for one in found], [one.merge.quality for one in found])
    return Fitted(
        model=fit_model(merges),
        width=width_of(found, COVERAGE),
        error=f"Spearman {rank:.2f} over {len(merges)} merges of {len(pools_of(merges))} pools, "
        "each data set left out in turn, from weights alone.",
    )
