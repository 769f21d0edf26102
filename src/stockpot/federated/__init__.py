"""Federated learning: clients, a server around any merge method, engines that carry them."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from .driver import drive as drive
    from .experiment import federate as federate
    from .experiment import local as local
    from .partition import Holding as Holding
    from .partition import by_domain as by_domain
    from .partition import by_label as by_label
    from .result import Outcome as Outcome
    from .result import Trace as Trace
    from .rounds.aggregation import aggregate as aggregate
    from .rounds.aggregation import krum_members as krum_members
    from .rounds.client import Client as Client
    from .rounds.client import judged as judged
    from .rounds.client import learn as learn
    from .rounds.finished import Round as Round
    from .rounds.messages import Dropped as Dropped
    from .rounds.messages import Order as Order
    from .rounds.messages import Reply as Reply
    from .rounds.messages import Score as Score
    from .rounds.server import Server as Server
    from .setting import Setting as Setting

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        "driver": "drive",
        "experiment": "federate local",
        "partition": "Holding by_domain by_label",
        "result": "Outcome Trace",
        "rounds.aggregation": "aggregate krum_members",
        "rounds.client": "Client judged learn",
        "rounds.finished": "Round",
        "rounds.messages": "Dropped Order Reply Score",
        "rounds.server": "Server",
        "setting": "Setting",
    },
)
