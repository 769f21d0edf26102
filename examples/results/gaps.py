"""How far one row of a comparison is above another, and how that changes with N, depth and view.

    python examples/results/gaps.py RUN "logits-ensemble - uniform-soup" "greedy-soup - single-best"

RUN is a folder that `stockpot compare` has written. Differences are taken pool by pool, subsets of
a pool averaged first; intervals are 95% by Student's t over the pools, for the test split as it is:
they cover pools, and not the samples that pools share. Those of `results.json` cover both.
In percentage points, of accuracy unless `--metric` says otherwise; of several tasks the mean over
them; `views` is the mean over the views of the test split. A line "change" is a difference of two
such differences, pool by pool too.
"""

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean

from stockpot.evaluation.results.comparison import ALL_TASKS
from stockpot.evaluation.results.estimator import over_seeds
from stockpot.evaluation.results.intervals import Interval

VIEWS = "views"
Place = tuple[str, str, str, int]
"""Network, data, part and N."""
Scores = Mapping[tuple[Place, str], Mapping[int, float]]
"""Of each pool by its seed, for each place and method."""
Gap = Mapping[int, float]
"""Of each pool by its seed."""


def scores(run: Path, metric: str = "accuracy") -> Scores:
    """Every pool's scores on the test split, the mean over its subsets."""
    found: dict[tuple[Place, str], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    with (run / "results.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            pool, subset = int(row["seed"]), int(row["subset"])
            if row["split"] != "test" or row["metric"] != metric or min(pool, subset) < 0:
                continue
            for part in ("all",) if row["part"] == "all" else (VIEWS, row["part"]):
                place = row["network"], row["data"], part, int(row["n"])
                found[place, row["method"]][pool].append(float(row["value"]))
    crossed = any(place[1] == ALL_TASKS for place, _ in found)
    return {
        key: {pool: fmean(values) for pool, values in pools.items()}
        for key, pools in found.items()
        if not crossed or key[0][1] == ALL_TASKS
    }


def gaps(found: Scores, a: str, b: str) -> dict[Place, Gap]:
    """`a` less `b` wherever both are, pool by pool."""
    there = [place for place, method in found if method == a and (place, b) in found]
    return {
        place: {pool: value - found[place, b][pool] for pool, value in found[place, a].items()}
        for place in there
    }


def changes(of: Mapping[Place, Gap]) -> Iterator[tuple[str, Gap]]:
    """At the largest N: from the smallest N, from the first network, from the whole to a view."""
    counts = [n for *_, n in of]
    smallest, largest, first = min(counts), max(counts), next(iter(of))[0]
    for (network, data, part, n), gap in of.items():
        if n < largest:
            continue
        for name, other in (
            (f"N = {n} less N = {smallest}", (network, data, part, smallest)),
            (f"less {first}", (first, data, part, n)),
            ("less all", (network, data, "all", n)),
        ):
            if other in of and other != (network, data, part, n):
                yield f"{called(network, data, part, n)}: {name}", less(gap, of[other])


def called(network: str, data: str, part: str, n: int) -> str:
    """A place in words."""
    return f"{network} on {data}, {part}, N = {n}"


def less(a: Gap, b: Gap) -> Gap:
    """Pool by pool."""
    return {pool: value - b[pool] for pool, value in a.items()}


def points(gap: Gap) -> str:
    """The mean over pools with its interval, in percentage points."""
    one: Interval = over_seeds(list(gap.values()))
    value, low, high = (100 * part for part in (one.value, one.low, one.high))
    known = f"[{low:.2f}, {high:.2f}], {len(gap)} pools"
    return f"{value:+.2f} " + (known if low == low else "(too few pools for an interval)")


def main(run: Path, pairs: Sequence[str], metric: str) -> None:
    """Print every gap, and how it changes."""
    found = scores(run, metric)
    for pair in pairs:
        a, parted, b = pair.partition(" - ")
        of = gaps(found, a, b) if parted else {}
        if not of:
            names = ", ".join(dict.fromkeys(method for _, method in found))
            raise SystemExit(f"'{pair}' is not two rows with ' - ' between; rows: {names}.")
        print(pair)
        for place, gap in of.items():
            print(f"  {called(*place)}: {points(gap)}")
        for name, gap in changes(of):
            print(f"  change, {name}: {points(gap)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("run", type=Path)
    parser.add_argument("pairs", nargs="+", help='such as "logits-ensemble - uniform-soup"')
    parser.add_argument("--metric", default="accuracy")
    given = parser.parse_args()
    main(given.run, given.pairs, given.metric)
