"""The page of a diagnosis: the verdict first."""

import math
from collections.abc import Callable, Iterator
from typing import Any

from ...pages.drawing import Drawing, draw
from ...pages.page import Page, Section
from ...pages.tables import EMPTY, Entry, Table
from ...pages.units import readable
from ..scopes.page import MOST, number
from .figures import plot_kinship, plot_prospects, plot_spreads
from .result import DiagnosisResult


def diagnosis_page(result: DiagnosisResult) -> Page:
    """What the page says: verdict, reasons, steps, tables, figures."""
    first = tuple(filter(None, (_steps(result), _prospects(result), _models(result))))
    folded = tuple(filter(None, (_others(result), _pairs(result), _layers(result))))
    return Page(
        title=result.title,
        choice=readable(result.verdict),
        sentences=result.reasons,
        sections=(
            Section("results", "Results", first, folded),
            Section("differences", "Tensors that differ", _differences(result)),
        ),
        drawings=tuple(_drawings(result)),
        facts=result.facts,
        measured=_measured(result),
    )


def _drawings(result: DiagnosisResult) -> Iterator[Drawing]:
    if any(one.forecast for one in result.prospects):
        yield _draw(
            result, "prospects", "What each method is expected to give", plot_prospects,
            _best(result),
        )  # fmt: skip
    if result.layers:
        yield _draw(result, "kinship", "One start or several", plot_kinship, _kin(result))
        yield _draw(result, "spreads", "Scopes of layers", plot_spreads, _wide(result))


def _draw(
    result: DiagnosisResult,
    name: str,
    title: str,
    plot: Callable[[DiagnosisResult], Any],
    caption: str,
) -> Drawing:
    return draw(plot(result), name=name, title=title, caption=readable(caption))


def _best(result: DiagnosisResult) -> str:
    known = [one for one in result.prospects if one.forecast]
    best = max(known, key=lambda one: one.quality)
    gone = sum(not one.fits for one in known)
    interval = f"[{best.low:.2f}, {best.high:.2f}]"
    said = f"{best.method} has the best forecast, {best.quality:.2f} {interval}."
    return said + (f" {gone} of {len(known)}, in grey, are not advised here." if gone else "")


def _kin(result: DiagnosisResult) -> str:
    same = sum(one.same for one in result.pairs)
    if result.origin == "unknown":
        return "Too little could be compared to say whether models come from one start."
    low = [one for one in result.pairs if math.isfinite(one.lowest)]
    said = f"{same} of {len(result.pairs)} pairs come from one start."
    if not low:
        return said
    least = min(low, key=lambda one: one.lowest)
    return (
        f"{said} Least alike is '{least.lowest_tensor}' of {least.one} and {least.other} with "
        f"{least.lowest:.3f}."
    )


def _wide(result: DiagnosisResult) -> str:
    if flat := [one for one in result.scopes if not math.isfinite(one.ratio)]:
        return f"In '{flat[0].tensor}' one model has no spread at all."
    worst = max(result.scopes, key=lambda one: one.ratio)
    return f"Models differ most in '{worst.tensor}', by a factor of {worst.ratio:.3g}."


def _steps(result: DiagnosisResult) -> Table | None:
    lines = tuple(
        (
            Entry(str(number_), key=number_),
            Entry(readable(one.said), readable(one.command)),
        )
        for number_, one in enumerate(result.steps, 1)
    )
    caption = "What to do, in this order."
    return (
        Table("Steps", caption, (Entry("step"), Entry("what")), lines, names=2) if lines else None
    )


def _prospects(result: DiagnosisResult) -> Table | None:
    lines = tuple(
        (
            Entry(one.method, "statistics estimated again" if one.mended else ""),
            Entry(f"{one.quality:.3f}", f"[{one.low:.3f}, {one.high:.3f}]", key=one.quality),
            Entry(readable(one.reason or "fits")),
        )
        for one in result.prospects
        if one.forecast
    )
    caption = (
        "Quality is the score above chance over that of the models' mean: 1 is as good as one of "
        f"them. {result.forecast}"
    )
    headings = (Entry("method"), Entry("forecast quality"), Entry(""))
    return Table("Methods", readable(caption), headings, lines) if lines else None


def _others(result: DiagnosisResult) -> Table | None:
    lines = tuple(
        (Entry(one.method), Entry(readable(one.reason or "fits")))
        for one in result.prospects
        if not one.forecast
    )
    caption = "Whether a method can be used on these models; nothing is forecast of these."
    if not any(one.forecast for one in result.prospects):
        caption = f"{caption} {result.forecast}".rstrip()
    headings = (Entry("method"), Entry(""))
    return (
        Table("Methods without a forecast", readable(caption), headings, lines) if lines else None
    )


