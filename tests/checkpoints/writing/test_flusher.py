"""Writing back while a merge computes, and not losing what the system says only once."""

import errno
import os
import threading
from pathlib import Path

import pytest

from stockpot import system
from stockpot.checkpoints.writing import flusher


def test_flushes_every_file_until_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    often = threading.Event()

    def write_back(fd: int) -> None:
        seen.append(fd)
        if len(seen) >= 4:
            often.set()

    monkeypatch.setattr(system.here, "write_back", write_back)
    monkeypatch.setattr(flusher, "_EVERY", 0.001)
    at_work = flusher.Flusher([7, 8])
    assert often.wait(10)
    at_work.finish()
    count = len(seen)
    assert set(seen) == {7, 8}
    assert not any(thread.name == "flusher" for thread in threading.enumerate())
    assert len(seen) == count


def test_a_failure_is_raised_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = threading.Event()

    def write_back(fd: int) -> None:
        failed.set()
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(system.here, "write_back", write_back)
    monkeypatch.setattr(flusher, "_EVERY", 0.001)
    at_work = flusher.Flusher([7])
    assert failed.wait(10)
    with pytest.raises(OSError, match="Input/output error"):
        at_work.finish()
    at_work.stop()  # again is harmless, and raises nothing
