from dataclasses import replace

import pytest
import torch

from stockpot.data import OnlyClasses, OnlyDomain, Skew, digits, mixture
from stockpot.errors import FieldError, StockpotError


@pytest.fixture(scope="module")
def data():
    return digits().take(torch.arange(200))


@pytest.fixture(scope="module")
def several(data):
    flags = torch.nn.functional.one_hot(data.labels, 10).bool()
    flags[:, 9] |= flags[:, 0]
    return replace(data, labels=flags)


def test_skew_keeps_some_classes_whole_and_a_fraction_of_the_others(data):
    kept = Skew(classes=(0, 1), keep=0.25, seed=3)(data)
    whole, left = torch.bincount(data.labels), torch.bincount(kept.labels, minlength=10)
    assert torch.equal(left[:2], whole[:2])
    assert 0.1 < left[2:].sum() / whole[2:].sum() < 0.4
    assert len(Skew(classes=(0, 1), keep=0)(data)) == whole[:2].sum()
    assert len(Skew(classes=(0,), keep=1)(data)) == len(data)
    assert torch.equal(kept.images, Skew(classes=(0, 1), keep=0.25, seed=3)(data).images)


def test_only_classes_keeps_the_number_of_classes(data, several):
    kept = OnlyClasses(classes=(3, 7))(data)
    assert kept.labels.unique().tolist() == [3, 7]
    assert kept.num_classes == 10
    assert len(kept) == ((data.labels == 3) | (data.labels == 7)).sum()
    zero_or_nine = OnlyClasses(classes=(9,))(several)
    assert len(zero_or_nine) == ((data.labels == 0) | (data.labels == 9)).sum()
    assert torch.equal(Skew(classes=(9,), keep=0)(several).originals, zero_or_nine.originals)


def test_a_list_of_classes_is_a_tuple():
    assert OnlyClasses(classes=[1, 2]) == OnlyClasses(classes=(1, 2))
    assert len({Skew(classes=[1]), Skew(classes=(1,))}) == 1


def test_only_domain_keeps_one_domain_through_other_views(data):
    domain = torch.arange(200) % 2
    named = replace(data, domains=("even", "odd"), domain=domain)
    kept = OnlyDomain(domain="odd")(OnlyClasses(classes=(1,))(named))
    assert (kept.originals % 2 == 1).all()
    mixed = mixture(named, {"a": None, "b": OnlyDomain(domain="even")}).data
    assert len(OnlyDomain(domain="odd")(mixed)) == 100
    assert len(OnlyDomain(domain="even")(mixed)) == 200


def test_domains_must_fit_the_samples(data):
    for broken in (
        {"domains": ("a",)},
        {"domain": torch.zeros(200, dtype=torch.int64)},
        {"domains": ("a",), "domain": torch.zeros(3, dtype=torch.int64)},
        {"domains": ("a",), "domain": torch.ones(200, dtype=torch.int64)},
    ):
        with pytest.raises(StockpotError, match="domains"):
            replace(data, **broken)


@pytest.mark.parametrize(
    ("subset", "words"),
    [
        (lambda: Skew(classes=(), keep=0.5), "skew"),
        (lambda: Skew(classes=(1,), keep=1.5), "skew"),
        (lambda: OnlyClasses(classes=()), "only-classes: classes must be a list"),
        (lambda: OnlyClasses(classes=(1.0,)), "whole number"),
        (lambda: OnlyClasses(classes=3), "must be a list .* got 3"),
        (lambda: Skew(classes=(9, 10)), r"classes 0 to 9; got \[10\]"),
        (lambda: OnlyClasses(classes=(-1,)), r"classes 0 to 9; got \[-1\]"),
        (lambda: OnlyDomain(domain="google"), "domains: none; got 'google'"),
    ],
)
def test_what_does_not_exist_is_refused(data, subset, words):
    with pytest.raises(FieldError, match=words):
        subset()(data)
