"""One federated run, opened: the data of each client, a network, and what the run is made of."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import torch

from ..experiments.federated import FederatedRun, Federation, parse_federation
from ..networks.reproducible import derived
from ..training.jobs.cell import Cell, open_cell
from .partition import Holding, by_domain, by_label
from .rounds.client import Client
from .rounds.server import Server, begin


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Which run of an experiment it is; a value that travels as text.

    Attributes:
        federation: the experiment.
        run: position of the algorithm.
        alpha: of the partition; None where it is by domain.
        seed: of the partition, the start and all draws.
    """

    federation: Federation
    run: int
    alpha: float | None
    seed: int

    @property
    def algorithm(self) -> FederatedRun:
        """What clients minimise, and how replies are merged."""
        return self.federation.federated.runs[self.run]

    @property
    def name(self) -> str:
        """Of the algorithm, in tables."""
        return self.federation.federated.names[self.run]

    def text(self) -> str:
        """As JSON; `setting_from` reads it back."""
        plain = {"run": self.run, "alpha": self.alpha, "seed": self.seed}
        return json.dumps({"federation": self.federation.resolved(), **plain}, sort_keys=True)

    def made(self) -> dict[str, Any]:
        """All that decides the bytes of a round, in plain values."""
        resolved = self.federation.resolved()
        inner = resolved["federated"]
        kept = ("clients", "partition", "participation", "local")
        return {
            **{key: resolved[key] for key in ("network", "data", "split", "seed")},
            **{key: inner[key] for key in kept},
            "run": {k: v for k, v in inner["runs"][self.run].items() if k != "name"},
            "alpha": self.alpha,
            "repetition": self.seed,
            "digest": self._cell().digest,
            "torch": str(torch.__version__),
        }

    def _cell(self) -> Cell:
        return open_cell(self.federation.experiment)

    def clients(self) -> tuple[Client, ...]:
        """All clients, in the order of their numbers.

        Raises:
            StockpotError: whatever data, partition and network find.
        """
        cell, local = self._cell(), self.federation.federated.local
        network = partial(cell.network, derived(self.seed, "start"))
        return tuple(
            Client(one, network, self.algorithm, local, self.seed) for one in self._holdings()
        )

    def _holdings(self) -> tuple[Holding, ...]:
        return _dealt(
            json.dumps(self.federation.experiment.resolved()),
            self.federation.federated.clients,
            self.alpha,
            derived(self.seed, "partition"),
        )

    def server(self) -> Server:
        """A server before its first round.

        Raises:
            StockpotError: whatever data and network find.
        """
        wanted = self.federation.federated
        network = self._cell().network(derived(self.seed, "start"))
        return begin(
            self.algorithm, network, seed=self.seed, clients=wanted.clients, drawn=wanted.drawn
        )


def setting_from(text: str) -> Setting:
    """What `Setting.text` gave."""
    plain: Mapping[str, Any] = json.loads(text)
    federation = parse_federation(plain["federation"])
    return Setting(
        federation=federation, run=plain["run"], alpha=plain["alpha"], seed=plain["seed"]
    )


@lru_cache(maxsize=8)
def _dealt(text: str, clients: int, alpha: float | None, seed: int) -> tuple[Holding, ...]:
    """Who holds what; kept, because every algorithm of a seed has the same."""
    from ..experiments.experiment import parse_experiment

    splits = open_cell(parse_experiment(json.loads(text))).splits
    if alpha is None:
        return by_domain(splits, clients, seed)
    return by_label(splits, clients, alpha, seed)
