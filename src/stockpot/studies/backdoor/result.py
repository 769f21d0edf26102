"""What the study of contributors found: who moves the merge, where, and who is an outlier."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from ..interference.result import ALL
from ..onepass.statistics import Centre
from ..study import MainTable, StudyResult

EVIDENCE = ("length", "distance", "direction", "layer")
"""Ways to be an outlier; see `Suspicion`."""
FEWEST = 3
"""Models of which one can be told to be odd."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """One model's part in one tensor, or in all together.

    Attributes:
        tensor, model: their names; "all" for all tensors as one vector.
        entries: how many the tensor has.
        length: |δ|, of the task vector.
        distance: |θ - mean of the others|.
        share: of the model's squared distance over all tensors, this tensor's part.
        cosine: of δ and the mean task vector of the others; NaN where one is 0, or around the mean.
        influence: |merge of all - merge without this model|.
        relative: influence over |merge of all - base|, or without a base over |merge of all|.
    """

    tensor: str
    model: str
    entries: int
    length: float
    distance: float
    share: float
    cosine: float
    influence: float
    relative: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """How far one model is from the others, in spreads of what they have without it.

    Attributes:
        model: its name.
        length: its task vector is so much longer; 0 without a base.
        distance: it is so much further from the mean of the others.
        direction: its task vector points so much less where the others' do; 0 without a base.
        layer: one tensor has so much more of its squared distance.
        tensor: which one.
        score: the largest of the four.
        evidence: the name of the largest.
        alarm: the score is above the threshold.
    """

    model: str
    length: float
    distance: float
    direction: float
    layer: float
    tensor: str
    score: float
    evidence: str
    alarm: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class BackdoorResult(StudyResult):
    """What `contributors` found.

    Attributes:
        title: the question.
        models: what they are called.
        centre: what task vectors are differences from: the base, or the mean of the models.
        method: what was merged by: its name.
        threshold: scores above it are an alarm.
        rows: of every tensor and model, and of all tensors.
        suspicions: of every model; none of two, where neither can be called the odd one.
        damaged: tensors left out because a model's are not finite, with the reason.
        facts: for a reader.
    """

    file_kind: ClassVar[str] = "backdoor"
    main_figure: ClassVar[str] = "stockpot.studies.backdoor.figures:plot_influence"
    main_table: ClassVar[MainTable] = Contribution, "rows"

    title: str
    models: tuple[str, ...]
    centre: Centre
    method: str
    threshold: float
    rows: tuple[Contribution, ...]
    suspicions: tuple[Suspicion, ...]
    damaged: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]

    @property
    def tensors(self) -> tuple[str, ...]:
        """Their names, in the order of the network, without all."""
        return tuple(dict.fromkeys(row.tensor for row in self.rows if row.tensor != ALL))

    @property
    def alarms(self) -> tuple[Suspicion, ...]:
        """The largest score first."""
        found = [one for one in self.suspicions if one.alarm]
        return tuple(sorted(found, key=lambda one: -one.score))

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the numbers say."""
        return tuple(_sentences(self))


_WORDS = {
    "length": "its task vector is longer than theirs",
    "distance": "it lies further from the mean of the others than they do among themselves",
    "direction": "its task vector points elsewhere than theirs",
    "layer": "more of its distance is in '{tensor}'",
}


def _sentences(found: BackdoorResult) -> Iterator[str]:
    for name, reason in found.damaged[:3]:
        yield f"'{name}' {reason}: whoever made that file, do not merge it as it is."
    whole = [row for row in found.rows if row.tensor == ALL]
    if not any(row.distance for row in whole):
        yield "The models are copies: none moves the merge."
        return
    yield from _influence(found, whole)
    if not found.suspicions:
        yield (
            "Of two models each is as far from the other: leaving one out cannot tell who is odd. "
            "Give three or more."
        )
        return
    for one in found.alarms:
        ways = sorted(EVIDENCE, key=lambda way: -float(getattr(one, way)))
        said = [_WORDS[w] for w in ways if float(getattr(one, w)) > found.threshold]
        yield (
            f"Alarm: {one.model} is an outlier with a score of {one.score:.1f} (alarm above "
            f"{found.threshold:g}): {'; '.join(said).format(tensor=one.tensor)}."
        )
    most = max(found.suspicions, key=lambda one: one.score)
    if not most.alarm:
        yield (
            f"No alarm: the largest score is {max(most.score, 0.0):.1f}, of {most.model} (alarm "
            f"above {found.threshold:g})."
        )
    yield (
        "An alarm is no proof: other data or another learning rate make outliers too. And silence "
        "is no proof of innocence: an attack as short as the others and in no unusual direction "
        "is not seen in weights. Ask where a file comes from."
    )


def _influence(found: BackdoorResult, whole: list[Contribution]) -> Iterator[str]:
    known = [row for row in whole if math.isfinite(row.relative)]
    if len(found.models) < FEWEST or not known:
        return
    most = max(known, key=lambda row: row.influence)
    rest = [row.relative for row in known if row is not most]
    of = "its change from the base" if found.centre == "base" else "its length"
    layers = [r for r in found.rows if r.tensor != ALL and math.isfinite(r.relative)]
    where = max((row for row in layers if row.model == most.model), key=lambda row: row.influence)
    yield (
        f"{most.model} moves the merge by {found.method} most: without it that would differ by "
        f"{most.relative:.1%} of {of}, without another by {min(rest):.1%} to {max(rest):.1%}. Most "
        f"of that is in '{where.tensor}', which would differ by {where.relative:.1%}."
    )
