"""Is every file of an output there, as it was written, and no other beside them."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import blake3

from ...checkpoints.beside.files import SUFFIXES
from ...checkpoints.formats.untrusted import listed, shown
from ...checkpoints.writing.manifest import is_sealed, manifest_path
from ...checkpoints.writing.standing import strangers

_WEIGHTS = {
    ".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".h5", ".msgpack", ".npz", ".onnx",
    ".pkl",
}  # fmt: skip
_READ = _WEIGHTS | SUFFIXES | {".so", ".pyd"}
"""Of files that a library may take for weights, configuration, tokenizer or code."""


def manifest_problems(output: Path, manifest: Mapping[str, Any]) -> list[str]:
    """Whether merge.json itself is what was written, and agrees with itself."""
    name, problems = manifest_path(output).name, list[str]()
    if manifest["format"] > 1 and not is_sealed(output):
        problems.append(f"{name} is not what was written: its seal does not fit.")
    if manifest.get("digest", "none") != "none":
        bare = [n for n, told in manifest["tensors"].items() if told["digest"] is None]
        if bare:
            problems.append(f"{name} has no digest of {listed(bare)}; others have one.")
    return problems


def weight_problems(output: Path, files: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sizes, headers and recorded SHA-256 of the weight files.

    A file that was renamed together with its sidecar is still that file.
    """
    if output.suffix == ".safetensors":
        return [p for file in files[:1] for p in _weight_problems(output, output.name, file)]
    return [p for f in files for p in _weight_problems(output / f["name"], f["name"], f)]


def _weight_problems(path: Path, name: str, file: Mapping[str, Any]) -> list[str]:
    if wrong := _not_there(path, name, file["bytes"]):
        return [wrong]
    with path.open("rb") as handle:
        prefix = handle.read(8)
        length = int.from_bytes(prefix, "little")
        header = prefix + handle.read(min(length, file["bytes"]))
    if blake3.blake3(header).hexdigest() != file["header"]:
        return [f"the header of {name} is not the one that was written."]
    if "sha256" in file:
        with path.open("rb") as handle:
            if hashlib.file_digest(handle, "sha256").hexdigest() != file["sha256"]:
                return [f"{name} is not what was written: its SHA-256 differs."]
    return []


def small_problems(directory: Path, small: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Configuration, tokenizer, code, card and index: each byte as it was written."""
    return [problem for name, told in small.items() if (problem := _small(directory, name, told))]


def _small(directory: Path, name: str, told: Mapping[str, Any]) -> str | None:
    if wrong := _not_there(directory / name, name, told["bytes"]):
        return wrong
    digest = blake3.blake3((directory / name).read_bytes()).hexdigest()
    return None if digest == told["digest"] else f"{name} was changed: its digest differs."


def _not_there(path: Path, name: str, size: int) -> str | None:
    if not path.is_file():
        what = "is not a file" if path.exists() or path.is_symlink() else "is missing"
        return f"{name} {what}."
    there = path.stat().st_size
    if there != size:
        return f"{name} was changed: it has {there:,} bytes; the manifest says {size:,}."
    return None


def added(
    directory: Path, known: frozenset[str], *, all_known: bool
) -> tuple[list[str], list[str]]:
    """What lies in a directory beside what was written: problems, and what to know.

    What a library would read beside or in place of what was written is a problem.

    Args:
        directory: the output.
        known: the names of all files that are known to be its own, by path within it.
        all_known: whether small files are among them; an early merge.json does not list them.
    """
    read = _READ if all_known else _WEIGHTS
    problems, others = list[str](), list[str]()
    for name in _files(directory, strangers(directory, known)):
        hidden = any(part.startswith(".") for part in Path(name).parts)
        if not hidden and Path(name).suffix.lower() in read:
            problems.append(f"{shown(name)} was added: it is not among what was written.")
        elif all_known:
            others.append(name)
    note = f"beside what was written there is {listed(others)}, which no library loads."
    return problems, [note] if others else []


def _files(directory: Path, names: Sequence[str]) -> list[str]:
    """Those names, with the files of a folder in its place; hidden ones and links as they are."""
    found: list[str] = []
    for name in names:
        folder = directory / name
        if not name.endswith("/") or name.startswith(".") or folder.is_symlink():
            found.append(name)
        else:
            inside = sorted(p for p in folder.rglob("*") if not p.is_dir())
            found += [p.relative_to(directory).as_posix() for p in inside] or [name]
    return found
