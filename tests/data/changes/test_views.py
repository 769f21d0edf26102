"""Views by their texts, and domains kept out of training and selection."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stockpot.data import (
    CORRUPTIONS,
    Collection,
    Dataset,
    Noise,
    OnlyDomain,
    Splits,
    Translate,
    digits,
    named_views,
    split,
)
from stockpot.errors import FieldError, StockpotError


def drawn(originals, per_class=4, seed=0):
    """Random images of originals in three domains; the last domain lacks some of them."""
    generator = torch.Generator().manual_seed(seed)
    number = torch.arange(originals).repeat(3)
    domain = torch.arange(3).repeat_interleave(originals)
    there = (domain < 2) | (number % 3 > 0)
    number, domain = number[there], domain[there]
    images = torch.randint(0, 256, (len(number), 1, 4, 4), generator=generator, dtype=torch.uint8)
    labels = number // per_class % 3
    names = ("google", "twitter", "apple")
    return Dataset("emoji", images, labels, 3, number, domains=names, domain=domain)


def originals(data):
    return set(data.originals.tolist())


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 100),
    domains=st.sampled_from([("google",), ("twitter",), ("google", "apple"), ("apple",)]),
)
def test_no_original_of_the_test_split_is_trained_on_or_chosen_by(seed, domains):
    data = drawn(60)
    splits = split(Collection(data), selection=0.2, test=0.3, seed=seed, domains=domains)
    parts = splits.train, splits.selection, splits.test
    for part in parts:
        assert {data.domains[i] for i in part.domain.tolist()} == set(domains)
    outside = {data.domains[i] for i in splits.aside.domain.tolist()}
    assert not outside & set(domains)
    for part in parts[:2]:
        assert not originals(part) & (originals(splits.test) | originals(splits.aside))
    whole = split(Collection(data), selection=0.2, test=0.3, seed=seed)
    assert originals(splits.aside) <= originals(whole.test)
    assert len(splits.aside) + len(splits.test) == len(whole.test)


def test_without_domains_and_with_all_of_them_nothing_is_aside():
    data = Collection(drawn(60))
    everything = split(data, domains=("google", "twitter", "apple"))
    assert everything.aside is None
    assert split(data).aside is None
    assert torch.equal(everything.train.inputs, split(data).train.inputs)


def test_an_official_test_part_keeps_its_other_domains_aside():
    train, test = drawn(60), drawn(30, seed=1)
    splits = split(Collection(train, test), domains=["google"], limit=20)
    assert len(splits.test) == 30
    assert len(splits.aside) == 30 + 20
    assert len(splits.train) in range(18, 23)


def test_a_domain_that_is_not_there_is_named():
    with pytest.raises(FieldError, match=r"emoji. has the domains: google, .*; got .nokia"):
        split(Collection(drawn(60)), domains=("google", "nokia"))
    with pytest.raises(FieldError, match="split: 'digits' has the domains: none; got 'google'"):
        split(Collection(digits()), domains=("google",))


def test_a_domain_that_leaves_a_split_empty_is_refused():
    data = drawn(60)
    few = (data.domain != 2) | (data.originals == 1)
    with pytest.raises(StockpotError, match="too few to give every split one of apple"):
        split(Collection(data.take(few.nonzero().flatten())), domains=("apple",))


def test_what_is_aside_must_not_be_in_train_or_selection():
    splits = split(Collection(drawn(60)), selection=0.2, test=0.3, domains=("google",))
    kept = splits.train, splits.selection, splits.test
    for name, place in (("train", 0), ("selection", 1)):
        with pytest.raises(StockpotError, match=f"The {name} and aside splits of 'emoji' share"):
            Splits(*kept, aside=kept[place].take(torch.arange(2)))
    same = replace(splits.test, domain=torch.ones(len(splits.test), dtype=torch.int64))
    assert Splits(*kept, aside=same).aside is same


def test_texts_name_views():
    found = named_views(["domain=a/b=c", "noise", "shift-1", "blur-all"])
    assert found["a/b=c"] == OnlyDomain(domain="a/b=c")
    assert found["noise-3"] == Noise(severity=3)
    assert found["shift-1"] == Translate(severity=1)
    assert [one for one in found if one.startswith("blur")] == [f"blur-{i}" for i in range(1, 6)]
    assert len(named_views(f"{name}-all" for name in CORRUPTIONS)) == 20
    assert named_views([]) == {}


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["nois-3"], "'nois-3' is neither .*: did you mean 'noise'"),
        (["noise-6"], "'noise-6' is neither domain=NAME nor a corruption"),
        (["noise-"], "'noise-' is neither"),
        (["noise-03"], "'noise-03' is neither"),
        (["twitter"], "'twitter' is neither"),
        ([""], "'' is neither"),
        (["noise", "noise-3"], "'noise-3' stands twice"),
        (["blur-all", "blur-2"], "'blur-2' stands twice"),
    ],
)
def test_other_texts_are_refused(texts, words):
    with pytest.raises(FieldError, match=words):
        named_views(texts)
