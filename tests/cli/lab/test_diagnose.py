"""`stockpot diagnose`: one screen, one JSON object, a page if asked, and errors in words."""

import html
import json
import math
import shlex
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from stockpot.studies.diagnosis.forecast import fitted

MODELS = ("a.safetensors", "b.safetensors")


def test_json_has_what_a_script_needs(cli, here):
    done = cli("diagnose", *MODELS, "--base", "base.safetensors", "--json")
    assert done.code == 0
    found = done.json
    assert found["mergeable"] is True
    assert found["same_origin"] is True
    assert isinstance(found["recommended"], str)
    assert all(isinstance(one, str) and one.endswith(".") for one in found["reasons"])
    assert [(one["name"], one["outlier"]) for one in found["models"]] == [
        ("a", False),
        ("b", False),
    ]
    apart = cli("diagnose", "a.safetensors", "d", "--json")
    assert apart.code == 0
    assert (apart.json["mergeable"], apart.json["same_origin"]) == (False, False)
    assert apart.json["recommended"] is None


def test_the_screen_says_whether_why_and_what_to_do(cli, here):
    done = cli("diagnose", *MODELS, "--base", "base.safetensors")
    assert done.out.startswith("These models can be merged: begin with ")
    for word in ("One start", "forecast quality", "average", "needs statistics", "1. ", "2. "):
        assert word in done.out
    assert len(done.out.splitlines()) < 48
    apart = cli("diagnose", *MODELS, "d")
    assert "d spoils it" in apart.out
    assert "outlier: comes from another start" in apart.out
    quiet = cli("diagnose", *MODELS, "--quiet")
    assert quiet.out.count("\n") > 5
    assert quiet.err == ""


def test_without_scikit_learn_all_but_the_forecast_is_told_and_why(cli, here, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.ensemble", None)
    fitted._forecast.cache_clear()
    done = cli("diagnose", *MODELS, "--base", "base.safetensors", "--out", "page")
    assert done.code == 0
    assert done.out.startswith("These models can be merged: begin with average.")
    said = "There is no forecast: 'sklearn' is needed here and is not installed"
    assert said in done.out.replace("\n", " ")
    assert "forecast quality" not in done.out
    page = html.unescape(Path("page/report.html").read_text())
    assert said in page
    assert cli("report", "page", "--quiet").code == 0
    assert html.unescape(Path("page/report.html").read_text()) == page


def test_the_commands_that_are_advised_run(cli, here):
    """All but those with words in capitals, which the user fills in."""
    save_file(load_file("a.safetensors") | {"head.weight": torch.ones(3, 8)}, "c.safetensors")
    ran = set()
    for models in (MODELS, (*MODELS, "d"), ("a.safetensors", "c.safetensors")):
        for step in cli("diagnose", *models, "--json").json["steps"]:
            words = shlex.split(step["command"])
            if words and "NETWORK" not in words:
                ran.add(words[1])
                assert cli(*words[1:]).code == 0, step
                for made in ("merged.safetensors", "merged.safetensors.merge.json"):
                    Path(made).unlink(missing_ok=True)
    assert ran >= {"merge", "diagnose"}


def test_a_page_if_it_is_asked_for(cli, here):
    done = cli("diagnose", *MODELS, "--out", "page")
    assert "report.html has the figures" in done.out
    page = Path("page/report.html").read_text()
    assert "These models can be merged" in page
    told = json.loads(Path("page/results.json").read_text())
    assert told["mergeable"] is True
    assert len(Path("page/results.csv").read_text().splitlines()) == 1 + 3
    before = set(here.iterdir())
    cli("diagnose", *MODELS)
    assert set(here.iterdir()) == before


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ([], 2, "no model given"),
        (["a.safetensors"], 2, "give two or more"),
        (["d"], 2, "give two or more"),
        ([*MODELS, "--network", "mlp"], 2, "network and data go together"),
        ([*MODELS, "--workers", "0"], 2, "--workers must be at least 1"),
        ([*MODELS, "--pool", "1"], 1, "pool is for the folder of a run"),
        ([*MODELS, "--memory", "1KiB"], 1, "memory is"),
        ([*MODELS, "--memory", "much"], 1, "much"),
        ([*MODELS, "--bas", "base.safetensors"], 2, "--bas"),
        (["a.safetensors", "a.safetensor"], 1, "Did you mean a.safetensors"),
        ([*MODELS, "--network", "mpl", "--data", "digits"], 1, "mpl"),
        ([*MODELS, "--network", "mlp", "--data", "digit"], 1, "digit"),
        ([*MODELS, "--network", "mlp", "--data", "digits"], 1, "does not fit"),
        ([*MODELS, "--network", "{name: mlp", "--data", "digits"], 2, "diagnosis: network"),
    ],
)
def test_errors_are_told_in_words_with_their_code(cli, here, words, code, said):
    done = cli("diagnose", *words)
    assert (done.code, done.out) == (code, "")
    assert said in done.err
    assert cli("diagnose", *words, "--json").json["error"]


def test_a_damaged_file_is_told_and_a_damaged_tensor_is_a_finding(cli, here):
    Path("cut.safetensors").write_bytes(Path("a.safetensors").read_bytes()[:-50])
    done = cli("diagnose", "a.safetensors", "cut.safetensors")
    assert done.code == 1
    assert "cut.safetensors" in done.err
    state = load_file("b.safetensors")
    state["head.weight"][0, 0] = math.nan
    save_file(state, "bad.safetensors")
    done = cli("diagnose", *MODELS, "bad.safetensors")
    assert done.code == 0
    assert "bad holds NaN or infinity in 'head.weight'" in done.out


def test_a_run_is_diagnosed_around_its_start(cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("e.yml").write_text(
        "network: {name: mlp, width: 16, depth: 1}\ndata: digits\n"
        "ingredients: {count: 2, share: pretrained, epochs: 1, pretrain: {epochs: 1}}\n"
    )
    assert cli("train", "e.yml", "--out", "run", "--quiet").code == 0
    found = cli("diagnose", "run", "--json").json
    assert found["same_origin"] is True
    assert len(found["bases"]) == 2
    network = "{name: mlp, width: 16, depth: 1}"
    seen = cli("diagnose", "run", "--network", network, "--data", "digits", "--json").json
    assert len(seen["gradients"]["models"]) == 2
    assert cli("diagnose", "run", "--out", "run").code == 1


def test_a_results_file_repeats_the_diagnosis(cli, here):
    words = ("diagnose", *MODELS, "--base", "base.safetensors", "--out", "one")
    assert cli(*words).code == 0
    assert cli("diagnose", "one/results.json", "--out", "two").code == 0
    quiet = cli("study", "one/results.json", "--out", "three", "--quiet")
    assert "These models" in quiet.out
    assert quiet.err == ""
    told = [json.loads(Path(name, "results.json").read_text()) for name in ("one", "two", "three")]
    heads = [one.pop("report") for one in told]
    assert told[0] == told[1] == told[2]
    assert heads[0]["study"] == heads[1]["study"] == heads[2]["study"]
    assert heads[0]["study"] == {"name": "diagnosis", "network": None, "data": None}
    assert heads[0]["subject"] == {"models": list(MODELS), "base": "base.safetensors"}
    idle = cli("diagnose", "one/results.json", "--base", "base.safetensors")
    assert (idle.code, idle.out) == (2, "")
    assert "says itself" in idle.err
    assert cli("study", "scopes", *MODELS, "--out", "scopes").code == 0
    assert "stockpot study scopes/results.json" in cli("diagnose", "scopes/results.json").err
