"""The study of weights against features over an experiment, and its command."""

import json
import math

import pytest
import torch

from stockpot.cli.app import execute
from stockpot.errors import FieldError
from stockpot.studies import WeightsFeatures, open_pools

EXPERIMENT = """
sweep:
  network: [{name: linear}, {name: mlp, width: 8}, {name: resnet-8, width: 4}]
data: digits
split: {limit: 80}
ingredients: {count: 3, share: none, epochs: 1}
compare: {seeds: 2}
"""


@pytest.fixture(scope="module")
def trial(tmp_path_factory):
    path = tmp_path_factory.mktemp("features") / "experiment.yml"
    path.write_text(EXPERIMENT)
    return open_pools(path, path.parent / "study")


@pytest.fixture(scope="module")
def found(trial):
    return WeightsFeatures(samples=150)(trial)


def test_every_cell_pool_and_variant_is_there(found):
    assert found.cells == ("linear", "mlp-width-8", "resnet-8-width-4")
    assert found.variants("mlp-width-8") == ("merged",)
    assert found.variants("resnet-8-width-4") == ("merged", "merged:bn")
    assert [one.layer for one in found.places("mlp-width-8")] == [
        *("body.1", "body.2", "body.3", "body.4", "head")
    ]
    assert {row.seed for row in found.rows} == {0, 1}
    assert found.features("mlp-width-8").layer == "body.4"
    assert found.features("linear").layer == "head"


def test_without_nonlinearity_and_depth_there_is_no_gap(found):
    assert found.at("linear", "merged", 0, "distance").value < 1e-6
    assert found.gap("linear").value == 0
    assert found.score("linear", "merged") == found.score("linear", "logits-ensemble")
    assert any("beyond rounding" in one for one in found.sentences)


def test_with_nonlinearity_there_is_one(found):
    for cell in found.cells[1:]:
        assert found.at(cell, "merged", 0, "distance").value < 1e-6  # the first layer is linear
        assert found.at(cell, "merged", found.features(cell).place, "distance").value > 0.1
        assert found.mean_own(cell, "activation").value > 0.01
    assert found.mean_own("mlp-width-8", "normalisation") is None


def test_reestimated_statistics_are_those_of_the_merged_network(found):
    """Where the first batch norm averages statistics of other features than it then sees."""
    cell = "resnet-8-width-4"
    places = [one.place for one in found.places(cell) if one.kind == "normalisation"]
    variances = [
        [found.at(cell, variant, place, "variance").value for place in places]
        for variant in found.variants(cell)
    ]
    assert variances[0] != variances[1]
    first = found.at(cell, "merged:bn", 0, "distance").value
    assert first == found.at(cell, "merged", 0, "distance").value


def test_the_same_study_gives_the_same_numbers(trial, found):
    torch.manual_seed(5)
    assert WeightsFeatures(samples=150)(trial).to_csv() == found.to_csv()


def test_fewer_ingredients_and_what_is_refused(trial, found):
    two = WeightsFeatures(count=2, samples=20)(trial)
    assert ("ingredients", "2 of a pool, averaged") in two.facts
    for count, samples in ((4, 20), (1, 20), (2, 1)):
        with pytest.raises(FieldError, match=r"two ingredients or more|least 2|in \[2, ∞"):
            WeightsFeatures(count=count, samples=samples)(trial)


def test_the_command_writes_files_that_hold_the_numbers(trial, found, tmp_path, capsys):
    out = tmp_path / "out"
    words = ["study", "weights-features", str(trial.run), "--out", str(out), "--samples", "150"]
    assert execute(words) == 0
    assert found.sentences[0] in " ".join(capsys.readouterr().out.split())
    told = json.loads((out / "results.json").read_text())
    assert told["rows"] == found.as_dict()["rows"]
    assert (out / "results.csv").read_text() == found.to_csv()
    assert "<html" in (out / "report.html").read_text()
    assert execute([*words, "--count", "1"]) == 2
    assert "count must be a whole number in [2, ∞), or nothing; got 1" in capsys.readouterr().err
    assert execute([*words[:-1], "1"]) == 2
    assert execute(["study", "templates", str(tmp_path / "none.yml"), "--out", str(out)]) == 1
    assert "Traceback" not in capsys.readouterr().err


def test_templates_of_the_run_as_a_command(trial, tmp_path, capsys):
    out = tmp_path / "out"
    assert execute(["study", "templates", str(trial.run), "--out", str(out), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {row["kind"] for row in told["rows"]} == {"classes", "units", "kernels"}
    page = (out / "report.html").read_text()
    assert page.count("<figure id=") == 6
    assert all(math.isfinite(row["contrast"]) for row in told["rows"])
