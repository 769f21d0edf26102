"""merge.json: what was merged with what, and what came out, so that it can be verified.

It ends with a seal, a digest of all its other bytes, so that a change of it is told as well.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import blake3

from ...errors import OutputError
from ...files import read_file
from ..formats.directory import is_inside

FORMAT = 2
"""Since 2 it has a seal, the digests of small files, and inputs by names and relative paths."""
_OLDEST = 1
LARGEST = 2**28
"""Bytes of a manifest; a tensor takes some hundred."""
_OF_ALL = {"fingerprint", "recipe", "device", "key"}
_SINCE_2 = {"seed", "methods", "digest", "allow_non_finite", "inputs"}
_OF_A_FILE = {"name", "bytes", "header"}
_OF_A_SMALL_FILE = {"bytes", "digest"}
_OF_A_TENSOR = {"role", "digest"}
_OF_AN_EXTRA = {"of", "name", "digest"}
_OF_AN_INPUT = {"name", "path", "bytes", "files"}
_SEAL = re.compile(rb'\n "seal": "([0-9a-f]{64})"\n}\n\Z')
_PLAIN = json.JSONEncoder(ensure_ascii=False)
_UNSEALED = "0" * 64


def manifest_path(output: Path) -> Path:
    """Where an output's manifest lies: in the directory, or beside the file."""
    if output.suffix == ".safetensors":
        return output.with_name(output.name + ".merge.json")
    return output / "merge.json"


def manifest_text(manifest: Mapping[str, object]) -> str:
    """The manifest as it is written: keys in the order of the mapping, so runs repeat exactly."""
    return b"".join(manifest_parts(manifest)).decode()


def manifest_parts(manifest: Mapping[str, object]) -> Iterator[bytes]:
    """The same text in parts; of `Members` only one is in memory at a time."""
    hasher = blake3.blake3()
    for text in _texts({"format": FORMAT, **manifest}):
        raw = text.encode("utf8", "backslashreplace")  # a file name that is no UTF-8: an escape
        hasher.update(raw)
        yield raw
    before, after = b',\n "seal": "', b'"\n}\n'
    hasher.update(before + _UNSEALED.encode() + after)
    yield before + hasher.hexdigest().encode() + after


def _texts(manifest: Mapping[str, object]) -> Iterator[str]:
    """All of it but the end."""
    for place, (key, value) in enumerate(manifest.items()):
        yield f"{',' if place else '{'}\n {_dumped(key)}: "
        if isinstance(value, Members):
            before = "{"
            for name, one in value.pairs:
                yield f"{before}\n  {_dumped(name)}: {_dumped(one, '  ')}"
                before = ","
            yield "{}" if before == "{" else "\n }"
        else:
            yield _dumped(value, " ")


@dataclass(frozen=True, slots=True)
class Members:
    """Members of a JSON object that are made one after the other while they are written."""

    pairs: Iterable[tuple[str, object]]


def _dumped(value: object, margin: str = "") -> str:
    """JSON with an indent of one, whose lines but the first begin with a margin.

    As `json.dumps` writes it, which with an indent takes four times as long for each tensor.
    """
    if type(value) is int:
        return str(value)
    inner = margin + " "
    if isinstance(value, dict) and value:
        members = cast(dict[str, object], value).items()
        texts = [f"{_PLAIN.encode(key)}: {_dumped(one, inner)}" for key, one in members]
        return f"{{\n{inner}" + f",\n{inner}".join(texts) + f"\n{margin}}}"
    if isinstance(value, list | tuple) and value:
        texts = [_dumped(one, inner) for one in cast(Sequence[object], value)]
        return f"[\n{inner}" + f",\n{inner}".join(texts) + f"\n{margin}]"
    return _PLAIN.encode(cast(object, value))


def is_sealed(output: Path) -> bool:
    """Whether an output's manifest is, to the last byte, what was written."""
    raw = manifest_path(output).read_bytes()
    found = _SEAL.search(raw)
    if found is None:
        return False
    begin, end = found.span(1)
    told = raw[:begin] + _UNSEALED.encode() + raw[end:]
    return blake3.blake3(told).hexdigest().encode() == found.group(1)


def read_manifest(output: Path) -> dict[str, Any]:
    """The manifest of an output.

    Raises:
        OutputError: there is none, or it is not one that this version reads.
    """
    path = manifest_path(output)
    if output.is_file() and path.parent == output:
        raise OutputError(
            f"{output} is a file with no merge.json: only what stockpot has written, a directory "
            "or a .safetensors file, can be verified. `stockpot inspect` shows what is in it."
        )
    if path.exists() and not path.is_file():
        raise OutputError(f"{path} cannot be read: it is not a file.")
    try:
        manifest = json.loads(read_file(path, LARGEST).decode())
    except FileNotFoundError:
        raise OutputError(
            f"{output} has no {path.name}: it is not an output of stockpot{_instead(output)}."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise OutputError(f"{path} cannot be read: {str(error)[:200]}.") from None
    told = cast(dict[str, Any], manifest) if isinstance(manifest, dict) else {}
    if type(told.get("format")) is not int or not _OLDEST <= told["format"] <= FORMAT:
        raise OutputError(f"{path} is not a merge.json of this version of stockpot.")
    if not _is_complete(told):
        raise OutputError(f"{path} is damaged: it lacks a part that every merge.json has.")
    return told


def _instead(output: Path) -> str:
    """What to do with what is there and no output."""
    return ". `stockpot inspect` shows what is in it" if output.exists() else ", or not there"


def _is_complete(manifest: dict[str, Any]) -> bool:
    """Whether it has what `verify` reads, of the types that it expects; it may be a stranger's."""
    try:
        files, tensors = manifest["output"]["files"], manifest["tensors"].values()
        return (
            all(f["name"] and f["name"] == Path(f["name"]).name for f in files)
            and all(f.keys() >= _OF_A_FILE and type(f["bytes"]) is int for f in files)
            and all(t.keys() >= _OF_A_TENSOR for t in tensors)
            and manifest.keys() >= _OF_ALL
            and isinstance(manifest["recipe"], dict)
            and (manifest["format"] == _OLDEST or _is_complete_since_2(manifest))
        )
    except (KeyError, TypeError, AttributeError):
        return False


def _is_complete_since_2(manifest: dict[str, Any]) -> bool:
    small, inputs = manifest["output"]["small"], manifest["inputs"]
    extras = manifest["output"].get("extras", [])
    return (
        manifest.keys() >= _SINCE_2
        and all(is_inside(name) and f.keys() >= _OF_A_SMALL_FILE for name, f in small.items())
        and all(type(f["bytes"]) is int for f in small.values())
        and all(is_inside(f["name"]) and type(f["bytes"]) is int for f in extras)
        and all(f.keys() >= _OF_A_FILE for f in extras)
        and all(told.keys() >= _OF_AN_EXTRA for told in manifest.get("extras", {}).values())
        and all(told.keys() >= _OF_AN_INPUT for told in inputs)
        and all(isinstance(told["name"], str) for told in inputs)
        and all(isinstance(told["path"], str | None) for told in inputs)
        and all(f.keys() >= _OF_A_FILE for told in inputs for f in told["files"])
    )
