"""One reader of plain data: by annotations, strictly, every problem with its place."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge
from hypothesis import given
from hypothesis import strategies as st

from stockpot.errors import FieldError
from stockpot.values.bounds import Count, Part, Positive, Seed, Text
from stockpot.values.from_plain_data import Reads, read, read_entries
from stockpot.values.section import Section


def halved(value: object) -> float:
    if not isinstance(value, int | float):
        raise FieldError("must be a number that is halved.")
    return value / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Inner(Section):
    """A mapping, or its name alone."""

    name: Text
    share: Part = 0.5
    sizes: tuple[Count, ...] = ()

    @classmethod
    def rewritten(cls, data: object) -> object:
        return {"name": data} if isinstance(data, str) else data

    def check(self) -> None:
        if self.sizes and self.share == 0.25:
            raise FieldError("needs no sizes with a share of a quarter.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outer(Section):
    """What a file may be."""

    inner: tuple[Inner, ...]
    seed: Seed = 0
    kind: Literal["one", "two"] | None = None
    renamed: bool = field(default=False, metadata={"key": "name in files"})
    by_name: Mapping[str, tuple[Positive, ...]] = field(default_factory=dict[str, Any])
    either: Annotated[int, Ge(1)] | Text = "x"
    half: Annotated[float, Reads(halved)] | None = None


def test_what_is_read_is_written_and_read_again():
    data = {
        "inner": ["a", {"name": "b", "share": 0.1, "sizes": [1, 2]}],
        "seed": 2**63 - 1,
        "name in files": True,
        "by_name": {"k": [1, 2.5]},
        "either": 3,
    }
    value = read(Outer, data)
    assert value.inner == (Inner(name="a"), Inner(name="b", share=0.1, sizes=(1, 2)))
    assert (value.renamed, value.by_name, value.either) == (True, {"k": (1.0, 2.5)}, 3)
    assert type(value.by_name["k"][0]) is float
    assert read(Outer, value.plain()) == value
    assert read(Outer, value) is value


def test_values_in_python_are_read_as_those_of_a_file():
    assert Inner(name="a", sizes=[1, 2]).sizes == (1, 2)  # type: ignore[arg-type]
    with pytest.raises(FieldError, match=r"inner: share must be in \(0, 1\); got 1"):
        Inner(name="a", share=1)
    with pytest.raises(FieldError, match="needs no sizes"):
        replace(Inner(name="a", sizes=(1,)), share=0.25)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"innr": 1}, "unknown key 'innr': did you mean 'inner'?"),
        ({"renamed": True}, "unknown key 'renamed': choose from inner, seed, kind, name in files"),
        ({"inner": "a"}, "inner must be a list; got 'a'."),
        ({"inner": [{"share": 0.1}]}, "inner[0].name is required."),
        ({"inner": ["a", {"name": ""}]}, "inner[1].name must not be empty; got ''."),
        ({"inner": [{"name": "a", "sizes": [1, 0]}]}, "inner[0].sizes[1] must be a whole number"),
        (
            {"inner": [{"name": "a", "sizes": [1], "share": 0.25}]},
            "inner[0] needs no sizes with a share of a quarter.",
        ),
        ({"seed": 2**63}, f"seed must be a whole number in [0, {2**63}); got {2**63}."),
        ({"seed": True}, f"seed must be a whole number in [0, {2**63}); got True."),
        ({"kind": "three"}, "kind must be one of 'one', 'two', or nothing; got 'three'."),
        ({"by_name": {"k": [0]}}, "by_name.k[0] must be in (0, ∞); got 0."),
        ({"by_name": [1]}, "by_name must be a mapping; got a list."),
        ({"either": [1]}, "either must be a whole number in [1, ∞), or text; got a list."),
        ({"half": "x"}, "half must be a number that is halved."),
    ],
)
def test_what_is_wrong_is_said_with_its_place(change, line):
    with pytest.raises(FieldError) as caught:
        read(Outer, {"inner": ["a"], **change}, "f.yml", "a file")
    assert str(caught.value).startswith(f"f.yml: {line}")


def test_everything_wrong_is_said_at_once():
    data = {"inner": [{"share": 2, "shar": 1}, 3], "seed": -1, "kin": 1}
    with pytest.raises(FieldError) as caught:
        read(Outer, data, what="a file")
    assert [line.split(" must")[0].split(":")[0] for line in str(caught.value).splitlines()] == [
        "unknown key 'kin'",
        "inner[0]",
        "inner[0].name is required.",
        "inner[0].share",
        "inner[1]",
        "seed",
    ]
    with pytest.raises(FieldError, match=r"^a file must be a mapping; got nothing\.$"):
        read(Outer, None, what="a file")


def test_entries_are_read_by_what_may_stand_there():
    known = {"a": Positive, "b": Text, "path": str | tuple[str, ...]}
    assert read_entries(known, {"a": 1, "path": ["x"]}, "f") == {"a": 1.0, "path": ("x",)}
    with pytest.raises(FieldError, match="f: path must be text, or a list; got 1"):
        read_entries(known, {"path": 1}, "f")
    with pytest.raises(FieldError, match="f: unknown key 'pat': did you mean 'path'"):
        read_entries(known, {"pat": "x"}, "f")


@given(st.integers(-(2**65), 2**65))
def test_whole_numbers_are_held_against_their_bounds_exactly(seed):
    data = {"inner": ["a"], "seed": seed}
    if 0 <= seed < 2**63:
        assert read(Outer, data).seed == seed
    else:
        with pytest.raises(FieldError):
            read(Outer, data)
