"""Methods that are defined for some tensors only: which ones, seen how, and who takes the rest."""

import logging
from typing import Any

import pytest
import torch

import stockpot as sp
from stockpot.errors import MergeError
from stockpot.methods import Average, Cart, IsoC, TaskArithmetic, TsvM
from stockpot.recipes.reading.recipe import parse_recipe
from stockpot.recipes.resolving.assignment import Assignments
from stockpot.recipes.resolving.resolve import resolve

from ..conftest import MakeCheckpoint

VIT = {
    "visual.conv1.weight": (6, 3, 4, 4),
    "visual.positional_embedding": (5, 6),
    "visual.blocks.0.attn.in_proj_weight": (18, 6),
    "visual.blocks.0.attn.in_proj_bias": (18,),
    "visual.blocks.0.attn.out_proj.weight": (6, 6),
    "visual.blocks.0.ln_1.weight": (6,),
    "visual.blocks.0.mlp.c_fc.weight": (24, 6),
    "visual.proj": (6, 4),
    "token_embedding.weight": (50, 6),
    "logit_scale": (),
}
ATTENTION_AND_MLP = {
    "visual.blocks.0.attn.in_proj_weight",
    "visual.blocks.0.attn.out_proj.weight",
    "visual.blocks.0.mlp.c_fc.weight",
}


def assigned(
    checkpoint: MakeCheckpoint, method: object, shapes: dict[str, tuple[int, ...]], **more: Any
) -> Assignments:
    specs = {name: (shape, torch.float32) for name, shape in shapes.items()}
    models = [checkpoint(label, specs) for label in "abc"]
    data = {"method": method, "models": list("abc"), "base": "base", **more}
    return resolve(parse_recipe(data), models, checkpoint("base", specs))


def views(of: Assignments) -> dict[str, tuple[int, ...]]:
    return {t.name: t.view for t in of.tensors if t.view is not None}


def test_cart_takes_what_its_paper_takes(checkpoint: MakeCheckpoint) -> None:
    of = assigned(checkpoint, Cart(), VIT)
    assert set(views(of)) == ATTENTION_AND_MLP
    assert {t.method for t in of.tensors if t.view is None} == {Average()}
    (selected,) = of.selected
    assert (selected.tensors, selected.of_tensors) == (3, 10)
    assert selected.parameters == 18 * 6 + 36 + 24 * 6
    assert "inside numbered blocks 'visual.blocks.N'" in str(selected)
    assert "Average()" in str(selected)
    named = assigned(checkpoint, Cart(tensors="matrices"), VIT)
    assert set(views(named)) == ATTENTION_AND_MLP | {"visual.proj"}


def test_cart_takes_all_matrices_where_there_are_no_blocks(checkpoint: MakeCheckpoint) -> None:
    of = assigned(checkpoint, Cart(), {"layer.0.weight": (4, 4), "layer.0.bias": (4,)})
    assert set(views(of)) == {"layer.0.weight"}


@pytest.mark.parametrize("method", [TsvM(scale=0.75), IsoC(scale=0.75)])
def test_others_take_matrices_by_role(checkpoint: MakeCheckpoint, method: Any) -> None:
    """Never embeddings; the rest gets the mean of three task vectors, scaled."""
    of = assigned(checkpoint, method, VIT)
    assert set(views(of)) == ATTENTION_AND_MLP | {"visual.proj"}
    rests = {t.method for t in of.tensors if t.view is None}
    assert rests == {TaskArithmetic(scale=0.25)}
    names = assigned(checkpoint, type(method)(tensors="attention-mlp"), VIT)
    assert set(views(names)) == ATTENTION_AND_MLP
    rules = {t.name: t.rule for t in of.tensors}
    assert "leaves this embedding to task-arithmetic" in rules["token_embedding.weight"]
    assert rules["visual.proj"] == "method"


def test_around_the_base_the_rest_is_task_arithmetic(checkpoint: MakeCheckpoint) -> None:
    of = assigned(checkpoint, Cart(around="base", scale=0.5), VIT)
    assert {t.method for t in of.tensors if t.view is None} == {TaskArithmetic(scale=0.5)}


