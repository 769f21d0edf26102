"""Weights and features: averaged weights against averaged features, layer by layer."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from annotated_types import Ge

from ..study import StudyOfPools

if TYPE_CHECKING:
    from .result import WeightsFeaturesResult as WeightsFeaturesResult


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightsFeatures(StudyOfPools["WeightsFeaturesResult"]):
    """How far averaged weights are from averaged features, layer by layer, and why.

    With h_k what a layer gives in member k, and h what it gives in the network of averaged weights,
    cross-task linearity holds where h = mean_k h_k. Where the gap opens is told layer by layer:
    each layer f of the merged network is given the average of its inputs,

        own = |f(mean_k x_k) - mean_k f_k(x_k)| / |mean_k f_k(x_k)|

    For an activation that is what equations 6 to 8 of the paper compare, and it comes with the
    share of units whose inputs disagree in sign. For a layer of weights it is the covariance of
    weights and inputs over members, mean_k (W_k - W)(x_k - x): nothing in the first layer, whose
    inputs are the same, and nothing to do with nonlinearity in later ones.

    Args:
        count: average the first so many ingredients of each pool; all without it.
        samples: of the test split, drawn at random; all where there are fewer.

    Raises:
        FieldError: a pool of one ingredient.
        StockpotError: networks cannot be merged or run.

    Cost: one pass of each member and of each merged network over the samples, and every layer of
        the merged ones once more. Memory: about four times one network's features on a batch.
    Source: arXiv 2411.09263, section 4; cross-task linearity: arXiv 2402.03660; collapse of
        variances: K. Jordan et al., REPAIR, arXiv 2211.08403.
    """

    count: Annotated[int, Ge(2)] | None = None
    samples: Annotated[int, Ge(2)] = 1024
