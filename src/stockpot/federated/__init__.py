"""Federated learning: clients, a server around any merge method, engines that carry them."""

from .aggregation import aggregate as aggregate
from .aggregation import krum_members as krum_members
from .client import Client as Client
from .client import judged as judged
from .client import learn as learn
from .driver import drive as drive
from .experiment import federate as federate
from .experiment import local as local
from .messages import Dropped as Dropped
from .messages import Order as Order
from .messages import Reply as Reply
from .messages import Score as Score
from .partition import Holding as Holding
from .partition import by_domain as by_domain
from .partition import by_label as by_label
from .result import Outcome as Outcome
from .result import Trace as Trace
from .rounds import Round as Round
from .server import Server as Server
from .setting import Setting as Setting
