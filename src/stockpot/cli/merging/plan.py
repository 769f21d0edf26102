"""What `--dry-run` shows: the plan of a merge."""

from collections import Counter
from math import prod
from pathlib import Path
from typing import Any

from ...core import Reach
from ...engine.prepare import Prepared
from ...engine.probe import predict_seconds
from ...recipes.resolving.assignment import Assignment
from ...texts import size_text
from ..console import note, print_json, print_table, say

_WORDS = (
    "role: what tensors are for. treatment: the method, or copy. elements: numbers in them. reads: "
    "how often each is read."
)


def show_plan(prepared: Prepared, out: Path, *, as_json: bool) -> None:
    """Tensors by role and treatment, passes, bytes, memory and time; nothing is written."""
    plan = prepared.plan
    reads = {p.assignment.name: p.sweeps for t in plan.tasks for p in t.pieces if p.sweeps}
    reads |= {a.name: 2 for survey in plan.surveys for a in survey.assignments}
    tensors, elements, passes = (
        Counter[tuple[str, str]](),
        Counter[tuple[str, str]](),
        dict[tuple[str, str], int](),
    )
    for a in plan.assignments.tensors:
        group = (str(a.role), _treatment(a))
        tensors[group] += 1
        elements[group] += prod(a.shape)
        passes[group] = max(passes.get(group, 1), reads.get(a.name, 1))
    groups: list[dict[str, object]] = [
        {
            "role": role,
            "treatment": how,
            "tensors": n,
            "elements": elements[role, how],
            "reads": passes[role, how],
        }
        for (role, how), n in tensors.items()
    ]
    facts: dict[str, Any] = {
        "out": str(out),
        "files": len(prepared.shards) + len(prepared.extras),
        "bytes_to_read": plan.bytes_read,
        "bytes_to_write": prepared.size,
        "workers": plan.workers,
        "peak_memory": plan.peak_memory,
        "seconds": round(predict_seconds(prepared, out), 2),
        "selected": [str(s) for s in plan.assignments.selected],
        "notes": list(plan.assignments.notes),
    }
    if as_json:
        print_json({"groups": groups, **facts})
        return
    columns = ("role", "treatment", "tensors", "elements", "reads")
    print_table("", columns, [[g[c] for c in columns] for g in groups], _WORDS)
    say("")
    say(f"reads {size_text(plan.bytes_read)}, writes {size_text(prepared.size)} to {out}")
    memory = size_text(plan.peak_memory)
    say(f"peak memory about {memory} above the libraries, {plan.workers} workers")
    say(f"about {facts['seconds']:.1f} s; nothing was written")
    for text in (*map(str, plan.assignments.selected), *plan.assignments.notes):
        note(text)


def _treatment(a: Assignment) -> str:
    if a.derivation is not None:
        return "derived"
    if a.method is None:
        return "copy"
    several = {Reach.ELEMENT: "", Reach.TENSOR: " (per tensor)", Reach.MODEL: " (over the model)"}
    return repr(a.method) + several[a.method.needs.reach]
