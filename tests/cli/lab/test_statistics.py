"""`stockpot statistics fisher`, and what a merge makes of it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import stockpot as sp
from stockpot.methods import Fisher
from stockpot.networks import build, save_weights

EXPERIMENT = "network: {name: mlp, width: 8}\ndata: digits\nsplit: {test: 0.5}\n"
Run = Callable[..., Any]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("e.yml").write_text(EXPERIMENT, encoding="utf8")
    for seed in (0, 1):
        network = build("mlp", seed=seed, num_classes=10, in_channels=1, image_size=8, width=8)
        save_weights(network, Path(f"{seed}.safetensors"), {})
    return tmp_path


def test_a_merge_weighs_by_the_files(here: Path, cli: Run) -> None:
    for seed in (0, 1):
        told = ["--out", f"of-{seed}.safetensors", "--examples", "20"]
        assert cli("statistics", "fisher", f"{seed}.safetensors", "e.yml", *told).code == 0
    models, given = ([load_file(f"{n}{k}.safetensors") for k in (0, 1)] for n in ("", "of-"))
    assert list(given[0]) == list(models[0])
    assert all(bool((one >= 0).all()) for one in given[0].values())
    assert any(bool((one > 0).any()) for one in given[0].values())
    files = ["0.safetensors", "1.safetensors"]
    of = ["--statistics", "of-0.safetensors", "of-1.safetensors", "--weights", "1,2"]
    assert cli("merge", "fisher", *files, *of, "--floor", "1e-9", "--out", "out").code == 0
    expected = sp.merge(models, Fisher(floor=1e-9), statistics=given, weights=[1, 2])
    found = load_file("out/model.safetensors")
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    assert cli("verify", "out", "--recompute").code == 0
    Path("r.yml").write_text(
        "method: {name: fisher, floor: 1e-9}\nmodels:\n"
        "- {path: 0.safetensors, weight: 1, statistics: of-0.safetensors}\n"
        "- {path: 1.safetensors, weight: 2, statistics: of-1.safetensors}\n",
        encoding="utf8",
    )
    assert cli("run", "r.yml", "--out", "again").code == 0
    again = load_file("again/model.safetensors")
    assert all(torch.equal(again[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("tokens", "code", "words"),
    [
        (["merge", "fisher", "0.safetensors", "1.safetensors"], 2, "pass --statistics"),
        (
            ["merge", "fisher", "0.safetensors", "1.safetensors", "--statistics", "e.yml"],
            2,
            "--statistics has 1 files for 2 models",
        ),
        (["statistics", "fisher", "0.safetensors", "e.yml", "--examples", "0"], 2, "at least 1"),
        (["statistics", "fisher", "no.safetensors", "e.yml"], 1, "no.safetensors"),
    ],
)
def test_what_is_wrong_is_said(
    here: Path, cli: Run, tokens: list[str], code: int, words: str
) -> None:
    done = cli(*tokens, "--out", "x.safetensors")
    assert done.code == code
    assert words in done.err
    assert not Path("x.safetensors").exists()


def test_what_stands_there_is_not_replaced_and_a_comparison_refuses(here: Path, cli: Run) -> None:
    Path("x.safetensors").write_bytes(b"mine")
    done = cli("statistics", "fisher", "0.safetensors", "e.yml", "--out", "x.safetensors")
    assert (done.code, Path("x.safetensors").read_bytes()) == (1, b"mine")
    Path("e.yml").write_text(EXPERIMENT + "compare: {methods: [fisher]}\n", encoding="utf8")
    done = cli("compare", "e.yml", "--out", "run")
    assert "fisher: a comparison has no statistics of data" in done.err
