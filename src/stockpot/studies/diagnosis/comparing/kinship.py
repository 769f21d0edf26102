"""Which models come from one start, by correlations of layers, and how much could be compared.

Shapes: K models.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

from ....checkpoints.entry import Checkpoint, TensorEntry
from ....checkpoints.lineage import LAYERS, LEAST, bar
from ...onepass.statistics import Matrix, Statistics, TensorStatistics

SAME = 1e-6
"""Two tensors whose distance is a smaller part of their distance from the centre are copies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerKinship:
    """One layer in all models.

    Attributes:
        tensor, role: as `stockpot inspect` has them.
        entries: how many.
        constant: whether every model (and the base) has the very same entries: a table that was
            never trained, or a part that was frozen. No evidence of an origin by itself.
        correlations: [K, K], of the entries of two models; NaN where one has no spread.
        copies: [K, K], whether two models have the same entries.
        to_base: of each model with the base; empty where the base lacks it.
        still: of each model, whether it has the base's entries; empty likewise.
    """

    tensor: str
    role: str
    entries: int
    constant: bool
    correlations: Matrix
    copies: tuple[tuple[bool, ...], ...]
    to_base: tuple[float, ...]
    still: tuple[bool, ...]

    @property
    def bar(self) -> float:
        """The correlation from which two of this size are alike."""
        return bar(self.entries)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kinship:
    """Two models, or a model and the base.

    Attributes:
        one, other: their names.
        same: whether they come from one start, by the layers that were compared.
        correlation: the median over the layers that have a say; NaN where none has.
        lowest: of the layer that is least alike, and its name.
        alike, unlike: layers that say so.
        frozen: layers that are the same in both.
        body: whether all layers but one are copies: a head was trained on a frozen body.
        said: what decided, where it was not the majority of layers; else ''.
    """

    one: str
    other: str
    same: bool
    correlation: float
    lowest: float
    lowest_tensor: str
    alike: int
    unlike: tuple[str, ...]
    frozen: int
    body: bool = False
    said: str = ""

    @property
    def known(self) -> bool:
        """Whether any layer could be compared."""
        return bool(self.alike or self.unlike or self.frozen)

    @property
    def compared(self) -> int:
        """Layers that were."""
        return self.alike + len(self.unlike) + self.frozen


def layers_of(found: Statistics) -> tuple[LayerKinship, ...]:
    """The layers that have a say, with the correlations of all models.

        r_ij = (<θ_i, θ_j> - n μ_i μ_j) / (n σ_i σ_j)

    The means are taken off because layers of any network lean the same way where their inputs are
    all positive. Unrelated layers have |r| of about 1 / sqrt(n).
    """
    return tuple(
        _layer(one)
        for one in found.among(LAYERS)
        if one.numel >= LEAST and all(e.moments.std > 0 for e in one.models)
    )


def _layer(one: TensorStatistics) -> LayerKinship:
    count = range(len(one.models))
    size = one.numel
    means = [e.moments.mean for e in one.models]
    stds = [e.moments.std for e in one.models]
    correlations = tuple(
        tuple(
            _bounded(one.gram[i][j] / size - means[i] * means[j], stds[i] * stds[j]) for j in count
        )
        for i in count
    )
    copies = tuple(tuple(_is_copy(one.deltas, i, j) for j in count) for i in count)
    based = one.base is not None
    still = tuple(not one.signs.nonzero[k] for k in count) if based else ()
    return LayerKinship(
        tensor=one.name,
        role=one.role,
        entries=size,
        constant=all(all(row) for row in copies) and all(still),
        correlations=correlations,
        copies=copies,
        to_base=tuple(_to_base(one, k) for k in count) if based else (),
        still=still,
    )


