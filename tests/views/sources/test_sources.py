"""Laws of computed bytes: a float64 reference's, for any slicing, in the memory of a tile."""

import pickle
import tracemalloc
import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch.utils._python_dispatch import TorchDispatchMode

from stockpot.checkpoints.entry import TensorEntry
from stockpot.checkpoints.read import read_checkpoint
from stockpot.errors import CheckpointError
from stockpot.views.sources.computed import cast
from stockpot.views.sources.product import TILE, Matrix, Product, product
from stockpot.views.sources.rows import MADE, Layout, Rows
from stockpot.views.sources.runs import joined, part

Entries = Mapping[str, TensorEntry]
Arrays = Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Case:
    """A computed tensor of the tensors of a file, and the same in NumPy."""

    shapes: Mapping[str, tuple[int, ...]]
    make: Callable[[Entries], TensorEntry]
    reference: Callable[[Arrays], np.ndarray]
    within: float = 0.0  # of the largest element
    dtype: torch.dtype = torch.float32


def rows_entry(entry: TensorEntry, shape: tuple[int, ...], *args: object) -> TensorEntry:
    source = Rows(entry, *args)
    return TensorEntry("w", entry.dtype, shape, source, 0, made_of=(entry,))


def lora(m: int, n: int, r: int, scale: float) -> Callable[[Entries], TensorEntry]:
    return lambda e: product(e["w"], Matrix(e["b"], m, r), Matrix(e["a"], r, n), scale, (m, n))


def turned(m: int, n: int, r: int, scale: float) -> Callable[[Entries], TensorEntry]:
    """(B A)ᵀ on a tensor [n, m]."""
    return lambda e: product(
        e["w"], Matrix(e["a"], r, n).transposed, Matrix(e["b"], m, r).transposed, scale, (n, m)
    )


def moved(numbers: list[int]) -> torch.Tensor:
    return torch.tensor(numbers)


def padded(array: np.ndarray) -> np.ndarray:
    out = np.zeros((7, 9, 3), array.dtype)
    out[:5, :6] = array
    return out


