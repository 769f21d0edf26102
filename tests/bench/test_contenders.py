import json
from pathlib import Path

from bench.contenders import CASES, mergekit_config, mergekit_environment
from bench.family import MODELS
from bench.table import Table, judged

PATHS = {model: Path("/models") / model for model in MODELS}


def test_every_configuration_names_its_base_and_its_inputs():
    for case in CASES:
        config = json.loads(mergekit_config(case, PATHS, "float32"))
        models = [entry["model"] for entry in config["models"]]
        assert models == [f"/models/{name}" for name in case.inputs]
        assert (config["base_model"] in models) == (not case.base)


def test_mergekit_does_not_see_another_package(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "src")
    assert "PYTHONPATH" not in mergekit_environment()


def test_a_missed_target_is_said():
    assert judged("3.1x", 3.1, at_least=4).endswith("MISSED)")
    assert judged("2.0", 2.0, at_most=2.5).endswith("met)")


def test_a_table_is_markdown():
    table = Table("Seconds", ("merge", "s"), [("average", "1")], note="Why.")
    assert table.markdown().splitlines()[2:5] == [
        "| merge | s |",
        "| --- | ---: |",
        "| average | 1 |",
    ]
