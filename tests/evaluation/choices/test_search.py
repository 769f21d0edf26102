"""Searches: starts first, the worst scores, resuming to the same trials, and what is refused."""

import math
from typing import get_args

import pytest

from stockpot.errors import FieldError, MergeError, NonFiniteError, OutputError
from stockpot.evaluation.choices.search import WORST, Search, attempts_of, best_of
from stockpot.methods import Average, TaskArithmetic, Ties
from stockpot.recipes.reading.searching import Budget, Sampler, read_axis, space_of
from stockpot.recipes.reading.space import Candidate

AXES = {"scale": read_axis([0.1, 2.0]), "density": read_axis([0.1, 1.0])}
STARTS = {
    "uniform-soup": Candidate(Average()),
    "defaults": Candidate(Ties()),
    "given": Candidate(Ties(scale=0.3, density=0.9)),
}


def search(sampler="random", trials=12, seed=0, axes=AXES, starts=STARTS):
    return Search(
        space=space_of(Ties(), 3, axes),
        starts=starts,
        budget=Budget(trials=trials, sampler=sampler, seed=seed),
    )


class Hill:
    """A smooth score that counts how often it is asked, and may stop like Ctrl-C does."""

    def __init__(self, stop=math.inf):
        self.asked, self.stop = 0, stop

    def __call__(self, candidate):
        if self.asked >= self.stop:
            raise KeyboardInterrupt
        self.asked += 1
        if isinstance(candidate.method, Average):
            return -3.0
        return -((candidate.method.scale - 0.7) ** 2) - (candidate.method.density - 0.4) ** 2


@pytest.mark.parametrize("sampler", get_args(Sampler))
def test_starts_come_first_and_the_best_is_no_worse_than_any_of_them(sampler):
    score = Hill()
    tried = search(sampler).run(score)
    assert [one.number for one in tried] == list(range(12)) == list(range(score.asked))
    assert {one.origin: one.candidate for one in tried[:3]} == STARTS
    assert {one.origin for one in tried[3:]} == {sampler}
    assert all(best_of(tried).score >= one.score for one in tried)
    assert tried == search(sampler).run(Hill())
    assert tried[3:] != search(sampler, seed=1).run(Hill())[3:]


@pytest.mark.parametrize("sampler", get_args(Sampler))
@pytest.mark.parametrize("stop", [0, 2, 7])
def test_broken_off_it_goes_on_to_the_same_trials(sampler, stop, tmp_path):
    whole, journal = search(sampler).run(Hill()), tmp_path / "journal.log"
    with pytest.raises(KeyboardInterrupt):
        search(sampler).run(Hill(stop), journal=journal)
    with journal.open("ab") as file:
        file.write(b'{"op_code": 4, "wor')  # a kill within a line
    rest = Hill()
    assert search(sampler).run(rest, journal=journal) == whole
    assert rest.asked == 12 - stop
    again = Hill()
    assert search(sampler).run(again, journal=journal) == whole
    assert again.asked == 0
    assert search(sampler, trials=15).run(again, journal=journal)[:12] == whole
    assert again.asked == 3


def test_what_is_no_number_or_cannot_be_merged_is_worst():
    problems = iter([math.nan, math.inf, MergeError("sums to zero"), NonFiniteError("NaN in w")])

    def score(candidate):
        if candidate in STARTS.values():
            return -1.0
        one = next(problems, 0.0)
        if isinstance(one, Exception):
            raise one
        return one

    tried = search("tpe", trials=20).run(score)
    assert [one.score for one in tried[3:7]] == [WORST] * 4
    assert [one.problem for one in tried[5:7]] == ["sums to zero", "NaN in w"]
    assert best_of(tried).number == 7
    rows = attempts_of("ties", search(), tried, -1)
    assert [row.score for row in rows[3:5]] == [math.inf] * 2
    assert [row.number for row in rows if row.leads] == [0, 7]


def test_a_start_that_cannot_be_merged_ends_the_search():
    def score(candidate):
        raise MergeError("'w' is (2, 2)")

    with pytest.raises(MergeError, match="is \\(2, 2\\)"):
        search().run(score)


def test_equal_candidates_are_scored_once():
    axes = {"density": read_axis([0.1, 0.2, 0.5])}
    score = Hill()
    first = {"defaults": Candidate(Ties())}
    tried = search("random", trials=20, axes=axes, starts=first).run(score)
    assert len(tried) == 20
    assert score.asked == len({one.candidate for one in tried}) == 3
    grid = search("grid", trials=20, axes=axes, starts=first).run(Hill())
    assert len(grid) == 3  # the default is one of them


def test_equal_starts_are_one():
    starts = {"uniform-soup": Candidate(Ties()), "given": Candidate(Ties())}
    assert [one.origin for one in search(trials=2, starts=starts).run(Hill())] == [
        "uniform-soup",
        "random",
    ]


def test_what_cannot_be_searched_is_refused(tmp_path):
    with pytest.raises(FieldError, match="nothing to search"):
        Search(space=space_of(Average(), 1, {}), starts={}, budget=Budget(trials=3))
    space = space_of(TaskArithmetic(), 2, {})
    with pytest.raises(FieldError, match="cma-es needs two or more ranges to adapt to; scale"):
        Search(space=space, starts={}, budget=Budget(trials=3, sampler="cma-es"))
    journal = tmp_path / "journal.log"
    journal.write_text("no journal\n")
    with pytest.raises(OutputError, match="no journal of a search"):
        search().run(Hill(), journal=journal)
