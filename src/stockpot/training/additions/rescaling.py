"""The baseline of scope alignment that needs no training: weights rescaled to a target scope."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast

from torch import Tensor, fx, nn

from ...errors import StockpotError
from ...networks.layers import WEIGHTS, Layers, require_same
from ...networks.network import parts
from ...ops.distribution import Scope, Scopes
from .scope_penalty import Target, resolve_target
from .scopes import scope_of

_Norm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.SyncBatchNorm
_LINEAR = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)


@dataclass(frozen=True, slots=True, eq=False)
class Rescaled:
    """A state dict after rescaling.

    Attributes:
        state: every tensor, new where it changed.
        changed: weights that now have the target's standard deviation.
        left: weights that count and were left, because nothing after them undoes a scale.
    """

    state: dict[str, Tensor]
    changed: tuple[str, ...]
    left: tuple[str, ...]


def rescale_to_scope(
    model: nn.Module | Mapping[str, Tensor],
    target: Target,
    layers: Layers = WEIGHTS,
    *,
    keep: Literal["nothing", "function"] = "nothing",
) -> Rescaled:
    """Give each tensor that counts the target's scope: w → μ* + (w - μ) σ*/σ.

    With `keep="nothing"` both numbers are met and the function changes, as scale and shift of a
    layer reach its outputs.

    With `keep="function"` the network computes what it did: only layers whose outputs all go into a
    batch norm of their own are changed, w → w σ*/σ. The standard deviation is met and the mean
    scales with it. The layer's bias and the norm's statistics are scaled too, running_var + ε by
    (σ*/σ)², so the function in evaluation mode is the same but for rounding; in training mode ε
    weighs a little differently. Other layers are left. What follows what is found by torch.fx.

    Args:
        model: left as it is; `keep="function"` needs a network, in evaluation mode or not.
        target: as in `ScopeRegularizer`.
        layers: which tensors count.

    Raises:
        StockpotError: a tensor without spread cannot be scaled; a network that torch.fx cannot
            trace; or one in which no layer that counts is followed by batch norm.
    """
    found = resolve_target(target, layers)
    own = scope_of(model, layers)
    if not isinstance(found, Scope):
        require_same(own, found, "the target scope")
    for name, one in own.items():
        if not one.std:
            raise StockpotError(f"'{name}' has a standard deviation of 0: no factor gives it one.")
    aims = {name: found if isinstance(found, Scope) else found[name] for name in own}
    state: dict[str, Tensor] = dict(model.state_dict() if isinstance(model, nn.Module) else model)
    if keep == "nothing":
        for name, aim in aims.items():
            state[name] = _moved(state[name], own[name], aim)
        return Rescaled(state, tuple(own), ())
    if not isinstance(model, nn.Module):
        raise StockpotError("keep='function' needs the network, not only its state dict.")
    return _preserving(model, state, own, aims)


def _moved(weight: Tensor, own: Scope, aim: Scope) -> Tensor:
    wide = (weight.detach().double() - own.mean) * (aim.std / own.std) + aim.mean
    return wide.to(weight.dtype)


def _preserving(
    network: nn.Module, state: dict[str, Tensor], own: Scopes, aims: Scopes
) -> Rescaled:
    norms = _norms_after(network)
    changed: list[str] = []
    for name in own:
        layer = name.removesuffix(".weight")
        if layer not in norms:
            continue
        factor, norm = aims[name].std / own[name].std, norms[layer]
        for one in (name, f"{layer}.bias", f"{norm}.running_mean"):
            if state.get(one) is not None:
                state[one] = (state[one].detach().double() * factor).to(state[one].dtype)
        eps, variance = cast(_Norm, parts(network)[norm]).eps, f"{norm}.running_var"
        if variance in state:
            wide = (state[variance].double() + eps) * factor**2 - eps
            state[variance] = wide.to(state[variance].dtype)
        changed.append(name)
    if not changed:
        raise StockpotError(
            f"no layer of {type(network).__name__} that counts is followed by a batch norm of its "
            "own, so none can be rescaled with the function kept."
        )
    return Rescaled(state, tuple(changed), tuple(name for name in own if name not in changed))


def _norms_after(network: nn.Module) -> dict[str, str]:
    """Layers that are called once, of whose output nothing but one batch norm sees anything."""
    try:
        graph = fx.Tracer().trace(network)
    except Exception as error:  # a forward pass that depends on its data raises anything
        raise StockpotError(
            f"torch.fx cannot trace {type(network).__name__} ({type(error).__name__}), so what "
            "follows a layer is not known: use keep='nothing'."
        ) from None
    modules = parts(network)
    calls = [node for node in graph.nodes if node.op == "call_module"]
    often = [str(node.target) for node in calls]
    found: dict[str, str] = {}
    for node in calls:
        layer, users = str(node.target), list(node.users)
        if not isinstance(modules[layer], _LINEAR) or len(users) != 1 or often.count(layer) > 1:
            continue
        after = str(users[0].target) if users[0].op == "call_module" else ""
        if isinstance(modules.get(after), _Norm) and often.count(after) == 1:
            found[layer] = after
    return found
