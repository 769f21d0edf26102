"""Flower's own strategies as they are, to aggregate the same replies as any merge method."""

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

from torch import Tensor

from ...errors import MergeError
from ...experiments.flower import PREFIX, FlowerStrategy
from ...libraries import optional
from ...ops.rounding import rounded
from ..rounds.messages import Reply, State
from .records import ARRAYS, FACTS, arrays_of, state_of


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """A client's answer as strategies read it; Flower's own Message exists within its apps only."""

    content: Any
    node: int

    def has_error(self) -> bool:
        """Whether the client failed."""
        return False

    @property
    def metadata(self) -> SimpleNamespace:
        """Where it comes from."""
        return SimpleNamespace(src_node_id=self.node)


class Baseline:
    """A strategy of flwr.serverapp.strategy with what it remembers between rounds.

    It gets the floating-point tensors; counters stay those of the first reply. Clients are drawn
    by the server, so that it is told to draw none.

    Raises:
        ExtraError: Flower is not installed.
        MergeError: the strategy refuses its fields.
    """

    def __init__(self, rule: FlowerStrategy) -> None:
        self._name = PREFIX + rule.name
        self._app: Any = optional("flwr.app", "federated")
        cls = getattr(optional("flwr.serverapp.strategy", "federated"), rule.name)
        try:
            with _quiet():
                self._strategy: Any = cls(**dict(rule.fields), fraction_train=0.0)
        except ValueError as error:
            raise MergeError(f"{self._name}: {error}") from None

    def merged(self, base: State, replies: Sequence[Reply], round_: int) -> dict[str, Tensor]:
        """The next global model.

        Raises:
            MergeError: the strategy cannot aggregate the replies.
        """
        states = [reply.state for reply in replies]
        start = {name: base[name] for name in states[0]}
        answers = [self._answer(one, of) for one, of in zip(states, replies, strict=True)]
        try:
            with _quiet():
                config = self._app.ConfigRecord()
                self._strategy.configure_train(round_, arrays_of(_floating(start)), config, None)
                arrays, _ = self._strategy.aggregate_train(round_, answers)
        except Exception as error:  # it is Flower's code: anything may come
            raise MergeError(f"{self._name}: {type(error).__name__}: {error}") from error
        if arrays is None:
            raise MergeError(f"{self._name} gives no model.")
        found = {name: rounded(one, base[name].dtype) for name, one in state_of(arrays).items()}
        return {**base, **states[0], **found}

    def _answer(self, state: State, reply: Reply) -> Answer:
        facts = self._app.MetricRecord({"num-examples": reply.examples})
        content = self._app.RecordDict({ARRAYS: arrays_of(_floating(state)), FACTS: facts})
        return Answer(content, reply.client)


def _floating(state: State) -> State:
    return {name: one for name, one in state.items() if one.is_floating_point()}


@contextmanager
def _quiet() -> Generator[None]:
    """Without what Flower says of every round."""
    log = logging.getLogger("flwr")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)
