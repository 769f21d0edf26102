"""What the backdoors of backdoor.py did, and whether scores told: tables in Markdown."""

from collections.abc import Iterator, Sequence

import numpy as np
from backdoor_attack import ATTACKS, ODD, SHORT
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from stockpot.evaluation.results.estimator import SHARE, over_seeds

COUNTS = (3, 4, 5, 6)
"""Sizes of pools."""
MIDDLE = 4
"""The size of pools that every method merges."""
SHOWN = ("badnets", "badmerging", "badmerging, short")
"""Attacks that every method merges; the average merges all."""
ALL = (*ATTACKS, *SHORT)


def auc(positive: dict[int, list[float]], negative: dict[int, list[float]]) -> tuple[float, ...]:
    """Area under the curve with its 95% interval: seeds are drawn with replacement.

    Every seed has as many scores, so a drawn area is the mean of a matrix over the seeds that are
    drawn: of each two seeds, how often a positive of one is above a negative of the other.
    """
    seeds = sorted(positive.keys() & negative.keys())
    bad, good = ([of[seed] for seed in seeds] for of in (positive, negative))
    labels = [1] * sum(map(len, bad)) + [0] * sum(map(len, good))
    area = float(roc_auc_score(labels, [v for some in (*bad, *good) for v in some]))
    gaps = np.array(bad)[:, :, None, None] - np.array(good)[None, None]
    above = ((np.sign(gaps) + 1) / 2).mean(axis=(1, 3))
    assert abs(above.mean() - area) < 1e-9
    taken = np.random.default_rng(0).integers(len(seeds), size=(2000, len(seeds)))
    drawn = [above[np.ix_(some, some)].mean() for some in taken]
    return (area, *(float(v) for v in np.quantile(drawn, (0.025, 0.975))))


def spoken(values: Sequence[float], digits: int = 1) -> str:
    """Percent, the mean with its interval over seeds, which no percentage leaves."""
    one = over_seeds(values, SHARE)
    low, high = 100 * one.low, 100 * one.high
    return f"{100 * one.value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def rate(alarms: Sequence[bool]) -> str:
    """Alarms of pools, with Clopper and Pearson's interval in percent."""
    found = binomtest(sum(alarms), len(alarms)).proportion_ci()
    return f"{sum(alarms)}/{len(alarms)} [{100 * found.low:.0f}, {100 * found.high:.0f}]"


def tables(attacks, scores) -> Iterator[str]:
    """Everything, setting by setting; `summary` first."""
    yield from summary(attacks, scores)
    for setting in dict.fromkeys(row["setting"] for row in attacks):
        mine = [row for row in attacks if row["setting"] == setting]
        seeds = len({row["seed"] for row in mine})
        methods = list(dict.fromkeys(row["method"] for row in mine if row["n"] == MIDDLE))
        yield f"\n## {setting}, {seeds} seeds\n"

        def values(column, pool, n, method, trigger=None, mine=mine):
            return [
                r[column] for r in mine
                if (r["pool"], r["n"], r["method"]) == (pool, n, method)
                and trigger in (None, r["trigger"])
            ]  # fmt: skip

        yield (
            "| trigger works, average of N | alone | accuracy alone | "
            + " | ".join(f"N = {n}" for n in COUNTS)
            + " |"
        )
        yield "|---|" + "---|" * (len(COUNTS) + 2)
        for pool in ALL:
            cells = [spoken(values(c, pool, 1, "single")) for c in ("success", "accuracy")]
            cells += [spoken(values("success", pool, n, "average")) for n in COUNTS]
            yield f"| {pool} | " + " | ".join(cells) + " |"
        for kind in ("fixed", "made"):
            cells = [spoken(values("success", "clean", n, "average", kind)) for n in COUNTS]
            yield f"| no attack, {kind} trigger | | | " + " | ".join(cells) + " |"
        yield (
            f"\n| N = {MIDDLE} | accuracy, no attack | accuracy, badmerging | "
            + " | ".join(SHOWN)
            + " | no attack, made trigger |"
        )
        yield "|---|" + "---|" * (len(SHOWN) + 3)
        for method in methods:
            cells = [
                spoken(values("accuracy", "clean", MIDDLE, method, "made")),
                spoken(values("accuracy", "badmerging", MIDDLE, method)),
                *(spoken(values("success", pool, MIDDLE, method)) for pool in SHOWN),
                spoken(values("success", "clean", MIDDLE, method, "made")),
            ]
            yield f"| {method} | " + " | ".join(cells) + " |"
        yield from detection([row for row in scores if row["setting"] == setting])


