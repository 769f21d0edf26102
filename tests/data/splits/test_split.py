from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stockpot.data import Collection, Dataset, Splits, digits, split, three_way
from stockpot.data.splits.contents import content_hashes, units_of
from stockpot.data.splits.stratify import stratified
from stockpot.errors import StockpotError


def toy(count=60, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 1, 2, 2, generator=generator)
    return Dataset("toy", images, torch.arange(count) % classes, classes, torch.arange(count))


def parts_of(splits):
    return [splits.train, splits.selection, splits.test]


def test_splits_are_disjoint_stratified_and_lose_nothing():
    data = digits()
    splits = three_way(data, selection=0.2, test=0.3, seed=1)
    hashes = [set(content_hashes(part)) for part in parts_of(splits)]
    assert sum(len(part) for part in parts_of(splits)) == len(data)
    assert set.union(*hashes) == set(content_hashes(data))
    assert sum(map(len, hashes)) == len(set.union(*hashes))
    for part, fraction in zip(parts_of(splits), (0.5, 0.2, 0.3), strict=True):
        whole, held = torch.bincount(data.labels), torch.bincount(part.labels)
        assert ((held - fraction * whole).abs() <= 1).all()


@given(st.data())
def test_parts_are_disjoint_complete_seeded_and_keep_units_together(draw):
    count = draw.draw(st.integers(1, 80))
    labels = draw.draw(st.lists(st.integers(0, 2), min_size=count, max_size=count))
    originals = draw.draw(st.lists(st.integers(0, 60), min_size=count, max_size=count))
    pictures = draw.draw(st.lists(st.integers(0, 40), min_size=count, max_size=count))
    data = Dataset(
        "drawn",
        toy(41).inputs[torch.tensor(pictures)],
        torch.tensor(labels),
        3,
        torch.tensor(originals),
    )
    if draw.draw(st.booleans()):
        data = replace(data, labels=torch.nn.functional.one_hot(data.labels, 3).bool())
    fractions = draw.draw(st.lists(st.floats(0.05, 0.45), min_size=1, max_size=2))
    seed = draw.draw(st.integers(0, 99))
    parts = stratified(data, fractions, seed)
    assert parts == stratified(data, fractions, seed)
    assert len(parts) == len(fractions) + 1
    assert sorted(place for part in parts for place in part) == list(range(count))
    for keys in (pictures, originals):
        seen = [{keys[place] for place in part} for part in parts]
        assert sum(map(len, seen)) == len(set.union(*seen))


@given(
    st.lists(st.integers(0, 30), min_size=1, max_size=4).filter(any),
    st.floats(0.05, 0.45),
    st.floats(0.05, 0.45),
    st.integers(0, 9),
)
def test_each_class_is_within_one_sample_of_its_share(sizes, selection, test, seed):
    labels = torch.cat([torch.full((size,), place) for place, size in enumerate(sizes)])
    data = replace(toy(len(labels)), labels=labels, num_classes=len(sizes))
    parts = stratified(data, (test, selection), seed)
    for part, share in zip(parts, (test, selection, 1 - test - selection), strict=True):
        held = torch.bincount(labels[torch.tensor(part, dtype=torch.int64)], minlength=len(sizes))
        assert ((held - share * torch.tensor(sizes)).abs() <= 1).all()


@given(st.integers(0, 9), st.floats(0.15, 0.35), st.floats(0.15, 0.35))
def test_several_labels_are_dealt_in_their_proportions(seed, selection, test):
    count = 300
    generator = torch.Generator().manual_seed(seed)
    rates = torch.tensor([0.5, 0.3, 0.1, 0.03])
    labels = torch.rand(count, 4, generator=generator) < rates
    data = replace(toy(count), labels=labels, num_classes=4)
    splits = split(Collection(data), selection=selection, test=test, seed=seed)
    assert sum(map(len, parts_of(splits))) == count
    for part, share in zip(parts_of(splits), (1 - selection - test, selection, test), strict=True):
        off = (part.labels.sum(0) - share * labels.sum(0)).abs()
        assert (off <= 2).all(), off
        assert abs(len(part) - share * count) <= 2
    again = split(Collection(data), selection=selection, test=test, seed=seed)
    assert torch.equal(splits.test.originals, again.test.originals)


def test_the_seed_decides_the_split():
    first, again, other = (
        three_way(toy(), selection=0.2, test=0.2, seed=seed) for seed in (0, 0, 1)
    )
    assert torch.equal(first.test.originals, again.test.originals)
    assert not torch.equal(first.test.originals, other.test.originals)


def test_identical_images_go_to_the_same_split():
    data = toy(20, classes=1)
    twice = data.take(torch.arange(20).repeat(2))
    twice = replace(twice, originals=torch.arange(40))
    splits = three_way(twice, selection=0.25, test=0.25)
    assert [len(part) for part in parts_of(splits)] == [20, 10, 10]


