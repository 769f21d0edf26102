"""Singles, soups and ensembles of networks that exist already: `stockpot.compare`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from torch import Tensor, nn

from ...core import Method
from ...data import Dataset, InMemory, Splits, Transform, named_views
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
from ...values.bars import Bar, bar_for
from ...views.models import listed_models
from ...views.naming import names_of
from ..predictions.ingredients import Ingredients
from ..results.comparison import Comparison
from .columns import WITHOUT_TRAINING
from .compare import MARGIN, Progress, compare_pools
from .origin import splits_to_judge

Network = NetworkSpec | nn.Module | Callable[..., nn.Module]
"""A specification, a module of which copies are made, or a function that makes one."""
Model = str | Path | Mapping[str, Tensor] | nn.Module
"""A checkpoint, a state dict, or a network."""


def compare(
    models: Sequence[Model],
    network: Network | None = None,
    data: DataSpec | InMemory | Splits | None = None,
    *,
    base: Model | None = None,
    names: Sequence[str] = (),
    counts: Sequence[int] = (),
    subsets: int = 3,
    methods: Sequence[str | Method] = WITHOUT_TRAINING,
    metric: str | Callable[..., object] | None = None,
    margin: float = MARGIN,
    views: Sequence[str] | Mapping[str, Transform] = (),
    domains: Sequence[str] = (),
    test_split: str | Path | None = None,
    seed: int = 0,
    progress: Progress | Bar | None = None,
) -> Comparison:
    """Compare keeping the best of some networks, souping them, and ensembling them.

    Args:
        models: two or more checkpoints, state dicts or modules of one architecture.
        network: what they are: the name of a built-in network, "timm:NAME", "hf:DIRECTORY", ...; a
            module of their kind, or a function that makes one. Not needed where models are modules.
        data: what they are judged on: a name, a mapping with the reader's options, or splits; or
            data in memory, a pair (inputs, labels), a DataLoader, or a mapping of `train`,
            `selection` and `test` to these, as `stockpot.data.collection_of` takes them. The
            training part is used to re-estimate batch-norm statistics and for nothing else.
        base: what they were fine-tuned from, for methods that need it.
        names: of the models in tables; by default the ends of their paths that tell them apart.
        counts: how many go into a soup or ensemble; by default 2 to all.
        subsets: how many subsets of each count are drawn.
        methods: columns and merge methods, also functions of a stack.
        metric: accuracy, auroc, nll, ece, "package.module:function", or a function, by what its
            parameters are called: `f(labels, predictions)`, `f(network, data)`.
        margin: a difference of the metric that does not matter.
        views: of the test split, to be judged on as well: texts such as "noise-3", "blur-all" and
            "domain=twitter", or transforms by their names in the table.
        domains: the only ones that the splits hold; the test split's samples of the others are
            kept aside for views. Not with splits, which have it behind them.
        test_split: a file that says which samples are the test split, for `data.read_split`.
            Without it the split is the one that all checkpoints record, as `stockpot train` writes
            it, else a fresh one; the result says which.
        seed: of a fresh split and of the subsets.
        progress: called as work is done; "bar" shows a bar of tqdm's.

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
    models = listed_models(models)
    if not models:
        raise FieldError("no model to compare: give two or more.")
    network = _network_of(models, network)
    if data is None:
        raise FieldError("no data to compare on: give their name, or a pair (inputs, labels).")
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
        network=_name_of(network),
        progress=bar_for(progress),
    )
    return replace(found, origin=origin)


def _network_of(models: Sequence[Model], network: Network | None) -> Network:
    """What the models are, where it is left to them."""
    if network is not None:
        return network
    for model in models:
        if isinstance(model, nn.Module):
            return model
    raise FieldError(
        "network: of checkpoints and state dicts nobody knows which network they are: give its "
        "name, a module, or a function that makes one."
    )


def _name_of(network: Network) -> str:
    if isinstance(network, nn.Module):
        return type(network).__name__
    return getattr(network, "__name__", "network") if callable(network) else str(network)


def opened(network: Network, data: Dataset) -> nn.Module:
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
