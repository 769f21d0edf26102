"""One check of type and bounds, with one message, for Python, YAML and flags."""

import math
from dataclasses import dataclass
from fractions import Fraction as Ratio
from typing import Annotated, Any, Literal

import numpy as np
import pytest
import torch
from annotated_types import Ge, Gt, Le, Lt
from hypothesis import given
from hypothesis import strategies as st

from stockpot.errors import FieldError, StockpotError
from stockpot.values.fields import (
    FieldSpec,
    Finite,
    Fraction,
    PerModel,
    check_fields,
    field_specs,
    kebab_name,
    per_model,
)


@dataclass(frozen=True, slots=True)
class Every:
    """A field of every kind."""

    share: Fraction = 0.5
    any: Finite = 0.0
    plain: float = 0.0
    open: Annotated[float, Gt(0), Lt(1)] = 0.5
    closed: Annotated[float, Ge(-1), Le(1)] = 0.0
    above: Annotated[float, Ge(2)] = 2.0
    count: Annotated[int, Ge(1), Le(9)] = 3
    whole: int = 0
    flag: bool = False
    word: Literal["one", "two"] = "one"
    each: PerModel[Fraction] = 0.5
    every: PerModel[Annotated[int, Ge(0)]] = 1
    same: PerModel[Literal["a", "b"]] = "a"

    def __post_init__(self) -> None:
        check_fields(self)


SPECS = {spec.name: spec for spec in field_specs(Every)}


def test_specifications_are_read_off_the_annotations() -> None:
    assert SPECS["share"] == FieldSpec("share", float, (Gt(0), Le(1)), (), False)
    assert SPECS["any"] == FieldSpec("any", float, (Ge(-math.inf), Le(math.inf)), (), False)
    assert SPECS["plain"] == FieldSpec("plain", float, (), (), False)
    assert SPECS["count"] == FieldSpec("count", int, (Ge(1), Le(9)), (), False)
    assert SPECS["flag"] == FieldSpec("flag", bool, (), (), False)
    assert SPECS["word"] == FieldSpec("word", str, (), ("one", "two"), False)
    assert SPECS["each"] == FieldSpec("each", float, (Gt(0), Le(1)), (), True)
    assert SPECS["same"] == FieldSpec("same", str, (), ("a", "b"), True)
    assert list(SPECS) == list(Every.__dataclass_fields__)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("share", "in (0, 1]"),
        ("any", "in (-∞, ∞)"),
        ("plain", "in (-∞, ∞)"),
        ("open", "in (0, 1)"),
        ("closed", "in [-1, 1]"),
        ("above", "in [2, ∞)"),
        ("count", "a whole number in [1, 9]"),
        ("whole", "a whole number in (-∞, ∞)"),
        ("flag", "true or false"),
        ("word", "one of one, two"),
    ],
)
def test_intervals_in_words(name: str, words: str) -> None:
    assert SPECS[name].interval() == words


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("share", 1, 1.0),
        ("share", 5e-324, 5e-324),
        ("share", True + 0.0, 1.0),
        ("share", np.float32(0.5), 0.5),
        ("share", np.int64(1), 1.0),
        ("share", Ratio(1, 4), 0.25),
        ("any", -1e308, -1e308),
        ("any", 10**300, 1e300),
        ("any", -0.0, 0.0),
        ("open", 1 - 2**-53, 1 - 2**-53),
        ("closed", -1, -1.0),
        ("count", 9, 9),
        ("whole", -(10**30), -(10**30)),
        ("flag", True, True),
        ("word", "two", "two"),
        ("each", 1, 1.0),
        ("each", [1, 0.25], (1.0, 0.25)),
        ("each", (1,), (1.0,)),
        ("every", [0, 7], (0, 7)),
        ("same", ["a", "b", "a"], ("a", "b", "a")),
    ],
)
def test_legal_values_and_what_they_become(name: str, value: Any, kept: object) -> None:
    found = getattr(Every(**{name: value}), name)
    assert found == kept
    assert type(found) is type(kept)
    if isinstance(kept, tuple):
        assert [type(one) for one in found] == [type(one) for one in kept]
    hash(Every(**{name: value}))


