"""Will it merge: what weights tell of it, and a forecast whose error is measured."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Unpack

from ...errors import FieldError
from ...values.fields import check_fields
from ..study import How, Model, StudyOfModels

if TYPE_CHECKING:
    from ...data import Spec as DataSpec
    from ...networks import NetworkSpec
    from .result import DiagnosisResult as DiagnosisResult


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis(StudyOfModels["DiagnosisResult"]):
    """Will these models merge? Told from their weights before anything is merged.

    One start or several, different tensors, copies, an outlier, scales, conflicts, batch norm;
    which methods can be used, what quality is forecast of each, and what to do first. Models of
    different tensors are diagnosed too, by what they share.

    Args:
        network: what the models are, for gradients: a name or a YAML mapping.
        data: what they learned: a name or a YAML mapping; with network, or neither. Losses and
            gradients of a few batches are then told too.

    Raises:
        FieldError: fewer than two models, another number of names, or one of network and data.
        CheckpointError: a checkpoint cannot be read.
        MergeError: the budget is too small.

    Cost: every byte is read once, as `statistics_of`; with data, K + 1 networks run forward and
        backward on 256 samples.
    """

    fewest: ClassVar[int] = 2

    network: str | None = None
    data: str | None = None

    def __post_init__(self) -> None:
        check_fields(self)
        if (self.network is None) != (self.data is None):
            raise FieldError("network and data go together: give both, or none.")
        if self.network and self.data:
            self.specifications(self.network, self.data)

    @staticmethod
    def specifications(network: str, data: str) -> "tuple[NetworkSpec, DataSpec]":
        """Both as what builds a network and loads data takes them."""
        from ...recipes.reading.yaml import name_or_mapping

        return (
            name_or_mapping(network, "diagnosis: network"),
            name_or_mapping(data, "diagnosis: data"),
        )


def diagnose(
    models: Sequence[Model],
    base: Model | None = None,
    *,
    network: str | Mapping[str, object] | None = None,
    data: str | Mapping[str, object] | None = None,
    **how: Unpack[How],
) -> "DiagnosisResult":
    """Say before a merge whether it will work, which method suits, and what to do first.

    Args:
        models: two checkpoints or state dicts or more.
        base: what they were fine-tuned from; it counts in what is said of origins.
        network, data: both or none: what the models are and what they were fitted to; a name, or
            a mapping of plain values.
        how: names, private, memory, workers, progress: see `How`.

    Raises:
        FieldError, CheckpointError, MergeError: see `Diagnosis`.

    Example:
        >>> import torch
        >>> a, b = ({"w.weight": torch.randn(64, 64)} for _ in range(2))
        >>> found = diagnose([a, b])
        >>> found.mergeable, found.same_origin, found.recommended
        (False, False, None)
    """
    return Diagnosis(network=_text(network), data=_text(data))(models, base, **how)


def _text(chosen: str | Mapping[str, object] | None) -> str | None:
    return json.dumps(dict(chosen)) if isinstance(chosen, Mapping) else chosen
