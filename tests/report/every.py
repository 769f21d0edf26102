"""A small result of every kind of page, with whatever names it has to bear."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

import torch

from stockpot.evaluation import Attempt
from stockpot.evaluation.results.comparison import ALL_TASKS
from stockpot.evaluation.results.intervals import Difference, Interval
from stockpot.federated import Outcome, Round, Trace
from stockpot.federated.rounds.messages import Dropped, Score
from stockpot.studies import Backdoor, Conflicts, Scopes, diagnose
from stockpot.studies.connectivity.result import ConnectivityResult, Plane, WeightPath
from stockpot.studies.interference.result import InterferenceResult, Pair, Spectrum
from stockpot.studies.interference.result import Point as RankPoint
from stockpot.studies.interference.rowspaces import PLACES
from stockpot.studies.magnitude.result import (
    ENSEMBLE,
    SOUP,
    BatchPoint,
    Bound,
    MagnitudeResult,
    MomentRow,
    Overflow,
    Point,
)
from stockpot.studies.protocol.result import GAP, Choice, ProtocolPoint, ProtocolResult
from stockpot.training import Scope

from ..studies.results import features, template_result
from .making import confusion, costs, decisions, grid, row, whole

PLAIN = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta")
HOSTILE = (
    "<script>console.error('ran')</script>",
    "<img src=x onerror=console.error('ran')>\"'&$x^2$ $\\frac",
    "n" * 300,
    "safe\u202egnp.exe\u2066",
    "אבג 12 דה ",
    "two\nlines\tand \x00\x1b[31m a tab",
    "</td></table></svg><!-- </style> {{ 7 * 7 }} javascript:",
)


def states(names: Sequence[str], count: int = 3, shape: Sequence[int] = (5, 4)):
    """Models with a tensor of each name, and what they come from."""
    made = torch.Generator().manual_seed(0)
    base = {name: torch.randn(*shape, generator=made) for name in names}
    models = [
        {name: one + 0.1 * k * torch.randn(*shape, generator=made) for name, one in base.items()}
        for k in range(1, count + 1)
    ]
    return models, base


def of_conflicts(names=PLAIN):
    models, base = states(names)
    return Conflicts()(models, base=base, names=names[:3])


def of_backdoor(names=PLAIN):
    models, base = states(names, count=4, shape=(12, 12))
    return Backdoor()(models, base=base, names=names[:4])


def of_diagnosis(names=PLAIN):
    models, base = states(names, count=5, shape=(12, 12))
    return diagnose(models, base=base, names=names[:5])


def of_scopes(names=PLAIN):
    models, base = states(names)
    return Scopes()(models, base=base, names=names[:3])


def of_interference(names=PLAIN):
    tasks, ranks, centres = tuple(names[:3]), (0.08, 0.5, 1.0), ("average", "base")
    each = [(centre, rank) for centre in centres for rank in ranks]
    points = tuple(
        RankPoint(
            tensor=tensor, rows=5, columns=4, centre=centre, rank=rank, count=2,
            interference=rank + k / 10, residual=1 - rank, relative=1 - rank, overlap=rank,
        )
        for centre, rank in each for k, tensor in enumerate(("all", *names[3:]))
    )  # fmt: skip
    pairs = tuple(
        Pair(
            centre=centre, rank=rank, one=one, other=other, interference=rank, overlap=rank / 2,
        )
        for centre, rank in each for one, other in combinations(tasks, 2)
    )  # fmt: skip
    spectra = tuple(
        Spectrum(
            tensor=tensor, centre=centre, task=task, norm=1.0, effective_rank=2.0, full_rank=4,
            values=tuple(1 - place for place in PLACES),
        )
        for centre in centres for tensor in names[3:] for task in tasks
    )  # fmt: skip
    return InterferenceResult(
        title=names[0],
        tasks=tasks,
        centres=centres,
        ranks=ranks,
        points=points,
        pairs=pairs,
        spectra=spectra,
        facts=((names[5], names[6]),),
    )


def of_connectivity(names=PLAIN):
    at = (0.0, 0.5, 1.0)
    paths = tuple(
        WeightPath(
            cell=names[0], pool=pool, one=names[1], other=names[2 + k], way=way,
            statistics="interpolated", split=split, at=at,
            loss=(0.2, 0.5 + 0.1 * k + 0.02 * pool, 0.3), accuracy=(0.9, 0.7, 0.8),
        )
        for pool in (0, 1) for k in (0, 1) for way in ("line", "bezier")
        for split in ("train", "test")
    )  # fmt: skip
    places = (-0.5, 0.0, 0.5, 1.0, 1.5)
    loss = tuple(tuple(0.2 + (u - 0.3) ** 2 + (v - 0.4) ** 2 for u in places) for v in places)
    planes = tuple(
        Plane(
            cell=names[0], pool=0, models=tuple(names[1:4]), statistics="interpolated", split=split,
            places=places, corners=((0.0, 0.0), (1.0, 0.0), (0.4, 0.9)), loss=loss,
            accuracy=tuple(tuple(1 - 0.2 * one for one in line) for line in loss),
        )
        for split in ("train", "test")
    )  # fmt: skip
    return ConnectivityResult(
        title=names[4], paths=paths, planes=planes, facts=((names[5], names[6]),)
    )


def of_magnitude(names=PLAIN):
    sizes, gap = (1.0, 1e3, 1e6), f"{SOUP} - {ENSEMBLE}"
    how = {"everything": ("float32", "carried"), "noise": ("float32",)}

    def point(perturbation, arithmetic, n, size, method, scoring, accuracy):
        lost = 0.5 * (arithmetic == "float32" and size > 1e5)
        return Point(
            perturbation=perturbation, arithmetic=arithmetic, n=n, size=size, method=method,
            scoring=scoring, accuracy=accuracy - lost, low=accuracy - lost - 0.02,
            high=accuracy - lost + 0.02, non_finite=lost,
        )  # fmt: skip

    methods = (
        *("single-mean", SOUP, "greedy-soup", ENSEMBLE, "features-ensemble"),
        *("features-ensemble-first-head", "greedy-logits-ensemble", "greedy-features-ensemble"),
    )
    cases = [
        (name, arithmetic, n, size, scoring)
        for name, several in how.items()
        for arithmetic in several
        for n in (2, 3)
        for size in sizes
        for scoring in ("wrong", "published")
    ]
    bounds = tuple(
        Bound(
            of=of, layer=layer, norm=1.0, norm_bound=10.0**layer, spectral_bound=5.0,
            constant=0.1, variance=0.5, variance_bound=9.0,
        )
        for of in ("single", "soup") for layer in (1, 2)
    )  # fmt: skip
    return MagnitudeResult(
        title=names[0],
        pools=(0, 1),
        counts=(2, 3),
        perturbations=tuple((name, names[3]) for name in how),
        axes=(("everything", "factor M"), ("noise", "noise")),
        points=tuple(
            point(*case[:4], method, case[4], 0.8 + 0.01 * k)
            for case in cases
            for k, method in enumerate(methods)
        ),
        gaps=tuple(point(*case[:4], gap, case[4], -0.02) for case in cases),
        batches=tuple(
            BatchPoint(pool=0, size=size, batch=k, soup=0.8 + 0.01 * k, ensemble=0.81)
            for size in sizes
            for k in range(4)
        ),
        overflows=tuple(
            Overflow(
                pool=pool, of=of, predicted=9e5, observed=8e5 if of != "ensemble" else math.nan
            )
            for pool in (0, 1)
            for of in ("single", "soup", "ensemble")
        ),
        moments=tuple(
            MomentRow(tensor=tensor, quantity=quantity, value=0.7, low=0.6, high=math.nan)
            for tensor in ("all", *names[:4])
            for quantity in (
                *("maximum_of_average", "of_average", "of_all", "delta_of_all", "covariance"),
            )
        ),
        bounds=bounds,
        facts=((names[5], names[6]),),
    )


def of_protocol(names=PLAIN):
    protocols = ("ours", "leaked-split", "published")
    columns = ("single-mean", "uniform-soup", "logits-ensemble", names[0], GAP)
    points = tuple(
        ProtocolPoint(
            protocol=protocol, n=n, method=method, accuracy=0.8, low=0.78, high=0.82,
            difference=0.01 * k, difference_low=0.01 * k - 0.005, difference_high=0.01 * k + 0.005,
        )
        for k, protocol in enumerate(protocols) for n in (2, 3) for method in columns
    )  # fmt: skip
    choices = tuple(
        Choice(protocol=protocol, n=n, members=1.5, selection=0.9, test=0.88)
        for protocol in protocols
        for n in (2, 3)
    )
    return ProtocolResult(
        title=names[1],
        pools=(0, 1),
        counts=(2, 3),
        protocols=tuple((protocol, names[2 + k]) for k, protocol in enumerate(protocols)),
        points=points,
        choices=choices,
        facts=((names[5], names[6]),),
    )


def of_templates(names=PLAIN):
    found = template_result(decays=(0.0, 0.1), classes=4, seeds=(0, 1), cell=names[4])
    pictures = tuple(replace(one, names=tuple(names[:4])) for one in found.pictures)
    return replace(found, title=names[0], pictures=pictures, facts=((names[5], names[6]),))


def of_features(names=PLAIN):
    found = features(cells=(names[0], names[2]), seeds=(0, 1), layers=5)
    rows = tuple(replace(one, layer=names[one.place]) for one in found.rows)
    return replace(found, title=names[1], rows=rows, facts=((names[5], names[6]),))


def of_federation(names=PLAIN):
    def one(number, run, seed):
        return Round(
            number=number,
            participants=(0, 1),
            dropped=(Dropped(client=1, reason=names[3]),) if number == 2 else (),
            note=names[4] if number == 1 else "",
            sent_down=1000,
            sent_up=1000 * (1 + run),
            scopes={names[5]: Scope(0.0, 0.1 + 0.01 * number)},
            scores=tuple(
                Score(client=c, right=50 + 5 * number + seed + run, count=100) for c in (0, 1)
            ),
        )

    traces = tuple(
        Trace(
            alpha=alpha, run=names[run], seed=seed,
            rounds=tuple(one(number, run, seed) for number in range(4)),
        )
        for alpha in (0.1, 1.0) for run in range(3) for seed in (0, 1)
    )  # fmt: skip
    return Outcome(
        title=names[6], traces=traces, facts=((names[5], names[6]),), experiment={"x": names[0]}
    )


def of_comparison(names=PLAIN):
    methods = {"single-mean": "single", "uniform-soup": "merge", ENSEMBLE: "ensemble"}
    methods |= {names[0]: "merge", f"weave(method={names[1]}, grid=(0.1, 0.2))": "merge"}
    rows = grid(methods=methods, counts=(2, 4), metrics=("accuracy", "nll"), seeds=(0, 1))
    seen = [replace(one, part=names[4]) for one in rows if one.split == "test"]
    pairs = tuple(
        Difference(ENSEMBLE, other, Interval(0.01, -0.01, 0.02), 4, part)
        for other in ("uniform-soup", names[0])
        for part in ("all", names[4])
    )
    found = whole(
        [*rows, *seen],
        differences=pairs,
        decisions=decisions(seeds=(0,), count=3, name=names[2] + "-{}"),
        confusion=confusion(names),
        facts=((names[5], names[6]),),
        conclusion=names[3],
    )
    return replace(found, title=names[6])


def of_cells(names=PLAIN):
    cells = tuple((network, data) for network in names[:2] for data in names[2:4])
    rows = grid(
        methods={"single-mean": "single", "uniform-soup": "merge", ENSEMBLE: "ensemble"},
        counts=(2, 4),
        metrics=("accuracy",),
        cells=cells,
        seeds=(0,),
    )
    return whole(rows, cells, decisions=(), confusion=None, costs=costs(rows))


def of_tasks(names=PLAIN):
    methods = {"individual": "single", "uniform-soup": "merge"}
    methods |= {f"task-arithmetic(scale={s})": "merge" for s in (0.2, 0.5, 1.0)}
    rows = [
        row(
            method, 0.5 + 0.02 * k + 0.05 * t, kind=kind, n=3, data=data, metric=metric, split=split
        )
        for metric in ("accuracy", "normalised accuracy")
        for split in ("test", "selection")
        for t, data in enumerate((ALL_TASKS, *names[:3]))
        for k, (method, kind) in enumerate(methods.items())
    ]
    return whole(rows, confusion=None, decisions=(), costs=(), verdict=None, differences=())


def of_search(names=PLAIN):
    attempts = tuple(
        Attempt(
            method=names[0], number=k, origin="uniform-soup" if k == 0 else "tpe",
            score=-math.inf if k == 3 else 0.5 + 0.01 * k, leads=k != 3,
            values=(("scale", 0.1 * k), (names[1], names[k]), ("vote", None)),
            problem=names[5] if k == 3 else "",
        )
        for k in range(5)
    )  # fmt: skip
    rows = grid(methods={"searched": "merge", "uniform-soup": "merge"}, counts=(2,), seeds=(0,))
    return whole(rows, attempts=attempts, confusion=None, decisions=(), differences=())


EVERY = {
    "backdoor": of_backdoor,
    "conflicts": of_conflicts,
    "diagnosis": of_diagnosis,
    "scopes": of_scopes,
    "interference": of_interference,
    "connectivity": of_connectivity,
    "magnitude": of_magnitude,
    "protocol": of_protocol,
    "templates": of_templates,
    "weights-features": of_features,
    "federation": of_federation,
    "comparison": of_comparison,
    "cells": of_cells,
    "tasks": of_tasks,
    "search": of_search,
}
"""Makers by name; a kind of comparison each, where they are not named as in `KINDS`."""
