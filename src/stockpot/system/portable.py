"""What every system offers: steps that Python has on Linux, macOS and Windows alike.

Flags and calls that one of them lacks are looked for. On Windows a file that is open can neither be
renamed nor deleted, and no directory can be opened: whoever calls has closed what is to move.
"""

import errno
import io
import os
import signal
import sys
import threading
from pathlib import Path

BINARY: int = getattr(os, "O_BINARY", 0)
"""For os.open: no translation of line ends, which Windows does unless it is told."""
NO_LINK: int = getattr(os, "O_NOFOLLOW", 0)
"""For os.open: refuse a symbolic link, where the system can."""
ENDINGS: tuple[int, ...] = tuple(
    getattr(signal, name) for name in ("SIGTERM", "SIGKILL") if hasattr(signal, name)
)
"""On Windows there is one."""
_NO_WAIT: int = getattr(os, "O_NONBLOCK", 0)
_UNLOCKABLE = (errno.EBADF, errno.EINVAL, errno.ENOTSUP, errno.ENOLCK, errno.ENOSYS)
_LINKLESS = (errno.ENOSYS, errno.EPERM, errno.ENOTSUP, errno.EMLINK, errno.EINVAL)
_BEYOND = 2**30  # a byte that no lock file has: what Windows locks, others cannot read
_POSITIONS = tuple(threading.Lock() for _ in range(64))
"""Each for the position of some descriptors, while one moves it and reads or writes there."""


def open_to_read(path: Path) -> int:
    """Windows has no pipes among its files, and says of a directory that it is not allowed."""
    try:
        return os.open(path, os.O_RDONLY | _NO_WAIT | BINARY)
    except PermissionError:
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path)) from None
        raise


def open_folder(path: Path) -> int | None:
    """None on Windows."""
    directory: int | None = getattr(os, "O_DIRECTORY", None)
    return None if directory is None else os.open(path, os.O_RDONLY | directory)


def read_at(fd: int, buffer: memoryview, offset: int) -> int:
    """The descriptor's position is moved under a lock."""
    with _POSITIONS[fd % len(_POSITIONS)], io.FileIO(fd, closefd=False) as file:
        os.lseek(fd, offset, os.SEEK_SET)
        return file.readinto(buffer)


def write_at(fd: int, data: memoryview | bytes, offset: int) -> int:
    """The descriptor's position is moved under a lock."""
    with _POSITIONS[fd % len(_POSITIONS)]:
        os.lseek(fd, offset, os.SEEK_SET)
        return os.write(fd, data)


def write_back(fd: int) -> None:
    """By fsync: the others have no fdatasync."""
    os.fsync(fd)


def sync_path(path: Path) -> None:
    """Names in a directory only where it can be opened; files as Windows wants it, to write."""
    fd = open_folder(path) if path.is_dir() else os.open(path, os.O_RDWR | BINARY)
    if fd is None:
        return
    try:
        sync(fd)
    finally:
        os.close(fd)


def rename_new(source: Path, target: Path) -> None:
    """By a hard link.

    Where a file system has none, the name is taken with an empty file first, which a kill right
    then leaves behind.
    """
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in _LINKLESS:
            raise
    else:
        source.unlink()
        return
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
    try:
        source.replace(target)
    except OSError:
        target.unlink()
        raise


def put_folder(new: Path, path: Path) -> None:
    """A rename of a directory replaces an empty one at most, on Windows nothing at all."""
    try:
        new.rename(path)
    except FileExistsError:
        path.rmdir()
        new.rename(path)


def exchange(new: Path, old: Path, aside: Path) -> None:
    """In two renames; between them nothing is at `old`."""
    old.rename(aside)
    try:
        new.rename(old)
    except OSError:
        aside.rename(old)
        raise


def boot_id() -> str:
    """None that Python knows of."""
    return ""


def cores() -> int:
    """Those of the machine."""
    return os.cpu_count() or 1


def return_large_blocks() -> None:
    """Nothing: only glibc needs it."""


def keep_freed_blocks() -> None:
    """Nothing: only glibc needs it."""


def marked_processes(mark: str) -> set[int]:
    """None: environments of others are not to be had."""
    return set()


def is_running(process: int) -> bool:
    """Of what `marked_processes` gives, nothing."""
    return False


if sys.platform == "win32":
    import msvcrt

    def lock(fd: int) -> bool:
        """One byte beyond the end, so that the file can be read."""
        os.lseek(fd, _BEYOND, os.SEEK_SET)
        try:
            msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from None
        return True

    def sync(fd: int) -> None:
        """By fsync."""
        os.fsync(fd)

    def most_open_files() -> int | None:
        """As many as the C library has descriptors."""
        return 8192

    def memory() -> int | None:
        """Not told."""
        return None

    def taken(status: os.stat_result) -> int:
        """All of it: no part of a file is left out."""
        return status.st_size

else:
    import fcntl
    import resource

    _FULL: int | None = getattr(fcntl, "F_FULLFSYNC", None)

    def lock(fd: int) -> bool:
        """By flock."""
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError as error:
            if error.errno in _UNLOCKABLE:
                return False
            raise
        return True

    def sync(fd: int) -> None:
        """By fsync, which on macOS leaves it to the drive when: there by F_FULLFSYNC."""
        if _FULL is None:
            os.fsync(fd)
        else:
            fcntl.fcntl(fd, _FULL)

    def most_open_files() -> int | None:
        """As the shell's `ulimit -n` has it."""
        allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return None if allowed == resource.RLIM_INFINITY else allowed

    def memory() -> int | None:
        """As sysconf has it."""
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    def taken(status: os.stat_result) -> int:
        """Of a sparse file what has been written."""
        return status.st_blocks * 512
