"""A base that is not the models' is told before a merge, in memory and on disk, at little cost."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import stockpot as sp
from stockpot.checkpoints.source import FileSource
from stockpot.engine.merge import merge_opened
from stockpot.methods import Average, Slerp, TaskArithmetic, Ties

State = dict[str, Tensor]


def random(seed: int, scale: float = 1.0) -> State:
    generator = torch.Generator().manual_seed(seed)
    return {f"{k}.weight": scale * torch.randn(40, 40, generator=generator) for k in range(5)}


def plus(*states: State) -> State:
    return {name: sum(one[name] for one in states) for name in states[0]}  # type: ignore[misc]


BASE, OTHER = random(0), random(9)
TUNED = [plus(BASE, random(seed, 0.02)) for seed in (1, 2)]
VERSION = plus(BASE, random(8, 0.6))


@pytest.mark.parametrize(
    ("base", "said"),
    [
        (OTHER, "the base base has nothing in common with models[0], models[1]: in 8,000 sampled"),
        (VERSION, "the base base may not be what they were trained from: in 8,000 sampled"),
        (BASE, ""),
    ],
)
@pytest.mark.parametrize("method", [Ties(), TaskArithmetic(), Average()])
def test_in_memory(base: State, said: str, method: Any, caplog: Any) -> None:
    with caplog.at_level(logging.WARNING, "stockpot"):
        sp.merge(TUNED, method, base=base)
    told = [one for one in caplog.messages if "sampled" in one]
    assert len(told) == bool(said)
    assert all(one.startswith(said) and one.endswith("Check the base.") for one in told)


def test_of_one_model_and_as_an_endpoint(caplog: Any) -> None:
    sp.merge(TUNED[:1], TaskArithmetic(), base=VERSION)
    sp.merge(TUNED[:1], Slerp(), base=BASE)
    assert not any("sampled" in one for one in caplog.messages)
    sp.merge(TUNED[:1], Slerp(), base=OTHER)  # its base is one of the two models
    (told,) = [one for one in caplog.messages if "sampled" in one]
    assert "in common with models[0]:" in told


def test_on_disk_it_stands_in_the_manifest_and_little_is_read(
    tmp_path: Path, monkeypatch: Any
) -> None:
    large = torch.randn(600, 600)
    for name, one in {"a": TUNED[0], "b": TUNED[1], "base": VERSION}.items():
        save_file(one | {"large.weight": large}, tmp_path / f"{name}.safetensors")
    read, inner = [0], FileSource.read_into

    def read_into(source: FileSource, buffer: memoryview, offset: int) -> None:
        read[0] += len(buffer)
        inner(source, buffer, offset)

    monkeypatch.setattr(FileSource, "read_into", read_into)
    paths = [tmp_path / f"{name}.safetensors" for name in ("a", "b")]
    base, out = tmp_path / "base.safetensors", tmp_path / "out.safetensors"
    merged = sp.merge_to(out, paths, Ties(trim="tensor"), base=base, workers=1)
    told = [one for one in merged.notes if "may not be what they were trained from" in one]
    assert len(told) == 1
    manifest = json.loads((tmp_path / "out.safetensors.merge.json").read_text())
    assert told[0].replace(f"{tmp_path}/", "") in manifest["notes"]
    assert read[0] - merged.bytes_read < 3 * (5 * 6400 + 4 * 4096) + 20_000


def test_many_merges_of_open_checkpoints_do_not_look(monkeypatch: Any) -> None:
    """A search merges the same checkpoints hundreds of times, and tells no notes."""
    from stockpot.checkpoints.entry import from_state_dict
    from stockpot.engine.options import Options
    from stockpot.recipes.reading.recipe import parse_recipe
    from stockpot.recipes.resolving import notes

    def looked(*_: object) -> None:
        raise AssertionError("a sample was read")

    monkeypatch.setattr(notes, "lineage_of", looked)
    recipe = parse_recipe({"method": "ties", "models": ["a", "b"], "base": "base"})
    models = [from_state_dict(one, name) for one, name in zip(TUNED, "ab", strict=True)]
    merge_opened(recipe, models, from_state_dict(OTHER, "base"), Options())
