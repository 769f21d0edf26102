"""The learned soup: convex weights of the ingredients, by gradient on the selection split.

Shapes: K ingredients, T tensors, B samples of a batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, cast

import torch
from annotated_types import Ge, Gt
from torch import Tensor, nn
from torch.func import functional_call

from ...data import Dataset
from ...values.fields import check_fields
from ..predictions.predict import device_of
from ..scores.losses import losses_of
from .coefficients import State, averaged_names, combine, inner_products, learnable_names


@dataclass(frozen=True, slots=True, kw_only=True)
class Learning:
    """How the weights are learned.

    Attributes:
        epochs: passes over the selection split.
        lr: of Adam, on the logarithms of the weights.
        batch_size: samples a step.
        seed: order of the samples.
    """

    epochs: Annotated[int, Ge(1)] = 5
    lr: Annotated[float, Gt(0)] = 0.1
    batch_size: Annotated[int, Ge(1)] = 128
    seed: int = 0

    def __post_init__(self) -> None:
        check_fields(self)


def learn_weights(
    network: nn.Module, states: Sequence[State], selection: Dataset, how: Learning
) -> tuple[float, ...]:
    """Weights w = softmax(α) that make the soup Σ_k w_k θ_k likely on the selection split.

    α starts at 0, the uniform soup, and Adam follows dL/dα. The network stays in evaluation mode;
    float buffers, such as batch-norm statistics, are averaged with the same weights.

    Args:
        network: of the ingredients' kind; its own weights do not matter and are not changed.
        states: K state dicts, on the network's device.
        selection: never the test split.
        how: see `Learning`.

    Returns:
        K numbers above 0 that sum to 1.

    Cost: a forward and a backward pass of one network for each batch; memory of two networks and
        the ingredients.
    Source: Wortsman et al., Model soups, arXiv 2203.05482, section I; here one weight a model and
        no temperature.
    """
    alpha_K = torch.zeros(len(states), dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.Adam([alpha_K], lr=how.lr)
    generator = torch.Generator().manual_seed(how.seed)
    for _ in range(how.epochs):
        order_N = torch.randperm(len(selection), generator=generator)
        for first in range(0, len(selection), how.batch_size):
            batch = selection.take(order_N[first : first + how.batch_size])
            weights_K = alpha_K.softmax(dim=0)
            toward_K = _gradient(network, states, weights_K.detach(), batch)
            (alpha_K.grad,) = torch.autograd.grad(weights_K, alpha_K, toward_K)
            optimiser.step()  # pyright: ignore[reportUnknownMemberType]
    return tuple(float(weight) for weight in alpha_K.detach().softmax(dim=0))


def _gradient(
    network: nn.Module, states: Sequence[State], weights_K: Tensor, batch: Dataset
) -> Tensor:
    """dL/dw, [K], up to a number that all share."""
    names, buffers, device = learnable_names(network), averaged_names(network), device_of(network)
    theta = combine(names, states, weights_K.expand(len(names), -1))
    leaves = [one.requires_grad_() for one in theta.values()]
    theta |= combine(buffers, states, weights_K.expand(len(buffers), -1))
    inputs, labels = batch.batch(slice(None)).to(device), batch.labels.to(device)
    logits_BL = cast(Tensor, functional_call(network, theta, (inputs,)))
    loss = losses_of(logits_BL, labels).mean()
    gradients = torch.autograd.grad(loss, leaves, allow_unused=True)
    return inner_products(gradients, names, states).sum(dim=0)
