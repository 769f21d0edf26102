"""What Windows refuses, refused here too: files that are open stay, and directories do not open."""

import errno
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stockpot import system
from stockpot.system import portable

LACKING = (
    "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "pread", "pwrite", "preadv", "pwritev",
    "fdatasync", "sched_getaffinity", "sysconf",
)  # fmt: skip


class _Os:
    """The module as Windows has it."""

    def __getattr__(self, name: str) -> Any:
        if name in LACKING:
            raise AttributeError(name)
        return getattr(os, name)


def as_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take the twin, and let it find what it would find on Windows."""
    monkeypatch.setattr(system, "here", portable)
    monkeypatch.setattr(portable, "os", _Os())
    monkeypatch.setattr(shutil, "_use_fd_functions", False)
    real = {name: getattr(os, name) for name in ("open", "rename", "replace", "unlink", "rmdir")}

    def open_(path: Any, flags: int, *rest: Any, **more: Any) -> int:
        if not isinstance(path, int) and os.path.isdir(path):  # noqa: PTH112
            raise _refused(path)
        return real["open"](path, flags, *rest, **more)

    def rename(source: Any, target: Any) -> None:
        _refuse_open(source)
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target))
        real["rename"](source, target)

    def replace(source: Any, target: Any) -> None:
        _refuse_open(source)
        _refuse_open(target)
        if os.path.isdir(target):  # noqa: PTH112
            raise _refused(target)
        real["replace"](source, target)

    def removing(name: str) -> Callable[[Any], None]:
        def remove(path: Any) -> None:
            if os.path.lexists(path):
                _refuse_open(path)
            real[name](path)

        return remove

    ours = {"open": open_, "rename": rename, "replace": replace}
    for name, function in {**ours, **{n: removing(n) for n in ("unlink", "rmdir")}}.items():
        monkeypatch.setattr(os, name, function)


def _refuse_open(path: Any) -> None:
    """Where a descriptor of this process leads to it, or into it."""
    wanted = os.path.realpath(path)
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208
        try:
            there = os.readlink(f"/proc/self/fd/{number}")  # noqa: PTH115
        except OSError:  # the one of the listing itself
            continue
        if Path(there) == Path(wanted) or Path(wanted) in Path(there).parents:
            raise _refused(path)


def _refused(path: Any) -> PermissionError:
    return PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