def _models(result: DiagnosisResult) -> Table:
    scored = result.gradients.models if result.gradients else ()
    more = ("loss", "accuracy, %", "gradient") if scored else ()
    headings = map(Entry, ("model", "origin", "moved, %", "scale", "distance", "outlier", *more))
    lines = tuple(
        (
            Entry(readable(one.name)),
            EMPTY if result.origin == "unknown" else number(one.origin, 3),
            number(100 * one.moved, 3),
            number(one.scale, 3),
            number(one.far, 3),
            Entry(readable("; ".join(one.why))) if one.why else EMPTY,
            *(
                (
                    number(scored[k].loss, 3),
                    number(100 * scored[k].accuracy, 3),
                    number(scored[k].gradient, 3),
                )
                if scored
                else ()
            ),
        )
        for k, one in enumerate(result.models)
    )
    caption = (
        "Models of one origin come from one start; a dash is not known. Moved is the distance from "
        "the base, else from the mean, over the length of the model; scale the standard deviation "
        "of weights over the others'; distance that from the others' mean, 1 where all are alike."
    )
    return Table("Models", caption, tuple(headings), lines)


def _pairs(result: DiagnosisResult) -> Table:
    lines = tuple(
        (
            Entry(readable(one.one)),
            Entry(readable(one.other)),
            Entry(("yes" if one.same else "no") if one.known else "not known"),
            number(one.correlation, 4),
            number(one.lowest, 4),
            number(one.alike, 6),
            number(len(one.unlike), 6),
            number(one.frozen, 6),
        )
        for one in (*result.pairs, *result.bases)[:MOST]
    )
    headings = map(
        Entry,
        ("model", "other", "one start", "correlation", "lowest", "alike", "unlike", "copies"),
    )
    caption = (
        "Correlation: median over layers, and of the layer that is least alike; layers by what "
        "they say. One start: by the layers that were compared."
    )
    return Table("Every pair", caption, tuple(headings), lines, names=2)


def _layers(result: DiagnosisResult) -> Table:
    ratios = {one.tensor: one.ratio for one in result.scopes}
    lines = tuple(
        (
            Entry(readable(one.tensor)),
            Entry(one.role),
            number(one.entries, 12),
            number(min(_off_diagonal(one.correlations), default=math.nan), 4),
            number(ratios.get(one.tensor, math.nan), 4),
        )
        for one in result.layers[:MOST]
    )
    headings = map(
        Entry, ("layer", "role", "entries", "lowest correlation", "largest over smallest σ")
    )
    caption = "Every layer that has a say, over all pairs of models."
    return Table("Every layer", caption, tuple(headings), lines)


def _off_diagonal(matrix: tuple[tuple[float, ...], ...]) -> list[float]:
    return [value for i, row in enumerate(matrix) for value in row[:i] if math.isfinite(value)]


def _differences(result: DiagnosisResult) -> tuple[Table, ...]:
    every = result.architecture.differences
    if not every:
        return ()
    lines = tuple((Entry(readable(one.tensor)), Entry(readable(one.said))) for one in every[:MOST])
    caption = f"{len(every)} tensors are not alike in all models."
    return (Table("Differences", caption, (Entry("tensor"), Entry("what")), lines),)


def _measured(result: DiagnosisResult) -> list[str]:
    looked = (
        "Everything is told from weights, read once; nothing was merged and no sample looked at."
        if result.gradients is None
        else "Origins, scales and forecasts are told from weights, read once; losses and gradients "
        f"from {result.gradients.samples} samples of the {result.gradients.split}."
    )
    said = [
        looked,
        "The correlation of two layers is the cosine of their entries less their means. Layers of "
        "unrelated networks have about 1 / sqrt(entries); biases, norms and tensors that are the "
        "same in two models have no say in where these come from.",
        result.compared.said,
        "Of one start or several nothing is said where the layers that tell it have less than half "
        "of the parameters of the largest model.",
        "An outlier is a model of another start, one with other tensors than most, one at least "
        "three times as far from the mean of the others as they are from theirs, one of at least "
        "twice or at most half their scale, or a damaged one.",
    ]
    if any(one.forecast for one in result.prospects):
        said.append(
            "A forecast is no measurement: compare the merge with the models on data before it "
            "replaces them."
        )
    return said
