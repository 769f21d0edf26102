"""PATH.partial: taken by one writer at a time, and only where it is what a writer left.

The directory itself is locked, so that a lock file that somebody deletes lets nobody in; the lock
file is for systems that lock files only, and its text says whose the directory is.
"""

import errno
import glob
import os
import secrets
import shutil
import stat
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ... import system
from ...errors import OutputError
from ..formats.untrusted import listed
from .journal import read_journal

MARK = b"An unfinished output of stockpot: --resume continues it, --overwrite starts afresh.\n"
LOCK, JOURNAL, FILES, REPLACED = "lock", "journal", "out", "replaced"
_NAMES = {LOCK, JOURNAL, FILES, REPLACED}
_ASIDE = ".discarded-"


class ForeignError(OutputError):
    """What stands at PATH.partial is not what a merge left, or not that alone."""


def partial_of(path: Path) -> Path:
    """Where an output is worked on until it is whole."""
    return path.with_name(path.name + ".partial")


@dataclass(frozen=True, slots=True)
class _Locks:
    """Descriptors that hold the locks.

    Attributes:
        directory: of the directory; None where the system opens none.
        file: of its lock file.
        by_directory: whether directories are locked there.
    """

    directory: int | None
    file: int
    by_directory: bool

    def hold(self, path: Path) -> bool:
        """Whether `path` still leads to what was locked."""
        there = self.directory is None or _is(path, self.directory)
        return there and (self.by_directory or _is(path / LOCK, self.file))

    def close(self) -> None:
        os.close(self.file)
        if self.directory is not None:
            os.close(self.directory)


class Partial:
    """A PATH.partial that this process has locked.

    Attributes:
        path: of the directory.
        begun: whether a merge was begun in it before.
    """

    def __init__(self, path: Path, locks: _Locks, *, made: bool) -> None:
        self.path, self._made, self._deleted = path, made, False
        self._locks: _Locks | None = locks
        self.begun = (path / JOURNAL).exists()

    @classmethod
    def take(cls, path: Path) -> Self:
        """Make it or adopt it, and lock it.

        Raises:
            OutputError: another merge is at work there, or it is not what a merge left.
            OSError: as the system says.
        """
        while True:
            made = _make_directory(path)
            try:
                locks = _locked(path)
            except FileNotFoundError:
                continue  # whoever had it is done with it
            if locks.hold(path):
                return cls(path, locks, made=made)
            locks.close()

    def is_ours(self) -> bool:
        """Whether the path still leads to what was locked."""
        return self._locks is not None and self._locks.hold(self.path)

    def strangers(self) -> list[str]:
        """What lies in it that no writer puts there."""
        return _strangers(self.path)

    def delete(self) -> None:
        """Delete it with all that is in it; what is locked may stay until `leave`."""
        self._deleted = True
        shutil.rmtree(self.set_aside(), ignore_errors=True)

    def set_aside(self) -> Path:
        """Give the path free for others, and get a name under which to delete what is left.

        From then on nothing of it can be resumed. Each step is on the disk before the next, so that
        a power cut leaves what the next merge knows for its own. Where the system renames nothing
        that holds an open file, the path stays taken until it is deleted.
        """
        name = self.path.name.removesuffix(".partial")
        aside = self.path.with_name(f"{name}{_ASIDE}{secrets.token_hex(4)}.partial")
        with suppress(OSError):
            (self.path / JOURNAL).unlink(missing_ok=True)
            system.here.sync_path(self.path)
            self.path.rename(aside)
            system.here.sync_path(self.path.parent)
        return aside if aside.exists() else self.path

    def leave(self) -> None:
        """Let go of it; where it was made just now, or is deleted, and holds nothing, it goes too.

        A lock file that is open cannot be deleted on every system. There it is deleted once it is
        closed, which fails where another writer has opened it since.
        """
        if self._locks is None:
            return
        ours = self.is_ours() and not _beside(self.path, {LOCK})
        unwanted = ours and (self._made or self._deleted)
        if unwanted:
            _remove(self.path)
        stayed = unwanted and (self.path / LOCK).exists()
        self._locks.close()
        self._locks = None
        if stayed:
            _remove(self.path)


