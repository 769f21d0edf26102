"""How much of the models a diagnosis could compare: it judges that, and no more."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ....checkpoints.entry import Checkpoint, TensorEntry
from ...onepass.statistics import Statistics
from .kinship import LayerKinship

ENOUGH = 0.5
"""Layers that are such a part of the largest model tell the origin of the whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """What was compared; counters, second names of tied tensors and private heads count nowhere.

    Attributes:
        tensors: those that all models have alike and that hold finite numbers.
        of_tensors: those that any model has.
        parameters: entries of the former.
        of_parameters: entries of the model that has most.
        layers: tensors whose direction tells an origin.
        layer_parameters: their entries.
        base_tensors, base_parameters: of the former, what the base has too; 0 without one.
    """

    tensors: int
    of_tensors: int
    parameters: int
    of_parameters: int
    layers: int
    layer_parameters: int
    base_tensors: int = 0
    base_parameters: int = 0

    @property
    def share(self) -> float:
        """Of the parameters of the largest model, what was compared."""
        return self.parameters / self.of_parameters if self.of_parameters else 0.0

    @property
    def whole(self) -> bool:
        """Whether nothing was left out."""
        return self.tensors == self.of_tensors > 0

    @property
    def whole_base(self) -> bool:
        """Whether nothing was left out and the base has all of it."""
        return self.whole and self.base_tensors == self.tensors

    @property
    def tells_origin(self) -> bool:
        """Whether the layers that tell an origin are most of the largest model."""
        return self.layers > 0 and self.layer_parameters >= ENOUGH * self.of_parameters

    @property
    def said(self) -> str:
        """In a sentence."""
        said = (
            f"Compared: {self.tensors:,} of {self.of_tensors:,} tensors, with {self.parameters:,} "
            f"of the {self.of_parameters:,} parameters of the largest model "
            f"({percent(self.share)}){self._layers}."
        )
        if self.base_parameters in (0, self.parameters):
            return said
        return (
            f"{said} The base has {self.base_tensors:,} of them, with {self.base_parameters:,} "
            "parameters."
        )

    @property
    def _layers(self) -> str:
        if not self.layers:
            return ""
        layers, tell = (
            ("1 layer", "tells") if self.layers == 1 else (f"{self.layers:,} layers", "tell")
        )
        return (
            f"; of these, {layers} with {self.layer_parameters:,} parameters {tell} where models "
            "come from"
        )


def compared(
    models: Sequence[Checkpoint],
    private: Sequence[str],
    found: Statistics,
    layers: Sequence[LayerKinship],
) -> Compared:
    """How much of the models the statistics are of."""
    own = frozenset(private)
    each = [
        {e.name: e for e in _counted(one.entries.values()) if e.name not in own} for one in models
    ]
    taken = [one for one in found.tensors if any(one.name in names for names in each)]
    rooted = [one for one in taken if one.base is not None]
    return Compared(
        tensors=len(taken),
        of_tensors=len({name for names in each for name in names}),
        parameters=sum(one.numel for one in taken),
        of_parameters=max(sum(e.numel for e in names.values()) for names in each),
        layers=len(layers),
        layer_parameters=sum(one.entries for one in layers),
        base_tensors=len(rooted),
        base_parameters=sum(one.numel for one in rooted),
    )


def _counted(entries: Iterable[TensorEntry]) -> Iterable[TensorEntry]:
    return (e for e in entries if e.dtype.is_floating_point and e.alias_of is None and e.numel)


def percent(share: float) -> str:
    """Not all is not 100%.

    Example:
        >>> percent(0.5), percent(0.99999), percent(1.0), percent(0.00001)
        ('50.0%', '99.999%', '100%', 'less than 0.1%')
    """
    if share >= 1:
        return "100%"
    if 0 < share < 0.001:
        return "less than 0.1%"
    return f"{share:.1%}" if share < 0.999 else f"{min(share, 0.99999) * 100 // 0.001 / 1000:.3f}%"
