"""What a reader must know of a comparison to believe it, in words."""

from collections.abc import Iterable, Sequence

import torch

from ...data import Dataset, Splits
from ..predictions.views import JUDGED, Views, split_and_part, split_of
from ..results.comparison import Row
from ..results.estimator import FEWEST_POOLS
from ..scores.bootstrap import RESAMPLES
from ..scores.custom import OWN_RESAMPLES
from ..scores.metrics import BIN_RESAMPLES, CURVE_RESAMPLES, one_sided
from .contest import Contest
from .plan import SubsetPlan

Facts = tuple[tuple[str, str], ...]

COVERS_POOLS = "Intervals cover pools and the test samples that they share."
TOO_FEW_POOLS = "Two pools are too few for an interval: take three or more."
COVERS_SAMPLES = "Intervals cover test samples only: there is one pool."


def covers(pools: int) -> str:
    """What the intervals cover, in a sentence."""
    if pools == 1:
        return COVERS_SAMPLES
    return COVERS_POOLS if pools >= FEWEST_POOLS else TOO_FEW_POOLS


def pool_provenance(plan: SubsetPlan, contest: Contest, rows: Sequence[Row], views: Views) -> Facts:
    """Of a comparison of pools; names and texts, in the order to be read."""
    splits, pools = plan.pools[0].splits, plan.pools
    resampled = (
        f"{RESAMPLES}; ece {BIN_RESAMPLES}, auroc {CURVE_RESAMPLES}, a metric of your own "
        f"{OWN_RESAMPLES}"
    )
    return (
        ("network", contest.ledger.network),
        ("data", contest.ledger.whole),
        seeds_used([pool.seed for pool in pools]),
        ("networks in a pool", ", ".join(dict.fromkeys(str(len(pool)) for pool in pools))),
        ("subsets of each N", f"{plan.subsets} at most, drawn with seed {plan.seed}"),
        ("samples", _sizes(splits)),
        *([("views of the test split", _shown(views))] if views else []),
        *contest_provenance(
            contest,
            rows,
            len(pools),
            resamples=[("resamples", resampled)],
            further=_left_out(splits, views),
        ),
    )


def contest_provenance(
    contest: Contest,
    rows: Sequence[Row],
    pools: int,
    *,
    resamples: Iterable[tuple[str, str]] = (),
    further: Iterable[tuple[str, str]] = (),
) -> Facts:
    """What every contest says at the end: what its intervals cover, what was run, and on what."""
    return (
        ("intervals", f"95%. {covers(pools)}"),
        *resamples,
        ("samples run through networks", f"{sum(contest.tally.samples.values()):,}"),
        *further,
        *_non_finite(rows),
        ("torch", f"{torch.__version__}, {torch.get_num_threads()} thread(s)"),
    )


def seeds_used(seeds: Sequence[int]) -> tuple[str, str]:
    """How many pools, and which."""
    return "pools", f"{len(seeds)}, seeds {', '.join(map(str, seeds))}"


def _sizes(splits: Splits) -> str:
    parts = (splits.train, splits.selection, splits.test)
    return ", ".join(
        f"{len(part):,} {name}"
        for part, name in zip(parts, ("train", "selection", "test"), strict=True)
    )


def _shown(views: Views) -> str:
    return "; ".join(f"{split_and_part(key)[1]}: {view.words}" for key, view in views.items())


def _left_out(splits: Splits, views: Views) -> list[tuple[str, str]]:
    """Classes that have no area under a curve; said where it is reported."""
    if not splits.test.is_multilabel:
        return []
    judged = {split: split_of(splits, split) for split in JUDGED}
    judged |= {key: view.data for key, view in views.items()}
    found = {key: _one_sided(data) for key, data in judged.items()}
    return [(f"left out of auroc on {split}", names) for split, names in found.items() if names]


def _one_sided(data: Dataset) -> str:
    names = data.classes or tuple(f"class {one}" for one in range(data.num_classes))
    return ", ".join(names[one] for one in one_sided(data.labels, data.num_classes))


def _non_finite(rows: Sequence[Row]) -> list[tuple[str, str]]:
    """Methods whose outputs are not all finite, by the worst of their rows."""
    worst: dict[str, float] = {}
    for row in rows:
        worst[row.method] = max(worst.get(row.method, 0.0), row.non_finite)
    broken = [f"{method} up to {100 * share:.1f}%" for method, share in worst.items() if share]
    return [("outputs that are not finite, counted as wrong", "; ".join(broken))] if broken else []
