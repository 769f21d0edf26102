import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockpot.checkpoints.names.series import Series, find_series
from stockpot.errors import FieldError, MergeError
from stockpot.methods import Average, Dare, Slerp, Ties
from stockpot.recipes.reading.layers import at, check_layers, other_stacks, spread

LLAMA = [
    "model.embed_tokens.weight",
    *(
        f"model.layers.{i}.{part}.weight"
        for i in range(16)
        for part in ("self_attn.q_proj", "mlp.up_proj", "input_layernorm")
    ),
    "model.norm.weight",
    "lm_head.weight",
]
VIT = [
    "cls_token",
    "patch_embed.proj.weight",
    *(f"blocks.{i}.{part}" for i in range(12) for part in ("attn.qkv.weight", "mlp.fc1.bias")),
    "head.weight",
]
RESNET = [
    "conv1.weight",
    "bn1.weight",
    *(
        f"layer{stage}.{block}.{part}"
        for stage, blocks in ((1, 3), (2, 4), (3, 6), (4, 3))
        for block in range(blocks)
        for part in ("conv1.weight", "conv2.weight", "downsample.0.weight", "downsample.1.weight")
    ),
    "fc.weight",
]
EXPERTS = [
    f"model.layers.{i}.moe.experts.{j}.w{k}" for i in range(4) for j in range(64) for k in (1, 2, 3)
]
SEQUENTIAL = [f"layers.{i}.mlp.{j}.weight" for i in range(3) for j in (0, 2, 4, 6, 8)]
WRAPPED = [*(f"0.auto_model.encoder.layer.{i}.out.weight" for i in range(6)), "1.linear.weight"]
FEATURES = [f"features.{i}.weight" for i in (0, 3, 6, 8, 10)] + ["classifier.1.weight"]
TOWERS = [f"text.layers.{i}.w" for i in range(6)] + [f"vision.layers.{i}.w" for i in range(24)]


@pytest.mark.parametrize(
    ("names", "prefix", "numbers"),
    [
        (LLAMA, "model.layers.", range(16)),
        (VIT, "blocks.", range(12)),
        (RESNET, "layer", range(1, 5)),
        (EXPERTS, "model.layers.", range(4)),
        (SEQUENTIAL, "layers.", range(3)),
        (WRAPPED, "0.auto_model.encoder.layer.", range(6)),
        (FEATURES, "features.", (0, 3, 6, 8, 10)),
        (TOWERS, "vision.layers.", range(24)),
        (["h.2.w", "h.10.w", "h.1.w"], "h.", (1, 2, 10)),
        (["block1.w", "block2.w", "x.7.w"], "block", (1, 2)),
        (["a.0", "a.1", "b.0", "b.1"], "a.", (0, 1)),
        (["e.h.0", "e.h.1", "e1.h.0", "e1.h.1", "e1.h.2"], "e1.h.", (0, 1, 2)),
    ],
)
def test_the_series_of_blocks(names: list[str], prefix: str, numbers: range) -> None:
    assert find_series(names) == Series(prefix, tuple(numbers))


@pytest.mark.parametrize("names", [[], ["weight"], ["layers.0.w", "head.w"], ["fc1.w", "out.w"]])
def test_no_series(names: list[str]) -> None:
    assert find_series(names) is None


def test_a_whole_component_comes_before_the_end_of_one() -> None:
    names = ["conv1.w", "conv2.w", "conv3.w", "blocks.0.w", "blocks.1.w"]
    assert find_series(names) == Series("blocks.", (0, 1))


def test_positions_are_by_whole_numbers_and_only_inside() -> None:
    series = Series("h.", (1, 2, 10))
    names = ["h.1.w", "h.10.w", "h.10", "h.3.w", "h.1x.w", "g.h.1.w", "h.w"]
    assert series.positions(names) == {"h.1.w": 0, "h.10.w": 2, "h.10": 2}


def test_the_ends_and_the_middle() -> None:
    values = [at([0.0, 1.0, 0.5], position) for position in (0.0, 0.25, 0.5, 0.75, 1.0)]
    assert values == [0.0, 0.5, 1.0, 0.75, 0.5]
    assert at([0.3], 0.7) == 0.3


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=6), st.floats(0, 1))
def test_between_never_leaves_the_listed_values(values: list[float], position: float) -> None:
    assert min(values) <= at(values, position) <= max(values)


