import math

import torch
from hypothesis import given
from hypothesis import strategies as st

from stockpot.checkpoints.formats.boxes import Box, BoxedSource, are_a_cover
from stockpot.checkpoints.source import MemorySource


@st.composite
def cut(draw):
    """A tensor, and boxes made by cutting it again and again."""
    shape = tuple(draw(st.lists(st.integers(0, 5), min_size=1, max_size=4)))
    pieces = [((0,) * len(shape), shape)]
    for _ in range(draw(st.integers(0, 5))):
        index = draw(st.integers(0, len(pieces) - 1))
        dim = draw(st.integers(0, len(shape) - 1))
        starts, sizes = pieces.pop(index)
        at = draw(st.integers(0, sizes[dim]))
        for begin, size in ((0, at), (at, sizes[dim] - at)):
            new = list(starts), list(sizes)
            new[0][dim], new[1][dim] = starts[dim] + begin, size
            pieces.append((tuple(new[0]), tuple(new[1])))
    tensor = torch.arange(math.prod(shape), dtype=torch.int32).reshape(shape)
    boxes = []
    for starts, sizes in pieces:
        where = tuple(slice(s, s + n) for s, n in zip(starts, sizes, strict=True))
        boxes.append(Box(starts, sizes, MemorySource(tensor[where]), 0))
    return tensor, draw(st.permutations(boxes))


@given(cut(), st.data())
def test_any_bytes_are_those_of_the_whole_tensor(made, data):
    tensor, boxes = made
    whole = tensor.numpy().tobytes()
    source = BoxedSource(boxes, 4, tuple(tensor.shape))
    begin = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(begin, len(whole)))
    buffer = bytearray(end - begin)
    source.read_into(memoryview(buffer), begin)
    assert bytes(buffer) == whole[begin:end]


@given(cut(), st.data())
def test_a_cover_has_every_element_once(made, data):
    tensor, boxes = made
    shape = tuple(tensor.shape)
    assert are_a_cover(shape, boxes)
    full = [one for one in boxes if math.prod(one.sizes)]
    if full:
        one = data.draw(st.sampled_from(full))
        assert not are_a_cover(shape, [*boxes, one])
        assert not are_a_cover(shape, [other for other in boxes if other is not one])
        twice = [full[0], *full[:-1]]
        assert len(full) == 1 or not are_a_cover(shape, twice)
