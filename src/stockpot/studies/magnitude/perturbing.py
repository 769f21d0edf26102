"""What is done to ingredients before they are merged: the paper's factor, and honest versions.

Each takes a network, a size, which ingredient it is, and a seed, and gives a new network.
"""

import copy
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from ...errors import StockpotError
from ...networks import Headed
from ...networks.layers import WEIGHTS
from ...networks.network import parts
from ...ops.distribution import Scope
from ...training.additions.rescaling import rescale_to_scope
from ...training.additions.scopes import scope_of
from .walking import Affine, BatchNorm

Applied = Callable[[Headed, float, int, int], nn.Module]


@dataclass(frozen=True, slots=True, kw_only=True)
class Perturbation:
    """One way to disturb ingredients.

    Attributes:
        name: in tables.
        words: for a reader.
        size: what its number is called.
        apply: (network and head, size, number of the ingredient, seed) to a new network.
        commutes: whether the soup of disturbed networks is the disturbed soup.
        neutral: the size that changes nothing.
        grid: sizes; none where they are chosen by where float32 overflows.
    """

    name: str
    words: str
    size: str
    apply: Applied
    commutes: bool = False
    neutral: float = 1.0
    grid: tuple[float, ...] = ()


def magnified(network: nn.Module, factor: float) -> nn.Module:
    """Every floating tensor of the state dict times a factor: weights, biases and buffers."""
    return _scaled(network, factor, _any)


def _everything(subject: Headed, factor: float, _index: int, _seed: int) -> nn.Module:
    return magnified(subject.network, factor)


def _one(subject: Headed, factor: float, index: int, _seed: int) -> nn.Module:
    return magnified(subject.network, factor if index == 0 else 1.0)


def _weights(subject: Headed, factor: float, _index: int, _seed: int) -> nn.Module:
    return _scaled(
        subject.network, factor, lambda name, one: WEIGHTS.admits(name, tuple(one.shape), one.dtype)
    )


def _temperature(subject: Headed, factor: float, index: int, _seed: int) -> nn.Module:
    head = f"{subject.name}."
    scale = factor if index == 0 else 1.0
    return _scaled(subject.network, scale, lambda name, _one: name.startswith(head))


def _noise(subject: Headed, size: float, index: int, seed: int) -> nn.Module:
    """w + size · rms(w) · N(0, 1) for every tensor of weights, drawn anew for each ingredient."""
    network = copy.deepcopy(subject.network)
    for name, one in WEIGHTS.of(network).items():
        generator = torch.Generator().manual_seed(zlib.crc32(f"{seed}/{index}/{name}".encode()))
        drawn = torch.randn(one.shape, generator=generator, dtype=torch.float64).to(one.dtype)
        with torch.no_grad():
            one += size * one.square().mean().sqrt() * drawn
    return network


def _rescaled(subject: Headed, factor: float, index: int, _seed: int) -> nn.Module:
    return rescaled(subject.network, factor) if index == 0 else subject.network


def rescaled(network: nn.Module, factor: float) -> nn.Module:
    """Other weights for the same function: layers grow by a factor that later ones take back.

    A layer whose outputs go through ReLU, pooling and the like into one other layer is multiplied
    by the factor and the other divided by it, for every other such pair along the network. A layer
    that a batch norm follows is multiplied, and the norm's statistics with it, by
    `training.rescale_to_scope`. With a power of two a network without batch norm computes the same
    bits.

    Raises:
        StockpotError: torch.fx cannot trace it, or no layer can be rescaled.
    """
    pairs = scalable_pairs(network)
    changed = copy.deepcopy(network)
    modules = parts(changed)
    with torch.no_grad():
        for first, second in pairs:
            for one in modules[first].parameters(recurse=False):
                one *= factor
            second_weight = modules[second].weight
            assert isinstance(second_weight, Tensor)
            second_weight /= factor
    if any(isinstance(one, BatchNorm) for one in modules.values()):
        own = scope_of(changed)
        aims = {name: Scope(one.mean, one.std * factor) for name, one in own.items()}
        changed.load_state_dict(rescale_to_scope(changed, aims, keep="function").state)
    elif not pairs:
        raise StockpotError(
            f"no layer of {type(network).__name__} feeds another one through ReLU alone, and none "
            "is followed by a batch norm: none can be rescaled with the function kept."
        )
    return changed


_THROUGH = (
    nn.ReLU,
    nn.Flatten,
    nn.Identity,
    nn.Dropout,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
)


def scalable_pairs(network: nn.Module) -> tuple[tuple[str, str], ...]:
    """(layer or norm, the one layer that its output reaches): disjoint, in the network's order."""
    try:
        graph = fx.Tracer().trace(network)
    except Exception as error:  # a forward pass that depends on its data raises anything
        raise StockpotError(
            f"torch.fx cannot trace {type(network).__name__} ({type(error).__name__}), so what "
            "follows a layer is not known."
        ) from None
    modules = parts(network)
    often = [str(node.target) for node in graph.nodes if node.op == "call_module"]
    found: list[tuple[str, str]] = []
    taken: set[str] = set()
    for node in graph.nodes:
        layer = str(node.target)
        sends = node.op == "call_module" and isinstance(
            modules[layer], (Affine, BatchNorm, nn.GroupNorm)
        )
        after = _next(node, modules) if sends else ""
        if after and not taken & {layer, after} and often.count(layer) == often.count(after) == 1:
            found.append((layer, after))
            taken |= {layer, after}
    return tuple(found)


def _next(node: fx.Node, modules: Mapping[str, nn.Module]) -> str:
    """The linear layer that is all that a layer's output reaches, or ''."""
    while len(node.users) == 1:
        (node,) = node.users
        if node.op != "call_module":
            return ""
        layer = modules[str(node.target)]
        if isinstance(layer, Affine):
            return str(node.target)
        if not isinstance(layer, _THROUGH):
            return ""
    return ""


def _scaled(network: nn.Module, factor: float, wanted: Callable[[str, Tensor], bool]) -> nn.Module:
    changed = copy.deepcopy(network)
    if factor == 1:
        return changed
    with torch.no_grad():
        for name, one in changed.state_dict().items():
            if one.is_floating_point() and wanted(name, one):
                one *= factor
    return changed


def _any(_name: str, _one: Tensor) -> bool:
    return True


_POWERS = tuple(float(2**power) for power in range(12))

EVERYTHING = Perturbation(
    name="everything",
    words="weights, biases and buffers of every ingredient times M, as published",
    size="factor M",
    apply=_everything,
    commutes=True,
)
PERTURBATIONS: tuple[Perturbation, ...] = (
    EVERYTHING,
    Perturbation(
        name="one-ingredient",
        words="weights, biases and buffers of the first ingredient only times M",
        size="factor M",
        apply=_one,
    ),
    Perturbation(
        name="weights",
        words="weights of convolutions and linear layers times M, nothing else",
        size="factor M",
        apply=_weights,
        commutes=True,
    ),
    Perturbation(
        name="rescaling",
        words="the first ingredient with other weights for the same function",
        size="factor between layers",
        apply=_rescaled,
        grid=_POWERS,
    ),
    Perturbation(
        name="noise",
        words="Gaussian noise on the weights of every ingredient, relative to each tensor's size",
        size="noise over the weights' root mean square",
        apply=_noise,
        neutral=0.0,
        grid=(0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.7, 1.0, 1.5),
    ),
    Perturbation(
        name="temperature",
        words="logits of the first ingredient times a factor, by its head",
        size="factor on the logits",
        apply=_temperature,
        grid=_POWERS,
    ),
)
