"""What a diagnosis holds: a frozen result, with what is said of it computed from its numbers."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from ...checkpoints.lineage import Lineage
from ...values.result import Overview
from ..study import StudyResult
from .comparing.architecture import Architecture, some
from .comparing.gradients import Gradients
from .comparing.kinship import Compared, Kinship, LayerKinship
from .comparing.likeness import SCALED, Copy, LayerScope

OPPOSED = -0.9
"""Cosine of two task vectors from which they are opposite: a merge of both takes them back."""
_MODEL_WORDS = (
    "origin: models of one start come from one network. moved: |θ - centre| / |θ|, the centre "
    "being the base, else the mean of the models. scale: standard deviation over the models' "
    "median. distance: from the mean of the others; 1 where all are alike."
)
_METHOD_WORDS = (
    "forecast quality: score above chance as a share of the models' mean, with its 95% interval."
)
Origin = Literal["one", "several", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFinding:
    """One model.

    Attributes:
        name: what it is called.
        source: its path, or its name where it has none.
        outlier: whether a merge would be better without it.
        why: what makes it one, in words; none where it is not.
        origin: the number of its group of models from one start, from 1 on; each model is alone
            where no layer could be compared.
        far: its distance from the mean of the others, 1 where all are alike; NaN for two models.
        scale: standard deviation over the median of the models', median over layers; NaN of two
            models without a base.
        moved: |θ - centre| / |θ|; the centre is the base, else the mean of the models.
        dtype: of most of its entries.
        damaged: tensors that hold NaN or infinity.
    """

    name: str
    source: str
    outlier: bool
    why: tuple[str, ...]
    origin: int
    far: float
    scale: float
    moved: float
    dtype: str
    damaged: tuple[str, ...]

    @property
    def scaled(self) -> bool:
        """Whether its weights have another scale than the others'."""
        return self.scale >= SCALED or self.scale <= 1 / SCALED

    @property
    def spoils(self) -> bool:
        """Whether what makes it an outlier is a reason against a merge."""
        return self.outlier and (bool(self.damaged) or self.origin > 1 or self.scaled)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskVectors:
    """How far task vectors get in each other's way, all trained tensors as one vector.

    Attributes:
        centre: what they are differences from, the base or the mean of the models.
        cosine: mean over pairs.
        lowest: of the pair that is least alike.
        one, other: which two; '' where there is none.
        agree: share of elements at which the signs of two agree, mean over pairs.
        expected: what jointly normal vectors at these angles would have.
        kept: |mean δ|² / mean |δ|²: 1 of the same task vectors, 1/K of orthogonal ones, 0 where
            they cancel. NaN around the mean, where they always do.
        lengths: the longest over the shortest; infinite where one is 0.
    """

    centre: str
    cosine: float
    lowest: float
    one: str
    other: str
    agree: float
    expected: float
    kept: float
    lengths: float

    @property
    def opposed(self) -> bool:
        """Whether two are nearly each other's negative; around the mean two models always are."""
        return self.centre == "base" and self.lowest <= OPPOSED


