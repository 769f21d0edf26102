"""Networks of several tasks with one body in common, each with tensors of its own.

Shapes: B samples of a batch, F features, L classes.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..checkpoints.entry import from_state_dict
from ..errors import StockpotError
from ..views.models import open_model
from .network import parts
from .split import Headed
from .weights import Net, put_weights

MARK = "::"
"""Between a task's name and its tensor's in a file; tensors of the body stand under their own."""


def private_names(split: Headed, globs: Sequence[str] = ()) -> frozenset[str]:
    """The tensors of a network that stay its own in a merge across tasks.

    They are the head's, and those whose names a glob matches. A head that is no part of the state
    dict, as that of `clip:`, has none.

    Raises:
        StockpotError: where a glob matches nothing, or nothing would be shared.
    """
    state: dict[str, Tensor] = split.network.state_dict()
    idle = [one for one in globs if not any(fnmatchcase(name, one) for name in state)]
    if idle:
        raise StockpotError(
            f"private: '{idle[0][:80]}' matches no tensor of {type(split.network).__name__}; there "
            f"are such as {', '.join(list(state)[:3])}."
        )
    wanted = (f"{split.name}.*", *globs)
    own = frozenset(name for name in state if any(fnmatchcase(name, one) for one in wanted))
    if len(own) == len(state):
        raise StockpotError(
            f"private: {', '.join(wanted)} makes all tensors of {type(split.network).__name__} "
            "private, and leaves nothing to share."
        )
    return own


class MultiTask(nn.Module):
    """Networks of one architecture whose tensors are one and the same, but for the private ones.

    A module is no value: what is trained through one task changes the body of all. Where only heads
    are private, a batch of several tasks goes through the body once, so that batch normalisation
    sees the mixture; otherwise each task's samples go through its own network.

    Args:
        networks: by task; the first one's body is everybody's from now on.
        splits: where the head of each is, in the same order.
        own: names of the private tensors.

    Raises:
        StockpotError: where tensors that are to be shared differ in shape.
    """

    def __init__(
        self, networks: Mapping[str, nn.Module], splits: Sequence[Headed], own: Collection[str]
    ) -> None:
        super().__init__()
        self.tasks = tuple(networks)
        self.own = frozenset(own)
        self.networks = nn.ModuleList(networks.values())
        self._head = splits[0].name
        heads = frozenset(name for name in self.own if name.startswith(f"{self._head}."))
        self._one_body = heads == self.own
        self._tie()

    def forward(self, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Logits [B, L] of some tasks' samples."""
        networks = {task: self.network(task) for task in inputs}
        if not self._one_body:
            return {task: networks[task](some) for task, some in inputs.items()}
        first = self.networks[0]
        head = cast(nn.Linear, parts(first)[self._head])
        _, features_BF = Headed(first, head).run(torch.cat(list(inputs.values())))
        found, start = dict[str, Tensor](), 0
        for task, some in inputs.items():
            rows_BF = features_BF[start : start + len(some)]
            found[task] = parts(networks[task])[self._head](rows_BF)
            start += len(some)
        return found

    def network(self, task: str) -> nn.Module:
        """One task's network; it shares the body."""
        return self.networks[self.tasks.index(task)]

    def tensors(self) -> dict[str, Tensor]:
        """The body's under their names, then each task's own under TASK::NAME."""
        found: dict[str, Tensor] = self.networks[0].state_dict()
        body = {name: one for name, one in found.items() if name not in self.own}
        for task in self.tasks:
            state: dict[str, Tensor] = self.network(task).state_dict()
            body |= {f"{task}{MARK}{name}": state[name] for name in state if name in self.own}
        return body

    def _tie(self) -> None:
        first = parts(self.networks[0])
        for network in list(self.networks)[1:]:
            for path, module in parts(network).items():
                _share(first[path], module, f"{path}." if path else "", self.own)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        """A move to another device makes new buffers, one for each network: tie them again."""
        moved = cast(Any, super())._apply(fn, recurse)
        self._tie()
        return moved


def _share(source: nn.Module, target: nn.Module, prefix: str, own: frozenset[str]) -> None:
    for kind in ("_parameters", "_buffers"):
        there, here = (cast(dict[str, Any], getattr(one, kind)) for one in (source, target))
        for name, tensor in there.items():
            whole = f"{prefix}{name}"
            if whole in own or tensor is None or name in _unsaved(source):
                continue
            if here[name].shape != tensor.shape:
                raise StockpotError(
                    f"'{whole}' is {tuple(tensor.shape)} for one task and "
                    f"{tuple(here[name].shape)} for another: it cannot be shared."
                )
            here[name] = tensor


def _unsaved(module: nn.Module) -> Collection[str]:
    """Buffers that are no part of the state dict, such as the head of `clip:`."""
    return cast(Any, module)._non_persistent_buffers_set


def load_task(network: Net, path: Path, task: str) -> Net:
    """Put the body of a file of `MultiTask.tensors`, and one task's own tensors, into a network.

    Raises:
        CheckpointError: as `load_weights`.
    """
    found = {
        name.removeprefix(f"{task}{MARK}"): entry
        for name, entry in open_model(path).entries.items()
        if MARK not in name or name.startswith(f"{task}{MARK}")
    }
    return put_weights(network, found, path)


def load_others(network: Net, path: Path, own: Collection[str]) -> Net:
    """Put the body of another task's network into a network; tensors of its own stay.

    Raises:
        CheckpointError: as `load_weights`.
    """
    state: dict[str, Tensor] = network.state_dict()
    kept = from_state_dict({name: state[name] for name in own}, "the network").entries
    there = open_model(path).entries
    body = {name: entry for name, entry in there.items() if name not in own}
    return put_weights(network, {**body, **kept}, path)


def load_shared(path: Path) -> dict[str, Tensor]:
    """The body alone of such a file."""
    entries = open_model(path).entries
    return {name: entry.load() for name, entry in entries.items() if MARK not in name}
