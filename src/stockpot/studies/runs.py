"""The models of a study: checkpoints as they are, or the ingredients of an experiment's run."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import CheckpointError, FieldError
from ..training.jobs.folder import LISTING, ListedPool, read_finished


@dataclass(frozen=True, slots=True, kw_only=True)
class ChosenModels:
    """Models that a study looks at.

    Attributes:
        models, names: the checkpoints, and what to call them; no names for paths.
        base: what they come from, if it is known.
        private: names of tensors that are each model's own.
        note: which part of a run was taken, or ''.
    """

    models: tuple[Path, ...]
    names: tuple[str, ...] = ()
    base: Path | None = None
    private: tuple[str, ...] = ()
    note: str = ""


def models_of(
    paths: Sequence[str | Path], base: str | Path | None = None, pool: int | None = None
) -> ChosenModels:
    """Checkpoints, or where the one path is a run's folder, the ingredients of one of its pools.

    Args:
        paths: of the checkpoints, or of the run.
        base: what they come from.
        pool: the seed of a run's pool; the first one without it.

    Raises:
        CheckpointError: the run is not finished, has no such pool, or its list is damaged.
        FieldError: a pool of what is no run.
    """
    own = None if base is None else Path(base)
    listing = Path(paths[0]) / LISTING if len(paths) == 1 else None
    if listing is None or not listing.is_file():
        if pool is not None:
            raise FieldError("pool is for the folder of a run; these are checkpoints.")
        return ChosenModels(models=tuple(map(Path, paths)), base=own)
    run = listing.parent
    pools = read_finished(run).pools
    wanted = [one for one in pools if pool is None or one.seed == pool]
    if not wanted:
        seeds = ", ".join(str(one.seed) for one in pools)
        raise CheckpointError(f"{run} has no pool of seed {pool}; there are {seeds}.")
    first = wanted[0]
    return ChosenModels(
        models=tuple(run / one.path for one in first.ingredients),
        names=tuple(Path(one.path).stem for one in first.ingredients),
        base=own or (run / first.base if first.base else None),
        private=first.ingredients[0].private,
        note=_note(run, first, len(pools) if pool is None else 1),
    )


def _note(run: Path, pool: ListedPool, pools: int) -> str:
    if pools == 1:
        return ""
    where = "/".join(filter(None, (str(run), pool.cell, f"pool-{pool.seed}")))
    return f"{run} has {pools} pools; this is {where}. Others by --pool SEED, or file by file."
