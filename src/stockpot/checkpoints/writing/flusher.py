"""Dirty pages go to the disk while the merge computes, not after it."""

import threading
from collections.abc import Sequence

from ... import system

_EVERY = 0.1


class Flusher:
    """A thread that keeps asking the system to write what a set of files holds in memory.

    Args:
        fds: of the files; the caller closes them after `stop`.
    """

    def __init__(self, fds: Sequence[int]) -> None:
        self._fds = fds
        self._stopped = threading.Event()
        self._failed: OSError | None = None
        self._thread = threading.Thread(target=self._run, name="flusher", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._stopped.wait(_EVERY):
            try:
                for fd in self._fds:
                    system.here.write_back(fd)
            except OSError as error:  # told once by the system, so it must not be lost
                self._failed = error
                return

    def stop(self) -> None:
        """Come to an end."""
        self._stopped.set()
        self._thread.join()

    def finish(self) -> None:
        """Come to an end, and raise what went wrong.

        Raises:
            OSError: the system could not write a page; it says so only once.
        """
        self.stop()
        if self._failed is not None:
            raise self._failed
