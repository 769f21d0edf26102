"""Interference of task vectors and what low rank leaves out of them, from weights alone."""

import math
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import combinations
from pathlib import Path

import torch

from ...errors import FieldError, MergeError
from ...methods import Cart
from ...methods.matrices import Conv, Stored, Which
from ...ops.spectral import room_for_top_k
from ...recipes.sizes import format_size, parse_size
from .result import (
    ALL,
    Centre,
    Interference,
    Pair,
    Point,
    Spectrum,
)
from .matrices import Matrix, choose
from .rowspaces import RowSpaces, row_spaces

RANKS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.0)
"""The grid: CART's 8% in its middle."""


def interference(
    models: Sequence[str | Path],
    *,
    base: str | Path | None = None,
    ranks: Sequence[float] = RANKS,
    tensors: Which = "auto",
    conv: Conv = "average",
    qkv: Stored = "stored",
    sample: int | None = None,
    names: Sequence[str] = (),
    private: Sequence[str] = (),
    memory: int | str = "2GiB",
    workers: int | None = None,
    progress: Callable[[str, float], None] | None = None,
) -> Interference:
    """How far task vectors get in each other's way, and what low rank leaves out of them.

    τ_t = θ_t - centre = U_t S_t V_tᵀ, the centre the models' average, and with a base that too;
    V~_t its first k right singular vectors, S~_t the first k singular values over |τ_t|:

        I(k) = Σ_i Σ_{j≠i} |S~_i V~_i V~_jᵀ S~_j|        R(k) = Σ_i |τ_i - SVD_k(τ_i)|²

    CART's claim is that I is lower around the average than around the base at every k, that R falls
    steeply at low k and I rises slowly, so that a small k is best. Of two models the centred task
    vectors are opposite, and share one row space.

    Args:
        models: two checkpoints or more with the same tensors, one for each task.
        base: what they were fine-tuned from.
        ranks: fractions of the full rank, in (0, 1]. The largest says how much is decomposed;
            effective ranks need 1.
        tensors, conv, qkv: which matrices, as `Cart` has them.
        sample: look at so many matrices only, evenly over the network.
        names: of the tasks; by default from the paths.
        private: names of tensors that are each model's own, such as heads.
        memory: budget for buffers.
        workers: threads; by default one per core, at most eight, as far as memory allows.
        progress: called with the matrix that is done and the fraction of the whole.

    Raises:
        FieldError: fewer than two models, a rank out of bounds, a sample below 1.
        MergeError: the models do not fit together, or one matrix does not fit in memory.
        NonFiniteError: a model holds NaN or infinity.

    Cost: one decomposition for each matrix, task and centre; every model is read twice for the
        average and once for the base. Memory: a few matrices, and the right singular vectors of all
        tasks, for one matrix at a time and worker.
    Deviations: the paper's text has |(S~_i V~_i)ᵀ (S~_j V~_j)| with directions as rows. Taken so,
        the product pairs direction r of one task with direction r of the other and its norm does
        not depend on the angles; the k x k product above is 0 exactly where row spaces are
        orthogonal. How singular values are normalised is not said; here by the Frobenius norm of
        the whole task vector, so that a pair's share lies in [0, 1] whatever the lengths.

    Source: Choi et al., 2024, arXiv 2412.12153.
    """
    grid = tuple(sorted(set(map(float, ranks))))
    _refuse(models, grid, sample)
    tasks = _called(models, names)
    chosen = choose(
        models,
        base,
        Cart(tensors=tensors, conv=conv, qkv=qkv),
        private=private,
        sample=sample,
    )
    centres: tuple[Centre, ...] = ("average", "base") if base is not None else ("average",)
    budget = parse_size(memory)
    threads = _threads(chosen.matrices, grid[-1], budget, workers)
    found = _all_spaces(chosen.matrices, centres, grid, threads, progress)
    spaces: Spaces = {(n, c): s for each in found for n, c, s in each}
    shapes = {one.name: one.shape for one in chosen.matrices}
    return Interference(
        title="Interference of task vectors",
        tasks=tasks,
        centres=centres,
        ranks=grid,
        points=tuple(_points(spaces, shapes, centres, grid)),
        pairs=tuple(_pairs(spaces, tasks, centres, grid)),
        spectra=tuple(_spectra(spaces, shapes, tasks)),
        facts=(
            ("models", ", ".join(tasks)),
            ("base", "none" if base is None else str(base)),
            ("tensors", chosen.words),
            ("matrices", str(len(shapes))),
            *_unmoved(spaces),
            (
                "normalisation",
                "singular values are divided by the Frobenius norm of their task vector",
            ),
            ("largest certified error", f"{max(s.error for s in spaces.values()):.2g}"),
            *(("note", text) for text in chosen.notes),
        ),
    )


def _refuse(models: Sequence[str | Path], grid: Sequence[float], sample: int | None) -> None:
    if len(models) < 2:
        raise FieldError(f"interference is between models: give two or more; got {len(models)}.")
    if not grid:
        raise FieldError("ranks: give one or more fractions of the full rank.")
    for rank in grid:
        if not 0 < rank <= 1:
            raise FieldError(f"ranks must be in (0, 1]; got {rank:g}.")
    if sample is not None and sample < 1:
        raise FieldError(f"sample must be at least 1; got {sample}.")


