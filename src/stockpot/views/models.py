"""What a MODEL is wherever one is named: a checkpoint's path, or a path and adapters on it.

    open_model("base/+lora/")

A path that is there is meant as it stands, whatever is in its name.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from ..checkpoints.adapter import is_adapter, read_adapter
from ..checkpoints.entry import Checkpoint
from ..checkpoints.formats.in_memory import kind_of
from ..checkpoints.formats.untrusted import shown
from ..checkpoints.read import read_checkpoint, read_given
from ..core import Method
from ..errors import CheckpointError, MergeError
from ..values.fields import kebab_name
from .kinds.adapted import Adapted
from .view import View, labelled

PLUS = "+"
MOST_PLUSES = 10


@dataclass(frozen=True, slots=True)
class Viewed:
    """A MODEL as views show it, the first view first; `merge` and `merge_to` take it as a model.

    Example:
        >>> from stockpot.views import Cast, Renamed
        >>> str(Viewed("ft0/", (Renamed({"net.*": "*"}), Cast("float32"))))
        'ft0/ (renamed, cast)'
    """

    path: str | Path
    views: tuple[View, ...] = ()

    def __str__(self) -> str:
        return label_of(str(self.path), self.views)


Model = Mapping[str, Tensor] | nn.Module | str | Path | Viewed | Checkpoint
"""A state dict, a network, the path of a checkpoint, or one that views show."""


def listed_models(models: object, what: str = "models") -> Sequence[Any]:
    """Several models; one by itself would be taken for the list of its letters or names.

    Raises:
        MergeError: it is no list.
    """
    if isinstance(models, Method) or (isinstance(models, type) and issubclass(models, Method)):
        raise MergeError(f"{what} stand before the method: merge([a, b], Average(), base=base).")
    single = isinstance(models, str | Path | nn.Module | Mapping | Viewed | Checkpoint)
    if single or not isinstance(models, Iterable):
        raise MergeError(f"{what} must be a list; got {kind_of(cast(object, models))}.")
    return list(cast(Iterable[Any], models))


def checkpoint_of(model: object, label: str) -> Checkpoint:
    """Whatever a `Model` is, with headers read and nothing of the tensors of files.

    Args:
        model: see `Model`.
        label: what one that has no path is called.

    Raises:
        CheckpointError: it cannot be read.
        MergeError: it is something else.
    """
    if isinstance(model, Checkpoint):
        return model
    if isinstance(model, str | Path):
        return open_model(model)
    if isinstance(model, Viewed):
        return open_model(model.path, model.views)
    state: object = model.state_dict() if isinstance(model, nn.Module) else model
    if not isinstance(state, Mapping):
        raise MergeError(
            f"{label} is {kind_of(state)}; expected a state dict, a network or a path."
        )
    return read_given(cast(Mapping[str, object], state), label)


def label_of(model: str, views: Sequence[View]) -> str:
    """What messages call a model that is seen so."""
    kinds = ", ".join(kebab_name(type(view)) for view in views)
    return f"{model} ({kinds})" if kinds else model


def parts_of(model: str) -> tuple[str, ...]:
    """The paths that a MODEL names: itself, or a checkpoint and the adapters on it.

    Of a text with `+` in it that is no path, the one way to cut it at pluses into a checkpoint that
    is there and adapters that are there.

    Raises:
        CheckpointError: there are several ways; or a checkpoint that is there, and no adapter.
    """
    if PLUS not in model or "://" in model or _stands(model):
        return (model,)
    ways = list(_ways(model))
    if len(ways) > 1:
        told = " or ".join(" and ".join(map(shown, way)) for way in ways[:3])
        raise CheckpointError(f"{shown(model, 300)} may mean {told}: rename one of these.")
    if ways:
        return ways[0]
    return (model,)


def _ways(model: str) -> list[tuple[str, ...]]:
    places = [k for k, letter in enumerate(model) if letter == PLUS][:MOST_PLUSES]
    found: list[tuple[str, ...]] = []
    for count in range(1, len(places) + 1):
        for cut in combinations(places, count):
            ends = (*cut, len(model))
            begins = (0, *(k + 1 for k in cut))
            first, *rest = (model[b:e] for b, e in zip(begins, ends, strict=True))
            if first and _stands(first) and not is_adapter(first) and all(map(is_adapter, rest)):
                found.append((first, *rest))
    return found


def _stands(path: str) -> bool:
    try:
        return bool(path) and Path(path).exists()
    except (OSError, ValueError):
        return False


def open_model(
    model: str | Path, views: Sequence[View] = (), *, key: str | None = None
) -> Checkpoint:
    """A MODEL as views show it, with its headers read and nothing of its tensors.

    Args:
        model: a checkpoint's path, or `base+adapter` and `base+adapter+adapter`.
        views: what it is seen through, the first one first.
        key: which dictionary of a torch file that nests several is the state dict.

    Raises:
        CheckpointError: what stands there is none, or the views do not fit it.
    """
    path, *adapters = parts_of(str(model))
    if not adapters:
        _refuse_half(str(model), path)
    seen = read_checkpoint(path, key=key)
    for adapter in adapters:
        seen = Adapted(adapter)(seen, read_adapter(adapter))
    if adapters:
        seen = labelled(seen, str(model))
    elif _reads_otherwise(path):
        note = f"{path} is there and is read; its name could also mean a model and adapters on it."
        seen = replace(seen, notes=(*seen.notes, note))
    for view in views:
        seen = view(seen, *(_open_beside(view, one) for one in view.beside))
    return labelled(seen, label_of(str(model), views)) if views else seen


def _open_beside(view: View, path: str) -> Checkpoint:
    return read_adapter(path) if isinstance(view, Adapted) else open_model(path)


def _reads_otherwise(path: str) -> bool:
    return PLUS in path and "://" not in path and bool(_ways(path))


def _refuse_half(model: str, path: str) -> None:
    """Say what lacks of `base+adapter`, where one half of it is there."""
    if is_adapter(path):
        raise CheckpointError(
            f"{path} is a PEFT adapter, which is no model by itself: name it on the model that it "
            f"was trained on, BASE+{path}."
        )
    if PLUS not in model or "://" in model or _stands(model):
        return
    first, _, rest = model.partition(PLUS)
    if _stands(first) and not is_adapter(rest.partition(PLUS)[0]):
        raise CheckpointError(
            f"{shown(model, 300)} does not exist, nor is {shown(rest, 300)} a PEFT adapter "
            f"(a directory with adapter_config.json and adapter_model.safetensors) on {first}."
        )
