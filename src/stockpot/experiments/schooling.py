"""How networks of an experiment are trained: schedule, augmentation, part of the data."""

from dataclasses import dataclass
from typing import Any, Literal

from ..data.changes.augment import Augment
from ..errors import FieldError
from ..values.bounds import Below1, Count, Index, NotNegative, Positive, Share, Text
from ..values.section import Section
from .additions import Additions
from .fit import Optimiser, Regimen


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPart(Section):
    """A part of the training data: some classes or some domains whole, a fraction of the rest.

    Attributes:
        classes: numbers of the classes that are kept whole.
        domains: names of the domains that are kept whole.
        keep: fraction of every other sample's kind that is kept.
    """

    classes: tuple[Index, ...] = ()
    domains: tuple[Text, ...] = ()
    keep: Share = 0.1

    def check(self) -> None:
        """Refuse what does not go together."""
        if bool(self.classes) == bool(self.domains):
            raise FieldError("needs exactly one of classes and domains.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Schooling(Regimen, Additions):
    """One stretch of training.

    Attributes:
        augment: how images are changed at random, or nothing.
        part: of the training data, or nothing for all of them.
    """

    augment: Augment | None = None
    part: DataPart | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pretraining(Schooling):
    """What comes before the ingredients: the same for all of them, or the same for each."""

    epochs: Count = 5
    lr: Positive = 3e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights(Section):
    """Where the common start comes from: any MODEL.

    Attributes:
        path: the checkpoint.
        head: "file" for its own head, "new" for a random one where it was trained for other
            classes.
    """

    @classmethod
    def rewritten(cls, data: object) -> object:
        """A word alone is its `path`."""
        return {"path": data} if isinstance(data, str) else data

    path: Text
    head: Literal["file", "new"] = "file"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vary(Section):
    """What differs between ingredients.

    Attributes:
        seed: each has a seed of its own, for dropout and augmentation, and for the order of the
            data unless `order` says otherwise.
        order: each sees the data in an order of its own; as `seed` where it is not given.
        pick: a list's values go round over the ingredients, or one is drawn for each.
        lr, batch_size, optimiser, weight_decay, label_smoothing, epochs, augment, part: lists of
            values.
    """

    seed: bool = True
    order: bool | None = None
    pick: Literal["cycle", "draw"] = "cycle"
    lr: tuple[Positive, ...] = ()
    batch_size: tuple[Count, ...] = ()
    optimiser: tuple[Optimiser, ...] = ()
    weight_decay: tuple[NotNegative, ...] = ()
    label_smoothing: tuple[Below1, ...] = ()
    epochs: tuple[Count, ...] = ()
    augment: tuple[Augment | None, ...] = ()
    part: tuple[DataPart | None, ...] = ()

    @property
    def lists(self) -> dict[str, tuple[Any, ...]]:
        """What varies by a list of values, in the order of the keys here."""
        found = {name: getattr(self, name) for name in LISTS}
        return {name: values for name, values in found.items() if values}

    @property
    def orders(self) -> bool:
        """Whether each ingredient sees the data in an order of its own."""
        return self.seed if self.order is None else self.order

    @property
    def anything(self) -> bool:
        """Whether any two ingredients can differ."""
        several = any(len(set(values)) > 1 for values in self.lists.values())
        return self.seed or self.orders or several


LISTS = (
    *("lr", "batch_size", "optimiser", "weight_decay"),
    *("label_smoothing", "epochs", "augment", "part"),
)

EACH_ITS_SEED = Vary()
