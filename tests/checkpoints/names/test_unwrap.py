"""What wrappers put into names goes when a file is read, and a note says so."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.optim.swa_utils import AveragedModel

from stockpot.checkpoints.names.unwrap import bare_names
from stockpot.checkpoints.read import read_checkpoint


def saved(tmp_path: Path, state: dict[str, torch.Tensor]) -> Path:
    torch.save(state, tmp_path / "m.pt")
    return tmp_path / "m.pt"


@pytest.mark.parametrize(
    "wrapper", ["_orig_mod.", "_fsdp_wrapped_module.", "_checkpoint_wrapped_module."]
)
def test_from_anywhere_inside(tmp_path: Path, wrapper: str) -> None:
    state = {f"net.{wrapper}0.weight": torch.ones(2), "net.1.weight": torch.zeros(2)}
    state[f"{wrapper}tied"] = state["net.1.weight"]
    found = read_checkpoint(saved(tmp_path, state))
    assert list(found.entries) == ["net.0.weight", "net.1.weight", "tied"]
    assert found.entries["tied"].alias_of == "net.1.weight"
    assert torch.equal(found.entries["net.0.weight"].load(), torch.ones(2))
    (note,) = found.notes
    assert f"took '{wrapper}' out of 2 names" in note


def test_an_averaged_model_keeps_its_counter(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    found = read_checkpoint(saved(tmp_path, AveragedModel(network).state_dict()))
    assert set(found.entries) == {"n_averaged", *network.state_dict()}
    (note,) = found.notes
    assert "took the prefix 'module.' off all names but 'n_averaged'" in note


def test_a_compiled_network_in_a_lightning_module(tmp_path: Path) -> None:
    network = nn.ModuleDict(
        {"model": torch.compile(nn.Sequential(nn.Linear(2, 2)), backend="eager")}
    )
    found = read_checkpoint(saved(tmp_path, network.state_dict()))
    assert set(found.entries) == {"model.0.weight", "model.0.bias"}


@pytest.mark.parametrize(
    "names",
    [["module.a", "steps"], ["_orig_mod"], ["x.module.w", "y.w"], ["n_averaged"], ["a.b", "c"]],
    ids=["a float beside", "nothing left", "inside", "a counter alone", "plain"],
)
def test_names_that_stay(names: list[str]) -> None:
    counters = {name: name == "n_averaged" for name in names}
    assert bare_names(counters) == {name: name for name in names}


def test_a_collision_keeps_every_name(tmp_path: Path) -> None:
    state = {"a._orig_mod.w": torch.ones(2), "a.w": torch.zeros(2)}
    found = read_checkpoint(saved(tmp_path, state))
    assert set(found.entries) == set(state)
    assert found.notes == ()


PART = st.sampled_from(["a", "b", "0", "module", "_orig_mod", "_fsdp_wrapped_module", "w"])


@given(st.lists(st.lists(PART, min_size=1, max_size=5).map(".".join), unique=True, max_size=8))
def test_bare_names_are_bare_and_stay_so(names: list[str]) -> None:
    bare = bare_names(dict.fromkeys(names, False))
    assert list(bare) == names
    assert all(bare.values())
    for old, new in bare.items():
        left = iter(old.split("."))
        assert all(part in left for part in new.split(".")), "parts are taken out, never moved"
        assert old.split(".")[-1] == new.split(".")[-1]
    again = bare_names(dict.fromkeys(dict.fromkeys(bare.values()), False))
    assert all(old == new for old, new in again.items())
