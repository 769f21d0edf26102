"""Fine-tuning in the tangent space, where task arithmetic is exact addition of functions.

Ortiz-Jimenez, Favero, Frossard, Task Arithmetic in the Tangent Space, arXiv 2305.12827.
"""

import copy
import warnings
from importlib import import_module
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel


class Linearised(nn.Module):
    """A network replaced by its tangent at the weights that it has now.

        f(x; θ) ≈ f(x; θ_0) + J_θ f(x; θ_0) (θ - θ_0)

    Its parameters θ and its state dict are the network's, under the same names, so it trains as
    any network does (`fit`), and its fine-tunes merge as any checkpoints do. A merge of them is
    evaluated through the tangent too: `linearise(base).load_state_dict(merged)`. There, what a sum
    of task vectors adds to the base's outputs is the sum of what each adds.

    The network inside stays in evaluation mode: no dropout, statistics of batch normalisation as
    they are. Attention runs by torch's plain formula, which alone has a forward derivative.

    Cost: twice the time and memory of the network, and one more copy of its weights.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # of torch's own, as it loads this
            import_module("torch._decomp.decompositions_for_jvp")
        self.network = copy.deepcopy(network).eval()
        for number, one in enumerate(self.network.parameters()):
            self.register_buffer(f"anchor_{number}", one.detach().clone(), persistent=False)
        hooked = cast(Any, self)  # torch leaves these two untyped
        hooked.register_state_dict_post_hook(_without_prefix)
        hooked.register_load_state_dict_pre_hook(_with_prefix)

    def forward(self, *inputs: object) -> Tensor:
        """The tangent's outputs."""
        own = dict(self.network.named_parameters())
        anchor = {name: getattr(self, f"anchor_{k}") for k, name in enumerate(own)}
        steps = {name: own[name] - anchor[name] for name in own}
        func, kept = cast(Any, torch.func), dict(self.network.named_buffers())

        def call(weights: dict[str, Tensor]) -> Tensor:
            return func.functional_call(self.network, (weights, kept), inputs)

        with sdpa_kernel(SDPBackend.MATH):
            value, slope = func.jvp(call, (anchor,), (steps,))
        return value + slope

    def train(self, mode: bool = True) -> "Linearised":
        """The network inside stays in evaluation mode."""
        super().train(mode)
        self.network.eval()
        return self


def linearise(network: nn.Module) -> Linearised:
    """The tangent of a network at its weights; the network is left as it is.

    Example:
        >>> network = nn.Linear(2, 1)
        >>> tangent = linearise(network)
        >>> with torch.no_grad():
        ...     _ = tangent.network.weight.mul_(2.0)
        >>> list(tangent.state_dict())
        ['weight', 'bias']
        >>> x = torch.rand(3, 2)
        >>> bool(torch.allclose(tangent(x), tangent.network(x)))  # it is linear in its weights
        True
    """
    return Linearised(network)


def _without_prefix(_: nn.Module, state: dict[str, Tensor], prefix: str, *_more: object) -> None:
    inner = f"{prefix}network."
    for name in [name for name in state if name.startswith(inner)]:
        state[prefix + name.removeprefix(inner)] = state.pop(name)


def _with_prefix(_: nn.Module, state: dict[str, Tensor], prefix: str, *_more: object) -> None:
    for name in [name for name in state if name.startswith(prefix)]:
        state[f"{prefix}network.{name.removeprefix(prefix)}"] = state.pop(name)
