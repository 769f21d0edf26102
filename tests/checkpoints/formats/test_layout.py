"""A file laid out here is, to the byte, the file that safetensors writes."""

import json
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, load_file, save
from torch import Tensor

from stockpot.checkpoints.formats import layout
from stockpot.checkpoints.formats.layout import (
    DTYPE_NAMES,
    OutputTensor,
    Shard,
    hub_shards,
    index_json,
    single_file,
)
from stockpot.errors import OutputError

WRITABLE = tuple(DTYPE_NAMES)
shapes = st.lists(st.integers(0, 4), max_size=3).map(tuple)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8).filter(
    lambda name: name != "__metadata__"
)
tensors = st.dictionaries(names, st.tuples(st.sampled_from(WRITABLE), shapes), max_size=12)


def filled(dtype: torch.dtype, shape: tuple[int, ...], seed: int) -> Tensor:
    """Bytes that differ from tensor to tensor; 0 or 1 for a boolean."""
    count = torch.Size(shape).numel() * dtype.itemsize
    generator = torch.Generator().manual_seed(seed)
    raw = torch.randint(0, 2 if dtype is torch.bool else 256, (count,), generator=generator)
    return raw.to(torch.uint8).view(dtype).reshape(shape)


def written(shard: Shard, state: dict[str, Tensor]) -> bytes:
    """The file of a shard."""
    raw = bytearray(shard.size)
    raw[: len(shard.header)] = shard.header
    for name, (start, stop) in shard.spans.items():
        raw[start:stop] = state[name].reshape(-1).view(torch.uint8).numpy().tobytes()
    return bytes(raw)


def outputs(state: dict[str, Tensor]) -> list[OutputTensor]:
    return [OutputTensor(name, t.dtype, tuple(t.shape)) for name, t in state.items()]


@settings(deadline=None, max_examples=150)
@given(tensors, st.none() | st.dictionaries(names, st.text(max_size=9), min_size=1, max_size=1))
def test_a_file_is_the_one_that_safetensors_writes(
    kinds: dict[str, tuple[torch.dtype, tuple[int, ...]]], metadata: dict[str, str] | None
) -> None:
    state = {n: filled(dtype, shape, i) for i, (n, (dtype, shape)) in enumerate(kinds.items())}
    try:
        expected = save(state, metadata=metadata)
    except UnicodeEncodeError:  # a lone surrogate in the metadata
        return
    (shard,) = single_file(outputs(state), "x.safetensors", metadata or {})
    assert written(shard, state) == expected


def test_every_dtype_in_the_order_of_the_format() -> None:
    state = {
        f"{leaf}{i}": filled(dtype, (3,), i) for i, dtype in enumerate(WRITABLE) for leaf in "ba"
    }
    for order in (state, dict(reversed(state.items()))):
        (shard,) = single_file(outputs(order), "x.safetensors", {"format": "pt"})
        assert written(shard, state) == save(state, metadata={"format": "pt"})


def test_the_header_ends_at_a_multiple_of_eight() -> None:
    for length in range(1, 20):
        (shard,) = single_file([OutputTensor("w" * length, torch.int8, (3,))], "x", {})
        assert len(shard.header) % 8 == 0
        assert shard.size == len(shard.header) + 3


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=30), st.integers(1, 120))
def test_shards_hold_every_tensor_once_within_their_size(sizes: list[int], limit: int) -> None:
    state = {f"w{i:02}": filled(torch.uint8, (n,), i) for i, n in enumerate(sizes)}
    shards = hub_shards(outputs(state), limit, {"format": "pt"})
    found: dict[str, Tensor] = {}
    for shard in shards:
        part = load(written(shard, state))
        assert len(part) == 1 or sum(t.nbytes for t in part.values()) <= limit
        assert not found.keys() & part.keys()
        found |= part
    assert [n for s in shards for n in s.spans] == list(
        state
    )  # in order: a layer's tensors stay together
    assert all(torch.equal(found[name], state[name]) for name in state)
    text = index_json(shards)
    assert (text is None) == (len(shards) == 1)
    if text is not None:
        index = json.loads(text)
        assert index["metadata"]["total_size"] == sum(sizes)
        assert index["weight_map"] == {n: s.filename for s in shards for n in s.spans}


def test_names_of_shards() -> None:
    few = [OutputTensor(f"w{i}", torch.float32, (4,)) for i in range(3)]
    assert [s.filename for s in hub_shards(few, 10**9, {})] == ["model.safetensors"]
    assert [s.filename for s in hub_shards(few, 16, {})] == [
        f"model-0000{i}-of-00003.safetensors" for i in (1, 2, 3)
    ]
    assert [list(s.spans) for s in hub_shards(few, 32, {})] == [["w0", "w1"], ["w2"]]


def test_a_tensor_larger_than_a_shard_has_its_own() -> None:
    three = [OutputTensor(n, torch.int8, (size,)) for n, size in (("a", 2), ("b", 99), ("c", 2))]
    assert [list(s.spans) for s in hub_shards(three, 10, {})] == [["a"], ["b"], ["c"]]


@pytest.mark.parametrize("dtype", WRITABLE, ids=str)
def test_sizes(dtype: torch.dtype, tmp_path: Path) -> None:
    tensor = OutputTensor("w", dtype, (2, 3))
    assert tensor.nbytes == torch.empty(2, 3, dtype=dtype).nbytes
    (shard,) = single_file([tensor], "w.safetensors", {})
    (tmp_path / "w.safetensors").write_bytes(shard.header + bytes(tensor.nbytes))
    assert load_file(tmp_path / "w.safetensors")["w"].dtype == dtype


@pytest.mark.parametrize(
    ("tensor", "words"),
    [
        (OutputTensor("__metadata__", torch.float32, (2,)), "the one name that the safetensors"),
        (OutputTensor("w", torch.float32, (1,) * 65), "'w' has 65 dimensions; torch reads at"),
        (OutputTensor("w", torch.complex128, (2,)), "'w' is complex128, a dtype that"),
        (OutputTensor("w\ud800", torch.float32, (2,)), "is no text in UTF-8"),
        (OutputTensor("w" * 1000, torch.float32, (2,)), "header of out.* would have 1,.* --shard"),
    ],
    ids=["name", "dimensions", "dtype", "text", "header"],
)
def test_what_nothing_could_read_is_refused(
    tensor: OutputTensor, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layout, "MAX_HEADER", 1000)
    with pytest.raises(OutputError, match=words):
        single_file([tensor], "out.safetensors", {})


def test_sixty_four_dimensions_are_read_back(tmp_path: Path) -> None:
    (shard,) = single_file([OutputTensor("w", torch.float32, (1,) * 64)], "o.safetensors", {})
    (tmp_path / "o.safetensors").write_bytes(shard.header + bytes(4))
    assert load_file(tmp_path / "o.safetensors")["w"].shape == (1,) * 64
