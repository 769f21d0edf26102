"""Renames that replace nothing, and renames that swap: one step each where the system has them."""

import ctypes
import errno
import os
from pathlib import Path

NOREPLACE, EXCHANGE = 1, 2
_AT_FDCWD = -100
_LACKING = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP)
_LINKLESS = (errno.ENOSYS, errno.EPERM, errno.ENOTSUP, errno.EMLINK)


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
    """Rename a file to a name that nothing has.

    By renameat2, else by a hard link; where a file system has neither, the name is taken with an
    empty file first, which a kill right then leaves behind.

    Raises:
        FileExistsError: something has that name; it is left as it is.
        OSError: as the system says.
    """
    try:
        renameat2(source, target, NOREPLACE)
    except OSError as error:
        if error.errno not in _LACKING:
            raise
        _link_new(source, target)


def _link_new(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in _LINKLESS:
            raise
    else:
        source.unlink()
        return
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
    try:
        source.replace(target)
    except OSError:
        target.unlink()
        raise


def exchange(new: Path, old: Path, aside: Path) -> None:
    """Swap two directories in one step; where the system cannot, in two renames.

    Args:
        new: what goes to `old`; afterwards it is what stood there, or is gone.
        old: what is replaced.
        aside: where the old one goes where the system cannot swap.
    """
    try:
        renameat2(new, old, EXCHANGE)
    except OSError as error:
        if error.errno not in _LACKING:
            raise
    else:
        return
    old.rename(aside)
    try:
        new.rename(old)
    except OSError:
        aside.rename(old)
        raise
