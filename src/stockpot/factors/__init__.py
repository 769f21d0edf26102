"""CART's factors on disk: decomposed once, merged at any rank and scale, kept for a search."""

from .factored import Factored as Factored
from .factored import read_factored as read_factored
from .making import factor_to as factor_to
from .store import stored_factors as stored_factors
