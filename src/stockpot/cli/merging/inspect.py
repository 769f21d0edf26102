"""`stockpot inspect MODEL...`"""

from typing import Annotated

from cyclopts import Parameter

from ...checkpoints.inspection import Fit, dtype_text
from ...checkpoints.writing.extras import FOLDER
from ...texts import size_text
from ...views.inspection import Inspected
from ...views.inspection import inspect as look
from ..command_line import UsageError
from ..console import note, print_json, print_table, say
from ..flags import MODEL, Flag, Json, Many, Quiet
from .run_flags import key_of

Model = Annotated[str, Parameter(help=MODEL)]
_SHOWN = 20
_WORDS = (
    "role: what a tensor is for, told from its name and shape; merges treat roles differently. "
    "elements: numbers in all tensors of the row."
)


def inspect(
    *models: Model,
    tensors: Flag = False,
    key: Many = (),
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Show tensors, roles, dtypes and sizes; of several models, whether they fit.

    Args:
        tensors: List every tensor.
        key: Which nested dictionary of a torch file is the state dict: KEY for every file, or
            MODEL=KEY for one. Repeatable.
    """
    del quiet  # notes know it
    if not models:
        raise UsageError("no model given: stockpot inspect MODEL...")
    found = look(models, keys=[key_of(key, path) for path in models])
    if json:
        listed = [one.as_dict() | _listed(one, tensors) for one in found.models]
        print_json(found.as_dict() | {"models": listed})
        return 0
    for model in found.models:
        _show(model, tensors)
    say(_WORDS)
    for fit in found.fits:
        _show_fit(found.models[0].label, fit)
    return 0


def _listed(model: Inspected, tensors: bool) -> dict[str, object]:
    return {"entries": model.listed()} if tensors else {}


def _show(model: Inspected, tensors: bool) -> None:
    say(
        f"{model.label}: {len(model.tensors):,} tensors, {model.parameters:,} parameters, "
        f"{size_text(model.nbytes)} in {model.files} file(s)"
    )
    for text in model.notes:
        note(text)
    rows = [(t.role, t.dtype, t.tensors, t.elements, size_text(t.bytes)) for t in model.roles]
    print_table("", ("role", "dtype", "tensors", "elements", "size"), rows)
    if tensors:
        listed = [(t["name"], t["role"], t["dtype"], t["shape"]) for t in model.listed()]
        print_table("", ("tensor", "role", "dtype", "shape"), listed)
    if (extras := model.extras) is not None:
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
