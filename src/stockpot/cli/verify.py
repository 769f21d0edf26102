"""`stockpot verify PATH`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..engine.verify import verify as check
from .console import complain, print_json, progress_bar, say, size_text
from .flags import Flag

Path_ = Annotated[
    Path, Parameter(help="An output of stockpot: a directory or a .safetensors file.")
]


def verify(
    path: Path_, /, *, recompute: Flag = False, json: Flag = False, quiet: Flag = False
) -> int:
    """Check hashes, completeness and finiteness of an output.

    Args:
        recompute: Repeat the merge from its inputs and compare byte by byte.
        json: Print one JSON object on stdout and nothing else.
        quiet: No progress.
    """
    with progress_bar("verifying", quiet=quiet or json) as progress:
        found = check(path, recompute=recompute, progress=progress)
    if json:
        facts = {"tensors": found.tensors, "bytes": found.bytes, "problems": list(found.problems)}
        error = {"error": found.problems[0]} if found.problems else {}
        print_json({"path": str(path), "ok": not found.problems, **facts, **error})
    elif found.problems:
        shown, more = found.problems[:20], len(found.problems) - 20
        for problem in shown:
            complain(f"{path}: {problem}", as_json=False)
        if more > 0:
            complain(f"{path}: and {more} more.", as_json=False)
    else:
        repeated = ", and the repeated merge gives the same bytes" if recompute else ""
        say(
            f"{path}: {found.tensors:,} tensors, {size_text(found.bytes)}: complete, finite, "
            f"as written{repeated}."
        )
    return 1 if found.problems else 0
