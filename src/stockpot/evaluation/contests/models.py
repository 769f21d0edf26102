"""Singles, soups and ensembles of networks that exist already: `stockpot.compare`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from ...core import Method
from ...data import Dataset, Splits, Transform, named_views
from ...data import Spec as DataSpec
from ...errors import FieldError
from ...networks import (
    Headed,
    NetworkSpec,
    has_batch_norm,
    headed,
    open_network,
    reestimate_batch_norm,
)
from ...views.naming import names_of
from ..predictions.ingredients import Ingredients
from ..results.comparison import Comparison
from .columns import WITHOUT_TRAINING
from .compare import MARGIN, Progress, compare_pools
from .origin import splits_to_judge

Model = str | Path | Mapping[str, Tensor] | nn.Module
"""A checkpoint, a state dict, or a network."""


def compare(
    models: Sequence[Model],
    network: NetworkSpec,
    data: DataSpec | Splits,
    *,
    base: Model | None = None,
    names: Sequence[str] = (),
    counts: Sequence[int] = (),
    subsets: int = 3,
    methods: Sequence[str | Method] = WITHOUT_TRAINING,
    metric: str | None = None,
    margin: float = MARGIN,
    views: Sequence[str] | Mapping[str, Transform] = (),
    domains: Sequence[str] = (),
    test_split: str | Path | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Comparison:
    """Compare keeping the best of some networks, souping them, and ensembling them.

    Args:
        models: two or more checkpoints, state dicts or modules of one architecture.
        network: what they are: the name of a built-in network, "timm:NAME", "hf:DIRECTORY", ...
        data: what they are judged on: a name, a mapping with the reader's options, or splits. The
            training part is used to re-estimate batch-norm statistics and for nothing else.
        base: what they were fine-tuned from, for methods that need it.
        names: of the models in tables; by default the ends of their paths that tell them apart.
        counts: how many go into a soup or ensemble; by default 2 to all.
        subsets: how many subsets of each count are drawn.
        methods: columns and merge methods.
        metric: accuracy, auroc, nll, ece, or "package.module:function".
        margin: a difference of the metric that does not matter.
        views: of the test split, to be judged on as well: texts such as "noise-3", "blur-all" and
            "domain=twitter", or transforms by their names in the table.
        domains: the only ones that the splits hold; the test split's samples of the others are
            kept aside for views. Not with splits, which have it behind them.
        test_split: a file that says which samples are the test split, for `data.read_split`.
            Without it the split is the one that all checkpoints record, as `stockpot train` writes
            it, else a fresh one; the result says which.
        seed: of a fresh split and of the subsets.
        progress: called as work is done.

    Raises:
        StockpotError: what does not fit together, and why.

    Example:
        >>> from stockpot.networks import build
        >>> shape = {"num_classes": 10, "in_channels": 1, "image_size": 8}
        >>> strangers = [build("mlp", seed=s, width=8, **shape) for s in range(2)]
        >>> table = compare(strangers, {"name": "mlp", "width": 8}, "digits", counts=[2])
        >>> {row.method for row in table.rows} >= {"uniform-soup", "logits-ensemble"}
        True
    """
    if not models:
        raise FieldError("no model to compare: give two or more.")
    if isinstance(data, Splits):
        if domains or test_split is not None:
            raise FieldError(
                "domains, test_split: the splits are made already; give them to `split`."
            )
        splits, origin = data, ""
    else:
        judged = splits_to_judge(models, data, seed=seed, domains=domains, test_split=test_split)
        splits, origin = judged.splits, judged.origin
    build = partial(opened, network, splits.train)
    given = [_source(model, build) for model in models]
    pool = ingredients_of(
        seed,
        names_of(models, names),
        given,
        splits,
        build,
        base=None if base is None else _source(base, build),
    )
    found = compare_pools(
        [pool],
        counts=counts,
        subsets=subsets,
        methods=methods,
        metric=metric,
        margin=margin,
        views=views if isinstance(views, Mapping) else named_views(views),
        seed=seed,
        reestimate=reestimation(build()),
        network=str(network),
        progress=progress,
    )
    return replace(found, origin=origin)


def opened(network: NetworkSpec, data: Dataset) -> nn.Module:
    """A new network for these data, in evaluation mode."""
    return open_network(
        network,
        num_classes=data.num_classes,
        in_channels=data.in_channels,
        image_size=data.inputs.shape[-1] if data.is_text else data.image_size,
    )


def ingredients_of(
    seed: int,
    names: Sequence[str],
    sources: Sequence[nn.Module | Path],
    splits: Splits,
    build: Callable[[], nn.Module],
    *,
    base: nn.Module | Path | None,
) -> Ingredients:
    """A pool whose heads are found and verified on a few training samples.

    Args:
        seed: which pool.
        names: of the ingredients.
        sources: of the ingredients.
        splits: what they are judged on.
        build: a new network of their kind.
        base: what they were fine-tuned from, where there is one.
    """
    return Ingredients(
        seed=seed,
        names=names,
        sources=sources,
        splits=splits,
        build=build,
        base=base,
        headed=partial(_headed, inputs=splits.train.batch(slice(0, 4))),
    )


def reestimation(network: nn.Module) -> Callable[..., int] | None:
    """How batch-norm statistics are mended; None where the network keeps none."""
    return reestimate_batch_norm if has_batch_norm(network) else None


def _headed(network: nn.Module, inputs: Tensor) -> Headed:
    return headed(network, inputs)


def _source(model: Model, build: Callable[[], nn.Module]) -> nn.Module | Path:
    if isinstance(model, str | Path):
        return Path(model)
    if isinstance(model, nn.Module):
        return model.eval()
    network = build()
    network.load_state_dict(dict(model))
    return network
