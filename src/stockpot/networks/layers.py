"""Which tensors of a network a penalty or an in-model merge is about: one choice for all."""

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..checkpoints.entry import Checkpoint, TensorEntry
from ..checkpoints.names.unwrap import bare_names
from ..checkpoints.roles import Role, classify
from ..errors import FieldError, StockpotError
from ..values.bounds import Text
from ..values.fields import nearest
from ..values.section import Section

T = TypeVar("T")

CHOICES = tuple(
    str(role) for role in Role if role not in (Role.TIED_ALIAS, Role.COUNTER, Role.NORM_STAT)
)
"""Roles of what is trained; the others are copies of it, counts and statistics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layers(Section):
    """A choice of weight tensors by role and by name, the same for networks, state dicts and files.

    Attributes:
        roles: what `stockpot inspect` calls them; by default the weights of convolutions and of
            linear layers, without biases, norms and embeddings.
        match: globs on names of which one must fit.
        leave: globs on names that are left out.

    A role is told by a tensor's name and shape, as everywhere in stockpot; `of(network)` shows what
    was chosen.

    Example:
        >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
        >>> list(Layers().of(network)), list(Layers(leave=("2.*",)).of(network))
        (['0.weight', '2.weight'], ['0.weight'])
    """

    roles: tuple[Text, ...] = ("conv", "matrix")
    match: tuple[Text, ...] = ("*",)
    leave: tuple[Text, ...] = ()

    def check(self) -> None:
        """Refuse a role that there is not."""
        for role in self.roles:
            if role not in CHOICES:
                raise FieldError(f"there is no role '{role[:80]}'{nearest(role, CHOICES)}")

    def admits(self, name: str, shape: tuple[int, ...], dtype: torch.dtype) -> bool:
        """Whether a tensor counts that is no second name of another."""
        return _role(name, shape, dtype) in self.roles and self._named(name)

    def of(self, network: nn.Module) -> dict[str, nn.Parameter]:
        """The network's own parameters that count, in its order.

        A prefix that DistributedDataParallel or torch.compile puts before all names is taken off.

        Raises:
            StockpotError: where none does.
        """
        found = {
            name: one
            for name, one in _plain(dict(network.named_parameters())).items()
            if self.admits(name, tuple(one.shape), one.dtype)
        }
        return self._some(found, type(network).__name__)

    def of_entries(self, checkpoint: Checkpoint) -> dict[str, TensorEntry]:
        """The tensors of a checkpoint that count, in its order.

        Raises:
            StockpotError: where none does.
        """
        found = {
            name: one
            for name, one in checkpoint.entries.items()
            if one.alias_of is None and self.admits(name, one.shape, one.dtype)
        }
        return self._some(found, checkpoint.label)

    def _named(self, name: str) -> bool:
        wanted = any(fnmatchcase(name, glob) for glob in self.match)
        return wanted and not any(fnmatchcase(name, glob) for glob in self.leave)

    def _some(self, found: dict[str, T], what: str) -> dict[str, T]:
        if not found:
            raise StockpotError(f"{what} has no tensor that {self} chooses: change roles or globs.")
        return found


@lru_cache(maxsize=2**14)
def _role(name: str, shape: tuple[int, ...], dtype: torch.dtype) -> str:
    """`classify`, which takes longer than a penalty should for a network seen at every step."""
    return str(classify(name, shape, dtype))


def _plain(parameters: Mapping[str, nn.Parameter]) -> Mapping[str, nn.Parameter]:
    """The parameters under the names that they have without wrappers."""
    names = bare_names(dict.fromkeys(parameters, False))
    return {names[name]: one for name, one in parameters.items()}


def require_same(names: Mapping[str, object], others: Mapping[str, object], what: str) -> None:
    """Refuse where `others` lacks any of the names.

    Raises:
        StockpotError: naming a few of them.
    """
    if missing := [name for name in names if name not in others]:
        listed = ", ".join(f"'{name}'" for name in missing[:4])
        more = f" and {len(missing) - 4} more" if len(missing) > 4 else ""
        raise StockpotError(f"{what} has no {listed}{more}: choose other layers, or another one.")


def values_of(parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """Their values, out of reach of gradients."""
    return {name: one.detach() for name, one in parameters.items()}


WEIGHTS = Layers()
"""Of convolutions and of linear layers."""
EVERY_PARAMETER = Layers(roles=CHOICES)
"""All that is trained: biases, norms and embeddings too."""
