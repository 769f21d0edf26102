"""A search over CART's rank and scale decomposes the models once."""

import json
from collections import Counter

import pytest
import torch

from stockpot.engine.options import Options
from stockpot.experiments.experiment import parse_experiment
from stockpot.factors.sharing import factoring_of
from stockpot.methods import Average, Cart, cart, cart_factors
from stockpot.recipes.reading.recipe import parse_recipe
from stockpot.recipes.reading.searching import space_of
from stockpot.recipes.reading.space import Candidate
from stockpot.training import train_experiment
from stockpot.training.jobs import search as searched
from stockpot.training.jobs.candidates import Candidates
from stockpot.training.jobs.search import search

TASKS = {
    "network": {"name": "mlp", "width": 24},
    "tasks": [
        {"name": "plain", "data": "digits", "limit": 200, "judge_limit": 100},
        {"name": "dark", "data": "digits", "invert": True, "limit": 200, "judge_limit": 90},
        {"name": "turned", "data": "digits", "rotate": 90, "limit": 200, "judge_limit": 90},
    ],
    "ingredients": {"pretrain": {"epochs": 1, "lr": 0.01}, "epochs": 2, "lr": 0.01},
}
AXES = {"rank": [0.1, 0.6], "scale": [0.5, 2.0]}
METHOD = {"name": "cart", "rank": 0.25, "tensors": "matrices"}


@pytest.fixture(scope="module")
def tasks(tmp_path_factory):
    experiment = parse_experiment(TASKS)
    (pool,) = train_experiment(experiment, tmp_path_factory.mktemp("tasks"))
    return experiment, pool


def recipe(pool, **more):
    models = [str(one.path) for one in pool.kept]
    return parse_recipe({"method": METHOD, "models": models, "search": AXES} | more)


@pytest.fixture
def decomposed(monkeypatch):
    """How many matrices were decomposed for factors, and for whole merges."""
    counts = Counter()
    for place in (cart_factors, cart):

        def counting(matrix, ranks, place=place, plain=place.top_k):
            counts[place.__name__.rpartition(".")[2]] += 1
            return plain(matrix, ranks)

        monkeypatch.setattr(place, "top_k", counting)
    return counts


def prepared(tasks, folder, **more):
    experiment, pool = tasks
    table = Candidates.open(recipe(pool, **more), experiment, "cpu", Options())
    wanted = table.recipe
    space = space_of(wanted.method, 3, wanted.search, wanted.weights)
    return table, factoring_of(wanted, space, {}, folder, Options())


def test_models_are_decomposed_once_for_all_trials(tasks, tmp_path, decomposed):
    experiment, pool = tasks
    found = search(recipe(pool), experiment, tmp_path, budget={"trials": 9, "sampler": "random"})
    matrices = len(found.recipe.models) * 2  # two linear layers of the body; heads are copied
    assert decomposed["cart_factors"] == matrices
    judged = {row.method for row in found.comparison.rows} - {"uniform-soup"}
    assert len(found.comparison.attempts) == 9
    # The defaults, which take tensors "auto", and what is judged at the end, are merged from the
    # models; the winner once more into its file. The six drawn at random are not.
    assert decomposed["cart"] == matrices * (1 + len(judged) + 1)
    assert "once, at rank 0.6" in dict(found.comparison.facts)["decomposed"]
    assert not (tmp_path / "factors").exists()


def test_trials_score_as_whole_merges_do(tasks, tmp_path, monkeypatch):
    experiment, pool = tasks
    shared = search(recipe(pool), experiment, tmp_path / "a", budget={"trials": 7})
    monkeypatch.setattr(searched, "factoring_of", lambda *_: "")
    whole = search(recipe(pool), experiment, tmp_path / "b", budget={"trials": 7})
    assert [one.score for one in shared.comparison.attempts] == [
        one.score for one in whole.comparison.attempts
    ]
    assert shared.merged.read_bytes() == whole.merged.read_bytes()


def test_a_candidate_from_factors_is_its_merge(tasks, tmp_path):
    table, factoring = prepared(tasks, tmp_path)
    for rank, scale in ((0.6, 1.0), (0.1, 2.0), (0.25, 0.0)):
        candidate = Candidate(Cart(rank=rank, scale=scale, tensors="matrices"))
        made, expected = factoring.merge(candidate), table.merge(candidate)
        assert made.keys() == expected.keys()
        for name, tensor in expected.items():
            torch.testing.assert_close(made[name], tensor, rtol=0, atol=2e-6, msg=name)


def test_others_are_merged_from_the_models(tasks, tmp_path):
    _, factoring = prepared(tasks, tmp_path)
    like = Cart(rank=0.25, tensors="matrices")
    assert factoring.merge(Candidate(like)) is not None
    for method in (
        Average(),
        Cart(rank=0.7, tensors="matrices"),
        Cart(rank=0.25, tensors="auto"),
        Cart(rank_count=2, tensors="matrices"),
        Cart(rank=0.25, tensors="matrices", around="base"),
    ):
        assert factoring.merge(Candidate(method)) is None
    assert factoring.merge(Candidate(like, (1.0, 2.0, 1.0))) is None


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"search": {"scale": [0.5, 2.0], "weights": "simplex"}}, "each trial: weights changes"),
        ({"layers": {"rank": [0.1, 0.4]}, "search": {"scale": [0.5, 2.0]}}, "one CART for all"),
        ({"rules": [{"match": "*1*", "method": METHOD | {"rank": 0.5}}]}, "one CART for all"),
        ({"method": METHOD | {"rank_count": 3}, "search": {"scale": [0.5, 2.0]}}, "as a fraction"),
        ({"method": "ties", "search": {"density": [0.1, 0.5]}, "base": "base"}, ""),
    ],
)
def test_nothing_is_shared_where_factors_would_not_do(tasks, tmp_path, more, why):
    _, pool = tasks
    if "base" in more:
        more = more | {"base": str(pool.base)}
    _, factoring = prepared(tasks, tmp_path / "f", **more)
    assert isinstance(factoring, str)
    assert why in factoring
    assert bool(why) == bool(factoring)
    assert not (tmp_path / "f").exists()


def test_why_a_search_works_without_factors_is_said(tasks, tmp_path):
    experiment, pool = tasks
    (tmp_path / "file").write_text("")
    found = search(
        recipe(pool), experiment, tmp_path / "out", budget={"trials": 3}, factors=tmp_path / "file"
    )
    assert "for each trial" in dict(found.comparison.facts)["decomposed"]


def test_factors_are_kept_for_the_next_search_where_a_folder_is_named(tasks, tmp_path, decomposed):
    experiment, pool = tasks
    store = tmp_path / "store"
    first = search(
        recipe(pool), experiment, tmp_path / "a", budget={"trials": 4, "seed": 1}, factors=store
    )
    made = decomposed["cart_factors"]
    assert made
    lower = recipe(pool, search={"rank": [0.1, 0.3], "scale": [0.1, 3.0]})
    search(lower, experiment, tmp_path / "b", budget={"trials": 4, "seed": 2}, factors=store)
    assert decomposed["cart_factors"] == made
    (kept,) = store.glob("*/merge.json")
    assert json.loads(kept.read_text(encoding="utf8"))["recipe"]["method"]["rank"] == 0.6
    assert not (tmp_path / "a" / "factors").exists()
    assert first.merged.exists()
