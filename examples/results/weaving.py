"""Is a method that is linear in its scale, woven over scales, the method at their mean?

    python examples/results/weaving.py RUN

RUN is what `stockpot compare examples/results/six-tasks.yml --out RUN` has written. Of each pool
the bodies of all tasks are merged by a weave, the mean over values of one field, and by the method
at the mean of these values. Printed is the root mean square of the difference over that of the
change which the merge makes to the start, the largest of all pools. In float32 about 1e-6 is what
rounding weights leaves, for they are larger than their changes; 1e-15 in float64.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from stockpot import merge
from stockpot.methods import Cart, Dare, IsoC, Method, TaskArithmetic, Ties, TsvM, Weave

TENTHS = tuple(tenth / 10 for tenth in range(1, 11))
WOVEN: tuple[tuple[type[Method], dict[str, Any], str, tuple[float, ...]], ...] = (
    (TaskArithmetic, {}, "scale", TENTHS),
    (Ties, {"density": 0.2}, "scale", TENTHS),
    (Dare, {"density": 0.5}, "scale", TENTHS),
    (TsvM, {}, "scale", TENTHS),
    (IsoC, {}, "scale", TENTHS),
    (Cart, {"tensors": "matrices"}, "scale", TENTHS),
    (Ties, {}, "density", (0.1, 0.2, 0.3, 0.4, 0.5)),
    (Cart, {"tensors": "matrices"}, "rank", (0.04, 0.08, 0.16, 0.32)),
)
"""A method and its fields, the field that is woven over and values; the last two are not linear."""

State = dict[str, Tensor]


def pools(run: Path) -> Iterator[tuple[State, list[State]]]:
    """Each pool's start and its tasks' networks: the tensors of the body."""
    tasks = [
        task["name"]
        for task in json.loads((run / "experiment.json").read_text())["experiment"]["tasks"]
    ]
    for folder in sorted(run.glob("pool-*")):
        base = {k: v for k, v in load_file(folder / "base.safetensors").items() if "::" not in k}
        models = [load_file(folder / f"{task}.safetensors") for task in tasks]
        yield base, [{name: one[name] for name in base} for one in models]


def apart(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> float:
    """Root of the sum of squared differences, in float64."""
    squares = [(a[name].double() - b[name].double()).square().sum() for name in a]
    return float(torch.stack(squares).sum().sqrt())


def relative(
    woven: Weave, at_mean: Method, base: Mapping[str, Tensor], models: Sequence[State]
) -> float:
    """How far the weave is from the method at the mean, over how far that is from the start."""
    plain = merge(models, at_mean, base=base)
    return apart(merge(models, woven, base=base), plain) / apart(plain, base)


def doubled(state: State) -> State:
    """In float64."""
    return {name: tensor.double() for name, tensor in state.items()}


def main(run: Path) -> None:
    """Print a line for each method and field."""
    found = list(pools(run))
    for kind, fields, field, values in WOVEN:
        woven = Weave(kind(**fields), grid={field: values})
        at_mean = kind(**fields, **{field: sum(values) / len(values)})
        single = [relative(woven, at_mean, *pool) for pool in found]
        double = [
            relative(woven, at_mean, doubled(base), [doubled(one) for one in models])
            for base, models in found
        ]
        name = f"{kind.__name__} over {field}, {len(found)} pools"
        print(f"{name}: {max(single):.2g} in float32, {max(double):.2g} in float64", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
