"""BLAKE3 of each tensor's bytes, taken while they stream, whichever worker has them."""

import threading
from collections.abc import Callable, Sequence

import blake3


class TensorDigests:
    """The hashes of one output tensor and its inputs, fed slice after slice in order.

    A worker that comes before its turn waits: slices are handed out in order, so that the one
    whose turn it is is always at work.
    """

    def __init__(self, rows: int) -> None:
        self._hashers = [blake3.blake3() for _ in range(rows)]
        self._turn = 0
        self._waiting = threading.Condition()

    def update(
        self, start: int, stop: int, rows: Sequence[memoryview], stopped: Callable[[], bool]
    ) -> None:
        """Add the bytes of elements [start, stop) of every row."""
        with self._waiting:
            while self._turn != start and not stopped():
                self._waiting.wait(0.1)
        for hasher, data in zip(self._hashers, rows, strict=True):
            hasher.update(data)
        with self._waiting:
            self._turn = stop
            self._waiting.notify_all()

    def hex(self) -> tuple[str, ...]:
        """The digests, once every slice has been added."""
        return tuple(hasher.hexdigest() for hasher in self._hashers)
