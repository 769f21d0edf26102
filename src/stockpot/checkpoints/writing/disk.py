"""Single steps on the disk, each finished before the next: folders, whole files, syncs."""

import errno
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from ... import system
from ...errors import OutputError
from ..formats.directory import is_inside

_PART = 2**20


def make_parents(path: Path) -> None:
    """Make the folders above a path, so that they are on the disk before what is in them."""
    missing = [folder for folder in path.parents if not folder.exists()]
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
        system.here.sync_path(folder.parent)


def write_new(folder: Path, name: str, content: bytes | Iterable[bytes]) -> None:
    """Write a small file of an output, in folders of its own where its name has some.

    Raises:
        OutputError: the name leads elsewhere.
    """
    if not is_inside(name):
        raise OutputError(f"a file of the output cannot be named '{name}'.")
    for parent in reversed(Path(name).parents[:-1]):
        (folder / parent).mkdir(exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | system.BINARY
    fd = os.open(folder / name, flags, 0o644)
    try:
        for part in [content] if isinstance(content, bytes) else _gathered(content):
            rest = memoryview(part)
            while rest:
                rest = rest[os.write(fd, rest) :]
    finally:
        os.close(fd)


def write_all(fd: int, data: memoryview, offset: int) -> None:
    """Write at an offset, as often as the system takes a part only."""
    done = 0
    while done < len(data):
        done += system.here.write_at(fd, data[done:], offset + done)


def read_all(fd: int, buffer: memoryview, offset: int) -> None:
    """Read at an offset, as often as the system gives a part only.

    Raises:
        OSError: the file ends before.
    """
    done = 0
    while done < len(buffer):
        count = system.here.read_at(fd, buffer[done:], offset + done)
        if count == 0:
            raise OSError(errno.EIO, f"it ends at byte {offset + done}")
        done += count


def _gathered(parts: Iterable[bytes]) -> Iterator[bytes]:
    """The same bytes in fewer and larger parts."""
    held = bytearray()
    for part in parts:
        held += part
        if len(held) >= _PART:
            yield bytes(held)
            held.clear()
    yield bytes(held)
