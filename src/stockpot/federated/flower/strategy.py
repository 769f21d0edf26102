"""A merge method as a Flower strategy, for anybody's ServerApp."""

import logging
from collections.abc import Iterable
from typing import Any

from ...errors import StockpotError
from ...experiments.aggregating import Rule
from ...libraries import optional
from ..rounds.aggregation import aggregate, expected_shapes
from ..rounds.messages import Reply, State
from ..rounds.replies import sorted_out
from .records import STATISTICS, moved_arrays, state_of

_log = logging.getLogger("flwr")
_strategies = optional("flwr.serverapp.strategy", "federated")


class MethodStrategy(_strategies.Strategy):
    """Aggregates by a merge method; draws nodes and averages metrics as Flower's FedAvg does.

    Weights are the clients' numbers of examples, the base is the model that was sent out. Replies
    are taken in the order of their nodes, so that arrival changes no bit; those with NaN, other
    shapes or other tensors are left out, with a warning. Without one that counts, and where the
    method cannot merge so few, there is no new model, and Flower goes on with the old one.

    Args:
        rule: such as `Ties(density=0.3)`, or `MultiKrum()` of stockpot.experiments.krum. Where it
            needs statistics of clients' data, a reply has them as a second ArrayRecord,
            "statistics".
        seed: of methods that draw at random; rounds draw apart.
        of_fedavg: what Flower's FedAvg takes, such as `fraction_train` or `weighted_by_key`.

    Example, in a ServerApp:

        strategy = MethodStrategy(Ties(density=0.3), fraction_train=0.5)
        result = strategy.start(grid=grid, initial_arrays=arrays, num_rounds=10)
    """

    def __init__(self, rule: Rule, *, seed: int = 0, **of_fedavg: Any) -> None:
        self._rule, self._seed = rule, seed
        self._fedavg: Any = _strategies.FedAvg(**of_fedavg)
        self._base: State = {}

    def summary(self) -> None:
        """Say what is used."""
        _log.info("\t├──> Aggregation: %r", self._rule)
        self._fedavg.summary()

    def configure_train(self, server_round: int, arrays: Any, config: Any, grid: Any) -> Any:
        """Messages to the nodes that learn."""
        self._base = state_of(arrays)
        return self._fedavg.configure_train(server_round, arrays, config, grid)

    def aggregate_train(self, server_round: int, replies: Iterable[Any]) -> tuple[Any, Any]:
        """The next global model and the averaged metrics; None and None where there is none."""
        contents, read = dict[int, Any](), list[Reply]()
        for message in sorted(replies, key=lambda one: int(one.metadata.src_node_id)):
            node = int(message.metadata.src_node_id)
            try:
                read.append(self._read(len(read), server_round, message))
            except (StockpotError, KeyError, StopIteration, TypeError, ValueError) as error:
                _log.warning("node %d does not count: %s", node, error)
                continue
            contents[len(read) - 1] = message.content
        shapes = expected_shapes(self._base)
        good, dropped = sorted_out(read, range(len(read)), server_round, shapes, self._base)
        for one in dropped:
            _log.warning("a reply does not count: %s", one.reason)
        if not good:
            return None, None
        try:
            seed = self._seed + server_round
            merged = aggregate(self._base, good, self._rule, seed=seed)
        except StockpotError as error:  # fewer replies than the method can do with
            _log.warning("the global model stays: %s", error)
            return None, None
        metrics = self._fedavg.train_metrics_aggr_fn(
            [contents[one.client] for one in good], self._fedavg.weighted_by_key
        )
        return moved_arrays(merged), metrics

    def _read(self, number: int, round_: int, message: Any) -> Reply:
        if message.has_error():
            raise StockpotError(str(message.error.reason))
        records = dict(message.content.array_records.items())
        statistics = state_of(records.pop(STATISTICS, {}))
        arrays = next(iter(records.values()))
        facts = next(iter(message.content.metric_records.values()))
        examples = int(facts[self._fedavg.weighted_by_key])
        return Reply(number, round_, state_of(arrays), examples, statistics=statistics)

    def configure_evaluate(self, server_round: int, arrays: Any, config: Any, grid: Any) -> Any:
        """Messages to the nodes that judge."""
        return self._fedavg.configure_evaluate(server_round, arrays, config, grid)

    def aggregate_evaluate(self, server_round: int, replies: Iterable[Any]) -> Any:
        """The averaged metrics."""
        return self._fedavg.aggregate_evaluate(server_round, replies)
