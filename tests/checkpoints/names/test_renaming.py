"""Whether two sets of names mean the same tensors: which means which, and in which words."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import parametrizations

from stockpot.checkpoints.entry import Checkpoint, TensorEntry, from_state_dict
from stockpot.checkpoints.names.prefixes import Prefix
from stockpot.checkpoints.names.renaming import Renaming, Stack, find_renaming
from stockpot.views import Renamed

Shapes = dict[str, tuple[int, ...]]
BODY: Shapes = {
    f"layers.{i}.{part}": shape
    for i in range(3)
    for part, shape in (("attn.q.weight", (4, 4)), ("mlp.up.weight", (8, 4)), ("norm.bias", (4,)))
}


def entries(shapes: Shapes) -> dict[str, TensorEntry]:
    state = {name: torch.zeros(shape) for name, shape in shapes.items()}
    return dict(from_state_dict(state, "x").entries)


def renaming(first: Shapes, other: Shapes) -> Renaming | None:
    return find_renaming(entries(first), entries(other))


def under(prefix: str, shapes: Shapes) -> Shapes:
    return {prefix + name: shape for name, shape in shapes.items()}


@pytest.mark.parametrize("prefix", ["model.", "bert.", "base_model.model.", "transformer.", "net."])
def test_a_prefix_either_way(prefix: str) -> None:
    longer = under(prefix, BODY) | {"head.weight": (2, 4)}
    found = renaming(BODY, longer)
    assert found is not None
    assert found.names == {prefix + name: name for name in BODY}
    assert found.prefixes == (Prefix("", prefix),)
    assert found.sentence("a.pt", "b.pt") == (
        f"b.pt holds 9 tensors of a.pt under other names: with '{prefix}' before them."
    )
    assert f"{{path: b.pt, rename: {{'{prefix}*': '*'}}}}" in found.remedy("b.pt")
    back = renaming(longer, BODY)
    assert back is not None
    assert back.names == {name: prefix + name for name in BODY}
    assert back.kinds == (f"without '{prefix}' before them",)
    assert f"{{path: a.pt, rename: {{'*': '{prefix}*'}}}}" in back.remedy("a.pt")


def test_another_attribute_of_a_lightning_module() -> None:
    found = renaming(under("net.", BODY), under("model.", BODY))
    assert found is not None
    assert found.names == {f"model.{name}": f"net.{name}" for name in BODY}
    assert found.kinds == ("'model.' for 'net.'",)


def test_a_remedy_gives_the_first_one_s_names() -> None:
    for first, other in (
        (BODY, under("model.", BODY)),
        (under("model.", BODY), BODY),
        (under("a.net.", BODY), under("model.", BODY) | {"x_model.w": (1,)}),
    ):
        found = renaming(first, other)
        assert found is not None
        seen = Renamed(found.patterns)(Checkpoint("b.pt", entries(other)))
        assert set(seen.entries) - {"x_model.w"} == set(first)


LANGUAGE = {"embed_tokens.weight": (9, 4)} | BODY
VISION = {f"blocks.{i}.attn.qkv.weight": (12, 4) for i in range(4)}
HEAD = {"lm_head.weight": (9, 4)}


def test_a_language_model_inside_of_a_vision_language_model() -> None:
    whole = under("model.language_model.", LANGUAGE) | under("model.visual.", VISION) | HEAD
    found = renaming(whole, under("model.", LANGUAGE) | HEAD)
    assert found is not None
    assert found.names == {f"model.{n}": f"model.language_model.{n}" for n in LANGUAGE}
    assert found.kinds == ("'model.' for 'model.language_model.'",)


def test_the_two_towers_of_older_names() -> None:
    new = under("model.language_model.", LANGUAGE) | under("model.visual.", VISION) | HEAD
    old = under("model.", LANGUAGE) | under("visual.", VISION) | HEAD
    found = renaming(new, old)
    assert found is not None
    assert found.names == {
        **{f"model.{n}": f"model.language_model.{n}" for n in LANGUAGE},
        **{f"visual.{n}": f"model.visual.{n}" for n in VISION},
    }
    assert set(found.prefixes) == {
        Prefix("model.language_model.", "model."),
        Prefix("model.", ""),
    }


@pytest.mark.parametrize("wrapper", ["_orig_mod", "_fsdp_wrapped_module", "module"])
def test_a_wrapper_inside_names(wrapper: str) -> None:
    other = {n.replace("layers.1.", f"layers.1.{wrapper}."): s for n, s in BODY.items()}
    found = renaming(BODY, other)
    assert found is not None
    assert found.names == {
        new: old for new, old in zip(other, BODY, strict=True) if "layers.1." in old
    }
    assert found.kinds == (f"with '{wrapper}.' inside them",)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("old", "new", "kind"),
    [
        (
            torch.nn.utils.weight_norm,
            parametrizations.weight_norm,
            "parametrizations.weight.original0 and original1 for weight_g and weight_v",
        ),
        (
            torch.nn.utils.spectral_norm,
            parametrizations.spectral_norm,
            "parametrizations.weight.original for weight_orig",
        ),
    ],
)
def test_the_two_ways_of_torch_to_reparametrise(old, new, kind: str) -> None:
    first = nn.Sequential(old(nn.Linear(3, 2))).state_dict()
    other = nn.Sequential(new(nn.Linear(3, 2))).state_dict()
    found = find_renaming(from_state_dict(first, "a").entries, from_state_dict(other, "b").entries)
    assert found is not None
    assert set(found.names.values()) == set(first) - {"0.bias"}
    assert set(found.names) == set(other) - {"0.bias"}
    assert all(first[name].shape == other[new].shape for new, name in found.names.items())
    assert found.kinds == (kind,)


def test_gamma_and_beta_of_old_files_behind_a_prefix() -> None:
    first = under("bert.", BODY | {"norm.weight": (4,), "norm.bias": (4,)})
    other = BODY | {"norm.gamma": (4,), "norm.beta": (4,)}
    found = renaming(first, other)
    assert found is not None
    assert found.names["norm.gamma"] == "bert.norm.weight"
    assert found.names["norm.beta"] == "bert.norm.bias"
    assert found.kinds == ("without 'bert.' before them", "gamma and beta for weight and bias")


def mixture(module: str, matrices: tuple[str, str, str]) -> Shapes:
    """Two experts, one by one: of gate, up and down."""
    shapes = {f"l.{module}.gate.weight": (2, 4)}
    for k in range(2):
        for matrix, shape in zip(matrices, ((3, 4), (3, 4), (4, 3)), strict=True):
            shapes[f"l.{module}.experts.{k}.{matrix}.weight"] = shape
    return shapes


FUSED = {
    "l.mlp.gate.weight": (2, 4),
    "l.mlp.experts.gate_up_proj": (2, 6, 4),
    "l.mlp.experts.down_proj": (2, 4, 3),
}


@pytest.mark.parametrize(
    ("module", "matrices"),
    [("block_sparse_moe", ("w1", "w3", "w2")), ("mlp", ("gate_proj", "up_proj", "down_proj"))],
    ids=["mixtral", "qwen"],
)
def test_experts_one_by_one_and_stacked(module: str, matrices: tuple[str, str, str]) -> None:
    gate, up, down = matrices
    single = mixture(module, matrices)
    found = renaming(single, FUSED)
    assert found is not None
    parts = tuple(f"l.{module}.experts.{k}.{m}.weight" for k in range(2) for m in (gate, up))
    downs = tuple(f"l.{module}.experts.{k}.{down}.weight" for k in range(2))
    assert set(found.stacks) == {
        Stack(whole="l.mlp.experts.gate_up_proj", parts=parts, whole_in="other"),
        Stack(whole="l.mlp.experts.down_proj", parts=downs, whole_in="other"),
    }
    assert found.kinds == ("experts stacked in one tensor for experts one by one",)
    of_first, of_other = found.explained()
    assert of_first == {name for name in single if name not in FUSED}
    assert of_other == {name for name in FUSED if name not in single}
    back = renaming(FUSED, single)
    assert back is not None
    assert {stack.whole_in for stack in back.stacks} == {"first"}


def test_experts_one_by_one_under_two_names() -> None:
    first = mixture("mlp", ("gate_proj", "up_proj", "down_proj"))
    found = renaming(first, mixture("block_sparse_moe", ("w1", "w3", "w2")))
    assert found is not None
    assert found.stacks == ()
    assert found.names["l.block_sparse_moe.experts.1.w3.weight"] == "l.mlp.experts.1.up_proj.weight"
    assert (
        found.names["l.block_sparse_moe.experts.0.w2.weight"] == "l.mlp.experts.0.down_proj.weight"
    )
    assert len(found.names) == len(first)


@pytest.mark.parametrize(
    ("first", "other"),
    [
        (BODY, BODY),
        (BODY | {"head.weight": (2, 4)}, BODY),
        (BODY | {"head.weight": (2, 4)}, BODY | {"fc.weight": (2, 4)}),
        (BODY, under("question.", BODY) | under("answer.", BODY)),
        (under("a.", {"weight": (2, 2)}), under("b.", {"weight": (2, 2)})),
        ({"fc1.weight": (4, 4), "fc2.weight": (4, 4)}, {"x.weight": (4, 4), "y.weight": (4, 4)}),
        (BODY, {f"h.{i}.w{k}": (5, 5) for i in range(3) for k in range(3)}),
        ({"a.alpha": (3,), "a.gamma": (3,)}, {"a.alpha": (3,)}),
        ({}, BODY),
    ],
    ids=[
        "equal",
        "a head more",
        "two heads of one shape",
        "two encoders",
        "one tensor",
        "nothing tells which",
        "another network",
        "layer scale",
        "empty",
    ],
)
def test_what_is_not_the_same_under_other_names(first: Shapes, other: Shapes) -> None:
    assert renaming(first, other) is None
    assert renaming(other, first) is None


MODULES = st.lists(
    st.lists(st.sampled_from(["a", "b", "block", "0", "1", "attn"]), min_size=1, max_size=4),
    min_size=2,
    max_size=12,
    unique_by=tuple,
)


@given(
    modules=MODULES,
    prefix=st.sampled_from(["", "m.", "net.body."]),
    wrapped=st.sampled_from(["", "_orig_mod."]),
    sizes=st.lists(st.integers(1, 3), min_size=12, max_size=12),
)
def test_what_was_renamed_is_found_again_or_nothing_is_said(
    modules: list[list[str]], prefix: str, wrapped: str, sizes: list[int]
) -> None:
    """Never another mapping than the true one."""
    names = [f"{'.'.join(parts)}.leaf{k}" for k, parts in enumerate(modules)]
    first = {name: (size,) for name, size in zip(names, sizes, strict=False)}
    true = {prefix + wrapped + name: name for name in first}
    found = renaming(first, {new: first[old] for new, old in true.items()})
    if prefix or wrapped:
        assert found is not None
        assert found.names == true
        assert len(set(found.names.values())) == len(found.names)
    else:
        assert found is None
