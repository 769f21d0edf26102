"""Intervals over seeds stay where accuracies can be; words say which rounds they are of."""

from unittest.mock import Mock

import pytest

from stockpot.federated.result import Outcome


def outcome(finals, rounds=8):
    """Accuracies of the last rounds by algorithm, one for each seed."""
    traces = tuple(
        Mock(alpha=0.1, run=run, seed=seed, final=value, rounds=(Mock(accuracy=value),) * rounds)
        for run, values in finals.items()
        for seed, value in enumerate(values)
    )
    return Outcome(title="few seeds", traces=traces, facts=(), experiment={})


def test_an_interval_of_an_accuracy_is_inside_zero_and_one():
    found = outcome({"fedavg": [0.99, 0.7, 0.9], "wsa": [0.02, 0.3, 0.1]})
    high, low = found.final(0.1, "fedavg"), found.final(0.1, "wsa")
    assert 0 < low.low < low.value < high.value < high.high < 1
    assert high.value == pytest.approx(0.8633, abs=1e-4)
    assert found.curve(0.1, "fedavg")[0] == high
    assert found.gain(0.1, "wsa").low > -1


def test_words_name_the_rounds_and_p_values_are_corrected():
    close = {"wsa": [0.95, 0.972, 0.96], "mid": [0.91, 0.93, 0.9]}
    found = outcome({"fedavg": [0.9, 0.92, 0.91], **close})
    p_values = found.gain_ps()
    assert p_values[0.1, "wsa"] < 0.05 < p_values[0.1, "mid"]
    (said,) = found.sentences
    assert said.startswith("alpha = 0.1: over rounds 3 to 7 fedavg has 91.0% [")
    assert "; wsa is 5.1 [" in said
    assert "mid" not in said
    assert outcome(close, rounds=2).window == "round 1"


def test_two_seeds_have_no_interval():
    assert "no interval" in outcome({"fedavg": [0.9, 0.8], "wsa": [0.9, 0.7]}).sentences[0]
