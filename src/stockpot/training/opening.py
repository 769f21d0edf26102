"""What training takes from networks, data and evaluation; the one place that calls them by spec."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from ..checkpoints.read import read_checkpoint
from ..data import Dataset, Splits, digits, three_way
from ..extras import optional
from ..errors import FieldError
from ..evaluation import accuracy, predict
from ..networks import build, load_weights

Spec = str | Mapping[str, Any]


def open_network(
    spec: Spec, *, num_classes: int, in_channels: int, image_size: int, seed: int
) -> nn.Module:
    """A new network in evaluation mode."""
    options: dict[str, Any] = {"name": spec} if isinstance(spec, str) else dict(spec)
    name = str(options.pop("name"))
    return build(
        name,
        num_classes=num_classes,
        in_channels=in_channels,
        image_size=image_size,
        seed=seed,
        **options,
    )


def open_data(
    spec: Spec,
    *,
    selection: float,
    test: float,
    seed: int,
    limit: int | None,
    fraction: float | None,
) -> Splits:
    """A data set, read and split."""
    if spec != "digits" or limit or fraction:
        raise FieldError(f"data: there is no data set {str(spec)[:80]!r}; choose from digits.")
    return three_way(digits(), selection=selection, test=test, seed=seed)


def take_weights(
    network: nn.Module,
    path: Path,
    inputs: Tensor,  # noqa: ARG001 - a batch on which the head is found
    *,
    new_head: bool,
) -> None:
    """Put the weights of a checkpoint into `network`, or into all of it but its head."""
    if new_head:
        body = {
            name: entry.load()
            for name, entry in read_checkpoint(path).entries.items()
            if not name.startswith("head.")
        }
        network.load_state_dict(body, strict=False)
    else:
        load_weights(network, path)


def has_batch_norm(network: nn.Module) -> bool:
    """Whether any layer keeps statistics of batches."""
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)
    return any(isinstance(module, kinds) for module in network.modules())


def domains_of(data: Dataset) -> tuple[tuple[str, ...], Tensor | None]:
    """The names of the domains of a data set, and the domain of each sample."""
    return getattr(data, "domains", ()), getattr(data, "domain", None)


def score(network: nn.Module, data: Dataset) -> tuple[str, float]:
    """What ingredients are ranked by: accuracy; mean AUROC where a sample has several classes."""
    predictions = predict(network, data)
    if not data.is_multilabel:
        return "accuracy", accuracy(predictions)
    metrics = optional("sklearn.metrics")
    return "auroc", float(metrics.roc_auc_score(predictions.labels, predictions.logits))
