"""Small merges with fixed inputs, and the BLAKE3 digests of their results.

A refactoring proves itself by leaving the digests alone. A change that is meant to change numbers
writes them anew, and shows the difference in its commit message:

    python tests/golden/merges.py

Only merges are stored whose bytes the numeric law (docs/architecture.md) promises on any processor.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import blake3
import numpy as np
import torch
from torch import Tensor

import stockpot as sp
from stockpot.core import Method
from stockpot.methods import (
    Average,
    Cart,
    CartFactors,
    Consensus,
    Dare,
    Fisher,
    Interpolate,
    IsoC,
    IsoCts,
    Median,
    ModelStock,
    Slerp,
    TaskArithmetic,
    Ties,
    TrimmedMean,
    TsvM,
    Weave,
)

DIGESTS = Path(__file__).with_name("digests.json")
SHAPES = {"embed.weight": (50, 24), "h.0.weight": (32, 33), "apart.weight": (9, 3), "scale": ()}
MERGES: tuple[tuple[Method, list[float] | None], ...] = (
    (Average(), None),
    (Average(), [0.7, 0.2, 0.4]),
    (Fisher(floor=1.0), None),
    (Fisher(), [0.7, 0.2, 0.4]),
    (Interpolate(t=0.3), None),
    (Interpolate(t=1.5), None),
    (Slerp(t=0.3), None),
    (Slerp(t=-0.4, lerp_above=1.0), None),
    (Median(), None),
    (TrimmedMean(trim=0.25), None),
    (TaskArithmetic(scale=0.4), None),
    (TaskArithmetic(scale=0.7), [1.0, -0.5, 0.3]),
    (Ties(), None),
    (Ties(density=(0.1, 0.3, 0.5), trim="tensor", vote="count", scale=0.8), [1.0, 0.5, 0.7]),
    (Ties(density=0.6, reduce="sum"), None),
    (Dare(), None),
    (Dare(density=0.3, rescale="norm", merge="ties"), [1.0, 0.5, 0.7]),
    (Dare(density=(0.2, 0.5, 0.9), rescale="none", scale=0.5), None),
    (ModelStock(), None),
    (ModelStock(clip=False), None),
    (Consensus(), None),
    (Consensus(agree=3, ratio=(0.2, 0.4, 0.6), scale=0.5), [1.0, 0.5, 0.7]),
    (Weave(TaskArithmetic(), {"scale": (0.1, 0.3, 0.5)}, raw="include"), [1.0, 0.5, 0.7]),
    (Weave(Ties(), {"density": (0.1, 0.4), "scale": (0.5, 1.0)}, pool="random"), None),
    (Weave(Dare(rescale="norm"), {"density": (0.2, 0.6)}, pool="largest"), None),
    (Weave(Ties(trim="tensor"), {"density": (0.1, 0.4)}, pool=ModelStock()), None),
    (Cart(rank=0.2, scale=1.5), None),
    (Cart(energy=0.7, around="base"), [1.0, 0.5, 0.7]),
    (CartFactors(rank=0.2), None),
    (TsvM(), None),
    (TsvM(scale=0.6), [1.0, 0.5, 0.7]),
    (IsoC(scale=0.4), None),
    (IsoCts(common=0.6), None),
)


PER_PROCESSOR = (Cart, CartFactors, TsvM, IsoC, IsoCts, Slerp)
"""Their bytes are promised on one processor: decompositions are those of LAPACK and BLAS, the sine
of an angle is the C library's, and these take other steps on other processors."""


def is_everywhere(method: Method) -> bool:
    """Whether the bytes are the same on any processor.

    Inner products of these inputs are exact, and so the same in any order; not so those of merges.
    """
    pooled = isinstance(method, Weave) and isinstance(method.pool, ModelStock)
    return not pooled and not isinstance(method, PER_PROCESSOR)


def values(what: str, shape: tuple[int, ...]) -> Tensor:
    """Multiples of 2^-12 in [-8, 8), from SHAKE-128: the same on any machine and version.

    With 16 bits each, sums of their products are exact in float64, whatever the order.
    """
    count = int(np.prod(shape))
    drawn = np.frombuffer(hashlib.shake_128(what.encode()).digest(2 * count), "<u2")
    return torch.from_numpy((drawn.astype(np.float32) - 2**15) / 2**12).reshape(shape)


def family(dtype: torch.dtype) -> list[dict[str, Tensor]]:
    """The base, and three models near it that agree in part, but for a tensor where they do not."""
    base = {name: values(f"base {name}", shape) for name, shape in SHAPES.items()}
    states = [base]
    for k in range(3):
        shared = {n: values(f"shared {n}", s) for n, s in SHAPES.items()}
        shared["apart.weight"] = -shared["apart.weight"] if k else shared["apart.weight"]
        own = {n: values(f"{k} {n}", s) for n, s in SHAPES.items()}
        states.append({n: t + shared[n] / 8 + own[n] / 16 for n, t in base.items()})
    return [{n: t.to(dtype) for n, t in state.items()} for state in states]


def merged(
    method: Method, weights: list[float] | None, dtype: torch.dtype, **options: Any
) -> dict[str, Tensor]:
    """One merge of the family."""
    base, *models = family(dtype)
    given = models[: method.needs.models[1]]
    if isinstance(method, TrimmedMean):  # of three it is their average or their median
        given = [*models, base]
    squares = [{n: t.float() ** 2 for n, t in model.items()} for model in given]
    return sp.merge(
        given,
        method,
        base=base if method.needs.base else None,
        weights=weights,
        statistics=squares if method.needs.statistics else (),
        seed=1,
        **options,
    )


def digest(state: dict[str, Tensor]) -> str:
    """Of the bytes, tensor after tensor."""
    hasher = blake3.blake3()
    for tensor in state.values():
        hasher.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return hasher.hexdigest()


def merges() -> Iterator[tuple[str, str]]:
    """The name and digest of each merge that is the same everywhere."""
    for dtype in (torch.float32, torch.bfloat16):
        for method, weights in MERGES:
            if is_everywhere(method):
                weighted = "" if weights is None else f" weights {weights}"
                kind = str(dtype).removeprefix("torch.")
                yield f"{kind} {method}{weighted}", digest(merged(method, weights, dtype))


if __name__ == "__main__":
    DIGESTS.write_text(json.dumps(dict(merges()), indent=1) + "\n")
