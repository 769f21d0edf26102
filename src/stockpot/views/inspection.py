"""What models are, and whether they fit and come from one origin: what `stockpot inspect` shows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..checkpoints.entry import Checkpoint, TensorEntry
from ..checkpoints.inspection import Fit, RoleTotal, dtype_text, every_fit, role_totals
from ..checkpoints.names.renaming import Renaming
from ..checkpoints.roles import role_of
from ..checkpoints.writing.extras import read_extras
from ..errors import MergeError
from ..libraries import optional
from ..values.showing import html_table
from .matched import matched
from .models import Model, checkpoint_of, listed_models, open_model
from .ties import reconciled


@dataclass(frozen=True, slots=True, repr=False)
class Inspected:
    """One model.

    Attributes:
        label: what it is called.
        tensors: its tensors by name: shape, dtype, where they lie.
        parameters: elements in all, those of tied tensors once.
        nbytes: bytes of its tensors.
        files: how many there are.
        roles: tensors, elements and bytes by role and dtype, largest first.
        extras: what a merge method gave beside the tensors, by name.
        notes: what reading it has shown.
    """

    label: str
    tensors: Mapping[str, TensorEntry]
    parameters: int
    nbytes: int
    files: int
    roles: tuple[RoleTotal, ...]
    extras: Checkpoint | None
    notes: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Inspected({self.label!r}: {len(self.tensors):,} tensors, {self.nbytes:,} bytes)"

    def as_dict(self) -> dict[str, object]:
        """Plain values, without the list of tensors."""
        facts: dict[str, object] = {
            "model": self.label,
            "tensors": len(self.tensors),
            "bytes": self.nbytes,
            "roles": [one.as_dict() for one in self.roles],
            "notes": list(self.notes),
        }
        if self.extras is not None:
            facts["extras"] = {"tensors": len(self.extras.entries), "bytes": self.extras.nbytes}
        return facts

    def listed(self) -> list[dict[str, object]]:
        """Plain values of each tensor: name, role, dtype, shape."""
        return [
            {
                "name": entry.name,
                "role": role_of(entry).value,
                "dtype": dtype_text(entry),
                "shape": list(entry.shape),
            }
            for entry in self.tensors.values()
        ]


@dataclass(frozen=True, slots=True, repr=False)
class Inspection:
    """What `inspect` has seen.

    Attributes:
        models: in their order.
        fits: how each model after the first compares with the first.
    """

    models: tuple[Inspected, ...]
    fits: tuple[Fit, ...]

    def __repr__(self) -> str:
        return f"Inspection({', '.join(map(repr, self.models))})"

    def _repr_html_(self) -> str:
        rows = [tuple(one.values()) for one in self._listed()]
        return html_table(repr(self), ("model", "name", "role", "dtype", "shape"), rows)

    def to_pandas(self) -> Any:
        """Every tensor of every model as a pandas.DataFrame.

        Raises:
            ExtraError: pandas is not installed.
        """
        return optional("pandas", "notebook").DataFrame(self._listed())

    def _listed(self) -> list[dict[str, object]]:
        return [{"model": one.label, **row} for one in self.models for row in one.listed()]

    def as_dict(self) -> dict[str, object]:
        """Plain values, as `stockpot inspect --json` prints them."""
        models = [one.as_dict() for one in self.models]
        return {"models": models, "fits": [one.as_dict() for one in self.fits]}


def inspect(models: Sequence[Model], *, keys: Sequence[str | None] = ()) -> Inspection:
    """Say what models hold, and of several whether they fit and share an origin.

    Headers are read, and of matrices that the models share a sample.

    Args:
        models: paths, `base+adapter`, views, state dicts or modules.
        keys: for each model which nested dictionary of a torch file is the state dict; None for
            the one that there is.

    Raises:
        CheckpointError: a model that cannot be read; it says why.

    Example:
        >>> import torch
        >>> one, two = ({"w": torch.ones(4, 4) * k} for k in (1, 2))
        >>> seen = inspect([one, two])
        >>> seen.models[0].parameters, seen.fits[0].differences, seen.fits[0].same_origin
        (16, (), True)
    """
    models = listed_models(models)
    if not models:
        raise MergeError("no model given: inspect([MODEL, ...]).")
    keys = [*keys, *[None] * (len(models) - len(keys))]
    opened = [
        open_model(model, key=key)
        if key is not None and isinstance(model, str | Path)
        else checkpoint_of(model, f"models[{number}]")
        for number, (model, key) in enumerate(zip(models, keys, strict=True))
    ]
    return Inspection(tuple(map(_inspected, opened)), _fits(opened))


def _inspected(checkpoint: Checkpoint) -> Inspected:
    entries = checkpoint.entries
    return Inspected(
        label=checkpoint.label,
        tensors=entries,
        parameters=sum(entry.numel for entry in entries.values() if entry.alias_of is None),
        nbytes=checkpoint.nbytes,
        files=len(checkpoint.files),
        roles=role_totals(checkpoint),
        extras=read_extras(Path(checkpoint.label)),
        notes=tuple(checkpoint.notes),
    )


def _fits(opened: Sequence[Checkpoint]) -> tuple[Fit, ...]:
    """Each further model against the first, names and ties alike as a merge has them."""
    alike = matched(opened)
    fits = every_fit(reconciled(alike.checkpoints).checkpoints)
    return tuple(
        found if renaming is None else replace(found, names=_matched(renaming, opened[0], other))
        for found, renaming, other in zip(fits, alike.renamings[1:], opened[1:], strict=True)
    )


def _matched(renaming: Renaming, first: Checkpoint, other: Checkpoint) -> str:
    return f"{renaming.sentence(first.label, other.label)} A merge matches them."
