"""Splits that somebody has made before: recorded in what `train` wrote, or listed in a file."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, cast

import torch
from blake3 import blake3

from ...checkpoints.read import read_checkpoint
from ...errors import FieldError, StockpotError
from ...typed import to_numpy
from ..collection import Collection
from ..dataset import Dataset
from .split import Splits, split

INGREDIENT = "stockpot.ingredient"
"""The metadata entry in which `train` says how a network was made."""
_LISTS = (".json", ".txt", ".csv")


@dataclass(frozen=True, slots=True)
class RecordedSplit:
    """How data were split for a network that `train` has made.

    Attributes:
        split: the arguments of `split`.
        digest: BLAKE3 of the train and selection parts, by which the data are known again.
    """

    split: Mapping[str, Any]
    digest: str

    def of(self, collection: Collection, domains: Sequence[str] = ()) -> Splits | None:
        """The same split of these data; None where they are others.

        Args:
            collection: read anew.
            domains: the only ones that the parts hold now, where that is not as it was.
        """
        try:
            found = split(collection, **self.split)
        except StockpotError:
            return None
        if digest_of(found.train, found.selection) != self.digest:
            return None
        now: dict[str, Any] = {**self.split, "domains": domains}
        return split(collection, **now) if domains else found


def recorded_split(metadata: Mapping[str, str]) -> RecordedSplit | None:
    """The split that a file's metadata tells of; None where they tell of none.

    Of networks of several tasks none is told: each has its own data.
    """
    try:
        return _of_record(json.loads(metadata.get(INGREDIENT, "")))
    except ValueError:
        return None


def _of_record(record: object) -> RecordedSplit | None:
    try:
        told = cast(dict[str, Any], record)
        wanted, digest = dict(told["split"]), told["data_digest"]
        seed = told["seed"] if wanted.get("seed") is None else wanted["seed"]
    except (KeyError, TypeError, ValueError):
        return None
    return RecordedSplit(wanted | {"seed": seed}, str(digest))


@dataclass(frozen=True, slots=True)
class ListedSplit:
    """Positions of samples, from 0, in the order of the data as they are read.

    Attributes:
        test: of the samples to be judged on: in the official test part where there is one, else in
            all samples.
        selection: of those that choices look at, in all samples; cut from the others where empty.
    """

    test: tuple[int, ...]
    selection: tuple[int, ...] = ()

    def of(self, collection: Collection, *, seed: int, domains: Sequence[str] = ()) -> Splits:
        """The parts of these data; what is neither test nor selection trains.

        Raises:
            FieldError: a position is none of the data, or stands twice.
            StockpotError: as `split`.
        """
        train, official = collection.train, collection.test
        test = _taken(official or train, self.test, "test")
        chosen = _taken(train, self.selection, "selection") if self.selection else None
        gone = {*self.selection, *(() if official else self.test)}
        if len(gone) < len(self.selection) + (0 if official else len(self.test)):
            raise FieldError("a split names samples for test and for selection: they must differ.")
        kept = torch.tensor([n for n in range(len(train)) if n not in gone], dtype=torch.int64)
        rest = Collection(train.take(kept), test=test, selection=chosen or collection.selection)
        return split(rest, seed=seed, domains=domains)


def read_split(path: str | Path) -> RecordedSplit | ListedSplit:
    """A split from a file.

    Args:
        path: a checkpoint that `train` has written, or its run's experiment.json, for the split
            that they record; a .json file with a list of positions, or a mapping of `test` and, if
            wanted, `selection` to such lists; or a .txt or .csv file with positions between spaces,
            commas or lines.

    Raises:
        FieldError: the file says no split.
        CheckpointError: it is no checkpoint either.
    """
    file = Path(path)
    if file.suffix not in _LISTS:
        found = recorded_split(read_checkpoint(file).metadata)
        if found is None:
            raise FieldError(
                f"{file} records no split: `stockpot train` has not written it. Give a .txt or "
                ".json file with the positions of test samples."
            )
        return found
    try:
        text = file.read_text(encoding="utf8")
        if file.suffix != ".json":
            return ListedSplit(_positions([int(word) for word in text.replace(",", " ").split()]))
        return _of_json(json.loads(text))
    except (OSError, ValueError, TypeError, KeyError, IndexError) as error:
        raise FieldError(
            f"{file} is no split: positions of samples, from 0, are expected ({error})."
        ) from None


def _of_json(told: Any) -> RecordedSplit | ListedSplit:
    if isinstance(told, list):
        return ListedSplit(_positions(cast(list[object], told)))
    if "pools" in told:
        records = {
            json.dumps([one.split, one.digest], sort_keys=True): one
            for record in chain.from_iterable(pool["ingredients"] for pool in told["pools"])
            if (one := _of_record(record))
        }
        if len(records) != 1:
            raise ValueError(f"the run has {len(records)} splits; name one of its checkpoints")
        return next(iter(records.values()))
    return ListedSplit(_positions(told["test"]), _positions(told.get("selection", [])))


def _positions(values: Sequence[object]) -> tuple[int, ...]:
    for value in values:
        if type(value) is not int:
            raise ValueError(f"{value!r:.40} is no whole number")
    return tuple(cast(Sequence[int], values))


def _taken(data: Dataset, positions: Sequence[int], name: str) -> Dataset:
    wrong = [one for one in positions if not 0 <= one < len(data)]
    if wrong or not positions or len(set(positions)) < len(positions):
        got = f"{wrong[0]}" if wrong else f"{len(positions)}, {len(set(positions))} different"
        raise FieldError(
            f"a split's {name} positions must lie in 0 to {len(data) - 1}, the samples of "
            f"'{data.name}', each once; got {got}."
        )
    return data.take(torch.tensor(positions, dtype=torch.int64))


def digest_of(*parts: Dataset) -> str:
    """BLAKE3 of inputs and labels."""
    hasher = blake3()
    for part in parts:
        for tensor in (part.inputs, part.labels):
            hasher.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
            flat = tensor.detach().cpu().contiguous().flatten()
            hasher.update(to_numpy(flat.view(torch.uint8)).data)
    return hasher.hexdigest()
