"""Small files of a stranger's folder: listed by name and read within bounds, never run.

A folder may hold links to anywhere, pipes, files without end and code. Listed are regular files of
known kinds that lie in the folder itself, or in the hub's cache that the folder is a part of.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ...errors import CheckpointError
from ...files import open_descriptor
from ..entry import Checkpoint
from ..formats.untrusted import listed
from .names import is_tokenizer

_SUFFIXES = ".json .txt .model .v3 .v7 .jinja .tiktoken .spm .bpe .codes .vocab .py .yaml .yml"
SUFFIXES = frozenset(_SUFFIXES.split())
"""What configurations, tokenizers, templates and code are made of."""
LICENCES = re.compile(r"(licen[cs]e|notice|use_policy|copying)([._-].*)?", re.IGNORECASE)
"""Texts that must go with a model whatever their suffix."""
NEVER = re.compile(
    r"README\.md|adapter_config\.json|trainer_state\.json|mergekit_config\.ya?ml"
    r"|(all|train|eval|test|predict)_results\.json|requirements.*\.txt"
    r"|(.*\.)?merge\.json|.*\.index(\.[\w-]+)?\.json|\..*"
)
"""What speaks of a run or of the weights' files, not of the model."""
TEMPLATES = "additional_chat_templates"
MODULE = re.compile(r"\d+_\w+")
"""A folder of sentence-transformers, such as 1_Pooling or 2_Dense."""
WEIGHTS = ("model.safetensors", "pytorch_model.bin")

LARGEST = 2**27
"""Bytes of the largest file of a tokenizer; vocabularies of a quarter million tokens take 40 MB."""
LARGEST_OTHER = 2**24
LARGEST_SUM = 2**28
MOST = 500
POINTER = b"version https://git-lfs.github.com/spec"


@dataclass(frozen=True, slots=True, eq=False)
class SmallFiles:
    """What lies beside the weights of one model.

    Attributes:
        label: how messages call the model.
        folder: where it lies; None where nothing can.
        sizes: bytes by name within the folder, parts joined by "/".
        pointers: those that are git-lfs pointers in place of files.
        left: what was left out and why, in sentences.
    """

    label: str
    folder: Path | None = None
    sizes: Mapping[str, int] = field(default_factory=dict[str, int])
    pointers: tuple[str, ...] = ()
    left: tuple[str, ...] = ()

    def __contains__(self, name: str) -> bool:
        return name in self.sizes

    def read(self, name: str) -> bytes:
        """The content of a listed file.

        Raises:
            CheckpointError: it cannot be read, or has become another kind of thing.
        """
        assert self.folder is not None
        content = _read(self.folder / name, self.sizes[name])
        if content is None:
            raise CheckpointError(f"{self.folder / name} changed while it was being read.")
        return content


def small_files(checkpoint: Checkpoint) -> SmallFiles:
    """What lies beside a checkpoint's weights; nothing for a state dict in memory."""
    home = home_of(checkpoint)
    return SmallFiles(checkpoint.label) if home is None else survey(home, checkpoint.label)


def home_of(checkpoint: Checkpoint) -> Path | None:
    """The folder whose configuration plainly speaks of a checkpoint.

    Of a file it is where it lies, if it is called as libraries call the weights of such a folder
    and is the only one there.
    """
    checkpoint = checkpoint.origins[0]
    if checkpoint.directory is not None or len(checkpoint.files) != 1:
        return checkpoint.directory
    file = checkpoint.files[0].path
    usual = re.fullmatch(
        r"(model|pytorch_model|diffusion_pytorch_model)(\.\w+)?\.(safetensors|bin)", file.name
    )
    return file.parent if usual and (file.parent / "config.json").is_file() else None


def survey(folder: Path, label: str) -> SmallFiles:
    """List the small files of a folder."""
    real = Path(os.path.realpath(folder))
    sizes = dict[str, int]()
    pointers, outside, large, other = list[str](), list[str](), list[str](), list[str]()
    for name in _names(real):
        path = real / name
        if not _belongs(path, real):
            outside.append(name)
            continue
        size = _size(path)
        if size is None:
            other.append(name)
            continue
        total = sum(sizes.values()) + size
        if size > _bound(name) or total > LARGEST_SUM or len(sizes) == MOST:
            large.append(name)
            continue
        sizes[name] = size
        if size < 1024 and (_read(path, size) or b"").startswith(POINTER):
            pointers.append(name)
    left = list[str]()
    if outside:
        left.append(f"{label}: left out {listed(outside)}: links that lead out of the folder.")
    if other:
        left.append(f"{label}: left out {listed(other)}: no regular files, or links to nowhere.")
    if large:
        left.append(f"{label}: left out {listed(large)}: too large or too many for small files.")
    return SmallFiles(label, folder, sizes, tuple(pointers), tuple(left))


def _names(folder: Path) -> Iterator[str]:
    for entry in _scan(folder):
        name = entry.name
        if _wanted(name) and not entry.is_dir(follow_symlinks=False):
            yield name
        elif entry.is_dir(follow_symlinks=False) and name == TEMPLATES:
            yield from (f"{name}/{one.name}" for one in _scan(entry) if _wanted(one.name))
        elif entry.is_dir(follow_symlinks=False) and MODULE.fullmatch(name):
            inside = [one.name for one in _scan(entry)]
            yield from (f"{name}/{one}" for one in inside if _wanted(one) or one in WEIGHTS)


def _scan(folder: Path | os.DirEntry[str]) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise CheckpointError(f"cannot list {os.fspath(folder)}: {error.strerror}.") from None


def _wanted(name: str) -> bool:
    if NEVER.fullmatch(name):
        return False
    return Path(name).suffix in SUFFIXES or LICENCES.fullmatch(name) is not None


def _bound(name: str) -> int:
    return LARGEST if is_tokenizer(name) or name.endswith(WEIGHTS) else LARGEST_OTHER


def _belongs(path: Path, folder: Path) -> bool:
    """Whether it lies in the folder, links resolved, or in the blobs of the hub's cache."""
    real = Path(os.path.realpath(path))
    if real.is_relative_to(folder):
        return True
    cache = next((one for one in folder.parents if one.name == "snapshots"), None)
    return cache is not None and real.parent == cache.parent / "blobs"


def _size(path: Path) -> int | None:
    """Bytes of a regular file; None for anything else."""
    try:
        status = path.stat()
    except OSError:  # a dangling link, a loop
        return None
    return status.st_size if stat.S_ISREG(status.st_mode) else None


def _read(path: Path, size: int) -> bytes | None:
    """As many bytes, without waiting for a pipe; None where there are fewer or more."""
    try:
        with os.fdopen(open_descriptor(path), "rb") as file:
            content = file.read(size + 1)
    except OSError as error:
        if error.errno in (errno.EISDIR, errno.EINVAL):
            return None
        raise CheckpointError(f"cannot read {path}: {error.strerror}.") from None
    return content if len(content) == size else None
