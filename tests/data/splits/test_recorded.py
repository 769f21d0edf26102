import json

import pytest

from stockpot.data import (
    Collection,
    ListedSplit,
    digest_of,
    load,
    read_split,
    recorded_split,
    split,
)
from stockpot.data.splits.contents import content_hashes
from stockpot.errors import FieldError


@pytest.fixture(scope="module")
def digits():
    return load("digits")


def record(digits, **changes):
    made = split(digits, test=0.3, seed=4)
    wanted = {"selection": 0.1, "test": 0.3, "seed": None, "limit": None, "fraction": None}
    told = {"split": wanted, "seed": 4, "data_digest": digest_of(made.train, made.selection)}
    return {"stockpot.ingredient": json.dumps(told | changes)}, made


def test_a_recorded_split_is_found_again_or_known_to_be_of_other_data(digits):
    metadata, made = record(digits)
    found = recorded_split(metadata).of(digits)
    assert digest_of(found.test) == digest_of(made.test)
    half = Collection(digits.train.take(made.train.originals[:500]))
    assert recorded_split(metadata).of(half) is None
    for other in ({}, {"stockpot.ingredient": "no JSON"}, {"stockpot.ingredient": "[1]"}):
        assert recorded_split(other) is None
    assert recorded_split(record(digits, split=None)[0]) is None  # of several tasks


def test_listed_samples_are_in_no_other_part(digits):
    found = ListedSplit(test=tuple(range(0, 100, 2))).of(digits, seed=1)
    assert len(found.test) == 50
    tests = set(content_hashes(found.test))
    assert not tests & {*content_hashes(found.train), *content_hashes(found.selection)}
    assert sum(map(len, (found.train, found.selection, found.test))) == len(digits.train)
    official = Collection(digits.train.take(found.train.originals[:900]), test=found.test)
    part = ListedSplit(test=(3, 1)).of(official, seed=1)
    assert digest_of(part.test) == digest_of(found.test.take(part.test.labels.new_tensor([3, 1])))


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.txt", "1 two", "invalid literal"),
        ("a.json", "[1.5]", "1.5 is no whole number"),
        ("a.json", '{"selection": [1]}', "'test'"),
        ("a.json", '{"pools": []}', "the run has 0 splits"),
        ("gone.txt", None, "No such file"),
    ],
)
def test_what_is_no_split_is_refused(tmp_path, name, text, words):
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(FieldError, match=words):
        read_split(tmp_path / name)


@pytest.mark.parametrize(
    ("listed", "words"),
    [
        (ListedSplit((1797,)), "must lie in 0 to 1796.*got 1797"),
        (ListedSplit((1, 1)), "got 2, 1 different"),
        (ListedSplit(()), "got 0, 0 different"),
        (ListedSplit((1, 2), (2, 3)), "must differ"),
    ],
)
def test_positions_are_of_the_data_each_once(digits, listed, words):
    with pytest.raises(FieldError, match=words):
        listed.of(digits, seed=0)
