"""Interference of task vectors and what low rank leaves out of them, from weights alone."""

import math
from collections.abc import Iterator, Sequence
from itertools import combinations

from ...errors import FieldError, MergeError
from ...methods import Cart
from ...ops.spectra.low_rank import room_for_top_k
from ...recipes.reading.sizes import format_size, parse_size
from ...running.executor import in_order, workers_for
from ...values.result import Progress
from ...views.naming import names_of
from ..onepass.gathering import Model
from . import Interference
from .result import ALL, Centre, InterferenceResult, Pair, Point, Spectrum
from .rowspaces import Matrix, RowSpaces, choose, row_spaces


def compute(
    study: Interference,
    models: Sequence[Model],
    base: Model | None = None,
    *,
    names: Sequence[str] = (),
    private: Sequence[str] = (),
    memory: int | str = "2GiB",
    workers: int | None = None,
    progress: Progress | None = None,
) -> InterferenceResult:
    """The study of interference; see `Interference`."""
    if len(models) < 2:
        raise FieldError(f"interference is between models: give two or more; got {len(models)}.")
    grid = tuple(sorted(set(study.ranks)))
    tasks = names_of(models, names)
    chosen = choose(
        models,
        base,
        Cart(tensors=study.tensors, conv=study.conv, qkv=study.qkv),
        private=private,
        sample=study.sample,
    )
    centres: tuple[Centre, ...] = ("average", "base") if base is not None else ("average",)
    budget = parse_size(memory)
    threads = _threads(chosen.matrices, grid[-1], budget, workers)
    found = _all_spaces(chosen.matrices, centres, grid, threads, progress)
    spaces: Spaces = {(n, c): s for each in found for n, c, s in each}
    shapes = {one.name: one.shape for one in chosen.matrices}
    return InterferenceResult(
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
    return max(1, min(workers_for(workers), budget // needed, len(found)))


Found = tuple[str, Centre, RowSpaces]


def _all_spaces(
    matrices: Sequence[Matrix],
    centres: Sequence[Centre],
    grid: Sequence[float],
    threads: int,
    progress: Progress | None,
) -> list[list[Found]]:
    """Of every matrix, in their order."""

    def one(matrix: Matrix) -> list[Found]:
        return _spaces_of(matrix, centres, grid)

    whole = math.fsum(_work(each) for each in matrices)
    done = 0.0

    def tell(number: int) -> None:
        nonlocal done
        done += _work(matrices[number])
        if progress:
            progress(matrices[number].name, done / whole)

    return in_order(one, matrices, workers=threads, tell=tell)


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
