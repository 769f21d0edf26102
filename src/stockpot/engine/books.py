"""What the books of a merge take: names, entries, assignments, and records of what is done."""

import math

from ..checkpoints.entry import Checkpoint
from ..recipes.resolving.assignment import Assignments

_BOOKS, _NAME, _ENTRY, _DIGEST, _SETTLED = 560, 3, 200, 60, 300
"""Bytes for each output tensor, for each byte of its name, for each tensor of an input, for each
one that is read, and for what is settled for one."""


def books(assignments: Assignments, settled: int) -> int:
    """Bytes that the books take, where so many tensors have something settled each."""
    per_model = sum(len(checkpoint.entries) for checkpoint in _checkpoints(assignments))
    per_row = sum(len(a.entries) for a in assignments.tensors)
    names = sum(len(a.name) for a in assignments.tensors)
    extras = sum(_BOOKS + _NAME * len(x.key) for a in assignments.tensors for x in a.extras)
    of_tensors = extras + _BOOKS * len(assignments.tensors) + _NAME * names
    return _SETTLED * settled + of_tensors + _ENTRY * per_model + _DIGEST * per_row


def _checkpoints(assignments: Assignments) -> list[Checkpoint]:
    base = [] if assignments.base is None else [assignments.base]
    every = [*assignments.models, *base, *assignments.statistics]
    return list({id(checkpoint): checkpoint for checkpoint in every}.values())


def too_much(assignments: Assignments, peak: int, memory: int) -> str:
    """Why a plan is refused: many models, or many tensors of many models."""
    models, tensors = len(assignments.models), len(assignments.tensors)
    return (
        f"merging {models:,} models of {tensors:,} tensor{'s' * (tensors != 1)} needs "
        f"{math.ceil(peak / 2**20):,} MiB of memory and has {memory // 2**20:,} MiB: raise "
        "--memory, or merge fewer models at once."
    )
