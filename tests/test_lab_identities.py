"""What the columns of the lab must be equal to in special cases, or nothing it says counts."""

import copy
from itertools import repeat

import pytest
import torch
from torch import nn

from stockpot.data import Dataset, Splits
from stockpot.errors import StockpotError
from stockpot.evaluation import compare_pools, logits_ensemble, predict, soup
from stockpot.evaluation.contests.columns import COLUMNS
from stockpot.evaluation.contests.contest import Contest, Resamplers
from stockpot.evaluation.contests.ledger import Entrant, Ledger
from stockpot.evaluation.contests.subset import ColumnOptions, Subset, scores_of_singles
from stockpot.evaluation.predictions.predict import Tally
from stockpot.evaluation.scores.metrics import METRICS
from stockpot.evaluation.scores.singles import run_singles

from .evaluation.making import (
    Linear,
    counted,
    few_digits,
    fitted,
    mlp,
    noisy,
    pool_of,
    trained_pool,
)

BITWISE = {
    "single-best",
    "uniform-soup",
    "greedy-soup",
    "learned-soup",
    "logits-ensemble",
    "greedy-logits-ensemble",
    "caruana-logits-ensemble",
    "features-ensemble",
    "features-ensemble-first-head",
    "greedy-features-ensemble",
    "distilled",
}
"""The others pass through a logarithm or a division, which round."""


@pytest.fixture(scope="module")
def splits() -> Splits:
    return few_digits()


@pytest.fixture(scope="module")
def network(splits: Splits) -> nn.Module:
    return fitted(mlp(), splits.train, 0)


def as_it_is(start: nn.Module, data: Dataset, targets: torch.Tensor, seed: int) -> nn.Module:
    """A student that has nothing to learn."""
    return start


def entrants(subset: Subset) -> dict[str, Entrant]:
    return {one.method: one for column in COLUMNS.values() for one in column(subset)}


def subset_of(pool, members=None) -> Subset:
    singles = run_singles(pool, splits=("selection", "test", "train"))
    chosen = tuple(range(len(pool))) if members is None else members
    contest = Contest(metric=METRICS["accuracy"], ledger=Ledger("", ["data"]))
    exam = Resamplers(repeat(0)).exam(pool.splits)
    return Subset(
        contest=contest,
        exam=exam,
        singles=singles,
        single_scores=scores_of_singles(contest, exam, singles),
        members=chosen,
        options=ColumnOptions(distil=as_it_is),
    )


@pytest.mark.parametrize("copies", [1, 2, 3, 5, 7])
def test_one_model_and_copies_of_it_are_the_model_in_every_column(splits, network, copies) -> None:
    pool = pool_of([copy.deepcopy(network) for _ in range(copies)], splits)
    subset = subset_of(pool)
    for split, data in (("selection", splits.selection), ("test", splits.test)):
        expected = predict(network, data).logits
        for name, entrant in entrants(subset).items():
            found = entrant.predictions[split].logits
            if name == "temperature-ensemble":
                found = found * subset.singles.temperatures[0]
            if name == "probabilities-ensemble":
                found, wanted = found.softmax(1), expected.softmax(1)
            else:
                wanted = expected
            torch.testing.assert_close(found, wanted, msg=name)
            if name in BITWISE:
                assert torch.equal(found, expected), name


def test_of_copies_every_score_is_the_models(splits, network) -> None:
    found = compare_pools(
        [pool_of([network, network, network], splits)], methods=list(COLUMNS), distil=as_it_is
    )
    for split in ("selection", "test"):
        rows = [r for r in found.rows if (r.split, r.metric) == (split, "accuracy")]
        assert len({round(r.value, 12) for r in rows}) == 1
        assert len({(round(r.low, 12), round(r.high, 12)) for r in rows}) == 1
    assert found.verdict is not None
    assert (found.verdict.choice, found.verdict.preferred) == ("nothing-to-decide", "single-best")
    assert "all candidates give the same answers on all" in found.conclusion


