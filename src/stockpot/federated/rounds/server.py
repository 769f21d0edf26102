"""What the server does, round by round: ask, sort out, merge, note. No engine is known here."""

import json
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from ...checkpoints.entry import Checkpoint
from ...checkpoints.read import read_checkpoint
from ...errors import CheckpointError, OutputError, StockpotError
from ...experiments.federated import FederatedRun
from ...experiments.flower import FlowerStrategy
from ...networks import save_state
from ...networks.layers import WEIGHTS
from ...networks.reproducible import derived
from ...ops.distribution import Scope
from ...training.additions.scopes import fuse_scopes, scope_of
from ...values.differences import first_differences
from .aggregation import aggregate, expected_shapes
from .client import private
from .finished import Round, round_from
from .lora import factor_shapes
from .messages import Dropped, Order, Reply, Score
from .replies import sorted_out

if TYPE_CHECKING:
    from ..flower.baselines import Baseline

METADATA = "stockpot.federated"
_OWN = "client-"


@dataclass(slots=True, eq=False)
class Server:
    """A federated run: its global model and what is known of its rounds.

    Attributes:
        run: the algorithm.
        seed: of the whole run.
        clients: how many there are.
        drawn: how many of them each round asks.
        state: the global model.
        scopes: what clients are to be pulled to: fused from the last replies that counted, at first
            of the initial model.
        rounds: what is known of each, the start first.
        baseline: Flower's strategy, where that aggregates.
    """

    run: FederatedRun
    seed: int
    clients: int
    drawn: int
    state: dict[str, Tensor]
    scopes: Mapping[str, Scope]
    rounds: list[Round] = field(default_factory=list[Round])
    baseline: "Baseline | None" = None

    @property
    def done(self) -> int:
        """Rounds that are behind."""
        return max(0, len(self.rounds) - 1)

    def chosen(self) -> tuple[int, ...]:
        """The clients of the next round, drawn without replacement."""
        draw = random.Random(derived(self.seed, "participants", self.done + 1))
        return tuple(sorted(draw.sample(range(self.clients), self.drawn)))

    def order(self) -> Order:
        """What the clients of the next round get."""
        if self.run.scope_weight:
            return Order(self.done + 1, self.state, self.scopes)
        return Order(self.done + 1, self.state)

    def judging(self) -> Order:
        """What clients are judged on: the global model as it is."""
        return Order(self.done, self.state)

    def close(self, replies: Iterable[Reply], failed: Iterable[Dropped] = ()) -> None:
        """Merge what came back in the next round; without a reply that counts nothing changes.

        Args:
            replies: in any order.
            failed: clients from which none came, and why.
        """
        order, asked, given = self.order(), self.chosen(), list(replies)
        good, bad = sorted_out(given, asked, order.round, self.expected, self.state)
        heard = {one.client for one in given} | {one.client for one in failed}
        silent = [Dropped(one, "it did not answer") for one in asked if one not in heard]
        note = "" if good else "no reply counts: the global model stays"
        if good:
            try:
                self.state = self._merged(good, order.round)
            except StockpotError as error:  # fewer replies than the rule can do with
                note = f"the global model stays: {error}"
        if good and not note and good[0].scopes:
            each = [one.scopes for one in good]
            weights = [one.examples for one in good]
            self.scopes = fuse_scopes(each, self.run.variance, weights)
        elif good and not note:
            self.scopes = scope_of(self.state, WEIGHTS)
        self.rounds.append(
            Round(
                number=order.round,
                participants=asked,
                dropped=tuple(sorted([*bad, *failed, *silent], key=lambda one: one.client)),
                note=note,
                sent_down=order.nbytes * len(asked),
                sent_up=sum(one.nbytes for one in given),
                scopes=dict(self.scopes),
            )
        )

    def _merged(self, replies: list[Reply], round_: int) -> dict[str, Tensor]:
        if self.baseline is not None:
            return self.baseline.merged(self.state, replies, round_)
        seed = derived(self.seed, "merge", round_)
        rule, rank = self.run.aggregation, self.run.merged_rank
        return aggregate(self.state, replies, rule, seed=seed, rank=rank)

    def note_scores(self, scores: Iterable[Score]) -> None:
        """How the clients were judged after the round that was closed last."""
        ordered = tuple(sorted(scores, key=lambda one: one.client))
        self.rounds[-1] = replace(self.rounds[-1], scores=ordered)

    @property
    def expected(self) -> dict[str, tuple[int, ...]]:
        """Names and shapes of what a reply holds."""
        if self.run.lora:
            return factor_shapes(self.state, self.run.lora.rank)
        return expected_shapes(self.state)


