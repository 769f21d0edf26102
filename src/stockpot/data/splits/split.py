"""Three disjoint parts of a data set: to train on, to choose on, and to look at once.

Shapes: N samples.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import torch

from ...errors import StockpotError
from ...typed import to_numpy
from ..collection import Collection
from ..dataset import Dataset
from .contents import content_hashes
from .stratify import stratified
from .subsets import of_domains


@dataclass(frozen=True, slots=True, eq=False)
class Splits:
    """Train, selection and test parts; that no sample is in two of them is checked, not trusted.

    Attributes:
        train: what weights are fitted to.
        selection: what greedy choices and searches of hyper-parameters may look at.
        test: what the reported numbers come from.
        notes: sentences on what a reader should know, such as copies left out.
        aside: test samples of domains that the three parts were kept free of, for a look at what a
            shift of the domain does; None where there are none.

    Raises:
        StockpotError: where two parts share a sample of the same content; only test and aside may,
            where two domains hold the same.
    """

    train: Dataset
    selection: Dataset
    test: Dataset
    notes: tuple[str, ...] = ()
    aside: Dataset | None = None

    def __post_init__(self) -> None:
        parts = {"train": self.train, "selection": self.selection, "test": self.test}
        if self.aside is not None:
            parts["aside"] = self.aside
        contents = {name: set(content_hashes(data)) for name, data in parts.items()}
        for (name, samples), (other, others) in combinations(contents.items(), 2):
            shared = 0 if (name, other) == ("test", "aside") else len(samples & others)
            if shared:
                raise StockpotError(
                    f"The {name} and {other} splits of '{self.train.name}' share {shared} "
                    "sample(s), so a score on one would leak into the other: split by content, "
                    "for example with stockpot.data.split."
                )


def split(
    collection: Collection,
    *,
    selection: float = 0.1,
    test: float = 0.2,
    seed: int = 0,
    limit: int | None = None,
    fraction: float | None = None,
    domains: Sequence[str] = (),
) -> Splits:
    """Split into train, selection and test; parts that the set's makers gave are used as they are.

    What is cut is cut by class, identical samples and views of one original kept together; see
    `stratified`. A training sample whose content is also in an official selection or test part is
    left out of training, with a note.

    Args:
        collection: what to split.
        selection: fraction of `collection.train` for the selection split, in (0, 1); not used where
            the collection has an official one.
        test: fraction of `collection.train` for the test split, in (0, 1); not used where the
            collection has an official one.
        seed: the same seed gives the same split.
        limit: train on about this many samples, by class, instead of all that are left.
        fraction: train on this fraction of what is left, by class; not together with `limit`.
        domains: names of the only domains that train, selection and test hold; all where there
            are none. Every original is in the part that it would be in without them. The test
            part's samples of other domains are kept aside, those of train and selection left out.

    Raises:
        FieldError: where the data have no such domain.
        StockpotError: where the fractions are out of bounds or leave a part empty.
    """
    wanted: dict[str, float] = {}
    if collection.test is None:
        wanted["test"] = test
    if collection.selection is None:
        wanted["selection"] = selection
    _check_fractions(wanted)
    parts = {"train": collection.train}
    if wanted:
        cut = stratified(collection.train, list(wanted.values()), seed)
        for name, positions in zip([*wanted, "train"], cut, strict=True):
            parts[name] = collection.train.take(torch.tensor(positions, dtype=torch.int64))
        _assert_apart([parts[name] for name in (*wanted, "train")])
    if collection.test is not None:
        parts["test"] = collection.test
    if collection.selection is not None:
        parts["selection"] = collection.selection
    notes = _two_labels(collection.train)
    for name, official in (
        ("selection", [collection.test]),
        ("train", [collection.selection, collection.test]),
    ):
        taken = [part for part in official if part is not None]
        parts[name], said = _without(parts[name], taken, name)
        notes += said
    parts, aside = _only(parts, domains)
    parts["train"] = fewer(parts["train"], limit, fraction, seed)
    if not all(map(len, parts.values())):
        raise StockpotError(
            f"split: {len(collection.train)} samples of '{collection.train.name}' are too few to "
            f"give every split one{' of ' * bool(domains)}{', '.join(domains)}."
        )
    return Splits(**parts, notes=notes, aside=aside)


def three_way(data: Dataset, *, selection: float, test: float, seed: int = 0) -> Splits:
    """`split` of a data set without official parts."""
    return split(Collection(data), selection=selection, test=test, seed=seed)


def _check_fractions(wanted: dict[str, float]) -> None:
    if not (all(0 < one < 1 for one in wanted.values()) and sum(wanted.values()) < 1):
        said = ", ".join(f"{name}={value}" for name, value in wanted.items())
        raise StockpotError(
            f"split: {' and '.join(wanted)} must be fractions in (0, 1) with a sum below 1; got "
            f"{said}."
        )


def _assert_apart(parts: Sequence[Dataset]) -> None:
    """No original is in two of the parts that were cut from one data set."""
    originals = [set(to_numpy(part.originals).tolist()) for part in parts]
    assert sum(map(len, originals)) == len(set[int]().union(*originals))


def _only(
    parts: dict[str, Dataset], domains: Sequence[str]
) -> tuple[dict[str, Dataset], Dataset | None]:
    """Each part's samples of these domains, and the test part's of the others, if it has any."""
    if not domains:
        return parts, None
    kept = {name: of_domains(part, domains, "split") for name, part in parts.items()}
    aside = parts["test"].take((~kept["test"]).nonzero().flatten())
    inside = {name: part.take(kept[name].nonzero().flatten()) for name, part in parts.items()}
    return inside, aside if len(aside) else None


def _without(data: Dataset, others: list[Dataset], name: str) -> tuple[Dataset, tuple[str, ...]]:
    """The samples whose content is in none of the others, and a note where that is not all."""
    if not others:
        return data, ()
    taken = {digest for other in others for digest in content_hashes(other)}
    kept = [place for place, digest in enumerate(content_hashes(data)) if digest not in taken]
    gone = len(data) - len(kept)
    if not gone:
        return data, ()
    note = (
        f"{gone} sample(s) of '{data.name}' were left out of {name}: an official part holds the "
        "same content."
    )
    return data.take(torch.tensor(kept, dtype=torch.int64)), (note,)


def _two_labels(data: Dataset) -> tuple[str, ...]:
    """A note where one content stands under several labels."""
    labels: defaultdict[str, set[bytes]] = defaultdict(set)
    for digest, label in zip(content_hashes(data), to_numpy(data.labels), strict=True):
        labels[digest].add(label.tobytes())  # one number, or a row of flags
    torn = sum(len(found) > 1 for found in labels.values())
    if not torn:
        return ()
    return (
        f"{torn} sample(s) of '{data.name}' occur more than once with the same content and "
        "different labels; their copies stay in one split.",
    )


def fewer(
    data: Dataset, limit: int | None = None, fraction: float | None = None, seed: int = 0
) -> Dataset:
    """About so many of the samples, or a fraction of them, by class; all where neither is given.

    Raises:
        StockpotError: where both are given, or either is out of its bounds.
    """
    if limit is None and fraction is None:
        return data
    if limit is not None and fraction is not None:
        raise StockpotError("split: give limit or fraction, not both.")
    if limit is not None and not 0 < limit <= len(data):
        raise StockpotError(
            f"split: limit must be in [1, {len(data)}], the training samples of '{data.name}'; "
            f"got {limit}."
        )
    share = limit / len(data) if limit is not None else fraction
    if share is None or not 0 < share <= 1:
        raise StockpotError(f"split: fraction must be in (0, 1]; got {fraction}.")
    kept, _ = stratified(data, [share], seed)
    return data.take(torch.tensor(kept, dtype=torch.int64))
