"""Comparisons as the lab makes them, of numbers that are made up but behave like real ones."""

from dataclasses import replace

import numpy as np

from stockpot.evaluation import Comparison, Row
from stockpot.evaluation.results.comparison import Confusion, Cost, Decision, Verdict
from stockpot.evaluation.results.intervals import Difference, Interval

METHODS = {
    "single-mean": "single",
    "single-best": "single",
    "uniform-soup": "merge",
    "greedy-soup": "merge",
    "logits-ensemble": "ensemble",
    "probabilities-ensemble": "ensemble",
    "features-ensemble": "ensemble",
    "features-ensemble-first-head": "ensemble",
    "greedy-logits-ensemble": "ensemble",
    "greedy-features-ensemble": "ensemble",
    "distilled": "control",
}
MANY = METHODS | {
    "uniform-soup:bn": "merge",
    "greedy-soup:bn": "merge",
    "learned-soup": "merge",
    "ties": "merge",
    "model-stock": "merge",
    "slerp": "merge",
    "temperature-ensemble": "ensemble",
    "caruana-logits-ensemble": "ensemble",
    "uniform-soup:independent": "control",
}
GAINS = {"single-mean": 0.0, "single-best": 0.4, "uniform-soup": 0.9, "greedy-soup": 1.1}


def row(method="uniform-soup", value=0.5, **changes):
    """One row of the test split's accuracy, with an interval of two points to either side."""
    fields = {
        "n": 2,
        "subset": -1,
        "seed": -1,
        "method": method,
        "kind": MANY.get(method, "merge"),
        "split": "test",
        "part": "all",
        "metric": "accuracy",
        "value": value,
        "low": value - 0.02,
        "high": value + 0.02,
        "forwards": 1,
    }
    return Row(**(fields | changes))


def comparison(rows, title="Soup or ensemble?", **changes):
    fields = {"differences": (), "conclusion": ""}
    return Comparison(title=title, rows=tuple(rows), **(fields | changes))


def grid(
    *,
    methods=METHODS,
    counts=(2, 3, 5, 7, 10),
    cells=(("", ""),),
    metrics=("accuracy", "nll", "ece"),
    seeds=(0, 1, 2),
    base=0.86,
):
    """Rows of a sweep: of each pool, and of their mean, on both splits."""
    numbers = np.random.default_rng(0)
    rows = []
    for place, (network, data) in enumerate(cells):
        for method, kind in methods.items():
            slope = GAINS.get(method, 1.6 + 0.1 * len(method) / 10)
            for n in counts:
                level = base - 0.05 * place + 0.012 * slope * np.log(n)
                level -= 0.22 * (method == "uniform-soup" and place % 3 == 2) * np.log(n)
                draws = level + 0.006 * numbers.standard_normal(len(seeds))
                for metric in metrics:
                    for split in ("test", "selection"):
                        rows += _result(method, kind, n, split, metric, draws, seeds, network, data)
    return rows


def _result(method, kind, n, split, metric, draws, seeds, network, data):
    values = {"nll": 1.1 - draws, "ece": (1 - draws) / 4}.get(metric, draws)
    values = values + (0.004 if split == "selection" else 0.0)
    common = {
        "method": method,
        "kind": kind,
        "n": n,
        "split": split,
        "metric": metric,
        "forwards": n if kind == "ensemble" else 1,
        "network": network,
        "data": data,
    }
    each = [
        row(value=float(value), low=float(value) - 0.008, high=float(value) + 0.008, seed=seed)
        for seed, value in zip(seeds, values, strict=True)
    ]
    mean, half = float(values.mean()), float(values.std() + 0.007)
    rows = [*each, row(value=mean, low=mean - half, high=mean + half)]
    return [replace(one, **common) for one in rows]


def costs(rows, *, macs=41_000_000, parameters=270_000):
    found = {}
    for one in rows:
        key = (one.network, one.data, one.method, one.n)
        found[key] = Cost(
            method=one.method,
            n=one.n,
            parameters=parameters * one.forwards,
            macs=macs * one.forwards,
            seconds=0.21 * one.forwards,
            nbytes=4 * parameters * one.forwards,
            network=one.network,
            data=one.data,
        )
    return tuple(found.values())


def decisions(cells=(("", ""),), *, seeds=(0, 1, 2), count=10, name="ingredient-{}"):
    numbers = np.random.default_rng(1)
    found = []
    for network, data in cells:
        for seed in seeds:
            best = 0.87
            for step, which in enumerate(numbers.permutation(count)):
                score = best + 0.004 * float(numbers.standard_normal())
                accepted = step == 0 or score >= best
                best = max(best, score) if accepted else best
                found.append(
                    Decision(
                        seed=seed,
                        subset=0,
                        n=count,
                        step=step,
                        candidate=name.format(which),
                        score=score,
                        accepted=accepted,
                        network=network,
                        data=data,
                    )
                )
    return tuple(found)


