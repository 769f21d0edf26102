"""An output that is either complete at its path or not there at all.

Work goes to `PATH.partial` under a lock: every tensor is written at its final offset, in any order
and from many threads, and a journal records what is finished. The commit is one rename, or an
atomic exchange where PATH is being overwritten.
"""

import ctypes
import errno
import fcntl
import hashlib
import os
import shutil
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import blake3

from ..errors import OutputError
from .flusher import Flusher
from .journal import Journal, Past, Record, Records, read_journal
from .layout import Shard

_EXCHANGE, _AT_FDCWD = 2, -100
_WEIGHTS = (".safetensors", ".safetensors.index.json", ".bin", ".pt", ".pth", "merge.json")
_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would exceed the allowed file size",
    errno.EACCES: "permission denied",
    errno.EROFS: "the file system is read-only",
}


class Output:
    """The one writer of PATH; a context manager that leaves PATH.partial behind unless committed.

    Args:
        path: where the result will stand: a .safetensors file, or a directory.
        shards: the layout; for a file, one shard named as the file.
        fingerprint: identity of what is being made; a resume must match it.
        resume: continue what PATH.partial holds, if anything.
        overwrite: replace what stands at PATH, and discard PATH.partial unless resuming it.

    Attributes:
        done: records of tensors that need not be made again.
    """

    def __init__(
        self,
        path: Path,
        shards: Sequence[Shard],
        fingerprint: str,
        *,
        resume: bool = False,
        overwrite: bool = False,
    ) -> None:
        self.path = path
        self.is_file = path.suffix == ".safetensors"
        self._partial = _partial(path)
        self._files = self._partial / "out"
        self._shards = {shard.filename: shard for shard in shards}
        self._fds: dict[str, int] = {}
        self._journal: Journal | None = None
        self._flusher: Flusher | None = None
        if path.exists() and not overwrite and not is_empty_directory(path):
            raise OutputError(f"{path} exists: pass --overwrite to replace it, or another --out.")
        if path.is_dir() and not is_empty_directory(path) and not _holds_a_model(path):
            raise OutputError(
                f"{path} is a directory without a model in it, and --overwrite would delete all "
                "that it holds: name another --out, or empty it yourself."
            )
        with _explained(self._partial):
            self._partial.parent.mkdir(parents=True, exist_ok=True)
            created = _make_directory(self._partial)
            self._lock = _lock(self._partial)
        try:
            past = None if created else self._past(fingerprint, resume, overwrite)
            with _explained(self._partial):
                self._open(fingerprint, past)
        except BaseException:
            self.close()
            raise

    def _past(self, fingerprint: str, resume: bool, overwrite: bool) -> Past | None:
        past = read_journal(self._partial / "journal")
        if resume and past is not None and past.fingerprint != fingerprint:
            raise OutputError(
                f"{self._partial} was begun with another recipe, other inputs or other options: "
                "it cannot be resumed. Pass --overwrite without --resume to start afresh."
            )
        if not resume and not overwrite and past is not None:
            raise OutputError(
                f"{self._partial} holds an unfinished merge: --resume continues it, "
                "--overwrite starts afresh."
            )
        return past if resume else None

    def _open(self, fingerprint: str, past: Past | None) -> None:
        if past is not None and _inode(self._files) != past.place:
            past = None  # killed after the exchange: what lies here is what was replaced
        if past is None:
            shutil.rmtree(self._files, ignore_errors=True)
            self._files.mkdir()
        for file in self._files.iterdir():
            if file.is_dir():  # small files of a commit that was not reached
                shutil.rmtree(file)
            elif file.name not in self._shards:
                file.unlink()
        for shard in self._shards.values():
            file = self._files / shard.filename
            fresh = not file.exists() or file.stat().st_size != shard.size
            fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            self._fds[shard.filename] = fd
            os.ftruncate(fd, shard.size)
            _write_all(fd, memoryview(shard.header), 0)
            if fresh and past is not None:
                lost = {n: r for n, r in past.records.items() if n not in shard.spans}
                past = replace(past, records=lost)
        trusted = [] if past is None else [r for r in past.records.values() if self._holds(r, past)]
        self.done: Mapping[str, Record] = Records(trusted)
        place = _inode(self._files)
        self._journal = Journal(self._partial / "journal", fingerprint, place, trusted)
        self._flusher = Flusher(list(self._fds.values()))

    def _holds(self, record: Record, past: Past) -> bool:
        shard = self._shard_of(record.name)
        if shard is None or record.digest is None:
            return shard is not None and past.same_boot
        filename, (start, end) = shard.filename, shard.spans[record.name]
        hasher = blake3.blake3()
        for at in range(start, end, 2**22):
            hasher.update(os.pread(self._fds[filename], min(2**22, end - at), at))
        return hasher.hexdigest() == record.digest

    def _shard_of(self, name: str) -> Shard | None:
        return next((shard for shard in self._shards.values() if name in shard.spans), None)

    def write(self, name: str, offset: int, data: memoryview) -> None:
        """Write bytes of a tensor at `offset` within it."""
        shard = self._shard_of(name)
        if shard is None:
            raise KeyError(name)
        filename, start = shard.filename, shard.spans[name][0]
        with _explained(self._files / filename, resumable=True):
            _write_all(self._fds[filename], data, start + offset)

    def finish(self, records: Iterable[Record]) -> None:
        """Record tensors as finished; a resume will not make them again."""
        assert self._journal is not None
        with _explained(self._partial / "journal", resumable=True):
            self._journal.append(records)

    def digests(self) -> Mapping[str, str]:
        """SHA-256 of each whole file, as hubs show it; reads what was written."""
        with _explained(self._files, resumable=True):
            found = dict[str, str]()
            for name in self._shards:
                with (self._files / name).open("rb") as file:
                    found[name] = hashlib.file_digest(file, "sha256").hexdigest()
            return found

    def commit(self, small: Mapping[str, bytes | Iterable[bytes]]) -> None:
        """Add the small files, force everything to the disk, and put it at PATH in one step.

        Args:
            small: path within the output, parts joined by "/" -> content, whole or in parts. For
                a file, exactly its sidecar.
        """
        assert self._flusher is not None
        with _explained(self._files, resumable=True):
            self._flusher.finish()
            for name, content in small.items():
                (self._files / name).parent.mkdir(parents=True, exist_ok=True)
                with (self._files / name).open("wb") as file:
                    file.writelines([content] if isinstance(content, bytes) else content)
            for file in self._files.rglob("*"):
                _sync(file)
            _sync(self._files)
            if self.is_file:
                for name in [*small, self.path.name]:  # the weights last
                    (self._files / name).replace(self.path.parent / name)
            elif self.path.exists() and not is_empty_directory(self.path):
                _exchange(self._files, self.path)
            else:
                self._files.replace(self.path)
            _sync(self.path.parent)
        shutil.rmtree(self._partial, ignore_errors=True)

    def discard(self) -> None:
        """Delete what was written, where the inputs are at fault and no resume would mend it."""
        self.close()
        shutil.rmtree(self._partial, ignore_errors=True)

    def close(self) -> None:
        """Close every descriptor and let go of the lock."""
        if self._flusher is not None:
            self._flusher.stop()
            self._flusher = None
        for fd in self._fds.values():
            os.close(fd)
        self._fds = {}
        if self._journal is not None:
            self._journal.close()
            self._journal = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _holds_a_model(directory: Path) -> bool:
    names = [path.name for path in directory.iterdir()]
    return any(name == "config.json" or name.endswith(_WEIGHTS) for name in names)


