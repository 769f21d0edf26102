"""CART's average and low-rank factors on disk: computed once, then used at any rank and scale.

An output of the method `cart-factors`: the average, which any library loads, and in its folder of
extras a file for each model, with `NAME.left.0`, U diag(s), and `NAME.right.0`, Vᵀ, in float32.

Shapes: B matrices of M rows and N columns in a tensor, R kept directions.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..checkpoints.entry import Checkpoint
from ..checkpoints.read import read_checkpoint
from ..checkpoints.writing.extras import read_extras
from ..checkpoints.writing.manifest import read_manifest
from ..errors import CheckpointError, FieldError, StockpotError
from ..methods import CartFactors
from ..methods.catalogue import read_method
from ..methods.matrices import matrix_shape
from ..ops.spectra.factors import Factors
from ..ops.spectra.low_rank import Ranks


@dataclass(frozen=True, slots=True)
class Factored:
    """An average and, for each task, its centred task vector at low rank.

    Attributes:
        path: the directory.
        method: its rank is the largest that there is.
        tasks: names of the models.
        shares: what each task counts in the sum, K w_k / Σ w.
        views: by decomposed tensor, the shape that was decomposed.
        average: the average's tensors.
        factors: those of all tasks.
        inputs: bytes of the models.
    """

    path: Path
    method: CartFactors
    tasks: tuple[str, ...]
    shares: tuple[float, ...]
    views: Mapping[str, tuple[int, ...]]
    average: Checkpoint
    factors: Checkpoint
    inputs: int

    @property
    def sizes(self) -> Mapping[str, int]:
        """Bytes of the models, of the average, and of all factors."""
        average, factors = self.average.nbytes, self.factors.nbytes
        return {"models": self.inputs, "average": average, "factors": factors}

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
        first = 0 if low is None else Ranks(fraction=low).known(full)
        last = Ranks(fraction=self._checked(high)).known(full)
        if first == last:
            return
        part = self.factors_of(name, task).between(first, last)
        total_BMN.baddbmm_(part.left, part.right, alpha=share)

    def factors_of(self, name: str, task: int) -> Factors:
        """Those of one task's tensor, [B, M, R] and [B, R, N]."""
        entries = self.factors.entries
        left, right = (entries[f"{name}.{side}.{task}"].load() for side in ("left", "right"))
        return Factors(left, right)

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


def read_factored(path: str | Path) -> Factored:
    """What `factor_to` wrote at a path; no factor is read before it is asked for.

    Raises:
        CheckpointError: there is no such thing at `path`.
    """
    where = Path(path)
    try:
        manifest = read_manifest(where)
        told, factors = manifest["recipe"]["method"], read_extras(where, manifest)
        if (
            told["name"] != CartFactors.called()
        ):  # nor is a stranger's code imported to see what it is
            raise CheckpointError
        method = read_method(told)
        if not isinstance(method, CartFactors) or factors is None:
            raise CheckpointError
        of = {
            extra["of"]: manifest["tensors"][extra["of"]] for extra in manifest["extras"].values()
        }
        weights = next(iter(of.values()))["weights"]
        average = read_checkpoint(where)
        tasks = tuple(str(one["name"]) for one in manifest["inputs"])
        inputs = sum(int(one["bytes"]) for one in manifest["inputs"])
    except (StockpotError, KeyError, TypeError, StopIteration):
        raise CheckpointError(
            f"{where} holds no factors of CART: stockpot factor MODEL... --out DIR makes some."
        ) from None
    return Factored(
        path=where,
        method=method,
        tasks=tasks,
        shares=tuple(len(weights) * weight for weight in weights),
        views={
            name: tuple(told.get("view", average.entries[name].shape)) for name, told in of.items()
        },
        average=average,
        factors=factors,
        inputs=inputs,
    )