def test_chains_of_copies_and_views_are_one_unit():
    data = toy(5)
    images = data.inputs.clone()
    images[2] = images[0]
    data = replace(data, inputs=images, originals=torch.tensor([0, 1, 2, 2, 4]))
    assert units_of(data) == [[0, 2, 3], [1], [4]]


def test_hashes_tell_shapes_and_types_apart():
    images = torch.zeros(2, 1, 2, 8)
    flat, tall = (replace(toy(2), inputs=images.reshape(2, *one)) for one in ((1, 2, 8), (1, 8, 2)))
    as_bytes = replace(toy(2), inputs=torch.zeros(2, 1, 8, 8, dtype=torch.uint8))
    found = [content_hashes(one) for one in (flat, tall, as_bytes)]
    assert all(len(set(one)) == 1 for one in found)
    assert len({one[0] for one in found}) == 3
    assert content_hashes(flat.take(torch.tensor([], dtype=torch.int64))) == []


def test_splits_that_share_an_image_are_refused():
    data = toy()
    a, b = data.take(torch.arange(0, 30)), data.take(torch.arange(29, 60))
    with pytest.raises(StockpotError, match=r"train and test splits of 'toy' share 1 sample"):
        Splits(a, toy(9, seed=1), b)


def test_one_image_under_two_labels_stays_in_one_split_and_is_noted():
    data = toy(30)
    images = data.inputs.clone()
    images[1] = images[0]
    for seed in range(5):
        splits = three_way(replace(data, inputs=images), selection=0.2, test=0.2, seed=seed)
        assert "1 sample(s) of 'toy' occur more than once" in splits.notes[0]
        assert sum({0, 1} <= set(part.originals.tolist()) for part in parts_of(splits)) == 1
    assert three_way(data, selection=0.2, test=0.2).notes == ()


def test_views_of_one_original_stay_together():
    views = replace(toy(), originals=torch.arange(60) // 2)
    splits = three_way(views, selection=0.2, test=0.2)
    seen = [set(part.originals.tolist()) for part in parts_of(splits)]
    assert sum(map(len, seen)) == 30


def test_official_parts_are_used_as_they_are():
    train, test, selection = toy(60), toy(20, seed=1), toy(10, seed=2)
    splits = split(Collection(train, test), selection=0.25, test=0.9)
    assert splits.test is test
    assert (len(splits.train), len(splits.selection)) == (45, 15)
    splits = split(Collection(train, test, selection))
    assert parts_of(splits) == [train, selection, test]
    splits = split(Collection(train, selection=selection), test=0.5)
    assert splits.selection is selection
    assert (len(splits.train), len(splits.test)) == (30, 30)


def test_copies_of_official_samples_leave_training_with_a_note():
    train, test = toy(60), toy(20, seed=1)
    leaky = replace(test, inputs=torch.cat([test.inputs[:17], train.inputs[:3]]))
    splits = split(Collection(train, leaky), selection=0.25)
    assert splits.test is leaky
    assert len(splits.train) + len(splits.selection) == 57
    assert all("left out of" in note and "official" in note for note in splits.notes)
    assert sum(int(note.split()[0]) for note in splits.notes) == 3


def test_training_may_be_limited_by_class():
    data = toy(120)
    full = split(Collection(data), selection=0.25, test=0.25)
    few = split(Collection(data), selection=0.25, test=0.25, limit=12)
    assert torch.bincount(few.train.labels).tolist() == [4, 4, 4]
    assert set(few.train.originals.tolist()) <= set(full.train.originals.tolist())
    assert torch.equal(few.test.originals, full.test.originals)
    assert len(split(Collection(data), selection=0.25, test=0.25, fraction=0.5).train) == 30
    other = split(Collection(data), selection=0.25, test=0.25, limit=12, seed=1)
    assert not torch.equal(few.train.originals, other.train.originals)


@pytest.mark.parametrize(
    "options",
    [
        {"limit": 0},
        {"limit": 61},
        {"fraction": 0.0},
        {"fraction": 1.5},
        {"limit": 5, "fraction": 0.5},
    ],
)
def test_limits_out_of_bounds_are_refused(options):
    with pytest.raises(StockpotError, match=r"split: .*(limit|fraction)"):
        split(Collection(toy()), **options)


@pytest.mark.parametrize(("selection", "test"), [(0.0, 0.2), (0.5, 0.5), (0.2, 1.0), (-0.1, 0.2)])
def test_fractions_out_of_bounds_are_refused(selection, test):
    with pytest.raises(StockpotError, match="fractions"):
        three_way(toy(), selection=selection, test=test)


def test_too_few_images_are_refused():
    with pytest.raises(StockpotError, match="too few"):
        three_way(toy(3), selection=0.2, test=0.2)
