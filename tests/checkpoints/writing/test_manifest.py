import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stockpot.checkpoints.writing.manifest import (
    FORMAT,
    Members,
    is_sealed,
    manifest_path,
    manifest_text,
    read_manifest,
)
from stockpot.errors import OutputError

MANIFEST: dict[str, Any] = {
    "fingerprint": "f",
    "recipe": {"method": "average"},
    "device": "cpu",
    "key": None,
    "seed": 0,
    "methods": ["Average()"],
    "digest": "none",
    "allow_non_finite": False,
    "inputs": [{"name": "a", "path": "../a", "bytes": 1, "files": []}],
    "output": {
        "files": [{"name": "model.safetensors", "bytes": 9, "header": "h"}],
        "small": {"1_Pooling/config.json": {"bytes": 2, "digest": "d"}},
    },
    "tensors": {"wé": {"role": "matrix", "digest": None}},
}


def test_where_it_lies() -> None:
    assert manifest_path(Path("x/out")) == Path("x/out/merge.json")
    assert manifest_path(Path("x/o.safetensors")) == Path("x/o.safetensors.merge.json")


def test_it_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "merge.json").write_text(manifest_text(MANIFEST), encoding="utf8")
    told = read_manifest(tmp_path)
    assert len(told.pop("seal")) == 64
    assert told == {"format": FORMAT, **MANIFEST}
    assert is_sealed(tmp_path)


def test_a_change_of_any_byte_breaks_the_seal(tmp_path: Path) -> None:
    raw = manifest_text(MANIFEST).encode()
    for i in range(len(raw)):
        for bit in (1, 32):
            changed = raw[:i] + bytes([raw[i] ^ bit]) + raw[i + 1 :]
            (tmp_path / "merge.json").write_bytes(changed)
            assert not is_sealed(tmp_path), (i, bit)


def test_a_name_that_is_no_text_is_kept(tmp_path: Path) -> None:
    named = [{"name": "a", "path": "../\udcff", "bytes": 1, "files": []}]
    text = manifest_text(MANIFEST | {"inputs": named})
    (tmp_path / "merge.json").write_text(text, encoding="utf8")
    assert read_manifest(tmp_path)["inputs"] == named
    assert is_sealed(tmp_path)


def test_the_first_format_is_read(tmp_path: Path) -> None:
    early = {k: MANIFEST[k] for k in ("fingerprint", "recipe", "device", "key", "tensors")}
    early |= {"format": 1, "output": {"files": MANIFEST["output"]["files"]}}
    (tmp_path / "merge.json").write_text(json.dumps(early))
    assert read_manifest(tmp_path) == early


@pytest.mark.parametrize(
    "wrong",
    [
        {"output": {"files": [], "small": []}},
        {"output": {"files": [], "small": {"../x": {"bytes": 1, "digest": ""}}}},
        {"output": {"files": [], "small": {"x": {"bytes": "1", "digest": ""}}}},
        {"output": {"files": [{"name": "x", "bytes": "1", "header": ""}], "small": {}}},
        {"inputs": [{"name": "a", "path": 3, "bytes": 1, "files": []}]},
        {"inputs": [{"name": "a", "path": "a", "bytes": 1, "files": [3]}]},
        {"inputs": {}, "recipe": []},
    ],
    ids=str,
)
def test_parts_of_other_types(wrong: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "merge.json").write_text(manifest_text(MANIFEST | wrong))
    with pytest.raises(OutputError, match="damaged"):
        read_manifest(tmp_path)


def test_the_text_keeps_the_order_and_ends_with_a_newline() -> None:
    text = manifest_text({"b": 1, "a": "é"})
    assert list(json.loads(text)) == ["format", "b", "a", "seal"]
    assert text.endswith("}\n")
    assert "é" in text


@pytest.mark.parametrize("key", MANIFEST)
def test_a_part_that_is_missing(key: str, tmp_path: Path) -> None:
    rest = {k: v for k, v in MANIFEST.items() if k != key}
    (tmp_path / "merge.json").write_text(manifest_text(rest))
    with pytest.raises(OutputError, match=r"merge\.json is damaged"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "a/b", "", 3, None])
def test_a_file_elsewhere_is_refused(name: object, tmp_path: Path) -> None:
    files = [{"name": name, "bytes": 1, "header": ""}]
    (tmp_path / "merge.json").write_text(manifest_text(MANIFEST | {"output": {"files": files}}))
    with pytest.raises(OutputError, match="damaged"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"format": 0}', "[" * 10**5, "\ud800"])
def test_what_is_no_manifest(text: str, tmp_path: Path) -> None:
    (tmp_path / "merge.json").write_bytes(text.encode("utf8", "surrogatepass"))
    with pytest.raises(OutputError, match=r"merge\.json (cannot be read|is not a merge\.json)"):
        read_manifest(tmp_path)


def test_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="not an output of stockpot"):
        read_manifest(tmp_path)
    (tmp_path / "merge.json").mkdir()
    with pytest.raises(OutputError, match="cannot be read"):
        read_manifest(tmp_path)


PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
NESTED = st.recursive(
    PLAIN, lambda one: st.lists(one) | st.dictionaries(st.text(), one) | st.tuples(one, one)
)


@given(NESTED, NESTED)
def test_its_json_is_what_the_library_writes(one: object, other: object) -> None:
    told = {"format": 2, "a": one}
    members = Members([("x", other), ("y", one)])
    texts = [manifest_text({"a": one, "tensors": {"x": other, "y": one}})]
    texts.append(manifest_text({"a": one, "tensors": members}))
    text = json.dumps(told | {"tensors": {"x": other, "y": one}}, indent=1, ensure_ascii=False)
    assert {raw.rpartition(',\n "seal"')[0] for raw in texts} == {
        text.removesuffix("\n}").encode("utf8", "backslashreplace").decode()
    }
