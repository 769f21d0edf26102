"""A device that computes on its own: nothing is looked at before it is there, nothing waits twice.

There need be no GPU: `Late` computes here, but a result reaches the arena when its mark has been
waited for and not before, an arena that is used again before that is an error, and readings of
flags are counted. What a copy to a GPU does on its way is not imitated, nor are streams.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import blake3
import pytest
import torch
from torch import Tensor

from stockpot.checkpoints.entry import from_state_dict
from stockpot.core import SEGMENT, Method
from stockpot.engine.driver import Run
from stockpot.engine.plan import Plan, make_plan
from stockpot.engine.rows import Arena
from stockpot.engine.sinks import MemorySink
from stockpot.engine.tasks.devices import CPU, Flag, Mark
from stockpot.errors import NonFiniteError
from stockpot.methods import Average, Consensus, Dare, Median, ModelStock, Slerp, Ties
from stockpot.ops.rounding import copy_rounded
from stockpot.testing.cases import State, bits, smooth

from ..cases import cut
from .making import MIB, RowSoftmax, resolved

TINY = {"BLOCK": SEGMENT, "CHUNK": 2 * SEGMENT}


@dataclass
class Seen:
    """What a device was asked."""

    marks: int = 0
    flags: int = 0
    readings: int = 0
    under_way: int = 0
    most_under_way: int = 0


class LateArena(Arena):
    """An arena of which results are on their way."""

    awaited = 0

    def clear(self) -> None:
        assert not self.awaited, "an arena is used again before its result is there"
        super().clear()


class CountedFlag(Flag):
    def __init__(self, seen: Seen) -> None:
        super().__init__(torch.device("cpu"))
        self._count = seen
        seen.flags += 1

    def read(self) -> bool:
        self._count.readings += 1
        return super().read()


@dataclass
class LateMark:
    """Waiting for it brings the results."""

    copies: list[Callable[[], None]]
    seen: Seen
    waited: bool = False

    def wait(self) -> None:
        assert not self.waited, "one wait is enough"
        self.waited = True
        self.seen.under_way -= 1
        for copy in self.copies:
            copy()


@dataclass
class Late:
    """The device of one worker."""

    arenas: int = 2
    kind: torch.device = field(default_factory=lambda: torch.device("cpu"))
    seen: Seen = field(default_factory=Seen)
    _made: list[LateArena] = field(default_factory=list)
    _copies: list[Callable[[], None]] = field(default_factory=list)

    def begin(self) -> None:
        self._made.clear()

    def arena(self, size: int) -> Arena:
        self._made.append(LateArena(size))
        return self._made[-1]

    def flag(self) -> Flag:
        return CountedFlag(self.seen)

    def copy_out(self, out: Tensor, merged: Tensor) -> None:
        merged = merged.clone()
        (arena,) = [a for a in self._made if lies_in(out, a)] or [LateArena(0)]
        arena.awaited += 1
        out.view(torch.uint8).fill_(0x55)  # whoever reads it now is wrong

        def copy() -> None:
            arena.awaited -= 1
            copy_rounded(out, merged)

        self._copies.append(copy)

    def mark(self) -> Mark:
        self.seen.marks += 1
        self.seen.under_way += 1
        self.seen.most_under_way = max(self.seen.most_under_way, self.seen.under_way)
        copies, self._copies = self._copies, []
        return LateMark(copies, self.seen)


def lies_in(out: Tensor, arena: Arena) -> bool:
    begin = arena._bytes.data_ptr()
    return bool(out.numel()) and begin <= out.data_ptr() < begin + arena._bytes.numel()


def planned(method: Method, models: list[State], base: State, arenas: int) -> Plan:
    opened = [from_state_dict(model, f"m{k}") for k, model in enumerate(models)]
    of_base = from_state_dict(base, "base") if method.needs.base else None
    assignments = resolved(method, opened, of_base)
    return make_plan(assignments, memory=64 * MIB, workers=1, arenas=arenas)


SHAPES = [(9 * SEGMENT + 5,), (3,), (40, 50), (), (0, 2), (4 * SEGMENT,), (17,)]
METHODS = [
    Average(), Median(), Ties(), Ties(trim="tensor"), Slerp(), ModelStock(), Consensus(),
    Dare(rescale="norm"),
]  # fmt: skip


@pytest.mark.parametrize("method", METHODS, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_results_that_come_late_are_the_same_bytes(method: Method, dtype: torch.dtype) -> None:
    base, models = smooth(SHAPES, 2, 4, dtype)
    states: list[State] = []
    records: list[object] = []
    late = Late()
    for device in (CPU, late):
        with cut(**TINY):
            plan = planned(method, models, base, device.arenas)
            sink = MemorySink(plan.assignments.tensors)
            run = Run(plan, sink, device=device)
            run.execute()
        states.append(sink.state)
        records.append(dict(run.records))
    assert bits(states[0]) == bits(states[1])
    assert records[0] == records[1]
    for name, record in run.records.items():
        assert record.digest == blake3.blake3(bits(sink.state)[name]).hexdigest()
    assert late.seen.under_way == 0
    assert late.seen.most_under_way == 2, "while one piece is computed the next is read"


def test_a_piece_is_waited_for_once_and_its_flag_is_read_once() -> None:
    base, models = smooth([(9 * SEGMENT + 5,), (4 * SEGMENT,)], 3, 4)
    late = Late()
    with cut(**TINY):
        plan = planned(Average(), models, base, 2)
        Run(plan, MemorySink(plan.assignments.tensors), device=late).execute()
    pieces = sum(len(task.pieces) for task in plan.tasks)
    assert pieces == 7
    assert (late.seen.marks, late.seen.flags, late.seen.readings) == (pieces, pieces, pieces)


@pytest.mark.parametrize("method", [*METHODS, RowSoftmax()], ids=repr)
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_named_though_it_is_seen_late(method: Method, value: float) -> None:
    shapes = [(40, 50)] if method.needs.whole else SHAPES
    base, models = smooth(shapes, 2, 4)
    name = f"layers.{0 if method.needs.whole else 5}.weight"
    models[1][name].view(-1)[-7] = value
    plan = planned(method, models, base, 2)
    with pytest.raises(NonFiniteError, match=rf"'{name}' in m1 holds NaN or infinity"):
        Run(plan, MemorySink(plan.assignments.tensors), device=Late()).execute()


def test_sums_that_overflow_are_looked_at_again() -> None:
    large = {"w": torch.full((5 * SEGMENT,), 3e38)}
    plan = planned(Average(), [large, large], large, 2)
    sink = MemorySink(plan.assignments.tensors)
    Run(plan, sink, device=Late()).execute()
    assert torch.equal(sink.state["w"], large["w"])


def test_a_second_arena_is_within_the_memory() -> None:
    base, models = smooth([(64 * SEGMENT,)], 2, 4)
    one, two = (planned(Slerp(), models, base, arenas) for arenas in (1, 2))
    assert two.arena < 0.6 * one.arena
    assert two.peak_memory <= 64 * MIB
