"""Flower's own strategies as a file writes them, to stand beside merge methods as they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge

from ..errors import FieldError
from ..values.bounds import NotNegative
from ..values.fields import nearest
from ..values.from_plain_data import read_entries

PREFIX = "flower:"
"""How their names begin in files and tables."""
_WHOLE = Annotated[int, Ge(0)]
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
    known = {
        field: _WHOLE if field.startswith("num_") else NotNegative for field in STRATEGIES[name]
    }
    return FlowerStrategy(name, tuple(read_entries(known, fields, PREFIX + name).items()))
