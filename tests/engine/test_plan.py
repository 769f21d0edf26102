"""What must be true of any plan, whatever is merged and however little memory there is."""

import math
from collections import Counter
from itertools import pairwise

import pytest
import torch
from hypothesis import event, given, settings
from hypothesis import strategies as st

from stockpot.core import SEGMENT, Method, Reach
from stockpot.engine.cutting import BLOCK, SMALL
from stockpot.engine.pieces import Piece, Task, element_bytes
from stockpot.engine.plan import ARENA, Plan, make_plan
from stockpot.engine.rows import ALIGN
from stockpot.engine.tasks.desk import RUN
from stockpot.engine.tasks.surveying import BATCH
from stockpot.errors import MergeError
from stockpot.methods import (
    METHODS,
    Average,
    Dare,
    ModelStock,
    Slerp,
    Ties,
)
from stockpot.recipes.resolving.assignment import Assignment, Assignments

from ..cases import example, selects
from .making import MIB, Polar, RowSoftmax, names_only, resolved

FLOATS = [torch.float32, torch.bfloat16, torch.float16, torch.float64]
SIZES = [0, 1, 3, 17, 1000, SMALL - 1, SMALL, SMALL + 1, 5 * SEGMENT + 7, 2**20, 2**23 + 5]
VARIANTS: tuple[Method, ...] = (
    *(example(cls) for cls in METHODS),
    Ties(trim="tensor"),
    Dare(rescale="norm"),
    RowSoftmax(),
)


class Made:
    """A plan and what it was asked for; its repr is short."""

    def __init__(self, plan: Plan, assignments: Assignments, memory: int, workers: int) -> None:
        self.plan, self.assignments = plan, assignments
        self.memory, self.workers = memory, workers

    def __repr__(self) -> str:
        about = [(a.shape, a.dtype, len(a.entries)) for a in self.assignments.tensors]
        methods = {a.method for a in self.assignments.tensors}
        return f"{methods} {about} memory={self.memory} workers={self.workers}"

    @property
    def surveyed(self) -> set[str]:
        return {a.name for s in self.plan.surveys for a in s.assignments}


def checkpoints(
    method: Method, sizes: list[int], dtypes: list[torch.dtype], count: int
) -> Assignments:
    """`count` models, and a base, with tensors of these sizes; counters in between are copied."""
    low, high = method.needs.models
    count = max(low, count if high is None else min(count, high))
    specs = {
        f"{i}.weight": ((size,), dtype)
        for i, (size, dtype) in enumerate(zip(sizes, dtypes, strict=True))
    }
    specs |= {
        f"{i}.num_batches_tracked": ((size,), torch.int64) for i, size in enumerate(sizes[:2])
    }
    if selects(type(method)):
        specs["matrix.weight"] = ((20, 30), torch.float32)
    models = [names_only(label, specs) for label in map(str, range(count))]
    return resolved(method, models, names_only("base", specs) if method.needs.base else None)


@st.composite
def plans(draw: st.DrawFn, least: int = MIB, most_models: int = 6) -> Made:
    method = draw(st.sampled_from(VARIANTS))
    sizes = draw(st.lists(st.sampled_from(SIZES), min_size=1, max_size=14))
    dtypes = draw(st.lists(st.sampled_from(FLOATS), min_size=len(sizes), max_size=len(sizes)))
    if method.needs.whole:
        sizes = [min(size, 1000) for size in sizes]
    assignments = checkpoints(method, sizes, dtypes, draw(st.integers(1, most_models)))
    memory = draw(st.integers(least, 2**28) | st.sampled_from([least, 2**31, 2**36]))
    workers = draw(st.integers(1, 8))
    plan = make_plan(assignments, memory=memory, workers=workers)
    event(f"{plan.workers} of {workers} workers")
    event(f"surveys: {min(len(plan.surveys), 2)}")
    return Made(plan, assignments, memory, workers)


def pieces_of(tasks: tuple[Task, ...]) -> list[Piece]:
    return [piece for task in tasks for piece in task.pieces]


def check_cover(pieces: list[Piece], assignments: tuple[Assignment, ...]) -> None:
    """Every element of every tensor once, in order, cut at multiples of SEGMENT."""
    by_name: dict[str, list[Piece]] = {a.name: [] for a in assignments}
    for piece in pieces:
        by_name[piece.assignment.name].append(piece)
    for a in assignments:
        found = by_name[a.name]
        assert found, a.name
        assert found[0].start == 0
        assert found[-1].stop == math.prod(a.shape)
        assert all(one.stop == other.start for one, other in pairwise(found))
        assert all(piece.start % SEGMENT == 0 for piece in found)
        assert len(found) == 1 or all(piece.numel > 0 for piece in found)
        assert found[0].whole == (len(found) == 1)


@given(plans())
@settings(max_examples=80)
def test_every_element_is_mapped_once_and_surveyed_once(made: Made) -> None:
    check_cover(pieces_of(made.plan.tasks), made.assignments.tensors)
    for survey in made.plan.surveys:
        check_cover(pieces_of(survey.tasks), survey.assignments)
        assert {a.method for a in survey.assignments} == {survey.method}
        assert survey.numel == sum(p.numel for p in pieces_of(survey.tasks))


