"""What a reader is, and what it gives: a data set with the parts that its makers gave it."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass

from ..errors import StockpotError
from ..values.section import Section
from .dataset import Dataset


@dataclass(frozen=True, slots=True, eq=False)
class Collection:
    """Samples for training, and the official other parts where the set has them.

    Attributes:
        train: what may be trained on; everything, where the set has no official parts.
        test: the official test part, or None.
        selection: the official validation part, or None.

    Raises:
        StockpotError: where the parts do not have the same classes and kind of sample.
    """

    train: Dataset
    test: Dataset | None = None
    selection: Dataset | None = None

    def __post_init__(self) -> None:
        kinds = {_kind(part) for part in self.parts()}
        if len(kinds) > 1:
            raise StockpotError(
                f"data '{self.train.name}': its parts differ in (shape, type, classes, several "
                f"labels): {sorted(map(str, kinds))}. They must be alike."
            )

    def parts(self) -> Iterator[Dataset]:
        """The parts there are: train, then selection and test."""
        yield self.train
        yield from (part for part in (self.selection, self.test) if part is not None)


class DataReader(Section, ABC):
    """Where a data set lies, and what a user chooses of it; subclasses are frozen dataclasses."""

    __slots__ = ()

    @abstractmethod
    def read(self) -> Collection:
        """The set's parts.

        Raises:
            StockpotError: it is not there, or not what it should be.
        """


def _kind(data: Dataset) -> tuple[object, ...]:
    return (
        tuple(data.inputs.shape[1:]),
        data.inputs.dtype,
        data.num_classes,
        data.classes,
        data.domains,
        data.is_multilabel,
    )
