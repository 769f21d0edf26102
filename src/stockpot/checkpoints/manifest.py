"""merge.json: what was merged with what, and what came out, so that it can be verified."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ..errors import OutputError

FORMAT = 1
_ENCODER = json.JSONEncoder(indent=1, ensure_ascii=False)
_OF_ALL = {"fingerprint", "recipe", "device", "key"}
_OF_A_FILE = {"name", "bytes", "header"}
_OF_A_TENSOR = {"role", "digest"}


def manifest_path(output: Path) -> Path:
    """Where an output's manifest lies: in the directory, or beside the file."""
    if output.suffix == ".safetensors":
        return output.with_name(output.name + ".merge.json")
    return output / "merge.json"


def manifest_text(manifest: Mapping[str, object]) -> str:
    """The manifest as it is written: keys in the order of the mapping, so runs repeat exactly."""
    return "".join(manifest_parts(manifest))


def manifest_parts(manifest: Mapping[str, object]) -> Iterator[str]:
    """The same text in parts; of `Members` only one is in memory at a time."""
    for key, value in {"format": FORMAT, **manifest}.items():
        yield f"{{\n {_dumped(key)}: " if key == "format" else f",\n {_dumped(key)}: "
        if isinstance(value, Members):
            before = "{"
            for name, one in value.pairs:
                yield f"{before}\n  {_dumped(name)}: {_dumped(one, '  ')}"
                before = ","
            yield "{}" if before == "{" else "\n }"
        else:
            yield _dumped(value, " ")
    yield "\n}\n"


@dataclass(frozen=True, slots=True)
class Members:
    """Members of a JSON object that are made one after the other while they are written."""

    pairs: Iterable[tuple[str, object]]


def _dumped(value: object, margin: str = "") -> str:
    """JSON whose lines but the first begin with a margin; in strings line ends are escaped."""
    return _ENCODER.encode(value).replace("\n", f"\n{margin}")


def read_manifest(output: Path) -> dict[str, Any]:
    """The manifest of an output.

    Raises:
        OutputError: there is none, or it is not one that this version reads.
    """
    path = manifest_path(output)
    try:
        manifest = json.loads(path.read_text(encoding="utf8"))
    except FileNotFoundError:
        raise OutputError(
            f"{output} has no {path.name}: it is not an output of stockpot."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise OutputError(f"{path} cannot be read: {str(error)[:200]}.") from None
    if not isinstance(manifest, dict) or cast(dict[str, Any], manifest).get("format") != FORMAT:
        raise OutputError(f"{path} is not a merge.json of this version of stockpot.")
    if not _is_complete(cast(dict[str, Any], manifest)):
        raise OutputError(f"{path} is damaged: it lacks a part that every merge.json has.")
    return cast(dict[str, Any], manifest)


def _is_complete(manifest: dict[str, Any]) -> bool:
    """Whether it has what `verify` reads, of the types that it expects; it may be a stranger's."""
    try:
        files, tensors = manifest["output"]["files"], manifest["tensors"].values()
        return (
            all(f["name"] and f["name"] == Path(f["name"]).name for f in files)
            and all(f.keys() >= _OF_A_FILE for f in files)
            and all(t.keys() >= _OF_A_TENSOR for t in tensors)
            and manifest.keys() >= _OF_ALL
        )
    except (KeyError, TypeError, AttributeError):
        return False
