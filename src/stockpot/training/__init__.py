"""Ingredients: networks fitted to views of the data, and files that say how they came about."""

from .fitting import Fit as Fit
from .fitting import fit as fit
from .ingredient import Ingredient as Ingredient
from .pool import Kept as Kept
from .pool import train_pool as train_pool
