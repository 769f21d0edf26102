"""Intervals over seeds stay where accuracies can be; differences may be anything."""

from unittest.mock import Mock

import pytest

from stockpot.evaluation.results.estimator import over_seeds
from stockpot.federated.result import Outcome


def outcome(finals):
    """Final accuracies by algorithm, one for each seed."""
    traces = tuple(
        Mock(alpha=0.1, run=run, seed=seed, final=value, rounds=(Mock(accuracy=value),))
        for run, values in finals.items()
        for seed, value in enumerate(values)
    )
    return Outcome(title="few seeds", traces=traces, facts=(), experiment={})


def test_an_interval_of_an_accuracy_ends_at_one_and_at_zero():
    found = outcome({"fedavg": [0.99, 0.7, 0.9], "wsa": [0.02, 0.3, 0.1]})
    assert over_seeds([0.99, 0.7, 0.9]).high > 1
    high, low = found.final(0.1, "fedavg"), found.final(0.1, "wsa")
    assert (high.high, low.low) == (1.0, 0.0)
    assert high.value == pytest.approx(0.8633, abs=1e-4)
    assert 0 < high.low < high.value
    assert found.curve(0.1, "fedavg")[0] == high
    assert found.gain(0.1, "wsa").low < -1