def is_empty_directory(path: Path) -> bool:
    """Whether `path` is a directory with nothing in it, which counts as nothing there."""
    return path.is_dir() and not any(path.iterdir())


def is_committed(path: Path) -> bool:
    """Whether the weights at `path` are those of the manifest there.

    A directory comes with its manifest; a file comes after its sidecar, and until then it lies in
    PATH.partial.
    """
    in_waiting = _partial(path) / "out" / path.name
    return path.exists() and not (path.suffix == ".safetensors" and in_waiting.exists())


def clear_leftovers(path: Path, fingerprint: str) -> None:
    """Delete what a kill between the commit of this very output and its clean-up left behind.

    Raises:
        OutputError: another merge is at work there.
    """
    partial = _partial(path)
    past = read_journal(partial / "journal")
    if partial.exists() and (past is None or past.fingerprint == fingerprint):
        with _explained(partial):
            lock = _lock(partial)
        shutil.rmtree(partial, ignore_errors=True)
        os.close(lock)


def _partial(path: Path) -> Path:
    return path.with_name(path.name + ".partial")


def _inode(path: Path) -> int:
    return path.stat().st_ino if path.exists() else 0


def _make_directory(path: Path) -> bool:
    try:
        path.mkdir()
    except FileExistsError:
        return False
    return True


def _lock(directory: Path) -> int:
    fd = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(fd)
        raise OutputError(f"another merge is writing to {directory} just now.") from None
    return fd


def _write_all(fd: int, data: memoryview, offset: int) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(fd, data[done:], offset + done)


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _exchange(new: Path, old: Path) -> None:
    """Swap two directories in one step; where the system cannot, in two renames."""
    libc = ctypes.CDLL(None, use_errno=True)
    names = os.fsencode(new), os.fsencode(old)
    try:
        failed = libc.renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _EXCHANGE)
    except AttributeError:
        failed, code = -1, errno.ENOSYS
    else:
        code = ctypes.get_errno()
    if not failed:
        return
    if code not in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        raise OSError(code, os.strerror(code))
    aside = new.with_name("replaced")
    old.rename(aside)
    new.rename(old)


@contextmanager
def _explained(path: Path, *, resumable: bool = False) -> Generator[None]:
    """Turn an OSError about the output into an OutputError that says what to do."""
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
        then = " What is finished is kept: mend it and run again with --resume."
        raise OutputError(f"writing {path} failed: {reason}.{then if resumable else ''}") from None
