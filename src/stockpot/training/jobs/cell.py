"""One network on one data set, opened: what every job of a cell needs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import torch
from blake3 import blake3
from torch import Tensor, nn

from ...data import Splits, digest_of, load, split
from ...experiments.experiment import Experiment
from ...networks import open_network
from ...networks.sources.opening import NetworkSpec
from ...typed import to_numpy


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """A cell of an experiment with its data at hand.

    Attributes:
        spec: of its network.
        splits: train, selection and test; of all pools, or of one where each has its own.
        digest: BLAKE3 of the training and selection splits.
    """

    spec: NetworkSpec
    splits: Splits
    digest: str

    def network(self, seed: int) -> nn.Module:
        """A new network that fits the data, with random weights or the ones it brings."""
        train = self.splits.train
        return open_network(
            self.spec,
            num_classes=train.num_classes,
            in_channels=train.in_channels,
            image_size=train.inputs.shape[-1] if train.is_text else train.image_size,
            seed=seed,
        )


def network_of(experiment: Experiment) -> NetworkSpec:
    """The network of an experiment without a sweep."""
    assert experiment.network is not None
    return experiment.network


def open_cell(experiment: Experiment, pool: int | None = None) -> Cell:
    """Read and split the data for a pool; those of the last few cells are kept in memory."""
    wanted = experiment.split_of(pool)
    data = json.dumps([experiment.resolved()["data"], wanted, experiment.seed])
    return Cell(network_of(experiment), *_opened(data))


@lru_cache(maxsize=2)
def _opened(text: str) -> tuple[Splits, str]:
    spec, wanted, seed = json.loads(text)
    seed = seed if wanted["seed"] is None else wanted["seed"]
    splits = split(load(spec), **(wanted | {"seed": seed}))
    return splits, digest_of(splits.train, splits.selection)


def state_digest(state: Mapping[str, Tensor]) -> str:
    """BLAKE3 of every tensor of a network, with its name, dtype and shape."""
    hasher = blake3()
    for name, tensor in state.items():
        hasher.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        hasher.update(_bytes(tensor))
    return hasher.hexdigest()


def _bytes(tensor: Tensor) -> memoryview:
    flat = tensor.detach().cpu().contiguous().flatten()
    return to_numpy(flat.view(torch.uint8)).data
