"""Judging under a shift: what is run, on which samples, and that nothing is chosen on it."""

from dataclasses import replace

import pytest
import torch

from stockpot.data import (
    Collection,
    Contrast,
    Invert,
    Noise,
    OnlyClasses,
    OnlyDomain,
    Splits,
    named_views,
    split,
)
from stockpot.errors import FieldError, StockpotError
from stockpot.evaluation import (
    accuracy,
    compare_pools,
    metric_from,
    predict,
    soup,
)
from stockpot.evaluation.contests.columns import COLUMNS
from stockpot.evaluation.contests.models import compare
from stockpot.evaluation.predictions.views import views_of
from stockpot.evaluation.scores.bootstrap import Resampler, share_estimate

from ..making import (
    counted,
    few_digits,
    mlp,
    noisy,
    pool_of,
    several_splits,
    trained_pool,
    two_domains,
)

FREE = [name for name in COLUMNS if name not in ("distilled", "learned-soup")]
SOUPS = ["single-mean", "single-best", "uniform-soup", "greedy-soup", "logits-ensemble"]


@pytest.fixture(scope="module")
def mixed():
    return split(Collection(two_domains()), selection=0.3, test=0.4)


@pytest.fixture(scope="module")
def plain():
    """Only plain digits; the turned ones of the test originals are aside."""
    return split(Collection(two_domains()), selection=0.3, test=0.4, domains=["plain"])


@pytest.fixture(scope="module")
def pool(plain):
    return trained_pool(3, plain)


VIEWS = {"turned": OnlyDomain(domain="turned"), "noise-5": Noise(severity=5)}


@pytest.fixture(scope="module")
def shifted(pool):
    return compare_pools([pool], counts=(2, 3), subsets=1, methods=SOUPS, views=VIEWS)


def values(comparison, part, metric="accuracy", split="test"):
    return {
        (row.method, row.n, row.subset): row.value
        for row in comparison.rows
        if (row.part, row.metric, row.split) == (part, metric, split)
    }


def test_every_row_of_the_test_split_has_one_on_each_view(shifted):
    assert set(values(shifted, "turned")) == set(values(shifted, "all")) != set()
    assert set(values(shifted, "noise-5", "ece")) == set(values(shifted, "all", "ece"))
    assert {row.part for row in shifted.rows if row.split == "selection"} == {"all"}
    assert values(shifted, "turned") != values(shifted, "all")


def test_a_view_is_the_network_on_those_samples(shifted, pool, plain):
    everyone = soup(pool, range(3))
    for part, data in {"turned": plain.aside, "noise-5": Noise(severity=5)(plain.test)}.items():
        expected = accuracy(predict(everyone, data))
        assert values(shifted, part)["uniform-soup", 3, 0] == pytest.approx(expected)


def test_nothing_is_chosen_on_a_view(shifted, pool):
    without = compare_pools([pool], counts=(2, 3), subsets=1, methods=SOUPS)
    assert without.rows == tuple(row for row in shifted.rows if row.part == "all")
    assert without.verdict == shifted.verdict
    assert without.decisions == shifted.decisions
    assert without.differences == tuple(d for d in shifted.differences if d.part == "all")


def test_differences_are_paired_on_each_view(shifted, pool, plain):
    seen = {(d.a, d.b): d for d in shifted.differences if (d.n, d.part) == (3, "turned")}
    assert set(seen) == {(d.a, d.b) for d in shifted.differences if (d.n, d.part) == (3, "all")}
    one = seen["greedy-soup", "uniform-soup"]
    scores = values(shifted, "turned")
    assert one.interval.value == pytest.approx(
        scores["greedy-soup", 3, 0] - scores["uniform-soup", 3, 0]
    )
    uniform = predict(soup(pool, range(3)), plain.aside)
    best = scores["single-best", 3, 0]
    single = next(
        found
        for found in (predict(pool.network(i), plain.aside) for i in range(3))
        if accuracy(found) == pytest.approx(best)
    )
    resampler = Resampler(plain.aside.originals)
    of_each = [share_estimate(one.correct(), resampler) for one in (uniform, single)]
    expected = of_each[0].minus(of_each[1]).interval()
    found = seen["uniform-soup", "single-best"].interval
    assert found.low == pytest.approx(expected.low, abs=0.02)
    assert found.high == pytest.approx(expected.high, abs=0.02)


def test_each_view_is_run_once_and_a_part_of_the_test_split_never(mixed):
    ensembles = [name for name in COLUMNS if "ensemble" in name and "greedy" not in name]
    views = {"turned": OnlyDomain(domain="turned"), "contrast-1": Contrast(severity=1)}
    seen = []
    networks = [counted(noisy(mlp(), 0.1, i), seen) for i in range(4)]
    found = compare_pools(
        [pool_of(networks, mixed)],
        counts=(2, 3),
        subsets=2,
        methods=["single-mean", "single-best", *ensembles],
        views=views,
    )
    samples = len(mixed.selection) + 2 * len(mixed.test)  # contrast is run, turned is in test
    assert sum(seen) == 4 * samples
    assert dict(found.facts)["samples run through networks"] == f"{4 * samples:,}"
    turned = len(OnlyDomain(domain="turned")(mixed.test))
    assert f"turned: {turned} of the test split" in dict(found.facts)["views of the test split"]


