"""What a merge method is: a frozen value, and three steps over aligned blocks of the models.

    survey(block, hint) -> Facts      per block; facts join, in any order, to the same bits
    settle(facts, hint) -> Settled    a few numbers: coefficients, a threshold (or: once more)
    method(block, settled) -> Tensor  the pure map, element by element of the output

Most methods are the map only. A method knows nothing of files, devices or threads.
Shapes: K models, S elements of a block (any shape; a block of a large tensor is flat).
"""

import hashlib
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from typing import Any, Literal, Protocol, Self, cast

import numpy as np

from .asides import Aside, Extra, Note, Where
from .lazy import Tensor, torch
from .typed import from_numpy, to_floats
from .values.fields import check_fields, field_specs, kebab_name

SEGMENT = 2**15
"""Elements of one fp64 partial sum; every block starts at a multiple of it within its tensor."""


_FOLDED, _FEW = 2**16, 8
"""Sums of more partials than that are folded into about so many rows."""


class Facts(Protocol):
    """What a survey returns: facts of disjoint blocks join, in any order, to the same bits."""

    def join(self, other: Self) -> Self:
        """Facts of both sets of blocks."""
        ...

    def close(self) -> Self:
        """The same facts in little memory, called when a tensor's last block has joined."""
        ...


@dataclass(frozen=True, slots=True)
class Sums:
    """Facts that are sums: fp64 partials [segments, ...] of aligned SEGMENTs, summed exactly."""

    partials: Tensor

    def join(self, other: "Sums") -> "Sums":
        """Partials of both; which come first does not matter to `total`."""
        joined = torch.cat([self.partials, other.partials])
        if joined.numel() > _FOLDED and len(joined) > 2 * _FEW:
            joined = _folded(joined)
        return Sums(joined)

    def close(self) -> "Sums":
        """One partial: the total."""
        return Sums(self.total()[None])

    def total(self) -> Tensor:
        """The sum over segments, correctly rounded (math.fsum), so that order cannot matter."""
        columns = self.partials.flatten(1).T
        sums = torch.tensor([_exact_sum(to_floats(c)) for c in columns], dtype=torch.float64)
        return sums.reshape(self.partials.shape[1:])


def _folded(partials: Tensor) -> Tensor:
    """Fewer rows of the same exact sums; the rows as they are where a sum passes the range.

    A sum of two rows and its rounding error are two rows of the same sum; in pairs, as long as
    there are some, that leaves one row of sums and rows of errors, most of them soon nothing.
    """
    rows, found = partials, list[Tensor]()
    while len(rows) and len(found) < _FEW:
        errors = list[Tensor]()
        while len(rows) > 1:
            half = len(rows) // 2
            one, other, odd = rows[:half], rows[half : 2 * half], rows[2 * half :]
            total = one + other
            part = total - one
            errors.append((one - (total - part)) + (other - part))
            rows = torch.cat([total, odd])
        found.append(rows)
        left = torch.cat(errors) if errors else rows[:0]
        rows = left[(left.flatten(1) != 0).any(1)]
    folded = torch.cat([*found, rows])
    return folded if len(folded) < len(partials) and folded.isfinite().all() else partials


def _exact_sum(numbers: Sequence[float]) -> float:
    # fsum refuses infinities of both signs, which add up alike in any order, and sums that pass the
    # range on their way.
    if not all(map(math.isfinite, numbers)):
        return sum(numbers)
    try:
        return math.fsum(numbers)
    except OverflowError:
        return math.fsum(math.ldexp(n, -64) for n in numbers) * 2.0**64


class Reach(Enum):
    """What must be known before one output element can be computed."""

    ELEMENT = auto()  # nothing but the same element of each model: one pass
    TENSOR = auto()  # facts about the tensor: norms, dots, a threshold
    MODEL = auto()  # facts about all tensors that share this method value


