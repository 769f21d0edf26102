"""Views of the test split: further samples that every network is judged on, and nothing chosen on.

A view is known by its key, "test/NAME": the split whose samples it shows, and its part in a table.

Shapes: N samples, K samples of a view.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from ...data import Dataset, OnlyDomain, Splits, Transform, of_domains
from ...errors import FieldError, StockpotError
from .predict import Predictions

TEST = "test"
JUDGED = ("selection", "test")
"""The splits that scores are reported on."""
WHOLE = "all"
"""The part that is the whole of a split."""


@dataclass(frozen=True, slots=True, eq=False)
class Viewed:
    """The samples of one view.

    Attributes:
        data: the samples.
        place: int64 [K], where they are in the test split, if they are samples of it as they are;
            None where networks have to be run on them.
        words: what they are, for a reader.
    """

    data: Dataset
    place: Tensor | None
    words: str


Views = Mapping[str, Viewed]
"""By their keys."""


def views_of(splits: Splits, views: Mapping[str, Transform]) -> dict[str, Viewed]:
    """What each view shows of the test split; a domain that it lacks, of what was kept aside.

    Args:
        splits: their test split, and what is aside.
        views: by their names in tables; a domain, a corruption, or any other transform.

    Raises:
        FieldError: for a name that cannot be one, or a domain that the data do not have.
        StockpotError: where a view gives no sample, or cannot be had of these data.
    """
    return {f"{TEST}/{name}": _viewed(splits, name, view) for name, view in views.items()}


def split_of(splits: Splits, name: str) -> Dataset:
    """Train, selection or test."""
    return {"train": splits.train, "selection": splits.selection, "test": splits.test}[name]


def split_and_part(key: str) -> tuple[str, str]:
    """The split and part of a row by the key of what was judged.

    >>> split_and_part("test/noise-3"), split_and_part("selection")
    (('test', 'noise-3'), ('selection', 'all'))
    """
    split, _, part = key.partition("/")
    return split, part or WHOLE


def seen_on(
    splits: Iterable[str], views: Views, run: Callable[[str], Predictions]
) -> dict[str, Predictions]:
    """Predictions on each split and view by its key, each run once.

    A view that is some of the test split's samples is taken out of the predictions on it.
    """
    found = {split: run(split) for split in splits}
    for key, view in views.items():
        found[key] = run(key) if view.place is None else found[TEST].take(view.place)
    return found


def _viewed(splits: Splits, name: str, view: Transform) -> Viewed:
    if name in ("", WHOLE):
        raise FieldError(f"views: a view cannot be called '{name}'.")
    try:
        found = _domain(splits, view) if isinstance(view, OnlyDomain) else _changed(splits, view)
    except FieldError:
        raise
    except StockpotError as error:
        raise StockpotError(f"view '{name[:80]}': {error}") from None
    if not len(found.data):
        raise StockpotError(
            f"view '{name[:80]}' gives no sample of '{splits.test.name}': leave it out, or split "
            "so that the test split has some."
        )
    return found


def _domain(splits: Splits, view: OnlyDomain) -> Viewed:
    place_K = of_domains(splits.test, (view.domain,), "views").nonzero().flatten()
    if len(place_K) or splits.aside is None:
        data = splits.test.take(place_K)
        return Viewed(data, place_K, f"{len(data):,} of the test split")
    data = view(splits.aside)
    return Viewed(data, None, f"{len(data):,} kept aside")


def _changed(splits: Splits, view: Transform) -> Viewed:
    data = view(splits.test)
    return Viewed(data, None, f"{len(data):,}, changed")
