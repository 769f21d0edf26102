"""A part of the training data by the domain that samples come from.

Shapes: N samples.
"""

from dataclasses import dataclass

import torch

from ...data import Dataset
from ...errors import FieldError


@dataclass(frozen=True, slots=True, kw_only=True)
class Domains:
    """Keep every sample of some domains and a random fraction of the others.

    Attributes:
        names: the domains kept whole.
        keep: fraction of each sample of another domain being kept, in [0, 1].
        seed: the same seed keeps the same samples.
    """

    names: tuple[str, ...]
    keep: float = 0.1
    seed: int = 0

    def __call__(self, data: Dataset) -> Dataset:
        """Fewer samples, unchanged.

        Raises:
            FieldError: the data have no such domain, or none at all.
        """
        there, domain_N = data.domains, data.domain
        unknown = [name for name in self.names if name not in there]
        if unknown or domain_N is None:
            raise FieldError(
                f"part: '{data.name}' has {'the domains ' + ', '.join(there) if there else 'no'}"
                f"{'' if there else ' domains'}; got {', '.join(unknown or self.names)}."
            )
        generator = torch.Generator().manual_seed(self.seed)
        lucky_N = torch.rand(len(data), generator=generator) < self.keep
        whole_N = torch.isin(domain_N, torch.tensor([there.index(one) for one in self.names]))
        return data.take((whole_N | lucky_N).nonzero().flatten())
