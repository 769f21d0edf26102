"""Assignments, plans and runs without files, and methods that exist for tests only."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from stockpot.checkpoints.entry import COMPARED, Checkpoint, TensorEntry, from_state_dict
from stockpot.core import Facts, Method, Needs, Reach, Settled, Stack, Sums
from stockpot.engine import plan
from stockpot.engine.driver import Run
from stockpot.engine.sinks import MemorySink
from stockpot.recipes.reading.recipe import parse_recipe
from stockpot.recipes.resolving.assignment import Assignments
from stockpot.recipes.resolving.resolve import resolve
from stockpot.values.fields import check_fields

State = Mapping[str, Tensor]
MIB = 2**20


class Zeros:
    """The bytes of tensors of any size that take no memory; only counters are looked at."""

    def read_into(self, buffer: memoryview, offset: int) -> None:
        assert len(buffer) <= COMPARED, "a plan reads no weights"


def names_only(label: str, specs: Mapping[str, tuple[tuple[int, ...], torch.dtype]]) -> Checkpoint:
    """A checkpoint of any size that takes no memory."""
    source = Zeros()
    entries = {n: TensorEntry(n, dtype, shape, source, 0) for n, (shape, dtype) in specs.items()}
    return Checkpoint(label, entries)


def resolved(
    method: Method,
    models: Sequence[Checkpoint],
    base: Checkpoint | None = None,
    weights: Sequence[float] | None = None,
    **more: Any,
) -> Assignments:
    entries = [
        {"path": m.label} | ({} if weights is None else {"weight": weights[k]})
        for k, m in enumerate(models)
    ]
    given = [replace(m, label=f"of-{m.label}") for m in models if method.needs.statistics]
    for entry, one in zip(entries, given, strict=bool(given)):
        entry["statistics"] = one.label
    plain = {"method": method, "models": entries, "base": base.label if base else None}
    return resolve(parse_recipe(plain | more), models, base, given)


@dataclass
class Ran:
    """A run that came to its end."""

    state: dict[str, Tensor]
    run: Run
    plan: plan.Plan


def run(
    method: Method,
    models: Sequence[State],
    base: State | None = None,
    *,
    weights: Sequence[float] | None = None,
    memory: int = 256 * MIB,
    workers: int = 2,
    digests: bool = False,
    allow_non_finite: bool = False,
    watch: Callable[[Run], None] | None = None,
    **more: Any,
) -> Ran:
    """Merge state dicts called a, b, c ... and base."""
    opened = [from_state_dict(m, label) for m, label in zip(models, "abcdefgh", strict=False)]
    of_base = None if base is None else from_state_dict(base, "base")
    assignments = resolved(method, opened, of_base, weights, **more)
    made = plan.make_plan(assignments, memory=memory, workers=workers)
    sink = MemorySink(assignments.tensors)
    started = Run(made, sink, digests=digests, allow_non_finite=allow_non_finite)
    if watch is not None:
        watch(started)
    started.execute()
    return Ran(sink.state, started, made)


@dataclass(frozen=True, slots=True)
class RowSoftmax(Method):
    """Softmax over the last dimension of the mean; wrong unless it sees whole matrices."""

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def needs(self) -> Needs:
        return Needs(whole=True)

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        weighted = [w * row for w, row in zip(stack.weights, stack.models, strict=True)]
        total = torch.stack(weighted).sum(0)
        return total.softmax(-1) if total.ndim else torch.ones_like(total)


@dataclass(frozen=True, slots=True)
class Polar(Method):
    """The orthogonal factor of the summed task vectors, times the largest of the models' norms.

    A model's norm is the spectral norm of its task vector, summed over what is settled together.
    """

    reach: int = 2

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def needs(self) -> Needs:
        return Needs(base=True, whole=True, reach=Reach(self.reach), weights="sum")

    def survey(self, stack: Stack, hint: Settled | None) -> Facts:
        assert stack.models[0].ndim == 2
        norms = [torch.linalg.matrix_norm(d.double(), 2) for d in stack.deltas()]
        return Sums(torch.stack(norms)[None])

    def settle(self, facts: Facts, hint: Settled | None) -> Settled:
        assert isinstance(facts, Sums)
        return Settled({"norm": (float(facts.total().max()),)})

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        assert settled is not None
        u, _, v = torch.linalg.svd(sum(stack.deltas()), full_matrices=False)
        return stack.anchor + settled.values["norm"][0] * (u @ v)
