"""Batch-norm statistics of a merged network, estimated again: an average of statistics is not the
statistics of the average.

Shapes: N samples of a batch, C channels, P values per channel and batch.

Source: P. Izmailov et al., Averaging Weights Leads to Wider Optima, arXiv 1803.05407, section 3.2;
T. Chan, G. Golub, R. LeVeque, Updating Formulae and a Pairwise Algorithm for Computing Sample
Variances, 1979, for how batches are joined.
"""

from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

import torch
from torch import Tensor, nn

from ..errors import StockpotError
from .network import parts

BatchNorm = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d | nn.SyncBatchNorm
InstanceNorm = nn.InstanceNorm1d | nn.InstanceNorm2d | nn.InstanceNorm3d
Layer = BatchNorm | InstanceNorm
_AXES = {nn.InstanceNorm1d: 1, nn.InstanceNorm2d: 2, nn.InstanceNorm3d: 3}
"""Over how many axes at the end instance norm takes the statistics of a sample."""
_ZERO = torch.zeros((), dtype=torch.float64)


def has_batch_norm(network: nn.Module) -> bool:
    """Whether any layer keeps running statistics."""
    return bool(statistics_layers(network))


def statistics_layers(network: nn.Module) -> dict[str, Layer]:
    """The layers that keep running statistics, by name: batch norm, and instance norm that tracks.

    Group norm, layer norm and layers that track nothing have nothing to estimate.
    """
    return {
        name: one
        for name, one in parts(network).items()
        if isinstance(one, Layer) and one.running_mean is not None
    }


def reestimate_batch_norm(
    module: nn.Module, loader: Iterable[Any], *, forward: Callable[[Any], object] | None = None
) -> int:
    """Estimate all batch-norm statistics again, in one pass over the data.

    For each layer the statistics are those of all values that it sees, P_b per channel in batch b
    and P = Σ_b P_b in all, added up in float64: the mean and the unbiased variance of the pool,

        mean = Σ_b P_b mean_b / P      var = Σ_b (P_b var_b + P_b (mean_b - mean)²) / (P - 1)

    with mean_b and the biased var_b of a batch. It is no moving average: neither `momentum` nor the
    order of batches plays a part, and a smaller last batch counts by its size.
    `num_batches_tracked` becomes the number of batches that the layer has seen. While the pass
    lasts each layer normalises by its batch, as in training, so what a later layer sees depends on
    how the samples are batched, a little. Nothing else trains: dropout stays off, no parameter
    moves, and afterwards every module is in the mode and has the momentum that it had.

    Of instance norm with `track_running_stats` mean and var are averages over samples of a
    sample's mean and unbiased variance, as torch defines them. SyncBatchNorm counts the batches of
    its own process.

    Args:
        module: any network; changed in place, on the device where it is.
        loader: batches of training data, never of test data: tensors; tuples and lists, whose first
            element is the input; mappings, whose members are passed by name, as transformers'
            models take them. A DataLoader is one, a list of tensors too.
        forward: called with each batch in place of the module, where it is called in another way.

    Returns:
        How many layers were estimated again: 0 where none keeps statistics, and no batch is read
        then; layers that no batch reaches keep what they had.

    Raises:
        StockpotError: where there is no batch, a batch is none of these or too small for a
            variance, or a statistic is not finite; the module is then as it was.

    Example:
        >>> network = nn.Sequential(nn.BatchNorm1d(1)).eval()
        >>> reestimate_batch_norm(network, [torch.tensor([[0.0], [2.0]]), torch.full((2, 1), 4.0)])
        1
        >>> network[0].running_mean, network[0].running_var
        (tensor([2.5000]), tensor([3.6667]))
    """
    layers = statistics_layers(module)
    if not layers:
        return 0
    batches = iter(loader)
    first = next(batches, None)
    if first is None:
        raise StockpotError("Batch-norm statistics cannot be estimated from no data at all.")
    run = forward or _own_forward(module, next(iter(layers.values())))
    before = {name: _buffers(layer) for name, layer in layers.items()}
    try:
        with torch.no_grad(), _watched(module, layers) as pools:
            for batch in chain([first], batches):
                run(batch)
        for name, pool in pools.items():
            _settle(layers[name], name, pool)
    except BaseException:
        for name, layer in layers.items():
            for key, buffer in layer.named_buffers(recurse=False):
                buffer.copy_(before[name][key])
        raise
    return len(pools)


def _own_forward(module: nn.Module, layer: Layer) -> Callable[[Any], object]:
    """The module on a batch, wherever the batch lies."""
    device = cast(Tensor, layer.running_mean).device

    def run(batch: Any) -> object:
        inputs: Any = batch
        if isinstance(batch, list | tuple) and batch:
            inputs = cast(tuple[Any, ...], batch)[0]
        if isinstance(inputs, Tensor):
            return module(inputs.to(device))
        if isinstance(inputs, Mapping):
            given = cast(Mapping[str, object], inputs)
            return module(
                **{k: v.to(device) if isinstance(v, Tensor) else v for k, v in given.items()}
            )
        raise StockpotError(
            "A batch is a tensor, a tuple or list with the input first, or a mapping with the "
            f"names of the arguments; got {_words(cast(object, batch))}"
            + ". Pass forward= for a module that is called in another way."
        )

    return run


