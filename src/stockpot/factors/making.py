"""Making CART's factors: the merge of `cart-factors`, where it was not made before."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..engine.merge import carry_out
from ..engine.options import Options
from ..engine.prepare import Prepared, check_output_path, prepare
from ..errors import MergeError, OutputError
from ..methods import Cart, CartFactors
from ..recipes.reading.recipe import Recipe, parse_recipe
from ..recipes.reading.sizes import format_size, parse_size
from ..recipes.resolving.assignment import Assignment
from .factored import Factored, read_factored


def factor_to(
    out: str | Path,
    models: Sequence[str | Path],
    method: Cart,
    *,
    weights: Sequence[float] | None = None,
    limit: int | str | None = None,
    memory: int | str = "2GiB",
    workers: int | None = None,
    overwrite: bool = False,
) -> Factored:
    """Decompose the centred task vectors of checkpoints once, and keep the factors in `out`.

    Where `out` holds those of the same models and method already, nothing is computed; what was
    killed half way goes on.

    Args:
        out: a directory to be made.
        models: paths of the tasks' models.
        method: its rank is the largest that can be asked for later; scale is not used.
        weights: K raw numbers, default 1 each.
        limit: bytes that average and factors may take.
        memory: budget for buffers; two sweeps over the models whatever it is.
        workers: threads.
        overwrite: replace other factors in `out`.

    Raises:
        MergeError: the method is around the base, or has no rank as a fraction.
        OutputError: the factors would be larger than the limit; nothing is computed.
        StockpotError: as `merge_to`.
    """
    where = Path(out)
    check_output_path(where)
    if where.suffix == ".safetensors":
        raise OutputError(f"{where}: factors are a directory, not a .safetensors file.")
    options = Options(
        memory=memory, workers=workers, device="cpu", resume=True, overwrite=overwrite
    )
    prepared = opened_for(recipe_of_factors(models, method, weights), options, where)
    return factor_prepared(where, prepared, limit)


def factor_prepared(where: Path, prepared: Prepared, limit: int | str | None = None) -> Factored:
    """The same of a recipe that was opened by `opened_for`; what its rules say goes to the average.

    Raises:
        OutputError, StockpotError: as `factor_to`.
    """
    if limit is not None and prepared.size > parse_size(limit):
        raise OutputError(
            f"average and factors take {format_size(prepared.size)}, more than the limit of "
            f"{format_size(parse_size(limit))}: lower the rank or raise the limit."
        )
    carry_out(prepared, where)
    return read_factored(where)


def recipe_of_factors(
    models: Sequence[str | Path], method: Cart, weights: Sequence[float] | None = None
) -> Recipe:
    """The recipe of CART of some paths."""
    given = [None] * len(models) if weights is None else [float(w) for w in weights]
    ingredients = [{"path": str(m), "weight": w} for m, w in zip(models, given, strict=True)]
    return parse_recipe({"method": method, "models": ingredients})


def opened_for(recipe: Recipe, options: Options, out: Path | None) -> Prepared:
    """The factors of a recipe whose method is CART, opened and checked; no weight is read.

    Tensors that its rules copy, or merge by another method, are part of the average.

    Raises:
        MergeError: its method is not CART around the average with a rank as a fraction, or changes
            from layer to layer or by rules; or a tensor is not in every model.
    """
    method = factors_of(recipe.method)
    if recipe.layers or any(isinstance(rule.method, Cart) for rule in recipe.rules):
        raise MergeError("factors are kept of one CART for all layers.")
    wanted = replace(recipe, method=method, search={}, searched=None)
    prepared = prepare(wanted, options, out)
    if prepared.plan.derived:
        name = prepared.plan.derived[0].name
        raise MergeError(
            f"factors are not kept where tensors follow from others, as '{name}' does."
        )
    for a in decomposed_in(prepared):
        if len(a.sources) < len(recipe.models):
            raise MergeError(f"'{a.name}' is not in every model: factors need it in all.")
    return prepared


def factors_of(method: object) -> CartFactors:
    """The method whose factors CART needs at this rank or a smaller one, and any scale.

    Raises:
        MergeError: there is none for the method.
    """
    if not isinstance(method, Cart):
        raise MergeError("factors are kept of cart alone.")
    if method.around != "average" or method.energy or method.rank_count:
        raise MergeError("factors are kept around the average, up to a rank as a fraction.")
    if method.qkv == "fused":
        raise MergeError("factors are kept of tensors one by one: set qkv to 'stored' or 'split'.")
    return CartFactors(rank=method.rank, tensors=method.tensors, conv=method.conv, qkv=method.qkv)


def decomposed_in(prepared: Prepared) -> list[Assignment]:
    """Tensors of which factors are kept."""
    return [a for a in prepared.assignments.tensors if isinstance(a.method, CartFactors)]


def at_any_rank(method: Cart) -> Cart:
    """What a decomposition depends on: the method without what can be chosen afterwards."""
    return replace(method, rank=1.0, scale=1.0)
