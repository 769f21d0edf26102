"""What newcomers typed: one clear line each, with what to do."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import stockpot as sp
from stockpot.methods import Average

Run = Callable[..., Any]
A, B = "a.safetensors", "b.safetensors"
RECIPE = f"method: average\nmodels: [{A}, {B}]\n"
EXPERIMENT = "network: cnn\ndata: digits\ningredients: {count: 2}\n"
FEDERATED = "network: cnn\ndata: digits\nfederated: {clients: 2}\n"
MERGEKIT = f"merge_method: ties\nbase_model: {A}\nmodels: [{{model: {B}}}]\n"


@pytest.fixture
def written(here: Path) -> Path:
    """Beside the models: f.pt, a recipe, an experiment, a federated one, and one of mergekit's."""
    torch.save(load_file(A), "f.pt")
    for name, text in (("r", RECIPE), ("e", EXPERIMENT), ("f", FEDERATED), ("mk", MERGEKIT)):
        (here / f"{name}.yml").write_text(text)
    save_file({f"w{i:02}": torch.ones(3) for i in range(30)}, "other.safetensors")
    pool = here / "trained" / "pool-0"
    pool.mkdir(parents=True)
    (here / "trained" / "experiment.json").write_text("{}")
    save_file(load_file(A), pool / "ingredient-0.safetensors")
    save_file(load_file(B), pool / "ingredient-1.safetensors")
    return here


MISTAKES: list[tuple[str, int, str]] = [
    ("verify f.pt", 1, "f.pt is a file with no merge.json: only what stockpot has written"),
    (f"verify {A}", 1, "not an output of stockpot. `stockpot inspect` shows what is in it"),
    (f"study connectivity {A} {B}", 2, "give one experiment, or the folder of its run, and no"),
    (f"study connectivity {A}", 2, "connectivity runs networks, on data that an experiment names"),
    ("compare r.yml", 1, "this is a recipe, with method and models; needed is an experiment"),
    ("train f.yml", 1, "this is a federated experiment, with network, data and federated; needed"),
    ("federate e.yml", 1, "this is an experiment, with network and data; needed is a federated"),
    ("run e.yml", 1, "`stockpot train` and `stockpot compare` carry it out"),
    ("search e.yml r.yml", 1, "this is an experiment, with network and data; needed is a recipe"),
    ("run mk.yml", 1, "this is a recipe of mergekit; needed is a recipe, with method and models"),
    ("explain mk.yml", 1, "That format is not read yet. Here merge_method is method, base_model"),
    ("compare mk.yml", 1, "this is a recipe of mergekit; needed is an experiment"),
    (f"run {A}", 1, "is no YAML: not text in UTF-8"),
    (f"merge average {A} r.yml", 1, "r.yml is YAML, not weights: `stockpot run` carries out a"),
    (f"merge average {A} other.safetensors", 1, "are different networks: of 7 and 30 tensors, 0"),
    ("inspect trained", 1, "is the folder of a run: its networks are files in its folders"),
    (f"merge average {A} trained", 1, "such as trained/pool-0/ingredient-1.safetensors; `stock"),
    (f"merge {A} {B}", 2, "'a.safetensors' is no method, and the method stands before the models"),
    (f"merge {A} ties {B}", 2, "put ties before the models"),
    (f"merge average {A} ties {B}", 2, "'ties' is a method, and stands among the models"),
    (f"merge --base {A} ties {B}", 2, "--base stands before the method: stockpot merge METHOD"),
    ("search r.yml", 2, "search needs EXPERIMENT; `stockpot search --help` says what it is."),
    (f"merge average {A} {B} --weigths 1,2", 2, "--weigths. Did you mean --weights?"),
]


@pytest.mark.parametrize(("line", "code", "words"), MISTAKES, ids=lambda value: str(value)[:40])
def test_a_first_mistake_is_one_line_that_says_what_to_do(
    line: str, code: int, words: str, written: Path, cli: Run
) -> None:
    command, *words_of_it = line.split()
    out = [] if command in ("verify", "explain", "inspect") else ["--out", "new"]
    done = cli(command, *words_of_it, *out)
    assert done.code == code, done.err
    assert words in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""
    assert not (written / "new").exists()


def test_lightnings_prefix_is_taken_off_with_a_note(here: Path, cli: Run) -> None:
    state = {f"net.{name}": tensor for name, tensor in load_file(B).items()}
    torch.save({"state_dict": state, "epoch": 1, "hyper_parameters": {}}, "l.ckpt")
    done = cli("merge", "average", A, "l.ckpt", "--out", "m.safetensors")
    assert done.code == 0
    assert "with 'net.' before them. They are matched." in done.err
    expected = sp.merge([load_file(A), load_file(B)], Average())
    assert all(torch.equal(expected[name], one) for name, one in load_file("m.safetensors").items())


STATE = {"w": torch.tensor([0.0, 2.0])}


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sp.merge(Average(), [STATE]), r"models stand before the method: merge\(\[a, b\]"),
        (lambda: sp.merge(Average, [STATE]), r"models stand before the method: merge\(\[a, b\]"),
        (lambda: sp.merge([STATE], Average), r"give a value of it, Average\(...\)"),
        (lambda: sp.merge(STATE, Average()), "models must be a list; got a dict"),
        (lambda: sp.merge([len], Average()), r"models\[0\] is a builtin_function_or_method; expec"),
        (lambda: sp.merge([(STATE, 1)], Average()), r"models\[0\] is a tuple; expected a state"),
        (lambda: sp.merge([STATE], Average(), weights=1), r"such as \[0.7, 0.3\]; got 1"),
        (lambda: sp.merge([STATE], Average(), weights=["x"]), "weights must be numbers, one for"),
        (lambda: sp.merge_to("o", Average(), ["a"]), "models stand before the method"),
        (lambda: sp.merge_to(["a", "b"], "o", Average()), "out must be a path, and stands before"),
    ],
    ids=range(10),
)
def test_a_first_mistake_in_python(call: Callable[[], object], words: str) -> None:
    with pytest.raises(sp.StockpotError, match=words):
        call()


def test_a_tuple_of_models_is_a_list_of_them() -> None:
    other = {"w": torch.tensor([2.0, 4.0])}
    assert sp.merge((STATE, other), Average())["w"].tolist() == [1.0, 3.0]
