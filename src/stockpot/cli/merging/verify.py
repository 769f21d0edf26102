"""`stockpot verify PATH`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ...engine.verify import Verified
from ...engine.verify import verify as check
from ...texts import size_text
from ..command_line import UsageError
from ..console import complain, note, print_json, say, steps
from ..flags import Flag, Json, Quiet

_SHOWN = 20

Path_ = Annotated[
    Path, Parameter(help="An output of stockpot: a directory or a .safetensors file.")
]


def verify(
    path: Path_,
    /,
    *,
    recompute: Flag = False,
    inputs: Path | None = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Check every file of an output: there, as written, finite, and no other beside it.

    Exit code 1 also where it cannot be told, as after `--digest none`.

    Args:
        recompute: Repeat the merge and compare bytes, digests of inputs, methods and seed.
        inputs: With --recompute: the folder in which the inputs lie now, if they were moved.
    """
    if inputs is not None and not recompute:
        raise UsageError("--inputs says where --recompute finds the inputs: pass both.")
    with steps(quiet=quiet or json) as progress:
        found = check(path, recompute=recompute, inputs=inputs, progress=progress)
    if json:
        print_json(_plain(found))
        return 0 if found.ok else 1
    for text in found.notes:
        note(f"{path}: {text}")
    wrong = [*found.problems, *found.unverifiable]
    for text in wrong[:_SHOWN]:
        complain(f"{path}: {text}", as_json=False)
    if len(wrong) > _SHOWN:
        complain(f"{path}: and {len(wrong) - _SHOWN} more.", as_json=False)
    if found.ok:
        finite = "NaN and infinity allowed" if found.non_finite else "finite"
        but = f" but for {found.amended} estimated again" if found.amended else ""
        repeated = f", and the repeated merge gives the same bytes{but}" if recompute else ""
        say(
            f"{path}: {found.tensors:,} tensors, {size_text(found.bytes)}: complete, {finite}, "
            f"as written{repeated}."
        )
    return 0 if found.ok else 1


def _plain(found: Verified) -> dict[str, object]:
    wrong = [*found.problems, *found.unverifiable]
    return {
        "path": str(found.path),
        "ok": found.ok,
        "tensors": found.tensors,
        "bytes": found.bytes,
        "problems": list(found.problems),
        "unverifiable": list(found.unverifiable),
        "notes": list(found.notes),
        "amended": found.amended,
        **({"error": wrong[0]} if wrong else {}),
    }
