import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from stockpot.checkpoints.formats.strided import SMALL, SPARSE, StridedSource


class Counting:
    """Bytes in memory that remember the largest read of them."""

    def __init__(self, data: bytes) -> None:
        self.data, self.largest = data, 0

    def read_into(self, buffer: memoryview, offset: int) -> None:
        assert 0 <= offset <= offset + len(buffer) <= len(self.data)
        self.largest = max(self.largest, len(buffer))
        buffer[:] = self.data[offset : offset + len(buffer)]


def memory(tensor: torch.Tensor) -> bytes:
    """The whole storage that a view looks at."""
    whole = torch.empty(0, dtype=torch.uint8).set_(tensor.untyped_storage())
    return whole.numpy().tobytes()


def bytes_of(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().numpy().tobytes()


@st.composite
def views(draw: st.DrawFn) -> torch.Tensor:
    shape = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    dtype = draw(st.sampled_from([torch.uint8, torch.int16, torch.float32, torch.float64]))
    tensor = torch.arange(int(np.prod(shape))).to(dtype).reshape(shape)
    steps = [draw(st.integers(1, 3)) for _ in shape]
    tensor = tensor[
        tuple(
            slice(draw(st.integers(0, s - 1)), None, k) for s, k in zip(shape, steps, strict=True)
        )
    ]
    tensor = tensor.permute(draw(st.permutations(range(tensor.ndim))))
    sizes = [draw(st.integers(1, 4)) if n == 1 else n for n in tensor.shape]
    return tensor.expand(sizes)


@given(views(), st.data())
@settings(max_examples=150, deadline=None)
def test_any_range_of_any_view(view: torch.Tensor, data: st.DataObject) -> None:
    expected = bytes_of(view)
    start = data.draw(st.integers(0, len(expected)))
    stop = data.draw(st.integers(start, len(expected)))
    item = view.dtype.itemsize
    source = StridedSource(
        Counting(memory(view)), view.storage_offset() * item, item, tuple(view.shape), view.stride()
    )
    buffer = bytearray(stop - start)
    source.read_into(memoryview(buffer), start)
    assert buffer == expected[start:stop]


def test_a_read_stays_of_the_order_of_what_is_asked_for() -> None:
    view = torch.arange(2**21, dtype=torch.int32).reshape(2**10, 2**11).T
    counting = Counting(memory(view))
    source = StridedSource(counting, 0, 4, tuple(view.shape), view.stride())
    expected, asked = bytes_of(view), 2**16
    for start in (0, 12, 2**22 + 4, len(expected) - asked):
        buffer = bytearray(asked)
        source.read_into(memoryview(buffer), start)
        assert buffer == expected[start : start + asked]
    assert counting.largest <= max(SPARSE * asked, SMALL * 4)
