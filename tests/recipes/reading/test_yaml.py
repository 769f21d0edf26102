import contextlib
import json
import math
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stockpot.errors import FieldError
from stockpot.recipes.reading.yaml import (
    DEEPEST,
    MOST_CHARACTERS,
    MOST_NODES,
    dump_yaml,
    load_yaml,
    read_yaml,
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-5", 1e-5),
        ("1e5", 1e5),
        ("1E+3", 1e3),
        ("12e03", 12e3),
        (".5", 0.5),
        ("1.", 1.0),
        ("-0.0", -0.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("+.Inf", math.inf),
        ("0", 0),
        ("+7", 7),
        ("-12", -12),
        ("017", 17),
        ("0o17", 15),
        ("0x1F", 31),
        ("true", True),
        ("False", False),
        ("TRUE", True),
        ("~", None),
        ("null", None),
        ("", None),
    ],
)
def test_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    loaded = load_yaml(f"key: {text}", "t.yml")
    assert loaded == {"key": value}
    assert isinstance(loaded, dict)
    assert type(loaded["key"]) is type(value)


@pytest.mark.parametrize(
    "text",
    [
        *("on", "off", "yes", "no", "y", "n", "Yes", "tRUE", "nULL"),
        *("1:30", "190:20:30", "1_000", "0b11", "-0o7", "0o8", "1e", "e5", "..5", "1.2.3"),
        *("2001-01-01", "<<", "=", "inf", "nan", ".iNF", "+.nan", "0X1F", "٣"),
    ],
)
def test_the_rest_are_strings(text: str) -> None:
    assert load_yaml(f"key: {text}", "t.yml") == {"key": text}


def test_nan_is_a_number() -> None:
    value = load_yaml(".nan", "t.yml")
    assert isinstance(value, float)
    assert math.isnan(value)


def test_quoted_is_text_whatever_it_says() -> None:
    assert load_yaml("['1', \"true\", !!str 5, '']", "t.yml") == ["1", "true", "5", ""]


def test_core_tags_are_allowed() -> None:
    assert load_yaml("[!!float 3, !!int 3, !!map {}, !!seq []]", "t.yml") == [3.0, 3, {}, []]


def test_json_is_yaml() -> None:
    value = {"method": {"name": "ties", "density": 1e-5}, "models": ["a", {"path": "b"}]}
    assert load_yaml(json.dumps(value, indent=4), "t.json") == value


def test_aliases_are_written_out_and_share_nothing() -> None:
    loaded = load_yaml("a: &x [1, [2]]\nb: *x\nc: *x\n", "t.yml")
    assert loaded == {"a": [1, [2]], "b": [1, [2]], "c": [1, [2]]}
    assert isinstance(loaded, dict)
    assert loaded["a"] is not loaded["b"]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a: 1\nb: 2\na: 3", "t.yml:3:1", "'a' occurs twice"),
        ("x:\n  - {k: 1, 'k': 2}", "t.yml:2:12", "'k' occurs twice"),
        ("[1, 2", "t.yml:1:6", "expected ',' or ']'"),
        ("a: b: c", "t.yml:1:5", "mapping values are not allowed"),
        ("\ta: 1", "t.yml:1:1", "cannot start any token"),
        ("a: 1\n---\nb: 2", "t.yml:2:1", "another document"),
        ("a: !!python/object/apply:os.system ['true']", "t.yml:1:4", "tag .*os.system"),
        ("a: !!python/name:os.system", "t.yml:1:4", "tag .*not allowed"),
        ("!custom {a: 1}", "t.yml:1:1", "tag '!custom'"),
        ("a: !!set {x}", "t.yml:1:4", "tag .*set"),
        ("a: !!binary aGk=", "t.yml:1:4", "tag .*binary"),
        ("a: !!int x", "t.yml:1:4", "'x' is no int"),
        ("a: !!str [1]", "t.yml:1:4", "tag .*str"),
        ("? [1]\n: 2", "t.yml:1:3", "key must be a single value"),
        ("a: *b", "t.yml:1:4", "undefined alias"),
        ("a: &a [*a]", "t.yml:1:8", "alias within what it stands for"),
        ("a: &x 1\nb: &x 2", "t.yml:2:4", "duplicate anchor"),
        ("a: 1\nb: \x07", "t.yml:2", "not allowed in YAML"),
        ("a: " + "9" * 5000, "t.yml:1:4", "number of more than"),
        ("a: 0x" + "f" * 5000, "t.yml:1:4", "number of more than"),
    ],
)
def test_what_is_refused_says_where(text: str, place: str, words: str) -> None:
    with pytest.raises(FieldError, match=words) as caught:
        load_yaml(text, "t.yml")
    assert str(caught.value).startswith(place + ": ")


def test_a_bomb_of_aliases_is_refused() -> None:
    lines = ["a0: &a0 [" + ", ".join(["x"] * 9) + "]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 10)]
    with pytest.raises(FieldError, match="aliases written out"):
        load_yaml("\n".join(lines), "t.yml")


def test_aliases_count_with_what_they_stand_for() -> None:
    block = "- &x [" + ", ".join(["1"] * 998) + "]\n"  # 1 + 998 nodes, and the list around them
    fits = (MOST_NODES - 1) // 999 - 1
    loaded = load_yaml(block + "- *x\n" * fits, "t.yml")
    assert isinstance(loaded, list)
    assert len(loaded) == fits + 1
    with pytest.raises(FieldError, match=f"more than {MOST_NODES} values"):
        load_yaml(block + "- *x\n" * (fits + 1), "t.yml")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_depth_is_bounded(opening: str) -> None:
    with pytest.raises(FieldError, match=f"deeper than {DEEPEST}"):
        load_yaml(opening * 5000, "t.yml")


def test_legal_depth_is_read() -> None:
    depth = DEEPEST - 1
    assert load_yaml("[" * depth + "1" + "]" * depth, "t.yml")


def test_length_is_bounded() -> None:
    with pytest.raises(FieldError, match="longer than"):
        load_yaml("#" * (MOST_CHARACTERS + 1), "t.yml")


def test_an_empty_document_is_none() -> None:
    assert load_yaml("# nothing\n", "t.yml") is None


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "r.yml"
    path.write_bytes("a: é".encode())
    assert read_yaml(path) == {"a": "é"}


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(FieldError, match=r"cannot read .*none.yml: No such file"):
        read_yaml(tmp_path / "none.yml")
    with pytest.raises(FieldError, match="cannot read"):
        read_yaml(tmp_path)
    (tmp_path / "latin.yml").write_bytes(b"a: \xe9")
    with pytest.raises(FieldError, match="not text in UTF-8, at byte 3"):
        read_yaml(tmp_path / "latin.yml")
    (tmp_path / "long.yml").write_bytes(b"#" * (5 * MOST_CHARACTERS))
    with pytest.raises(FieldError, match=r"cannot read .*more than 1,048,576 bytes"):
        read_yaml(tmp_path / "long.yml")


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**40), 10**40)
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.sampled_from(["on", "1e-5", "0o17", "1:30", "~", "=", "<<", "1_0", "2001-01-01", "- a"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=9,
)


@given(VALUES)
def test_what_is_dumped_reads_back(value: object) -> None:
    assert load_yaml(dump_yaml(value), "t.yml") == value


@given(VALUES)
def test_readers_of_yaml_1_1_read_the_same(value: object) -> None:
    assert yaml.safe_load(dump_yaml(value)) == value


@given(st.text(alphabet=st.sampled_from(list("ab01:-[]{}&*!|>'\"# \n,?%@\t.")), max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(FieldError):
        load_yaml(text, "t.yml")
