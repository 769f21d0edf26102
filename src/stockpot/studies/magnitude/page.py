"""The page of the study of magnitude."""

import math
from collections.abc import Callable, Iterator
from typing import Any

from ...evaluation.results.intervals import Interval
from ...pages.drawing import draw
from ...pages.page import Page, Section
from ...pages.tables import Column, Entry, Table, count, interval, keyed, number, table, words
from .figures import (
    disturbances,
    plot_batches,
    plot_bounds,
    plot_curves,
    plot_disturbed,
    plot_lost,
    plot_soup_gap,
    plot_variance,
    widest,
)
from .result import ALL, ENSEMBLE, SOUP, MagnitudeResult, Point, Scoring

PAPER = (
    ("single-mean", "xM Perf"),
    ("uniform-soup", "Uni"),
    ("greedy-soup", "Grd"),
    ("logits-ensemble", "EnsLgt"),
    ("features-ensemble", "EnsFts"),
    ("features-ensemble-first-head", "EnsFts*"),
    ("greedy-logits-ensemble", "GrdEnsLgt"),
    ("greedy-features-ensemble", "GrdEnsFts"),
)
"""The columns of the paper's Table 10, with its names; its first, PerfAve, is xM Perf at M = 1."""

_QUANTITIES = {
    "maximum_of_average": "largest entry of the average of two, over M*",
    "bound": "mean of both largest entries, over M* (equation 10)",
    "covariance": "covariance of two, over their variance",
    "of_average": "variance of the average of two, over theirs (equation 13: 1/2)",
    "below_larger": "pairs whose average varies less than the larger (equation 14)",
    "of_all": "variance of the average of all, over theirs",
    "delta_covariance": "covariance since the start, over its variance",
    "delta_of_all": "variance of the average since the start, over theirs",
}


def page(result: MagnitudeResult) -> Page:
    """What the page says: what was found, tables, figures."""
    gaps, terms = tuple(_gaps(result)), tuple(_terms(result))
    shown = 2 if "everything" in dict(result.perturbations) else 1
    return Page(
        title=result.title,
        sentences=result.sentences,
        sections=(
            Section("results", "Results", tuple(_results(result)), tuple(_disturbed(result))),
            Section("differences", "Soup less ensemble", gaps[:shown], gaps[shown:]),
            Section("parts", "Overflow, variance, bounds", terms[:2], terms[2:]),
        ),
        drawings=[
            draw(plot(result), name=name, title=title, caption=caption)
            for name, title, plot, caption in _figures(result)
        ],
        facts=result.facts,
        measured=_measured(result),
    )


Shown = tuple[str, str, Scoring, str]
Figure = tuple[str, str, Callable[[MagnitudeResult], Any], str]


def _figures(result: MagnitudeResult) -> Iterator[Figure]:
    if "everything" in dict(result.perturbations):
        yield from _published(result)
    if disturbances(result):
        yield (
            "disturbed",
            "Other ways to disturb ingredients",
            plot_disturbed,
            f"{_worst(result)} Rescaling and temperature change one ingredient in ways that it "
            "does not notice itself; noise is drawn anew for each, so averages of many have less.",
        )
    if result.moments:
        half = result.moment("of_average").value
        yield (
            "variance",
            "Variance of weights before and after averaging",
            plot_variance,
            f"The average of two keeps {100 * half:.1f}% of the variance, because ingredients that "
            "share a start are nearly the same; only what they learned since is apart.",
        )
    if result.bounds:
        last = [one for one in result.bounds if one.of == "single"][-1]
        yield (
            "bounds",
            "Equations 15 and 16 against measurements",
            plot_bounds,
            f"At layer {last.layer} the first is 10^{math.log10(last.norm_bound / last.norm):.0f} "
            f"and the second 10^{math.log10(last.variance_bound / last.variance):.0f} times what "
            "is measured, for soups hardly less than for single networks.",
        )


