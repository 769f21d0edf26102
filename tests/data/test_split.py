from dataclasses import replace

import pytest
import torch

from stockpot.data import Dataset, Splits, digits, three_way
from stockpot.data.dataset import content_hashes
from stockpot.errors import StockpotError


def toy(count=60, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(count, 1, 2, 2, generator=generator)
    return Dataset("toy", images, torch.arange(count) % classes, classes, torch.arange(count))


def test_splits_are_disjoint_stratified_and_lose_nothing():
    data = digits()
    splits = three_way(data, selection=0.2, test=0.3, seed=1)
    parts = [splits.train, splits.selection, splits.test]
    hashes = [set(content_hashes(part)) for part in parts]
    assert sum(len(part) for part in parts) == len(data)
    assert set.union(*hashes) == set(content_hashes(data))
    assert sum(map(len, hashes)) == len(set.union(*hashes))
    for part, fraction in zip(parts, (0.5, 0.2, 0.3), strict=True):
        whole, held = torch.bincount(data.labels), torch.bincount(part.labels)
        assert ((held - fraction * whole).abs() <= 1).all()


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
    assert [len(part) for part in (splits.train, splits.selection, splits.test)] == [20, 10, 10]


def test_splits_that_share_an_image_are_refused():
    data = toy()
    a, b = data.take(torch.arange(0, 30)), data.take(torch.arange(29, 60))
    with pytest.raises(StockpotError, match=r"train and test splits of 'toy' share 1 image"):
        Splits(a, toy(9, seed=1), b)


def test_one_image_under_two_labels_is_refused():
    data = toy(12)
    images = data.images.clone()
    images[1] = images[0]
    with pytest.raises(StockpotError, match=r"labels \[0, 1\] at positions \[0, 1\]"):
        three_way(replace(data, inputs=images), selection=0.2, test=0.2)


def test_views_of_one_original_are_not_split():
    views = replace(toy(), originals=torch.arange(60) // 2)
    with pytest.raises(StockpotError, match="split first"):
        three_way(views, selection=0.2, test=0.2)


@pytest.mark.parametrize(("selection", "test"), [(0.0, 0.2), (0.5, 0.5), (0.2, 1.0), (-0.1, 0.2)])
def test_fractions_out_of_bounds_are_refused(selection, test):
    with pytest.raises(StockpotError, match="fractions"):
        three_way(toy(), selection=selection, test=test)


def test_too_few_images_are_refused():
    with pytest.raises(StockpotError, match="too few"):
        three_way(toy(3), selection=0.2, test=0.2)