def _words(batch: object) -> str:
    name = type(batch).__name__
    if isinstance(batch, list | tuple) and batch:
        return f"{name} of {type(cast(tuple[object, ...], batch)[0]).__name__}"
    return name


@dataclass(slots=True)
class _OfBatches:
    """What a batch norm has seen, on the CPU in float64.

    Attributes:
        calls: of the layer.
        count: values per channel.
        mean, deviations: [C], their mean, and the sum of squared deviations from it.
    """

    calls: int = 0
    count: int = 0
    mean: Tensor = _ZERO
    deviations: Tensor = _ZERO

    def see(self, layer: Layer, name: str, seen: Tensor) -> None:
        """Add a batch, and let the layer normalise by it: in evaluation mode by what it then holds.

        In training mode SyncBatchNorm would wait for other processes, and refuse the CPU.
        """
        count = seen.numel() // seen.shape[1]
        if count < 2:
            raise StockpotError(
                f"Batch-norm layer '{name}' sees one value per channel, which has no variance: "
                "use larger batches, and leave out a last batch of one sample."
            )
        values = _at_least_float(seen)
        others = [axis for axis in range(values.ndim) if axis != 1]
        var_C, mean_C = torch.var_mean(values, others, correction=0)
        _put(layer, mean_C, var_C)
        self.calls += 1
        self.count += count
        step_C = mean_C.cpu().double() - self.mean
        self.mean = self.mean + step_C * (count / self.count)
        between_C = step_C**2 * (count * (self.count - count) / self.count)
        self.deviations = self.deviations + var_C.cpu().double() * count + between_C

    def settle(self, layer: Layer) -> None:
        """Let the layer have the statistics of all of it."""
        _put(layer, self.mean, self.deviations / (self.count - 1))
        if layer.num_batches_tracked is not None:
            layer.num_batches_tracked.fill_(self.calls)


@dataclass(slots=True)
class _OfSamples:
    """What an instance norm has seen, on the CPU in float64.

    Attributes:
        count: samples.
        means, vars: [C], sums of their means and unbiased variances.
    """

    count: int = 0
    means: Tensor = _ZERO
    vars: Tensor = _ZERO

    def see(self, layer: Layer, name: str, seen: Tensor) -> None:
        """Add a batch, of which the layer normalises each sample by itself."""
        axes = list(range(-next(n for kind, n in _AXES.items() if isinstance(layer, kind)), 0))
        if all(seen.shape[axis] == 1 for axis in axes):
            raise StockpotError(
                f"Instance-norm layer '{name}' sees one value per channel and sample, which has no "
                "variance: use larger inputs."
            )
        var_NC, mean_NC = (
            one.cpu().double().reshape(-1, layer.num_features)
            for one in torch.var_mean(_at_least_float(seen), axes, correction=1)
        )
        self.count += len(mean_NC)
        self.means = self.means + mean_NC.sum(0)
        self.vars = self.vars + var_NC.sum(0)

    def settle(self, layer: Layer) -> None:
        """Let the layer have the averages over samples."""
        _put(layer, self.means / self.count, self.vars / self.count)


@contextmanager
def _watched(
    module: nn.Module, layers: Mapping[str, Layer]
) -> Generator[dict[str, _OfBatches | _OfSamples]]:
    """Layers normalise by their batches; yields what each has seen, of those that see any."""
    modes = [(one, one.training) for one in module.modules()]
    pools: dict[str, _OfBatches | _OfSamples] = {}

    def watch(name: str) -> Any:
        kind = _OfBatches if isinstance(layers[name], BatchNorm) else _OfSamples

        def hook(layer: Layer, inputs: tuple[Tensor, ...], named: dict[str, Tensor]) -> None:
            (seen,) = (*inputs, *named.values())
            pools.setdefault(name, kind()).see(layer, name, seen)

        return hook

    module.eval()
    handles = [
        layer.register_forward_pre_hook(watch(name), with_kwargs=True)
        for name, layer in layers.items()
    ]
    try:
        for layer in layers.values():
            layer.train(not isinstance(layer, BatchNorm))
        yield pools
    finally:
        for handle in handles:
            handle.remove()
        for one, mode in modes:
            one.training = mode


def _settle(layer: Layer, name: str, pool: _OfBatches | _OfSamples) -> None:
    pool.settle(layer)
    if not all(bool(buffer.isfinite().all()) for buffer in _buffers(layer).values()):
        raise StockpotError(
            f"Batch-norm layer '{name}' has statistics that are not finite: the network or its "
            "inputs overflow before it."
        )


def _put(layer: Layer, mean_C: Tensor, var_C: Tensor) -> None:
    cast(Tensor, layer.running_mean).copy_(mean_C)
    cast(Tensor, layer.running_var).copy_(var_C)


def _at_least_float(seen: Tensor) -> Tensor:
    return seen if seen.dtype == torch.float64 else seen.float()


def _buffers(layer: Layer) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in layer.named_buffers(recurse=False)}
