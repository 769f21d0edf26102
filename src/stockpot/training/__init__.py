"""Ingredients: networks fitted to views of the data, and files that say how they came about."""

from .augment import Augment as Augment
from .compared import compare_experiment as compare_experiment
from .devices import pick_device as pick_device
from .experiment import Pool as Pool
from .experiment import Trained as Trained
from .experiment import train_experiment as train_experiment
from .fitting import fit as fit
from .fitting import loss_of as loss_of
from .how import Fit as Fit
from .saves import Save as Save
