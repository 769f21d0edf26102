"""A pool of networks that may be merged: where their weights are, and what they are judged on."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from ...data import Splits
from ...errors import StockpotError
from ...networks import Headed, Network, load_weights

Source = nn.Module | Path
"""A network in memory, or a checkpoint of one."""


def with_head(network: nn.Module) -> Headed:
    """The split of a built-in network, which is features and a head by construction.

    Raises:
        StockpotError: for any other network: its head has to be found first.
    """
    if isinstance(network, Network):
        return Headed(network, network.head)
    raise StockpotError(
        f"where the head of this {type(network).__name__} begins is not known: give `headed=`, a "
        "function that splits it, such as networks.headed on a batch."
    )


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Ingredients:
    """One pool: networks of one kind, trained with one seed's luck.

    Attributes:
        seed: which pool.
        names: of the ingredients, all different.
        sources: networks in evaluation mode, or paths of checkpoints; not both.
        splits: train, selection and test; disjoint, or they could not have been made.
        build: a new network of this kind in evaluation mode, its weights immaterial.
        base: what they were fine-tuned from, where a method needs it; a network or a path, as the
            sources are.
        headed: finds the head of a network.

    Raises:
        StockpotError: where these do not fit together.
    """

    seed: int
    names: Sequence[str]
    sources: Sequence[Source]
    splits: Splits
    build: Callable[[], nn.Module]
    base: Source | None = None
    headed: Callable[[nn.Module], Headed] = with_head

    def __post_init__(self) -> None:
        if not self.sources or len(self.names) != len(self.sources):
            raise StockpotError(
                f"pool {self.seed}: {len(self.sources)} networks with {len(self.names)} names; "
                "there must be one or more, each with its name."
            )
        if len(set(self.names)) < len(self.names):
            raise StockpotError(f"pool {self.seed}: the names {list(self.names)} must differ.")
        given = [*self.sources, *([self.base] if self.base is not None else [])]
        if len({isinstance(one, Path) for one in given}) > 1:
            raise StockpotError(
                f"pool {self.seed}: networks in memory and paths are mixed; give one or the other, "
                "for the base too."
            )

    def __len__(self) -> int:
        return len(self.sources)

    def held(self, members: Sequence[int]) -> "Ingredients":
        """Some of them in memory, the base too: for many merges, files are read once."""
        base = self.base
        return replace(
            self,
            names=[self.names[i] for i in members],
            sources=[self.network(i) for i in members],
            base=load_weights(self.build(), base) if isinstance(base, Path) else base,
        )

    def network(self, index: int) -> nn.Module:
        """One ingredient; read from its file where it is in one."""
        source = self.sources[index]
        return load_weights(self.build(), source) if isinstance(source, Path) else source
