"""What a search over CART's rank and scale saves: trials from factors beside whole merges.

python -m bench.factors a.safetensors b.safetensors c.safetensors
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import Tensor

from stockpot.checkpoints.read import read_checkpoint
from stockpot.engine.merge import merge_opened
from stockpot.engine.options import Options
from stockpot.factors.store import stored_factors
from stockpot.methods import Cart
from stockpot.recipes.reading.recipe import parse_recipe

POINTS = ((0.3, 1.0), (0.08, 2.0), (0.02, 1.0))
RUNS = 3


def main() -> None:
    """Time both ways at a few ranks and scales, and print the largest relative difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", help="three checkpoints or more, on a quiet machine")
    parser.add_argument("--tensors", default="matrices", help="as of cart")
    parsed = parser.parse_args()
    top = Cart(rank=max(rank for rank, _ in POINTS), tensors=parsed.tensors)
    opened = [read_checkpoint(path) for path in parsed.models]
    with tempfile.TemporaryDirectory() as store:
        start = time.perf_counter()
        kept = stored_factors(Path(store), parsed.models, top)
        taken = time.perf_counter() - start
        print(f"factors of {len(opened)} models at rank {top.rank:g}: {taken:.2f} s, {kept.sizes}")
        for rank, scale in POINTS:
            method = replace(top, rank=rank, scale=scale)
            recipe = parse_recipe({"method": method, "models": parsed.models})
            quick, made = _least(lambda rank=rank, scale=scale: kept.merged(rank=rank, scale=scale))
            slow, whole = _least(
                lambda recipe=recipe: merge_opened(recipe, opened, None, Options())
            )
            error = max(_difference(made[name], whole[name]) for name in whole)
            print(
                f"rank {rank:g}, scale {scale:g}: from factors {quick:.2f} s, whole {slow:.2f} s, "
                f"largest relative difference {error:.1e}"
            )


def _least(make: Callable[[], dict[str, Tensor]]) -> tuple[float, dict[str, Tensor]]:
    """The least time of a few runs, in seconds, and what the last one made."""
    times: list[float] = []
    made: dict[str, Tensor] = {}
    for _ in range(RUNS):
        start = time.perf_counter()
        made = make()
        times.append(time.perf_counter() - start)
    return min(times), made


def _difference(one: Tensor, other: Tensor) -> float:
    norm = float(other.double().norm())
    return float((one.double() - other.double()).norm()) / norm if norm else 0.0


if __name__ == "__main__":
    main()
