"""Where the extras of a merge lie: which file holds which, decided before the first byte."""

from pathlib import Path

from ..checkpoints.formats.layout import OutputTensor, Shard, single_file
from ..checkpoints.writing.extras import extras_file
from ..errors import MergeError, OutputError
from ..recipes.resolving.assignment import Assignment, Assignments, PlacedExtra
from ..values.fields import kebab_name


def extras_of(assignments: Assignments, out: Path | None) -> tuple[Shard, ...]:
    """The files of all extras: one for each model, and one of what is of all of them.

    Raises:
        MergeError: a tensor that is seen as one with others, or of the name of an extra.
        OutputError: the output is a file, beside which nothing has a place.
    """
    names = {a.name for a in assignments.tensors}
    files: dict[str, list[OutputTensor]] = {}
    for a in assignments.tensors:
        for placed in a.extras:
            _refuse(a, placed, names, out)
            extra = placed.extra
            tensor = OutputTensor(placed.key, extra.dtype, extra.shape)
            files.setdefault(extras_file(placed.model), []).append(tensor)
    metadata = {"format": "pt"}
    shards = [single_file(found, name, metadata)[0] for name, found in files.items()]
    return tuple(sorted(shards, key=lambda shard: (len(shard.filename), shard.filename)))


def _refuse(a: Assignment, placed: PlacedExtra, names: set[str], out: Path | None) -> None:
    method = kebab_name(type(a.method))
    if out is not None and out.suffix == ".safetensors":
        raise OutputError(
            f"{method} gives more than the merged tensors, such as '{placed.key}', which lies in "
            f"files of its own: name a directory as --out, not the file {out}."
        )
    if a.joined:
        raise MergeError(
            f"'{a.name}' is merged as one matrix with others, and {method} gives extras of each "
            "tensor: set qkv to 'stored'."
        )
    if placed.key in names:
        raise MergeError(
            f"'{placed.key}' is a tensor of the models, and the name of what {method} gives beside "
            f"'{a.name}': rename that tensor."
        )
