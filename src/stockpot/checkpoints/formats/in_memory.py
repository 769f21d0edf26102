"""Tensors as they are handed over, in Python or by torch's readers: dense ones in memory of their
own, or refused by name. What lies elsewhere, or nowhere, must not be read as if it did.
"""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ...errors import CheckpointError
from ...typed import from_numpy
from .layout import DTYPE_NAMES, MAX_RANK
from .untrusted import shown

EXPANDED = 16
FREE = 2**26
"""Tensors may take `FREE` bytes, or so many times the bytes that hold them: a tensor with strides
of 0 takes terabytes of a few."""

EXTRA_STATE = "_extra_state"
"""What ends the name of a module's `get_extra_state()` in its state dict."""


def take_state(state: Mapping[str, object], label: str) -> dict[str, Tensor]:
    """A state dict of dense tensors on their devices; NumPy arrays are taken as tensors.

    Raises:
        CheckpointError: naming the entry that is something else, and what to do.
    """
    taken: dict[str, Tensor] = {}
    for name, value in cast(Mapping[object, object], state).items():
        if not isinstance(name, str):
            raise CheckpointError(
                f"{label} has an entry under {shown(name)}, which is {kind_of(name)}; the names "
                "of a state dict are text."
            )
        try:
            taken[name] = _dense(name, value, label)
        except (RuntimeError, TypeError, ValueError, NotImplementedError) as error:
            raise CheckpointError(
                f"{shown(name)} in {label} cannot be read as a tensor: {str(error)[:200]}."
            ) from None
    _check_expansion(taken, label)
    return taken


def why_not_dense(name: str, tensor: Tensor) -> str | None:
    """Why a tensor cannot be read as one run of numbers; None where it can."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return "has a name that is no text"
    if tensor.is_quantized:
        return f"is quantised ({tensor.dtype}): its numbers are not weights. Dequantise it first"
    if tensor.layout != torch.strided or tensor.is_nested:
        kind = "a nested tensor" if tensor.is_nested else str(tensor.layout)
        return f"is {kind}, not a dense tensor: call to_dense() and save it again"
    if tensor.ndim > MAX_RANK:
        return f"has {tensor.ndim} dimensions; safetensors hold {MAX_RANK} at most"
    return None


def _dense(name: str, value: object, label: str) -> Tensor:
    tensor = _from_array(value) if _is_array(value) else value
    if not isinstance(tensor, Tensor):
        raise CheckpointError(
            f"{shown(name)} in {label} is {kind_of(value)}; expected a tensor or a NumPy array. "
            + _advice(name)
        )
    if why := _why_not(name, tensor):
        raise CheckpointError(f"{shown(name)} in {label} {why}.")
    plain = torch.Tensor.detach(tensor).as_subclass(Tensor)
    return plain.resolve_conj().resolve_neg()


def _why_not(name: str, tensor: Tensor) -> str | None:
    kind = cast(Any, type(tensor))
    if kind.__torch_dispatch__ is not cast(Any, Tensor).__torch_dispatch__:
        gather = " Call full_tensor() on it" if hasattr(kind, "full_tensor") else " Unwrap it"
        return f"is a {kind.__name__}, which has no memory of its own.{gather} first"
    if cast(Any, torch.nn.parameter).is_lazy(tensor):
        return "is not initialised: run the network once, which gives its lazy layers their shapes"
    if why := why_not_dense(name, tensor):
        return why
    if tensor.is_meta:
        return "has a shape and no numbers (meta device): load its weights first"
    if tensor.dtype not in DTYPE_NAMES and not tensor.is_complex():
        return f"is {tensor.dtype}, which safetensors do not hold"
    last = 1 + sum((n - 1) * step for n, step in zip(tensor.shape, tensor.stride(), strict=True))
    needed = (tensor.storage_offset() + last) * tensor.itemsize
    if tensor.numel() and tensor.untyped_storage().nbytes() < needed:
        return "has no memory: FSDP or ZeRO freed it. Gather the full state dict first"
    return None


def _from_array(value: Any) -> object:
    """An array's own memory as a tensor; a copy where torch cannot use it as it lies."""
    if hasattr(value, "mask"):
        return value  # a masked array, of which some elements are none
    array = np.asarray(value)
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    if not array.flags.writeable or any(step < 0 for step in array.strides):
        array = array.copy()
    dtype = vars(torch).get(array.dtype.name)
    if array.dtype.kind == "V" and isinstance(dtype, torch.dtype):  # as ml_dtypes' bfloat16
        return from_numpy(array.view(f"u{array.dtype.itemsize}")).view(dtype)
    return from_numpy(array) if array.dtype.kind in "biufc" else value


def _is_array(value: object) -> bool:
    return isinstance(value, np.ndarray | np.generic)


def kind_of(value: object) -> str:
    """What a value is, with its article."""
    kind = type(value).__name__
    if _is_array(value):
        return f"an array ({kind}) of {cast(Any, value).dtype}"
    return "None" if value is None else f"{'an' if kind[:1] in 'aeiouAEIOU' else 'a'} {kind}"


def _advice(name: str) -> str:
    if name.rpartition(".")[2] == EXTRA_STATE:
        return "It is the extra state of a module, which cannot be merged: leave it out."
    return "Leave it out, or make it one."


def _check_expansion(state: Mapping[str, Tensor], label: str) -> None:
    held: dict[tuple[torch.device, int], int] = {}
    written: dict[str, int] = {}
    for name, tensor in state.items():
        storage = tensor.untyped_storage()
        held[tensor.device, storage.data_ptr()] = storage.nbytes()
        written[name] = tensor.numel() * tensor.itemsize
    check_expansion(written, sum(held.values()), label)


def check_expansion(written: Mapping[str, int], held: int, label: str) -> None:
    """Refuse tensors that would take far more bytes than hold them.

    Args:
        written: bytes of each tensor, written out.
        held: bytes of the memory or files that hold them.
        label: how messages call them.

    Raises:
        CheckpointError: naming the largest tensor.
    """
    total = sum(written.values())
    if total > max(FREE, EXPANDED * held):
        largest = max(written, key=lambda name: written[name])
        raise CheckpointError(
            f"{label} holds {held:,} bytes, and its tensors would take {total:,} written out, most "
            f"of all {shown(largest)}: they repeat the same bytes. If that is meant, call "
            "contiguous() on them and save them again."
        )
