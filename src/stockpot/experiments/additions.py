"""What training may add to a plain fit: penalties, in-model merging, averages on the way.

`stockpot.training.additions` carries them out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

from annotated_types import Ge, Le

from ..errors import FieldError
from ..networks.layers import WEIGHTS, Layers
from ..values.bounds import Count, NotNegative, Positive, Share, Text
from ..values.section import Section
from .averaging import AveragingEntry

Cosine = Annotated[float, Ge(-1), Le(1)]
Number = Annotated[float, Ge(-1e30), Le(1e30)]
Variance = Literal["mean", "mixture", "averaged"]
"""How a fused standard deviation comes about; see `stockpot.training.fuse_scopes`."""
KERNELS = Layers(roles=("conv",))
"""Of convolutions alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopeTarget(Section):
    """Where a target scope comes from.

    Attributes:
        kind: `start`: of the weights that this training begins with; `init`: of random ones;
            `fused`: of the whole pool after the stage before; `constant`: `mean` and `std` for
            every tensor; `file`: of the model at `path`.
    """

    @classmethod
    def rewritten(cls, data: object) -> object:
        """A word alone is its `kind`."""
        return {"kind": data} if isinstance(data, str) else data

    kind: Literal["start", "init", "fused", "constant", "file"] = "start"
    mean: Number = 0.0
    std: Positive | None = None
    path: Text | None = None

    def check(self) -> None:
        """Refuse what does not go together."""
        for key, kind in (("std", "constant"), ("path", "file")):
            if (getattr(self, key) is None) == (self.kind == kind):
                raise FieldError(f"needs {key} with kind: {kind}, and with no other.")


@dataclass(frozen=True, slots=True, kw_only=True)
class ScopePenalty(Section):
    """Weight Scope Alignment, as `stockpot.training.ScopeRegularizer`.

    Attributes:
        variance: how a fused target's standard deviation comes about.
    """

    target: ScopeTarget = ScopeTarget()
    weight: NotNegative = 0.1
    variance: Variance = "mean"
    layers: Layers = WEIGHTS


@dataclass(frozen=True, slots=True, kw_only=True)
class Proximal(Section):
    """A proximal term to the weights that training begins with.

    Attributes:
        layers: which tensors count; all that is trained, where it is not given.
    """

    weight: NotNegative = 0.01
    layers: Layers | None = None


@dataclass(frozen=True, slots=True)
class InMerge(Section):
    """In-model merging: kernels of a layer are pulled toward similar ones.

    Attributes:
        p: how often a kernel draws; larger merges more.
        tau: least cosine; smaller merges more.
        alpha: what a kernel keeps of itself; smaller pulls harder.
        skip_first: layers that are left alone, in the order in which modules were registered: of
            VGG, ResNet and DenseNet that in which they are called.
        every: steps from one pass to the next.
        norm: a mean of two kernels is shorter than they are. `shrinks` leaves it so, as the paper's
            code does, and some of the effect is that of weight decay; `kept` gives it the length
            that kernel i had.
        layers: which tensors count; those of convolutions, and with `Layers()` linear ones too.
    """

    p: Share = 0.3
    tau: Cosine = 0.3
    alpha: Share = 0.8
    skip_first: Annotated[int, Ge(0), Le(100_000)] = 10
    every: Count = 1
    norm: Literal["shrinks", "kept"] = "shrinks"
    layers: Layers = KERNELS


@dataclass(frozen=True, kw_only=True)  # without slots, so that it can stand beside another base
class Additions(Section):
    """What is added to a plain fit; nothing, as it stands.

    Attributes:
        scope: a penalty that pulls layers to a target scope.
        proximal: a penalty on the distance from the start.
        in_merge: similar kernels of a layer pulled together.
        averaging: of the weights along the way; the network that comes out is the average.
    """

    scope: ScopePenalty | None = None
    proximal: Proximal | None = None
    in_merge: InMerge | None = None
    averaging: AveragingEntry | None = None

    @property
    def added(self) -> "Additions | None":
        """These keys alone, where any is given."""
        given = {name: getattr(self, name) for name in ADDITIONS}
        return Additions(**given) if any(one is not None for one in given.values()) else None

    def plain(self) -> dict[str, Any]:
        """Files that were trained before there were these keys have none."""
        plain = Section.plain(self)
        return {key: one for key, one in plain.items() if key not in ADDITIONS or one is not None}


ADDITIONS = ("scope", "proximal", "in_merge", "averaging")


def as_written_now(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a file says of a network's training, additions as they are written now.

    Averages were once written with the keys of all of them, null where they had no meaning.
    """
    now = dict(record)
    for name, phase in record.items():
        if isinstance(phase, dict) and "additions" in phase:
            told = cast(dict[str, Any], phase)
            now[name] = told | {"additions": Additions.parse(told["additions"]).plain()}
    return now