PERMUTED = np.random.default_rng(0).permutation(300)
CASES = {
    "product": Case(
        {"w": (70, 1300), "b": (70, 5), "a": (5, 1300)},
        lora(70, 1300, 5, 0.5),
        lambda x: x["w"] + 0.5 * (x["b"] @ x["a"]),
        6e-8,
    ),
    "product of narrow ones": Case(
        {"w": (3, 2), "b": (3, 1), "a": (1, 2)},
        lora(3, 2, 1, 3.0),
        lambda x: x["w"] + 3.0 * (x["b"] @ x["a"]),
        6e-8,
    ),
    "product, tall": Case(
        {"w": (5000, 3), "b": (5000, 2), "a": (2, 3)},
        lora(5000, 3, 2, 1.0),
        lambda x: x["w"] + x["b"] @ x["a"],
        6e-8,
    ),
    "product, turned": Case(
        {"w": (130, 90), "b": (90, 4), "a": (4, 130)},
        turned(90, 130, 4, 2.0),
        lambda x: x["w"] + 2.0 * (x["b"] @ x["a"]).T,
        6e-8,
    ),
    "product on bfloat16": Case(
        {"w": (70, 1300), "b": (70, 5), "a": (5, 1300)},
        lora(70, 1300, 5, 0.5),
        lambda x: x["w"] + 0.5 * (x["b"] @ x["a"]),
        6e-8,
        torch.bfloat16,
    ),
    "product in float64": Case(
        {"w": (30, 40), "b": (30, 5), "a": (5, 40)},
        lora(30, 40, 5, 0.5),
        lambda x: x["w"] + 0.5 * (x["b"] @ x["a"]),
        1e-15,
        torch.float64,
    ),
    "rows": Case(
        {"w": (50, 11)},
        lambda e: rows_entry(e["w"], (7, 11), Layout(11, 1, moved([3, 4, 5, 49, MADE, 0, 3]))),
        lambda x: np.where(
            np.array([0, 0, 0, 0, 1, 0, 0])[:, None], 0, x["w"][[3, 4, 5, 49, 0, 0, 3]]
        ),
    ),
    "rows, the mean": Case(
        {"w": (501, 700)},
        lambda e: rows_entry(e["w"], (2, 700), Layout(700, 1, moved([MADE, 2])), "mean"),
        lambda x: np.stack([x["w"].mean(0), x["w"][2]]),
        6e-8,
    ),
    "rows, the base's": Case(
        {"w": (4, 6), "base": (9, 6)},
        lambda e: rows_entry(e["w"], (3, 6), Layout(6, 1, moved([1, MADE, 0])), "base", e["base"]),
        lambda x: np.stack([x["w"][1], x["base"][1], x["w"][0]]),
    ),
    "rows and columns": Case(
        {"w": (40, 300)},
        lambda e: rows_entry(
            e["w"], (40, 300), Layout(300, 1, torch.arange(40).flip(0), torch.tensor(PERMUTED))
        ),
        lambda x: x["w"][::-1, PERMUTED],
    ),
    "padded": Case(
        {"w": (5, 6, 3)},
        lambda e: rows_entry(
            e["w"],
            (7, 9, 3),
            Layout(6, 3, moved([0, 1, 2, 3, 4, MADE, MADE]), moved([*range(6), *[MADE] * 3])),
        ),
        lambda x: padded(x["w"]),
    ),
    "columns far apart": Case(
        {"w": (1, 300, 1000)},
        lambda e: rows_entry(
            e["w"], (1, 300, 1000), Layout(300, 1000, torch.arange(1), torch.tensor(PERMUTED))
        ),
        lambda x: x["w"][:, PERMUTED],
    ),
    "end to end": Case(
        {"x": (3, 5), "y": (4, 5), "z": (0, 5)},
        lambda e: joined("w", (7, 5), [e["x"], e["z"], e["y"]]),
        lambda x: np.concatenate([x["x"], x["y"]]),
    ),
    "a part": Case(
        {"w": (6, 4, 5)},
        lambda e: part("p", (4, 5), e["w"], 2 * 20),
        lambda x: x["w"][2],
    ),
    "cast": Case(
        {"w": (300, 200)},
        lambda e: cast(e["w"], torch.float16),
        lambda x: x["w"].astype(np.float16).astype(np.float64),
    ),
}


def tensors(case: Case) -> dict[str, torch.Tensor]:
    g = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(shape, generator=g, dtype=torch.float64).to(case.dtype)
        for name, shape in case.shapes.items()
    }


@pytest.fixture(scope="module", params=CASES)
def computed(request, tmp_path_factory) -> tuple[Case, TensorEntry, bytes, Path]:
    case = CASES[request.param]
    path = tmp_path_factory.mktemp("sources") / "m.safetensors"
    save_file(tensors(case), path)
    found = case.make(read_checkpoint(path).entries)
    return case, found, found.load().view(torch.uint8).numpy().tobytes(), path


def test_it_is_the_float64_reference(computed):
    case, found, _, _ = computed
    arrays = {name: one.double().numpy() for name, one in tensors(case).items()}
    wanted = case.reference(arrays)
    assert found.shape == wanted.shape
    got = found.load().double().numpy()
    if case.within == 0:
        assert (got == wanted).all()
    np.testing.assert_allclose(got, wanted, rtol=0, atol=case.within * np.abs(wanted).max())


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_any_bytes_are_those_of_the_whole(computed, data):
    _, found, whole, _ = computed
    start = data.draw(st.integers(0, len(whole)))
    stop = data.draw(st.integers(start, len(whole)))
    buffer = bytearray(stop - start)
    found.source.read_into(memoryview(buffer), found.offset + start)
    assert buffer == whole[start:stop]


