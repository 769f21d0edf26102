"""The weight files of an unfinished output, written at the final offsets of their tensors."""

import errno
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from ... import system
from ...errors import OutputError
from .disk import read_all, write_all

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would exceed the allowed file size",
    errno.EACCES: "permission denied",
    errno.EROFS: "the file system is read-only",
}
Spans = Mapping[str, Mapping[str, tuple[int, int]]]
"""For each file where its tensors begin and end in it."""


class SpanFiles:
    """Open files and where in them each tensor lies; one that was pickled opens them again.

    Args:
        folder: in which they are.
        spans: of the tensors.
    """

    def __init__(self, folder: Path, spans: Spans) -> None:
        self._folder, self._spans = folder, spans
        self.fds: dict[str, int] = {}

    def open(self, name: str) -> int:
        """The descriptor of one of them, which is made where there is none."""
        flags = os.O_RDWR | os.O_CREAT | system.BINARY
        self.fds[name] = os.open(self._folder / name, flags, 0o644)
        return self.fds[name]

    def __getstate__(self) -> tuple[Path, Spans, Mapping[str, int]]:
        inodes = {name: os.fstat(fd).st_ino for name, fd in self.fds.items()}
        return self._folder, self._spans, inodes

    def __setstate__(self, state: tuple[Path, Spans, Mapping[str, int]]) -> None:
        folder, spans, inodes = state
        self.__init__(folder, spans)
        for name, inode in inodes.items():
            with explained(folder / name, resumable=True):
                self.fds[name] = os.open(folder / name, os.O_RDWR | system.BINARY)
            if os.fstat(self.fds[name]).st_ino != inode:
                raise OutputError(f"{folder / name} was replaced while the merge was at work.")

    def file_of(self, tensor: str) -> str | None:
        """The file in which a tensor lies."""
        return next((name for name, spans in self._spans.items() if tensor in spans), None)

    def _place_of(self, tensor: str) -> tuple[str, int]:
        """The file of a tensor, and where it begins there."""
        name = self.file_of(tensor)
        if name is None:
            raise KeyError(tensor)
        return name, self._spans[name][tensor][0]

    def write(self, name: str, offset: int, data: memoryview) -> None:
        """Write bytes of a tensor at `offset` within it."""
        file, start = self._place_of(name)
        with explained(self._folder / file, resumable=True):
            write_all(self.fds[file], data, start + offset)

    def read(self, name: str, offset: int, buffer: memoryview) -> None:
        """Bytes of a tensor that was written, from `offset` within it."""
        file, start = self._place_of(name)
        with explained(self._folder / file, resumable=True):
            read_all(self.fds[file], buffer, start + offset)

    def close(self) -> None:
        """Close every descriptor."""
        for fd in self.fds.values():
            os.close(fd)
        self.fds = {}

    def __del__(self) -> None:
        self.close()


@contextmanager
def explained(path: Path, *, resumable: bool = False) -> Generator[None]:
    """Turn an OSError about the output into an OutputError that says what to do."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
        then = " What is finished is kept: mend it and run again with --resume."
        raise OutputError(f"writing {path} failed: {reason}.{then if resumable else ''}") from None
