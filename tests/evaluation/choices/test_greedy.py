import pytest

from stockpot.evaluation.choices.greedy import GreedyStep, greedy_members, select_with_replacement


def test_the_greedy_recipe_by_hand():
    asked = []
    soups = {(1, 2): 0.8, (1, 2, 0): 0.7, (1, 2, 3): 0.9}

    def score(members):
        asked.append(members)
        return soups[members]

    found = greedy_members({0: 0.5, 1: 0.8, 2: 0.6, 3: 0.4}, score)
    assert asked == [(1, 2), (1, 2, 0), (1, 2, 3)]  # sorted; a tie stays; a loss leaves
    assert found.members == (1, 2, 3)
    assert found.score == 0.9
    assert found.steps == (
        GreedyStep(1, 0.8, accepted=True),
        GreedyStep(2, 0.8, accepted=True),
        GreedyStep(0, 0.7, accepted=False),
        GreedyStep(3, 0.9, accepted=True),
    )


@pytest.mark.parametrize("count", [1, 2, 10])
def test_at_most_k_evaluations_and_the_best_alone_where_nothing_helps(count):
    asked = []

    def score(members):
        asked.append(members)
        return -1.0

    found = greedy_members({i: i / 100 for i in range(count)}, score)
    assert len(asked) == count - 1
    assert found.members == (count - 1,)
    assert [step.accepted for step in found.steps] == [True] + [False] * (count - 1)


def test_equals_are_tried_as_they_were_given():
    found = greedy_members({5: 0.5, 2: 0.5, 9: 0.5}, lambda _: 0.0)
    assert [step.candidate for step in found.steps] == [5, 2, 9]


def test_selection_with_replacement_weighs_and_keeps_the_best_round():
    target = {0: 2, 1: 1}

    def score(counts):
        total = sum(counts.values())
        shares = [counts.get(i, 0) / total - target.get(i, 0) / 3 for i in range(3)]
        return -sum(share**2 for share in shares)

    assert dict(select_with_replacement([0, 1, 2], score)) == target


def test_selection_takes_the_smaller_of_equals_and_never_what_is_no_number():
    assert dict(select_with_replacement([4, 7], lambda _: 1.0)) == {4: 1}
    worth = {4: float("nan"), 7: 0.1}
    found = select_with_replacement([4, 7], lambda some: min(worth[one] for one in some))
    assert dict(found) == {7: 1}
    assert dict(select_with_replacement([4, 7], lambda _: float("nan"))) == {4: 1}
