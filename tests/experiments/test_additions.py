"""What training may add, declared once: as a file writes it, and as training takes it."""

import pytest

from stockpot.errors import FieldError
from stockpot.experiments.additions import Additions, as_written_now
from stockpot.experiments.averaging import AVERAGES, FAMILY, Ema, Fge, Lawa, Swa
from stockpot.values.family import plain_value

OLD = {
    "kind": "swa",
    "start": 0.5,
    "every": None,
    "lr": None,
    "decay": None,
    "warmup": None,
    "last": None,
    "cycle": None,
}
"""An average as it was written before each was written with its own fields."""


@pytest.mark.parametrize(
    ("plain", "average"),
    [
        ("ema", Ema()),
        ({"kind": "ema", "decay": 0.9, "warmup": "none"}, Ema(decay=0.9, warmup="none")),
        ({"kind": "swa", "every": 3, "lr": 0.1}, Swa(every=3, lr=0.1)),
        ({"kind": "lawa", "last": 2}, Lawa(last=2)),
        ({"kind": "fge", "cycle": 4}, Fge(cycle=4)),
        (OLD, Swa(start=0.5)),
    ],
)
def test_an_average_is_what_its_kind_and_fields_say(plain, average):
    assert Additions.parse({"averaging": plain}).averaging == average
    assert FAMILY.read(plain_value(average)) == average


def test_every_average_is_read_back_from_its_defaults():
    for cls in AVERAGES:
        assert FAMILY.read(plain_value(cls())) == cls()


@pytest.mark.parametrize(
    ("averaging", "words"),
    [
        ({"kind": "emma"}, "averaging: there is no average 'emma': did you mean 'ema'"),
        ({"kind": "swa", "decay": 0.5}, "averaging: swa has no field 'decay'"),
        ({"kind": "ema", "decay": 1}, r"averaging: ema: decay must be in \(0, 1\); got 1"),
        ({"start": 0.5}, "averaging must be an average's name, or {kind: "),
    ],
)
def test_a_wrong_average_is_refused_by_its_place(averaging, words):
    with pytest.raises(FieldError, match=words):
        Additions.parse({"averaging": averaging})


def test_a_file_of_before_is_the_same_training():
    record = {"seed": 1, "train": {"how": {"lr": 0.1}, "additions": {"averaging": OLD}}}
    now = as_written_now(record)
    assert now["train"]["additions"] == {"averaging": plain_value(Swa(start=0.5))}
    assert as_written_now(now) == now
    assert (now["seed"], now["train"]["how"]) == (1, {"lr": 0.1})


def test_nothing_added_is_written_as_nothing():
    assert Additions().plain() == {}
    assert Additions().added is None
