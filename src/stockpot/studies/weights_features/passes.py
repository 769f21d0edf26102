"""What happens within one forward pass, layer by layer, in the order in which layers run.

Modules are seen by hooks, activation functions by what torch is asked to compute, whether a module
or plain code asks. So any network is seen alike: built-in, timm's, transformers'.

Shapes: B samples of a batch.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from ...networks.network import parts
from .result import Kind

Call = Callable[[Tensor], Tensor]

ACTIVATIONS = (
    *("relu", "relu6", "leaky_relu", "prelu", "elu", "selu", "celu", "gelu", "silu"),
    *("mish", "hardswish", "hardtanh", "hardsigmoid", "softplus", "tanh", "sigmoid", "logsigmoid"),
)
"""Functions of torch that act on every element alone."""

_WEIGHTS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Embedding, nn.Bilinear)


@dataclass(frozen=True, slots=True, eq=False)
class Step:
    """One layer of a pass.

    Attributes:
        name: the module's, with #2 and so on where it runs again.
        kind: what it does to features; a block is a module of modules whose output is no other
            layer's, such as a residual sum.
        inputs: what it got, where that is one tensor; only while it is being told of.
        output: what it gave; only while it is being told of.
        call: the layer alone, where it is one function of one tensor.
    """

    name: str
    kind: Kind
    inputs: Tensor | None
    output: Tensor
    call: Call | None


def observe(network: nn.Module, inputs: Tensor, see: Callable[[Step], None]) -> Tensor:
    """Run a network on a batch and tell of each layer as it finishes; gives the network's output.

    Layers that hand on their input as it is (dropout in evaluation mode, flattening) are left out,
    and so are modules whose output is that of their last layer. What a step holds may be changed in
    place later: keep copies.
    """
    watch = _Watch(see)
    handles: list[Any] = []
    for name, module in parts(network).items():
        if module is not network:
            handles += [
                module.register_forward_pre_hook(watch.enter(name)),
                module.register_forward_hook(watch.leave(name), with_kwargs=True),
            ]
    try:
        with _Functions(watch):
            return cast(Tensor, network(inputs))
    finally:
        for handle in handles:
            handle.remove()


@dataclass(slots=True, eq=False)
class _Watch:
    """Which modules are running, what was told of, and the last tensor that was."""

    see: Callable[[Step], None]
    running: list[str] = field(default_factory=list[str])
    told: Counter[str] = field(default_factory=Counter[str])
    last: Tensor | None = None

    def enter(self, name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any) -> None:
            self.running.append(name)

        return hook

    def leave(self, name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], kwargs: Any, result: Any) -> None:
            self.running.pop()
            output = _tensor(result)
            if output is None or _same(output, self.last):
                return
            alone = len(args) == 1 and isinstance(args[0], Tensor) and not kwargs
            got = cast(Tensor, args[0]) if alone else None
            if _same(output, got):
                return
            leaf = next(module.children(), None) is None
            call = cast(Call, module.forward) if leaf and alone else None
            self.tell(name, _kind(module, leaf=leaf), got, output, call)

        return hook

    def tell(
        self, name: str, kind: Kind, got: Tensor | None, output: Tensor, call: Call | None
    ) -> None:
        self.told[name] += 1
        times = self.told[name]
        self.last = output
        self.see(Step(name if times == 1 else f"{name}#{times}", kind, got, output, call))


class _Functions(TorchFunctionMode):
    """Tells of activation functions, whoever calls them."""

    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self._watch = watch

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        del types
        kwargs = kwargs or {}
        name = str(getattr(func, "__name__", ""))
        if name.rstrip("_") not in ACTIVATIONS or not args or not isinstance(args[0], Tensor):
            return func(*args, **kwargs)
        in_place = name.endswith("_") or bool(kwargs.get("inplace"))
        got = args[0].clone() if in_place else args[0]

        def call(z: Tensor) -> Tensor:
            return func(z.clone() if in_place else z, *args[1:], **kwargs)

        output = func(*args, **kwargs)
        where = self._watch.running[-1] if self._watch.running else "network"
        self._watch.tell(where, "activation", got, output, call)
        return output


def _tensor(result: Any) -> Tensor | None:
    """A module's output, or the first of several, if it is a tensor of numbers."""
    first = cast(Any, result[0]) if isinstance(result, tuple) and result else cast(Any, result)
    return first if isinstance(first, Tensor) and first.is_floating_point() else None


def _same(a: Tensor, b: Tensor | None) -> bool:
    """Whether both are the same numbers in the same place, if perhaps in another shape."""
    return b is not None and a.data_ptr() == b.data_ptr() and a.numel() == b.numel()


def _kind(module: nn.Module, *, leaf: bool) -> Kind:
    if not leaf:
        return "block"
    if "Norm" in type(module).__name__:
        return "normalisation"
    return "weights" if isinstance(module, _WEIGHTS) else "other"
