"""Batch-norm statistics of merged weights, estimated again before the weights are put in place."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import blake3
import torch
from torch import Tensor, nn

from .checkpoints.entry import Checkpoint
from .data import Dataset, load, split
from .data import Spec as DataSpec
from .engine.merge import Merged, carry_out
from .engine.options import Options
from .engine.prepare import Prepared, prepare
from .errors import FieldError, StockpotError
from .methods import Average
from .networks import (
    NetworkSpec,
    file_prefix,
    open_network,
    put_weights,
    reestimate_batch_norm,
    statistics_layers,
)
from .recipes.reading.recipe import parse_recipe
from .typed import to_numpy
from .views.models import open_model

SAMPLES = 2048
"""Training samples that statistics are estimated on; all, where there are fewer."""
BATCH = 128
_OF_A_LAYER = ("running_mean", "running_var", "num_batches_tracked")


def training_batches(
    train: Dataset, seed: int, device: torch.device, samples: int = SAMPLES
) -> Iterator[Tensor]:
    """Inputs of some training samples, drawn by the seed, on a device."""
    chosen = drawn(train, seed, samples)
    starts = range(0, len(chosen), BATCH)
    return (train.batch(chosen[at : at + BATCH]).to(device) for at in starts)


def drawn(train: Dataset, seed: int, samples: int = SAMPLES) -> Tensor:
    """Their positions, in the order of the batches."""
    generator = torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(train), generator=generator)[:samples]
    # One sample alone may have no variance, so a last batch of one is left out.
    lonely = len(chosen) > 1 and len(chosen) % BATCH == 1
    return chosen[:-1] if lonely else chosen


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Reestimation:
    """Statistics estimated again on training data, as the amendment of a merge.

    Attributes:
        shell: a network of the kind that the weights are of.
        train: the training part of the data.
        samples: how many are drawn.
        seed: of the split, where the data have no test part of their own, and of the draw.
        device: where the network runs.
        told: what is estimated, on which samples with which digest.
        origin: for the header of an output of stockpot, the recipe that made its weights.
        prefix: what stands before the network's names in the weights, where that is known before.
    """

    shell: nn.Module
    train: Dataset
    samples: int
    seed: int
    device: torch.device
    told: Mapping[str, object]
    origin: str | None = None
    prefix: str = ""

    @property
    def key(self) -> str:
        """Under which merge.json tells it."""
        return "reestimated"

    @property
    def metadata(self) -> Mapping[str, str]:
        """For the header of the weights."""
        own = {} if self.origin is None else {"stockpot": self.origin}
        return own | {"stockpot.reestimated": json.dumps(self.told, ensure_ascii=False)}

    @property
    def sentence(self) -> str:
        """What was done, for people."""
        return (
            f"batch-norm statistics of {self.told['layers']} layers are estimated again on "
            f"{self.told['samples']:,} training samples of {self.train.name}, seed {self.seed}"
            + (f"; the network's names are behind '{self.prefix}'." if self.prefix else ".")
        )

    def __call__(self, merged: Checkpoint) -> Mapping[str, Tensor]:
        """The statistics of every layer, under the names that the weights have."""
        network = put_weights(self.shell, merged.entries, Path(merged.label)).eval()
        prefix = file_prefix(network, merged.entries)
        batches = training_batches(self.train, self.seed, self.device, self.samples)
        reestimate_batch_norm(network.to(self.device), batches)
        state: Mapping[str, Tensor] = network.state_dict()
        names = [f"{layer}.{key}" for layer in statistics_layers(network) for key in _OF_A_LAYER]
        found: dict[str, Tensor] = {}
        for name in (name for name in names if name in state):
            entry = merged.entries[prefix + name]
            found[prefix + name] = state[name].cpu().to(entry.dtype).reshape(entry.shape)
        return found


def reestimation(
    network: NetworkSpec,
    data: DataSpec,
    *,
    samples: int = SAMPLES,
    seed: int = 0,
    device: torch.device | None = None,
) -> Reestimation:
    """Read the data and build the network, so that what is wrong is said before a byte is written.

    Raises:
        FieldError: of samples, of a network or of data that are not there.
        StockpotError: where the network keeps no statistics, or does not fit the data.
    """
    if samples < 2:
        raise FieldError(f"samples must be at least 2, for a variance; got {samples}.")
    train = split(load(data), seed=seed).train
    shell = open_network(
        network,
        num_classes=train.num_classes,
        in_channels=train.in_channels,
        image_size=train.inputs.shape[-1] if train.is_text else train.image_size,
    )
    if not statistics_layers(shell):
        raise StockpotError(
            f"{without_folders(network)} has nothing to estimate: group norm and layer norm look "
            "at each sample alone, and no layer keeps statistics of batches. Use the merge as it "
            "is."
        )
    chosen = drawn(train, seed, samples)
    told = {
        # one batch, which also says before the merge whether the network takes these samples
        "layers": reestimate_batch_norm(shell, [train.batch(chosen[:BATCH])]),
        "network": without_folders(network),
        "data": without_folders(data),
        "part": "train",
        "samples": len(chosen),
        "batch": BATCH,
        "seed": seed,
        "digest": blake3.blake3(to_numpy(train.inputs[chosen].flatten()).tobytes()).hexdigest(),
    }
    where = device or torch.device("cpu")
    return Reestimation(
        shell=shell,
        train=train,
        samples=samples,
        seed=seed,
        device=where,
        told=told,
    )


def prepare_reestimation(
    model: str | Path,
    network: NetworkSpec,
    data: DataSpec,
    out: Path,
    *,
    samples: int = SAMPLES,
    seed: int = 0,
    options: Options | None = None,
) -> Prepared:
    """A checkpoint with statistics estimated again: a merge of one, checked and not yet written.

    The weights of an earlier output keep the recipe in their header, so the file is that of a
    merge with the estimation in one go, byte for byte.

    Raises:
        StockpotError: as `reestimation`, and as a merge to files does.
    """
    chosen = options or Options()
    opened = open_model(model, key=chosen.key)
    amendment = reestimation(network, data, samples=samples, seed=seed, device=chosen.torch_device)
    put_weights(amendment.shell, opened.entries, Path(model))  # or says that they do not fit
    amendment = replace(
        amendment,
        origin=opened.metadata.get("stockpot"),
        prefix=file_prefix(amendment.shell, opened.entries),
    )
    recipe = parse_recipe({"method": Average(), "models": [{"path": str(model)}], "seed": seed})
    return prepare(recipe, chosen, out, amendment)


def reestimate_to(
    out: str | Path,
    model: str | Path,
    network: NetworkSpec,
    data: DataSpec,
    *,
    samples: int = SAMPLES,
    seed: int = 0,
    options: Options | None = None,
) -> Merged:
    """Write a checkpoint again with statistics of its own weights on training data.

    Raises:
        StockpotError: as `prepare_reestimation`; nothing half-written is at `out`.
    """
    there = Path(out)
    prepared = prepare_reestimation(
        model, network, data, there, samples=samples, seed=seed, options=options
    )
    return carry_out(prepared, there)


def without_folders(spec: NetworkSpec | DataSpec) -> object:
    """A network or data set without what tells of a machine: of a path its last part alone.

    Example:
        >>> without_folders("hf:/home/me/model"), without_folders({"name": "mnist", "path": "/a/b"})
        ('hf:model', {'name': 'mnist', 'path': 'b'})
    """
    if isinstance(spec, str):
        source, colon, rest = spec.rpartition(":")
        return f"{source}{colon}{Path(rest).name}" if "/" in rest else spec
    given = cast(Mapping[str, Any], spec)
    return {k: without_folders(v) if isinstance(v, str) else v for k, v in given.items()}
