"""`stockpot inspect MODEL...`"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from ..checkpoints.entry import Checkpoint
from ..checkpoints.inspection import Fit, dtype_text, every_fit, role_totals
from ..checkpoints.names.renaming import Renaming
from ..checkpoints.roles import role_of
from ..checkpoints.writing.extras import FOLDER, read_extras
from ..views.matched import matched
from ..views.models import open_model
from ..views.ties import reconciled
from .console import note, print_json, print_table, say, size_text
from .flags import MODEL, Flag, Many, key_of
from .usage import UsageError

Model = Annotated[str, Parameter(help=MODEL)]
_SHOWN = 20


def inspect(*models: Model, tensors: Flag = False, key: Many = (), json: Flag = False) -> int:
    """Show tensors, roles, dtypes and sizes; of several models, whether they fit.

    Args:
        tensors: List every tensor.
        key: Which nested dictionary of a torch file is the state dict: KEY for every file, or
            MODEL=KEY for one. Repeatable.
        json: Print one JSON object on stdout and nothing else.
    """
    if not models:
        raise UsageError("no model given: stockpot inspect MODEL...")
    opened = [open_model(path, key=key_of(key, path)) for path in models]
    fits = _fits(opened)
    if json:
        print_json(
            {"models": [_facts(c, tensors) for c in opened], "fits": [_fit(f) for f in fits]}
        )
        return 0
    for checkpoint in opened:
        _show(checkpoint, tensors)
    for found in fits:
        _show_fit(opened[0].label, found)
    return 0


def _fits(opened: Sequence[Checkpoint]) -> list[Fit]:
    """Each further model against the first, names and ties alike as a merge has them."""
    alike = matched(opened)
    fits = every_fit(reconciled(alike.checkpoints).checkpoints)
    return [
        found if renaming is None else replace(found, names=_matched(renaming, opened[0], other))
        for found, renaming, other in zip(fits, alike.renamings[1:], opened[1:], strict=True)
    ]


def _matched(renaming: Renaming, first: Checkpoint, other: Checkpoint) -> str:
    return f"{renaming.sentence(first.label, other.label)} A merge matches them."


def _show(checkpoint: Checkpoint, tensors: bool) -> None:
    elements = sum(e.numel for e in checkpoint.entries.values() if e.alias_of is None)
    say(
        f"{checkpoint.label}: {len(checkpoint.entries):,} tensors, {elements:,} parameters, "
        f"{size_text(checkpoint.nbytes)} in {len(checkpoint.files)} file(s)"
    )
    for text in checkpoint.notes:
        note(text)
    rows = [
        (t.role, t.dtype, t.tensors, t.elements, size_text(t.bytes))
        for t in role_totals(checkpoint)
    ]
    print_table("", ("role", "dtype", "tensors", "elements", "size"), rows)
    if tensors:
        listed = [(t["name"], t["role"], t["dtype"], t["shape"]) for t in _tensors(checkpoint)]
        print_table("", ("tensor", "role", "dtype", "shape"), listed)
    if (extras := read_extras(Path(checkpoint.label))) is not None:
        say(
            f"beside them {len(extras.entries):,} tensors that the method gave, "
            f"{size_text(extras.nbytes)} in {len(extras.files)} file(s) of {FOLDER}/"
        )
        if tensors:
            beside = [(e.name, dtype_text(e), list(e.shape)) for e in extras.entries.values()]
            print_table("", ("extra", "dtype", "shape"), beside)
    say("")


def _show_fit(first: str, found: Fit) -> None:
    if found.names:
        say(found.names)
    if not found.differences and not found.names:
        say(f"{found.label} has the same tensors as {first}{_network(found)}")
    elif found.differences:
        count = len(found.differences)
        many = "1 difference" if count == 1 else f"{count} differences"
        say(f"{found.label} does not fit {first}: {many}.")
        for text in found.differences[:_SHOWN]:
            say(f"  {text}")
        if len(found.differences) > _SHOWN:
            say(f"  and {len(found.differences) - _SHOWN} more.")
    for text in found.sameness.notes:
        say(f"  {text}")
    if found.cosine is not None:
        origin = (
            "likely the same origin"
            if found.same_origin
            else ("likely different origins: an average would be a bad network")
        )
        say(f"  cosine of sampled matrices {found.cosine:.3f}: {origin}.")


def _network(found: Fit) -> str:
    """Whether equal tensors are the same network, as far as something says so."""
    same = found.sameness
    if same.unlike:
        return f", but is another network: {'; '.join(same.unlike)}."
    if same.said:
        return ", and nothing beside them makes another network of them."
    return "; whether it is the same network no configuration says."


def _facts(checkpoint: Checkpoint, tensors: bool) -> dict[str, object]:
    totals = [
        {
            "role": t.role.value,
            "dtype": t.dtype,
            "tensors": t.tensors,
            "elements": t.elements,
            "bytes": t.bytes,
        }
        for t in role_totals(checkpoint)
    ]
    facts: dict[str, object] = {
        "model": checkpoint.label,
        "tensors": len(checkpoint.entries),
        "bytes": checkpoint.nbytes,
        "roles": totals,
        "notes": list(checkpoint.notes),
    }
    if (extras := read_extras(Path(checkpoint.label))) is not None:
        facts["extras"] = {"tensors": len(extras.entries), "bytes": extras.nbytes}
    return facts | ({"entries": _tensors(checkpoint)} if tensors else {})


def _tensors(checkpoint: Checkpoint) -> Sequence[dict[str, object]]:
    return [
        {
            "name": e.name,
            "role": role_of(e).value,
            "dtype": dtype_text(e),
            "shape": list(e.shape),
        }
        for e in checkpoint.entries.values()
    ]


def _fit(found: Fit) -> dict[str, object]:
    return {
        "model": found.label,
        "names": found.names,
        "differences": list(found.differences),
        "cosine": found.cosine,
        "same_origin": found.same_origin,
        "unlike": list(found.sameness.unlike),
        "notes": list(found.sameness.notes),
    }
