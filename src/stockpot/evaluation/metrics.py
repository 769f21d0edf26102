"""Scores of predictions, by scikit-learn."""

from ..data.extras import optional
from .predictions import Predictions


def accuracy(predictions: Predictions) -> float:
    """Fraction of samples whose class is right; an output that is not finite is wrong."""
    metrics = optional("sklearn.metrics")
    return float(metrics.accuracy_score(predictions.labels, predictions.classes()))
