"""Merges with each model left out, for a method whose merge is not a sum of the models."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from torch import Tensor

from ...checkpoints.entry import Checkpoint
from ...core import Method
from ...engine.merge import merge_opened
from ...engine.options import Options
from ...errors import FieldError
from ...recipes.reading.recipe import parse_recipe
from ...values.fields import kebab_name
from ...views.models import Model, checkpoint_of
from ..onepass.gathering import statistics_of


def left_out(
    models: Sequence[Model],
    base: Model | None,
    method: Method,
    tensors: frozenset[str],
    *,
    memory: int | str = "2GiB",
    workers: int | None = None,
    seed: int = 0,
) -> Mapping[str, tuple[Sequence[float], float]]:
    """By tensor |M - M_i| for each of K models, and |M - base|, or |M| without a base.

    M merges all models, M_i all but model i, each from the same seed; a method that draws by the
    number of a model draws anew for those behind the one that is left out.

    Args:
        models, base: checkpoints or state dicts.
        method: one that takes K - 1 models as well, and no statistics of data.
        tensors: what is merged; a threshold over the model is over these.
        memory, workers, seed: of the merges.

    Raises:
        FieldError: the method needs statistics of data, or does not take K and K - 1 models.
        StockpotError: it refuses these models, or one fewer.

    Cost: K + 1 merges, 2 K + 1 passes over merged models, of which two are in memory.
    """
    if method.needs.statistics:
        raise FieldError(
            f"{kebab_name(type(method))} needs statistics of data, which leaving models out has "
            "not: take another method."
        )
    least, most = method.needs.models
    if base is None and not least < len(models) <= (most or len(models)):
        span = f"{least} or more" if most is None else str(most)
        raise FieldError(
            f"{kebab_name(type(method))} takes {span} models, and has to merge all {len(models)} "
            f"and all but one: take another method{' or more models' if most is None else ''}."
        )
    options = Options(memory=memory, workers=workers, device="cpu")
    held = [_opened(model, f"model {k + 1}", tensors) for k, model in enumerate(models)]
    origin = None if base is None else _opened(base, "the base", tensors)

    def merged(chosen: Sequence[Checkpoint]) -> dict[str, Tensor]:
        data = {
            "method": method,
            "models": [{"path": one.label} for one in chosen],
            "base": origin and origin.label,
            "seed": seed,
        }
        return merge_opened(parse_recipe(data), chosen, origin, options)

    whole = merged(held)
    told = statistics_of([whole], base, memory=memory, workers=workers)
    size = {
        one.name: math.sqrt((one.gram if base is None else one.deltas)[0][0])
        for one in told.tensors
    }
    moved: dict[str, list[float]] = {name: [] for name in size}
    for k in range(len(held)):
        rest = merged([*held[:k], *held[k + 1 :]])
        for one in statistics_of([whole, rest], memory=memory, workers=workers).tensors:
            moved[one.name].append(2 * math.sqrt(one.deltas[0][0]))  # around the mean of the two
    return {name: (each, size[name]) for name, each in moved.items()}


def _opened(model: Model, label: str, tensors: frozenset[str]) -> Checkpoint:
    found = checkpoint_of(model, label)
    entries = {name: one for name, one in found.entries.items() if name in tensors}
    return replace(found, entries=entries)
