"""Several methods side by side settle what each would alone, with as few surveys as that takes."""

from collections import Counter
from functools import reduce

import pytest
import torch

from stockpot.asides import Where
from stockpot.core import Method, Settled, Stack
from stockpot.methods import Dare, Median, ModelStock, Slerp, TaskArithmetic, Ties
from stockpot.ops.abreast import (
    Abreast,
    Merges,
    is_final,
    settle_abreast,
    settlers,
    survey_abreast,
)


def stack(numel: int = 200, count: int = 2) -> Stack:
    rows = torch.randn(count + 1, numel, generator=torch.Generator().manual_seed(1))
    return Stack(models=list(rows[1:]), weights=(1.0,) * count, base=rows[0], name="w")


def alone(method: Method, seen: Stack) -> Settled:
    hint: Settled | None = None
    while hint is None or not hint.final:
        hint = method.settle(method.survey(seen, hint), hint)
    return hint


def test_who_settles_for_whom() -> None:
    methods = [Ties(), Ties(scale=2.0), Median(), Ties(density=0.5), Dare(rescale="norm")]
    some, of = settlers(methods)
    assert some == (Ties(), Ties(density=0.5), Dare(rescale="norm"))
    assert of == (0, 0, None, 1, 2)
    assert settlers([Median(), TaskArithmetic()]) == ((), (None, None))


def test_each_settles_what_it_would_alone() -> None:
    methods = (Ties(), Ties(density=0.5), ModelStock(), ModelStock(clip=False), Slerp(t=0.1))
    seen, parts = stack(), (None,) * 5
    while not all(map(is_final, parts)):
        parts = settle_abreast(methods, survey_abreast(methods, seen, parts), parts)
    assert parts == tuple(alone(method, seen) for method in methods)


def test_facts_join_method_by_method() -> None:
    methods = (Ties(), ModelStock())
    whole = stack()
    blocks = [
        Stack(
            models=[row[a : a + 50] for row in whole.models],
            weights=whole.weights,
            base=whole.anchor[a : a + 50],
        )
        for a in range(0, 200, 50)
    ]
    found = [survey_abreast(methods, block, (None, None)) for block in blocks]
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        joined = reduce(Abreast.join, [found[i] for i in order]).close()
        parts = settle_abreast(methods, joined, (None, None))
        assert parts[0] == alone(Ties(), whole)


def test_those_that_ask_the_same_share_a_survey(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = Counter[str]()
    for cls in (Ties, Slerp):
        survey = cls.survey

        def counted(self: Method, *args: object, survey: object = survey) -> object:
            calls[type(self).__name__] += 1
            return survey(self, *args)  # type: ignore[operator]

        monkeypatch.setattr(cls, "survey", counted)
    some = (Ties(), Ties(density=0.5), Slerp(t=0.1), Slerp(t=0.9))
    survey_abreast(some, stack(), (None,) * 4)
    assert calls == {"Ties": 1, "Slerp": 1}
    apart = [Settled({"low": (0.0,), "high": (9.0,), "wide": (0.0,)}, final=False) for _ in "ab"]
    hints = (apart[0], apart[1], None, None)
    survey_abreast((Ties(), Ties(density=0.5)), stack(count=1), hints)
    assert calls["Ties"] == 2


def test_the_settled_and_the_unsampled_are_not_asked() -> None:
    done = Settled({"t": (0.5,)})
    facts = survey_abreast((ModelStock(), Ties()), stack(), (done, None))
    assert facts.of == (None, 0)
    parts = settle_abreast((ModelStock(), Ties()), facts, (done, None))
    assert parts[0] is done
    seen = stack()
    sample = Stack(models=seen.models, weights=seen.weights, base=seen.base, runs=2)
    assert survey_abreast((ModelStock(), Ties()), sample, (None, None)).of == (None, 0)


def test_merges_are_rows_made_when_asked_for() -> None:
    seen = stack()
    rows = Merges([TaskArithmetic(), Median()], [None, None], seen, with_models=True)
    assert len(rows) == 4
    assert torch.equal(rows[0], TaskArithmetic()(seen, None))
    assert torch.equal(rows[-1], seen.models[1])
    assert [torch.equal(a, b) for a, b in zip(rows[1:3], [rows[1], rows[2]], strict=True)] == [
        True
    ] * 2
    assert rows[0] is not rows[0]
    assert not rows.fresh
    assert Merges([Median()], [None], seen, with_models=False).fresh
    with pytest.raises(IndexError):
        rows[4]


def test_merges_are_not_counted() -> None:
    class Refusing:
        def tell(self, name: str, what: object) -> None:
            raise AssertionError

        def give(self, name: str, values: torch.Tensor, model: int | None) -> None:
            raise AssertionError

    seen = Stack(models=stack().models, weights=(1.0, 1.0), aside=Refusing())

    class Counting(Median):
        def __call__(self, stack: Stack, settled: Settled | None) -> torch.Tensor:
            stack.tell("all", Where(stack.models[0]))
            return stack.models[0]

    with pytest.raises(AssertionError):
        Counting()(seen, None)
    assert torch.equal(Merges([Counting()], [None], seen, with_models=False)[0], seen.models[0])
