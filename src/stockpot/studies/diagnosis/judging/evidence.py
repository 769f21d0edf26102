"""What was found of some models, before it is judged."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import permutations
from statistics import median

from ....checkpoints.beside.networks import UNKNOWN, Sameness
from ....checkpoints.lineage import Lineage
from ..comparing.architecture import Architecture
from ..comparing.extent import Compared
from ..comparing.gradients import Gradients
from ..comparing.kinship import Kinship, LayerKinship
from ..comparing.likeness import Copy, LayerScope
from ..result import ModelFinding, Origin, Prospect, TaskVectors

TORN = 4.0
"""Standard deviations of one layer that differ by this factor are to be mended before a merge."""
BARRIER = 0.2
"""Nats by which the mean of the models may be worse than they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What was found, before it is judged; see `DiagnosisResult`."""

    models: tuple[ModelFinding, ...]
    base: str | None
    architecture: Architecture
    compared: Compared
    lineage: Lineage | None
    pairs: tuple[Kinship, ...]
    bases: tuple[Kinship, ...]
    layers: tuple[LayerKinship, ...]
    scopes: tuple[LayerScope, ...]
    copies: tuple[Copy, ...]
    task_vectors: TaskVectors | None
    prospects: tuple[Prospect, ...]
    traits: Mapping[str, float] = field(default_factory=dict[str, float])
    forecast: str = ""
    gradients: Gradients | None = None
    damaged_base: tuple[str, ...] = ()
    sameness: Sameness = UNKNOWN
    unmeasured: bool = False
    """Data were given, but models of different tensors cannot be run as one network."""

    @property
    def names(self) -> tuple[str, ...]:
        """What the models are called."""
        return tuple(one.name for one in self.models)

    @property
    def origin(self) -> Origin:
        """How many starts the models come from, where enough of them was compared to say so."""
        if not self.compared.tells_origin:
            return "unknown"
        return "one" if len({one.origin for one in self.models}) == 1 else "several"

    @property
    def same_origin(self) -> bool:
        """Whether all models are known to come from one start."""
        return self.origin == "one"

    @property
    def majority(self) -> bool:
        """Whether more than half of the models come from one start."""
        return 2 * sum(one.origin == 1 for one in self.models) > len(self.models)

    @property
    def strangers(self) -> tuple[Kinship, ...]:
        """Of the models that make up the largest group, those that do not come from the base."""
        most = {one.name for one in self.models if one.origin == 1}
        return tuple(o for o in self.bases if o.known and not o.same and o.one in most)

    @property
    def doubted(self) -> bool:
        """Whether a sample of weights speaks against the base, though it is no stranger."""
        found = self.lineage
        return found is not None and found.kind in ("shifted", "held") and not self.strangers

    @property
    def opposed(self) -> bool:
        """Whether two task vectors are nearly each other's negative."""
        return self.task_vectors is not None and self.task_vectors.opposed

    @property
    def drowned(self) -> float:
        """The largest factor between two models, median over layers of σ_i / σ_j; 1 at least."""
        known = [one.stds for one in self.scopes if min(one.stds) > 0]
        if not known:
            return 1.0
        pairs = permutations(range(len(self.models)), 2)
        logs = (median(math.log(stds[i] / stds[j]) for stds in known) for i, j in pairs)
        return math.exp(max(logs))

    @property
    def barred(self) -> bool:
        """Whether the mean of the models is much worse than they are on the batches."""
        return self.gradients is not None and self.gradients.barrier > BARRIER

    @property
    def torn(self) -> tuple[LayerScope, ...]:
        """Layers whose standard deviations are so far apart that they are mended first."""
        return tuple(one for one in self.scopes if one.ratio >= TORN)
