"""What training may add to a plain fit: penalties, in-model merging, averages on the way.

`stockpot.training` has the same words for its own values; here they are only read and bounded.
"""

from typing import Annotated, Any, ClassVar, Literal, Self

from annotated_types import Ge, Le
from pydantic import SerializerFunctionWrapHandler, model_serializer, model_validator

from ..recipes.section import (
    Below1,
    Count,
    NotNegative,
    Part,
    Positive,
    Section,
    Share,
    Text,
    within,
)

Cosine = Annotated[float, within(float, Ge(-1), Le(1))]
Whole = Annotated[int, within(int, Ge(0), Le(100_000))]
Number = Annotated[float, within(float, Ge(-1e30), Le(1e30))]

Kind = Literal["swa", "ema", "lawa", "fge"]
_OWN: dict[Kind, tuple[str, ...]] = {
    "swa": ("start", "every", "lr"),
    "ema": ("decay", "warmup"),
    "lawa": ("last", "every"),
    "fge": ("start", "cycle", "lr"),
}


class LayersSpec(Section):
    """Which weight tensors count, as `stockpot.training.Layers`."""

    roles: tuple[Text, ...] = ("conv", "matrix")
    match: tuple[Text, ...] = ("*",)
    leave: tuple[Text, ...] = ()


class ScopeTarget(Section):
    """Where a target scope comes from.

    Attributes:
        kind: `start`: of the weights that this training begins with; `init`: of random ones;
            `fused`: of the whole pool after the stage before; `constant`: `mean` and `std` for
            every tensor; `file`: of the model at `path`.
    """

    short: ClassVar[str | None] = "kind"

    kind: Literal["start", "init", "fused", "constant", "file"] = "start"
    mean: Number = 0.0
    std: Positive | None = None
    path: Text | None = None

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for key, kind in (("std", "constant"), ("path", "file")):
            if (getattr(self, key) is None) == (self.kind == kind):
                raise ValueError(f"needs {key} with kind: {kind}, and with no other.")
        return self


class ScopeSpec(Section):
    """Weight Scope Alignment, as `stockpot.training.ScopeRegularizer`.

    Attributes:
        variance: how a fused target's standard deviation comes about.
    """

    target: ScopeTarget = ScopeTarget()
    weight: NotNegative = 0.1
    variance: Literal["mean", "mixture", "averaged"] = "mean"
    layers: LayersSpec = LayersSpec()


class ProximalSpec(Section):
    """A proximal term to the weights that training begins with.

    Attributes:
        layers: which tensors count; all that is trained, where it is not given.
    """

    weight: NotNegative = 0.01
    layers: LayersSpec | None = None


class InMergeSpec(Section):
    """In-model merging, as `stockpot.training.InModelMerge`."""

    p: Share = 0.3
    tau: Cosine = 0.3
    alpha: Share = 0.8
    skip_first: Whole = 10
    every: Count = 1
    norm: Literal["shrinks", "kept"] = "shrinks"
    layers: LayersSpec = LayersSpec(roles=("conv",))


class AveragingSpec(Section):
    """An average of the weights along the way, as `stockpot.training` has Swa, Ema, Lawa and Fge.

    Attributes:
        start: fraction of the steps after which it begins (swa 0.75, fge 0.5).
        every: steps from one to the next; the ends of epochs, where it is not given (swa, lawa).
        lr: learning rate from the start on (swa), or the lowest of each cycle (fge).
        decay, warmup: of ema.
        last: how many are averaged (lawa).
        cycle: epochs of one cycle (fge).
    """

    kind: Kind
    start: Below1 | None = None
    every: Count | None = None
    lr: Positive | None = None
    decay: Part | None = None
    warmup: Literal["ramp", "none"] | None = None
    last: Count | None = None
    cycle: Count | None = None

    @model_validator(mode="after")
    def _of_its_kind(self) -> Self:
        for key in self.model_fields_set - {"kind", *_OWN[self.kind]}:
            if getattr(self, key) is not None:
                raise ValueError(f"{key} has no meaning for {self.kind}: leave it out.")
        return self

    def fields(self) -> dict[str, Any]:
        """What is said of it, without the kind."""
        own = {key: getattr(self, key) for key in _OWN[self.kind]}
        return {key: value for key, value in own.items() if value is not None}


class Additions(Section):
    """What is added to a plain fit; nothing, as it stands.

    Attributes:
        scope: a penalty that pulls layers to a target scope.
        proximal: a penalty on the distance from the start.
        in_merge: similar kernels of a layer pulled together.
        averaging: of the weights along the way; the network that comes out is the average.
    """

    scope: ScopeSpec | None = None
    proximal: ProximalSpec | None = None
    in_merge: InMergeSpec | None = None
    averaging: AveragingSpec | None = None

    @property
    def added(self) -> "Additions | None":
        """These keys alone, where any is given."""
        values = {name: getattr(self, name) for name in Additions.model_fields}
        given = {name: one for name, one in values.items() if one is not None}
        return Additions(**given) if given else None

    @model_serializer(mode="wrap")
    def _without_nothing(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Files that were trained before there were these keys have none."""
        plain: dict[str, Any] = handler(self)
        empty = [name for name in Additions.model_fields if plain.get(name) is None]
        return {name: value for name, value in plain.items() if name not in empty}
