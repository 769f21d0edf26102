"""BLAKE3 of each tensor's bytes, taken while they stream through the one worker that has them."""

from collections.abc import Sequence

import blake3

from ..rows import OnDisk, Row


class TensorDigests:
    """The hashes of one output tensor and its inputs, fed piece after piece in order.

    Args:
        rows: of its first piece; those that are read when they are asked for hash themselves.
    """

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = [row if isinstance(row, OnDisk) else blake3.blake3() for row in rows]
        self._output = blake3.blake3()

    def add_inputs(self, rows: Sequence[memoryview]) -> None:
        """The next bytes of every row that lies in memory."""
        hashers = [row for row in self._rows if not isinstance(row, OnDisk)]
        for hasher, data in zip(hashers, rows, strict=True):
            hasher.update(data)

    def add_output(self, data: memoryview) -> None:
        """The next bytes of the result."""
        self._output.update(data)

    def hex(self) -> tuple[str | None, ...]:
        """The output's digest, then the rows', once every piece has been added."""
        rows = [r.digest() if isinstance(r, OnDisk) else r.hexdigest() for r in self._rows]
        return (self._output.hexdigest(), *rows)
