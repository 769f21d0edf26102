"""CART's average and low-rank factors on disk: computed once, then used at any rank and scale.

A directory with `average.safetensors`, and a file for each task, `task-0.safetensors` ...: for
every decomposed tensor `tasks.0.NAME.left`, U diag(s), and `tasks.0.NAME.right`, Vᵀ, in float32.
`factored.json` says what they were made of.

Shapes: B matrices of M rows and N columns in a tensor, K kept directions.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..checkpoints.entry import Checkpoint, FileSource
from ..checkpoints.formats.layout import OutputTensor, Shard, single_file
from ..checkpoints.formats.safetensors import read_safetensors
from ..checkpoints.writing.journal import Record
from ..checkpoints.writing.writer import Output
from ..core import Reach
from ..errors import CheckpointError, FieldError, MergeError, OutputError
from ..methods import Cart
from ..methods.catalogue import make_method, method_fields
from ..methods.matrices import each_matrix, matrix_shape
from ..ops.means import affine
from ..ops.rounding import rounded
from ..ops.spectra.low_rank import Ranks, top_k
from ..recipes.assignment import Assignment
from ..recipes.model import Recipe, parse_recipe
from ..recipes.sizes import format_size, parse_size
from ..running.executor import in_order
from .local import Run
from .options import Options
from .plan import Plan
from .prepare import Prepared, check_output_path, prepare
from .rows import OnDisk, Rows, raw_bytes

_TOLD = "factored.json"


@dataclass(frozen=True, slots=True)
class Factored:
    """An average and, for each task, its centred task vector at low rank.

    Attributes:
        path: the directory.
        method: the Cart whose rank is the largest that there is.
        tasks: paths of the models, as they were given.
        shares: what each task counts in the sum, K w_k / Σ w.
        views: by decomposed tensor, the shape that was decomposed.
        average: the average's tensors.
        factors: those of each task.
        inputs: bytes of the models.
    """

    path: Path
    method: Cart
    tasks: tuple[str, ...]
    shares: tuple[float, ...]
    views: Mapping[str, tuple[int, ...]]
    average: Checkpoint
    factors: tuple[Checkpoint, ...]
    inputs: int

    @property
    def sizes(self) -> Mapping[str, int]:
        """Bytes of the models, of the average, and of all factors."""
        factors = sum(task.nbytes for task in self.factors)
        return {"models": self.inputs, "average": self.average.nbytes, "factors": factors}

    def task(
        self, index: int, *, rank: float | None = None, scale: float = 1.0
    ) -> dict[str, Tensor]:
        """Task `index` itself, restored: θ_avg + scale · SVD_r(θ_k - θ_avg).

        Tensors that were not decomposed are those of the average.

        Raises:
            FieldError: `rank` is not in (0, 1] or above the stored one.
        """
        return self._moved({index: 1.0}, rank, scale)

    def merged(self, *, rank: float | None = None, scale: float = 1.0) -> dict[str, Tensor]:
        """CART at a rank up to the stored one: θ_avg + scale · Σ_k SVD_r(θ_k - θ_avg)."""
        return self._moved(dict(enumerate(self.shares)), rank, scale)

    def sweep(
        self, ranks: Sequence[float], scales: Sequence[float]
    ) -> Iterator[tuple[float, float, dict[str, Tensor]]]:
        """CART at every rank and scale, ranks ascending; each direction is multiplied out once.

        Memory: the average, the sum, and the state dict that is given out.
        """
        average = {n: e.load() for n, e in self.average.entries.items()}
        total = {n: torch.zeros(self._flat(n)) for n in self.views}
        low: float | None = None
        for rank in sorted(ranks):
            for task, share in enumerate(self.shares):
                for name in self.views:
                    self._add(total[name], name, task, share, low, rank)
            low = rank
            for scale in scales:
                yield rank, scale, {n: _at(t, total.get(n), scale) for n, t in average.items()}

    def _moved(
        self, shares: Mapping[int, float], rank: float | None, scale: float
    ) -> dict[str, Tensor]:
        high = self.method.rank if rank is None else rank
        state: dict[str, Tensor] = {}
        for name, entry in self.average.entries.items():
            total = torch.zeros(self._flat(name)) if name in self.views else None
            if total is not None:
                for task, share in shares.items():
                    self._add(total, name, task, share, None, high)
            state[name] = _at(entry.load(), total, scale)
        return state

    def _add(
        self, total_BMN: Tensor, name: str, task: int, share: float, low: float | None, high: float
    ) -> None:
        """Directions from the rank `low` on up to `high` of one task."""
        full = min(total_BMN.shape[1:])
        first = 0 if low is None else _count(Ranks(fraction=low), full)
        last = _count(Ranks(fraction=self._checked(high)), full)
        if first == last:
            return
        entries, key = self.factors[task].entries, f"tasks.{task}.{name}"
        left_BMK = entries[f"{key}.left"].load()[..., first:last]
        right_BKN = entries[f"{key}.right"].load()[:, first:last]
        total_BMN.baddbmm_(left_BMK, right_BKN, alpha=share)

    def _checked(self, rank: float) -> float:
        if not 0 < rank <= 1:
            raise FieldError(f"rank must be in (0, 1]; got {rank}.")
        if rank > self.method.rank:
            raise FieldError(
                f"rank {rank:g} is above {self.method.rank:g}, which {self.path} holds: "
                "make the factors anew at a larger rank."
            )
        return rank

    def _flat(self, name: str) -> tuple[int, int, int]:
        rows, columns = matrix_shape(self.views[name])
        return (math.prod(self.views[name][:-2]), rows, columns)


def _at(average: Tensor, total_BMN: Tensor | None, scale: float) -> Tensor:
    if total_BMN is None:
        return average
    return (total_BMN.reshape(average.shape) * scale).add_(average).to(average.dtype)


def _count(ranks: Ranks, full: int) -> int:
    return ranks.of(torch.ones(full), float(full)) if full else 0


def read_factored(path: str | Path) -> Factored:
    """What `factor_to` wrote at a path; no factor is read before it is asked for.

    Raises:
        CheckpointError: there is no such thing at `path`.
    """
    where = Path(path)
    try:
        told: dict[str, Any] = json.loads((where / _TOLD).read_text(encoding="utf8"))
        method = make_method("cart", told["fields"])
        tasks, shares, views = told["tasks"], told["shares"], told["views"]
    except (OSError, ValueError, KeyError, TypeError):
        raise CheckpointError(f"{where} holds no factors of CART: no {_TOLD} there.") from None
    assert isinstance(method, Cart)
    return Factored(
        path=where,
        method=method,
        tasks=tuple(tasks),
        shares=tuple(shares),
        views={name: tuple(view) for name, view in views.items()},
        average=read_safetensors(FileSource(where / "average.safetensors")),
        factors=tuple(
            read_safetensors(FileSource(where / _file(task))) for task in range(len(tasks))
        ),
        inputs=told["inputs"],
    )


def factor_to(
    out: str | Path,
    models: Sequence[str | Path],
    method: Cart,
    *,
    weights: Sequence[float] | None = None,
    limit: int | str | None = None,
    memory: int | str = "2GiB",
    workers: int | None = None,
) -> Factored:
    """Decompose the centred task vectors of checkpoints once, and keep the factors in `out`.

    Where `out` holds those of the same models and method already, nothing is computed.

    Args:
        out: a directory to be made.
        models: paths of the tasks' models.
        method: its rank is the largest that can be asked for later; scale is not used.
        weights: K raw numbers, default 1 each.
        limit: bytes that average and factors may take.
        memory: budget for buffers; two sweeps over the models whatever it is.
        workers: threads.

    Raises:
        MergeError: the method is around the base, or has no rank as a fraction.
        OutputError: the factors would be larger than the limit; nothing is computed.
        StockpotError: as `merge_to`.
    """
    options = Options(memory=memory, workers=workers, device="cpu")
    prepared = opened_for(recipe_of_factors(models, method, weights), options)
    return factor_prepared(Path(out), prepared, limit)


def factor_prepared(where: Path, prepared: Prepared, limit: int | str | None = None) -> Factored:
    """The same of a recipe that was opened by `opened_for`; what its rules say goes to the average.

    Raises:
        OutputError, StockpotError: as `factor_to`.
    """
    check_output_path(where)
    if where.suffix == ".safetensors":
        raise OutputError(f"{where}: factors are a directory, not a .safetensors file.")
    method, tasks = _cart(prepared.recipe), prepared.assignments.models
    fingerprint = prepared.fingerprint()
    if (where / _TOLD).is_file():
        told = json.loads((where / _TOLD).read_text(encoding="utf8"))
        if told.get("fingerprint") == fingerprint:
            return read_factored(where)
    need = size_of_factors(prepared)
    if limit is not None and need > parse_size(limit):
        raise OutputError(
            f"average and factors take {format_size(need)}, more than the limit of "
            f"{format_size(parse_size(limit))}: lower the rank or raise the limit."
        )
    decomposed = decomposed_in(prepared)
    with Output(where, _layout(prepared), fingerprint) as output:
        Run(_without(prepared.plan, decomposed), output, digests=False).execute()
        factor = partial(_factor, output=output, ranks=method.ranks)
        in_order(factor, decomposed, workers=prepared.plan.workers)
        told = {
            "fingerprint": fingerprint,
            "fields": method_fields(method),
            "tasks": [task.label for task in tasks],
            "shares": [len(tasks) * weight for weight in decomposed[0].weights],
            "views": {a.name: a.view for a in decomposed},
            "inputs": sum(checkpoint.nbytes for checkpoint in prepared.inputs),
        }
        output.commit({_TOLD: (json.dumps(told, indent=1) + "\n").encode()})
    return read_factored(where)


def recipe_of_factors(
    models: Sequence[str | Path], method: Cart, weights: Sequence[float] | None = None
) -> Recipe:
    """The recipe of CART of some paths."""
    given = [None] * len(models) if weights is None else [float(w) for w in weights]
    ingredients = [{"path": str(m), "weight": w} for m, w in zip(models, given, strict=True)]
    return parse_recipe({"method": method, "models": ingredients})


def opened_for(recipe: Recipe, options: Options) -> Prepared:
    """A recipe whose factors can be kept, opened and checked; no weight is read.

    Tensors that its rules copy, or merge by another method, are part of the average.

    Raises:
        MergeError: its method is not CART around the average with a rank as a fraction, or changes
            from layer to layer or by rules; or a tensor is not in every model.
    """
    method = _cart(recipe)
    if method.around != "average" or method.energy or method.rank_count:
        raise MergeError("factors are kept around the average, up to a rank as a fraction.")
    if method.qkv == "fused":
        raise MergeError("factors are kept of tensors one by one: set qkv to 'stored' or 'split'.")
    if recipe.layers or any(isinstance(rule.method, Cart) for rule in recipe.rules):
        raise MergeError("factors are kept of one CART for all layers.")
    prepared = prepare(recipe, options, None)
    if prepared.plan.derived:
        name = prepared.plan.derived[0].name
        raise MergeError(
            f"factors are not kept where tensors follow from others, as '{name}' does."
        )
    for a in decomposed_in(prepared):
        if len(a.sources) < len(recipe.models):
            raise MergeError(f"'{a.name}' is not in every model: factors need it in all.")
    return prepared


def decomposed_in(prepared: Prepared) -> list[Assignment]:
    """Tensors of which factors are kept."""
    return [a for a in prepared.assignments.tensors if isinstance(a.method, Cart)]


def size_of_factors(prepared: Prepared) -> int:
    """Bytes of the average and of all factors on disk."""
    return sum(shard.size for shard in _layout(prepared))


def at_any_rank(method: Cart) -> Cart:
    """What a decomposition depends on: the method without what can be chosen afterwards."""
    return replace(method, rank=1.0, scale=1.0)


def _cart(recipe: Recipe) -> Cart:
    if not isinstance(recipe.method, Cart):
        raise MergeError("factors are kept of cart alone.")
    return recipe.method


def _file(task: int) -> str:
    return f"task-{task}.safetensors"


def _layout(prepared: Prepared) -> tuple[Shard, ...]:
    tensors, ranks = prepared.assignments.tensors, _cart(prepared.recipe).ranks
    decomposed = decomposed_in(prepared)
    average = [OutputTensor(a.name, a.stored_dtype, a.stored_shape) for a in tensors]
    shards = [*single_file(average, "average.safetensors", {"format": "pt"})]
    for task in range(len(prepared.assignments.models)):
        factors: list[OutputTensor] = []
        for a in decomposed:
            assert a.view is not None
            rows, columns = matrix_shape(a.view)
            count = _count(ranks, min(rows, columns))
            batch, key = math.prod(a.view[:-2]), f"tasks.{task}.{a.name}"
            factors.append(OutputTensor(f"{key}.left", torch.float32, (batch, rows, count)))
            factors.append(OutputTensor(f"{key}.right", torch.float32, (batch, count, columns)))
        shards += single_file(factors, _file(task), {"format": "pt"})
    return tuple(shards)


def _without(plan: Plan, decomposed: Sequence[Assignment]) -> Plan:
    """The plan of everything else; those tensors have no survey and are never packed."""
    names = {a.name for a in decomposed}
    tasks = [replace(t, pieces=tuple(p for p in t.pieces if p.assignment.name not in names))
             for t in plan.tasks]  # fmt: skip
    assert all(s.method.needs.reach is Reach.MODEL for s in plan.surveys)
    return replace(plan, tasks=tuple(task for task in tasks if task.pieces))


def _factor(a: Assignment, *, output: Output, ranks: Ranks) -> None:
    """Write one tensor's average and the factors of every task; a few matrices at a time."""
    assert a.view is not None
    wide = any(row.dtype == torch.float64 for row in a.entries)
    dtype = torch.float64 if wide else torch.float32
    raw = [OnDisk(entry, digests=False) for entry in a.sources]
    rows = Rows(raw, dtype, torch.device("cpu"), a.view, None)
    centre = affine(rows, a.weights)
    if not torch.isfinite(centre).all():
        raise MergeError(f"'{a.name}' holds NaN or infinity in one of the models.")
    output.write(a.name, 0, raw_bytes(rounded(centre, a.dtype).reshape(-1)))
    count = _count(ranks, min(matrix_shape(a.view)))
    for task in range(len(rows)):
        parts = [top_k(matrix, ranks) for matrix in each_matrix(rows[task].sub_(centre))]
        left_BMK = centre.new_zeros((len(parts), centre.shape[-2], count), dtype=torch.float32)
        right_BKN = centre.new_zeros((len(parts), count, centre.shape[-1]), dtype=torch.float32)
        for b, part in enumerate(parts):
            left_BMK[b, :, : part.rank] = part.scaled()
            right_BKN[b, : part.rank] = part.right
        key = f"tasks.{task}.{a.name}"
        output.write(f"{key}.left", 0, raw_bytes(left_BMK.reshape(-1)))
        output.write(f"{key}.right", 0, raw_bytes(right_BKN.reshape(-1)))
    output.finish([Record(a.name, None)])