@dataclass(frozen=True, slots=True)
class Statistic:
    """A tensor about one tensor of a model on the model's data.

    In a file of statistics it has the tensor's name, a dot and its own; or the tensor's name alone,
    where the method needs no other.

    Attributes:
        name: such as "fisher".
        axes: its shape: the sizes of these dimensions of the tensor, (-1, -1) for a Gram matrix
            [in, in] of a linear layer's inputs. None for the tensor's own shape, in which it is
            seen block by block as the tensor is; another takes a method that gets whole tensors.
    """

    name: str
    axes: tuple[int, ...] | None = None

    def shape(self, of: tuple[int, ...]) -> tuple[int, ...] | None:
        """The shape for a tensor of a shape; None where the tensor has no such dimension.

        Example:
            >>> Statistic("gram", (-1, -1)).shape((3, 5))
            (5, 5)
        """
        if self.axes is None:
            return of
        inside = all(-len(of) <= axis < len(of) for axis in self.axes)
        return tuple(of[axis] for axis in self.axes) if inside else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """What the engine must supply; every field is a law that the contract tests check."""

    base: bool = False
    statistics: tuple[Statistic, ...] = ()  # of each model on its data
    reach: Reach = Reach.ELEMENT
    sample: bool = False  # the first survey sees a sample of the elements, to set a bracket
    whole: bool = False  # cannot work in blocks (SVD): gets whole tensors in their own shape
    models: tuple[int, int | None] = (1, None)
    weights: Literal["mean", "sum", "unused"] = "mean"  # divided by their sum | as given | refused
    random: bool = False
    symmetric: bool = True  # the order of (model, weight) pairs does not matter beyond rounding

    def __post_init__(self) -> None:
        apart = [one.name for one in self.statistics if one.axes is not None]
        if apart and not self.whole:
            raise TypeError(f"{apart[0]} has a shape of its own: only a whole method can need it")


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What running a method takes, which the engine plans by and whoever runs several shares by.

    Attributes:
        sweeps: how often a whole method asks for each model's row; for the base's it asks once.
        held_rows: rows of a block that are held at once beside one per model.
        held_per_model: and how many more than one per model, as for inner products.
        survey_reads: the fields that `survey` reads; None for any.
        settle_reads: and `settle`. Of methods of one kind that are equal in them one settles.
    """

    sweeps: int = 1
    held_rows: int = 0
    held_per_model: int = 0
    survey_reads: tuple[str, ...] | None = None
    settle_reads: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """A few numbers that the map needs, and what people want to know of them.

    `final=False` asks for one more survey, which gets this value as its hint. A method made of
    methods keeps what each of them settled in `parts`.
    """

    values: Mapping[str, tuple[float, ...]]
    report: Mapping[str, object] = field(default_factory=dict[str, object])
    final: bool = True
    parts: tuple["Settled | None", ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """One aligned block of one tensor (or all of it), seen across K models.

    Attributes:
        models: K lazy rows, float32 (float64 where an input is); a row may be a view of an input
            and must not be changed in place, but where they are `fresh`. Iterating holds one row,
            `stacked()` holds K.
        weights: one raw number per model; their sum is 1 where `needs.weights` is "mean".
        base: the same block of the base model, where the method needs one.
        statistics: by name K lazy rows, where the method needs them: the same block of each
            model's, or all of one that has a shape of its own.
        name: the tensor's name, the key of its randomness.
        start: position of the block's first element in the flattened tensor.
        seed: the run's seed.
        runs: 0, or in how many separate runs these elements were sampled from the tensor.
        facts_room: bytes that the joined facts of a survey may take, where they could take fewer
            at the cost of another survey; None for any.
        fresh: whether a row is new memory each time that it is asked for.
        stored: in which dtypes the rows are stored, the models' first, then the base's; empty
            where they are stored as they are seen.
        aside: where the map gives extras and tells the manifest; None where nobody takes them.
    """

    models: Sequence[Tensor]
    weights: tuple[float, ...]
    base: Tensor | None = None
    statistics: Mapping[str, Sequence[Tensor]] = field(default_factory=dict[str, Sequence[Tensor]])
    name: str = ""
    start: int = 0
    seed: int = 0
    runs: int = 0
    facts_room: int | None = None
    fresh: bool = False
    stored: "tuple[torch.dtype, ...]" = ()
    aside: Aside | None = None

    def tell(self, name: str, what: Where | Note) -> None:
        """Say something of this block, for the manifest: a `Where`, `Count`, `Largest`, `Series`.

        Of a block one may see part of a tensor, or several; what is no `Where` is told by methods
        that get whole tensors.
        """
        if self.aside is not None:
            self.aside.tell(name, what)

    def give(self, name: str, values: Tensor, model: int | None = None) -> None:
        """Give a declared extra, of the model of that number in this stack where it is of each."""
        if self.aside is not None:
            self.aside.give(name, values, model)

    @property
    def anchor(self) -> Tensor:
        """The base's block; asking for it without `needs.base` is a mistake in the method."""
        if self.base is None:
            raise TypeError("this method reads the base but does not declare it in its needs")
        return self.base

    @property
    def facts_of_one(self) -> int | None:
        """Bytes that the joined facts about one model may take; None for any."""
        return None if self.facts_room is None else self.facts_room // len(self.models)

    def deltas(self) -> Iterator[Tensor]:
        """Task vectors, model minus base, one at a time; new memory."""
        base = self.anchor
        return (row.sub_(base) if self.fresh else row - base for row in self.models)

    def stacked(self) -> Tensor:
        """All rows at once, [K, ...]."""
        return torch.stack(list(self.models))

    def uniform(self) -> Iterator[Tensor]:
        """One float32 tensor per model, uniform in [0, 1), the same for any slicing and device.

        Philox keyed by a hash of (seed, tensor name, model index), advanced to `start`, drawn on
        the CPU. One step of its counter gives eight 32-bit draws, so `start` is a multiple of 8.
        """
        shape, device = self.models[0].shape, self.models[0].device
        for k in range(len(self.models)):
            identity = f"{self.seed}\0{self.name}\0{k}".encode()
            key = np.frombuffer(hashlib.blake2b(identity, digest_size=16).digest(), np.uint64)
            bits = np.random.Philox(key=key)
            bits.advance(self.start // 8)
            drawn = np.random.Generator(bits).random(shape.numel(), dtype=np.float32)
            yield from_numpy(drawn).reshape(shape).to(device)


@dataclass(frozen=True, slots=True)
class Described:
    """A tensor as `Method.select` sees it: no values, only what it is."""

    name: str
    shape: tuple[int, ...]
    role: str


@dataclass(frozen=True, slots=True)
class Selection:
    """Which tensors a method is defined for, and what becomes of the others.

    Attributes:
        views: by name the shape, of as many elements, in which the method sees a tensor.
        rest: the method of every other tensor.
        kind: which tensors are taken, in words.
        mend: what to set where none is, in words.
        joined: by name the tensors, itself among them, that are one matrix end to end. The view is
            of all of them together; each becomes its own part of what the method makes of it.
    """

    views: Mapping[str, tuple[int, ...]]
    rest: "Method"
    kind: str
    mend: str
    joined: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


class Method(ABC):
    """A merge method: subclasses are final frozen dataclasses whose fields are hyper-parameters.

    Fields are checked when a value is made, so that Python, YAML and the command line refuse the
    same values with the same words; a subclass with a `__post_init__` calls `check_fields` in it.
    """

    __slots__ = ()

    def __post_init__(self) -> None:
        check_fields(self)

    @classmethod
    def called(cls) -> str:
        """What files call it: its name, or package.module:Class where it is not stockpot's own."""
        own = cls.__module__.partition(".")[0] != "stockpot"
        return f"{cls.__module__}:{cls.__qualname__}" if own else kebab_name(cls)

    @property
    @abstractmethod
    def needs(self) -> Needs:
        """What the engine must supply; may depend on the fields."""

    @property
    def costs(self) -> Costs:
        """What running it takes; may depend on the fields."""
        return Costs()

    def survey(self, stack: Stack, hint: Settled | None) -> Facts:  # noqa: ARG002
        """Facts of one block. Only for a reach beyond ELEMENT."""
        raise TypeError(f"{kebab_name(type(self))} reaches beyond the element but does not survey")

    def settle(self, facts: Facts, hint: Settled | None) -> Settled:  # noqa: ARG002
        """Turn the joined facts into what the map needs. Only for a reach beyond ELEMENT."""
        raise TypeError(f"{kebab_name(type(self))} reaches beyond the element but does not settle")

    @abstractmethod
    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        """The merged block, in the rows' shape, dtype and device; a new tensor."""

    def advice(self, weights: tuple[float, ...]) -> Sequence[str]:  # noqa: ARG002
        """Warnings about a legal but doubtful use, in sentences."""
        return ()

    def misfit(self, count: int) -> str | None:
        """What in the fields does not fit `count` models, in words; None where all of it does."""
        for name, value in _per_model(self).items():
            if len(value) != count:
                return (
                    f"{name} has {len(value)} values for {count} models: give one number, or one "
                    "per model."
                )
        return None

    def among(self, indices: Sequence[int]) -> "Method":
        """The method for some of the models: fields per model keep those values only."""
        some = {n: tuple(value[i] for i in indices) for n, value in _per_model(self).items()}
        return cast(Method, replace(cast(Any, self), **some)) if some else self

    def select(self, tensors: Sequence[Described], models: int) -> Selection | None:  # noqa: ARG002
        """Which of all tensors that methods of this kind get it works on; None for every one."""
        return None

    def extras(self, shape: tuple[int, ...], models: int) -> Sequence[Extra]:  # noqa: ARG002
        """What the map gives beside a merged tensor of that shape, of so many models."""
        return ()

    def room(self, shape: tuple[int, ...], models: int) -> int:
        """Float32 elements that the map of a whole tensor holds at once, its rows included."""
        return math.prod(shape) * (models + 8)


def _per_model(method: Method) -> dict[str, tuple[float, ...]]:
    """The fields that hold one value per model."""
    values = {spec.name: getattr(method, spec.name) for spec in field_specs(type(method))}
    return {name: value for name, value in values.items() if isinstance(value, tuple)}
