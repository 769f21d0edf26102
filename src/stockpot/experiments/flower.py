"""Flower's own strategies as a file writes them, to stand beside merge methods as they are."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ..errors import FieldError
from ..values.fields import nearest

PREFIX = "flower:"
"""How their names begin in files and tables."""
_ADAPTIVE = ("eta", "eta_l", "tau")
STRATEGIES: Mapping[str, tuple[str, ...]] = {
    "FedAvg": (),
    "FedAvgM": ("server_learning_rate", "server_momentum"),
    "FedMedian": (),
    "FedTrimmedAvg": ("beta",),
    "Krum": ("num_malicious_nodes",),
    "MultiKrum": ("num_malicious_nodes", "num_nodes_to_select"),
    "Bulyan": ("num_malicious_nodes",),
    "FedAdagrad": _ADAPTIVE,
    "FedAdam": (*_ADAPTIVE, "beta_1", "beta_2"),
    "FedYogi": (*_ADAPTIVE, "beta_1", "beta_2"),
}
"""Those that aggregate networks' tensors, and their fields; defaults and bounds are Flower's."""


@dataclass(frozen=True, slots=True)
class FlowerStrategy:
    """A strategy of flwr.serverapp.strategy.

    Attributes:
        name: of the class.
        fields: its arguments that are given.
    """

    name: str
    fields: tuple[tuple[str, float], ...] = ()

    @property
    def remembers(self) -> bool:
        """Whether a round depends on earlier ones beyond the global model: momenta."""
        return self.name in ("FedAvgM", "FedAdagrad", "FedAdam", "FedYogi")

    def misfit(self, count: int) -> str | None:
        """Why it cannot aggregate `count` models, in words; None where it can."""
        bad = dict(self.fields).get("num_malicious_nodes", 0)
        least = 4 * bad + 3 if self.name == "Bulyan" else bad + 3
        if "num_malicious_nodes" in STRATEGIES[self.name] and count < least:
            return f"{PREFIX}{self.name} needs {least:g} replies or more; there are {count}."
        return None


def read_strategy(name: str, fields: Mapping[str, object]) -> FlowerStrategy:
    """A strategy by its name and fields.

    Raises:
        FieldError: there is no such strategy or field, or a value is no number of its kind.

    Example:
        >>> read_strategy("FedAdam", {"eta": 0.01})
        FlowerStrategy(name='FedAdam', fields=(('eta', 0.01),))
    """
    if name not in STRATEGIES:
        raise FieldError(f"there is no strategy '{PREFIX}{name[:80]}'{nearest(name, STRATEGIES)}")
    known, found = STRATEGIES[name], list[tuple[str, float]]()
    for field, value in fields.items():
        if field not in known:
            have = f"its fields are {', '.join(known)}." if known else "it has no fields."
            raise FieldError(f"{PREFIX}{name} has no field '{field[:80]}': {have}")
        number = _number(value, whole=field.startswith("num_"))
        if number is None:
            kind = "whole number" if field.startswith("num_") else "number"
            raise FieldError(f"{PREFIX}{name}: {field} must be a {kind} of 0 or more.")
        found.append((field, number))
    return FlowerStrategy(name, tuple(found))


def _number(value: object, *, whole: bool) -> float | None:
    """A number of 0 or more, an int where it counts something; else None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not math.isfinite(value) or value < 0 or (whole and value != int(value)):
        return None
    return int(value) if whole else float(value)