def _called(models: Sequence[str | Path], names: Sequence[str]) -> tuple[str, ...]:
    """The names that were given, else of the paths what tells them apart."""
    if names and len(names) != len(models):
        raise FieldError(f"names: there are {len(models)} models and {len(names)} names.")
    own = names or [Path(model).stem or str(model) for model in models]
    if len(set(own)) < len(own):
        own = [str(model) for model in models]
    if len(set(own)) < len(own):
        own = [f"{name} ({k + 1})" for k, name in enumerate(own)]
    return tuple(own)


def _room(one: Matrix, most: float) -> int:
    """Bytes that the work on one tensor holds at once."""
    (rows, columns), size = one.shape, one.dtype.itemsize
    kept = max(1, math.floor(most * min(rows, columns) + 1e-9))
    directions = len(one.sources) * kept * columns
    work = max(room_for_top_k(rows, columns, most), 3 * kept * kept * 8 // size)
    return size * (4 * rows * columns + directions + work)


def _threads(found: Sequence[Matrix], most: float, budget: int, workers: int | None) -> int:
    """As many as are wanted and fit."""
    largest = max(found, key=lambda one: _room(one, most))
    needed = _room(largest, most)
    if needed > budget:
        raise MergeError(
            f"'{largest.name}' needs {format_size(needed)} for {len(largest.sources)} models at "
            f"rank {most:g}; memory is {format_size(budget)}. Raise it, or give smaller ranks."
        )
    wanted = workers or min(len(os.sched_getaffinity(0)), 8)
    return max(1, min(wanted, budget // needed, len(found)))


Found = tuple[str, Centre, RowSpaces]


def _all_spaces(
    matrices: Sequence[Matrix],
    centres: Sequence[Centre],
    grid: Sequence[float],
    threads: int,
    progress: Callable[[str, float], None] | None,
) -> list[list[Found]]:
    """Of every matrix, in their order."""

    def one(matrix: Matrix) -> list[Found]:
        torch.set_num_threads(1)
        return _spaces_of(matrix, centres, grid)

    whole = math.fsum(_work(each) for each in matrices)
    done = 0.0
    with ThreadPoolExecutor(threads) as pool:
        futures = {pool.submit(one, each): each for each in matrices}
        try:
            for future in as_completed(futures):
                future.result()
                done += _work(futures[future])
                if progress:
                    progress(futures[future].name, done / whole)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    return [future.result() for future in futures]


def _work(one: Matrix) -> float:
    """Multiplications, up to a factor."""
    rows, columns = one.shape
    return float(rows * columns) * min(rows, columns)


def _spaces_of(matrix: Matrix, centres: Sequence[Centre], grid: Sequence[float]) -> list[Found]:
    found: list[Found] = []
    for centre in centres:
        centre_MN = matrix.average() if centre == "average" else matrix.origin()
        found.append((matrix.name, centre, row_spaces(matrix.deltas(centre_MN), grid)))
    return found


Spaces = dict[tuple[str, Centre], RowSpaces]


def _points(
    spaces: Spaces,
    shapes: dict[str, tuple[int, int]],
    centres: Sequence[Centre],
    grid: Sequence[float],
) -> Iterator[Point]:
    for centre in centres:
        mine = {name: one for (name, around), one in spaces.items() if around == centre}
        for g, rank in enumerate(grid):
            points = [
                Point(
                    tensor=name,
                    rows=shapes[name][0],
                    columns=shapes[name][1],
                    centre=centre,
                    rank=rank,
                    count=one.counts[g],
                    interference=2 * math.fsum(one.interference[g]),
                    residual=math.fsum(one.residuals[g]),
                    relative=_quotient(math.fsum(one.residuals[g]), math.fsum(one.squares)),
                    overlap=math.fsum(one.overlaps[g]) / len(one.overlaps[g]),
                )
                for name, one in mine.items()
            ]
            squares = math.fsum(math.fsum(one.squares) for one in mine.values())
            residual = math.fsum(point.residual for point in points)
            yield Point(
                tensor=ALL,
                rows=0,
                columns=0,
                centre=centre,
                rank=rank,
                count=sum(point.count for point in points),
                interference=math.fsum(point.interference for point in points) / len(points),
                residual=residual,
                relative=_quotient(residual, squares),
                overlap=math.fsum(point.overlap for point in points) / len(points),
            )
            yield from points


def _quotient(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def _pairs(
    spaces: Spaces, tasks: Sequence[str], centres: Sequence[Centre], grid: Sequence[float]
) -> Iterator[Pair]:
    for centre in centres:
        mine = [one for (_, around), one in spaces.items() if around == centre]
        for g, rank in enumerate(grid):
            for p, (one, other) in enumerate(combinations(tasks, 2)):
                yield Pair(
                    centre=centre,
                    rank=rank,
                    one=one,
                    other=other,
                    interference=math.fsum(s.interference[g][p] for s in mine) / len(mine),
                    overlap=math.fsum(s.overlaps[g][p] for s in mine) / len(mine),
                )


def _spectra(
    spaces: Spaces, shapes: dict[str, tuple[int, int]], tasks: Sequence[str]
) -> Iterator[Spectrum]:
    for (name, centre), one in spaces.items():
        for t, task in enumerate(tasks):
            yield Spectrum(
                tensor=name,
                centre=centre,
                task=task,
                norm=math.sqrt(one.squares[t]),
                effective_rank=one.effective_ranks[t],
                full_rank=min(shapes[name]),
                values=one.spectra[t],
            )


def _unmoved(spaces: Spaces) -> Iterator[tuple[str, str]]:
    still = [
        name for (name, centre), s in spaces.items() if centre == "average" and not any(s.squares)
    ]
    if still:
        yield (
            "alike in all models",
            f"{len(still)} matrices, such as {still[0]}; they count as 0 in means",
        )
