"""What a pickle may cost before it is refused, and the errors of a scan."""

from collections.abc import Sequence

LARGEST = 2**26
"""Bytes of a file's pickles; a tensor takes some hundred."""

STEPS = 2**23
"""Operations of a file's pickles, and elements that they go through; a tensor takes some fifty."""

FREE = 2**27
PER_BYTE = 32
"""What a pickle builds may take `FREE` bytes, and so many more for each byte that it has itself:
tensors take about 25."""

TALLEST = 2**20
"""Values that wait on the stack; a list is filled a thousand elements at a time."""

DEEPEST = 100
"""Containers within one another."""

HEAVIEST = 1_000
"""Elements that the hash of one key goes through."""

ODD_KEYS = 4_096
"""Keys that are no text and no small whole number: a stranger can choose them to collide."""


class PickleError(Exception):
    """A pickle that is not read; its text goes after 'its pickle'."""


class CutOffError(PickleError):
    """It goes on beyond the bytes there are."""


class NamedError(PickleError):
    """It names what is not on the list of what may be read.

    Attributes:
        names: all of them, in their order.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"names {', '.join(names)}")
        self.names = tuple(names)


class ProtocolError(PickleError):
    """It has operations that its reader does not know.

    Attributes:
        end: the byte after it; None where it is damaged too.
    """

    def __init__(self, end: int | None) -> None:
        super().__init__("has operations of another protocol")
        self.end = end


class Budget:
    """Counts down what one file's pickles cost.

    Args:
        size: bytes of the pickles, or an upper bound of them.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._bytes = FREE + PER_BYTE * size
        self._steps, self._odd = STEPS, ODD_KEYS

    def hold(self, count: int) -> None:
        """So many bytes of memory are taken."""
        self._bytes -= count
        if self._bytes < 0:
            raise PickleError(
                f"builds more than {FREE + PER_BYTE * self.size:,} bytes from {self.size:,}"
            )

    def step(self, count: int = 1) -> None:
        """So many elements are gone through."""
        self._steps -= count
        if self._steps < 0:
            raise PickleError(f"takes more than {STEPS:,} steps")

    def odd_key(self) -> None:
        """One more key whose hash a stranger can choose."""
        self._odd -= 1
        if self._odd < 0:
            raise PickleError(f"has more than {ODD_KEYS:,} keys that are neither text nor numbers")