def _published(result: MagnitudeResult) -> Iterator[Figure]:
    best, n = widest(result), result.counts[-1]
    exact = result.line("everything", result.exact, n, f"{SOUP} - {ENSEMBLE}")
    same = next(p for p in exact if p.size == best.size)
    marked = "The dashed line is where the norms of the layers say that float32 is full."
    lost = {
        words: _at(result, "float32", n, name, best.size, "wrong").non_finite
        for name, words in (
            (ENSEMBLE, "the ensemble's"),
            ("single-mean", "single networks'"),
            (SOUP, "the soup's"),
        )
    }
    shares = ", ".join(f"{100 * share:.0f}% of {words}" for words, share in lost.items())
    yield (
        "curves",
        "Accuracy against the factor",
        plot_curves,
        f"Left and middle, float32. Right, where nothing overflows: beyond M = 1 no column moves "
        f"by more than {100 * _moves(result):.1f} points. Dotted is the single networks' mean at "
        f"M = 1. {marked}",
    )
    yield (
        "lost",
        "Outputs that are not finite",
        plot_lost,
        f"At M = {best.size:.4g} float32 has lost {shares} outputs. An ensemble loses a sample as "
        f"soon as one member does. {marked}",
    )
    yield (
        "gap",
        "The gap of soup and ensemble",
        plot_soup_gap,
        f"As published the gap of {n} peaks at {100 * best.accuracy:+.1f} points, at "
        f"M = {best.size:.4g}; there it is {100 * same.accuracy:+.1f} points where nothing "
        "overflows. Bands are 95% intervals.",
    )
    yield "batches", "Soup against ensemble, batch by batch", plot_batches, _by_batch(result)


def _moves(result: MagnitudeResult) -> float:
    """The most that any column changes in exact arithmetic from one factor above 1 to another."""
    lines = [
        result.line("everything", result.exact, result.counts[-1], name)[1:] for name, _ in PAPER
    ]
    values = [[p.accuracy for p in line] for line in lines if line]
    return max((max(one) - min(one) for one in values), default=0.0)


def _by_batch(result: MagnitudeResult) -> str:
    """How many batches lie on the soup's side, with and without lost outputs."""
    line = result.line("everything", "float32", result.counts[-1], ENSEMBLE)
    said: list[str] = []
    for which, lost in (("no output is lost", False), ("some are", True)):
        sizes = {p.size for p in line if (p.non_finite > 0) is lost}
        seen = [b for b in result.batches if b.size in sizes]
        if seen:
            share = sum(b.soup > b.ensemble for b in seen) / len(seen)
            said.append(f"{100 * share:.0f}% where {which}")
    return (
        "Above the dotted line the ensemble is ahead, below it the soup: of the batches "
        f"{' and '.join(said)}."
    )


def _worst(result: MagnitudeResult) -> str:
    """Where the soup gains and loses most against the ensemble, in words."""
    gap = f"{SOUP} - {ENSEMBLE}"
    fair = [name for name in disturbances(result) if name in ("rescaling", "noise", "temperature")]
    if not fair:
        return ""
    said: list[str] = []
    for name in fair:
        line = result.line(name, "float32", result.counts[-1], gap)
        best = max(line, key=lambda p: p.accuracy)
        said.append(f"{name} {100 * best.accuracy:+.1f} points")
    return f"Soup less ensemble, at most: {', '.join(said)}."


def _measured(result: MagnitudeResult) -> list[str]:
    return [
        "Every ingredient is disturbed, then merged and ensembled. Weights, biases and buffers "
        "times M give logits of about M^depth; soup(M θ) = M soup(θ).",
        "As published an output with NaN has the class of the first NaN, which torch.max takes for "
        "the largest number; elsewhere an output that is not finite is wrong.",
        "Carried exponents: each sample's activations are kept as v 2^e with |v| at most 1, so "
        "nothing overflows, and rounding is float64's.",
        "Greedy members are chosen once, at M = 1, on the selection split.",
        "Intervals are 95%, over samples of the test split"
        + (", and pools." if len(result.pools) > 1 else "; one pool says nothing of other seeds."),
        *(f"{name}: {words}." for name, words in result.perturbations),
    ]


def _results(result: MagnitudeResult) -> Iterator[Table]:
    if "everything" not in dict(result.perturbations):
        return
    size = widest(result).size
    yield _by_count(result, size, "float32", "published", "float32 as published")
    yield _by_count(result, size, result.exact, "wrong", f"exact ({result.exact})")
    yield _by_size(result, "everything", "float32", "published", "float32 as published")


def _disturbed(result: MagnitudeResult) -> Iterator[Table]:
    names = dict(result.perturbations)
    if "everything" in names:
        yield _by_size(result, "everything", "float32", "wrong", "float32, not finite is wrong")
        yield _by_size(result, "everything", result.exact, "wrong", f"exact ({result.exact})")
    for name in disturbances(result):
        yield _by_size(result, name, "float32", "wrong", f"{name}, float32, not finite is wrong")


