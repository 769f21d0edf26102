"""`stockpot factor` and `stockpot restore`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import stockpot as sp
from stockpot.factors.factored import read_factored
from stockpot.methods import Cart

Run = Callable[..., Any]
MODELS = ("a.safetensors", "b.safetensors", "base.safetensors")


def test_models_are_stored_as_an_average_and_factors_and_come_back(here: Path, cli: Run) -> None:
    done = cli("factor", *MODELS, "--rank", 0.5, "--out", "factors")
    assert done.code == 0
    assert done.out.startswith("factors: 2 tensors of 3 models at rank 0.5.\n")
    assert "of the models'" in done.out
    assert cli("restore", "factors", "--task", 1, "--out", "b2.safetensors").code == 0
    task = read_factored("factors").task(1)
    assert all(torch.equal(t, task[n]) for n, t in load_file("b2.safetensors").items())
    done = cli("restore", "factors", "--rank", 0.25, "--scale", 2, "--out", "all.safetensors")
    assert done.out.startswith("all.safetensors: 3 tasks merged, 7 tensors")
    expected = sp.merge([load_file(m) for m in MODELS], Cart(rank=0.25, scale=2.0))
    for name, tensor in load_file("all.safetensors").items():
        assert torch.allclose(tensor, expected[name], rtol=0, atol=1e-5), name


def test_sizes_as_json(here: Path, cli: Run) -> None:
    facts = cli("factor", *MODELS, "--weights", "1,2,1", "--out", "factors", "--json").json
    assert facts["models"] == 3 * facts["average"]
    assert 0 < facts["factors"] < facts["models"]
    assert facts["tasks"] == list(MODELS)


@pytest.mark.parametrize(
    ("tokens", "code", "message"),
    [
        (("factor", "--out", "f"), 2, "no model given"),
        (("factor", *MODELS, "--rank", 1.5, "--out", "f"), 2, "rank must be in (0, 1]"),
        (("factor", *MODELS, "--weights", "1,2", "--out", "f"), 2, "2 numbers for 3 models"),
        (("factor", *MODELS, "--limit", "100", "--out", "f"), 1, "more than the limit of 100"),
        (("factor", *MODELS, "--out", "f.safetensors"), 1, "factors are a directory"),
        (("restore", "d", "--out", "x.safetensors"), 1, "holds no factors"),
        (("restore", "kept", "--out", "x"), 2, "must be a .safetensors file"),
        (("restore", "kept", "--task", 3, "--out", "x.safetensors"), 2, "in [0, 2]; got 3"),
        (("restore", "kept", "--rank", 0.5, "--out", "x.safetensors"), 1, "above 0.25"),
        (("restore", "kept", "--out", "a.safetensors"), 1, "exists"),
        (("restore", "kept", "--out", "no/x.safetensors"), 1, "cannot write"),
    ],
)
def test_what_is_wrong_is_said(
    here: Path, cli: Run, tokens: tuple[object, ...], code: int, message: str
) -> None:
    if "kept" in tokens:
        assert cli("factor", *MODELS, "--rank", 0.25, "--out", "kept").code == 0
    done = cli(*tokens)
    assert (done.code, message in done.err) == (code, True), done.err
    assert not Path("x.safetensors").exists()
    assert not Path("f").exists()