def confusion(classes, method="logits-ensemble"):
    numbers = np.random.default_rng(2)
    count = len(classes)
    counts = numbers.poisson(1.5, (count, count)) + np.diag(numbers.integers(60, 110, count))
    return Confusion(
        method=method,
        classes=tuple(classes),
        counts=tuple(tuple(map(int, line)) for line in counts),
    )


def verdict():
    soup = Difference("greedy-soup", "single-best", Interval(0.0121, 0.0042, 0.0203))
    ensemble = Difference("greedy-soup", "logits-ensemble", Interval(-0.0088, -0.0185, 0.0011))
    return Verdict(
        choice="greedy-soup",
        sentence="greedy-soup is better than single-best by 1.2 points [0.4, 2.0] (p = 0.008) and "
        "not shown to be within 0.5 points of logits-ensemble, at a tenth of its cost.",
        evidence=((soup, 0.008), (ensemble, 0.09)),
        margin=0.005,
        preferred="greedy-soup",
        claims=("better than single-best", "within 0.5 points of logits-ensemble or better"),
        best="logits-ensemble",
    )


FACTS = (
    ("networks", "resnet-20 with group norm, ten ingredients a pool from one pretrained start"),
    ("data", "fashion-mnist: 5,400 training, 600 selection and 10,000 test images"),
    ("seeds", "0, 1, 2"),
    ("machine", "2 cores, torch 2.13.0"),
)
CLASSES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag")


def whole(rows=None, cells=(("", ""),), **changes):
    """A comparison that has every part."""
    rows = grid(cells=cells) if rows is None else rows
    fields = {
        "differences": (
            Difference("uniform-soup", "single-mean", Interval(0.008, 0.001, 0.015), 10, p=0.08),
            Difference("uniform-soup", "single-mean", Interval(0.002, -0.001, 0.006), 2),
        ),
        "conclusion": "On the test split greedy-soup is ahead of every single network.",
        "costs": costs(rows),
        "decisions": decisions(cells),
        "confusion": confusion(CLASSES),
        "verdict": verdict(),
        "facts": FACTS,
    }
    return comparison(rows, "Ten fine-tunes: soup or ensemble?", **(fields | changes))


def sweep():
    networks = ("resnet-8", "resnet-14", "resnet-20", "vit-tiny")
    cells = tuple((network, data) for data in ("fashion-mnist", "emoji") for network in networks)
    rows = grid(cells=cells, counts=(2, 5, 10), metrics=("accuracy",))
    return whole(rows, cells, decisions=decisions(cells, seeds=(0,)), confusion=None)


def multi_label():
    rows = grid(metrics=("auroc", "ece"), base=0.52)
    return whole(rows, confusion=None, differences=(), verdict=None)


def single_count():
    members = [
        row(f"single:ingredient-{i}", 0.85 + i / 200, kind="single", n=1, seed=0, subset=0)
        for i in range(6)
    ]
    rows = [*members, *grid(counts=(6,), seeds=(0,))]
    rows = [one for one in rows if one.seed != -1]
    parts = [
        replace(one, part=part, value=one.value - drop)
        for one in rows
        if one.split == "test" and one.metric == "accuracy"
        for part, drop in {"plain": -0.02, "rotated": 0.1, "inverted": 0.31}.items()
    ]
    return whole([*rows, *parts], decisions=decisions(seeds=(0,), count=6))


PARTS = ("twitter", *(f"{name}-{severity}" for name in ("noise", "blur") for severity in (3, 5)))


def shifted():
    """Views of the test split, each harder than the one before, with their differences."""
    rows = grid(counts=(2, 5, 10))
    seen = [one for one in rows if one.split == "test"]
    parts = [
        replace(
            one,
            part=part,
            **{end: getattr(one, end) - 0.04 * place for end in ("value", "low", "high")},
        )
        for place, part in enumerate(PARTS)
        for one in seen
    ]
    pairs = [
        Difference(
            "logits-ensemble",
            other,
            Interval(0.01 * k, 0.01 * k - 0.006, 0.01 * k + 0.006),
            n,
            part,
        )
        for n in (2, 10)
        for k, part in enumerate(("all", *PARTS))
        for other in ("greedy-soup", "uniform-soup", "single-best")
    ]
    return whole([*rows, *parts], differences=tuple(pairs))


def many_methods():
    return whole(grid(methods=MANY))


LONG = "a-vision-transformer-with-an-endless-name/checkpoint-2024-11-24-very-final-v{}.safetensors"


def long_names():
    methods = METHODS | {
        f"task-arithmetic-with-scale-0.{i}-and-more-words": "merge" for i in (1, 2)
    }
    cells = tuple(
        (LONG.format(i), "a data set whose name is a whole sentence, too") for i in (1, 2)
    )
    return whole(
        grid(methods=methods, cells=cells),
        cells=cells,
        decisions=decisions(cells, seeds=(0,), name=LONG),
        confusion=confusion([f"class number {i} with a long name" for i in range(30)]),
    )


SCENARIOS = {
    "whole": whole,
    "sweep": sweep,
    "multi-label": multi_label,
    "single-count": single_count,
    "many-methods": many_methods,
    "long-names": long_names,
    "shifted": shifted,
}
