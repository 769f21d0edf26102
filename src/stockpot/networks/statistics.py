"""Batch-norm statistics of a merged network, estimated again: an average of statistics is not the
statistics of the average.

Shapes: N samples, C channels, P values per channel and batch.

Source: P. Izmailov et al., Averaging Weights Leads to Wider Optima, arXiv 1803.05407, section 3.2.
"""

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import StockpotError
from .network import parts

Layer = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.SyncBatchNorm


def has_batch_norm(network: nn.Module) -> bool:
    """Whether any layer keeps statistics of batches."""
    return bool(_layers(network))


def reestimate_batch_norm(network: nn.Module, batches: Iterable[Tensor]) -> int:
    """Estimate all batch-norm statistics again, in one pass over the data.

    Only the batch-norm layers are in training mode, so dropout stays off; afterwards every module
    is in the mode and has the momentum that it had. For each layer, with P_b values per channel in
    batch b, the statistics are the averages over batches of mean and unbiased variance

        mean = Σ_b P_b mean_b / Σ_b P_b        var = Σ_b P_b var_b / Σ_b P_b

    weighted by P_b, so that a smaller last batch does not count as a whole one.

    Args:
        network: changed in place; the device is the batches'.
        batches: inputs of the network, of training data only.

    Returns:
        How many layers were estimated again; layers that no batch reaches keep what they had.

    Raises:
        StockpotError: where there is no batch, a batch is too small for a variance, or a statistic
            is not finite; the network is then as it was.
    """
    layers = _layers(network)
    if not layers:
        return 0
    iterator = iter(batches)
    first = next(iterator, None)
    if first is None:
        raise StockpotError("Batch-norm statistics cannot be estimated from no data at all.")
    before = {name: _statistics(layer) for name, layer in layers.items()}
    try:
        with torch.no_grad(), _cumulative(network, layers) as reached:
            for batch in chain([first], iterator):
                network(batch)
        _require_finite(layers)
    except BaseException:
        _restore(layers, before)
        raise
    _restore({name: one for name, one in layers.items() if name not in reached}, before)
    return len(reached)


def _layers(network: nn.Module) -> dict[str, Layer]:
    return {
        name: one
        for name, one in parts(network).items()
        if isinstance(one, Layer) and one.running_mean is not None
    }


@contextmanager
def _cumulative(network: nn.Module, layers: dict[str, Layer]) -> Generator[dict[str, int]]:
    """Layers forget, then average over what they see; yields values per channel seen by each."""
    modes = [(module, module.training) for module in network.modules()]
    momenta = [(layer, layer.momentum) for layer in layers.values()]
    seen: dict[str, int] = {}

    def count(name: str) -> Any:
        def hook(layer: Any, inputs: tuple[Tensor, ...]) -> None:
            values = inputs[0].numel() // inputs[0].shape[1]
            if values < 2:
                raise StockpotError(
                    f"Batch-norm layer '{name}' sees one value per channel, which has no variance: "
                    "use larger batches, and leave out a last batch of one sample."
                )
            seen[name] = seen.get(name, 0) + values
            layer.momentum = values / seen[name]

        return hook

    network.eval()
    handles = [layer.register_forward_pre_hook(count(name)) for name, layer in layers.items()]
    try:
        for layer in layers.values():
            layer.reset_running_stats()
            layer.train()
        yield seen
    finally:
        for handle in handles:
            handle.remove()
        for layer, momentum in momenta:
            layer.momentum = momentum
        for module, mode in modes:
            module.training = mode


def _statistics(layer: Layer) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in layer.named_buffers(recurse=False)}


def _restore(layers: dict[str, Layer], before: dict[str, dict[str, Tensor]]) -> None:
    for name, layer in layers.items():
        for key, buffer in layer.named_buffers(recurse=False):
            buffer.copy_(before[name][key])


def _require_finite(layers: dict[str, Layer]) -> None:
    for name, layer in layers.items():
        if not all(bool(buffer.isfinite().all()) for buffer in _statistics(layer).values()):
            raise StockpotError(
                f"Batch-norm layer '{name}' has statistics that are not finite: the network or its "
                "inputs overflow before it."
            )