def _by_count(
    result: MagnitudeResult, size: float, arithmetic: str, scoring: Scoring, how: str
) -> Table:
    """The paper's Table 10."""

    def at(method: str, size: float) -> Callable[[int], Point]:
        return lambda n: _at(result, arithmetic, n, method, size, scoring)

    start = result.line("everything", arithmetic, result.counts[0], "single-mean", scoring)[0].size
    title = f"Accuracy at M = {size:.4g}, {how}"
    return table(
        title,
        f"{title}: percent, and the share of outputs that are not finite.",
        result.counts,
        count("n", lambda n: n),
        _accuracy("single-mean, M = 1", at("single-mean", start), "PerfAve"),
        *(_accuracy(name, at(name, size), theirs) for name, theirs in PAPER),
    )


def _by_size(
    result: MagnitudeResult, perturbation: str, arithmetic: str, scoring: Scoring, how: str
) -> Table:
    n = result.counts[-1]
    lines = {name: result.line(perturbation, arithmetic, n, name, scoring) for name, _ in PAPER}
    sizes = [p.size for p in lines["single-mean"]]

    def at(method: str) -> Callable[[int], Point]:
        return lambda place: lines[method][place]

    axis = dict(result.axes)[perturbation]
    title = f"Accuracy of {n} by {axis}, {how}"
    return table(
        title,
        f"{title}: percent, and the share of outputs that are not finite.",
        range(len(sizes)),
        keyed(axis, lambda place: sizes[place], "{:.4g}".format),
        *(_accuracy(name, at(name), theirs) for name, theirs in PAPER),
    )


def _accuracy(heading: str, point: Callable[[int], Point], detail: str) -> Column[int]:
    """In percent, and under it what is lost."""

    def cell(row: int) -> Entry:
        found = point(row)
        lost = f"{100 * found.non_finite:.0f}% lost" if found.non_finite else ""
        return Entry(f"{100 * found.accuracy:.1f}", lost, found.accuracy)

    return Column(heading, cell, detail)


def _gaps(result: MagnitudeResult) -> Iterator[Table]:
    gap = f"{SOUP} - {ENSEMBLE}"
    shown: list[Shown] = []
    if "everything" in dict(result.perturbations):
        shown.append(("everything", "float32", "published", "float32 as published"))
        shown.append(("everything", result.exact, "wrong", f"exact ({result.exact})"))
    for name in disturbances(result):
        shown.append((name, "float32", "wrong", name))
    for perturbation, arithmetic, scoring, how in shown:
        lines = [result.line(perturbation, arithmetic, n, gap, scoring) for n in result.counts]
        yield table(
            f"Uniform soup less logits ensemble, {how}",
            f"Uniform soup less logits ensemble, points, {how}; 95% intervals.",
            list(zip(*lines, strict=True)),
            keyed(dict(result.axes)[perturbation], lambda same: same[0].size, "{:.4g}".format),
            *(_gap(f"n = {n}", place) for place, n in enumerate(result.counts)),
        )


def _gap(heading: str, place: int) -> Column[tuple[Point, ...]]:
    def span(same: tuple[Point, ...]) -> Interval:
        return Interval(same[place].accuracy, same[place].low, same[place].high)

    return interval(heading, span, 1, 100, "+")


def _terms(result: MagnitudeResult) -> Iterator[Table]:
    caption = (
        "Where float32 is full: predicted from the norms of the layers, and where half of the "
        "samples have lost their class. Of ensembles: the first member."
    )
    yield table(
        "Overflow",
        caption,
        result.overflows,
        count("pool", lambda one: one.pool),
        words("network", lambda one: one.of),
        number("predicted M", lambda one: one.predicted, 4),
        number("observed M", lambda one: one.observed, 4),
    )
    yield table(
        "Terms",
        "Equations 9 to 14, means over pairs of ingredients and over tensors, in percent.",
        [one for one in result.moments if one.tensor == ALL and one.quantity in _QUANTITIES],
        words("quantity", lambda one: _QUANTITIES[one.quantity]),
        interval("measured, %", lambda one: Interval(one.value, one.low, one.high), 1, 100),
    )
    if result.bounds:
        yield table(
            "Bounds",
            "Equations 15 and 16 at every layer, geometric means over pools.",
            result.bounds,
            count("layer", lambda one: one.layer),
            words("network", lambda one: one.of),
            number("|h|/|x|", lambda one: one.norm, 4),
            number("eq. 15, C = 1", lambda one: one.norm_bound, 4),
            number("spectral", lambda one: one.spectral_bound, 4),
            number("C enough", lambda one: one.constant, 4),
            number("variance", lambda one: one.variance, 4),
            number("eq. 16", lambda one: one.variance_bound, 4),
        )


def _at(
    result: MagnitudeResult, arithmetic: str, n: int, method: str, size: float, scoring: Scoring
) -> Point:
    line = result.line("everything", arithmetic, n, method, scoring)
    return next(p for p in line if p.size == size)