@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_pieces_in_any_order_are_the_whole(computed, data):
    _, found, whole, _ = computed
    item = found.dtype.itemsize
    cuts = data.draw(st.lists(st.integers(0, len(whole) // item), max_size=5))
    bounds = sorted({0, len(whole) // item, *cuts})
    pieces = data.draw(st.permutations(list(pairwise(bounds))))
    buffer = bytearray(len(whole))
    for start, stop in pieces:
        into = memoryview(buffer)[start * item : stop * item]
        found.source.read_into(into, found.offset + start * item)
    assert buffer == whole


def test_threads_change_nothing(computed):
    _, found, whole, _ = computed
    threads = torch.get_num_threads()
    try:
        for count in (1, 4):
            torch.set_num_threads(count)
            assert found.load().view(torch.uint8).numpy().tobytes() == whole
    finally:
        torch.set_num_threads(threads)


def test_it_pickles_with_the_files_that_it_reads(computed):
    _, found, whole, path = computed
    text = pickle.dumps(found)
    assert pickle.loads(text).load().view(torch.uint8).numpy().tobytes() == whole
    kept = path.read_bytes()
    path.rename(path.with_name("old"))
    path.write_bytes(kept)
    with pytest.raises(CheckpointError, match="is not the file that was opened before"):
        pickle.loads(text)
    path.with_name("old").replace(path)


def test_it_says_of_what_it_is_made(computed):
    case, found, _, _ = computed
    made_of = [one.name for one in found.origins]
    assert set(made_of) <= set(case.shapes)
    assert len(made_of) == len(set(made_of)) > 0
    if found.name == "w" and isinstance(found.source, Product):
        assert set(made_of) == {"w", "a", "b"}


class Held(TorchDispatchMode):
    """Counts the bytes of tensors that are alive at once."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = (*args, *(kwargs or {}).values())
        pointers = {one.untyped_storage().data_ptr() for one in given if torch.is_tensor(one)}
        out = func(*args, **(kwargs or {}))
        for one in out if isinstance(out, tuple | list) else (out,):
            if torch.is_tensor(one) and one.untyped_storage().data_ptr() not in pointers:
                size = one.untyped_storage().nbytes()
                self.now += size
                self.peak = max(self.peak, self.now)
                weakref.finalize(one, self._forget, size)
        return out

    def _forget(self, size: int) -> None:
        self.now -= size


BIG = {
    "product": Case(
        {"w": (1024, 4096), "b": (1024, 16), "a": (16, 4096)},
        lora(1024, 4096, 16, 0.5),
        lambda x: x["w"],
    ),
    "product of a large rank": Case(
        {"w": (1024, 4096), "b": (1024, 1024), "a": (1024, 4096)},
        lora(1024, 4096, 1024, 0.5),
        lambda x: x["w"],
    ),
    "rows and columns": Case(
        {"w": (2048, 4096)},
        lambda e: rows_entry(
            e["w"],
            (2048, 4096),
            Layout(4096, 1, torch.arange(2048).flip(0), torch.arange(4096).flip(0)),
        ),
        lambda x: x["w"],
    ),
    "rows, the mean": Case(
        {"w": (2048, 4096)},
        lambda e: rows_entry(e["w"], (1, 4096), Layout(4096, 1, moved([MADE])), "mean"),
        lambda x: x["w"],
    ),
    "columns far apart": Case(
        {"w": (1, 1024, 8192)},
        lambda e: rows_entry(
            e["w"], (1, 1024, 8192), Layout(1024, 8192, moved([0]), torch.arange(1024).flip(0))
        ),
        lambda x: x["w"],
    ),
    "cast": Case({"w": (2048, 4096)}, lambda e: cast(e["w"], torch.float64), lambda x: x["w"]),
}


@pytest.mark.parametrize("name", BIG)
def test_a_read_takes_the_memory_of_a_tile(name, tmp_path):
    case = BIG[name]
    save_file(tensors(case), tmp_path / "m.safetensors")
    found = case.make(read_checkpoint(tmp_path / "m.safetensors").entries)
    assert found.nbytes >= 2**24 or name == "rows, the mean"
    buffer = bytearray(found.nbytes)
    with Held() as held:
        found.source.read_into(memoryview(buffer), found.offset)
    tracemalloc.start()
    try:
        found.source.read_into(memoryview(buffer), found.offset)
        _, python = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held.peak < found.nbytes or name == "rows, the mean"
    assert TILE < held.peak < 2**24
    assert python < 2**20
