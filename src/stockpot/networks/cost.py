"""What a network costs: parameters, multiply-adds, bytes."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from .network import require_evaluation_mode


@dataclass(frozen=True, slots=True)
class NetworkCost:
    """The price of one network.

    Attributes:
        parameters: numbers that training may change; tied ones count once.
        macs: multiply-adds per sample, of convolutions, matrix products and attention; one of them
            is two floating-point operations.
        nbytes: of the state dict, as `save_weights` writes it.
    """

    parameters: int
    macs: int
    nbytes: int


def cost_of(network: nn.Module, inputs: Tensor) -> NetworkCost:
    """Count parameters, bytes, and the multiply-adds of one sample of the actual size.

    Normalisation, activations and pooling are not counted; published figures differ in that.

    Args:
        network: in evaluation mode; run once.
        inputs: a batch; its first sample is used.

    Raises:
        StockpotError: where the network is in training mode.

    >>> cost_of(nn.Linear(3, 5).eval(), torch.zeros(1, 3))
    NetworkCost(parameters=20, macs=15, nbytes=80)
    """
    require_evaluation_mode(network, "counting multiply-adds")
    counter = FlopCounterMode(display=False)
    # torch counts nothing for its fused attention on a CPU; the plain one is made of products
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        network(inputs[:1])
    return NetworkCost(
        parameters=sum(one.numel() for one in network.parameters()),
        macs=counter.get_total_flops() // 2,
        nbytes=sum(one.nbytes for one in network.state_dict().values()),
    )
