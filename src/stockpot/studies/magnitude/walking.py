"""A network run part by part in an arithmetic of one's own, by torch.fx.

Known are the parts that answer a factor on their input with a factor on their output, apart from
biases: linear and convolutional layers, ReLU, pooling, padding, slices, sums, and the norms.
"""

import operator
from collections.abc import Callable
from typing import Any, Generic, Protocol, TypeVar, cast

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from ...errors import StockpotError
from ...networks.network import parts

V = TypeVar("V")

Affine = nn.Linear | nn.Conv1d | nn.Conv2d | nn.Conv3d
BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d

_SAME = (
    nn.Identity,
    nn.Flatten,
    nn.Dropout,
    nn.Dropout2d,
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.AvgPool1d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
)
_SAME_FUNCTIONS = (
    torch.flatten,
    F.max_pool2d,
    F.avg_pool2d,
    F.adaptive_avg_pool2d,
)
_RELU = (torch.relu, F.relu)
_ADD: tuple[object, ...] = (operator.add, cast(object, operator.iadd), torch.add)


class Rules(Protocol[V]):
    """What each part makes of a value."""

    def affine(self, layer: Affine, value: V) -> V:
        """A linear or convolutional layer."""
        ...

    def batch_norm(self, layer: BatchNorm, value: V) -> V:
        """Batch normalisation with the statistics that it keeps."""
        ...

    def group_norm(self, layer: nn.GroupNorm, value: V) -> V:
        """Normalisation of each sample."""
        ...

    def relu(self, value: V) -> V:
        """max(0, x)."""
        ...

    def same(self, part: Callable[[Tensor], Tensor], value: V) -> V:
        """A part that is linear, or a maximum, without weights."""
        ...

    def add(self, one: V, other: V) -> V:
        """The sum of two branches."""
        ...


class Plan(Generic[V]):
    """A network in evaluation mode that was found to have known parts only.

    Args:
        network: what is run.
        head: the name of its last layer, whose input is kept.

    Raises:
        StockpotError: torch.fx cannot trace it, or a part is not known; naming it.
    """

    def __init__(self, network: nn.Module, head: str) -> None:
        try:
            graph = fx.Tracer().trace(network)
        except Exception as error:  # a forward pass that depends on its data raises anything
            raise StockpotError(
                f"torch.fx cannot trace {type(network).__name__} ({type(error).__name__}), so its "
                "parts are not known one by one."
            ) from None
        self._nodes: list[fx.Node] = list(graph.nodes)
        self._head = head
        modules = parts(network)
        for node in self._nodes:
            if not _known(node, modules):
                what = modules.get(str(node.target), node.target)
                what = type(what).__name__ if isinstance(what, nn.Module) else str(what)
                raise StockpotError(
                    f"{type(network).__name__} has a part that no factor passes through: "
                    f"{what[:80]}."
                )

    def run(self, network: nn.Module, rules: Rules[V], start: V) -> tuple[V, V]:
        """The output, and what the head sees.

        Args:
            network: of the same parts as the one that was looked at.
            rules: the arithmetic.
            start: the input.
        """
        modules, found, seen = parts(network), dict[fx.Node, V](), start
        for node in self._nodes:
            given = [found[one] for one in node.args if isinstance(one, fx.Node) and one in found]
            if node.op == "placeholder":
                found[node] = start
            elif node.op == "output":
                return given[0], seen
            elif node.op == "call_module":
                if node.target == self._head:
                    seen = given[0]
                found[node] = _of_module(modules[str(node.target)], rules, given[0])
            elif node.target in _ADD:
                found[node] = rules.add(given[0], given[1])
            elif node.target in (*_RELU, "relu"):
                found[node] = rules.relu(given[0])
            else:
                found[node] = rules.same(_called(node), given[0])
        raise AssertionError("a graph ends in its output")


def _of_module(layer: nn.Module, rules: Rules[V], value: V) -> V:
    if isinstance(layer, Affine):
        return rules.affine(layer, value)
    if isinstance(layer, BatchNorm):
        return rules.batch_norm(layer, value)
    if isinstance(layer, nn.GroupNorm):
        return rules.group_norm(layer, value)
    return rules.relu(value) if isinstance(layer, nn.ReLU) else rules.same(layer, value)


def _called(node: fx.Node) -> Callable[[Tensor], Tensor]:
    """A function or method of one tensor with its other arguments."""
    rest, named, target = node.args[1:], node.kwargs, node.target
    if isinstance(target, str):
        return lambda x: getattr(x, target)(*rest, **named)
    return lambda x: cast(Callable[..., Tensor], target)(x, *rest, **named)


def _known(node: fx.Node, modules: dict[str, nn.Module]) -> bool:
    """Whether a part is one that values pass through, with one tensor (of a sum two) going in."""
    inputs = [one for one in node.args if isinstance(one, fx.Node)]
    if node.op in ("placeholder", "output"):
        return node.op == "placeholder" or len(inputs) == 1
    if node.op == "call_module":
        layer = modules[str(node.target)]
        if isinstance(layer, BatchNorm):
            return layer.running_mean is not None
        return len(inputs) == 1 and isinstance(layer, (Affine, nn.GroupNorm, nn.ReLU, *_SAME))
    if node.op == "call_method":
        return node.target in ("flatten", "relu") and len(node.all_input_nodes) == 1
    if node.op != "call_function":
        return False
    if node.target in _ADD:
        return len(inputs) == 2 and not node.kwargs
    if node.target is operator.getitem:
        places = cast(Any, node.args[1])
        return isinstance(places, tuple) and places[:1] == (slice(None),)
    if node.target is F.pad:
        named = {"mode": "constant", "value": None, **node.kwargs}
        return named["mode"] == "constant" and named["value"] in (None, 0) and len(node.args) < 3
    return node.target in (*_SAME_FUNCTIONS, *_RELU)