def test_a_linear_networks_uniform_soup_is_its_logits_ensemble(splits) -> None:
    class Plain(Linear):
        def __init__(self, seed: int = 0) -> None:
            super().__init__(seed)
            self.body = nn.Sequential(nn.Flatten())
            self.head = nn.Linear(64, 10)
            self.eval()

    pool = pool_of([Plain(seed) for seed in range(4)], splits, build=Plain)
    found = entrants(subset_of(pool))
    mixed, together = (
        found[name].predictions["test"].logits for name in ("uniform-soup", "logits-ensemble")
    )
    torch.testing.assert_close(mixed, together, rtol=1e-5, atol=1e-5)
    deep = pool_of([Linear(seed) for seed in range(4)], splits, build=Linear)
    found = entrants(subset_of(deep))  # two linear layers already differ
    a, b = (found[name].predictions["test"].logits for name in ("uniform-soup", "logits-ensemble"))
    assert not torch.allclose(a, b, atol=1e-3)


def test_with_one_shared_linear_head_features_and_logits_ensembles_agree(splits, network) -> None:
    networks = [noisy(network, 0.2, seed) for seed in range(4)]
    for one in networks:
        one.head.load_state_dict(network.head.state_dict())
    found = entrants(subset_of(pool_of(networks, splits)))
    for name in ("features-ensemble", "features-ensemble-first-head"):
        torch.testing.assert_close(
            found[name].predictions["test"].logits,
            found["logits-ensemble"].predictions["test"].logits,
            rtol=1e-5,
            atol=1e-5,
        )
    networks = [noisy(network, 0.2, seed) for seed in range(4)]
    found = entrants(subset_of(pool_of(networks, splits)))
    a, b = (found[n].predictions["test"].logits for n in ("features-ensemble", "logits-ensemble"))
    assert not torch.allclose(a, b, atol=1e-3)


def test_greedy_that_likes_nothing_is_the_best_single(splits) -> None:
    # Unrelated networks: no average of two of them is any good.
    networks = [fitted(mlp(seed), splits.train, seed) for seed in (1, 2, 3)]
    subset = subset_of(pool_of(networks, splits))
    assert subset.greedy.members == (subset.best,)
    best = entrants(subset)["single-best"].predictions["test"].logits
    for name in ("greedy-soup", "greedy-logits-ensemble", "greedy-features-ensemble"):
        assert torch.equal(entrants(subset)[name].predictions["test"].logits, best), name


def test_greedy_that_likes_everything_is_the_uniform_soup(splits, network) -> None:
    subset = subset_of(pool_of([network] * 3, splits))
    assert subset.greedy.members == (0, 1, 2)
    both = entrants(subset)
    uniform, greedy = (both[n].predictions["test"].logits for n in ("uniform-soup", "greedy-soup"))
    assert torch.equal(uniform, greedy)


def test_the_greedy_soup_never_scores_below_the_best_single_on_selection(splits) -> None:
    subset = subset_of(trained_pool(5, splits))
    assert subset.greedy.score >= max(subset.scores.values())
    again = subset.score(
        predict(soup(subset.singles.pool, subset.greedy.members), splits.selection)
    )
    assert again == subset.greedy.score


def test_a_network_in_training_mode_is_refused(splits, network) -> None:
    awake = copy.deepcopy(network).train()
    with pytest.raises(StockpotError, match="training mode"):
        compare_pools([pool_of([network, awake], splits)])
    with pytest.raises(StockpotError, match="training mode"):
        compare_pools([pool_of([network, network], splits, build=lambda: mlp().train())])


def test_splits_that_overlap_are_refused(splits) -> None:
    leaking = splits.test.take(torch.arange(5))
    with pytest.raises(StockpotError, match="selection and test splits"):
        Splits(splits.train, leaking, splits.test)


def test_forward_passes_are_counted(splits, network) -> None:
    seen: list[int] = []
    networks = [counted(noisy(network, 0.1, seed), seen) for seed in range(3)]
    tally = Tally()
    singles = run_singles(pool_of(networks, splits), tally=tally)
    samples = 3 * (len(splits.selection) + len(splits.test))
    assert sum(seen) == sum(tally.samples.values()) == samples
    assert logits_ensemble(singles.runs["test"]).forwards == 3
    assert sum(seen) == samples


def test_the_order_of_an_ensembles_members_changes_nothing_beyond_rounding(splits, network) -> None:
    networks = [noisy(network, 0.2, seed) for seed in range(4)]
    one, other = (
        entrants(subset_of(pool_of(networks, splits), members))
        for members in ((0, 1, 2, 3), (3, 1, 0, 2))
    )
    for name in ("uniform-soup", "logits-ensemble", "probabilities-ensemble", "features-ensemble"):
        torch.testing.assert_close(
            one[name].predictions["test"].logits,
            other[name].predictions["test"].logits,
            rtol=1e-4,
            atol=1e-4,
        )
