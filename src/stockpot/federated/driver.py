"""Rounds in this process: the clients learn one after the other, in the order of their numbers."""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor

from ..errors import StockpotError
from .rounds.client import Client, judged, learn
from .rounds.messages import Dropped, Reply
from .rounds.server import Server

Own = dict[int, dict[str, Tensor]]
"""What each client keeps to itself, by its number."""

AfterRound = Callable[[Server, Mapping[int, Mapping[str, Tensor]]], None]
"""Called when a round is finished, the start first: to keep it, or to say so."""


def drive(
    server: Server, clients: Sequence[Client], rounds: int, own: Own, after: AfterRound
) -> None:
    """Go on until so many rounds are behind.

    A client that fails is dropped with its reason, and the round goes on.

    Args:
        server: changed round by round.
        clients: all of them, in the order of their numbers.
        rounds: how many there are in all.
        own: what clients keep to themselves; changed.
        after: called after each round.
    """
    if not server.rounds[-1].scores:
        _judge(server, clients, own)
        after(server, own)
    while server.done < rounds:
        order, replies, failed = server.order(), list[Reply](), list[Dropped]()
        for number in server.chosen():
            try:
                reply, kept = learn(clients[number], order, own.get(number, {}))
            except StockpotError as error:
                failed.append(Dropped(number, f"it failed: {error}"))
                continue
            replies.append(reply)
            if kept:
                own[number] = kept
        server.close(replies, failed)
        _judge(server, clients, own)
        after(server, own)


def _judge(server: Server, clients: Sequence[Client], own: Own) -> None:
    order = server.judging()
    server.note_scores(judged(one, order, own.get(one.number, {})) for one in clients)
