"""What a client does: learn from the global model, or be judged on it. No engine is known here."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor, nn

from ...errors import StockpotError
from ...evaluation.predictions.predict import predict
from ...experiments.federated import FederatedRun, LocalTraining
from ...networks.layers import WEIGHTS
from ...networks.network import parts
from ...networks.reproducible import derived
from ...running.executor import one_thread
from ...training.additions.adding import Additions
from ...training.additions.proximal import ProximalTerm
from ...training.additions.scope_penalty import ScopeRegularizer
from ...training.additions.scopes import scope_of
from ...training.fitting.fisher import fisher
from ...training.fitting.loop import fit
from ..partition import Holding
from .lora import adapt, factors_of
from .messages import Order, Reply, Score, State

EXAMPLES = 256
"""Samples on which a client estimates its Fisher information, at most."""
_NORMS = (
    nn.modules.batchnorm._NormBase,  # pyright: ignore[reportPrivateUsage] - batch and instance norms
    nn.GroupNorm,
    nn.LayerNorm,
)


@dataclass(frozen=True, slots=True, eq=False)
class Client:
    """One client.

    Attributes:
        holding: its number and its samples.
        network: a new network, as the server began with.
        run: what it minimises.
        local: how it learns in one round.
        seed: of the whole run; its own draws come from it, its number and the round.
    """

    holding: Holding
    network: Callable[[], nn.Module]
    run: FederatedRun
    local: LocalTraining
    seed: int

    @property
    def number(self) -> int:
        """Which it is."""
        return self.holding.client


def learn(client: Client, order: Order, own: State) -> tuple[Reply, dict[str, Tensor]]:
    """Learn for one round.

    Args:
        client: who.
        order: the global model and the target scopes.
        own: what this client keeps to itself, from its last round; empty at first.

    Returns:
        What it sends, and what it keeps to itself from now on.

    Raises:
        StockpotError: the model does not fit the network, or the loss stops being finite.
    """
    run, local = client.run, client.local
    network = opened(client, order.state, own)
    seed = derived(client.seed, "client", client.number, "round", order.round)
    penalties = [
        *([ProximalTerm(network, run.proximal_weight)] if run.proximal_weight else []),
        *([ScopeRegularizer(order.scopes, run.scope_weight)] if order.scopes else []),
    ]
    if run.lora:
        adapt(network, run.lora.rank, derived(seed, "factors"))
    augment = local.augment
    with one_thread():  # so that every engine gives the same bits
        fitted = fit(
            network,
            client.holding.train,
            local.seeded(seed),
            augment=augment,
            additions=Additions(penalties=tuple(penalties)),
        )
    examples = len(client.holding.train)
    if run.lora:
        return Reply(client.number, order.round, factors_of(fitted), examples), {}
    state: dict[str, Tensor] = fitted.state_dict()
    kept = private(run, fitted)
    shared = {name: one for name, one in state.items() if name not in kept}
    statistics = _statistics(client, fitted, seed) if run.needs_statistics else {}
    scopes = scope_of(fitted, WEIGHTS)
    reply = Reply(
        client.number,
        order.round,
        shared,
        examples,
        scopes,
        {name: one for name, one in statistics.items() if name not in kept},
    )
    return reply, {name: state[name] for name in kept}


def _statistics(client: Client, network: nn.Module, seed: int) -> dict[str, Tensor]:
    """Of this client's data; of a few hundred samples."""
    return fisher(network, client.holding.train, examples=EXAMPLES, seed=derived(seed, "fisher"))


def judged(client: Client, order: Order, own: State) -> Score:
    """How right the global model is on this client's test samples, with what it keeps to itself.

    Raises:
        StockpotError: the model does not fit the network.
    """
    test = client.holding.test
    if not len(test):
        return Score(client.number, 0.0, 0)
    correct_N = predict(opened(client, order.state, own), test).correct()
    return Score(client.number, float(correct_N.sum()), len(test))


def opened(client: Client, state: State, own: State) -> nn.Module:
    """The client's network, holding the global model and its own tensors, in evaluation mode.

    Raises:
        StockpotError: names or shapes are not the network's.
    """
    network = client.network()
    expected: dict[str, Tensor] = network.state_dict()
    kept = private(client.run, network)
    given = {**{name: expected[name] for name in kept}, **own, **state}
    for name, one in expected.items():
        if name not in given or given[name].shape != one.shape:
            raise StockpotError(
                f"client {client.number}: the global model's '{name}' does not fit."
            )
    network.load_state_dict({name: given[name] for name in expected})
    return network.eval()


def private(run: FederatedRun, network: nn.Module) -> frozenset[str]:
    """Names of the tensors that each client keeps to itself: those of FedBN's norm layers.

    Raises:
        StockpotError: FedBN of a network without normalisation.
    """
    if run.client != "fedbn":
        return frozenset()
    norms = [name for name, one in parts(network).items() if isinstance(one, _NORMS)]
    state: dict[str, Tensor] = network.state_dict()
    found = frozenset(n for n in state if any(n.startswith(f"{norm}.") for norm in norms))
    if not found:
        raise StockpotError(
            f"fedbn: {type(network).__name__} has no normalisation layers that clients could keep "
            "to themselves: choose another client, or a network with some."
        )
    return found
