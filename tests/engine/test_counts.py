"""What is counted and reported is the same for any memory and number of workers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import stockpot as sp
from stockpot.core import Method
from stockpot.methods import Consensus, Dare, ModelStock, Ties

TENSORS, NUMEL = 300, 1000
SHAPES = [("1MiB", 1), ("4MiB", 1), ("16MiB", 2), ("256MiB", 3)]
"""Packed tensors lie in one block, or across several whose borders cut them."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models and a base of 300 small tensors, of which packs are made, and one large one."""
    place = tmp_path_factory.mktemp("counts")
    draw = np.random.default_rng(0)
    names = [f"layers.{i}.bias" for i in range(TENSORS)]
    sizes = dict.fromkeys(names, NUMEL) | {"large.weight": 70_000}
    base = {name: draw.standard_normal(size, np.float32) for name, size in sizes.items()}
    for label in ("base", "a", "b", "c"):
        # tensors differ in how many elements agree, so that counts told of others would be seen
        moved = {
            name: row + (label != "base") * draw.standard_normal(row.size, np.float32) * (i % 7)
            for i, (name, row) in enumerate(base.items())
        }
        state = {name: torch.from_numpy(np.float32(row)) for name, row in moved.items()}
        save_file(state, place / f"{label}.safetensors")
    return place


def merged(folder: Path, method: Method, memory: str, workers: int) -> dict[str, object]:
    """What merge.json says."""
    out = folder / "out"
    models = [folder / f"{label}.safetensors" for label in "abc"]
    sp.merge_to(
        out,
        models,
        method,
        base=folder / "base.safetensors",
        memory=memory,
        workers=workers,
        overwrite=True,
    )
    return json.loads((out / "merge.json").read_text())


@pytest.mark.parametrize(
    "method",
    [Consensus(), Ties(), Ties(trim="tensor"), Dare(rescale="norm"), ModelStock()],
    ids=repr,
)
def test_reports_do_not_depend_on_memory_and_workers(folder: Path, method: Method) -> None:
    first, *others = [merged(folder, method, *shape) for shape in SHAPES]
    assert first["settled"] or any("settled" in told for told in first["tensors"].values())
    for other in others:
        assert other["settled"] == first["settled"]
        assert other["tensors"] == first["tensors"]


@pytest.mark.parametrize(("memory", "workers"), SHAPES)
def test_counts_of_packed_tensors_are_their_own(folder: Path, memory: str, workers: int) -> None:
    method = Consensus()
    told = merged(folder, method, memory, workers)["tensors"]
    states = [load_file(folder / f"{x}.safetensors") for x in ("base", "a", "b", "c")]
    base, *models = states
    for name, start in base.items():
        deltas = [model[name] - start for model in models]
        total = sum(deltas)
        masks = [delta.abs() >= method.ratio * (total - delta).abs() for delta in deltas]
        kept = (sum(mask.int() for mask in masks) >= method.agree) & (total != 0)
        assert told[name]["settled"] == {"kept": int(kept.sum()), "total": start.numel()}, name
