"""Tasks, targets and sources go to other processes and back, and the bytes are the same."""

import importlib
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from stockpot.checkpoints.entry import Checkpoint, TensorEntry, from_state_dict
from stockpot.checkpoints.formats.boxes import Box, BoxedSource
from stockpot.checkpoints.formats.layout import OutputTensor, single_file
from stockpot.checkpoints.read import read_checkpoint
from stockpot.checkpoints.writing.writer import Output
from stockpot.core import Method
from stockpot.engine.driver import Run
from stockpot.engine.merge import run_recipe
from stockpot.engine.options import Options
from stockpot.engine.plan import make_plan
from stockpot.engine.sinks import CompareSink, MemorySink
from stockpot.errors import NonFiniteError, OutputError
from stockpot.methods import CartFactors, Consensus, ModelStock, Ties
from stockpot.recipes.reading.recipe import parse_recipe
from stockpot.testing.cases import bits
from stockpot.views.sources.computed import masked, weight_norm

from ..contract.giving import Masked
from .conftest import state
from .making import MIB, resolved

Make = Callable[..., dict[str, Any]]
Tree = Callable[[Path], dict[str, bytes]]


@pytest.fixture(scope="module")
def processes() -> Iterator[Any]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(Path(__file__).parent))  # where the processes find it, too
        made = importlib.import_module("processes").Processes
        with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
            yield made(pool)


@pytest.mark.parametrize(
    "method",
    [
        "average",
        "ties",
        {"name": "ties", "trim": "tensor"},
        "slerp",
        "consensus",
        {"name": "dare", "rescale": "norm"},
        "tsv-m",
    ],
    ids=str,
)
@pytest.mark.parametrize("memory", ["8MiB", "64MiB"])
def test_processes_write_the_bytes_and_the_manifest_of_threads(
    method: Any, memory: str, processes: Any, recipe: Make, tree: Tree, tmp_path: Path
) -> None:
    plain = recipe(method)
    if method == "slerp":
        plain["models"] = plain["models"][:2]
        del plain["base"]
    before = processes.tasks
    options = {"memory": memory, "workers": 2}
    for name, more in (("threads", {}), ("processes", {"executor": processes})):
        (tmp_path / name).mkdir()
        run_recipe(parse_recipe(plain), tmp_path / name / "out", Options(**options, **more))
    assert processes.tasks > before
    assert tree(tmp_path / "processes" / "out") == tree(tmp_path / "threads" / "out")


@pytest.mark.parametrize(
    "method", [Ties(), ModelStock(), Consensus(), Masked(), CartFactors(rank=0.1)], ids=repr
)
def test_of_a_merge_in_memory_the_bytes_come_back(processes: Any, method: Method) -> None:
    base, *models = (from_state_dict(state(k), str(k)) for k in range(3))
    assignments = resolved(method, models, base)
    plan = make_plan(assignments, memory=(64 if method.needs.whole else 4) * MIB, workers=2)
    here, there = MemorySink(assignments.tensors), MemorySink(assignments.tensors)
    runs = [Run(plan, here), Run(plan, there, executor=processes)]
    for run in runs:
        run.execute()
    assert bits(here.state) == bits(there.state)
    assert bits(here.extras) == bits(there.extras)
    assert bool(here.extras) == isinstance(method, Masked | CartFactors)
    assert dict(runs[0].records) == dict(runs[1].records)
    assert runs[0].reports == runs[1].reports


def test_a_comparison_tells_what_is_different(processes: Any, tmp_path: Path) -> None:
    models = [from_state_dict(state(k), str(k)) for k in range(2)]
    assignments = resolved(Consensus(), models[1:], models[0])
    plan = make_plan(assignments, memory=4 * MIB, workers=2)
    merged = MemorySink(assignments.tensors)
    Run(plan, merged).execute()
    merged.state["layers.2.q.weight"].view(-1)[77] += 1
    save_file(merged.state, tmp_path / "a.safetensors")
    sink = CompareSink(read_checkpoint(tmp_path / "a.safetensors"))
    Run(plan, sink, executor=processes).execute()
    assert sink.different == {"layers.2.q.weight"}


def test_an_error_in_a_process_is_the_error(processes: Any) -> None:
    broken = state(1)
    broken["layers.3.q.weight"][5, 5] = torch.nan
    models = [from_state_dict(broken, "broken"), from_state_dict(state(2), "whole")]
    assignments = resolved(Ties(), models, from_state_dict(state(0), "base"))
    plan = make_plan(assignments, memory=4 * MIB, workers=2)
    with pytest.raises(NonFiniteError, match=r"'layers\.3\.q\.weight' in broken holds NaN"):
        Run(plan, MemorySink(assignments.tensors), executor=processes).execute()


def every_source(folder: Path) -> Iterator[Checkpoint]:
    """A checkpoint of each kind of source: memory, files, strides, boxes, what is computed."""
    memory = from_state_dict(state(0), "memory")
    yield memory
    rows, columns = memory.entries["layers.6.up.weight"], memory.entries["layers.0.q.weight"]
    size = from_state_dict({"g": torch.rand(64, 1)}, "size").entries["g"]
    boxes = [Box((0, 0), (64, 64), columns.source, 0), Box((64, 0), (2, 64), rows.source, 0)]
    boxed = TensorEntry("b", rows.dtype, (66, 64), BoxedSource(boxes, 4, (66, 64)), 0)
    computed = [weight_norm(size, columns), masked(replace(rows, name="m"), rows), boxed]
    yield Checkpoint("computed", {entry.name: entry for entry in computed})
    save_file(state(0), folder / "a.safetensors")
    yield read_checkpoint(folder / "a.safetensors")
    turned = {"w": torch.randn(40, 30).T, "wide": torch.randn(3).expand(5, 3)}
    torch.save(turned, folder / "turned.pt")
    yield read_checkpoint(folder / "turned.pt")


def test_every_source_pickles(tmp_path: Path) -> None:
    for checkpoint in every_source(tmp_path):
        again = pickle.loads(pickle.dumps(checkpoint))
        assert again.entries.keys() == checkpoint.entries.keys()
        for name, entry in checkpoint.entries.items():
            assert torch.equal(again.entries[name].load(), entry.load()), name


def test_a_target_that_was_pickled_writes_to_the_same_file_or_is_refused(tmp_path: Path) -> None:
    shards = single_file([OutputTensor("w", torch.uint8, (8,))], "out.safetensors", {})
    with Output(tmp_path / "out.safetensors", shards, "") as output:
        text = pickle.dumps(output.target)
        pickle.loads(text).write("w", 2, memoryview(b"abc"))
        found = bytearray(8)
        output.read("w", 0, memoryview(found))
        assert bytes(found) == b"\0\0abc\0\0\0"
        (file,) = (tmp_path / "out.safetensors.partial").rglob("out.safetensors")
        (tmp_path / "other").write_bytes(file.read_bytes())
        (tmp_path / "other").replace(file)
        with pytest.raises(OutputError, match="was replaced"):
            pickle.loads(text)
