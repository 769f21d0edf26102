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
from .in_merge import InMerged as InMerged
from .in_merge import InModelMerge as InModelMerge
from .in_merge import Kernels as Kernels
from .in_merge import kernel_report as kernel_report
from .layers import EVERY_PARAMETER as EVERY_PARAMETER
from .layers import WEIGHTS as WEIGHTS
from .layers import Layers as Layers
from .proximal import ProximalTerm as ProximalTerm
from .rescaling import Rescaled as Rescaled
from .rescaling import rescale_to_scope as rescale_to_scope
from .saves import Save as Save
from .scope_penalty import ScopeRegularizer as ScopeRegularizer
from .scopes import Scope as Scope
from .scopes import fuse_scopes as fuse_scopes
from .scopes import scope_divergence as scope_divergence
from .scopes import scope_of as scope_of
