"""The page of the study of scopes."""

import math
from statistics import median

from ...pages.drawing import Planned, draw_all
from ...pages.page import Page, Section
from ...pages.tables import MOST, Table, number, table, words
from .figures import plot_scope_divergence, plot_scope_factors, plot_scope_normality, plot_scopes
from .result import NORMAL, ScopesResult


def _spread(result: ScopesResult) -> str:
    kept = [(one.soup / one.mean, one.tensor) for one in result.fused if one.mean]
    if not kept:
        return "All entries of every layer are one number."
    least, tensor = min(kept)
    return (
        f"The plain average keeps {100 * median(share for share, _ in kept):.1f}% of the fused "
        f"standard deviation in the median layer, and least, {100 * least:.1f}%, in {tensor}."
    )


def _factors(result: ScopesResult) -> str:
    apart = [(abs(1 / row.factor - 1), row) for row in result.rows if row.factor]
    apart = [(share, row) for share, row in apart if math.isfinite(share)]
    if not apart:
        return "No scope has a standard deviation to compare."
    share, row = max(apart, key=lambda one: one[0])
    side = "wider" if row.factor < 1 else "narrower"
    return (
        f"The median scope is {100 * median(share for share, _ in apart):.2g}% off the fused one; "
        f"furthest is {row.tensor} of {row.model}, {100 * share:.3g}% {side}."
    )


def _divergence(result: ScopesResult) -> str:
    rows = [row for row in result.rows if math.isfinite(row.kl)]
    if not rows:
        return "No scope has a finite KL."
    most = max(rows, key=lambda row: row.kl)
    return (
        f"KL is {1000 * median(row.kl for row in rows):.2g} thousandths of a nat in the median, "
        f"at most {1000 * most.kl:.3g}, in {most.tensor} of {most.model}."
    )


def _normality(result: ScopesResult) -> str:
    rows = [row for row in result.rows if math.isfinite(row.distance)]
    if not rows:
        return "No scope has a distance to a normal distribution."
    close = sum(row.distance <= NORMAL for row in rows)
    most = max(rows, key=lambda row: row.distance)
    return (
        f"{close} of {len(rows)} scopes are close to normal; furthest is {most.tensor} of "
        f"{most.model}, {100 * most.distance:.2g} points of 100."
    )


_FIGURES: tuple[Planned, ...] = (
    (
        "spread",
        "Standard deviations",
        plot_scopes,
        _spread,
        "Averaging shrinks a layer where models differ. An average that lies on the models' lines "
        "says that they share a start; one on the dotted line, that they have nothing in common.",
    ),
    (
        "factors",
        "Scopes against the fused one",
        plot_scope_factors,
        _factors,
        "Standard deviation over that of the fused scope. Rescaling divides it out; with batch "
        "norm behind a layer that changes no prediction.",
    ),
    (
        "divergence",
        "KL to the fused scope",
        plot_scope_divergence,
        _divergence,
        "What the penalty of weight scope alignment would make smaller.",
    ),
    (
        "normality",
        "Normality",
        plot_scope_normality,
        _normality,
        f"Up to {100 * NORMAL:g} points of 100 we call close to normal. Uniform weights have 5.7, "
        "weights of two values 34.",
    ),
)
_MEASURED = (
    "A scope is the mean μ and the standard deviation σ of all entries of a tensor. KL is that of "
    "N(μ, σ²) to N(μ*, σ*²), in nats. The fused scope has the mean of means and, but where said, "
    "the mean of variances. The base has no part in it.",
    "The distance to a normal distribution is Kolmogorov and Smirnov's: the largest gap between "
    "the entries' distribution function and that of N(μ, σ²), at the edges of fine bins, at most "
    "0.002 too small. Large tensors differ from normal significantly at any distance that is seen.",
    "Change is how far rescaling to the fused scope, w → μ* + (w - μ) σ*/σ, would move the weights "
    "of a layer, over their length.",
)


def page(result: ScopesResult) -> Page:
    """What the page says: what was found, tables, figures."""
    return Page(
        title=result.title,
        sentences=result.sentences,
        sections=(
            Section("results", "Results", (_models(result), _layers(result)), (_every(result),)),
        ),
        drawings=draw_all(result, _FIGURES),
        facts=result.facts,
        measured=_MEASURED,
    )


def _models(result: ScopesResult) -> Table:
    models = (*result.models, *([result.base] if result.base else []))
    rows = {model: [row for row in result.rows if row.model == model] for model in models}
    caption = (
        "Over layers: medians of the ratio of standard deviations to the fused scope's, of the "
        "distance and of the change; KL to the fused scope is the mean, and the largest."
    )
    return table(
        "Models",
        caption,
        [(model, mine) for model, mine in rows.items() if mine],
        words("model", lambda one: one[0]),
        number("σ / fused σ", lambda one: median(1 / r.factor for r in one[1] if r.factor), 4),
        number("KL", lambda one: math.fsum(row.kl for row in one[1]) / len(one[1]), 3),
        number("largest KL", lambda one: max(row.kl for row in one[1]), 3),
        number("distance to normal", lambda one: median(row.distance for row in one[1]), 3),
        number("change, %", lambda one: median(100 * row.change for row in one[1]), 3),
    )


def _layers(result: ScopesResult) -> Table:
    most: dict[str, float] = {}
    for pair in result.pairs:
        most[pair.tensor] = max(pair.kl, most.get(pair.tensor, 0.0))
    caption = (
        "The fused standard deviation by the mean of variances, and in % of it: by the mixture's "
        "variance, by that of an average of independent weights, and what the plain average of the "
        "models has. The largest KL is between two models, the mean of both directions."
    )
    return table(
        "Fused scopes by layer",
        caption,
        result.fused,
        words("layer", lambda one: one.tensor),
        number("fused σ", lambda one: one.mean, 4),
        number("mixture, %", lambda one: 100 * one.mixture / one.mean, 4),
        number("averaged, %", lambda one: 100 * one.averaged / one.mean, 4),
        number("plain average, %", lambda one: 100 * one.soup / one.mean, 4),
        number("largest KL", lambda one: most.get(one.tensor, 0.0), 3),
    )


def _every(result: ScopesResult) -> Table:
    return table(
        "Every scope",
        "Every layer of every model; KL and change to the fused scope.",
        result.rows,
        words("layer", lambda row: row.tensor),
        words("model", lambda row: row.model),
        number("μ", lambda row: row.mean, 3),
        number("σ", lambda row: row.std, 4),
        number("skewness", lambda row: row.skewness, 3),
        number("kurtosis", lambda row: row.kurtosis, 3),
        number("distance", lambda row: row.distance, 3),
        number("KL", lambda row: row.kl, 3),
        number("change, %", lambda row: 100 * row.change, 3),
        names=2,
        most=MOST,
    )
