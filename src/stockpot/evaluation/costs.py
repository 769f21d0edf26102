"""What running a network takes: numbers kept, multiply-adds, bytes."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ..data import Dataset
from .comparison import Cost
from .predictions import device_of


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkCost:
    """Of one network, once.

    Attributes:
        parameters: numbers that are trained.
        macs: multiply-adds of one sample at its actual size.
        nbytes: of the state dict.
        seconds: wall time of 1,000 samples.
    """

    parameters: int
    macs: int
    nbytes: int
    seconds: float

    def times(self, method: str, n: int, networks: float) -> Cost:
        """The cost of a method that keeps and runs so many of it; a mean is rounded."""
        return Cost(
            method=method,
            n=n,
            parameters=round(networks * self.parameters),
            macs=round(networks * self.macs),
            seconds=networks * self.seconds,
            nbytes=round(networks * self.nbytes),
        )


@torch.no_grad()
def measure(network: nn.Module, data: Dataset, seconds: float) -> NetworkCost:
    """Count a network's parameters, bytes and, on one sample, multiply-adds.

    torch counts a multiply-add as two operations; convolutions and matrix products count, element-
    wise work does not.
    """
    with FlopCounterMode(display=False) as counter:
        network(data.batch(slice(0, 1)).to(device_of(network)))
    return NetworkCost(
        parameters=sum(one.numel() for one in network.parameters()),
        macs=counter.get_total_flops() // 2,
        nbytes=sum(one.nbytes for one in network.state_dict().values()),
        seconds=seconds,
    )
