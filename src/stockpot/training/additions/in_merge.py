"""In-model merging: similar kernels of one layer pulled together during training.

InMerge: arXiv 2502.20516. Shapes: C kernels of a layer, D numbers of a kernel, M kernels that draw.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.conv import (
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
)

from ...errors import StockpotError
from ...experiments.additions import InMerge
from ...networks.layers import WEIGHTS, Layers
from ...networks.network import parts
from ...networks.reproducible import derived
from ...ops.inner import inner
from ...ops.spectra.gram import cosines
from ...typed import eigh, to_floats

_TURNED = (ConvTranspose1d, ConvTranspose2d, ConvTranspose3d)


@dataclass(frozen=True, slots=True)
class InMerged:
    """What one pass did.

    Attributes:
        tensors: layers that it went through; 0 where it was not its turn.
        kernels: how many kernels were moved, int64 on the network's device.
    """

    tensors: int
    kernels: Tensor


@dataclass(frozen=True, slots=True)
class InModelMerge(InMerge):
    """Pull kernels of a layer toward similar ones, at random, before forward passes of training.

    In each layer after the first `skip_first`, each kernel i draws with probability p one other
    kernel j, all alike; where cos(K_i, K_j) > tau,

        K_i ← alpha K_i + (1 - alpha) K_j        all from the weights before the pass

    Biases, norms and the next layer stay as they are, and so do the optimiser's moments.

    Attributes:
        p, tau, alpha, skip_first, every, norm, layers: as `stockpot.experiments.additions.InMerge`.
        seed: the draws are of (seed, step) alone, so a run that goes on draws the same.

    Call it as `merge(network, step)` before the forward pass of each training step. A network in
    evaluation mode is never changed. Kernels are rows of a weight, [out, ...]; of a transposed
    convolution, columns. In grouped convolutions kernels of all groups may be drawn.

    Cost: of the layer's Gram matrix only the entries that are drawn: 2 p C D products.
    Raises:
        StockpotError: where no layer would be touched.
    Example:
        >>> network = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Conv2d(8, 8, 3))
        >>> merge = InModelMerge(p=1.0, tau=-1.0, skip_first=1)
        >>> done = merge(network, 0)
        >>> done.tensors, int(done.kernels)
        (1, 8)
        >>> merge(network.eval(), 1).tensors
        0

    Deviations: the published code also merges before each batch of validation, and visits no layer
        of a ResNet; p = 0.1 and tau = 0.2 are its functions' defaults, these are its runs'.
    Source: arXiv 2502.20516.
    """

    seed: int = 0

    def names(self, network: nn.Module) -> tuple[str, ...]:
        """The tensors that a pass goes through, in order.

        Raises:
            StockpotError: where there are none.
        """
        found = tuple(self.layers.of(network))
        if len(found) <= self.skip_first:
            raise StockpotError(
                f"in-model merging skips the first {self.skip_first} layers, and "
                f"{type(network).__name__} has {len(found)} that count: lower skip_first."
            )
        return found[self.skip_first :]

    @torch.no_grad()
    def __call__(self, network: nn.Module, step: int) -> InMerged:
        """One pass, if the network is in training mode and it is the step's turn."""
        if not network.training or step % self.every:
            return InMerged(0, torch.zeros((), dtype=torch.int64))
        weights, turned = self.layers.of(network), _turned(network)
        draws = torch.Generator().manual_seed(derived(self.seed, "in-merge", step))
        moved = list[Tensor]()
        names = self.names(network)
        for name in names:
            weight = weights[name].data
            rows = weight.transpose(0, 1) if name in turned else weight
            moved.append(self._pull(rows, draws))
        return InMerged(len(names), torch.stack(moved).sum())

    def _pull(self, rows: Tensor, draws: torch.Generator) -> Tensor:
        """Move kernels of one layer in place; how many."""
        count = len(rows)
        drawing_M = (torch.rand(count, generator=draws) < self.p).nonzero().flatten()
        if count < 2 or not len(drawing_M):
            return torch.zeros((), dtype=torch.int64, device=rows.device)
        ahead_M = torch.randint(1, count, drawing_M.shape, generator=draws)
        partner_M = ((drawing_M + ahead_M) % count).to(rows.device, non_blocking=True)
        drawing_M = drawing_M.to(rows.device, non_blocking=True)
        own_MD, other_MD = (rows[index].flatten(1).float() for index in (drawing_M, partner_M))
        near_M = F.cosine_similarity(own_MD, other_MD) > self.tau
        pulled_MD = torch.lerp(other_MD, own_MD, self.alpha)
        if self.norm == "kept":
            length_M, shorter_M = (one.square().sum(1).sqrt() for one in (own_MD, pulled_MD))
            factor_M = torch.where(shorter_M > 0, length_M / shorter_M, 1.0)
            pulled_MD = pulled_MD * factor_M[:, None]
        new_MD = torch.where(near_M[:, None], pulled_MD, own_MD)
        rows[drawing_M] = new_MD.view(-1, *rows.shape[1:]).to(rows.dtype)
        return near_M.sum()


@dataclass(frozen=True, slots=True)
class Kernels:
    """How different the kernels of one layer are.

    Attributes:
        name: of the tensor.
        count: kernels.
        effective_rank: exp of the entropy of the singular values, divided by their sum; from 1
            (all kernels are multiples of one) to min(C, D).
        duplicates: kernels that have an earlier one at a cosine of at least the limit.
    """

    name: str
    count: int
    effective_rank: float
    duplicates: int


def kernel_report(
    network: nn.Module, layers: Layers = WEIGHTS, *, limit: float = 0.95
) -> tuple[Kernels, ...]:
    """Effective rank and duplicate kernels of each layer that counts, from its Gram matrix.

    Args:
        network: any; left as it is.
        layers: which tensors count.
        limit: cosine from which two kernels are duplicates.

    Cost: one Gram matrix [C, C] and its eigenvalues for each layer, in float64.
    Example:
        >>> network = nn.Linear(3, 3, bias=False)
        >>> _ = nn.init.eye_(network.weight)
        >>> kernel_report(network)
        (Kernels(name='weight', count=3, effective_rank=3.0, duplicates=0),)

    Source: O. Roy and M. Vetterli, The effective rank, EUSIPCO 2007.
    """
    turned = _turned(network)
    return tuple(
        _report(name, (one.transpose(0, 1) if name in turned else one).detach().flatten(1), limit)
        for name, one in layers.of(network).items()
    )


def _report(name: str, rows_CD: Tensor, limit: float) -> Kernels:
    gram_CC = inner(rows_CD.T.contiguous().cpu())
    values_C, _ = eigh(gram_CC)
    singular = [math.sqrt(one) for one in to_floats(values_C) if one > 0]
    shares = [one / math.fsum(singular) for one in singular]
    entropy = -math.fsum(one * math.log(one) for one in shares)
    earlier_CC = cosines(gram_CC).tril(-1) >= limit
    rank = round(math.exp(entropy), 9) if singular else 0.0
    return Kernels(name, len(rows_CD), rank, int(earlier_CC.any(1).sum()))


def _turned(network: nn.Module) -> frozenset[str]:
    """Weights that have their kernels along the second dimension."""
    found = (name for name, one in parts(network).items() if isinstance(one, _TURNED))
    return frozenset(f"{name}.weight".removeprefix(".") for name in found)
