"""Whole matrices that do not fit all at once: read row by row, planned, counted, hashed once."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import stockpot as sp
from stockpot.checkpoints.source import MemorySource
from stockpot.core import Method
from stockpot.engine import cutting, plan
from stockpot.errors import MergeError, NonFiniteError
from stockpot.methods import Cart, IsoC, IsoCts, TsvM, Weave
from stockpot.testing.cases import bits, smooth

from .making import MIB, Polar, names_only, resolved, run

WOVEN = Weave(TsvM(), {"scale": (0.5, 1.0)}, pool="largest")
METHODS = (Cart(), Cart(around="base"), TsvM(), IsoC(), IsoCts(), WOVEN, Polar(reach=2))
SHAPES = [(60, 70), (33,), (40, 20)]


@pytest.fixture
def streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    """No whole tensor is loaded at once."""
    monkeypatch.setattr(cutting, "is_loaded", lambda *_: False)


@pytest.mark.usefixtures("streamed")
@pytest.mark.parametrize("method", METHODS[:-1], ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_rows_are_read_as_often_as_is_planned(
    method: Method, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, models = smooth(SHAPES, 3, 0, dtype)
    counted = [0]
    read, elements = MemorySource.read_into, MemorySource.elements

    def counting(source: MemorySource, buffer: memoryview, offset: int) -> None:
        counted[0] += len(buffer)
        read(source, buffer, offset)

    def in_place(source: MemorySource, dtype: torch.dtype, offset: int, count: int) -> torch.Tensor:
        counted[0] += count * dtype.itemsize
        return elements(source, dtype, offset, count)

    monkeypatch.setattr(MemorySource, "read_into", counting)
    monkeypatch.setattr(MemorySource, "elements", in_place)
    ran = run(method, models, base if method.needs.base else None, digests=True)
    assert ran.run.bytes_read == ran.plan.bytes_read == counted[0]
    sweeps = {p.sweeps for t in ran.plan.tasks for p in t.pieces if p.assignment.method == method}
    assert sweeps == {method.costs.sweeps}


@pytest.mark.parametrize("method", METHODS, ids=repr)
def test_digests_and_bits_are_those_of_rows_loaded_at_once(
    method: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, models = smooth([(60, 70), (150, 140)], 3, 0)
    given = base if method.needs.base else None
    loaded = run(method, models, given, digests=True)
    monkeypatch.setattr(cutting, "is_loaded", lambda *_: False)
    streamed = run(method, models, given, digests=True)
    assert bits(loaded.state) == bits(streamed.state)
    assert loaded.run.records == streamed.run.records
    assert all(record.digest and all(record.inputs) for record in streamed.run.records.values())


@pytest.mark.usefixtures("streamed")
def test_a_row_that_no_sweep_asks_for_is_hashed_all_the_same() -> None:
    _, models = smooth([(20, 20)], 3, 0)
    ran = run(Cart(), models, weights=[1.0, 0.0, 1.0], digests=True)
    (record,) = ran.run.records.values()
    assert len(set(record.inputs)) == 3
    assert None not in record.inputs


@pytest.mark.usefixtures("streamed")
def test_a_row_that_is_not_finite_is_named() -> None:
    base, models = smooth([(20, 20)], 3, 0)
    (name,) = base
    models[1][name][3, 3] = float("nan")
    with pytest.raises(NonFiniteError, match=f"'{name}' in b holds NaN"):
        run(Cart(), models)
    base[name][0, 0] = float("inf")
    with pytest.raises(NonFiniteError, match=f"'{name}' in base holds NaN"):
        run(IsoC(), [models[0], models[2]], base)


def test_less_memory_means_fewer_workers_then_sweeps_then_a_refusal() -> None:
    specs = {"big": ((2048, 1024), torch.float32), "small": ((64, 64), torch.float32)}
    models = [names_only(label, specs) for label in map(str, range(8))]
    assignments = resolved(Cart(), models)

    def made(memory: int, workers: int = 2) -> plan.Plan:
        return plan.make_plan(assignments, memory=memory * MIB, workers=workers)

    def sweeps(of: plan.Plan) -> dict[str, int]:
        return {p.assignment.name: p.sweeps for t in of.tasks for p in t.pieces}

    roomy, tight, tighter = made(2048), made(250), made(130)
    assert (roomy.workers, sweeps(roomy)) == (2, {"big": 0, "small": 0})
    assert (tight.workers, sweeps(tight)) == (2, {"big": 2, "small": 0})
    assert (tighter.workers, sweeps(tighter)) == (1, {"big": 2, "small": 0})
    big = 8 * 4 * 2048 * 1024
    assert tight.bytes_read == roomy.bytes_read + big
    for of, memory in ((roomy, 2048), (tight, 250), (tighter, 130)):
        assert of.peak_memory <= memory * MIB
    with pytest.raises(MergeError, match=r"cart works on whole matrices: 'big' .* --memory"):
        made(60)


def test_what_a_method_tells_of_a_tensor_is_recorded(tmp_path: Path) -> None:
    _, models = smooth([(30, 20), (3, 8), (9,)], 3, 0)
    paths = [tmp_path / f"{k}.safetensors" for k in range(3)]
    for path, state in zip(paths, models, strict=True):
        save_file(state, path)
    out = tmp_path / "out.safetensors"
    sp.merge_to(out, paths, Cart(rank_count=4), workers=1)
    manifest = json.loads((tmp_path / "out.safetensors.merge.json").read_text())
    told = manifest["tensors"]["layers.0.weight"]["settled"]
    assert told["rank"] == [4, 4, 4]
    assert all(0 < share < 1 for share in told["energy"])
    assert 0 < told["error"] < 1e-5
    assert told["exact"] == 3
    assert "settled" not in manifest["tensors"]["layers.2.weight"]
    other = manifest["tensors"]["layers.1.weight"]["settled"]
    assert other["rank"] == [3, 3, 3]
    (both,) = manifest["settled"]  # in the order of the tensors, whatever was finished first
    assert both["rank"] == told["rank"] + other["rank"]
    assert both["energy"] == told["energy"] + other["energy"]
    assert both["error"] == max(told["error"], other["error"])
    assert (both["tensors"], both["exact"]) == (2, 6)
    (selected,) = manifest["selected"]
    assert selected["parameters"] == [624, 633]
    assert selected["share"] == pytest.approx(624 / 633)
    assert [manifest["methods"][i] for i in selected["rest"]] == ["Average()"]


MEMORY = """
import re, sys
from pathlib import Path
import stockpot as sp, torch
from stockpot.methods.catalogue import make_method
def peak():  # what getrusage tells may be of the process that has started this one
    return 1024 * int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
folder, name, memory = sys.argv[1], sys.argv[2], int(sys.argv[3])
method, imported = make_method(name, {}), peak()
paths = [f"{folder}/{n}.safetensors" for n in range(8)]
base = paths[0] if method.needs.base else None
sp.merge_to(f"{folder}/{name}", paths[1:], method, base=base, memory=memory, workers=2)
print(peak() - imported - memory)
"""


def test_memory_stays_within_the_budget(tmp_path: Path) -> None:
    """Seven models of one matrix of 16 MiB each: 112 MiB, more than the whole budget."""
    generator = torch.Generator().manual_seed(0)
    for k in range(8):
        matrix = torch.randn(4096, 1024, generator=generator)
        save_file({"w.weight": matrix}, tmp_path / f"{k}.safetensors")
    allowance = 64 * MIB  # what is promised: thread stacks, the allocator, code of first use
    for name, memory in (("cart", 160), ("tsv-m", 256), ("iso-c", 160), ("iso-cts", 256)):
        command = [sys.executable, "-c", MEMORY, str(tmp_path), name, str(memory * MIB)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert int(done.stdout) <= allowance, name