def test_a_field_runs_over_the_blocks_and_the_rest_keeps_its_own() -> None:
    spreaded = spread(Ties(density=0.9), {"density": [0.1, 0.4]}, LLAMA)
    assert set(spreaded) == {name for name in LLAMA if ".layers." in name}
    first, why = spreaded["model.layers.0.mlp.up_proj.weight"]
    assert first == Ties(density=0.1)
    assert why == "layers: block 1 of 16, 'model.layers.0' to 'model.layers.15'"
    assert spreaded["model.layers.15.mlp.up_proj.weight"][0] == Ties(density=0.4)
    method, _ = spreaded["model.layers.5.mlp.up_proj.weight"]
    assert isinstance(method, Ties)
    assert method.density == pytest.approx(0.2)


def test_a_block_is_one_value() -> None:
    spreaded = spread(Ties(), {"density": [0.1, 0.4]}, LLAMA)
    methods = [method for method, _ in spreaded.values()]
    assert len({id(method) for method in methods}) == 16
    assert spreaded[LLAMA[1]][0] is spreaded[LLAMA[2]][0]


def test_several_fields_run_together() -> None:
    layers = {"t": [0.0, 1.0], "lerp_above": [1.0, 0.5, 1.0]}
    spreaded = spread(Slerp(), layers, [f"h.{i}.w" for i in range(5)])
    assert spreaded["h.2.w"][0] == Slerp(t=0.5, lerp_above=0.5)


def test_resnet_runs_over_its_stages() -> None:
    spreaded = spread(Ties(), {"density": [0.1, 0.4]}, RESNET)
    assert "conv1.weight" not in spreaded
    method, why = spreaded["layer4.2.conv1.weight"]
    assert method == Ties(density=0.4)
    assert "'layer1' to 'layer4'" in why


def test_no_blocks_is_an_error() -> None:
    with pytest.raises(MergeError, match=r"layers: density cannot run .* 'head.weight'"):
        spread(Ties(), {"density": [0.1, 0.4]}, ["head.weight"])


def test_without_layers_nothing_is_looked_for() -> None:
    assert spread(Ties(), {}, ["head.weight"]) == {}


@pytest.mark.parametrize(
    ("method", "layers", "message"),
    [
        (Ties(), {"densty": [0.1]}, "layers: ties has no field 'densty': did you mean 'density'?"),
        (Average(), {"t": [0.1]}, "layers: average has no field 't'"),
        (Ties(), {"vote": [1.0]}, "layers: vote of ties is no number"),
        (Ties(), {"density": []}, "layers: density needs at least one value"),
        (Ties(), {"density": [0.1, 0.0]}, "layers: ties: density must be in (0, 1]"),
        (Ties(), {"scale": [1.0, float("inf")]}, "layers: ties: scale must be"),
        (Dare(), {"density": [0.5, 1.01]}, "layers: dare: density must be in (0, 1]"),
    ],
)
def test_what_cannot_run_is_refused(
    method: Ties, layers: dict[str, list[float]], message: str
) -> None:
    with pytest.raises(FieldError, match=re.escape(message)):
        check_layers(method, layers)


def test_what_can_run_is_not() -> None:
    check_layers(Ties(), {"density": [0.1, 1], "scale": [-1.0, 2.0]})


def test_a_stack_is_named_with_its_dot_or_without() -> None:
    for stack in ("text.layers", "text.layers."):
        found = spread(Ties(), {"density": [0.1, 0.4]}, TOWERS, stack)
        assert set(found) == {name for name in TOWERS if name.startswith("text.")}
        assert found["text.layers.5.w"][0] == Ties(density=0.4)
    with pytest.raises(MergeError, match=r"no stack 'audio'; there are 'text.layers', 'vision"):
        spread(Ties(), {"density": [0.1]}, TOWERS, "audio")


def test_other_stacks_are_told_and_what_lies_in_or_around_is_none() -> None:
    assert other_stacks(TOWERS) == (
        "layers: runs over 'vision.layers.0' to 'vision.layers.23'; tensors of 'text.layers.0' to "
        "'text.layers.5' keep the method's own value. To name one: {stack: text.layers, ...}.",
    )
    for names in (LLAMA, VIT, RESNET, EXPERTS, SEQUENTIAL, WRAPPED, FEATURES, ["head.weight"]):
        assert other_stacks(names) == ()
