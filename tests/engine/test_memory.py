"""What a process holds above `import torch`: the budget and 64 MiB, or the plan refuses."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file

from stockpot.core import Method
from stockpot.engine.plan import SLACK, make_plan
from stockpot.errors import MergeError
from stockpot.methods import METHODS, Average, Fisher, Median, ModelStock, Ties

from ..cases import example
from .making import MIB, names_only, resolved

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the peak of a process is read from /proc"
)

BEYOND = 64 * MIB
"""What a process may take beyond its budget."""

# Not `ru_maxrss`: Linux counts in it what the parent held when it started the process.
CHILD = """
import json, sys
import stockpot, torch
from stockpot.methods import *

def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024

idle = peak()
asked = json.load(sys.stdin)
method = eval(asked.pop("method"))
stockpot.merge_to("out", asked.pop("models"), method, **asked)
print(peak() - idle)
"""


def peak_above_idle(folder: Path, method: Method, models: Sequence[str], **options: object) -> int:
    """Bytes that a merge takes at most, in a process of its own, beyond the libraries."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD],
        input=json.dumps({"method": repr(method), "models": list(models), **options}),
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return int(done.stdout)


def some_models(folder: Path, count: int, tensors: int, shape: tuple[int, ...]) -> list[str]:
    """Files of float32 noise."""
    names = [f"{k}.safetensors" for k in range(count)]
    for k, name in enumerate(names):
        draw = np.random.default_rng(k)
        state = {
            f"layers.{i}.weight": draw.standard_normal(shape, np.float32) for i in range(tensors)
        }
        save_file(state, folder / name)
    return names


def extras(method: Method, models: Sequence[str]) -> dict[str, object]:
    """The base and the statistics that a method needs."""
    needs = method.needs
    base = {"base": models[0]} if needs.base else {}
    return base | ({"statistics": [models[0]] * len(models)} if needs.statistics else {})


@pytest.mark.parametrize(
    "method",
    # thresholds of many models; every row of a block at once; a Gram matrix in float64
    [Ties(), Median(), ModelStock()],
    ids=repr,
)
def test_many_models_keep_within_the_budget(tmp_path: Path, method: Method) -> None:
    """Each takes part eight times: 64 models."""
    models = some_models(tmp_path, 8, 2, (512, 512)) * 8
    more = extras(method, models)
    taken = peak_above_idle(tmp_path, method, models, memory="32MiB", workers=2, **more)
    assert taken <= 32 * MIB + BEYOND


def test_many_tensors_keep_within_the_budget(tmp_path: Path) -> None:
    """A tensor costs about a kilobyte, whatever is done with it."""
    models = some_models(tmp_path, 2, 20_000, (4,))
    taken = peak_above_idle(tmp_path, Average(), models, memory="4MiB", workers=1)
    assert taken <= 4 * MIB + BEYOND


def test_a_tensor_larger_than_the_budget_keeps_within_it(tmp_path: Path) -> None:
    models = some_models(tmp_path, 2, 1, (6 * 2**20,))
    taken = peak_above_idle(tmp_path, Ties(), models, memory="8MiB", workers=2, base=models[0])
    assert taken <= 8 * MIB + BEYOND


@pytest.mark.parametrize("models", [1000, 2000])
def test_more_models_than_the_memory_holds_are_refused(models: int) -> None:
    """No block is smaller than a segment, of which every model has one in memory."""
    opened = [names_only(str(k), {"w": ((2**20,), torch.float32)}) for k in range(models)]
    with pytest.raises(MergeError) as caught:
        make_plan(resolved(Median(), opened), memory=64 * MIB, workers=2)
    text = str(caught.value)
    assert f"merging {models:,} models of 1 tensor needs" in text
    assert "has 64 MiB: raise --memory, or merge fewer models at once" in text
    needed = int(text.split("needs ")[1].split(" MiB", maxsplit=1)[0].replace(",", ""))
    plan = make_plan(resolved(Median(), opened), memory=needed * MIB, workers=2)
    assert plan.peak_memory <= needed * MIB + SLACK


def test_more_tensors_than_the_memory_holds_are_refused() -> None:
    specs = {f"layers.{i}.weight": ((4,), torch.float32) for i in range(20_000)}
    opened = [names_only(str(k), specs) for k in range(12)]
    with pytest.raises(MergeError, match="merging 12 models of 20,000 tensors needs"):
        make_plan(resolved(Average(), opened), memory=4 * MIB, workers=1)


@pytest.mark.full
@pytest.mark.parametrize("memory", [64, 256])
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("count", [2, 16, 64, 128])
@pytest.mark.parametrize("cls", METHODS)
def test_every_method_keeps_within_the_budget(
    tmp_path: Path, cls: type[Method], count: int, workers: int, memory: int
) -> None:
    method = example(cls)
    most = method.needs.models[1]
    if most is not None and count > most:
        count = most
    models = (some_models(tmp_path, min(count, 8), 4, (512, 512)) * 16)[:count]
    more = extras(method, models)
    taken = peak_above_idle(
        tmp_path, method, models, memory=f"{memory}MiB", workers=workers, **more
    )
    assert taken <= memory * MIB + BEYOND


@pytest.mark.full
@pytest.mark.parametrize(
    ("method", "memory"), [(Average(), 80), (Fisher(), 128), (Ties(), 128), (ModelStock(), 128)]
)
def test_a_hundred_thousand_tensors_keep_within_the_budget(
    tmp_path: Path, method: Method, memory: int
) -> None:
    models = some_models(tmp_path, 2, 100_000, (4,))
    more = extras(method, models)
    taken = peak_above_idle(tmp_path, method, models, memory=f"{memory}MiB", **more)
    assert taken <= memory * MIB + BEYOND
