"""What Linux offers: renames that replace nothing or swap, reads and writes by position."""

import contextlib
import ctypes
import errno
import os
import sys
from pathlib import Path

from . import portable

assert sys.platform == "linux"  # type checkers for other systems read no further

ENDINGS, lock = portable.ENDINGS, portable.lock
memory, taken = portable.memory, portable.taken
most_open_files = portable.most_open_files

NOREPLACE, EXCHANGE = 1, 2
_AT_FDCWD = -100
_LACKING = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)
_BOOT = Path("/proc/sys/kernel/random/boot_id")
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD = -1, -2, -3  # numbers of glibc's malloc.h
_KEPT, _HEAP, _LARGEST, _RETURNED = 2**28, 2**26, 2**23, 2**20


def open_to_read(path: Path) -> int:
    """Without O_NONBLOCK a pipe that nobody writes to would never open."""
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)


def open_folder(path: Path) -> int | None:
    """Of the directory itself."""
    return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)


def read_at(fd: int, buffer: memoryview, offset: int) -> int:
    """By preadv."""
    return os.preadv(fd, [buffer], offset)


def write_at(fd: int, data: memoryview | bytes, offset: int) -> int:
    """By pwrite."""
    return os.pwrite(fd, data, offset)


def write_back(fd: int) -> None:
    """By fdatasync."""
    os.fdatasync(fd)


def sync(fd: int) -> None:
    """By fsync."""
    os.fsync(fd)


def sync_path(path: Path) -> None:
    """A directory is opened and synced as a file is."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        sync(fd)
    finally:
        os.close(fd)


def renameat2(source: Path, target: Path, flags: int) -> None:
    """The system's rename with flags.

    Raises:
        OSError: as the system says; ENOSYS where it has no such call.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(source), os.fsencode(target)
    try:
        failed = libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], flags)
    except AttributeError:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS)) from None
    if failed:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), str(target))


def rename_new(source: Path, target: Path) -> None:
    """By renameat2; where the file system has it not, as on any system."""
    try:
        renameat2(source, target, NOREPLACE)
    except OSError as error:
        if error.errno not in _LACKING:
            raise
        portable.rename_new(source, target)


def put_folder(new: Path, path: Path) -> None:
    """In one step: the system replaces no directory but an empty one."""
    new.replace(path)


def exchange(new: Path, old: Path, aside: Path) -> None:
    """Swapped in one step; where the file system cannot, as on any system."""
    try:
        renameat2(new, old, EXCHANGE)
    except OSError as error:
        if error.errno not in _LACKING:
            raise
        portable.exchange(new, old, aside)


def boot_id() -> str:
    """As the kernel drew it."""
    return _BOOT.read_text(encoding="ascii").strip() if _BOOT.exists() else ""


def cores() -> int:
    """Those that the process may be scheduled on."""
    return len(os.sched_getaffinity(0))


def return_large_blocks() -> None:
    """Let glibc give what is larger than 1 MiB back as soon as it is freed, until a run begins.

    Otherwise the texts of headers, once freed, leave holes below what is kept of them, for glibc
    raises the size from which it does so with each that it gives back. So does what decomposes
    matrix after matrix, whose directions are kept: with 128 models of 512 x 512 holes took 45 MiB.
    """
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _RETURNED)


def keep_freed_blocks() -> None:
    """Let glibc keep up to 256 MiB of freed blocks for the next ones, from now on.

    By default it gives a freed block of half a megabyte back to the system and faults its pages
    in again for the next operation, which makes a merge four times slower; and it unmaps each
    further heap of 64 MiB of a thread once that is empty, whatever the threshold, unless that
    much padding is asked for. What is larger than 8 MiB, as whole matrices are, is given back: it
    would leave holes in such heaps. With another C library than glibc nothing is changed.
    """
    with contextlib.suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_TRIM_THRESHOLD, _KEPT)
        mallopt(_TOP_PAD, _HEAP)
        mallopt(_MMAP_THRESHOLD, _LARGEST)


def marked_processes(mark: str) -> set[int]:
    """As /proc has their environments."""
    marked: set[int] = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mark.encode() in (folder / "environ").read_bytes().split(b"\0"):
                marked.add(int(folder.name))
    return marked


def is_running(process: int) -> bool:
    """As /proc has its state."""
    try:
        stat = Path(f"/proc/{process}/stat").read_bytes()
    except OSError:
        return False
    return stat.rpartition(b")")[2].split()[0] not in (b"Z", b"X")
