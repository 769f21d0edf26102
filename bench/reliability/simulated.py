"""A disk that keeps what was synced, and of the rest whatever it likes."""

import os
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stockpot.system import linux

ROOT = 0


@dataclass(slots=True)
class State:
    """What is on a disk: names in folders, and the content of files, by numbers of nodes."""

    names: dict[int, dict[str, int]] = field(default_factory=lambda: {ROOT: {}})
    content: dict[int, bytearray] = field(default_factory=dict)

    def put_down(self, folder: Path, inodes: dict[int, int], node: int = ROOT) -> dict[int, int]:
        """Make it a real folder; gives the inode of each folder there -> its inode before."""
        folder.mkdir()
        found = {folder.stat().st_ino: inodes.get(node, 0)}
        for name, child in self.names.setdefault(node, {}).items():
            if child in self.content:
                (folder / name).write_bytes(self.content[child])
            else:
                found |= self.put_down(folder / name, inodes, child)
        return found


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was asked of the disk.

    Attributes:
        nodes: whose it is: a file, or the folders whose names it changes.
        do: how it changes a state; None where it asks to force what came before to the disk.
    """

    nodes: tuple[int, ...]
    do: Callable[[State], None] | None


class Recorder:
    """Writes down what is asked of the disk below a folder, while it happens.

    Args:
        folder: what lies there already is on the disk.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.steps = folder, list[Step]()
        self.before, self.inodes = State(), dict[int, int]()
        self._lock, self._fds, self._count = threading.RLock(), dict[int, int](), 0
        self._take(folder, ROOT)
        self._now = deepcopy(self.before)

    def _take(self, folder: Path, node: int) -> None:
        self.inodes[node] = folder.stat().st_ino
        names = self.before.names.setdefault(node, {})
        for path in sorted(folder.iterdir()):
            names[path.name] = child = self._new()
            if path.is_dir():
                self._take(path, child)
            else:
                self.before.content[child] = bytearray(path.read_bytes())

    def crashed(self, at: int, keep: Callable[[Step], bool]) -> State:
        """The disk where the power failed before step `at`.

        Args:
            at: number of the step.
            keep: which of the steps that nothing had forced to the disk got there.
        """
        forced = set[int]()
        for i, sync in enumerate(self.steps[:at]):
            if sync.do is None:
                forced |= {j for j, s in enumerate(self.steps[:i]) if {*s.nodes} & {*sync.nodes}}
        state = deepcopy(self.before)
        for i, step in enumerate(self.steps[:at]):
            if step.do is not None and (i in forced or keep(step)):
                step.do(state)
        return state

    @contextmanager
    def recording(self) -> Generator[None]:
        """Stand between the writer and the system."""
        ours: dict[str, Callable[..., Any]] = {
            "open": self._open, "close": self._close, "pwrite": self._pwrite, "write": self._write,
            "ftruncate": self._ftruncate, "fsync": self._fsync, "fdatasync": lambda _: None,
            "mkdir": self._mkdir, "rmdir": self._remove("rmdir"),
            "unlink": self._remove("unlink"), "rename": self._rename("rename"),
            "replace": self._rename("replace"),
        }  # fmt: skip
        self._real = {name: getattr(os, name) for name in ours}
        self._swap = linux.renameat2
        try:
            for name, function in ours.items():
                setattr(os, name, function)
            linux.renameat2 = self._renameat2
            yield
        finally:
            for name, function in self._real.items():
                setattr(os, name, function)
            linux.renameat2 = self._swap

    def _new(self) -> int:
        self._count += 1
        return self._count

    def _add(self, nodes: Sequence[int], do: Callable[[State], None] | None) -> None:
        self.steps.append(Step(tuple(nodes), do))
        if do is not None:
            do(self._now)

    def _named(self, *changes: tuple[int, str, int | None]) -> None:
        def do(state: State) -> None:
            for folder, name, node in changes:
                names = state.names.setdefault(folder, {})
                names.pop(name, None)
                if node is not None:
                    names[name] = node

        self._add(list(dict.fromkeys(folder for folder, _, _ in changes)), do)

    def _place(self, path: Any, dir_fd: int | None = None) -> tuple[int, str] | None:
        """The folder's node and the name in it; None for what lies elsewhere."""
        if dir_fd is not None:
            return (self._fds[dir_fd], os.fspath(path)) if dir_fd in self._fds else None
        where = Path(path)
        if where == self.folder:
            return ROOT, ""
        if not where.is_relative_to(self.folder):
            return None
        *above, name = where.relative_to(self.folder).parts
        node = ROOT
        for part in above:
            node = self._now.names[node][part]
        return node, name

    def _node(self, place: tuple[int, str]) -> int | None:
        return place[0] if not place[1] else self._now.names[place[0]].get(place[1])

    def _open(self, path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        with self._lock:
            place = None if isinstance(path, int) else self._place(path, dir_fd)
            node = None if place is None else self._node(place)
            fd: int = self._real["open"](path, flags, mode, dir_fd=dir_fd)
            if place is None:
                return fd
            if node is None:
                node = self._new()
                self._made(node)
                self._named((*place, node))
            elif flags & os.O_TRUNC:
                self._sized(node, 0)
            self._fds[fd] = node
            return fd

    def _made(self, node: int) -> None:
        """A file without content is a file from the moment that it has a name."""
        for state in (self.before, self._now):
            state.content[node] = bytearray()

    def _close(self, fd: int) -> None:
        with self._lock:
            self._fds.pop(fd, None)
            self._real["close"](fd)

    def _filled(self, node: int, at: int, data: bytes) -> None:
        def do(state: State) -> None:
            content = state.content[node]
            content.extend(bytes(max(0, at + len(data) - len(content))))
            content[at : at + len(data)] = data

        self._add([node], do)

    def _sized(self, node: int, size: int) -> None:
        def do(state: State) -> None:
            content = state.content[node]
            del content[size:]
            content.extend(bytes(size - len(content)))

        self._add([node], do)

    def _pwrite(self, fd: int, data: Any, at: int) -> int:
        with self._lock:
            if fd in self._fds:
                self._filled(self._fds[fd], at, bytes(data))
            return self._real["pwrite"](fd, data, at)

    def _write(self, fd: int, data: Any) -> int:
        with self._lock:
            if fd in self._fds:
                self._filled(self._fds[fd], len(self._now.content[self._fds[fd]]), bytes(data))
            return self._real["write"](fd, data)

    def _ftruncate(self, fd: int, size: int) -> None:
        with self._lock:
            self._real["ftruncate"](fd, size)
            if fd in self._fds:
                self._sized(self._fds[fd], size)

    def _fsync(self, fd: int) -> None:
        with self._lock:
            if fd in self._fds:
                self._add([self._fds[fd]], None)

    def _mkdir(self, path: Any, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        with self._lock:
            self._real["mkdir"](path, mode, dir_fd=dir_fd)
            if (place := self._place(path, dir_fd)) is not None:
                node = self._new()
                self.inodes[node] = Path(path).stat().st_ino
                self._now.names[node] = {}
                self._named((*place, node))

    def _remove(self, name: str) -> Callable[..., None]:
        def remove(path: Any, *, dir_fd: int | None = None) -> None:
            with self._lock:
                self._real[name](path, dir_fd=dir_fd)
                if (place := self._place(path, dir_fd)) is not None:
                    self._named((*place, None))

        return remove

    def _rename(self, name: str) -> Callable[..., None]:
        def rename(source: Any, target: Any, **more: Any) -> None:
            with self._lock:
                self._real[name](source, target, **more)
                self._moved(source, target)

        return rename

    def _moved(self, source: Any, target: Any) -> None:
        places = self._place(source), self._place(target)
        if places[0] is not None and places[1] is not None:
            self._named((*places[0], None), (*places[1], self._node(places[0])))

    def _renameat2(self, source: Path, target: Path, flags: int) -> None:
        with self._lock:
            self._swap(source, target, flags)
            if flags != linux.EXCHANGE:
                return self._moved(source, target)
            one, other = self._place(source), self._place(target)
            assert one is not None
            assert other is not None
            first, second = self._node(one), self._node(other)
            return self._named((*one, second), (*other, first))
