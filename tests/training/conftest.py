"""A small experiment on few digits, so that training it takes a moment."""

from collections.abc import Callable
from typing import Any

import pytest

from stockpot.experiments.experiment import Experiment, parse_experiment

Small = Callable[..., Experiment]


@pytest.fixture(scope="session")
def small() -> Small:
    """Three ingredients of a tiny network; keys of `ingredients` and `top` change it."""

    def small(top: dict[str, Any] | None = None, **ingredients: Any) -> Experiment:
        keys: dict[str, Any] = {
            "network": {"name": "mlp", "width": 8},
            "data": "digits",
            "split": {"selection": 0.2, "test": 0.5},
            "ingredients": {
                "count": 3,
                "epochs": 2,
                "lr": 0.01,
                "pretrain": {"epochs": 2, "lr": 0.01},
                **ingredients,
            },
        } | (top or {})
        return parse_experiment({key: value for key, value in keys.items() if value is not None})

    return small
