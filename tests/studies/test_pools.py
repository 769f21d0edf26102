"""Pools of an experiment for studies: trained once, found again, refused where they do not fit."""

from pathlib import Path

import pytest

from stockpot.errors import CheckpointError, FieldError
from stockpot.studies import open_pools

EXPERIMENT = """
network: {name: mlp, width: 8}
data: digits
ingredients: {count: 2, share: none, epochs: 1}
compare: {seeds: 2}
"""


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    path = tmp_path / "experiment.yml"
    path.write_text(EXPERIMENT)
    return path


def test_an_experiment_is_trained_within_the_studys_folder(experiment: Path, tmp_path: Path):
    trial = open_pools(experiment, tmp_path / "study")
    assert trial.run == tmp_path / "study" / "run"
    assert [pool.seed for pool in trial.pools] == [0, 1]
    assert all(one.path.is_relative_to(trial.run) for pool in trial.pools for one in pool.kept)


def test_a_run_that_is_there_is_not_trained_again(experiment: Path, tmp_path: Path):
    first = open_pools(experiment, tmp_path / "study")
    changed = [one.path.stat().st_mtime_ns for pool in first.pools for one in pool.kept]
    again = open_pools(first.run, tmp_path / "other")
    assert [one.path.stat().st_mtime_ns for pool in again.pools for one in pool.kept] == changed
    assert again.experiment == first.experiment
    assert not (tmp_path / "other").exists()


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path):
    with pytest.raises(CheckpointError, match="is no run of an experiment"):
        open_pools(tmp_path, tmp_path / "study")


def test_a_run_that_is_not_finished_is_refused(experiment: Path, tmp_path: Path):
    listing = open_pools(experiment, tmp_path / "study").run / "experiment.json"
    listing.write_text(listing.read_text().replace('"complete": true', '"complete": false'))
    with pytest.raises(CheckpointError, match="stockpot train first"):
        open_pools(listing.parent, tmp_path)


def test_tasks_are_refused(tmp_path: Path):
    path = tmp_path / "tasks.yml"
    path.write_text(
        "network: {name: mlp, width: 8}\n"
        "tasks: [{name: a, data: digits}, {name: b, data: digits}]\n"
        "ingredients: {epochs: 1}\n"
    )
    with pytest.raises(FieldError, match="has tasks"):
        open_pools(path, tmp_path / "study")
