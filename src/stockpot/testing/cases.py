"""What methods are tried on: models to merge, and what surrounds them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core import Method, Statistic
from ..engine.merge import merge
from ..typed import from_numpy, to_numpy

State = dict[str, Tensor]

DTYPES = (torch.float32, torch.bfloat16, torch.float16, torch.float64)
KINDS = ("zero", "constant", "constants", "opposite", "from zero", "to zero", "least")
"""Of models at which formulas divide by nothing."""


@dataclass(frozen=True)
class Case:
    """One call of merge.

    Attributes:
        method: the method.
        models, base, weights: as for `stockpot.merge`.
        statistics: of each model's data; where there are none and the method needs some, they are
            drawn, the same for every case of such tensors.
    """

    method: Method
    models: list[State]
    base: State | None = None
    weights: list[float] | None = None
    statistics: list[State] | None = None

    @property
    def of_data(self) -> list[State]:
        """Statistics of each model's data, where the method needs them."""
        needed = self.method.needs.statistics
        if self.statistics is not None or not needed:
            return self.statistics or []
        return [
            {
                name if len(needed) == 1 else f"{name}.{one.name}": _statistic(one, tensor, k)
                for name, tensor in model.items()
                for one in needed
                if one.shape(tuple(tensor.shape)) is not None
            }
            for k, model in enumerate(self.models)
        ]

    def merge(self, **options: Any) -> State:
        """What `stockpot.merge` gives."""
        return merge(
            self.models,
            self.method,
            base=self.base,
            weights=self.weights,
            statistics=self.of_data,
            **options,
        )


def importance(tensor: Tensor, seed: int) -> Tensor:
    """Float32 statistics of a tensor over many orders of magnitude, some of them 0."""
    rng = np.random.default_rng((seed, tensor.numel()))
    drawn = rng.lognormal(-6, 3, tuple(tensor.shape)) * (rng.random(tuple(tensor.shape)) < 0.8)
    return from_numpy(np.asarray(drawn, np.float32))


def _statistic(statistic: Statistic, tensor: Tensor, seed: int) -> Tensor:
    """Of one model; a square one is a Gram matrix, which is symmetric and positive definite."""
    if statistic.axes is None:
        return importance(tensor, seed)
    shape = statistic.shape(tuple(tensor.shape))
    assert shape is not None
    drawn = np.random.default_rng((seed, tensor.numel())).normal(size=shape)
    square = len(shape) == 2 and shape[0] == shape[1]
    return from_numpy(np.asarray(drawn @ drawn.T if square else drawn, np.float32))


def on_grid(
    shapes: Sequence[tuple[int, ...]], count: int, seed: int, dtype: torch.dtype = torch.float32
) -> tuple[State, list[State]]:
    """A base and models on multiples of 1/32 with at most 8 bits: exact in every float dtype.

    So are differences and sums of few, and equal magnitudes and cancelling votes are common.
    """
    rng = np.random.default_rng(seed)

    def state(low: int, high: int) -> State:
        drawn = [rng.integers(low, high + 1, math.prod(shape)) / 32.0 for shape in shapes]
        return {
            f"layers.{i}.weight": from_numpy(values).reshape(shape).to(dtype)
            for i, (values, shape) in enumerate(zip(drawn, shapes, strict=True))
        }

    base = state(-64, 64)
    deltas = [state(-24, 24) for _ in range(count)]
    return base, [{n: base[n] + d[n] for n in base} for d in deltas]


def smooth(
    shapes: Sequence[tuple[int, ...]], count: int, seed: int, dtype: torch.dtype = torch.float32
) -> tuple[State, list[State]]:
    """A base, and models at a tenth of its spread from it, normally distributed."""
    generator = torch.Generator().manual_seed(seed)

    def state() -> State:
        return {
            f"layers.{i}.weight": torch.randn(shape, generator=generator, dtype=torch.float64)
            for i, shape in enumerate(shapes)
        }

    base = state()
    models = [
        {n: (base[n] + 0.1 * d[n]).to(dtype) for n in base} for d in [state() for _ in range(count)]
    ]
    return {n: t.to(dtype) for n, t in base.items()}, models


def edges(kind: str, count: int, dtype: torch.dtype) -> tuple[State, list[State]]:
    """A base and models that are all zero, all one constant each, or hardly there at all."""
    shapes = {"matrix": (4, 3), "vector": (5,), "one": (1,), "none": (0, 3), "scalar": ()}
    values = {
        "zero": [0.0] * (count + 1),
        "constant": [1.0] * (count + 1),
        "constants": [1.0, *[1.5 + k for k in range(count)]],
        "opposite": [0.0, *[(-1.0) ** k for k in range(count)]],
        "from zero": [0.0, *[0.5] * count],
        "to zero": [0.5, *[0.0] * count],
        "least": [torch.finfo(dtype).tiny, *[torch.finfo(dtype).smallest_normal] * count],
    }[kind]
    states = [
        {f"{name}.weight": torch.full(shape, value, dtype=dtype) for name, shape in shapes.items()}
        for value in values
    ]
    return states[0], states[1:]


def bits(state: State) -> dict[str, bytes]:
    """The bytes of each tensor: equality of results means to the last bit."""
    flat = {n: t.contiguous().view(-1).view(torch.uint8) for n, t in state.items()}
    return {n: to_numpy(t).tobytes() for n, t in flat.items()}
