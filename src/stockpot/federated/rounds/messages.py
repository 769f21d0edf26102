"""What goes over the wire between server and clients, as values; any engine carries them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from ...ops.distribution import Scope

State = Mapping[str, Tensor]
"""Tensors by name."""

BYTES_OF_A_SCOPE = 16
"""Two float64 numbers."""


@dataclass(frozen=True, slots=True, eq=False)
class Order:
    """What a client gets: learn from this, or be judged on it.

    Attributes:
        round: from 1.
        state: the global model.
        scopes: what layers are to be pulled to; empty without a scope penalty.
    """

    round: int
    state: State
    scopes: Mapping[str, Scope] = field(default_factory=dict[str, Scope])

    @property
    def nbytes(self) -> int:
        """Of tensors and scopes."""
        return bytes_of(self.state) + BYTES_OF_A_SCOPE * len(self.scopes)


@dataclass(frozen=True, slots=True, eq=False)
class Reply:
    """What a client sends back after learning.

    Attributes:
        client: its number.
        round: of the order that it answers.
        state: what it has learned: the shared tensors of its network, or factors of their change.
        examples: training samples that went into it; its weight.
        scopes: of its layers; empty where factors are sent.
        statistics: of its data, where the aggregation needs them, under the names of `state`.
    """

    client: int
    round: int
    state: State
    examples: int
    scopes: Mapping[str, Scope] = field(default_factory=dict[str, Scope])
    statistics: State = field(default_factory=dict[str, Tensor])

    @property
    def nbytes(self) -> int:
        """Of tensors and scopes."""
        tensors = bytes_of(self.state) + bytes_of(self.statistics)
        return tensors + BYTES_OF_A_SCOPE * len(self.scopes)


@dataclass(frozen=True, slots=True)
class Dropped:
    """A client whose answer does not count in a round, and why."""

    client: int
    reason: str


@dataclass(frozen=True, slots=True)
class Score:
    """How a client's test samples were judged: how right they are in all, and how many."""

    client: int
    right: float
    count: int


def bytes_of(state: State) -> int:
    """Of all tensors."""
    return sum(one.numel() * one.element_size() for one in state.values())
