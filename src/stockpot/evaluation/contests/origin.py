"""Where the samples come from that a comparison is judged on, and what follows for its numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...checkpoints.read import read_checkpoint
from ...data import (
    InMemory,
    ListedSplit,
    RecordedSplit,
    Splits,
    load,
    read_split,
    recorded_split,
    split,
)
from ...data import Spec as DataSpec
from ...errors import CheckpointError, FieldError


@dataclass(frozen=True, slots=True, eq=False)
class Judged:
    """Splits, and a sentence on whether the networks have been trained on what they are judged on.

    Attributes:
        splits: train, selection and test.
        origin: for the reader of the result, beside its verdict.
    """

    splits: Splits
    origin: str


def splits_to_judge(
    models: Sequence[object],
    data: DataSpec | InMemory,
    *,
    seed: int,
    domains: Sequence[str] = (),
    test_split: str | Path | None = None,
) -> Judged:
    """The split of a file, else the one that all checkpoints record, else a fresh one.

    Raises:
        FieldError: the file is no split of these data.
        StockpotError: the data are not there, or cannot be split so.
    """
    collection = load(data)
    if test_split is not None:
        given = read_split(test_split)
        if isinstance(given, ListedSplit):
            splits = given.of(collection, seed=seed, domains=domains)
            return Judged(splits, _of_file(splits, test_split, given))
        found = given.of(collection, domains)
        if found is None:
            raise FieldError(
                f"{test_split} records a split of other data than {collection.train.name}."
            )
        return Judged(found, f"The split is the one that {test_split} records.")
    records = _records(models)
    same = records[0] if records and all(one == records[0] for one in records) else None
    found = None if same is None else same.of(collection, domains)
    if found is not None:
        return Judged(
            found,
            f"The checkpoints record their split, and it is used: none of the {len(found.test):,} "
            "test samples has trained any of them.",
        )
    splits = split(collection, seed=seed, domains=domains)
    name, count = splits.test.name, len(splits.test)
    if collection.test is not None:
        where = f"The {count:,} test samples are the official test part of {name}"
        return Judged(splits, f"{where}; that no checkpoint was trained on them is not checked.")
    why = "record different splits, or of other data" if any(records) else "record no split"
    return Judged(
        splits,
        f"The {count:,} test samples were cut afresh from {name} (seed {seed}), and the "
        f"checkpoints {why}: they may have been trained on some of these, and every number is then "
        "too good. Name samples that they have not seen: --test-split FILE.",
    )


def _of_file(splits: Splits, file: str | Path, given: ListedSplit) -> str:
    told = f"The {len(splits.test):,} test samples are those that {file} names"
    if given.selection:
        return f"{told}, and so is the selection split."
    return (
        f"{told}. The selection split is cut from the others, on which the checkpoints may have "
        "been trained: what is chosen on it, such as the best single or a greedy soup, is then "
        "chosen too hopefully."
    )


def _records(models: Sequence[object]) -> list[RecordedSplit | None]:
    return [_record(one) for one in models]


def _record(model: object) -> RecordedSplit | None:
    """Of a checkpoint that `train` wrote; None of any other model."""
    if not isinstance(model, str | Path):
        return None
    try:
        return recorded_split(read_checkpoint(Path(model)).metadata)
    except CheckpointError:
        return None  # it is opened again, where what is wrong with it is said
