"""Networks by name, each a feature extractor followed by a head, and their weights on disk."""

from .builtin import NETWORKS as NETWORKS
from .builtin import build as build
from .network import Network as Network
from .weights import load_weights as load_weights
from .weights import save_weights as save_weights
