"""Where bytes come from: a file or memory, read by position from many threads at once.

No more files are open than half of what the system allows: one that nobody reads is closed, and
opened again by its path, which must lead to the same file.
"""

import io
import os
import threading
import weakref
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol, Self

import torch
from torch import Tensor

from .. import system
from ..errors import CheckpointError
from ..files import open_descriptor
from ..typed import to_numpy

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Source(Protocol):
    """Bytes that can be read by position, from many threads at once."""

    def read_into(self, buffer: memoryview, offset: int) -> None:
        """Fill `buffer` from `offset`, or raise CheckpointError."""
        ...


@dataclass(frozen=True, slots=True)
class FileIdentity:
    """What tells a file from a later one at the same path.

    The change time is among it: no program can set it back, as an edit in place may set mtime. On
    Windows it is the time at which the file was made.
    """

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int

    @classmethod
    def of(cls, status: os.stat_result) -> Self:
        """As the system tells it."""
        return cls(status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


_LOCK = threading.RLock()  # a collected source may be forgotten while it is held
_OPEN: dict[int, "weakref.ref[FileSource]"] = {}
"""Every open source by its descriptor, the first opened first."""


class FileSource:
    """A file read by position with a descriptor of its own; remembers what it was when opened.

    Where more files are open than half of what the system allows, those that nobody reads just now
    are closed, and opened again by their path when they are. A copy, or one that was pickled, is
    opened again too. It must be the same file then.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd: int | None = None
        self._readers = 0
        with _LOCK:
            self.identity = _identify(self._opened())

    def _opened(self) -> int:
        _close_idle()
        try:
            self._fd = open_descriptor(self.path)
        except OSError as error:
            raise CheckpointError(f"cannot open {self.path}: {error.strerror}.") from None
        _OPEN[self._fd] = weakref.ref(self)
        return self._fd

    def __getstate__(self) -> tuple[Path, FileIdentity]:
        return self.path, self.identity

    def __setstate__(self, state: tuple[Path, FileIdentity]) -> None:
        self.path, self.identity = state
        self._fd, self._readers = None, 0
        with self._descriptor():
            pass

    @contextmanager
    def _descriptor(self) -> Generator[int]:
        """The descriptor, kept open meanwhile."""
        with _LOCK:
            if self._fd is None and _identify(self._opened()) != self.identity:
                self.close()
                raise CheckpointError(
                    f"{self.path} is not the file that was opened before: it was changed or "
                    "replaced meanwhile. Run again."
                )
            assert self._fd is not None
            self._readers += 1
        try:
            yield self._fd
        finally:
            with _LOCK:
                self._readers -= 1

    def close(self) -> None:
        """Close the descriptor, unless somebody reads just now; the next read opens it again."""
        with _LOCK:
            if self._fd is not None and not self._readers:
                del _OPEN[self._fd]
                os.close(self._fd)
                self._fd = None

    def read_into(self, buffer: memoryview, offset: int) -> None:
        """Fill `buffer` from `offset`; an early end or a disk error is a CheckpointError."""
        with self._descriptor() as fd:
            self._fill(fd, buffer, offset)

    def _fill(self, fd: int, buffer: memoryview, offset: int) -> None:
        done = 0
        while done < len(buffer):
            try:
                count = system.here.read_at(fd, buffer[done:], offset + done)
            except OSError as error:
                raise CheckpointError(
                    f"reading {self.path} failed at byte {offset + done}: {error.strerror}."
                ) from None
            if count == 0:
                raise CheckpointError(
                    f"{self.path} ended at byte {offset + done}: it was cut while being read."
                )
            done += count

    def read(self, offset: int, count: int) -> bytes:
        """`count` bytes from `offset`; the caller has checked both against the size."""
        buffer = bytearray(count)
        self.read_into(memoryview(buffer), offset)
        return bytes(buffer)

    @property
    def size(self) -> int:
        """Bytes of the file as it was opened."""
        return self.identity.size

    def open(self) -> IO[bytes]:
        """The file anew, for readers that seek."""
        return self.path.open("rb")

    def changed(self) -> bool:
        """Whether the file, or what now stands at its path, differs from what was opened."""
        try:
            now = FileIdentity.of(self.path.stat())
            with self._descriptor() as fd:
                return now != self.identity or _identify(fd) != self.identity
        except (OSError, CheckpointError):
            return True

    def __del__(
        self, forget: Callable[..., object] = _OPEN.pop, close: Callable[[int], None] = os.close
    ) -> None:
        fd: int | None = getattr(self, "_fd", None)
        if fd is not None:  # as they were bound: at the interpreter's end the module may be gone
            forget(fd, None)
            close(fd)


def _identify(fd: int) -> FileIdentity:
    return FileIdentity.of(os.fstat(fd))


def _close_idle() -> None:
    """Close files that nobody reads, the first opened first, where too many are open."""
    allowed = system.here.most_open_files()
    if allowed is None:
        return
    most = max(allowed // 2, 8)
    for known in list(_OPEN.values()):
        if len(_OPEN) < most:
            return
        source = known()
        if source is not None:
            source.close()


class PartSource:
    """A run of bytes of a file, as if it were a file of its own.

    Args:
        source: the file.
        begin: its first byte there.
        size: its bytes; the caller has checked both against the file.
    """

    def __init__(self, source: FileSource, begin: int, size: int) -> None:
        self.path, self.size = source.path, size
        self._source, self._begin = source, begin

    def read_into(self, buffer: memoryview, offset: int) -> None:
        """Fill `buffer` from byte `offset` of the part."""
        self._source.read_into(buffer, self._begin + offset)

    def read(self, offset: int, count: int) -> bytes:
        """`count` bytes from `offset`, which lie within the part."""
        return self._source.read(self._begin + offset, count)

    def open(self) -> IO[bytes]:
        """The part, for readers that seek."""
        return io.BufferedReader(_PartFile(self))


class _PartFile(io.RawIOBase):
    def __init__(self, part: PartSource) -> None:
        super().__init__()
        self._part, self._at = part, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._part.size}[whence]
        if start + offset < 0:
            raise OSError("seek to before the start")  # as a file has it; zipfile relies on that
        self._at = start + offset
        return self._at

    def readinto(self, buffer: "Buffer", /) -> int:
        view = memoryview(buffer).cast("B")
        count = max(0, min(len(view), self._part.size - self._at))
        self._part.read_into(view[:count], self._at)
        self._at += count
        return count


class MemorySource:
    """A tensor's own memory as a source; no copy is made."""

    def __init__(self, tensor: Tensor) -> None:
        dense = tensor.detach().resolve_conj().resolve_neg().contiguous().cpu()
        # one element that was expanded has a stride of 0, and reshape would keep it
        flat = torch.as_strided(dense, (dense.numel(),), (1,))
        self._flat = flat.view(torch.uint8)
        self._bytes = to_numpy(self._flat).data

    def __reduce__(self) -> "tuple[Callable[[bytes], MemorySource], tuple[bytes]]":
        # not the tensor: where torch sends one to another process it moves it, and leaves the view
        return _of_bytes, (bytes(self._bytes),)

    def elements(self, dtype: torch.dtype, offset: int, count: int) -> Tensor:
        """Some of them where they lie, flat, from a byte offset on; not to be changed."""
        return self._flat[offset : offset + count * dtype.itemsize].view(dtype)

    def read_into(self, buffer: memoryview, offset: int) -> None:
        """Copy from the tensor's memory."""
        buffer[:] = self._bytes[offset : offset + len(buffer)]


def _of_bytes(content: bytes) -> MemorySource:
    own = bytearray(content)
    return MemorySource(torch.frombuffer(own, dtype=torch.uint8) if own else torch.empty(0))
