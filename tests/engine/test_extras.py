"""Extras: sized, laid beside the merged tensors, told in merge.json, verified, resumed."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import stockpot as sp
from stockpot.asides import Count, Extra, Largest, Series, Where
from stockpot.checkpoints.entry import from_state_dict
from stockpot.checkpoints.read import read_checkpoint
from stockpot.checkpoints.writing.extras import read_extras
from stockpot.core import Method, Needs, Settled, Stack
from stockpot.engine.options import Options
from stockpot.engine.pieces import Piece
from stockpot.engine.prepare import prepare
from stockpot.engine.tasks.asides import Asides, ExtrasOut, join_notes, report_of
from stockpot.engine.verify import verify
from stockpot.errors import MergeError, NonFiniteError, OutputError
from stockpot.methods import Average, CartFactors
from stockpot.recipes.reading.recipe import parse_recipe
from stockpot.testing.cases import State, smooth
from stockpot.values.fields import check_fields

from ..contract.giving import Masked
from .making import resolved

SHAPES = [(60, 70), (33,), (150, 140), ()]
FACTORS = CartFactors(rank=0.2, tensors="matrices")


@pytest.fixture
def paths(tmp_path: Path) -> list[Path]:
    """Three models, and the base last."""
    base, models = smooth(SHAPES, 3, 0)
    for k, state in enumerate([*models, base]):
        save_file(state, tmp_path / f"{k}.safetensors")
    return [tmp_path / f"{k}.safetensors" for k in range(4)]


def merge(out: Path, paths: Sequence[Path], method: Method, **more: Any) -> dict[str, Any]:
    """Merge to files, and read what merge.json says."""
    base = {"base": paths[3]} if method.needs.base else {}
    sp.merge_to(out, paths[:3], method, device="cpu", **base, **more)
    return json.loads((out / "merge.json").read_text())


def test_extras_lie_in_files_of_their_own_and_the_manifest_tells_them(
    paths: list[Path], tmp_path: Path
) -> None:
    told = merge(tmp_path / "out", paths, Masked(), digest="sha256")
    files = [file["name"] for file in told["output"]["extras"]]
    assert files == [
        "extras/models.safetensors",
        *(f"extras/model-{k}.safetensors" for k in range(3)),
    ]
    assert all(len(file["sha256"]) == 64 for file in told["output"]["extras"])
    size = sum(f["bytes"] for f in (*told["output"]["extras"], *told["output"]["files"]))
    assert told["output"]["bytes"] == size
    base, first = load_file(paths[3]), load_file(paths[0])
    deltas = [load_file(path)["layers.0.weight"] - base["layers.0.weight"] for path in paths[:3]]
    mask = load_file(tmp_path / "out" / files[1])["layers.0.weight.mask.0"]
    assert torch.equal(mask, deltas[0] * sum(deltas) > 0)
    votes = load_file(tmp_path / "out" / files[0])["layers.0.weight.votes"]
    assert votes.dtype == torch.int8
    assert set(told["extras"]) == {
        *(f"{n}.{x}.{k}" for n in first for x in ("mask", "scale") for k in range(3)),
        *(f"{n}.votes" for n in first),
    }
    about = told["extras"]["layers.0.weight.mask.0"]
    assert (about["of"], about["name"], about["model"]) == ("layers.0.weight", "mask", 0)


def test_the_merged_model_is_read_as_if_there_were_none(paths: list[Path], tmp_path: Path) -> None:
    merge(tmp_path / "out", paths, FACTORS)
    merged = read_checkpoint(tmp_path / "out")
    assert list(merged.entries) == list(load_file(paths[0]))
    assert merged.notes == ()
    extras = read_extras(tmp_path / "out")
    assert extras is not None
    assert len(extras.entries) == 2 * 2 * 3
    assert read_extras(paths[0]) is None
    merge(tmp_path / "plain", paths, Average())
    assert read_extras(tmp_path / "plain") is None
    again = [tmp_path / "out", *paths[1:3]]
    assert sp.merge(again, Average()).keys() == merged.entries.keys()


def test_a_method_without_any_leaves_merge_json_as_it_was(
    paths: list[Path], tmp_path: Path
) -> None:
    told = merge(tmp_path / "out", paths, Average())
    assert "extras" not in told
    assert "extras" not in told["output"]


@pytest.mark.parametrize("method", [FACTORS, Masked()], ids=repr)
def test_verify_knows_them(paths: list[Path], tmp_path: Path, method: Method) -> None:
    merge(tmp_path / "out", paths, method)
    assert verify(tmp_path / "out").ok
    file = tmp_path / "out" / "extras" / "model-1.safetensors"
    good = file.read_bytes()
    file.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    (problem,) = verify(tmp_path / "out").problems
    assert ".1' is not what was written: its digest differs." in problem
    file.write_bytes(good[:-1])
    (problem,) = verify(tmp_path / "out").problems
    assert problem.startswith("extras/model-1.safetensors was changed")
    file.unlink()
    assert verify(tmp_path / "out").problems == ("extras/model-1.safetensors is missing.",)
    file.write_bytes(good)
    (file.parent / "model-9.safetensors").write_bytes(good)
    (problem,) = verify(tmp_path / "out").problems
    assert "'extras/model-9.safetensors' was added" in problem


def test_a_repeated_merge_compares_them(paths: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    merge(out, paths, FACTORS, digest="none")
    assert verify(out, recompute=True).ok
    file = out / "extras" / "model-2.safetensors"
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    found = verify(out, recompute=True).problems
    assert any("differs from the repeated merge" in problem for problem in found), found


def test_a_file_has_no_place_for_them(paths: list[Path], tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cart-factors gives more .* name a directory as --out"):
        merge(tmp_path / "out.safetensors", paths, FACTORS)
    assert not list(tmp_path.glob("out*"))


def test_a_tensor_of_an_extra_s_name_is_refused(paths: list[Path], tmp_path: Path) -> None:
    for path in paths:
        save_file(load_file(path) | {"layers.0.weight.left.0": torch.zeros(3)}, path)
    with pytest.raises(MergeError, match=r"'layers.0.weight.left.0' is a tensor of the models"):
        merge(tmp_path / "out", paths, FACTORS)


def test_an_output_with_extras_is_replaced_as_a_whole(paths: list[Path], tmp_path: Path) -> None:
    out = tmp_path / "out"
    merge(out, paths, FACTORS)
    told = merge(out, paths, Average(), overwrite=True)
    assert "extras" not in told
    assert not (out / "extras").exists()


def test_the_plan_sizes_them(paths: list[Path], tmp_path: Path) -> None:
    recipe = parse_recipe({"method": FACTORS, "models": [str(path) for path in paths[:3]]})
    prepared = prepare(recipe, Options(), tmp_path / "out")
    plain = prepare(replace(recipe, method=Average()), Options(), tmp_path / "other")
    beside = 4 * 3 * (12 * (60 + 70) + 28 * (150 + 140))
    assert prepared.plan.bytes_written - plain.plan.bytes_written == beside
    assert prepared.size == sum(shard.size for shard in (*prepared.shards, *prepared.extras))
    sp.merge_to(tmp_path / "out", paths[:3], FACTORS, device="cpu")
    files = [*(tmp_path / "out").glob("*.safetensors"), *(tmp_path / "out/extras").iterdir()]
    assert sum(file.stat().st_size for file in files) == prepared.size


@pytest.mark.parametrize("method", [FACTORS, Masked()], ids=repr)
def test_an_interrupted_merge_goes_on_to_the_same_bytes(
    paths: list[Path], tmp_path: Path, method: Method, tree: Callable[[Path], dict[str, bytes]]
) -> None:
    merge(tmp_path / "whole" / "out", paths, method)
    for moments in range(1, 4):
        left = [moments]

        def interrupt(_what: str, _share: float, left: list[int] = left) -> None:
            left[0] -= 1
            if not left[0]:
                raise KeyboardInterrupt

        out = tmp_path / str(moments) / "out"
        with pytest.raises(KeyboardInterrupt):
            merge(out, paths, method, progress=interrupt, workers=1)
        merge(out, paths, method, resume=True)
        assert tree(out) == tree(tmp_path / "whole" / "out")


def test_an_extra_that_was_changed_meanwhile_is_made_again(
    paths: list[Path], tmp_path: Path, tree: Callable[[Path], dict[str, bytes]]
) -> None:
    merge(tmp_path / "whole" / "out", paths, FACTORS)

    def interrupt(_: str, share: float) -> None:
        if share == 1:
            raise KeyboardInterrupt

    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        merge(out, paths, FACTORS, progress=interrupt)
    file = tmp_path / "out.partial" / "out" / "extras" / "model-0.safetensors"
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    done = sp.merge_to(out, paths[:3], FACTORS, device="cpu", resume=True)
    assert done.resumed == done.tensors - 1
    assert tree(out) == tree(tmp_path / "whole" / "out")


def test_kills_resume_to_the_same_bytes(
    family: Path, driver: Any, tree: Callable[[Path], dict[str, bytes]], tmp_path: Path
) -> None:
    recipe = {
        "method": {"name": "cart-factors", "rank": 0.1},
        "models": [str(family / name) for name in "abc"],
    }
    small = {"memory": "64MiB", "workers": 2}
    report = driver.run(recipe, tmp_path / "whole" / "out", options=small)
    assert report["status"] == 0, report
    expected = tree(tmp_path / "whole" / "out")
    assert "extras/model-2.safetensors" in expected
    for at in np.linspace(2, report["operations"], 8).astype(int):
        out = tmp_path / str(at) / "out"
        driver.killed(recipe, out, int(at), options=small)
        done = driver.run(recipe, out, options=small | {"resume": True})
        assert done["status"] == 0, done
        assert tree(out) == expected, at


@dataclass(frozen=True, slots=True)
class Careless(Method):
    """Declares one extra, and gives what it is told to."""

    gives: str = "nothing"

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def needs(self) -> Needs:
        return Needs()

    def extras(self, shape: tuple[int, ...], models: int) -> Sequence[Extra]:
        return [Extra("mask", shape, torch.float32, of="models")]

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        match self.gives:
            case "another":
                stack.give("other", stack.models[0])
            case "of a model":
                stack.give("mask", stack.models[0], 0)
            case "shape":
                stack.give("mask", stack.models[0][:-1])
            case "dtype":
                stack.give("mask", stack.models[0].double())
            case "nan":
                stack.give("mask", stack.models[0] * float("nan"))
        return stack.models[0].clone()


@pytest.mark.parametrize(
    ("gives", "error", "words"),
    [
        ("nothing", MergeError, "careless declares 'w.mask' and does not give all of it"),
        ("another", MergeError, "careless gives other of all models undeclared"),
        ("of a model", MergeError, "careless gives mask of model 0 undeclared"),
        ("shape", MergeError, r"gives mask of 'w' as \(6,\) .*, and declares \(7,\)"),
        ("dtype", MergeError, r"as \(7,\) torch.float64, and declares \(7,\) torch.float32"),
        ("nan", NonFiniteError, "careless gives NaN or infinity in 'w.mask'"),
    ],
)
def test_what_is_not_as_declared_is_refused(gives: str, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        sp.merge([{"w": torch.ones(7)}], Careless(gives))


def asides(numels: Sequence[int]) -> Asides:
    """Of tensors of so many elements, end to end."""
    state: State = {f"w{i}": torch.ones(numel) for i, numel in enumerate(numels)}
    tensors = resolved(Average(), [from_state_dict(state, "a")]).tensors
    pieces = [Piece(a, 0, a.shape[0]) for a in tensors]

    class Nowhere:
        def write(self, name: str, offset: int, data: memoryview) -> None:
            raise AssertionError

    return Asides(pieces, ExtrasOut(Nowhere(), check=True, hashed=False))


def test_counts_of_blocks_that_span_pieces() -> None:
    found = asides([3, 0, 4, 2])
    where = torch.tensor([1, 0, 1, 1, 1, 0, 0, 1, 1], dtype=torch.bool)
    for start, stop in ((0, 4), (4, 5), (5, 9)):
        found.block(start, stop).tell("kept", Where(where[start:stop]))
    found.block(0, 9).tell("all", Where(torch.ones(3, 3)))
    assert [report_of(notes) for notes in found.notes] == [
        {"kept": 2, "all": 3, "total": 3},
        {"kept": 0, "all": 0, "total": 0},
        {"kept": 2, "all": 4, "total": 4},
        {"kept": 2, "all": 2, "total": 2},
    ]
    with pytest.raises(TypeError, match="tell a Where"):
        found.block(0, 9).tell("rank", Largest(1.0))


def test_what_is_told_joins_in_any_order() -> None:
    parts = [
        {"n": Count(k, 10), "worst": Largest(value), "ranks": Series.of(10 * k, k, -k)}
        for k, value in enumerate((0.5, float("nan"), 2.0))
    ]
    found = set()
    for order in ((0, 1, 2), (2, 0, 1), (1, 2, 0)):
        first, second, third = (parts[i] for i in order)
        both = join_notes(join_notes(first, second), third)
        assert join_notes(first, join_notes(second, third)).keys() == both.keys()
        found.add(json.dumps(report_of(both), sort_keys=True))
    assert found == {'{"n": 3, "ranks": [0, 0, 1, -1, 2, -2], "total": 30, "worst": NaN}'}


def test_tell_and_give_without_a_taker_do_nothing() -> None:
    stack = Stack(models=[torch.ones(3)], weights=(1.0,))
    assert torch.equal(Careless("another")(replace(stack, aside=None), None), torch.ones(3))
