"""Query, key and value that are stored one by one, decomposed as one matrix."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import stockpot as sp
from stockpot.checkpoints.source import FileSource
from stockpot.core import Described, Method, Needs, Selection, Settled, Stack, Statistic
from stockpot.engine.merge import run_recipe
from stockpot.engine.options import Options
from stockpot.engine.prepare import prepare
from stockpot.engine.verify import verify
from stockpot.errors import MergeError, NonFiniteError
from stockpot.factors import factor_to
from stockpot.methods import Average, Cart, IsoC, IsoCts, TsvM
from stockpot.recipes.reading.recipe import parse_recipe

JOINED = "layer.0.attn.in_proj_weight"


def made(count: int, rows: int = 120) -> list[dict[str, Tensor]]:
    torch.manual_seed(0)
    return [
        {JOINED: torch.randn(rows, rows // 3), "norm.weight": torch.randn(5)} for _ in range(count)
    ]


def in_three(
    models: list[dict[str, Tensor]], called: tuple[str, str, str]
) -> list[dict[str, Tensor]]:
    """The same weights, query, key and value stored one by one."""
    return [
        {"norm.weight": m["norm.weight"]}
        | {
            f"layer.0.attn.{one}.weight": part.clone()
            for one, part in zip(called, m[JOINED].chunk(3), strict=True)
        }
        for m in models
    ]


@pytest.mark.parametrize(
    "method",
    [
        Cart(rank=0.5, qkv="fused"),
        TsvM(qkv="fused"),
        IsoC(qkv="fused"),
        IsoCts(qkv="fused"),
        Cart(rank=0.5, around="base", qkv="fused"),
    ],
)
@pytest.mark.parametrize("called", [("q_proj", "k_proj", "v_proj"), ("query", "key", "value")])
def test_three_projections_are_fused_to_one_matrix(
    method: Method, called: tuple[str, str, str], tmp_path: Path
) -> None:
    models = made(4)
    paths: list[Path] = []
    for number, state in enumerate(in_three(models, called)):
        paths.append(tmp_path / f"{number}.safetensors")
        save_file(state, paths[-1])
    base = paths[0] if method.needs.base else None
    out = tmp_path / "out.safetensors"
    sp.merge_to(out, paths[1:], method, base=base)
    stored = replace(method, qkv="stored")
    whole = sp.merge(models[1:], stored, base=models[0] if base else None)
    merged = load_file(out)
    assert torch.equal(merged["norm.weight"], whole["norm.weight"])
    for one, part in zip(called, whole[JOINED].chunk(3), strict=True):
        assert torch.equal(merged[f"layer.0.attn.{one}.weight"], part)
    start, *tuned = in_three(models, called)
    apart = sp.merge(tuned, stored, base=start if base else None)
    first = f"layer.0.attn.{called[0]}.weight"
    assert not torch.equal(apart[first], merged[first])
    assert verify(out, recompute=True).problems == ()


def test_a_fused_matrix_beyond_the_memory_is_read_in_sweeps_to_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths: list[str] = []
    for number, state in enumerate(in_three(made(8, 600), ("q", "k", "v"))):
        paths.append(str(tmp_path / f"{number}.safetensors"))
        save_file(state, paths[-1])
    method = {"name": "cart", "rank": 0.1, "qkv": "fused"}
    recipe = parse_recipe({"method": method, "models": paths})
    plain, read = FileSource.read_into, list[int]()

    def counted(self: FileSource, buffer: memoryview, offset: int) -> None:
        read.append(len(buffer))
        plain(self, buffer, offset)

    monkeypatch.setattr(FileSource, "read_into", counted)
    outputs: list[bytes] = []
    for memory, sweeps in (("2GiB", 0), ("6MiB", 2)):
        out, options = tmp_path / f"{memory}.safetensors", Options(memory=memory, workers=1)
        plan = prepare(recipe, options, out).plan
        pieces = [p for task in plan.tasks for p in task.pieces if p.assignment.joined]
        assert {piece.sweeps for piece in pieces} == {sweeps}
        read.clear()
        run_recipe(recipe, out, options)
        of_headers = sum(read) - plan.bytes_read
        assert 0 <= of_headers < 1024 * len(paths)
        outputs.append(out.read_bytes())
    assert outputs[0] == outputs[1]


def test_what_is_not_finite_in_a_fused_matrix_is_named() -> None:
    models = in_three(made(3, 12), ("q", "k", "v"))
    models[1]["layer.0.attn.k.weight"][0, 0] = torch.nan
    with pytest.raises(NonFiniteError, match=r"'layer\.0\.attn\.k\.weight'"):
        sp.merge(models, Cart(qkv="fused"))


def test_factors_are_of_tensors_one_by_one(tmp_path: Path) -> None:
    with pytest.raises(MergeError, match="set qkv to"):
        factor_to(tmp_path / "f", ["a.safetensors", "b.safetensors"], Cart(qkv="fused"))


@dataclass(frozen=True, slots=True)
class GramOfFused(Method):
    """The first model's matrices; asks for a Gram matrix of what it sees as one."""

    @property
    def needs(self) -> Needs:
        return Needs(whole=True, statistics=(Statistic("gram", (-1, -1)),))

    def select(self, tensors: Sequence[Described], models: int) -> Selection:
        fused = Cart(qkv="fused").select(tensors, models)
        return replace(fused, rest=Average())

    def __call__(self, stack: Stack, settled: Settled | None) -> Tensor:
        return stack.models[0] + 0


def test_statistics_of_a_fused_matrix_are_refused(tmp_path: Path) -> None:
    models = in_three(made(2, 12), ("q", "k", "v"))
    grams = [{f"{n}.gram": torch.eye(4) for n in m if n != "norm.weight"} for m in models]
    words = r"gram-of-fused would merge 'layer\.0\.attn\.q\.weight', .* set qkv to 'stored'"
    with pytest.raises(MergeError, match=words):
        sp.merge(models, GramOfFused(), statistics=grams)


def test_a_tensor_that_is_missing_is_told_once() -> None:
    models = in_three(made(3, 12), ("q", "k", "v"))
    del models[1]["layer.0.attn.k.weight"]
    with pytest.raises(MergeError) as caught:
        sp.merge(models, Cart(qkv="fused"))
    assert str(caught.value).count("'layer.0.attn.k.weight' is missing from models[1]") == 1