@given(plans())
@settings(max_examples=60)
def test_what_must_be_known_is_known_before_it_is_used(made: Made) -> None:
    """MODEL: surveyed over all tensors. TENSOR: surveyed, or loaded whole. ELEMENT: neither."""
    pieces = Counter(p.assignment.name for p in pieces_of(made.plan.tasks))
    twice = Counter(a.name for s in made.plan.surveys for a in s.assignments)
    assert set(twice.values()) <= {1}
    for a in made.assignments.tensors:
        reach = Reach.ELEMENT if a.method is None else a.method.needs.reach
        if reach is Reach.MODEL:
            assert a.name in made.surveyed
        elif reach is Reach.ELEMENT:
            assert a.name not in made.surveyed
        else:
            assert a.name in made.surveyed or pieces[a.name] == 1
    models = [s for s in made.plan.surveys if s.method.needs.reach is Reach.MODEL]
    assert len(models) <= 1


@given(plans())
@settings(max_examples=60)
def test_tasks_are_in_file_order(made: Made) -> None:
    """So that reads are; and of a tensor all slices are in one task, in order, to be hashed."""
    position = {a.name: i for i, a in enumerate(made.assignments.tensors)}
    firsts = [position[task.pieces[0].assignment.name] for task in made.plan.tasks]
    assert firsts == sorted(firsts)
    for task in made.plan.tasks:
        places = [position[piece.assignment.name] for piece in task.pieces]
        assert places == sorted(places)
        assert task.pieces[0].start == 0
        assert task.pieces[-1].is_last
        for piece, after in pairwise(task.pieces):
            follows = not piece.is_last
            assert follows == (after.assignment is piece.assignment)
            assert after.start == (piece.stop if follows else 0)


@given(plans())
@settings(max_examples=60)
def test_only_what_can_be_computed_together_is_packed(made: Made) -> None:
    for task in made.plan.tasks:
        kinds = {
            (a.method, a.weights, a.dtype, *(e.dtype for e in a.entries))
            for a in (piece.assignment for piece in task.pieces)
        }
        if task.packed:
            assert len(kinds) == 1
            assert all(piece.whole and piece.numel <= SMALL for piece in task.pieces)
            assert sum(piece.numel for piece in task.pieces) < BLOCK + SMALL
            method = task.pieces[0].assignment.method
            if method is not None:
                assert method.needs.reach is not Reach.TENSOR
                assert not method.needs.random
                assert not method.needs.whole
        assert len({piece.assignment.name for piece in task.pieces}) <= 1024


def taken(pieces: list[Piece], numel: int | None = None) -> int:
    """Bytes that the arena hands out for these pieces: each row, then the result."""
    first = pieces[0].assignment
    numel = sum(p.numel for p in pieces) if numel is None else numel
    used = 0
    for itemsize in [*[row.dtype.itemsize for row in first.entries], first.dtype.itemsize]:
        used += -used % ALIGN + numel * itemsize
    return used


@given(plans())
@settings(max_examples=80)
def test_every_task_fits_the_arena(made: Made) -> None:
    arena = made.plan.arena
    for task in made.plan.tasks:
        parts = [list(task.pieces)] if task.packed else [[piece] for piece in task.pieces]
        assert all(taken(part) <= arena for part in parts)
    for survey in made.plan.surveys:
        for piece in pieces_of(survey.tasks):
            assert taken([piece]) <= arena
            sampled = min(BATCH * RUN, math.prod(piece.assignment.shape))
            assert taken([piece], sampled) <= arena


@given(plans(least=8 * MIB, most_models=10))
@settings(max_examples=80)
def test_the_predicted_peak_keeps_within_the_budget(made: Made) -> None:
    assert 0 < made.plan.peak_memory <= made.memory


@given(plans())
@settings(max_examples=80)
def test_less_than_the_least_memory_gets_the_least_plan(made: Made) -> None:
    """One worker on one segment at a time is the least there is."""
    event(f"over the budget: {made.plan.peak_memory > made.memory}")
    if made.plan.peak_memory > made.memory:
        assert (made.plan.workers, made.plan.block) == (1, SEGMENT)
        widest = max(map(element_bytes, made.assignments.tensors))
        assert made.plan.arena <= SEGMENT * widest + 2**10


@given(plans())
@settings(max_examples=40)
def test_the_shape_of_the_work(made: Made) -> None:
    assert 1 <= made.plan.workers <= made.workers
    assert made.plan.block % SEGMENT == 0
    assert SEGMENT <= made.plan.block <= BLOCK
    assert made.plan.arena * made.plan.workers < made.plan.peak_memory


@given(plans())
@settings(max_examples=60)
def test_bytes_are_counted_once_for_each_pass(made: Made) -> None:
    read = written = 0
    for a in made.assignments.tensors:
        numel = math.prod(a.shape)
        passes = 2 if a.name in made.surveyed else 1
        read += passes * numel * sum(entry.dtype.itemsize for entry in a.entries)
        written += numel * a.dtype.itemsize + sum(placed.nbytes for placed in a.extras)
    assert (made.plan.bytes_read, made.plan.bytes_written) == (read, written)


