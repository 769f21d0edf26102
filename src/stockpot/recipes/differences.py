"""What stands in the way of a merge: every difference is gathered, and one error tells them."""

from collections.abc import Sequence

import torch

from ..checkpoints.entry import TensorEntry
from ..errors import MergeError

SHOWN = 20
"""Differences that are told one by one."""


class Differences:
    """Every reason why models cannot be merged as they are, in the order of the tensors."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._count = 0
        self._missing = False

    def add(self, line: str) -> None:
        """One difference, a sentence."""
        self._count += 1
        if self._count <= SHOWN:
            self._lines.append(line)

    def lacks(self, name: str, lacking: str, having: str, base_too: bool) -> None:
        """A tensor that one model lacks and another has."""
        self._missing = self._missing or not base_too
        also = ", and so it is from the base" if base_too else ""
        self.add(f"'{name}' is missing from {lacking}{also}; {having} has it.")

    def agree(self, name: str, found: Sequence[tuple[str, TensorEntry]], copyable: str) -> bool:
        """Whether tensors of one name have one shape and are numbers; `found` is by label."""
        before = self._count
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
            if not is_mergeable(entry.dtype):
                self.add(
                    f"'{name}' in {label} is {dtype_name(entry.dtype)}, which is not merged as "
                    f"numbers: copy it, --copy '{name}={copyable}'."
                )
        return self._count == before

    def raise_if_any(self) -> None:
        """One MergeError for all of them."""
        if not self._count:
            return
        lines = ["the models cannot be merged as they are:", *self._lines]
        if self._count > SHOWN:
            lines.append(f"and {self._count - SHOWN} more.")
        if self._missing:
            lines.append("--missing base or --missing present merges what there is.")
        raise MergeError("\n  ".join(lines))


def is_mergeable(dtype: torch.dtype) -> bool:
    """Whether values of this dtype are numbers to be averaged: floats that are no packed scales."""
    return dtype.is_floating_point and dtype not in (torch.float8_e8m0fnu, torch.float4_e2m1fn_x2)


def dtype_name(dtype: torch.dtype) -> str:
    """The dtype as people write it: bfloat16."""
    return str(dtype).removeprefix("torch.")
