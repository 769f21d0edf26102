import json
from pathlib import Path

import pytest

from stockpot.checkpoints.manifest import FORMAT, manifest_path, manifest_text, read_manifest
from stockpot.errors import OutputError

MANIFEST = {
    "fingerprint": "f",
    "recipe": {"method": "average"},
    "device": "cpu",
    "key": None,
    "output": {"files": [{"name": "model.safetensors", "bytes": 9, "header": "h"}]},
    "tensors": {"wé": {"role": "matrix", "digest": None}},
}


def test_where_it_lies() -> None:
    assert manifest_path(Path("x/out")) == Path("x/out/merge.json")
    assert manifest_path(Path("x/o.safetensors")) == Path("x/o.safetensors.merge.json")


def test_it_is_read_back(tmp_path: Path) -> None:
    (tmp_path / "merge.json").write_text(manifest_text(MANIFEST), encoding="utf8")
    assert read_manifest(tmp_path) == {"format": FORMAT, **MANIFEST}


def test_the_text_keeps_the_order_and_ends_with_a_newline() -> None:
    text = manifest_text({"b": 1, "a": "é"})
    assert list(json.loads(text)) == ["format", "b", "a"]
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
