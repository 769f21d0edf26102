"""A user's own metric, by `package.module:function`.

Shapes: N samples, L classes, R resamples.
"""

from collections.abc import Callable
from inspect import signature
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from ...data import Dataset
from ...errors import FieldError, StockpotError
from ...functions import find_function
from ..predictions.predict import Predictions
from ..results.intervals import Floats
from .bootstrap import Resampler
from .metrics import Metric, find_metric

OWN_RESAMPLES = 100
"""Resamples of a user's metric: each calls the function."""


def metric_called(name: str | Callable[..., object]) -> Metric:
    """A metric by its name: built in, or the user's own where it has a colon or is a function.

    Raises:
        FieldError: there is none of this name, or the function cannot be one.
    """
    return metric_from(name) if callable(name) or ":" in name else find_metric(name)


def metric_from(spec: str | Callable[..., object]) -> Metric:
    """The metric that a function computes, by what its parameters are called.

    `f(labels, predictions)`: labels as the data set has them, int64 [N] or bool [N, L], and
        probabilities float32 [N, L] (NaN throughout a sample whose output is not finite). It gets
        whole splits and resamples of them, and scores networks and ensembles alike.
    `f(network, data)`: the network in evaluation mode and the `Dataset` of the split. Ensembles,
        which are no network, have no such score; its interval covers pools only.
    `f(network)`: the same with data of its own. It is reported under the test split and may not
        choose anything, because nobody knows what it looked at.

    It returns a number. Larger is better, unless the function has `larger_is_better = False`.

    Args:
        spec: "package.module:function"; the current directory's modules where Python finds them. Or
            the function itself.

    Raises:
        FieldError: where there is no such function, or its parameters are none of these.

    Example:
        >>> metric_from("stockpot.evaluation.examples:brier").name
        'brier'
    """
    function = find_function(spec) if isinstance(spec, str) else spec
    names = tuple(signature(function).parameters)
    place = spec if isinstance(spec, str) else getattr(spec, "__name__", "metric")
    name = place.rpartition(":")[2]
    larger = getattr(function, "larger_is_better", True)
    if names == ("labels", "predictions"):
        value, draws = _of_predictions(function, name)
        return Metric(name, value, draws, larger=larger)
    if names in (("network",), ("network", "data")):
        own = names == ("network",)

        def of_network(network: nn.Module, data: Dataset) -> float:
            with torch.no_grad():
                return _number(function(network) if own else function(network, data), name)

        return Metric(name, None, _no_draws, larger=larger, of_network=of_network, chooses=not own)
    raise FieldError(
        f"metric '{place[:80]}' takes ({', '.join(names)}): its parameters must be called (labels, "
        "predictions), (network, data) or (network)."
    )


def _number(found: object, name: str) -> float:
    try:
        return float(cast(Any, found))
    except (TypeError, ValueError, RuntimeError):
        raise StockpotError(
            f"metric {name}: expected one number; got {type(found).__name__}."
        ) from None


def _of_predictions(
    function: Callable[..., object], name: str
) -> tuple[Callable[[Predictions], float], Callable[[Predictions, Resampler], Floats]]:
    def value(predictions: Predictions) -> float:
        found = function(labels=predictions.labels, predictions=_probabilities(predictions))
        return _number(found, name)

    def draws(predictions: Predictions, resampler: Resampler) -> Floats:
        labels, said_NL = predictions.labels, _probabilities(predictions)
        places = (
            torch.as_tensor(np.repeat(np.arange(len(labels)), weights_N.astype(np.int64)))
            for weights_N in resampler.weights(OWN_RESAMPLES)
        )
        found = [function(labels=labels[at], predictions=said_NL[at]) for at in places]
        return np.array([_number(one, name) for one in found])

    return value, draws


def _probabilities(predictions: Predictions) -> torch.Tensor:
    logits_NL = predictions.logits
    said_NL = logits_NL.sigmoid() if predictions.is_multilabel else logits_NL.softmax(dim=1)
    return torch.where(predictions.finite()[:, None], said_NL, torch.nan).float()


def _no_draws(_predictions: Predictions, _resampler: Resampler) -> Floats:
    return np.empty(0)
