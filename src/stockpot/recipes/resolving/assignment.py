"""What resolving a recipe gives: for each output tensor, what it is made of and why."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from ...asides import Extra
from ...checkpoints.entry import Checkpoint, TensorEntry
from ...checkpoints.roles import Role
from ...core import Method
from ...views.derived import Derivation

ONLY_IN = "missing: present, only in"
"""How the rule of a tensor begins that was copied because one model only has it."""
COMPLEX = {
    torch.float16: torch.complex32,
    torch.float32: torch.complex64,
    torch.float64: torch.complex128,
}
"""The complex dtype of two numbers."""


@dataclass(frozen=True, slots=True)
class Beside:
    """A tensor that a method sees as one matrix with another, above or below it.

    Attributes:
        sources: of the same models as the other's.
        base: the base's, where the other has one.
    """

    sources: tuple[TensorEntry, ...]
    base: TensorEntry | None


@dataclass(frozen=True, slots=True)
class PlacedExtra:
    """An extra of one output tensor, and of one model where there is one of each."""

    extra: Extra
    tensor: str
    model: int | None

    @property
    def key(self) -> str:
        """Its name among all tensors of the output."""
        own = "" if self.model is None else f".{self.model}"
        return f"{self.tensor}.{self.extra.name}{own}"

    @property
    def nbytes(self) -> int:
        """Number of bytes."""
        return math.prod(self.extra.shape) * self.extra.dtype.itemsize


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What one output tensor is made of: a merge, a copy, or what follows from a merged tensor.

    Attributes:
        name: of the output tensor, as its role, shape and dtype are.
        role: what kind of tensor it is.
        shape: of the output tensor and of every source.
        dtype: of the output tensor.
        method: how it is merged; None for a copy.
        view: the shape in which the method sees it, with what is above and below; None for its own.
        joined: the tensors that the method sees as one with it, end to end, itself among them.
        above, below: those before it and those after it.
        weights: one per source; they sum to 1 where the method needs a mean.
        sources: the tensors that take part, in the order of the models.
        models: for each source, its index in `Assignments.models`.
        base: the base's tensor, where the method needs it.
        statistics: of each that the method declares, for each source that of its model's data.
        copy_from: the tensor that is copied; None for a merge.
        derivation: how it follows from a merged tensor, where it is neither merged nor copied.
        parts: the tensors that are read for that.
        is_complex: whether its last dimension is that of real and imaginary parts.
        key: names the randomness. Tensors with equal keys are tied: their results are equal.
        rule: which line of the recipe said so, in words.
    """

    name: str
    role: Role
    shape: tuple[int, ...]
    dtype: torch.dtype
    method: Method | None = None
    view: tuple[int, ...] | None = None
    joined: tuple[str, ...] = ()
    above: tuple[Beside, ...] = ()
    below: tuple[Beside, ...] = ()
    weights: tuple[float, ...] = ()
    sources: tuple[TensorEntry, ...] = ()
    models: tuple[int, ...] = ()
    base: TensorEntry | None = None
    statistics: tuple[tuple[TensorEntry, ...], ...] = ()
    copy_from: TensorEntry | None = None
    derivation: Derivation | None = None
    parts: tuple[TensorEntry, ...] = ()
    is_complex: bool = False
    key: str
    rule: str

    @property
    def stored_shape(self) -> tuple[int, ...]:
        """The shape of the output tensor in a file."""
        return self.shape[:-1] if self.is_complex else self.shape

    @property
    def stored_dtype(self) -> torch.dtype:
        """The dtype of the output tensor in a file."""
        return COMPLEX[self.dtype] if self.is_complex else self.dtype

    @property
    def skipped(self) -> int:
        """Elements of what the method sees that are above it."""
        return sum(one.sources[0].numel for one in self.above)

    @property
    def rows(self) -> tuple[TensorEntry, ...]:
        """What is read for it piece by piece: as many elements each as it has itself."""
        base = () if self.base is None else (self.base,)
        copied = () if self.copy_from is None else (self.copy_from,)
        return (*self.sources, *base, *self._statistics(whole=False), *copied, *self.parts)

    @property
    def apart(self) -> tuple[TensorEntry, ...]:
        """Statistics of a shape of their own, which are read whole when they are asked for."""
        return tuple(self._statistics(whole=True))

    @property
    def entries(self) -> tuple[TensorEntry, ...]:
        """Every tensor that is read for it."""
        return (*self.rows, *self.apart)

    def _statistics(self, *, whole: bool) -> Iterator[TensorEntry]:
        if self.statistics and self.method is not None:
            declared = self.method.needs.statistics
            for statistic, found in zip(declared, self.statistics, strict=True):
                if (statistic.axes is not None) is whole:
                    yield from found

    @property
    def extras(self) -> tuple[PlacedExtra, ...]:
        """What its method gives beside it, and where that lies."""
        if self.method is None:
            return ()
        given = self.method.extras(self.view or self.shape, len(self.sources))
        return tuple(
            PlacedExtra(extra, self.name, model)
            for extra in given
            for model in (self.models if extra.of == "model" else (None,))
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Selected:
    """How much of the network a method reaches that is defined for some tensors only.

    Attributes:
        method: its name.
        kind: which tensors it takes, in words.
        rest: the methods of the others, which it chose.
        tensors, of_tensors: how many it works on, of how many that were to be merged by it.
        parameters, of_parameters: the same in elements.
    """

    method: str
    kind: str
    rest: tuple[Method, ...]
    tensors: int
    of_tensors: int
    parameters: int
    of_parameters: int

    @property
    def share(self) -> float:
        """Share of the parameters that it works on."""
        return self.parameters / max(self.of_parameters, 1)

    def __str__(self) -> str:
        others = ", ".join(map(repr, self.rest))
        return (
            f"{self.method} works on {self.kind}: {self.tensors} of {self.of_tensors} tensors, "
            f"{self.share:.1%} of the parameters" + (f"; the rest: {others}." if others else ".")
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignments:
    """Every output tensor, in the order of the first model's files.

    Attributes:
        tensors: one assignment for each.
        models: the models that take part; the base stands first where it is one of the two that
            an interpolation takes.
        base: the base, if there is one.
        statistics: of each model's data, where a method needs them.
        notes: what the user should know, in sentences.
        selected: of methods that are defined for some tensors only, what they reach.
        untied: heads that the configurations of some models tie to an embedding and the output does
            not: its configuration must say so.
    """

    tensors: tuple[Assignment, ...]
    models: tuple[Checkpoint, ...]
    base: Checkpoint | None
    statistics: tuple[Checkpoint, ...] = ()
    notes: tuple[str, ...] = ()
    selected: tuple[Selected, ...] = ()
    untied: tuple[str, ...] = ()


def prevailing_dtype(tensors: Sequence[Assignment]) -> torch.dtype | None:
    """The floating dtype of most of the output's elements; None where it has none."""
    elements = Counter[torch.dtype]()
    for a in tensors:
        if a.dtype.is_floating_point:
            elements[a.dtype] += math.prod(a.shape)
    return max(elements, key=elements.__getitem__, default=None)
