"""Every experiment that the project shows is one that it reads."""

from pathlib import Path

import pytest

from stockpot.evaluation import COLUMNS
from stockpot.recipes import experiment
from stockpot.recipes.experiment import read_experiment

FILES = sorted((Path(__file__).parents[2] / "examples").rglob("*.yml"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_examples_are_experiments(file: Path) -> None:
    read = read_experiment(file)
    trains = read.trains_tasks or not read.tasks
    assert read.compare.seeds >= (3 if trains else 1)
    assert list(read.cells())


def test_there_are_examples() -> None:
    assert len(FILES) >= 12


def test_the_columns_of_an_experiment_are_those_of_a_comparison() -> None:
    assert set(experiment.COLUMNS) == set(COLUMNS)
