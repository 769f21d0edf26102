"""Ingredients: networks fitted to views of the data, and files that say how they came about."""

from typing import TYPE_CHECKING

from ..lazy import lazy_names

if TYPE_CHECKING:
    from ..data.changes.augment import Augment as Augment
    from ..experiments.fit import Fit as Fit
    from ..networks.layers import EVERY_PARAMETER as EVERY_PARAMETER
    from ..networks.layers import WEIGHTS as WEIGHTS
    from ..networks.layers import Layers as Layers
    from ..ops.distribution import Scope as Scope
    from .additions.adding import Additions as Additions
    from .additions.averaging import Ema as Ema
    from .additions.averaging import Fge as Fge
    from .additions.averaging import Lawa as Lawa
    from .additions.averaging import Swa as Swa
    from .additions.averaging import WeightAverage as WeightAverage
    from .additions.callbacks import add_gradients as add_gradients
    from .additions.callbacks import lightning_callback as lightning_callback
    from .additions.callbacks import transformers_callback as transformers_callback
    from .additions.in_merge import InMerged as InMerged
    from .additions.in_merge import InModelMerge as InModelMerge
    from .additions.in_merge import Kernels as Kernels
    from .additions.in_merge import kernel_report as kernel_report
    from .additions.proximal import ProximalTerm as ProximalTerm
    from .additions.rescaling import Rescaled as Rescaled
    from .additions.rescaling import rescale_to_scope as rescale_to_scope
    from .additions.scope_penalty import ScopeRegularizer as ScopeRegularizer
    from .additions.scopes import fuse_scopes as fuse_scopes
    from .additions.scopes import scope_divergence as scope_divergence
    from .additions.scopes import scope_of as scope_of
    from .fitting.fisher import fisher as fisher
    from .fitting.loop import fit as fit
    from .fitting.saves import Save as Save
    from .fitting.tangent import Linearised as Linearised
    from .fitting.tangent import linearise as linearise
    from .jobs.compare import compare_experiment as compare_experiment
    from .jobs.pools import Pool as Pool
    from .jobs.pools import Trained as Trained
    from .jobs.pools import train_experiment as train_experiment

__getattr__, __dir__ = lazy_names(
    __name__,
    {
        ".data.changes.augment": "Augment",
        ".experiments.fit": "Fit",
        ".networks.layers": "EVERY_PARAMETER WEIGHTS Layers",
        "additions.adding": "Additions",
        "additions.averaging": "Ema Fge Lawa Swa WeightAverage",
        "additions.callbacks": "add_gradients lightning_callback transformers_callback",
        "additions.in_merge": "InMerged InModelMerge Kernels kernel_report",
        "additions.proximal": "ProximalTerm",
        "additions.rescaling": "Rescaled rescale_to_scope",
        "additions.scope_penalty": "ScopeRegularizer",
        ".ops.distribution": "Scope",
        "additions.scopes": "fuse_scopes scope_divergence scope_of",
        "fitting.fisher": "fisher",
        "fitting.loop": "fit",
        "fitting.saves": "Save",
        "fitting.tangent": "Linearised linearise",
        "jobs.compare": "compare_experiment",
        "jobs.pools": "Pool Trained train_experiment",
    },
)
