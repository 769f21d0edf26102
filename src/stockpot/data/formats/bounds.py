"""How much a file of a data set may unpack to, and how much a set may take."""

from pathlib import Path

from ... import system
from ...errors import StockpotError
from .sources import damaged

FREE = 2**26
RATIO = 100
"""A packed file may unpack to `FREE` bytes, or to so many times its own; images and their labels
unpack to some five times, a bomb to a thousand times."""


def check_unpacked(name: str, path: Path, packed: int, unpacked: int) -> None:
    """Refuse an archive that unpacks to far more than data does, before it is unpacked.

    Raises:
        StockpotError: naming both sizes.
    """
    if unpacked > max(FREE, RATIO * packed):
        why = f"unpacks to {unpacked:,} bytes from {packed:,}, more than {RATIO} times as many"
        raise damaged(name, path, why)


def check_memory(name: str, count: int, shape: tuple[int, ...]) -> None:
    """Refuse images that the machine cannot hold.

    Raises:
        StockpotError: naming what they take and what there is.
    """
    nbytes = count
    for size in shape:
        nbytes *= size
    there = system.here.memory()
    if there is not None and nbytes > there:
        raise StockpotError(
            f"data '{name}': {count:,} images of {shape} take {nbytes:,} bytes, and the memory of "
            f"this machine is {there:,}: give a smaller size."
        )