ILLEGAL: list[tuple[str, Any]] = [
    *[("share", v) for v in (0, 0.0, -0.0, -0.1, 1.0000000000000002, 2, 1e300)],
    *[("share", v) for v in (math.nan, math.inf, -math.inf, 10**400, -(10**400))],
    *[("share", v) for v in ("0.5", "", b"1", True, False, None, 1j, [0.5], (0.5,), {}, object())],
    *[("share", v) for v in (torch.tensor(0.5), np.array([0.5, 0.5]), np.bool_(True), float)],
    *[("any", v) for v in (math.nan, math.inf, -math.inf, "1e-5", True, 10**309)],
    *[("plain", v) for v in (math.nan, math.inf, "0")],
    *[("open", v) for v in (0, 1)],
    *[("closed", v) for v in (-1.1, math.nextafter(1, 2))],
    *[("above", v) for v in (1.9, -math.inf)],
    *[("count", v) for v in (0, 10, 2.0, 2.5, "3", True, None, [3], math.nan, np.float64(3))],
    *[("whole", v) for v in (0.0, "0", False, 10**400)],
    *[("flag", v) for v in (0, 1, 1.0, "true", "yes", None, [])],
    *[("word", v) for v in ("three", "", "One", " one", 1, None, True, ["one"], np.array(["one"]))],
    *[("each", v) for v in ([], (), [0.5, 0], [0.5, True], [0.5, "1"], [[0.5]], [0.5, None])],
    *[("each", v) for v in ("0.5", {0.5: 1}, {0.5}, np.array([0.5]), iter([0.5]), math.nan)],
    *[("every", v) for v in ([1, -1], [1.0], -1, 1.5)],
    *[("same", v) for v in (["a", "c"], [], "ab", [["a"]])],
]


@pytest.mark.parametrize(("name", "value"), ILLEGAL)
def test_illegal_values_are_refused_by_name(name: str, value: Any) -> None:
    with pytest.raises(FieldError) as caught:
        Every(**{name: value})
    text = str(caught.value)
    many = ", one number or one per model" if SPECS[name].per_model else ""
    assert text.startswith(f"every: {name} must be {SPECS[name].interval()}{many}; got ")
    assert text.endswith(".")
    assert len(text) < 200
    assert isinstance(caught.value, StockpotError)


def test_messages_word_by_word() -> None:
    for fields, text in (
        ({"share": 1.5}, "every: share must be in (0, 1]; got 1.5."),
        ({"count": 2.5}, "every: count must be a whole number in [1, 9]; got 2.5."),
        ({"word": "three"}, "every: word must be one of one, two; got three."),
        (
            {"each": [0.5, 2]},
            "every: each must be in (0, 1], one number or one per model; got [0.5, 2].",
        ),
    ):
        with pytest.raises(FieldError) as caught:
            Every(**fields)
        assert str(caught.value) == text


def test_long_values_are_cut() -> None:
    with pytest.raises(FieldError) as caught:
        Every(word="x" * 10**6)  # type: ignore[arg-type]
    assert len(str(caught.value)) < 200


@given(st.floats())
def test_a_number_is_admitted_where_its_bounds_say(value: float) -> None:
    assert SPECS["share"].admits(value) == (0 < value <= 1)
    assert SPECS["open"].admits(value) == (0 < value < 1)
    assert SPECS["closed"].admits(value) == (-1 <= value <= 1)
    assert SPECS["above"].admits(value) == (2 <= value < math.inf)
    assert SPECS["any"].admits(value) == math.isfinite(value)
    assert not SPECS["count"].admits(value)


@given(st.integers())
def test_whole_numbers_are_admitted_by_fields_of_both_kinds(value: int) -> None:
    assert SPECS["count"].admits(value) == (1 <= value <= 9)
    assert SPECS["closed"].admits(value) == (-1 <= value <= 1)


@pytest.mark.parametrize(
    ("name", "kebab"),
    [
        ("Ties", "ties"),
        ("TaskArithmetic", "task-arithmetic"),
        ("TsvM", "tsv-m"),
        ("IsoC", "iso-c"),
        ("ModelStock", "model-stock"),
        ("RegMean", "reg-mean"),
    ],
)
def test_names_in_kebab_case(name: str, kebab: str) -> None:
    assert kebab_name(type(name, (), {})) == kebab


def test_values_per_model() -> None:
    assert per_model(0.5, 3) == (0.5, 0.5, 0.5)
    assert per_model((0.1, 0.2), 2) == (0.1, 0.2)


def test_defaults_are_checked_too() -> None:
    @dataclass(frozen=True)
    class Wrong:
        share: Fraction = 2.0

        def __post_init__(self) -> None:
            check_fields(self)

    with pytest.raises(FieldError, match=r"^wrong: share must be"):
        Wrong()
