import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from stockpot.checkpoints.entry import TensorEntry, from_state_dict
from stockpot.views.sources.computed import CHUNK, SliceNorms, chunks, masked, weight_norm

SHAPES = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


def entry(values: torch.Tensor) -> TensorEntry:
    return from_state_dict({"w": values}, "m").entries["w"]


@given(SHAPES, st.data())
def test_norms_are_those_of_numpy(shape: tuple[int, ...], data: st.DataObject) -> None:
    kept = tuple(data.draw(st.sampled_from((1, size))) for size in shape)
    g = torch.Generator().manual_seed(0)
    values = torch.randn(shape, generator=g, dtype=torch.float64)
    norms = SliceNorms(shape, kept)
    norms.add(0, values.reshape(-1))
    over = tuple(i for i, size in enumerate(kept) if size == 1)
    expected = np.sqrt((values.numpy() ** 2).sum(over, keepdims=True)).reshape(-1)
    np.testing.assert_allclose(norms.squares.sqrt().numpy(), expected, rtol=1e-14)


@given(st.integers(0, 4 * (CHUNK + 70)), st.integers(0, 4 * (CHUNK + 70)))
def test_any_bytes_of_a_product_are_those_of_the_whole(one: int, other: int) -> None:
    source, whole = PRODUCT.source, WHOLE
    start, stop = min(one, other), max(one, other)
    buffer = bytearray(stop - start)
    source.read_into(memoryview(buffer), start)
    assert buffer == whole[start:stop]


def product() -> TensorEntry:
    g = torch.Generator().manual_seed(0)
    size, direction = torch.rand(2, 1, generator=g), torch.randn(2, CHUNK // 2 + 35, generator=g)
    return weight_norm(entry(size), entry(direction))


PRODUCT = product()
WHOLE = PRODUCT.load().numpy().tobytes()


def test_chunks_cover_all_in_order() -> None:
    assert list(chunks(2 * CHUNK + 1)) == [
        (0, CHUNK),
        (CHUNK, 2 * CHUNK),
        (2 * CHUNK, 2 * CHUNK + 1),
    ]
    assert list(chunks(0)) == []


@pytest.mark.parametrize("dtype", [torch.float32, torch.bool, torch.int8])
def test_what_is_masked_is_zero(dtype: torch.dtype) -> None:
    weight = torch.tensor([1.0, torch.nan, torch.inf, -2.0], dtype=torch.bfloat16)
    found = masked(entry(weight), entry(torch.tensor([1, 0, 0, 1]).to(dtype)))
    assert found.load().tolist() == [1.0, 0.0, 0.0, -2.0]
    assert (found.dtype, found.stored_dtype) == (torch.float32, torch.bfloat16)
    assert found.as_stored.load().isnan().sum() == 1


def test_a_wide_part_makes_a_wide_product() -> None:
    g = torch.Generator().manual_seed(0)
    size, direction = torch.rand(3, 1, generator=g), torch.randn(3, 4, generator=g).double()
    found = weight_norm(entry(size), entry(direction))
    expected = size.double() * direction / direction.norm(dim=1, keepdim=True)
    assert found.dtype == torch.float64
    torch.testing.assert_close(found.load(), expected, rtol=1e-15, atol=0)
