"""One ingredient: what it is fitted to, and how."""

from dataclasses import dataclass

from ..data import Dataset, Transform
from ..networks import Network
from .fitting import Progress, fit
from .how import Fit


@dataclass(frozen=True, slots=True, kw_only=True)
class Ingredient:
    """What one ingredient is fitted to, and how.

    Attributes:
        name: what a table and its file call it.
        how: optimiser, schedule, length and seed.
        task: the view of the training data that it sees; None for the data as they are.
    """

    name: str
    how: Fit
    task: Transform | None = None

    def train(self, start: Network, data: Dataset, *, progress: Progress | None = None) -> Network:
        """Fit a copy of `start` to this ingredient's view of the training data."""
        return fit(start, self.task(data) if self.task else data, self.how, progress=progress)
