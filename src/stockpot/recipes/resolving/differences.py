"""What stands in the way of a merge: every difference is gathered, and one error tells them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from ...checkpoints.entry import Checkpoint, TensorEntry
from ...checkpoints.names.renaming import find_renaming
from ...errors import MergeError
from .remedies import copies, different_networks, missing_remedies, shape_remedies

SHOWN = 20
"""Differences that are told one by one."""
FEW = 5
"""So many differences are always told one by one, however small the networks are."""


@dataclass(frozen=True, slots=True)
class _Sentence:
    """One difference, a sentence; and the tensor, where it is that something lacks it."""

    line: str
    lacking: str | None = None


class Differences:
    """Every reason why models cannot be merged as they are, in the order of the tensors."""

    def __init__(self) -> None:
        self._found: list[_Sentence] = []
        self._shapes: dict[str, str] = {}  # tensor -> the first model that has it
        self._lacking: dict[str, None] = {}

    def add(self, line: str) -> None:
        """One difference, a sentence."""
        self._found.append(_Sentence(line))

    def lacks(self, name: str, lacking: str, having: str, base_too: bool) -> None:
        """A tensor that one model lacks and another has."""
        also = ", and so it is from the base" if base_too else ""
        line = f"'{name}' is missing from {lacking}{also}; {having} has it."
        self._found.append(_Sentence(line, name))
        self._lacking[name] = None

    def base_lacks(self, name: str, base: str, method: str) -> None:
        """A tensor that the base lacks, where the method needs it."""
        line = (
            f"'{name}' is missing from the base {base}, which {method} needs: give it a rule with "
            "a method that needs none, such as average."
        )
        self._found.append(_Sentence(line, name))

    def agree(self, name: str, found: Sequence[tuple[str, TensorEntry]], copyable: str) -> bool:
        """Whether tensors of one name have one shape and are numbers; `found` is by label."""
        before = len(self._found)
        first, reference = found[0]
        for label, entry in found:
            if entry.is_complex != reference.is_complex:
                dtype, other = dtype_name(entry.stored_dtype), dtype_name(reference.stored_dtype)
                self.add(
                    f"'{name}' in {label} is {dtype}; {first} has {other}, and complex numbers are "
                    f"not merged with real ones: copy it, --copy '{name}={copyable}'."
                )
            elif entry.shape != reference.shape:
                shape, other = entry.stored_shape, reference.stored_shape
                self.add(f"'{name}' in {label} is {shape}; {first} has {other}.")
                self._shapes[name] = first
            if not is_mergeable(entry.dtype):
                self.add(
                    f"'{name}' in {label} is {dtype_name(entry.dtype)}, which is not merged as "
                    f"numbers: copy it, {copies([(name, copyable)])[0]}."
                )
        return len(self._found) == before

    def raise_if_any(
        self,
        models: Sequence[Checkpoint],
        base: Checkpoint | None,
        lends: bool,
        matched: Sequence[str] = (),
    ) -> None:
        """One MergeError for all of them; names that differ as a whole are told in one sentence.

        Args:
            models: what is merged, in order.
            base: what they were fine-tuned from.
            lends: whether the recipe takes from the base already what is missing.
            matched: of models that are seen under the names of the first, a sentence each.
        """
        if not self._found:
            return
        missing = any(one.lacking for one in self._found)
        renamed = renamed_models(models, base) if missing else dict[str, frozenset[str]]()
        many = len(self._found) > FEW and not renamed and not matched
        if many and (different := different_networks(models, base)):
            raise MergeError(different)
        told = {name for names in renamed.values() for name in names}
        left = [d for d in self._found if d.lacking not in told]
        lines: list[str] = [*matched, *renamed, *(d.line for d in left[:SHOWN])]
        if len(left) > SHOWN:
            lines.append(f"and {len(left) - SHOWN} more.")
        lacking = [name for name in self._lacking if name not in told]
        lines += shape_remedies(self._shapes, models)
        if not renamed:
            lines += missing_remedies(lacking, models, None if lends else base)
        raise MergeError("\n  ".join(["the models cannot be merged as they are:", *lines]))


def renamed_models(
    models: Sequence[Checkpoint], base: Checkpoint | None
) -> Mapping[str, frozenset[str]]:
    """For each model that has the first one's tensors under other names, a sentence -> the names.

    The names are those that either of the two lacks and that mean the same tensors.
    """
    first, *others = models
    told: dict[str, frozenset[str]] = {}
    for other in (*others, *(() if base is None else (base,))):
        if found := find_renaming(first.entries, other.entries):
            sentence = f"{found.sentence(first.label, other.label)} {found.remedy(other.label)}"
            told[sentence] = frozenset[str]().union(*found.explained())
    return told


def is_mergeable(dtype: torch.dtype) -> bool:
    """Whether values of this dtype are numbers to be averaged: floats that are no packed scales."""
    return dtype.is_floating_point and dtype not in (torch.float8_e8m0fnu, torch.float4_e2m1fn_x2)


def dtype_name(dtype: torch.dtype) -> str:
    """The dtype as people write it: bfloat16."""
    return str(dtype).removeprefix("torch.")
