"""Where a network ends and its head begins: found, verified on a batch, or refused.

Shapes: N samples, F features, L classes.
"""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..errors import StockpotError
from .network import parts, require_evaluation_mode

DECLARED = ("head", "classifier", "score")
"""Attributes under which networks keep their head: the built-in ones, then transformers'."""

CLOSE = 1e-5
"""Largest difference between two runs of one head, relative to the largest logit."""


@dataclass(frozen=True, slots=True, eq=False)
class Headed:
    """A network of which it is known that it ends in `head`: network(x) = head(features(x)).

    Attributes:
        network: all of it.
        head: the linear layer, a part of the network, that its output comes from.
    """

    network: nn.Module
    head: nn.Linear

    @property
    def name(self) -> str:
        """The head's name within the network."""
        return next(name for name, one in parts(self.network).items() if one is self.head)

    def run(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Logits [N, L] and features [N, F], from one forward pass.

        Raises:
            StockpotError: where the head was not called exactly once.
        """
        seen: list[Tensor] = []

        def keep(_head: nn.Module, features: tuple[Tensor, ...]) -> None:
            seen.append(features[0])

        handle = self.head.register_forward_pre_hook(keep)
        try:
            logits_NL: Tensor = self.network(inputs)
        finally:
            handle.remove()
        if len(seen) != 1:
            raise StockpotError(
                f"{_title(self)} was called {len(seen)} times in one pass; features are defined "
                "only where it is called once."
            )
        return logits_NL, seen[0]

    def on(self, network: nn.Module) -> "Headed":
        """The same split of another network of this architecture, such as a copy or a soup.

        Raises:
            StockpotError: where that network has no linear layer of the head's name.
        """
        head = parts(network).get(self.name)
        if not isinstance(head, nn.Linear):
            raise StockpotError(
                f"{type(network).__name__} has no linear layer '{self.name}', which is the head of "
                f"{type(self.network).__name__}: they are not of one architecture."
            )
        return Headed(network, head)


def headed(network: nn.Module, inputs: Tensor) -> Headed:
    """Find the head of a network, and make sure that it is one.

    The head is what the network declares (`.head`, timm's `get_classifier()`, the names that
    transformers uses), else the last nn.Linear that a pass over `inputs` calls.

    Args:
        network: in evaluation mode.
        inputs: a batch of the data; a few samples are enough.

    Raises:
        StockpotError: where there is no linear layer, the network is in training mode, the features
            are not [N, F], or head(features) is not what the network gives.
    """
    require_evaluation_mode(network, "finding the head")
    with torch.no_grad():
        head = _declared(network) or _last_called(network, inputs)
        split = Headed(network, head)
        logits, features = split.run(inputs)
        _verify(split, logits, features, len(inputs))
    return split


def _declared(network: nn.Module) -> nn.Linear | None:
    getter = cast(Any, getattr(network, "get_classifier", None))
    found = [getattr(network, name, None) for name in DECLARED]
    found.insert(1, getter() if callable(getter) else None)
    own = set(network.modules())
    return next((one for one in found if isinstance(one, nn.Linear) and one in own), None)


def _last_called(network: nn.Module, inputs: Tensor) -> nn.Linear:
    called: list[nn.Linear] = []

    def note(layer: nn.Module, _inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        called.append(cast(nn.Linear, layer))

    layers = [one for one in network.modules() if isinstance(one, nn.Linear)]
    handles = [layer.register_forward_hook(note) for layer in layers]
    try:
        network(inputs)
    finally:
        for handle in handles:
            handle.remove()
    if not called:
        raise StockpotError(
            f"{type(network).__name__} calls no nn.Linear, so it has no linear head; features "
            "cannot be told from logits."
        )
    return called[-1]


def _verify(split: Headed, logits: object, features_NF: Tensor, samples: int) -> None:
    if not isinstance(logits, Tensor):
        kind, got = type(split.network).__name__, type(logits).__name__
        raise StockpotError(f"{kind} must return logits as one tensor [N, L]; got {got}.")
    if features_NF.ndim != 2 or len(features_NF) != samples:
        raise StockpotError(
            f"{_title(split)} sees {tuple(features_NF.shape)} for {samples} samples; features must "
            "be [N, F]."
        )
    again_NL = split.head(features_NF)
    if again_NL.shape != logits.shape:
        raise StockpotError(
            f"{_title(split)} gives {tuple(again_NL.shape)}; the network's output is "
            f"{tuple(logits.shape)}, so something follows the head."
        )
    gap, scale = float((again_NL - logits).abs().max()), float(logits.abs().max())
    if not gap <= CLOSE * scale:  # also where either is NaN
        raise StockpotError(
            f"{_title(split)} gives other values than the network, off by {gap:.3g} where the "
            f"largest logit is {scale:.3g}: the network does not end in that layer."
        )


def _title(split: Headed) -> str:
    return f"The head '{split.name}' of {type(split.network).__name__}"
