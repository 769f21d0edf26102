"""What is asked of the operating system beyond what all of them have: the only place that does so.

`here` is what this system offers: `linux`, or its twin `portable`, which needs no more than Python
finds on macOS and Windows. Both give the same bytes; what is less than atomic on the twin is in
docs/reliability.md. `STOCKPOT_SYSTEM=portable` in the environment takes the twin on Linux too.
"""

import os
import sys
from pathlib import Path
from typing import Protocol

from . import portable
from .portable import BINARY as BINARY
from .portable import NO_LINK as NO_LINK

VARIABLE = "STOCKPOT_SYSTEM"


class System(Protocol):
    """What a module of this package has; every error of the system is raised as it comes."""

    ENDINGS: tuple[int, ...]
    """Signals that end a process, the polite one first."""

    def open_to_read(self, path: Path) -> int:
        """A descriptor of what is there; a pipe that nobody writes to is not waited for."""
        ...

    def open_folder(self, path: Path) -> int | None:
        """A descriptor of a directory; None where the system opens none."""
        ...

    def read_at(self, fd: int, buffer: memoryview, offset: int) -> int:
        """Read by position, from many threads at once; gives how many bytes came, 0 at the end."""
        ...

    def write_at(self, fd: int, data: memoryview | bytes, offset: int) -> int:
        """Write by position, from many threads at once; gives how many bytes went."""
        ...

    def write_back(self, fd: int) -> None:
        """Have written what a file holds in memory, so that less is left for its `sync`."""
        ...

    def sync(self, fd: int) -> None:
        """Force a file to the disk."""
        ...

    def sync_path(self, path: Path) -> None:
        """Force a file, or the names in a directory where the system can, to the disk."""
        ...

    def lock(self, fd: int) -> bool:
        """Lock for this descriptor alone, until it is closed.

        Returns:
            Whether the file system has locks.

        Raises:
            BlockingIOError: another descriptor has the lock.
        """
        ...

    def rename_new(self, source: Path, target: Path) -> None:
        """Rename a file to a name that nothing has.

        Raises:
            FileExistsError: something has that name; it is left as it is.
        """
        ...

    def put_folder(self, new: Path, path: Path) -> None:
        """Rename a directory to a name that nothing has, or an empty directory."""
        ...

    def exchange(self, new: Path, old: Path, aside: Path) -> None:
        """Put a directory in place of another.

        Args:
            new: what goes to `old`; afterwards it is what stood there, or is gone.
            old: what is replaced.
            aside: where the old one goes where the system cannot swap the two.
        """
        ...

    def boot_id(self) -> str:
        """An identity of this boot of the machine; empty where the system has none."""
        ...

    def most_open_files(self) -> int | None:
        """How many files a process may have open; None where there is no bound."""
        ...

    def cores(self) -> int:
        """Cores that this process may use."""
        ...

    def memory(self) -> int | None:
        """Bytes of memory of the machine; None where Python cannot tell."""
        ...

    def taken(self, status: os.stat_result) -> int:
        """Bytes that a file takes on the disk."""
        ...

    def return_large_blocks(self) -> None:
        """Have freed blocks of more than 1 MiB given back at once, until a run begins."""
        ...

    def keep_freed_blocks(self) -> None:
        """Have freed blocks kept for the next ones, from now on."""
        ...

    def marked_processes(self, mark: str) -> set[int]:
        """Processes with this mark in their environment, where the system tells."""
        ...

    def is_running(self, process: int) -> bool:
        """Whether there is such a process, other than one that only its parent has to reap."""
        ...


def _offered() -> System:
    asked = os.environ.get(VARIABLE, "")
    if asked not in ("", "portable"):
        raise ValueError(f"{VARIABLE} is '{asked}': 'portable' is all that it can be.")
    if sys.platform == "linux" and not asked:
        from . import linux

        return linux
    return portable


here: System = _offered()
