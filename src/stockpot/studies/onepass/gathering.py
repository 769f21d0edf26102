"""`statistics_of`: one pass over the same tensors of several checkpoints, of any size.

Shapes: K models, R rows of one Gram matrix.
"""

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from ...checkpoints.entry import Checkpoint, TensorEntry
from ...checkpoints.inspection import dtype_text
from ...checkpoints.roles import classify
from ...engine.rows import raw_bytes
from ...engine.streaming import Aligned, stream
from ...errors import FieldError
from ...ops.agreement import SignCounts
from ...ops.distribution import pivot_of
from ...typed import to_floats
from ...values.result import Progress
from ...views.matched import matched
from ...views.models import checkpoint_of
from ...views.naming import names_of
from ..study import Model
from .pieces import PieceStatistics, measure_piece, room_for
from .statistics import SHARES, Entries, Left, Matrix, Signs, Statistics, TensorStatistics


def statistics_of(
    models: Sequence[Model],
    base: Model | None = None,
    *,
    names: Sequence[str] = (),
    private: Sequence[str] = (),
    memory: int | str = "2GiB",
    workers: int | None = None,
    progress: Progress | None = None,
) -> Statistics:
    """Gram matrices, moments, quantiles, normality and signs of every tensor, in one pass.

    With δ_k = θ_k - base, or θ_k - (1/K) Σ_j θ_j where there is no base or it lacks the tensor:

        G_ij = <θ_i, θ_j>        D_ij = <δ_i, δ_j>        KS_k = max |F_k - N(μ_k, σ_k²)|

    D does not come from G by subtraction, which would cancel. Products are taken of the differences
    from a pivot, which is the base, else the first model. They give D, and with each model's own
    square, which for 16-bit formats its bins hold exactly, G:

        <θ_i, θ_j> = (<θ_i, θ_i> + <θ_j, θ_j> - |θ_i - θ_j|²) / 2

    Tensors of integers, second names of tied ones, empty ones, those that are each model's own or
    not in all models, of different shapes, or not finite, are left out, and listed with the reason.

    Args:
        models: one or more checkpoints or state dicts.
        base: what they were fine-tuned from; it may have more tensors, or fewer.
        names: of the models; by default from the paths.
        private: names of tensors that are each model's own, such as heads.
        memory: budget for buffers.
        workers: threads; by default one per core, at most eight, as far as memory allows.
        progress: called with a tensor that is done and the fraction of the whole.

    Raises:
        FieldError: no model, or another number of names.
        CheckpointError: a checkpoint cannot be read.
        MergeError: the budget does not hold 2^15 elements of each model.

    Cost: every byte is read once. About 3 processor-nanoseconds for each element of each 16-bit
        model, 5 for float32. The same bits for any memory and number of workers.
    Deviations: rows are float32 (float64 where one is), as in merges, so a difference is rounded
        once; products and sums are float64.
    """
    if not models:
        raise FieldError("statistics are of models: give one or more.")
    called = names_of(models, names)
    every = [checkpoint_of(model, name) for model, name in zip(models, called, strict=True)]
    there = None if base is None else checkpoint_of(base, "the base")
    held = matched([*every, *([] if there is None else [there])]).checkpoints
    every, there = list(held[: len(every)]), None if there is None else held[-1]
    taken, left = _aligned(every, called, there, private)
    pivots = {one.name: _pivots(one) for one in taken}
    count = len(every)

    def measure(one: Aligned, rows: Sequence[Tensor], _start: int) -> PieceStatistics:
        return measure_piece(rows, pivots[one.name], count, wide=one.wide)

    def finish(one: Aligned, found: PieceStatistics) -> TensorStatistics | Left:
        return _finished(one, found, called)

    def room(one: Aligned) -> int:
        return room_for(len(one.entries), one.numel, wide=one.wide)

    found = stream(
        taken,
        measure,
        PieceStatistics.join,
        finish,
        room=room,
        memory=memory,
        workers=workers,
        progress=progress,
    )
    checkpoints = (*every, *([] if there is None else [there]))
    return Statistics(
        names=called,
        base=None if there is None else there.label,
        tensors=tuple(one for one in found if isinstance(one, TensorStatistics)),
        left=(*left, *(one for one in found if isinstance(one, Left))),
        notes=tuple(note for one in checkpoints for note in one.notes),
    )


def _aligned(
    models: Sequence[Checkpoint],
    called: Sequence[str],
    base: Checkpoint | None,
    private: Sequence[str],
) -> tuple[list[Aligned], list[Left]]:
    """Tensors that all models have alike; and the others, with the reason."""
    taken, left, own = list[Aligned](), list[Left](), frozenset(private)
    for name in dict.fromkeys(name for one in models for name in one.entries):
        entries = [one.entries.get(name) for one in models]
        there = [entry for entry in entries if entry is not None]
        if reason := _unfit(there, entries, called, is_private=name in own):
            left.append(Left(name, reason))
            continue
        centre = None if base is None else base.entries.get(name)
        if centre is not None and _differ(centre, there[0]):
            centre = None
        rows = (*there, *([] if centre is None else [centre]))
        taken.append(Aligned(name, there[0].shape, rows))
    return taken, left