def _remove(path: Path) -> None:
    with suppress(OSError):
        (path / LOCK).unlink(missing_ok=True)
        path.rmdir()


def set_aside_before(path: Path) -> list[Path]:
    """What writers of this output had set aside when they were killed, and nobody is deleting."""
    pattern = glob.escape(path.name) + _ASIDE + "?" * 8 + ".partial"
    return [
        one
        for one in sorted(path.parent.glob(pattern))
        if not one.is_symlink() and not _beside(one, _NAMES - {JOURNAL}) and _is_free(one)
    ]


def _is_free(directory: Path) -> bool:
    try:
        fd = system.here.open_folder(directory)
    except OSError:
        return False
    if fd is None:
        return False  # such a system sets nothing aside
    try:
        _lock(fd, directory)
    except OutputError:
        return False
    finally:
        os.close(fd)
    return True


def _make_directory(path: Path) -> bool:
    try:
        path.mkdir()
    except FileExistsError:
        return False
    system.here.sync_path(path.parent)
    return True


def _locked(path: Path) -> _Locks:
    """Lock what is ours."""
    _refuse_foreign(path)
    directory = system.here.open_folder(path)
    try:
        by_directory = directory is not None and _lock(directory, path)
        _refuse_foreign(path)  # it may have been made since
        flags = os.O_RDWR | os.O_CREAT | system.NO_LINK | system.BINARY
        file = os.open(path / LOCK, flags, 0o644)
    except BaseException:
        if directory is not None:
            os.close(directory)
        raise
    locks = _Locks(directory, file, by_directory)
    try:
        if not _lock(file, path) and not by_directory:
            raise OSError(errno.ENOLCK, "this file system has no locks")
        if os.fstat(file).st_size != len(MARK):
            os.ftruncate(file, 0)
            system.here.write_at(file, MARK, 0)
            system.here.sync(file)
            if directory is not None:
                system.here.sync(directory)
    except BaseException:
        locks.close()
        raise
    return locks


def _lock(fd: int, path: Path) -> bool:
    """Whether the file system could lock it."""
    try:
        return system.here.lock(fd)
    except BlockingIOError:
        raise OutputError(f"another merge is writing to {path} just now.") from None


def _refuse_foreign(path: Path) -> None:
    mode = path.lstat().st_mode
    if not stat.S_ISDIR(mode):
        what = "a link" if stat.S_ISLNK(mode) else "no directory"
        raise ForeignError(
            f"{path} is {what}: a merge would work there. Move it away, or name another --out."
        )
    if not _is_known(path):
        raise ForeignError(
            f"{path} is not an unfinished merge of this version of stockpot, and is left as it is. "
            "Move it away, or name another --out."
        )
    if others := _strangers(path):
        raise ForeignError(
            f"{path} holds {listed(others)} beside an unfinished merge: move that elsewhere."
        )


def _is_known(path: Path) -> bool:
    """Whether there is a writer's mark or journal in it, or nothing yet."""
    names = os.listdir(path)  # noqa: PTH208 - names are all that is asked for
    lock = path / LOCK
    content = lock.read_bytes()[: len(MARK) + 1] if _is_regular(lock) else None
    if content == MARK or (_is_regular(path / JOURNAL) and read_journal(path / JOURNAL)):
        return True
    return not names or (names == [LOCK] and content is not None and MARK.startswith(content))


def _strangers(path: Path) -> list[str]:
    wrong = [n for n in (FILES, REPLACED) if (path / n).is_symlink() or (path / n).is_file()]
    return _beside(path, _NAMES - {*wrong})


def _beside(path: Path, known: set[str]) -> list[str]:
    try:
        return sorted({*os.listdir(path)} - known)  # noqa: PTH208 - names are all that is asked for
    except FileNotFoundError:
        return []


def _is_regular(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _is(path: Path, fd: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(fd))
    except OSError:
        return False
