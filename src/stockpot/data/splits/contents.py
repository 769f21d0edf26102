"""Which samples are the same to the last bit.

Shapes: N samples.
"""

from typing import Any, cast

from blake3 import blake3

from ...typed import to_numpy
from ..dataset import Dataset


def content_hashes(data: Dataset) -> list[str]:
    """One digest per sample, of its shape, type and contents; labels do not count."""
    inputs = data.inputs.contiguous()
    head = f"{data.inputs.dtype}{tuple(inputs.shape[1:])}:"
    if not inputs.numel():
        return [head] * len(data)
    raw = memoryview(cast(Any, to_numpy(inputs))).cast("B")
    size = len(raw) // len(data)
    return [
        head + blake3(raw[start : start + size]).hexdigest() for start in range(0, len(raw), size)
    ]


def units_of(data: Dataset) -> list[list[int]]:
    """The positions that a split must keep together, in order of their first.

    Two samples belong to one unit where they have one content or are views of one original, and
    so do all that such a chain connects.
    """
    root = list(range(len(data)))

    def find(position: int) -> int:
        while root[position] != position:
            root[position] = root[root[position]]
            position = root[position]
        return position

    for keys in (content_hashes(data), [int(one) for one in to_numpy(data.originals)]):
        first: dict[str | int, int] = {}
        for position, key in enumerate(keys):
            a, b = find(first.setdefault(key, position)), find(position)
            root[max(a, b)] = min(a, b)
    units: dict[int, list[int]] = {}
    for position in range(len(data)):
        units.setdefault(find(position), []).append(position)
    return list(units.values())
