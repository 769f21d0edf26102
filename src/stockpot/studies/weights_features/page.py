"""The page of the study of averaging weights against averaging features."""

import math
from collections.abc import Callable

from ...evaluation.results.intervals import Interval
from ...pages.drawing import Planned, draw_all
from ...pages.page import Page, Section
from ...pages.tables import Table, count, interval, table, words
from ...pages.units import readable
from .figures import plot_activations, plot_distance, plot_feature_variance, plot_own
from .result import ENSEMBLE, MEASURES, MERGED, SINGLE, Measure, Place, WeightsFeaturesResult

_LAST: tuple[Measure, ...] = ("cosine", "distance", "spread", "length", "variance")
_BANDS = "Bands are 95% intervals over pools."

_MOST = 3
"""Cells that a caption names."""


def _far(result: WeightsFeaturesResult) -> str:
    return _each(result, lambda cell: _last(result, cell, "distance", "of their length away"))


def _alone(result: WeightsFeaturesResult) -> str:
    def most(cell: str) -> str:
        place = result.widest(cell)
        own = result.at(cell, MERGED, place.place, "own")
        return f"{place.layer} adds most, {own.value:.3f}"

    return _each(result, most)


def _disagreeing(result: WeightsFeaturesResult) -> str:
    def mean(cell: str) -> str:
        spans = [result.at(cell, MERGED, one.place, "disagree") for one in result.places(cell)]
        values = [span.value for span in spans if math.isfinite(span.value)]
        if not values:
            return "no activation has signs to compare"
        return f"signs disagree in {100 * math.fsum(values) / len(values):.1f}% of units on average"

    return _each(result, mean)


def _varying(result: WeightsFeaturesResult) -> str:
    return _each(result, lambda cell: _last(result, cell, "variance", "of the members' variance"))


def _last(result: WeightsFeaturesResult, cell: str, measure: Measure, words: str) -> str:
    """A measure at the last features, of every variant."""
    place = result.features(cell).place
    values = {v: result.at(cell, v, place, measure).value for v in result.variants(cell)}
    said = ", ".join(f"{value:.3f} ({variant})" for variant, value in values.items())
    return f"at the last features {said} {words}"


def _each(result: WeightsFeaturesResult, say: Callable[[str], str]) -> str:
    """One finding for each cell, of the first three."""
    said = "; ".join(f"{cell}: {say(cell)}" for cell in result.cells[:_MOST])
    return f"{said}{' ...' if len(result.cells) > _MOST else ''}."


_FIGURES: tuple[Planned, ...] = (
    (
        "distance",
        "Distance from averaged features",
        plot_distance,
        _far,
        f"{_BANDS} At 0 the two averages are one. Below the dashed line the merged network is "
        "nearer to the average of the features than its members are.",
    ),
    (
        "own",
        "What each layer adds",
        plot_own,
        _alone,
        "Each layer of the merged network was given the average of its inputs. What activations "
        "add is the nonlinearity's; what layers with weights add is there in linear networks of "
        "two layers already.",
    ),
    (
        "activations",
        "Signs and losses at activations",
        plot_activations,
        _disagreeing,
        "Of pairs of members, the share of units of which one is on and the other off; and how "
        "much shorter the activation of the average is than the average of activations.",
    ),
    (
        "variance",
        "Variance of features",
        plot_feature_variance,
        _varying,
        f"{_BANDS} Falling far below 1 is collapse. Statistics of batch normalisation that are "
        "estimated again bring it back, where there are any.",
    ),
)


def page(result: WeightsFeaturesResult) -> Page:
    """What the page says: what was found, tables, figures."""
    return Page(
        title=result.title,
        sentences=result.sentences,
        sections=(
            Section(
                "results",
                "Results",
                (_ends(result), _scores(result)),
                tuple(
                    _layers(result, cell, v) for cell in result.cells for v in result.variants(cell)
                ),
            ),
        ),
        drawings=draw_all(result, _FIGURES),
        facts=result.facts,
        measured=(
            "Distance is |h - mean h_k| / |mean h_k| over all samples, with h a layer's output in "
            "the merged network and h_k in member k; cosine is of h and mean h_k, the mean over "
            "samples. A single member's distance is the root of its mean square.",
            "What a layer alone is off by: |f(mean x_k) - mean f_k(x_k)| / |mean f_k(x_k)|, f the "
            "merged network's layer and x_k what reaches it in member k. What is kept is |f(mean "
            "x_k)| / |mean f_k(x_k)|.",
            "Signs disagree where of two members one has a positive input of the activation and "
            "the other has not. Variance is over samples, within batches, summed over units.",
            "Accuracy is on the same samples of the test split; nothing was chosen on them.",
        ),
    )


def _ends(result: WeightsFeaturesResult) -> Table:
    """The last features of every cell."""

    def last(measure: Measure) -> Callable[[tuple[str, str]], Interval]:
        return lambda row: result.at(*row, result.features(row[0]).place, measure)

    headings = ("cosine", "distance", "a member's distance", "length", "variance over the members'")
    caption = (
        "The last features, which the head sees, against the average of the members'; with the "
        "95% interval over pools under each."
    )
    return table(
        "The last features",
        caption,
        [(cell, variant) for cell in result.cells for variant in result.variants(cell)],
        words("network", lambda row: row[0]),
        words("variant", lambda row: row[1]),
        *(
            interval(heading, last(measure), 3)
            for heading, measure in zip(headings, _LAST, strict=True)
        ),
    )


def _scores(result: WeightsFeaturesResult) -> Table:
    def mended(cell: str) -> Interval | None:
        variants = result.variants(cell)
        return result.score(cell, variants[1]) if len(variants) > 1 else None

    caption = (
        "Accuracy in %, single networks' mean first; the difference is from merged:bn where there "
        "is one, pool by pool."
    )
    return table(
        "Accuracy",
        caption,
        result.cells,
        words("network", lambda cell: cell),
        interval("single", lambda cell: result.score(cell, SINGLE), 1, 100),
        interval("merged", lambda cell: result.score(cell, MERGED), 1, 100),
        interval("logits ensemble", lambda cell: result.score(cell, ENSEMBLE), 1, 100),
        interval("merged:bn", mended, 1, 100),
        interval("ensemble minus merge", result.gap, 1, 100),
    )


def _layers(result: WeightsFeaturesResult, cell: str, variant: str) -> Table:
    def measure(of: Measure) -> Callable[[Place], Interval]:
        return lambda one: result.at(cell, variant, one.place, of)

    names = {"own": "off alone", "kept": "kept alone", "spread": "a member's distance"}
    title = f"Every layer of {readable(cell)}, {variant}"
    return table(
        title,
        f"{title}: means over pools.",
        result.places(cell),
        count("place", lambda one: one.place),
        words("layer", lambda one: one.layer),
        words("kind", lambda one: one.kind),
        *(interval(names.get(one, one), measure(one), 3) for one in MEASURES),
        names=2,
    )
