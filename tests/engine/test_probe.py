"""A prediction of the time runs a little of the merge into nowhere."""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from stockpot.checkpoints.source import FileSource
from stockpot.engine.options import Options
from stockpot.engine.prepare import prepare
from stockpot.engine.probe import predict_seconds
from stockpot.recipes.reading.recipe import parse_recipe

Make = Callable[..., dict[str, Any]]
METHODS = [
    "average",
    "ties",
    {"name": "ties", "trim": "tensor"},
    "model-stock",
    {"name": "dare", "rescale": "norm"},
    "median",
]


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("memory", ["1MiB", "2GiB"])
@pytest.mark.parametrize("digest", ["blake3", "none"])
def test_a_prediction_is_a_positive_number_and_writes_nothing(
    method: object, memory: str, digest: Any, recipe: Make, tmp_path: Path
) -> None:
    out = tmp_path / "deep" / "out"
    options = Options(memory=memory, digest=digest)
    seconds = predict_seconds(prepare(parse_recipe(recipe(method)), options, out), out)
    assert math.isfinite(seconds)
    assert seconds > 0
    assert list(tmp_path.iterdir()) == []


def test_a_large_merge_is_sampled(tmp_path: Path, monkeypatch: Any) -> None:
    for name in "ab":
        tensors = {f"w{i}": torch.zeros(2**21) for i in range(12)}
        save_file(tensors, tmp_path / f"{name}.safetensors")
    plain = {"method": "average", "models": [str(tmp_path / f"{n}.safetensors") for n in "ab"]}
    prepared = prepare(parse_recipe(plain), Options(memory="32MiB"), tmp_path / "out")
    read = [0]
    inner = FileSource.read_into

    def read_into(source: FileSource, buffer: memoryview, offset: int) -> None:
        read[0] += len(buffer)
        inner(source, buffer, offset)

    monkeypatch.setattr(FileSource, "read_into", read_into)
    assert predict_seconds(prepared, tmp_path / "out") > 0
    assert 0 < read[0] < prepared.plan.bytes_read / 2


def test_a_read_only_place_is_no_reason_to_fail(
    recipe: Make, tmp_path: Path, monkeypatch: Any
) -> None:
    import os

    opened = os.open

    def refuse(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(30, "Read-only file system")
        return opened(path, flags, *rest, **more)

    monkeypatch.setattr(os, "open", refuse)
    prepared = prepare(parse_recipe(recipe()), Options(), tmp_path / "out")
    assert predict_seconds(prepared, tmp_path / "out") > 0