@dataclass(frozen=True, slots=True, kw_only=True)
class Prospect:
    """One merge method for these models.

    Attributes:
        method: its name.
        fits: whether it can be run on what is given.
        reason: why not, or what speaks for and against it.
        quality, low, high: the forecast, with its interval; NaN where there is none.
        mended: whether statistics of batch norm are estimated again after merging.
    """

    method: str
    fits: bool
    reason: str
    quality: float = math.nan
    low: float = math.nan
    high: float = math.nan
    mended: bool = False

    @property
    def forecast(self) -> bool:
        """Whether there is one."""
        return math.isfinite(self.quality)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Something to do before merging, or the merge itself.

    Attributes:
        said: what and why.
        command: how, or '' where there is no command.
    """

    said: str
    command: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerOfTwo:
    """A layer and two models, a line of results.csv."""

    tensor: str
    role: str
    entries: int
    one: str
    other: str
    correlation: float
    copies: bool
    std_one: float
    std_other: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagnosisResult(StudyResult):
    """What `diagnose` found.

    Attributes:
        title: the question.
        mergeable: whether a merge of all these models is worth making as they are; not where
            weights cannot tell, unless batches do.
        same_origin: whether all models come from one start, as far as weights tell.
        origin: one start, several, or not known, as too little could be compared.
        undecided: whether nothing speaks against a merge but that too little could be compared.
        recommended: the method with the best forecast, or none.
        reasons: what decided, in sentences, the weightiest first.
        steps: what to do first.
        base: the path of the base, or none.
        models, pairs, bases: of each model, of every two, of each model with the base.
        architecture: what headers tell.
        compared: how much of the models all this is judged by.
        lineage: how the models lie around the base, in a sample; none without a base.
        layers, scopes: of every layer that has a say.
        copies: models that are the same, or nearly.
        task_vectors: none where no tensor is shared.
        prospects: merge methods, the best forecast first.
        traits: the numbers that the forecast looked at.
        forecast: how far forecasts are off, in a sentence; '' where there is none.
        gradients: of a few batches, where data were given.
        facts: for a reader.
    """

    file_kind: ClassVar[str] = "diagnosis"
    main_figure: ClassVar[str] = "stockpot.studies.diagnosis.figures:plot_kinship"

    title: str
    mergeable: bool
    same_origin: bool
    origin: Origin
    undecided: bool
    recommended: str | None
    reasons: tuple[str, ...]
    steps: tuple[Step, ...]
    base: str | None
    models: tuple[ModelFinding, ...]
    pairs: tuple[Kinship, ...]
    bases: tuple[Kinship, ...]
    architecture: Architecture
    compared: Compared
    lineage: Lineage | None
    layers: tuple[LayerKinship, ...]
    scopes: tuple[LayerScope, ...]
    copies: tuple[Copy, ...]
    task_vectors: TaskVectors | None
    prospects: tuple[Prospect, ...]
    traits: Mapping[str, float]
    forecast: str
    gradients: Gradients | None
    facts: tuple[tuple[str, str], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What the models are called."""
        return tuple(one.name for one in self.models)

    @property
    def verdict(self) -> str:
        """The answer, in one sentence."""
        if self.mergeable:
            with_ = f": begin with {self.recommended}" if self.recommended else ""
            return f"These models can be merged{with_}."
        if self.undecided:
            return "Whether these models can be merged cannot be told from their weights."
        spoiling = [one.name for one in self.models if one.spoils]
        if spoiling and len(self.models) - len(spoiling) > 1 and self.architecture.same:
            spoil = "spoils" if len(spoiling) == 1 else "spoil"
            return f"Do not merge all of them as they are: {some(spoiling)} {spoil} it."
        return "Do not merge these models as they are."

    @property
    def sentences(self) -> tuple[str, ...]:
        """The verdict, why, and what to do."""
        return (self.verdict, *self.reasons, *(one.said for one in self.steps))

    @property
    def answer(self) -> str:
        """The verdict."""
        return self.verdict

    def derived(self) -> dict[str, object]:
        """The verdict, which follows from the rest."""
        return {"verdict": self.verdict}

    def screen(self) -> tuple[str | Overview, ...]:
        """The verdict, why, the models, the methods, and what to do first."""
        return (
            self.verdict,
            *(f"  - {reason}" for reason in self.reasons),
            "",
            self._models_shown(),
            "",
            *self._prospects_shown(),
            "",
            *_numbered(self.steps),
        )

    def _models_shown(self) -> Overview:
        def start(one: ModelFinding) -> str:
            return "unknown" if self.origin == "unknown" else f"start {one.origin}"

        def remark(one: ModelFinding) -> str:
            return f"outlier: {'; '.join(one.why)}" if one.why else ""

        rows = tuple(
            (one.name, start(one), one.moved, one.scale, one.far, remark(one))
            for one in self.models
        )
        return Overview(
            "", ("model", "origin", "moved", "scale", "distance", ""), rows, _MODEL_WORDS
        )

    def _prospects_shown(self) -> Iterator[str | Overview]:
        """Those of which there is a forecast line by line, the others by what they lack."""
        rows = tuple(
            (
                f"{one.method}, statistics estimated again" if one.mended else one.method,
                f"{one.quality:.3f} [{one.low:.3f}, {one.high:.3f}]",
                one.reason or "fits",
            )
            for one in self.prospects
            if one.forecast
        )
        if rows:
            yield Overview("", ("method", "forecast quality", ""), rows, _METHOD_WORDS)
            yield f"How good forecasts have been: {self.forecast}"
        elif self.forecast:
            yield self.forecast
        rest = dict[str, list[str]]()
        for one in self.prospects:
            if not one.forecast:
                rest.setdefault(one.reason or "fits, without a forecast", []).append(one.method)
        yield from (f"{', '.join(methods)}: {reason}" for reason, methods in rest.items())

    def table(self) -> tuple[type[Any], Sequence[object]]:
        """Every layer and two models."""
        scopes = {one.tensor: one.stds for one in self.scopes}
        names = self.names
        rows = [
            LayerOfTwo(
                tensor=one.tensor,
                role=one.role,
                entries=one.entries,
                one=names[i],
                other=names[j],
                correlation=one.correlations[i][j],
                copies=one.copies[i][j],
                std_one=scopes[one.tensor][i],
                std_other=scopes[one.tensor][j],
            )
            for one in self.layers
            for i in range(len(names))
            for j in range(i + 1, len(names))
        ]
        return LayerOfTwo, rows


def _numbered(steps: Sequence[Step]) -> Iterator[str]:
    for number, step in enumerate(steps, 1):
        yield f"{number}. {step.said}"
        if step.command:
            yield f"   {step.command}"
