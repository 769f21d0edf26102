"""Every experiment that the project shows is one that it reads."""

from pathlib import Path

import pytest

from stockpot.evaluation.contests.columns import COLUMNS
from stockpot.experiments import experiment
from stockpot.experiments.experiment import read_experiment
from stockpot.experiments.federated import parse_federation, read_federation

ALL = sorted((Path(__file__).parents[2] / "examples").rglob("*.yml"))
FEDERATED = [file for file in ALL if file.name.startswith("federated")]
FILES = [file for file in ALL if file not in FEDERATED]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_examples_are_experiments(file: Path) -> None:
    read = read_experiment(file)
    trains = read.trains_tasks or not read.tasks
    assert read.compare.seeds >= (3 if trains else 1)
    assert list(read.cells())


@pytest.mark.parametrize("file", FEDERATED, ids=lambda file: file.stem)
def test_federated_examples_are_experiments(file: Path) -> None:
    read = read_federation(file)
    assert read.federated.seeds >= 3
    assert parse_federation(read.resolved()) == read


def test_there_are_examples() -> None:
    assert len(FILES) >= 12
    assert len(FEDERATED) >= 2


def test_the_columns_of_an_experiment_are_those_of_a_comparison() -> None:
    assert set(experiment.COLUMNS) == set(COLUMNS)
