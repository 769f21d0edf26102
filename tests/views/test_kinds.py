"""The views that users choose: what each gives, that they compose, and what they refuse by name."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

import stockpot as sp
from stockpot.checkpoints.entry import Checkpoint, from_state_dict
from stockpot.checkpoints.read import read_checkpoint
from stockpot.errors import CheckpointError, FieldError
from stockpot.methods import Average
from stockpot.values.family import plain_value
from stockpot.views import (
    FAMILY,
    VIEWS,
    Cast,
    Cropped,
    Gathered,
    Padded,
    Permuted,
    Renamed,
    Sliced,
    Viewed,
    open_model,
)

G = torch.Generator().manual_seed(3)
NET = {
    "embed_tokens.weight": torch.randn(6, 4, generator=G),
    **{
        f"layers.{i}.{part}.weight": torch.randn(shape, generator=G)
        for i in range(4)
        for part, shape in (("up", (8, 4)), ("norm", (4,)))
    },
    "norm.weight": torch.randn(4, generator=G),
    "steps": torch.tensor(3),
}


def net(label: str = "m", state: dict[str, torch.Tensor] | None = None) -> Checkpoint:
    return from_state_dict(NET if state is None else state, label)


def loaded(checkpoint: Checkpoint) -> dict[str, torch.Tensor]:
    return {name: entry.load() for name, entry in checkpoint.entries.items()}


def same(found: torch.Tensor, wanted: np.ndarray | torch.Tensor) -> None:
    np.testing.assert_array_equal(found.numpy(), np.asarray(wanted))


# Renamed


def test_names_and_patterns():
    seen = Renamed({"layers.*.up.weight": "h.*.w", "norm.weight": "ln"})(net())
    assert list(seen.entries)[:3] == ["embed_tokens.weight", "h.0.w", "layers.0.norm.weight"]
    assert seen.entries["ln"].origins[0].name == "norm.weight"
    assert seen.entries["ln"].name == "ln"
    same(seen.entries["h.2.w"].load(), NET["layers.2.up.weight"])
    assert all(entry.owner == "m" for entry in seen.entries.values())


def test_the_first_pattern_counts_and_ties_move_along():
    tied = net(state={"a.w": NET["norm.weight"], "b.w": NET["norm.weight"], "c": torch.ones(1)})
    seen = Renamed({"a.*": "x.*", "*.w": "y.*"})(tied)
    assert list(seen.entries) == ["x.w", "y.b", "c"]
    assert seen.entries["y.b"].alias_of == "x.w"


@settings(max_examples=50, deadline=None)
@given(st.lists(st.text("ab.", min_size=1, max_size=5), min_size=1, max_size=8, unique=True))
def test_a_prefix_and_back_is_what_was(names):
    model = net(state={name: torch.tensor([k]) for k, name in enumerate(names)})
    seen = Renamed({"x.*": "*"})(Renamed({"*": "x.*"})(model))
    assert list(seen.entries) == names
    assert [int(entry.load()) for entry in seen.entries.values()] == list(range(len(names)))


@pytest.mark.parametrize(
    ("names", "words"),
    [
        ({"layers.*.up.weight": "w"}, "has 1 '*', its new name 'w' 0"),
        ({"layers.*.up.*": "layers.*"}, "has 2 '*'"),
        ({"layer.0.up.weight": "w"}, "no tensor matches 'layer.0.up.weight': did you mean 'layers"),
        ({"norm.weight": "steps"}, "'norm.weight' and 'steps' would both be 'steps'"),
        ({"*.up.weight": "*", "*.norm.weight": "*"}, "would both be 'layers.0'"),
    ],
)
def test_renames_that_cannot_be(names, words):
    with pytest.raises(CheckpointError, match="renamed of m: ") as caught:
        Renamed(names)(net())
    assert words in str(caught.value)


# Sliced


def test_blocks_of_one_model_twice():
    seen = Sliced(layers=("0:2", "1:4"))(net())
    ups = [seen.entries[f"layers.{i}.up.weight"].load() for i in range(5)]
    for found, k in zip(ups, (0, 1, 1, 2, 3), strict=True):
        same(found, NET[f"layers.{k}.up.weight"])
    assert "layers.5.up.weight" not in seen.entries
    assert len(seen.entries) == 3 + 2 * 5
    assert seen.entries["layers.4.up.weight"].origins[0].name == "layers.3.up.weight"


def test_blocks_of_several_models_with_the_ends_of_the_first_and_the_last():
    g = torch.Generator().manual_seed(4)
    other = {f"net.{n}": torch.randn(t.shape, generator=g) for n, t in NET.items() if t.ndim}
    seen = Sliced(layers=("0:1", "1@2:4"))(net("a"), net("b", other))
    assert [n for n in seen.entries if ".up" in n] == [f"layers.{i}.up.weight" for i in range(3)]
    same(seen.entries["layers.2.up.weight"].load(), other["net.layers.3.up.weight"])
    same(seen.entries["embed_tokens.weight"].load(), NET["embed_tokens.weight"])
    same(seen.entries["net.norm.weight"].load(), other["net.norm.weight"])
    assert seen.entries["layers.1.up.weight"].origins[0].owner == "b"
    assert [one.label for one in seen.origins] == ["a", "b"]


def test_a_tied_head_stays_tied():
    state = {**NET, "lm_head.weight": NET["embed_tokens.weight"]}
    seen = Sliced(layers=("1:2",))(net(state=state))
    assert seen.entries["lm_head.weight"].alias_of == "embed_tokens.weight"


@pytest.mark.parametrize(
    ("layers", "words"),
    [
        (("0:5",), "there is no block 4; there are 'layers.0' to 'layers.3'"),
        (("1@0:1",), "blocks 0 to 0 of model 1 of others, which are 0"),
    ],
)
def test_blocks_that_are_not_there(layers, words):
    with pytest.raises(CheckpointError, match="sliced of m: ") as caught:
        Sliced(layers=layers)(net())
    assert words in str(caught.value)


def test_ranges_are_checked_when_they_are_written():
    for layers in (("1",), ("2:1",), ("1:1",), ("-1:2",), ()):
        with pytest.raises(FieldError, match="sliced: layers"):
            Sliced(layers=layers)
    with pytest.raises(CheckpointError, match="no numbered series of blocks called 'h'"):
        Sliced(layers=("0:1",), stack="h")(net())
    with pytest.raises(CheckpointError, match="no numbered series of blocks"):
        Sliced(layers=("0:1",))(net(state={"w": torch.ones(1)}))


# Gathered, padded, cropped


def test_rows_in_another_order_with_rows_that_are_made():
    table = NET["embed_tokens.weight"]
    rows = (5, -1, 0, 0)
    for missing, made in (("zero", torch.zeros(4)), ("mean", table.double().mean(0).float())):
        seen = Gathered(tensors=("embed*",), rows=rows, missing=missing)(net())
        entry = seen.entries["embed_tokens.weight"]
        assert entry.shape == (4, 4)
        same(entry.load(), torch.stack([table[5], made, table[0], table[0]]))
    base = net("base", {"embed_tokens.weight": torch.arange(8.0).view(2, 4)})
    seen = Gathered(tensors=("embed*",), rows=rows, missing="base", base="base")(net(), base)
    same(seen.entries["embed_tokens.weight"].load()[1], torch.arange(4.0, 8.0))
    assert [one.name for one in seen.entries["embed_tokens.weight"].origins] == [
        "embed_tokens.weight"
    ] * 2
    same(seen.entries["norm.weight"].load(), NET["norm.weight"])


def test_rows_of_a_vector_and_of_a_tied_head():
    state = {"wte.weight": NET["embed_tokens.weight"], "bias": torch.arange(6.0)}
    state["head.weight"] = state["wte.weight"]
    seen = Gathered(tensors=("wte.weight", "bias"), rows=(2, 1))(net(state=state))
    same(seen.entries["bias"].load(), [2.0, 1.0])
    same(seen.entries["head.weight"].load(), NET["embed_tokens.weight"][[2, 1]])
    assert seen.entries["head.weight"].alias_of == "wte.weight"


def test_rows_from_a_file(tmp_path):
    save_file({"rows": torch.tensor([1, 0])}, tmp_path / "rows.safetensors")
    save_file(NET, tmp_path / "m.safetensors")
    view = Gathered(tensors=("embed*",), file=str(tmp_path / "rows.safetensors"))
    seen = open_model(tmp_path / "m.safetensors", (view,))
    same(seen.entries["embed_tokens.weight"].load(), NET["embed_tokens.weight"][[1, 0]])
    assert [Path(one.label).name for one in seen.origins] == ["m.safetensors", "rows.safetensors"]


@pytest.mark.parametrize(
    ("view", "words"),
    [
        (Gathered(tensors=("embed*",), rows=(0, 6)), "place 1 asks for 6 of 'embed_tokens.weight'"),
        (Gathered(tensors=("embed*",), rows=(-2,)), "0 to 5, or -1 for one that is made"),
        (Gathered(tensors=("steps",), rows=(0,)), "'steps' is a single number and has no rows"),
        (Gathered(tensors=("embed_token",), rows=(0,)), "no tensor matches 'embed_token': did you"),
        (Padded(tensors=("norm.weight",), shape=(3,)), "none smaller"),
        (Padded(tensors=("norm.weight",), shape=(9, 9)), "is (4,); shape (9, 9)"),
        (Cropped(tensors=("*.up.weight",), shape=(2, 5)), "none larger"),
    ],
)
def test_rows_that_are_not_there(view, words):
    with pytest.raises(CheckpointError) as caught:
        view(net())
    assert words in str(caught.value)


def test_a_base_without_the_rows():
    view = Gathered(tensors=("embed*",), rows=(0, 0, -1), missing="base", base="b")
    for state, words in (
        ({"x": torch.ones(1)}, "which has none"),
        ({"embed_tokens.weight": torch.ones(9, 3)}, r"which has \(9, 3\)"),
        ({"embed_tokens.weight": torch.ones(2, 4)}, "row 2 of .* which has 2"),
    ):
        with pytest.raises(CheckpointError, match=words):
            view(net(), net("b", state))
    with pytest.raises(CheckpointError, match="it looks at 1 checkpoints beside it, got 0"):
        view(net())


def test_fields_that_do_not_go_together():
    with pytest.raises(FieldError, match="give either rows or a file"):
        Gathered(tensors=("a",))
    with pytest.raises(FieldError, match="base is of no use"):
        Gathered(tensors=("a",), rows=(0,), base="b")
    with pytest.raises(FieldError, match="missing must be one of zero, mean, base"):
        Gathered(tensors=("a",), rows=(0,), missing="median")


def test_padded_and_cropped_again():
    seen = Padded(tensors=("*.up.weight",), shape=(10, 7))(net())
    found = seen.entries["layers.1.up.weight"].load()
    wanted = np.zeros((10, 7), np.float32)
    wanted[:8, :4] = NET["layers.1.up.weight"]
    same(found, wanted)
    back = Cropped(tensors=("*.up.weight",), shape=(8, 4))(seen)
    assert all(torch.equal(loaded(back)[n], t) for n, t in NET.items())


# Permuted


def test_units_in_another_order_and_back():
    order = torch.tensor([2, 0, 3, 1])
    view = Permuted()
    there = net("p", {"norm.weight:0": order, "layers.0.up.weight:1": order.int()})
    seen = view(net(), there)
    same(seen.entries["norm.weight"].load(), NET["norm.weight"][order])
    same(seen.entries["layers.0.up.weight"].load(), NET["layers.0.up.weight"][:, order])
    back = net("q", {n: torch.argsort(order) for n in ("norm.weight:0", "layers.0.up.weight:1")})
    assert all(torch.equal(loaded(view(seen, back))[n], t) for n, t in NET.items())


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"norm.weigth:0": torch.arange(4)}, "names no tensor and dimension .* mean 'norm.weight'"),
        ({"norm.weight": torch.arange(4)}, "names no tensor and dimension"),
        ({"norm.weight:1": torch.arange(4)}, r"'norm.weight' is \(4,\) and has no dimension 1"),
        ({"norm.weight:0": torch.tensor([0, 1, 1, 2])}, "no permutation of 4: .* 3 different"),
        ({"norm.weight:0": torch.tensor([0, 1])}, "no permutation of 4: it has 2 numbers"),
        ({"norm.weight:0": torch.tensor([0, 1, 2, 4])}, "place 3 asks for 4 of 'norm.weight'"),
        ({"norm.weight:0": torch.rand(4)}, "must be one dimension of whole numbers"),
    ],
)
def test_what_is_no_permutation(state, words):
    with pytest.raises(CheckpointError, match=words):
        Permuted()(net(), net("p", state))


# Cast


def test_floats_in_another_dtype_and_nothing_else():
    seen = Cast("bfloat16", tensors=("*up*", "steps"))(net())
    found = loaded(seen)
    assert found["steps"].dtype == torch.int64
    assert found["norm.weight"].dtype == torch.float32
    assert torch.equal(found["layers.0.up.weight"], NET["layers.0.up.weight"].bfloat16())
    assert seen.entries["layers.0.up.weight"].stored_dtype == torch.bfloat16


# All of them


COMPOSED = (
    Renamed({"layers.*": "h.*"}),
    Sliced(layers=("1:3", "0:1")),
    Gathered(tensors=("embed*",), rows=(3, -1, 1), missing="mean"),
    Padded(tensors=("h.*.up.weight",), shape=(9, 6)),
    Cast("float64", tensors=("norm.weight",)),
)


def test_views_of_views_pickle_and_merge_as_what_they_show(tmp_path):
    save_file(NET, tmp_path / "m.safetensors")
    seen = open_model(tmp_path / "m.safetensors", COMPOSED)
    found = loaded(seen)
    table = NET["embed_tokens.weight"]
    made = table.double().mean(0).float()
    same(found["embed_tokens.weight"], torch.stack([table[3], made, table[1]]))
    wide = torch.zeros(9, 6)
    wide[:8, :4] = NET["layers.2.up.weight"]
    same(found["h.1.up.weight"], wide)
    assert found["norm.weight"].dtype == torch.float64
    again = pickle.loads(pickle.dumps(seen))
    assert all(torch.equal(one, loaded(again)[name]) for name, one in found.items())
    merged = sp.merge([Viewed(str(tmp_path / "m.safetensors"), COMPOSED), found], Average())
    assert list(merged) == list(found)
    assert all(torch.equal(merged[name], one) for name, one in found.items())
    assert seen.label.endswith("m.safetensors (renamed, sliced, gathered, padded, cast)")
    assert {o.owner for e in seen.entries.values() for o in e.origins} == {
        str(tmp_path / "m.safetensors")
    }


@pytest.mark.parametrize("view", COMPOSED)
def test_a_view_comes_back_from_what_a_file_has_of_it(view):
    assert FAMILY.read(plain_value(view)) == view
    assert hash(view) == hash(FAMILY.read(plain_value(view)))
    assert eval(repr(view), {cls.__name__: cls for cls in VIEWS}) == view


@pytest.mark.parametrize("cls", VIEWS)
def test_every_view_tells_what_it_is(cls):
    assert cls.__doc__
    assert "Args:" in cls.__doc__
    assert set(cls.beside_fields) <= set(cls.__dataclass_fields__)


def test_paths_beside_a_view_move_with_it():
    view = Sliced(layers=("0:1", "1@0:1"), others=("x/a",))
    assert view.beside == ("x/a",)
    assert view.moved(lambda path: path.upper()).others == ("X/A",)
    assert Gathered(tensors=("a",), rows=(0,)).beside == ()
    assert Cast("float32").moved(str.upper) == Cast("float32")


def test_what_is_written_wrong_names_the_nearest():
    for plain, words in (
        ({"name": "cats", "dtype": "float32"}, "there is no view 'cats': did you mean 'cast'"),
        ({"name": "cast", "dtyp": "float32"}, "cast has no field 'dtyp': did you mean 'dtype'"),
        ({"name": "cast"}, "cast needs its field 'dtype'"),
        ({"name": "renamed", "names": {"a": 1}}, "names must be a mapping of texts to texts"),
        ({"name": "renamed", "names": {}}, "names must be a mapping of texts to texts"),
        ({"name": "padded", "tensors": ["a"], "shape": [0]}, "shape must be a list, each"),
    ):
        with pytest.raises(FieldError, match=words):
            FAMILY.read(plain)


def test_read_checkpoint_still_knows_nothing_of_views(tmp_path):
    save_file({"w": torch.ones(1)}, tmp_path / "m.safetensors")
    assert read_checkpoint(tmp_path / "m.safetensors").parts == ()