def detection(rows) -> Iterator[str]:
    """How well scores tell attackers from honest models, and how often pools raise an alarm."""

    def of(pool: str, n: int, *, first: bool, column: str = "score") -> dict[int, list[float]]:
        found: dict[int, list[float]] = {}
        for row in rows:
            if (row["pool"], row["n"]) == (pool, n) and (row["first"] or not first):
                found.setdefault(row["seed"], []).append(row[column])
        return found

    def pools(pool: str, n: int, *, first: bool) -> list[bool]:
        return [any(v) for v in of(pool, n, first=first, column="alarm").values()]

    yield (
        "\n| AUC against models of clean pools | "
        + " | ".join(f"N = {n}" for n in COUNTS)
        + (" | alarm on it, N = 3 | N = 6 |")
    )
    yield "|---|" + "---|" * (len(COUNTS) + 2)
    for pool in (*ALL, *ODD, *(f"{one}, among mixed" for one in ALL)):
        clean = "clean, mixed" if pool.endswith("mixed") else "clean"
        areas = [auc(of(pool, n, first=True), of(clean, n, first=False)) for n in COUNTS]
        cells = [f"{a:.2f} [{low:.2f}, {high:.2f}]" for a, low, high in areas]
        cells += [rate(pools(pool, n, first=True)) for n in (COUNTS[0], COUNTS[-1])]
        yield f"| {pool} | " + " | ".join(cells) + " |"
    yield "\n| AUC against odd honest models, N = 4 | " + " | ".join(ODD) + " |"
    yield "|---|" + "---|" * len(ODD)
    for pool in ALL:
        areas = [auc(of(pool, 4, first=True), of(one, 4, first=True)) for one in ODD]
        yield (
            f"| {pool} | "
            + " | ".join(f"{a:.2f} [{lo:.2f}, {hi:.2f}]" for a, lo, hi in areas)
            + (" |")
        )
    yield (
        "\n| pools without attack with an alarm | " + " | ".join(f"N = {n}" for n in COUNTS) + " |"
    )
    yield "|---|" + "---|" * len(COUNTS)
    for pool in ("clean", *ODD, "clean, mixed"):
        yield f"| {pool} | " + " | ".join(rate(pools(pool, n, first=False)) for n in COUNTS) + " |"


def summary(attacks, scores) -> Iterator[str]:
    """The same in few tables, over settings."""
    settings = list(dict.fromkeys(row["setting"] for row in attacks))

    def success(setting, pool, n, method, trigger=None):
        return spoken(
            [
                row["success"] for row in attacks
                if (row["setting"], row["pool"], row["n"], row["method"])
                == (setting, pool, n, method)
                and trigger in (None, row["trigger"])
            ],
            0,
        )  # fmt: skip

    def alarms(setting, pool, *, first):
        found: dict[tuple[int, int], bool] = {}
        for row in scores:
            if (row["setting"], row["pool"]) == (setting, pool) and (row["first"] or not first):
                key = row["seed"], row["n"]
                found[key] = found.get(key, False) or row["alarm"]
        middle = [alarm for (_, n), alarm in found.items() if n == MIDDLE]
        return f"{rate(middle)}; {sum(found.values())}/{len(found)}"

    def area(setting, pool, clean, n):
        by: list[dict[int, list[float]]] = [{}, {}]
        for row in scores:
            if (row["setting"], row["n"]) == (setting, n):
                if row["pool"] == pool and row["first"]:
                    by[0].setdefault(row["seed"], []).append(row["score"])
                if row["pool"] == clean:
                    by[1].setdefault(row["seed"], []).append(row["score"])
        value, low, high = auc(*by)
        return f"{value:.2f} [{low:.2f}, {high:.2f}]"

    def table(first, columns, lines):
        yield f"\n| {first} | " + " | ".join(columns) + " |"
        yield "|---|" + "---|" * len(columns)
        for name, cells in lines:
            yield f"| {name} | " + " | ".join(cells) + " |"

    lines = [
        (pool, [success(one, pool, n, "average") for one in settings for n in (3, 6)])
        for pool in ALL
    ]
    lines += [
        (
            f"no attack, {kind} trigger",
            [success(one, "clean", n, "average", kind) for one in settings for n in (3, 6)],
        )
        for kind in ("fixed", "made")
    ]
    yield from table(
        "trigger works after averaging, %",
        [f"{one}, N = {n}" for one in settings for n in (3, 6)],
        lines,
    )
    methods = list(dict.fromkeys(row["method"] for row in attacks if row["n"] == MIDDLE))
    columns = [f"{one}, {pool}" for one in settings for pool in ("badnets", "badmerging")]
    yield from table(
        f"trigger works, N = {MIDDLE}, %",
        columns,
        [
            (
                method,
                [
                    success(one, pool, MIDDLE, method)
                    for one in settings
                    for pool in ("badnets", "badmerging")
                ],
            )
            for method in methods
        ],
    )
    rows = [
        (f"{pool}{suffix}", pool + suffix, clean)
        for suffix, clean in (("", "clean"), (", among mixed", "clean, mixed"))
        for pool in ALL
    ]
    yield from table(
        "AUC and alarms on the attacker, N = 4; alarms, N = 3 to 6",
        settings,
        [
            (
                name,
                [
                    f"{area(one, pool, clean, 4)}; {alarms(one, pool, first=True)}"
                    for one in settings
                ],
            )
            for name, pool, clean in rows
        ],
    )
    yield from table(
        "pools without attack with an alarm, N = 4; N = 3 to 6",
        settings,
        [
            (pool, [alarms(one, pool, first=False) for one in settings])
            for pool in ("clean", *ODD, "clean, mixed")
        ],
    )
