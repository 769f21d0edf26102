"""One network under two sets of names: merged where it is one to one, refused where it is not."""

import pytest
import torch

import stockpot as sp
from stockpot.checkpoints.entry import Checkpoint, from_state_dict
from stockpot.errors import MergeError
from stockpot.methods import Average, Fisher, TaskArithmetic
from stockpot.views.matched import matched, one_to_one, under_first

EXPERTS, HIDDEN, INNER = 3, 4, 6


def body(seed: int = 0) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(seed)
    return {
        f"layers.{i}.{part}": torch.randn(shape, generator=g)
        for i in range(3)
        for part, shape in (("q.weight", (4, 4)), ("up.weight", (8, 4)), ("norm.weight", (4,)))
    }


def experts(
    seed: int, *, stacked: bool, hidden: int = HIDDEN, inner: int = INNER
) -> dict[str, torch.Tensor]:
    """Of Mixtral: one by one, or as transformers 5 holds them in memory."""
    g = torch.Generator().manual_seed(seed)
    gate, up = (torch.randn(EXPERTS, inner, hidden, generator=g) for _ in range(2))
    down = torch.randn(EXPERTS, hidden, inner, generator=g)
    if stacked:
        stem = "model.layers.0.mlp.experts"
        return {f"{stem}.gate_up_proj": torch.cat([gate, up], 1), f"{stem}.down_proj": down}
    stem = "model.layers.0.block_sparse_moe.experts"
    return {
        f"{stem}.{k}.{part}.weight": value[k]
        for k in range(EXPERTS)
        for part, value in (("w1", gate), ("w2", down), ("w3", up))
    }


def open_(state: dict[str, torch.Tensor], label: str) -> Checkpoint:
    return from_state_dict(state, label)


@pytest.mark.parametrize("prefix", ["model.", "bert.", "net.inner.", "base_model.model."])
def test_a_prefix_that_one_has(prefix: str, caplog: pytest.LogCaptureFixture):
    one, two = body(0), {f"{prefix}{name}": tensor for name, tensor in body(1).items()}
    found = sp.merge([one, two], Average())
    assert found.keys() == one.keys()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, (one[name] + two[prefix + name]) / 2)
    assert "They are matched" in caplog.text
    back = sp.merge([two, one], Average())
    assert back.keys() == two.keys()
    for name, tensor in found.items():
        torch.testing.assert_close(back[prefix + name], tensor)


def test_a_base_under_other_names():
    base = body(0)
    models = [{f"model.{n}": t + k for n, t in base.items()} for k in (1, 2)]
    found = sp.merge(models, TaskArithmetic(scale=0.5), base=base)
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, base[name.removeprefix("model.")] + 1.5)


def test_statistics_of_a_model_under_other_names():
    one, two = body(0), {f"model.{n}": t for n, t in body(1).items()}
    weights = [{n: torch.full_like(t, k) for n, t in m.items()} for k, m in ((1, one), (3, two))]
    found = sp.merge([one, two], Fisher(), statistics=weights)
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, (one[name] + 3 * two[f"model.{name}"]) / 4)


@pytest.mark.parametrize("first", [True, False], ids=["stacked first", "one by one first"])
def test_experts_stacked_and_one_by_one(first: bool):
    one, two = experts(1, stacked=first), experts(2, stacked=not first)
    found = sp.merge([one, two], Average())
    same, twin = experts(1, stacked=first), experts(2, stacked=first)
    assert found.keys() == one.keys()
    for name, tensor in found.items():
        torch.testing.assert_close(tensor, (same[name] + twin[name]) / 2)


def test_experts_stacked_the_other_way_are_not_matched():
    """[E, H, 2 I], as Llama 4 has it: another layout, which shapes tell."""
    turned = {n: t.mT.contiguous() for n, t in experts(1, stacked=True).items()}
    assert one_to_one(open_(turned, "a"), open_(experts(2, stacked=False), "b")) is None
    with pytest.raises(MergeError, match="experts one by one for experts stacked"):
        sp.merge([turned, experts(2, stacked=False)], Average())


def test_square_experts_are_told_apart_by_the_other_stack():
    """With 2 I = H, gate_up_proj is square, and down_proj says which way it is."""
    turned = {n: t.mT.contiguous() for n, t in experts(1, stacked=True, hidden=12, inner=6).items()}
    singly = experts(2, stacked=False, hidden=12, inner=6)
    assert one_to_one(open_(turned, "a"), open_(singly, "b")) is None


def test_experts_of_two_dtypes_are_not_stacked():
    singly = experts(2, stacked=False)
    name = next(iter(singly))
    singly[name] = singly[name].half()
    assert one_to_one(open_(experts(1, stacked=True), "a"), open_(singly, "b")) is None


def test_prefixes_that_have_nothing_in_common_are_left_to_the_user():
    """Two towers of one shape are two networks."""
    text = {f"text_model.{name}": tensor for name, tensor in body(0).items()}
    vision = {f"vision_model.{name}": tensor for name, tensor in body(1).items()}
    with pytest.raises(MergeError, match=r"rename: \{'vision_model.\*': 'text_model.\*'\}"):
        sp.merge([text, vision], Average())


def test_a_name_that_would_be_taken_twice_is_not_matched():
    one = body(0) | {"model.extra": torch.ones(2)}
    two = {f"model.{name}": tensor for name, tensor in body(1).items()} | {"extra": torch.ones(2)}
    found = matched([open_(one, "a"), open_(two, "b")])
    names = list(found.checkpoints[1].entries)
    assert len(names) == len(set(names)) == len(two)


def test_the_same_names_are_handed_on_as_they_are():
    models = [open_(body(k), "ab"[k]) for k in range(2)]
    found = matched(models)
    assert found.checkpoints == tuple(models)
    assert found.checkpoints[1] is models[1]
    assert found.notes == ()


def test_what_is_not_explained_is_missing_and_the_names_are_told():
    one, two = body(0), {f"model.{name}": tensor for name, tensor in body(1).items()}
    with pytest.raises(MergeError) as caught:
        sp.merge([one, {**two, "head.weight": torch.ones(2, 4)}], Average())
    lines = str(caught.value).splitlines()
    assert "with 'model.' before them. They are matched." in lines[1]
    assert "'head.weight' is missing from models[0]" in lines[2]


def test_statistics_of_some_tensors_are_renamed_as_far_as_they_go():
    one, two = experts(1, stacked=True), experts(2, stacked=False)
    renaming = one_to_one(open_(one, "a"), open_(two, "b"))
    assert renaming is not None
    some = {name: tensor for name, tensor in two.items() if ".w2." not in name}
    seen = under_first(open_(some, "statistics"), open_(one, "a"), renaming)
    assert list(seen.entries) == ["model.layers.0.mlp.experts.gate_up_proj"]
    del some["model.layers.0.block_sparse_moe.experts.1.w1.weight"]
    left = under_first(open_(some, "statistics"), open_(one, "a"), renaming)
    assert list(left.entries) == list(some)
