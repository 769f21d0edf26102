"""A federated experiment on few digits, so that running it takes a moment."""

from collections.abc import Callable
from typing import Any

import pytest

from stockpot.experiments.federated import Federation, parse_federation

Small = Callable[..., Federation]


@pytest.fixture(scope="session")
def small() -> Small:
    """Four clients and three rounds of a tiny network; keys of `federated` change it."""

    def small(network: Any = None, **federated: Any) -> Federation:
        return parse_federation(
            {
                "network": network or {"name": "mlp", "width": 16},
                "data": "digits",
                "split": {"test": 0.3},
                "federated": {
                    "clients": 4,
                    "rounds": 3,
                    "local": {"epochs": 2, "momentum": 0.9},
                    **federated,
                },
            }
        )

    return small
