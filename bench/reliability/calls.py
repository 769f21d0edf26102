"""The writer's calls of the system, counted: one of them may be the last, or may fail."""

import errno
import os
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from stockpot.system import linux

CHANGING = (
    "open", "pwrite", "write", "ftruncate", "fsync", "mkdir", "rmdir", "unlink", "rename",
    "replace", "link",
)  # fmt: skip
Trouble = Callable[[int, str, Callable[..., Any], tuple[Any, ...]], None]
"""Gets the number and name of a call, what it would do and with what; it may raise."""


class Killed(BaseException):
    """The process ends here."""


class Calls:
    """What a merge asks of the system that changes the disk, in order.

    Args:
        folder: calls elsewhere are not counted.
        trouble: what happens at each.
        renameat2: whether the system has it.
    """

    def __init__(self, folder: Path, trouble: Trouble, *, renameat2: bool = True) -> None:
        self.folder, self.trouble, self.renameat2 = str(folder), trouble, renameat2
        self.log: list[str] = []
        self.dead = False
        self._fds: set[int] = set()

    @contextmanager
    def watched(self) -> Generator[None]:
        """Stand between the writer and the system; at the end every descriptor is closed."""
        names = (*CHANGING, "close")
        real, swap = {name: getattr(os, name) for name in names}, linux.renameat2
        real["fdatasync"] = os.fdatasync
        try:
            for name in CHANGING:
                done = _nothing if name == "fsync" else real[name]  # what is killed needs no disk
                setattr(os, name, self._wrapped(name, done))
            os.fdatasync = _nothing
            os.close = self._closing(real["close"])
            linux.renameat2 = self._wrapped("renameat2", swap if self.renameat2 else _lacking)
            yield
        finally:
            for name, function in real.items():
                setattr(os, name, function)
            linux.renameat2 = swap
            for fd in self._fds:
                with suppress(OSError):
                    os.close(fd)

    def _wrapped(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            if not self._counts(given, named):
                return function(*given, **named)
            if self.dead:
                raise Killed
            self.log.append(name)
            try:
                self.trouble(len(self.log), name, function, given)
            except Killed:
                self.dead = True
                raise
            result = function(*given, **named)
            if name == "open":
                self._fds.add(result)
            return result

        return call

    def _closing(self, function: Callable[[int], None]) -> Callable[[int], None]:
        def close(fd: int) -> None:
            self._fds.discard(fd)
            function(fd)

        return close

    def _counts(self, given: tuple[Any, ...], named: dict[str, Any]) -> bool:
        if isinstance(given[0], int):
            return given[0] in self._fds
        if named.get("dir_fd") is not None:
            return named["dir_fd"] in self._fds
        return str(given[0]).startswith(self.folder)


def _nothing(_: int) -> None:
    pass


def _lacking(*_: object) -> None:
    raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
