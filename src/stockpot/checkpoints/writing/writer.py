"""An output that is either complete at its path or not there at all.

Work goes to `PATH.partial` under a lock: every tensor is written at its final offset, in any order
and from many threads, and a journal records what is finished. The commit is one rename, or an
atomic exchange where PATH is being overwritten; what appears at PATH meanwhile is left as it is.
"""

import errno
import hashlib
import logging
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Self

import blake3

from ... import system
from ...errors import OutputError
from ..formats.layout import Shard
from .disk import make_parents, read_all, write_all, write_new
from .flusher import Flusher
from .journal import Journal, Past, Record, Records, read_journal
from .manifest import manifest_path, read_manifest
from .partial import FILES, JOURNAL, REPLACED, ForeignError, Partial, partial_of, set_aside_before
from .spans import SpanFiles, explained
from .standing import replaceable, strangers

_log = logging.getLogger("stockpot")
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR)


class Output:
    """The one writer of PATH; a context manager that leaves PATH.partial behind unless committed.

    Args:
        path: where the result will stand: a .safetensors file, or a directory.
        shards: the layout, by path within a directory; for a file, one shard named as the file.
        fingerprint: identity of what is being made; a resume must match it.
        resume: continue what PATH.partial holds, if anything.
        overwrite: replace an output of stockpot at PATH, and discard PATH.partial unless resuming.

    Attributes:
        done: records of tensors that need not be made again.

    Raises:
        OutputError: something is in the way that may not be replaced, another merge is at work, or
            the system refuses.
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
        self._fingerprint, self._resume, self._overwrite = fingerprint, resume, overwrite
        self._partial = partial_of(path)
        self._files = self._partial / FILES
        self._shards = {shard.filename: shard for shard in shards}
        self._target = SpanFiles(self._files, {shard.filename: shard.spans for shard in shards})
        self._journal: Journal | None = None
        self._flusher: Flusher | None = None
        self._look()
        with explained(self._partial):
            make_parents(self._partial)
            _clear_set_aside(path)
            self._held = Partial.take(self._partial)
        try:
            with explained(self._partial):
                self._put_back()
            self._look()  # another merge may have come to its end since
            past = self._past(fingerprint, resume, overwrite)
            with explained(self._partial):
                self._open(fingerprint, past)
        except BaseException:
            self.close()
            raise

    def _look(self) -> frozenset[str]:
        own = self._fingerprint if self._resume else None
        return replaceable(self.path, overwrite=self._overwrite, fingerprint=own)

    def _put_back(self) -> None:
        """What an exchange in two renames took from PATH when it was killed between them."""
        if (self._partial / REPLACED).is_dir() and not self.path.exists():
            (self._partial / REPLACED).rename(self.path)

    def _past(self, fingerprint: str, resume: bool, overwrite: bool) -> Past | None:
        past = read_journal(self._partial / JOURNAL)
        if resume and past is not None and past.fingerprint != fingerprint:
            raise OutputError(
                f"{self._partial} was begun with another recipe, other inputs or other options: "
                "it cannot be resumed. Pass --overwrite without --resume to start afresh."
            )
        if not resume and not overwrite and self._held.begun:
            raise OutputError(
                f"{self._partial} holds an unfinished merge: --resume continues it, "
                "--overwrite starts afresh."
            )
        return past if resume else None

    def _open(self, fingerprint: str, past: Past | None) -> None:
        if past is not None and _inode(self._files) != past.place:
            past = None  # killed after the exchange: what lies here is what was replaced
        if past is None:
            (self._partial / JOURNAL).unlink(missing_ok=True)
            for folder in (self._files, self._partial / REPLACED):
                if folder.exists():
                    shutil.rmtree(folder)
            self._files.mkdir()
        for name in strangers(self._files, frozenset(self._shards)):
            there = self._files / name
            if there.is_dir() and not there.is_symlink():  # small files of a commit that was cut
                shutil.rmtree(there)
            else:
                there.unlink()
        for shard in self._shards.values():
            file = self._files / shard.filename
            file.parent.mkdir(exist_ok=True)
            if file.is_symlink() or not file.is_file():
                file.unlink(missing_ok=True)
            fresh = not file.exists() or file.stat().st_size != shard.size
            fd = self._target.open(shard.filename)
            os.ftruncate(fd, shard.size)
            write_all(fd, memoryview(shard.header), 0)
            if fresh and past is not None:
                lost = {n: r for n, r in past.records.items() if n not in shard.spans}
                past = replace(past, records=lost)
        trusted = [] if past is None else [r for r in past.records.values() if self._holds(r, past)]
        self.done: Mapping[str, Record] = Records(trusted)
        self._place = _inode(self._files)
        self._journal = Journal(self._partial / JOURNAL, fingerprint, self._place, trusted)
        self._flusher = Flusher(list(self._target.fds.values()))

    def _holds(self, record: Record, past: Past) -> bool:
        file = self._target.file_of(record.name)
        if file is None or record.digest is None:
            return file is not None and past.same_boot
        (start, end), hasher = self._shards[file].spans[record.name], blake3.blake3()
        buffer = bytearray(min(2**22, end - start))
        for at in range(start, end, 2**22):
            part = memoryview(buffer)[: end - at]
            read_all(self._target.fds[file], part, at)
            hasher.update(part)
        return hasher.hexdigest() == record.digest

    @property
    def weights(self) -> tuple[Path, ...]:
        """The files of the layout, where they lie until they are put in place."""
        return tuple(self._files / name for name in self._shards)

    @property
    def target(self) -> SpanFiles:
        """What workers write to."""
        return self._target

    def take(self, name: str, offset: int, kept: object) -> None:
        """Nothing to do: what workers wrote is where it belongs."""

    def write(self, name: str, offset: int, data: memoryview) -> None:
        """Write bytes of a tensor at `offset` within it."""
        self._target.write(name, offset, data)

    def read(self, name: str, offset: int, buffer: memoryview) -> None:
        """Bytes of a tensor that was written, from `offset` within it."""
        self._target.read(name, offset, buffer)

    def finish(self, records: Iterable[Record]) -> None:
        """Record tensors as finished; a resume will not make them again."""
        assert self._journal is not None
        with explained(self._partial / JOURNAL, resumable=True):
            self._journal.append(records)

    def digests(self) -> Mapping[str, str]:
        """SHA-256 of each whole file, as hubs show it; reads what was written."""
        with explained(self._files, resumable=True):
            found = dict[str, str]()
            for name in self._shards:
                with (self._files / name).open("rb") as file:
                    found[name] = hashlib.file_digest(file, "sha256").hexdigest()
            return found

    def commit(self, small: Mapping[str, bytes | Iterable[bytes]]) -> None:
        """Add the small files, force everything to the disk, and put it at PATH in one step.

        Of a file, the sidecar comes first and the weights last; a kill between leaves a state that
        `verify` tells and a resume mends.

        Args:
            small: path within the output, parts joined by "/" -> content, whole or in parts. For
                a file, exactly its sidecar.

        Raises:
            OutputError: something has appeared at PATH, which is left as it is, or the system
                refuses; what was made is kept in PATH.partial.
        """
        assert self._flusher is not None
        with explained(self._files, resumable=True):
            self._flusher.finish()
            self._refuse_moved()
            for name, content in small.items():
                write_new(self._files, name, content)
            for file in (self._partial / JOURNAL, *self._files.rglob("*")):
                system.here.sync_path(file)
            system.here.sync_path(self._files)
            system.here.sync_path(self._partial)
            self._release()  # what is open cannot be renamed on every system
            self._put(small)
        self._clear()

    def _refuse_moved(self) -> None:
        """Refuse to commit a directory that is no longer the one that was written to."""
        whole = all(self._is_as_written(name, fd) for name, fd in self._target.fds.items())
        if not (whole and self._held.is_ours() and _inode(self._files) == self._place):
            raise OutputError(
                f"{self._partial} was moved, deleted or changed while the merge worked in it: "
                "nothing was put in place. Run it again."
            )

    def _is_as_written(self, name: str, fd: int) -> bool:
        try:
            there = (self._files / name).lstat()
        except OSError:
            return False
        return os.path.samestat(there, os.fstat(fd)) and there.st_size == self._shards[name].size

    def _put(self, small: Mapping[str, bytes | Iterable[bytes]]) -> None:
        try:
            standing = self._look()
            if self.is_file:
                self._put_file(next(iter(small)), standing)
            elif standing:
                system.here.exchange(self._files, self.path, self._partial / REPLACED)
                system.here.sync_path(self.path.parent)
                self._spare(standing)
            else:
                system.here.put_folder(self._files, self.path)
                system.here.sync_path(self.path.parent)
        except OSError as error:
            if error.errno not in _TAKEN:
                raise
            raise self._kept(f"{self.path} is there now.") from None
        except OutputError as error:
            raise self._kept(str(error)) from None

    def _kept(self, what: str) -> OutputError:
        return OutputError(
            f"{what} It appeared or changed while the merge ran, and is left as it is; the merge "
            f"is kept in {self._partial}, and --resume goes on from there."
        )

    def _put_file(self, sidecar: str, standing: frozenset[str]) -> None:
        for name in (sidecar, self.path.name):
            source, target = self._files / name, self.path.parent / name
            try:
                source.replace(target) if name in standing else system.here.rename_new(
                    source, target
                )
            except FileExistsError:
                if name != sidecar:
                    (self.path.parent / sidecar).replace(self._files / sidecar)
                raise
            system.here.sync_path(self.path.parent)

    def _spare(self, known: frozenset[str]) -> None:
        """Keep what came into the old directory between the last look and the exchange."""
        for old in (self._files, self._partial / REPLACED):
            if old.is_dir() and (others := strangers(old, known)):
                kept = self.path.with_name(f"{self.path.name}.kept-{self._place}")
                old.rename(kept)
                _log.warning(f"{others[0]} came into {self.path} just now: it is in {kept}.")

    def discard(self) -> None:
        """Delete what was written, where the inputs are at fault and no resume would mend it."""
        self._release()
        self._clear()
        self.close()

    def _clear(self) -> None:
        """Delete PATH.partial, under the lock; what others put into it stays."""
        if not self._held.is_ours():
            return
        if self._held.strangers():
            shutil.rmtree(self._files, ignore_errors=True)
            (self._partial / JOURNAL).unlink(missing_ok=True)
            return
        self._held.delete()

    def _release(self) -> None:
        if self._flusher is not None:
            self._flusher.stop()
            self._flusher = None
        self._target.close()
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def close(self) -> None:
        """Close every descriptor and let go of the lock."""
        self._release()
        self._held.leave()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def was_interrupted(path: Path) -> bool:
    """Whether the commit of a file was killed after its sidecar and before its weights."""
    partial = partial_of(path)
    waiting = partial / FILES / path.name
    if path.suffix != ".safetensors" or not waiting.is_file():
        return False
    if path.is_file() and waiting.samefile(path):  # killed between a hard link and its unlink
        return False
    past = read_journal(partial / JOURNAL)
    try:
        return past is None or read_manifest(path)["fingerprint"] == past.fingerprint
    except OutputError:
        return False


def is_committed(path: Path) -> bool:
    """Whether the weights at `path` are those of the manifest there.

    A directory comes with its manifest; a file comes after its sidecar, and until then it lies in
    PATH.partial.
    """
    return path.exists() and manifest_path(path).exists() and not was_interrupted(path)


def clear_leftovers(path: Path, fingerprint: str) -> None:
    """Delete what a kill between the commit of this very output and its clean-up left behind.

    Raises:
        OutputError: another merge is at work there.
    """
    partial = partial_of(path)
    with explained(partial):
        _clear_set_aside(path)
        if not partial.exists():
            return
        try:
            held = Partial.take(partial)
        except ForeignError:
            return  # nothing of this merge
        past = read_journal(partial / JOURNAL)
        if past is None or past.fingerprint == fingerprint:
            held.delete()
        held.leave()


def _clear_set_aside(path: Path) -> None:
    for aside in set_aside_before(path):
        shutil.rmtree(aside, ignore_errors=True)


def _inode(path: Path) -> int:
    return path.stat().st_ino if path.exists() else 0