@pytest.mark.parametrize(
    ("method", "count", "numel"),
    [
        (Average(), 30_000, 1024),
        (Ties(), 30_000, 1024),
        (Slerp(), 4_000, 1024),
        (Average(), 4_000, 1),
        (Dare(), 4_000, 1),
        (ModelStock(), 4_000, 1),
    ],
    ids=repr,
)
def test_thousands_of_tiny_tensors_are_few_tasks(method: Method, count: int, numel: int) -> None:
    assignments = checkpoints(method, [numel] * count, [torch.bfloat16] * count, 2)
    plan = make_plan(assignments, memory=2**31, workers=2)
    every = [*plan.tasks, *(t for s in plan.surveys for t in s.tasks)]
    passes = 1 + bool(plan.surveys)
    assert len(every) <= passes * (2 + max(count * numel / BLOCK, count / 1024))
    assert len(plan.surveys) <= 1
    assert sum(len(task.pieces) for task in plan.tasks) == count + 2


@pytest.mark.parametrize("method", [v for v in VARIANTS if not v.needs.whole], ids=repr)
def test_a_tensor_larger_than_all_memory_is_cut(method: Method) -> None:
    """16 GiB under a budget of 64 MiB."""
    assignments = checkpoints(method, [2**32], [torch.float32], 2)
    plan = make_plan(assignments, memory=64 * MIB, workers=4)
    assert plan.peak_memory < 64 * MIB
    assert len([p for p in pieces_of(plan.tasks) if p.start]) > 2**11
    surveyed = {p.assignment.name for s in plan.surveys for p in pieces_of(s.tasks)}
    every = {a.name for a in assignments.tensors if a.method == method}
    of_reach = {Reach.ELEMENT: set(), Reach.TENSOR: {"0.weight"}, Reach.MODEL: every}
    assert surveyed == of_reach[method.needs.reach]


def test_much_memory_is_not_all_taken() -> None:
    """An arena is never larger than ARENA, so that workers start at once."""
    assignments = checkpoints(Slerp(), [2**30], [torch.float32], 2)
    assert make_plan(assignments, memory=2**40, workers=2).arena < 1.01 * ARENA


def test_less_memory_means_fewer_workers_then_smaller_slices() -> None:
    assignments = checkpoints(Average(), [2**23], [torch.float32], 3)
    seen = [make_plan(assignments, memory=m * MIB, workers=4) for m in (2048, 32, 8, 1)]
    assert [plan.workers for plan in seen] == sorted((p.workers for p in seen), reverse=True)
    assert [plan.block for plan in seen] == sorted((p.block for p in seen), reverse=True)
    assert (seen[0].workers, seen[0].block) == (4, BLOCK)
    assert (seen[-1].workers, seen[-1].block) == (1, SEGMENT)
    pieces = [max(p.numel for p in pieces_of(plan.tasks)) for plan in seen]
    assert pieces == sorted(pieces, reverse=True)
    assert pieces[-1] == SEGMENT


def test_wider_elements_take_more_memory() -> None:
    narrow, wide = (
        make_plan(checkpoints(Average(), [2**23], [dtype], 3), memory=2**30, workers=1)
        for dtype in (torch.float32, torch.float64)
    )
    assert wide.peak_memory > 1.9 * narrow.peak_memory


@pytest.mark.parametrize("method", [RowSoftmax(), Polar(reach=2), Polar(reach=3)], ids=repr)
def test_whole_matrices_are_never_cut(method: Method) -> None:
    specs = {"big": ((700, 900), torch.float32), "small": ((3, 3), torch.float32)}
    base, *models = [names_only(label, specs) for label in ("base", "a", "b")]
    assignments = resolved(method, models, base if method.needs.base else None)
    plan = make_plan(assignments, memory=128 * MIB, workers=2)
    tasks = (*plan.tasks, *(t for s in plan.surveys for t in s.tasks))
    assert all(piece.whole for piece in pieces_of(tasks))
    assert not any(task.packed for task in tasks)
    assert len(plan.surveys) == (method.needs.reach is Reach.MODEL)
    with pytest.raises(MergeError) as caught:
        make_plan(assignments, memory=16 * MIB, workers=1)
    text = str(caught.value)
    assert "whole matrices: 'big' (700, 900) needs" in text
    assert "raise --memory or lower --workers" in text
    needed = int(text.split("needs ")[1].split(" MiB", maxsplit=1)[0])
    assert needed > element_bytes(assignments.tensors[0]) * 700 * 900 / MIB
    make_plan(assignments, memory=(needed + 1) * MIB, workers=1)


def test_nothing_to_merge_is_a_plan() -> None:
    plan = make_plan(Assignments(tensors=(), models=(), base=None), memory=MIB, workers=2)
    assert (plan.tasks, plan.surveys, plan.bytes_read, plan.arena) == ((), (), 0, 0)
