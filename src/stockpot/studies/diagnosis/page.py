"""The page of a diagnosis: the verdict first."""

import math
from collections.abc import Iterator, Sequence

from ...pages.figures import Figure, figure
from ...pages.page import Page, Section
from ...pages.tables import MOST, Column, Entry, R, Table, count, number, table, words
from ...pages.units import readable
from . import figures as shown
from .comparing.kinship import LayerKinship
from .result import DiagnosisResult, ModelFinding, Prospect

_SHOWN = 3
"""Methods that are shown first."""


def page(result: DiagnosisResult) -> Page:
    """What the page says: verdict, reasons, steps, tables, figures."""
    prospects = _prospects(result)
    first = (*prospects[:1], _models(result))
    folded = tuple(filter(None, (*prospects[1:], _others(result), _pairs(result), _layers(result))))
    return Page(
        title=result.title,
        choice=readable(result.verdict),
        sentences=result.reasons,
        steps=[(readable(one.said), one.command) for one in result.steps],
        sections=(
            Section("results", "Results", first, folded),
            Section("differences", "Tensors that differ", _differences(result)),
        ),
        figures=tuple(_figures(result)),
        facts=result.facts,
        measured=_measured(result),
    )


def _figures(result: DiagnosisResult) -> Iterator[Figure]:
    if any(one.forecast for one in result.prospects):
        title = "What each method is expected to give"
        yield figure("prospects", title, readable(_best(result)), shown.prospects(result))
    if result.layers:
        kin, wide = readable(_kin(result)), readable(_wide(result))
        yield figure("kinship", "One start or several", kin, shown.kinship(result))
        yield figure("spreads", "Scopes of layers", wide, shown.spreads(result))


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


def _prospects(result: DiagnosisResult) -> tuple[Table, ...]:
    """The best three, and those whose interval does not lie below the best's; then all."""
    known = [one for one in result.prospects if one.forecast]
    ranked = sorted(known, key=lambda one: (not one.fits, -one.quality))
    if not ranked:
        return ()
    shown, rest = ranked[:_SHOWN], [one for one in ranked[_SHOWN:] if one.fits]
    within = [one for one in rest if one.high >= ranked[0].low]
    said = f" {len(within)} other methods are within the noise of the best." if within else ""
    meaning = (
        "Quality is a score above chance over that of the models' mean: 1 is as good as one of "
        "the models, 0 is a guess."
    )
    caption = readable(f"{meaning}{said} {result.forecast}")
    columns: tuple[Column[Prospect], ...] = (
        words(
            "method",
            lambda one: one.method,
            lambda one: "statistics estimated again" if one.mended else "",
        ),
        Column("forecast quality", _forecast),
        words("fits these models", lambda one: one.reason or "yes"),
    )
    return (
        table("Methods", caption, shown, *columns),
        *((table("All methods", meaning, ranked, *columns),) if len(ranked) > _SHOWN else ()),
    )


def _forecast(one: Prospect) -> Entry:
    return Entry(f"{one.quality:.3f}", f"[{one.low:.3f}, {one.high:.3f}]", one.quality)


def _others(result: DiagnosisResult) -> Table | None:
    caption = "Whether a method can be used on these models; nothing is forecast of these."
    if not any(one.forecast for one in result.prospects):
        caption = f"{caption} {result.forecast}".rstrip()
    return _if_any(
        "Methods without a forecast",
        readable(caption),
        [one for one in result.prospects if not one.forecast],
        words("method", lambda one: one.method),
        words("fits these models", lambda one: one.reason or "yes"),
    )


def _if_any(
    title: str, caption: str, rows: Sequence[R], *columns: Column[R], names: int = 1
) -> Table | None:
    return table(title, caption, rows, *columns, names=names) if rows else None


def _models(result: DiagnosisResult) -> Table:
    known = result.origin != "unknown"
    caption = (
        "Models of one origin come from one start; a dash is not known. Moved is the distance from "
        "the base, else from the mean, over the length of the model; scale the standard deviation "
        "of weights over the others'; distance that from the others' mean, 1 where all are alike."
    )
    return table(
        "Models",
        caption,
        result.models,
        words("model", lambda one: one.name),
        count("origin", lambda one: one.origin if known else None),
        number("moved, %", lambda one: 100 * one.moved, 3),
        number("scale", lambda one: one.scale, 3),
        number("distance", lambda one: one.far, 3),
        words("outlier", lambda one: "; ".join(one.why) or None),
        *_scored(result),
    )


def _scored(result: DiagnosisResult) -> tuple[Column[ModelFinding], ...]:
    """What a few batches tell, where there were any."""
    if result.gradients is None:
        return ()
    scored = dict(zip(result.models, result.gradients.models, strict=True))
    return (
        number("loss", lambda one: scored[one].loss, 3),
        number("accuracy, %", lambda one: 100 * scored[one].accuracy, 3),
        number("gradient", lambda one: scored[one].gradient, 3),
    )


def _pairs(result: DiagnosisResult) -> Table:
    caption = (
        "Correlation: median over layers, and of the layer that is least alike; layers by what "
        "they say. One start: by the layers that were compared."
    )
    return table(
        "Every pair",
        caption,
        (*result.pairs, *result.bases)[:MOST],
        words("model", lambda one: one.one),
        words("other", lambda one: one.other),
        words("one start", lambda one: ("yes" if one.same else "no") if one.known else "not known"),
        number("correlation", lambda one: one.correlation, 4),
        number("lowest", lambda one: one.lowest, 4),
        number("alike", lambda one: one.alike, 6),
        number("unlike", lambda one: len(one.unlike), 6),
        number("copies", lambda one: one.frozen, 6),
        names=2,
    )


def _layers(result: DiagnosisResult) -> Table:
    ratios = {one.tensor: one.ratio for one in result.scopes}
    return table(
        "Every layer",
        "Every layer that has a say, over all pairs of models.",
        result.layers[:MOST],
        words("layer", lambda one: one.tensor),
        words("role", lambda one: one.role),
        number("entries", lambda one: one.entries, 12),
        number("lowest correlation", _lowest, 4),
        number("largest over smallest σ", lambda one: ratios.get(one.tensor, math.nan), 4),
    )


def _lowest(one: LayerKinship) -> float:
    return min(_off_diagonal(one.correlations), default=math.nan)


def _off_diagonal(matrix: tuple[tuple[float, ...], ...]) -> list[float]:
    return [value for i, row in enumerate(matrix) for value in row[:i] if math.isfinite(value)]


def _differences(result: DiagnosisResult) -> tuple[Table, ...]:
    every = result.architecture.differences
    if not every:
        return ()
    caption = f"{len(every)} tensors are not alike in all models."
    differing = table(
        "Differences",
        caption,
        every[:MOST],
        words("tensor", lambda one: one.tensor),
        words("what", lambda one: one.said),
    )
    return (differing,)


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
