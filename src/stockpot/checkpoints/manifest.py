"""merge.json: what was merged with what, and what came out, so that it can be verified."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from ..errors import OutputError
from ..files import read_file

FORMAT = 1
LARGEST = 2**28
"""Bytes of a manifest; a tensor takes some hundred."""
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
    return json.dumps({"format": FORMAT, **manifest}, indent=1, ensure_ascii=False) + "\n"


def read_manifest(output: Path) -> dict[str, Any]:
    """The manifest of an output.

    Raises:
        OutputError: there is none, or it is not one that this version reads.
    """
    path = manifest_path(output)
    try:
        manifest = json.loads(read_file(path, LARGEST).decode())
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
