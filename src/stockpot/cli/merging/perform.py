"""Carrying out a merge for the command line: plan or run it, and say what was done."""

from pathlib import Path

from ...engine.merge import Merged, carry_out
from ...engine.prepare import check_disk, check_output_path, prepare
from ...recipes.reading.recipe import Recipe
from ..command_line import told_by_the_command_line
from ..console import note, print_json, progress_bar, say, size_text
from ..flags import RunFlags
from .plan import show_plan


def perform(recipe: Recipe, out: Path, flags: RunFlags) -> int:
    """Prepare, show or carry out, and say what was done."""
    with told_by_the_command_line():
        check_output_path(out)
        options = flags.options()
    if flags.dry_run:
        prepared = prepare(recipe, options, out)
        check_disk(prepared, out)
        show_plan(prepared, out, as_json=flags.json)
        return 0
    quiet = flags.quiet or flags.json
    with progress_bar("merging", quiet=quiet) as progress:
        prepared = prepare(recipe, flags.options(progress), out)
        if not quiet:
            for text in (n for c in prepared.inputs for n in c.notes):
                note(text)
            for text in (*map(str, prepared.assignments.selected), *prepared.assignments.notes):
                note(text)
        merged = carry_out(prepared, out)
    _report(merged, flags)
    return 0


def _report(merged: Merged, flags: RunFlags) -> None:
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
    elif not flags.quiet:
        again = f", {merged.resumed} of them finished before" if merged.resumed else ""
        say(
            f"{merged.path}: {merged.tensors:,} tensors{again}, {size_text(merged.bytes_written)}, "
            f"merged in {merged.seconds:.1f} s from {size_text(merged.bytes_read)}."
        )
