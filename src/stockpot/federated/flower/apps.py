"""The ServerApp and the ClientApp: the same for the simulation engine and for a deployment.

What is run travels in the app's configuration: `setting`, and for the server `file`, where it keeps
each finished round. A node is the client that its `partition-id` says.
"""

import logging
import time
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

from ...errors import StockpotError
from ...libraries import optional
from ..rounds.client import Client, judged, learn
from ..rounds.messages import Dropped, Order, Reply, Score
from ..rounds.server import Server, resume, save
from ..setting import Setting, setting_from
from .records import (
    FACTS,
    arrays_of,
    order_from,
    order_record,
    reply_from,
    reply_record,
    score_from,
    score_record,
    state_of,
)

_log = logging.getLogger("flwr")
_app = optional("flwr.app", "federated")

client_app = optional("flwr.clientapp", "federated").ClientApp()
server_app = optional("flwr.serverapp", "federated").ServerApp()

OWN = "own"
"""Where a node keeps what does not leave it."""


@lru_cache(maxsize=1)
def _clients(text: str) -> tuple[Client, ...]:
    return setting_from(text).clients()


def _client(context: Any) -> Client:
    """Who this node is."""
    clients = _clients(str(context.run_config["setting"]))
    number = int(context.node_config["partition-id"])
    if not 0 <= number < len(clients):
        raise StockpotError(f"partition-id {number}: the experiment has {len(clients)} clients.")
    return clients[number]


def _own(context: Any) -> dict[str, Any]:
    records = context.state.array_records
    return {name: one.clone() for name, one in state_of(records.get(OWN, {})).items()}


@client_app.train()
def train(message: Any, context: Any) -> Any:
    """Learn for one round."""
    reply, kept = learn(_client(context), order_from(message.content), _own(context))
    if kept:
        context.state[OWN] = arrays_of(kept)
    return _app.Message(content=reply_record(reply), reply_to=message)


@client_app.evaluate()
def evaluate(message: Any, context: Any) -> Any:
    """Be judged on the global model."""
    score = judged(_client(context), order_from(message.content), _own(context))
    return _app.Message(content=score_record(score), reply_to=message)


@server_app.main()
def main(grid: Any, context: Any) -> None:
    """Run all rounds, from the last one that `file` holds."""
    setting = setting_from(str(context.run_config["setting"]))
    path, made = Path(str(context.run_config["file"])), setting.made()
    wanted, server = setting.federation.federated, setting.server()
    if setting.algorithm.client != "fedbn":  # whose clients have forgotten what they kept
        resume(server, path, made, wanted.rounds)
    room = _Room(grid, setting)
    scores = room.introduce(server)
    if not server.done:
        server.note_scores(scores)
        save(server, {}, path, made)
    while server.done < wanted.rounds:
        server.close(*room.learn(server))
        server.note_scores(room.judge(server))
        save(server, {}, path, made)
        now = server.rounds[-1]
        _log.info("round %d of %d: accuracy %.4f", now.number, wanted.rounds, now.accuracy)
        for one in now.dropped:
            _log.warning("client %d does not count: %s", one.client, one.reason)


class _Room:
    """The nodes that are there, and which client each of them is."""

    def __init__(self, grid: Any, setting: Setting) -> None:
        self._grid, self._count = grid, setting.federation.federated.clients
        self._timeout = setting.federation.federated.timeout
        self._nodes: dict[int, int] = {}

    def introduce(self, server: Server) -> list[Score]:
        """Wait until there are enough nodes, and ask who they are by judging the global model.

        Raises:
            StockpotError: clients are missing, or two nodes say that they are the same.
        """
        until = time.monotonic() + self._timeout
        while len(nodes := list(self._grid.get_node_ids())) < self._count:
            if time.monotonic() > until:
                raise StockpotError(f"{len(nodes)} of {self._count} nodes came in time.")
            time.sleep(1)
        found: dict[int, Score] = {}
        for message in self._ask(nodes, server.judging(), "evaluate"):
            if message.has_error():
                raise StockpotError(f"a node failed at the start: {_reason(message)}")
            score = score_from(message.content)
            if score.client in found:
                raise StockpotError(
                    f"two nodes have partition-id {score.client}: give each its own."
                )
            found[score.client] = score
            self._nodes[score.client] = message.metadata.src_node_id
        if len(found) < self._count:
            missing = sorted(set(range(self._count)) - set(found))
            raise StockpotError(f"no node is client {', '.join(map(str, missing))}.")
        return list(found.values())

    def learn(self, server: Server) -> tuple[list[Reply], list[Dropped]]:
        """Replies of the next round's clients, and those from which none came."""
        replies, failed = list[Reply](), list[Dropped]()
        asked, order = server.chosen(), server.order()
        clients = {self._nodes[one]: one for one in asked}
        for message in self._ask(list(clients), order, "train"):
            client = clients.get(message.metadata.src_node_id)
            if client is None or _is_late(message, order):
                _log.warning("node %d answers too late", message.metadata.src_node_id)
                continue
            del clients[message.metadata.src_node_id]
            if message.has_error():
                failed.append(Dropped(client, f"it failed: {_reason(message)}"))
                continue
            try:
                reply = reply_from(message.content)
            except StockpotError as error:
                failed.append(Dropped(client, str(error)))
                continue
            if reply.client == client:
                replies.append(reply)
            else:
                failed.append(Dropped(client, f"it says that it is client {reply.client}"))
        late = f"it did not answer within {self._timeout:g} s"
        return replies, [*failed, *(Dropped(one, late) for one in clients.values())]

    def judge(self, server: Server) -> list[Score]:
        """Scores of all clients that answer."""
        found: list[Score] = []
        for message in self._ask(list(self._nodes.values()), server.judging(), "evaluate"):
            if message.has_error():
                _log.warning("a node was not judged: %s", _reason(message))
            else:
                found.append(score_from(message.content))
        return found

    def _ask(self, nodes: list[int], order: Order, kind: str) -> Iterable[Any]:
        content = order_record(order)  # one for all: messages do not change it
        messages = [
            _app.Message(content=content, message_type=kind, dst_node_id=node) for node in nodes
        ]
        return self._grid.send_and_receive(messages, timeout=self._timeout)


def _is_late(message: Any, order: Order) -> bool:
    """Whether it answers an earlier round."""
    if message.has_error():
        return False
    facts = message.content.metric_records.get(FACTS, {})
    return int(facts.get("round", order.round)) < order.round


def _reason(message: Any) -> str:
    return str(message.error.reason or f"error {message.error.code}").strip().splitlines()[-1][:200]