def _unfit(
    there: Sequence[TensorEntry],
    entries: Sequence[TensorEntry | None],
    called: Sequence[str],
    *,
    is_private: bool,
) -> str:
    if is_private:
        return "is each model's own"
    if len(there) < len(entries):
        lacking = [name for name, one in zip(called, entries, strict=True) if one is None]
        return f"is missing in {_some(lacking)}"
    if any(one.shape != there[0].shape for one in there):
        return f"has shapes {_some(str(one.shape) for one in there)}"
    if any(_is_whole(one) for one in there):
        kind = "complex" if any(one.dtype.is_complex for one in there) else "whole"
        return f"holds {kind} numbers ({_some(map(dtype_text, there))})"
    if all(one.alias_of is not None for one in there):
        return f"is a second name of '{there[0].alias_of}'"
    return "" if there[0].numel else "is empty"


def _is_whole(entry: TensorEntry) -> bool:
    return not entry.dtype.is_floating_point


def _differ(base: TensorEntry, model: TensorEntry) -> bool:
    return base.shape != model.shape or _is_whole(base)


def _some(words: Iterable[str]) -> str:
    every = list(dict.fromkeys(words))
    more = f" and {len(every) - 4} more" if len(every) > 4 else ""
    return ", ".join(every[:4]) + more


def _pivots(one: Aligned) -> tuple[float, ...]:
    """Of each row, from its first run; nothing is read of 16-bit formats."""
    return tuple(map(_pivot, one.entries))


def _pivot(entry: TensorEntry) -> float:
    if entry.dtype.itemsize <= 2:
        return 0.0
    flat = torch.empty(min(entry.numel, 2**12), dtype=entry.dtype)
    entry.source.read_into(raw_bytes(flat), entry.offset)
    return pivot_of(flat)


def _finished(
    one: Aligned, found: PieceStatistics, called: Sequence[str]
) -> TensorStatistics | Left:
    made = [each.distribution() for each in found.sketches]
    labels = [*called, "the base"]
    if bad := [label for label, each in zip(labels, made, strict=False) if each is None]:
        said = f"holds NaN, infinity or what is next to it in {_some(bad)}"
        return Left(one.name, said, tuple(bad))
    entries = [
        Entries(
            dtype=dtype_text(entry),
            moments=each.moments,
            distance=each.distance_to_normal(),
            quantiles=each.quantiles(SHARES),
        )
        for entry, each in zip(one.entries, made, strict=True)
        if each is not None
    ]
    count = len(called)
    based = len(entries) > count
    squares = [each.square() for each in found.sketches[:count]]
    gram_KK, deltas_KK = _products(found.products.total(), squares, based=based)
    return TensorStatistics(
        name=one.name,
        shape=one.shape,
        role=str(classify(one.name, one.shape, one.entries[0].dtype)),
        centre="base" if based else "mean",
        models=tuple(entries[:count]),
        base=entries[-1] if based else None,
        gram=_matrix(gram_KK),
        deltas=_matrix(deltas_KK),
        signs=_shares(found.signs),
    )


def _products(total_RR: Tensor, squares: Sequence[float], *, based: bool) -> tuple[Tensor, Tensor]:
    """G and D, from products of the differences from the pivot and each model's own square.

    Their errors are those of sums in float64 of products of the rows themselves.
    """
    count = len(squares)
    pad = count - len(total_RR)  # the pivot is the first model, or none of them
    offsets_KK = torch.nn.functional.pad(total_RR, (pad, 0, pad, 0))
    own_K, square_K = offsets_KK.diagonal(), torch.tensor(squares, dtype=torch.float64)
    apart_KK = own_K[:, None] + own_K - 2 * offsets_KK
    gram_KK = (square_K[:, None] + square_K - apart_KK) / 2
    if based:
        return gram_KK, offsets_KK
    centring_KK = torch.eye(count, dtype=torch.float64) - 1 / count
    return gram_KK, centring_KK @ offsets_KK @ centring_KK


def _matrix(values_KK: Tensor) -> Matrix:
    """Symmetric to the last bit, with no square below 0."""
    numbers = to_floats((values_KK + values_KK.T) / 2)
    size = values_KK.shape[0]
    rows = [numbers[i * size : (i + 1) * size] for i in range(size)]
    for i, row in enumerate(rows):
        row[i] = max(row[i], 0.0)
    return tuple(map(tuple, rows))


def _shares(counts: SignCounts) -> Signs:
    own = counts.both.diagonal()
    return Signs(
        nonzero=tuple((own / counts.elements).tolist()),
        both=tuple(map(tuple, (counts.both / counts.elements).tolist())),
        agree=tuple(
            tuple(_share(int(a), int(b)) for a, b in zip(alike, both, strict=True))
            for alike, both in zip(counts.alike, counts.both, strict=True)
        ),
        touched=counts.touched / counts.elements,
        majority=_share(counts.majority, int(own.sum())),
        unanimous=_share(counts.touched - counts.opposed, counts.touched),
    )


def _share(part: int, whole: int) -> float:
    return part / whole if whole else math.nan