def test_convolutions_experts_and_fused_projections_as_matrices(
    checkpoint: MakeCheckpoint,
) -> None:
    shapes = {
        "conv.weight": (6, 3, 4, 4),
        "moe.experts.w1": (4, 40, 64),
        "blocks.0.attn.qkv.weight": (18, 6),
        "gqa.attn.qkv.weight": (12, 6),
    }
    of = assigned(checkpoint, IsoC(conv="as-matrix", qkv="split"), shapes)
    assert views(of) == {
        "conv.weight": (6, 48),
        "moe.experts.w1": (4, 40, 64),
        "blocks.0.attn.qkv.weight": (3, 6, 6),
        "gqa.attn.qkv.weight": (12, 6),
    }
    assert "conv.weight" not in views(assigned(checkpoint, IsoC(), shapes))


def test_nothing_to_work_on_is_an_error_that_says_what_to_set(checkpoint: MakeCheckpoint) -> None:
    shapes = {"conv.weight": (6, 3, 4, 4), "fc.bias": (7,)}
    with pytest.raises(MergeError, match=r"cart works on matrices, and none .* set conv to"):
        assigned(checkpoint, Cart(), shapes)
    assert set(views(assigned(checkpoint, Cart(conv="as-matrix"), shapes))) == {"conv.weight"}
    with pytest.raises(MergeError, match=r"there are: conv, vector.*average"):
        assigned(checkpoint, TsvM(), shapes)
    with pytest.raises(MergeError, match="set tensors to 'matrices'"):
        assigned(checkpoint, TsvM(tensors="attention-mlp"), {"fc.weight": (7, 8)})


def test_layers_and_rules_do_not_change_which_tensors_are_taken(
    checkpoint: MakeCheckpoint,
) -> None:
    shapes = {f"blocks.{i}.attn.weight": (6, 6) for i in range(3)} | {"head.weight": (6, 6)}
    of = assigned(checkpoint, Cart(), shapes, layers={"rank": [0.1, 0.3]})
    assert [t.method for t in of.tensors] == [
        Cart(rank=0.1), Cart(rank=0.2), Cart(rank=0.3), Average(),
    ]  # fmt: skip
    rule = {"match": "head.*", "method": {"name": "cart", "tensors": "matrices"}}
    ruled = assigned(checkpoint, Cart(), shapes, rules=[rule])
    assert set(views(ruled)) == set(shapes)
    other = {"match": "blocks.*", "method": "average"}
    with pytest.raises(MergeError, match="none of the 1 tensors"):
        assigned(checkpoint, Cart(tensors="attention-mlp"), shapes, rules=[other])


def test_a_split_projection_is_three_matrices() -> None:
    torch.manual_seed(0)
    models = [{"attn.in_proj_weight": torch.randn(12, 4)} for _ in range(3)]
    base = {"attn.in_proj_weight": torch.randn(12, 4)}
    split = sp.merge(models, IsoC(qkv="split"), base=base)["attn.in_proj_weight"]
    for k, part in enumerate(split.chunk(3)):
        apart = [{"w": m["attn.in_proj_weight"].chunk(3)[k].clone()} for m in models]
        of = {"w": base["attn.in_proj_weight"].chunk(3)[k].clone()}
        assert torch.equal(sp.merge(apart, IsoC(), base=of)["w"], part)
    assert not torch.equal(sp.merge(models, IsoC(), base=base)["attn.in_proj_weight"], split)


def test_only_whole_triples_are_fused(checkpoint: MakeCheckpoint) -> None:
    shapes = {
        "a.attn.q.weight": (6, 6), "a.attn.k.weight": (2, 6), "a.attn.v.weight": (2, 6),
        "b.attn.q.weight": (6, 6), "b.attn.k.weight": (6, 6),
        "c.attn.query.weight": (6, 6), "c.attn.key.weight": (6, 4), "c.attn.value.weight": (6, 6),
    }  # fmt: skip
    of = assigned(checkpoint, Cart(qkv="fused"), shapes)
    assert {t.name: t.view for t in of.tensors if t.joined} == dict.fromkeys(
        list(shapes)[:3], (10, 6)
    )
    assert views(of)["b.attn.q.weight"] == (6, 6)


def test_two_models_around_their_average_are_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    models = [{"w": torch.randn(3, 3)} for _ in range(3)]
    with caplog.at_level(logging.WARNING, "stockpot"):
        sp.merge(models, Cart())
        sp.merge(models[:2], Cart(around="base"), base=models[2])
        assert caplog.messages == []
        sp.merge(models[:2], Cart())
    assert "cart of 2 models is the average for every rank and scale" in caplog.text
