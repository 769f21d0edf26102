"""Weights of a network on disk: any checkpoint in, a safetensors file out."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..checkpoints.entry import TensorEntry
from ..checkpoints.formats.layout import OutputTensor, single_file
from ..errors import CheckpointError
from ..typed import to_numpy
from ..views.models import open_model
from .split import Headed

SHOWN = 20
"""Differences listed in one message."""

Net = TypeVar("Net", bound=nn.Module)


def save_weights(network: nn.Module, path: Path, metadata: Mapping[str, str]) -> None:
    """Write the state dict with text beside it; `path` holds all of it or what was there before.

    Equal weights and text give equal bytes, which safetensors' own writer does not promise.
    """
    save_state(network.state_dict(), path, metadata)


def save_state(state: Mapping[str, Tensor], path: Path, metadata: Mapping[str, str]) -> None:
    """The same for tensors by name."""
    tensors = (OutputTensor(name, one.dtype, tuple(one.shape)) for name, one in state.items())
    (shard,) = single_file(tensors, path.name, {"format": "pt", **metadata})
    partial = path.with_name(path.name + ".partial")
    with partial.open("wb") as file:
        file.write(shard.header)
        for name in shard.spans:  # in the order of the file
            flat = state[name].detach().cpu().contiguous().flatten()
            file.write(to_numpy(flat.view(torch.uint8)).data)
        file.flush()
        os.fsync(file.fileno())  # or a power cut could leave the name without the bytes
    partial.replace(path)


def load_weights(network: Net, path: Path) -> Net:
    """Put the weights of a checkpoint into `network` and give it back.

    Values are cast to the network's dtypes. Nothing is changed unless everything fits. Of the names
    that one tensor has in the network, such as a tied output layer, the file needs only one.

    Args:
        network: changed in place.
        path: any checkpoint that stockpot reads.

    Raises:
        CheckpointError: where the checkpoint cannot be read, or its names, shapes or kinds of
            numbers are not the network's; differences are named, up to twenty.
    """
    return put_weights(network, open_model(path).entries, path)


def put_weights(network: Net, entries: Mapping[str, TensorEntry], path: Path) -> Net:
    """`load_weights` of what was found at `path`."""
    state: dict[str, Tensor] = network.state_dict()
    prefix = file_prefix(network, entries)
    found = _with_tied(state, {name.removeprefix(prefix): one for name, one in entries.items()})
    _require_fit(network, state, found, path)
    network.load_state_dict({name: entry.load() for name, entry in found.items()})
    return network


def file_prefix(network: nn.Module, names: Iterable[str]) -> str:
    """What stands before all names of a network in a file, such as Lightning's `net.`; mostly ''.

    Example:
        >>> file_prefix(nn.Linear(1, 1), ["net.weight", "net.bias"])
        'net.'
    """
    there = set(names)
    expected: list[str] = list(network.state_dict())
    if not expected or not there.isdisjoint(expected):
        return ""
    last = f".{expected[-1]}"
    before = {name.removesuffix(last) + "." for name in there if name.endswith(last)}
    whole = [one for one in before if there.issuperset(one + name for name in expected)]
    return whole[0] if len(whole) == 1 else ""


def load_body(split: Headed, path: Path) -> tuple[str, ...]:
    """Put the weights of a checkpoint into all of a network but its head, which stays as it is.

    For a start from weights that were trained for other classes. Whatever the checkpoint has under
    the head's name is not looked at; all the rest must fit, as in `load_weights`.

    Args:
        split: the network, changed in place, and its head.
        path: any checkpoint that stockpot reads.

    Returns:
        The names of the tensors that stayed as they were.

    Raises:
        CheckpointError: as `load_weights`.
    """
    state: dict[str, Tensor] = split.network.state_dict()
    head = f"{split.name}."
    entries = open_model(path).entries
    found = {name: entry for name, entry in entries.items() if not name.startswith(head)}
    body = {name: one for name, one in state.items() if not name.startswith(head)}
    _require_fit(split.network, body, found, path)
    split.network.load_state_dict(
        {name: entry.load() for name, entry in found.items()}, strict=False
    )
    return tuple(name for name in state if name not in body)


def load_over(network: nn.Module, path: Path) -> tuple[str, ...]:
    """Put the weights of a checkpoint over those that a network brought; what it lacks stays.

    For networks with trained parts that their fine-tunes do not repeat, such as CLIP's projection.

    Args:
        network: changed in place.
        path: any checkpoint that stockpot reads.

    Returns:
        The names of the tensors that stayed as they were.

    Raises:
        CheckpointError: as `load_weights`, but for missing tensors, unless all are missing.
    """
    state: dict[str, Tensor] = network.state_dict()
    found = _with_tied(state, open_model(path).entries)
    there = {name: one for name, one in state.items() if name in found}
    _require_fit(network, there or state, found, path)
    network.load_state_dict({name: entry.load() for name, entry in found.items()}, strict=False)
    return tuple(name for name in state if name not in found)


def _with_tied(
    state: Mapping[str, Tensor], found: Mapping[str, TensorEntry]
) -> dict[str, TensorEntry]:
    """What is in the file, also under the other names of the same tensor in the network."""
    places = {name: (one.data_ptr(), one.shape) for name, one in state.items() if one.numel()}
    held = {places[name]: entry for name, entry in found.items() if name in places}
    tied = {n: held[place] for n, place in places.items() if n not in found and place in held}
    return {**found, **tied}


def _require_fit(
    network: nn.Module,
    expected: Mapping[str, Tensor],
    found: Mapping[str, TensorEntry],
    path: Path,
) -> None:
    differences = [f"'{name}' is missing from the file" for name in expected if name not in found]
    differences += [f"'{name}' is not in the network" for name in found if name not in expected]
    for name in (name for name in expected if name in found):
        want, got = expected[name], found[name]
        if tuple(want.shape) != got.shape:
            differences.append(f"'{name}' is {got.shape}, the network has {tuple(want.shape)}")
        elif want.is_floating_point() != got.dtype.is_floating_point:
            differences.append(f"'{name}' is {got.dtype}, the network has {want.dtype}")
    if differences:
        rest = f"; and {len(differences) - SHOWN} more" if len(differences) > SHOWN else ""
        raise CheckpointError(
            f"{path} does not fit this {type(network).__name__}: "
            f"{'; '.join(differences[:SHOWN])}{rest}."
        )