def begin(run: FederatedRun, network: nn.Module, *, seed: int, clients: int, drawn: int) -> Server:
    """A server before its first round; the start is its round 0, not yet judged.

    Raises:
        StockpotError: the algorithm does not fit the network.
        ExtraError: it aggregates by a strategy of Flower's, which is not installed.
    """
    kept = private(run, network)
    state = {n: one.detach().clone() for n, one in network.state_dict().items() if n not in kept}
    scopes = scope_of(network, WEIGHTS)
    server = Server(
        run, seed, clients, drawn, state, scopes, [Round(number=0, scopes=dict(scopes))]
    )
    if isinstance(run.aggregation, FlowerStrategy):
        from ..flower.baselines import Baseline

        server.baseline = Baseline(run.aggregation)
    return server


def save(server: Server, own: Mapping[int, Mapping[str, Tensor]], path: Path, made: Any) -> None:
    """Keep a finished round; `path` holds all of it or what was there before.

    Args:
        server: after a round.
        own: what clients keep to themselves, where the engine knows it.
        path: the file.
        made: what the run is made of, in plain values.
    """
    tensors = dict(server.state)
    for client, state in own.items():
        tensors |= {f"{_OWN}{client}/{name}": one for name, one in state.items()}
    scopes = {name: list(one) for name, one in server.scopes.items()}
    rounds = [one.as_dict() for one in server.rounds]
    told = {"made": made, "scopes": scopes, "rounds": rounds}
    save_state(tensors, path, {METADATA: json.dumps(told)})


def resume(server: Server, path: Path, made: Any, rounds: int) -> dict[int, dict[str, Tensor]]:
    """Go on from what `save` kept; without a file the server stays as it is.

    So it does where its strategy remembers earlier rounds and fewer than `rounds` are behind: the
    file does not hold what it remembers.

    Returns:
        What clients keep to themselves.

    Raises:
        OutputError: it is of another run; the differences are named.
        CheckpointError: it cannot be read.
    """
    if not path.exists():
        return {}
    checkpoint, told = _told(path)
    before, plain = told["made"], json.loads(json.dumps(made))
    if before != plain:
        raise OutputError(
            f"{path} is of another run: {first_differences(before, plain)}. Use another --out, or "
            "delete it."
        )
    if server.run.remembers and len(told["rounds"]) <= rounds:
        return {}
    own = dict[int, dict[str, Tensor]]()
    for name, entry in checkpoint.entries.items():
        whose, slash, rest = name.partition("/")
        if slash and whose.startswith(_OWN):
            own.setdefault(int(whose.removeprefix(_OWN)), {})[rest] = entry.load()
    server.state = {name: checkpoint.entries[name].load() for name in server.state}
    server.scopes = {name: Scope(*one) for name, one in told["scopes"].items()}
    server.rounds = [round_from(one) for one in told["rounds"]]
    return own


def rounds_in(path: Path) -> tuple[Round, ...]:
    """The rounds that `save` kept, the start first.

    Raises:
        CheckpointError: it cannot be read.
    """
    return tuple(round_from(one) for one in _told(path)[1]["rounds"])


def _told(path: Path) -> tuple[Checkpoint, Mapping[str, Any]]:
    checkpoint = read_checkpoint(path)
    try:
        told: Mapping[str, Any] = json.loads(checkpoint.metadata[METADATA])
    except (KeyError, ValueError):
        raise CheckpointError(f"{path} is no round of a federated run: delete it.") from None
    return checkpoint, told