def _to_base(one: TensorStatistics, k: int) -> float:
    """From |θ - b|² = |θ|² + |b|² - 2 <θ, b>."""
    if one.base is None or not one.base.moments.std:
        return math.nan
    own, base, size = one.models[k].moments, one.base.moments, one.numel
    squares = one.gram[k][k] + size * (base.mean**2 + base.std**2)
    product = (squares - one.deltas[k][k]) / 2 / size
    return _bounded(product - own.mean * base.mean, own.std * base.std)


def _is_copy(deltas: Matrix, i: int, j: int) -> bool:
    if i == j:
        return True
    return distance(deltas, i, j) <= SAME * math.sqrt(deltas[i][i] + deltas[j][j])


def distance(gram: Matrix, i: int, j: int) -> float:
    """|θ_i - θ_j|, from inner products around any centre.

    Example:
        >>> distance(((1.0, 0.0), (0.0, 1.0)), 0, 1) == math.sqrt(2)
        True
    """
    return math.sqrt(max(gram[i][i] + gram[j][j] - 2 * gram[i][j], 0.0))


def _bounded(covariance: float, scale: float) -> float:
    return max(-1.0, min(1.0, covariance / scale)) if scale > 0 else math.nan


def kinships(layers: Sequence[LayerKinship], names: Sequence[str]) -> tuple[Kinship, ...]:
    """Of every two models."""
    return tuple(
        _judged(
            names[i],
            names[j],
            [(one, one.correlations[i][j], one.copies[i][j]) for one in layers],
        )
        for i, j in combinations(range(len(names)), 2)
    )


def kinships_to_base(
    layers: Sequence[LayerKinship], names: Sequence[str], base: str
) -> tuple[Kinship, ...]:
    """Of every model and the base."""
    return tuple(
        _judged(
            name,
            base,
            [(one, one.to_base[k], one.still[k]) for one in layers if one.to_base],
        )
        for k, name in enumerate(names)
    )


def _judged(one: str, other: str, seen: Sequence[tuple[LayerKinship, float, bool]]) -> Kinship:
    """By the majority of layers that are not bit by bit the same.

    Those that are say nothing: a table of positions is the same in networks of any origin. Unless
    all that is left is one matrix beside several that are the same: then a head was trained on a
    frozen body.
    """
    apart = [(layer, r) for layer, r, copy in seen if not copy and math.isfinite(r)]
    frozen = [layer for layer, _, copy in seen if copy]
    unlike = tuple(layer.tensor for layer, r in apart if r < layer.bar)
    alike = len(apart) - len(unlike)
    trained = [layer for layer in frozen if layer.role != "embedding"]
    body = len(apart) == 1 and len(trained) > 1
    said = ""
    if not apart:
        same = bool(frozen)
        said = "all layers are the same" if same else "no layer can be compared"
    elif body:
        same, said = True, f"all layers but '{apart[0][0].tensor}' are the same: a frozen body"
    else:
        same = 2 * alike >= len(apart)
    low = min(apart, key=lambda pair: pair[1], default=None)
    return Kinship(
        one=one,
        other=other,
        same=same,
        correlation=median(r for _, r in apart) if apart else (1.0 if frozen else math.nan),
        lowest=low[1] if low else math.nan,
        lowest_tensor=low[0].tensor if low else "",
        alike=alike,
        unlike=unlike,
        frozen=len(frozen),
        body=body,
        said=said,
    )


def grouped(names: Sequence[str], pairs: Sequence[Kinship]) -> tuple[tuple[str, ...], ...]:
    """Names by origin, the largest group first: who is kin to one of a group belongs to it."""
    groups = [[name] for name in names]
    for pair in pairs:
        if not pair.same:
            continue
        first = next(group for group in groups if pair.one in group)
        second = next(group for group in groups if pair.other in group)
        if first is not second:
            first.extend(second)
            groups.remove(second)
    order = {name: k for k, name in enumerate(names)}
    each = [tuple(sorted(group, key=order.__getitem__)) for group in groups]
    return tuple(sorted(each, key=lambda group: (-len(group), order[group[0]])))


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
