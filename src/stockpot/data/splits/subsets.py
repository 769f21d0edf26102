"""Fewer samples of a data set, by class or by domain: what skewed ingredients are trained on.

A subset is a frozen value called with a Dataset, as transforms are. The number of classes stays, so
networks trained on different subsets have heads of one shape.

Shapes: N samples.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor

from ...errors import FieldError
from ..dataset import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class Skew:
    """Keep every sample of some classes and a random fraction of the others.

    Attributes:
        classes: the classes kept whole; of several labels, one is enough.
        keep: fraction of each sample of another class being kept, in [0, 1]; 1 keeps everything.
        seed: the same seed keeps the same samples.
    """

    classes: tuple[int, ...]
    keep: float = 0.1
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", _whole(self.classes, "skew"))
        if not 0 <= self.keep <= 1:
            raise FieldError(f"skew: keep must be in [0, 1]; got {self.keep}.")

    def __call__(self, data: Dataset) -> Dataset:
        """Fewer samples, unchanged."""
        generator = torch.Generator().manual_seed(self.seed)
        lucky_N = torch.rand(len(data), generator=generator) < self.keep
        return _kept(data, _have(data, self.classes, "skew") | lucky_N)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlyClasses:
    """Keep the samples of some classes.

    Attributes:
        classes: which; of several labels, one is enough.
    """

    classes: tuple[int, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", _whole(self.classes, "only-classes"))

    def __call__(self, data: Dataset) -> Dataset:
        """Fewer samples, unchanged."""
        return _kept(data, _have(data, self.classes, "only-classes"))


@dataclass(frozen=True, slots=True, kw_only=True)
class OnlyDomain:
    """Keep the samples of one domain.

    Attributes:
        domain: its name, such as google.
    """

    domain: str

    def __call__(self, data: Dataset) -> Dataset:
        """Fewer samples, unchanged."""
        return _kept(data, of_domains(data, (self.domain,), "only-domain"))


def of_domains(data: Dataset, names: Sequence[str], who: str) -> Tensor:
    """Which samples are of one of these domains, bool [N].

    Raises:
        FieldError: the data have no such domain, or none at all; `who` begins the message.
    """
    unknown = [name for name in names if name not in data.domains]
    if unknown or data.domain is None:
        there = ", ".join(data.domains) or "none"
        got = ", ".join(f"'{name[:80]}'" for name in unknown or names)
        raise FieldError(f"{who}: '{data.name}' has the domains: {there}; got {got}.")
    return torch.isin(data.domain, torch.tensor([data.domains.index(name) for name in names]))


def _whole(classes: Iterable[object], who: str) -> tuple[int, ...]:
    """Classes as a recipe may list them."""
    found = tuple(classes) if isinstance(classes, list | tuple) else ()
    if not found or any(type(one) is not int for one in found):
        raise FieldError(
            f"{who}: classes must be a list of at least one whole number; got {str(classes)[:80]}."
        )
    return cast(tuple[int, ...], found)


def _have(data: Dataset, classes: tuple[int, ...], who: str) -> Tensor:
    """Which samples have one of the classes, bool [N]."""
    unknown = [one for one in classes if not 0 <= one < data.num_classes]
    if unknown:
        raise FieldError(
            f"{who}: '{data.name}' has classes 0 to {data.num_classes - 1}; got {unknown}."
        )
    if data.is_multilabel:
        return data.labels[:, list(classes)].any(dim=1)
    return torch.isin(data.labels, torch.tensor(classes))


def _kept(data: Dataset, kept_N: Tensor) -> Dataset:
    return data.take(kept_N.nonzero().flatten())