def test_a_soup_and_what_is_aside_are_run_once(plain):
    seen = []
    networks = [noisy(mlp(), 0.1, i) for i in range(3)]
    compare_pools(
        [pool_of(networks, plain, build=lambda: counted(mlp(), seen))],
        counts=(3,),
        methods=["uniform-soup"],
        views=VIEWS,
    )
    assert sum(seen) - 1 == len(plain.selection) + 2 * len(plain.test) + len(plain.aside)


def test_the_part_of_a_domain_is_those_rows_of_the_test_split(mixed):
    pool = trained_pool(3, mixed)
    views = {name: OnlyDomain(domain=name) for name in ("plain", "turned")}
    found = compare_pools([pool], counts=(3,), methods=SOUPS, views=views)
    whole, plain, turned = (values(found, part) for part in ("all", "plain", "turned"))
    share = float((mixed.test.domain == 0).double().mean())
    for method, value in whole.items():
        assert value == pytest.approx(share * plain[method] + (1 - share) * turned[method])


def test_copies_of_one_model_are_equal_under_every_view(plain):
    network = noisy(mlp(), 0.2, 0)
    copies = [network, noisy(network, 0.0, 0), noisy(network, 0.0, 0)]
    views = VIEWS | named_views(["blur-5", "shift"]) | {"dark": Invert()}
    found = compare_pools([pool_of(copies, plain)], counts=(3,), methods=FREE, views=views)
    for part in ("all", *views):
        right = {round(value, 12) for value in values(found, part).values()}  # a mean of three
        assert len(right) == 1


def test_several_labels_have_views_too():
    splits = several_splits()

    def new(seed=0):
        from stockpot.networks import build

        return build("mlp", seed=seed, width=8, depth=1, num_classes=4, in_channels=1, image_size=8)

    pool = pool_of([new(0), new(1)], splits, build=new)
    found = compare_pools([pool], methods=["uniform-soup"], views=named_views(["contrast-5"]))
    assert values(found, "contrast-5", "auroc")


def test_a_users_metric_of_networks_is_asked_on_each_view(pool, plain):
    perplexity = metric_from("stockpot.evaluation.examples:perplexity")
    found = compare_pools(
        [pool], counts=(3,), methods=["uniform-soup"], metric=perplexity, views=VIEWS
    )
    asked = values(found, "turned", "perplexity")["uniform-soup", 3, 0]
    assert asked == pytest.approx(perplexity.of_network(soup(pool, range(3)), plain.aside))


def test_models_that_exist_are_judged_on_views_by_their_texts(plain):
    models = [noisy(mlp(), 0.1, i) for i in range(2)]
    spec = {"name": "mlp", "width": 16, "depth": 1}
    found = compare(models, spec, plain, methods=SOUPS, views=["domain=turned", "noise-5"])
    assert found.rows == compare(models, spec, plain, methods=SOUPS, views=VIEWS).rows
    assert {row.part for row in found.rows} == {"all", "turned", "noise-5"}
    with pytest.raises(FieldError, match="the splits are made already"):
        compare(models, spec, plain, domains=["plain"])
    with pytest.raises(FieldError, match="split: 'digits' has the domains: none; got 'plain'"):
        compare(models, spec, "digits", domains=["plain"])


def test_what_gives_no_sample_is_refused_before_anything_is_run(mixed, plain):
    nothing = plain.test.take((plain.test.labels != 3).nonzero().flatten())
    fewer = Splits(plain.train, plain.selection, nothing)
    texts = replace(plain.test, inputs=torch.ones(len(plain.test), 2, 5, dtype=torch.int64))
    for splits, name, view, error, words in [
        (fewer, "threes", OnlyClasses(classes=(3,)), StockpotError, "'threes' gives no sample of"),
        (fewer, "turned", OnlyDomain(domain="turned"), StockpotError, "'turned' gives no sample"),
        (plain, "x", OnlyDomain(domain="x"), FieldError, "has the domains: plain, turned; got 'x'"),
        (few_digits(), "x", OnlyDomain(domain="x"), FieldError, "has the domains: none; got 'x'"),
        (plain, "all", Noise(severity=1), FieldError, "cannot be called 'all'"),
    ]:
        seen = []
        pool = pool_of([counted(mlp(), seen), counted(mlp(1), seen)], splits)
        with pytest.raises(error, match=words):
            compare_pools([pool], views={name: view})
        assert not seen
    text_splits = replace_test(plain, texts)
    for name, view in named_views(["noise", "blur", "contrast", "shift"]).items():
        with pytest.raises(StockpotError, match=f"view '{name}': .* holds texts"):
            views_of(text_splits, {name: view})


def replace_test(splits, test):
    return Splits(splits.train, splits.selection, test)
