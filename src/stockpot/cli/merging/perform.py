"""Carrying out a merge for the command line: plan or run it, and say what was done."""

from collections.abc import Callable
from pathlib import Path

from ...engine.amending import Amendment
from ...engine.merge import Merged, carry_out
from ...engine.options import Options
from ...engine.prepare import Prepared, check_disk, check_output_path, prepare
from ...recipes.reading.recipe import Recipe
from ...texts import size_text
from ..command_line import told_by_the_command_line
from ..console import note, print_json, say, steps
from .plan import show_plan
from .run_flags import RunFlags


def perform(recipe: Recipe, out: Path, flags: RunFlags, amendment: Amendment | None = None) -> int:
    """Prepare a recipe, show or carry out, and say what was done."""
    return carry(lambda options: prepare(recipe, options, out, amendment), out, flags)


def carry(
    preparing: Callable[[Options], Prepared], out: Path, flags: RunFlags, done: str = "merged"
) -> int:
    """The same of whatever is prepared with these options; `done` is what tells of it."""
    with told_by_the_command_line():
        check_output_path(out)
        options = flags.options()
    if flags.dry_run:
        prepared = preparing(options)
        check_disk(prepared, out)
        show_plan(prepared, out, as_json=flags.json)
        return 0
    with steps(quiet=flags.quiet or flags.json) as progress:
        prepared = preparing(flags.options(progress))
        for text in (n for c in prepared.inputs for n in c.notes):
            note(text)
        for text in (*map(str, prepared.assignments.selected), *prepared.assignments.notes):
            note(text)
        merged = carry_out(prepared, out)
    _report(merged, flags, done)
    return 0


def _report(merged: Merged, flags: RunFlags, done: str) -> None:
    if flags.json:
        print_json(
            {
                "path": str(merged.path),
                "tensors": merged.tensors,
                "bytes_read": merged.bytes_read,
                "bytes_written": merged.bytes_written,
                "seconds": round(merged.seconds, 3),
                "resumed": merged.resumed,
                "notes": list(merged.notes),
            }
        )
    else:
        again = f", {merged.resumed} of them finished before" if merged.resumed else ""
        say(
            f"{merged.path}: {merged.tensors:,} tensors{again}, {size_text(merged.bytes_written)}, "
            f"{done} in {merged.seconds:.1f} s from {size_text(merged.bytes_read)}."
        )
