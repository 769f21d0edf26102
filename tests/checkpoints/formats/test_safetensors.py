import json
import struct
import tracemalloc
from pathlib import Path

import pytest
import torch
from blake3 import blake3
from safetensors.torch import save_file

from stockpot.checkpoints.formats.safetensors import DTYPES
from stockpot.checkpoints.read import read_checkpoint
from stockpot.errors import CheckpointError

GOLDEN = (
    b"\x90\x00\x00\x00\x00\x00\x00\x00"
    b'{"__metadata__":{"format":"pt"},'
    b'"b":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},'
    b'"a":{"dtype":"BF16","shape":[1,3],"data_offsets":[8,14]}}'
    b"  "
    b"\x00\x00\x80\x3f\x00\x00\x00\xc0"
    b"\x80\x3f\x00\x40\x40\xc0"
)


def packed(header: object, data: bytes = b"", *, raw: bytes | None = None) -> bytes:
    text = json.dumps(header).encode() if raw is None else raw
    return struct.pack("<Q", len(text)) + text + data


def one(dtype: object = "F32", shape: object = (2,), offsets: object = (0, 8)) -> bytes:
    return packed({"w": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}, bytes(8))


def raw(tensor: torch.Tensor) -> bytes:
    return bytes(tensor.flatten().view(torch.uint8).numpy())


def test_golden_bytes(tmp_path: Path) -> None:
    path = tmp_path / "golden.safetensors"
    path.write_bytes(GOLDEN)
    checkpoint = read_checkpoint(path)
    assert list(checkpoint.entries) == ["b", "a"]
    assert torch.equal(checkpoint.entries["b"].load(), torch.tensor([1.0, -2.0]))
    bfloat16 = torch.tensor([[1.0, 2.0, -3.0]], dtype=torch.bfloat16)
    assert torch.equal(checkpoint.entries["a"].load(), bfloat16)
    assert checkpoint.entries["a"].offset == 8 + 144 + 8
    assert checkpoint.metadata == {"format": "pt"}
    assert checkpoint.headers == {"golden.safetensors": blake3(GOLDEN[8:152]).hexdigest()}
    assert checkpoint.label == str(path)
    assert [file.path for file in checkpoint.files] == [path]
    assert (checkpoint.directory, checkpoint.notes, checkpoint.nbytes) == (None, (), 14)


@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (1,), (5,), (2, 3, 4)], ids=str)
def test_every_dtype_and_shape_round_trips(
    tmp_path: Path, dtype: torch.dtype, shape: tuple[int, ...]
) -> None:
    numel = torch.Size(shape).numel()
    codes = torch.arange(numel * dtype.itemsize) % (2 if dtype == torch.bool else 100)
    tensor = codes.to(torch.uint8).view(dtype).reshape(shape)
    save_file({"w": tensor, "other": torch.ones(3)}, tmp_path / "m.safetensors")
    loaded = read_checkpoint(tmp_path / "m.safetensors").entries["w"].load()
    assert (loaded.dtype, loaded.shape) == (dtype, tensor.shape)
    assert raw(loaded) == raw(tensor)


def test_names_are_any_text(tmp_path: Path) -> None:
    names = ["", "a b", "ß\n\t", "\x00", "模型", '"', "\\", "😀"]
    save_file({name: torch.full((2,), i) for i, name in enumerate(names)}, tmp_path / "m")
    entries = read_checkpoint(tmp_path / "m").entries
    assert {name: int(entry.load()[0]) for name, entry in entries.items()} == {
        name: i for i, name in enumerate(names)
    }


def test_entries_follow_the_file(tmp_path: Path) -> None:
    save_file(
        {"a": torch.ones(1, dtype=torch.uint8), "b": torch.ones(2), "c": torch.ones(0)},
        tmp_path / "m.safetensors",
    )
    entries = list(read_checkpoint(tmp_path / "m.safetensors").entries.values())
    assert [e.offset for e in entries] == sorted(e.offset for e in entries)
    assert entries[-1].name == "a"


def test_a_tensor_is_not_read_before_it_is_asked_for(tmp_path: Path) -> None:
    header = {"w": {"dtype": "F32", "shape": [2**34], "data_offsets": [0, 2**36]}}
    path = tmp_path / "sparse.safetensors"
    path.write_bytes(packed(header))
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size + 2**36)
    tracemalloc.start()
    entry = read_checkpoint(path).entries["w"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert entry.nbytes == 2**36
    assert peak < 2**20


HUGE = 10**30
REFUSED = {
    "empty": (b"", ["is empty", "again"]),
    "short": (b"\x01\x02", ["2 bytes", "too few"]),
    "absurd length": (struct.pack("<Q", 2**60) + b"{}", ["1,152,921", "100,000,000"]),
    "length beyond the end": (struct.pack("<Q", 500) + b"{}", ["truncated", "508", "10"]),
    "no object": (packed([1]), ["begins with", "'{'"]),
    "space first": (packed(0, raw=b" {}"), ["begins with", "'{'"]),
    "no JSON": (packed(0, raw=b'{"a": nul}'), ["not valid JSON", "header of"]),
    "not UTF-8": (packed(0, raw=b'{"\xff\xfe": 1}'), ["not valid JSON", "utf-8"]),
    "lone surrogate": (packed(0, raw=b'{"\\ud800": 1}'), ["not valid JSON", "surrogates"]),
    "trailing": (packed(0, raw=b"{} x"), ["not valid JSON", "Extra data"]),
    "deep": (packed(0, raw=b'{"a":' + b"[" * 200_000), ["nests too deeply"]),
    "deep info": (packed(0, raw=b'{"w":' + b"[" * 900 + b"]" * 900 + b"}"), ["'w'", "[[[...]]]"]),
    "long info": (packed({"w": [[0] * 10**5] * 9}), ["'w'", "exactly a dtype"]),
    "twice among many": (
        packed(0, raw=b"{" + b",".join(b'"%d":0' % (i // 2) for i in range(2 * 10**5)) + b"}"),
        ["'0' occurs twice"],
    ),
    "twice at the end": (
        packed(0, raw=b"{" + b",".join(b'"%d":0' % i for i in range(10**5)) + b',"99999":0}'),
        ["'99999' occurs twice"],
    ),
    "twice": (packed(0, raw=b'{"a":{},"a":{}}'), ["'a' occurs twice"]),
    "field twice": (packed(0, raw=b'{"a":{"dtype":"F32","dtype":"F16"}}'), ["occurs twice"]),
    "NaN": (packed(0, raw=b'{"a": NaN}'), ["NaN is no number"]),
    "digits": (packed(0, raw=b'{"a": ' + b"9" * 5000 + b"}"), ["not valid JSON"]),
    "metadata": (packed({"__metadata__": {"a": 1}}), ["__metadata__", "strings", "'a' is 1"]),
    "metadata list": (packed({"__metadata__": [1]}), ["__metadata__", "object", "[1]"]),
    "no info": (packed({"w": None}), ["'w'", "exactly a dtype", "None"]),
    "more info": (
        packed({"w": {"dtype": "F32", "shape": [], "data_offsets": [0, 4], "x": 1}}, bytes(4)),
        ["'w'", "exactly a dtype"],
    ),
    "float": (one(shape=[2.0]), ["'w'", "whole numbers", "2.0"]),
    "bool": (one(shape=[True]), ["'w'", "whole numbers", "True"]),
    "negative": (one(shape=[-2]), ["'w'", "whole numbers", "-2"]),
    "minus nought": (packed(0, raw=b'{"a": -0}'), ["-0 is no whole number"]),
    "huge": (one(shape=[HUGE]), ["'w'", "whole numbers"]),
    "overflow": (one(shape=[2**62, 2**62]), ["'w'", "impossible shape"]),
    "overflow to nought": (one(shape=[2**62, 2**62, 0]), ["'w'", "impossible shape"]),
    "rank": (one(shape=[1] * 65, offsets=[0, 4]), ["'w'", "impossible shape"]),
    "three offsets": (one(offsets=[0, 4, 8]), ["'w'", "two data_offsets"]),
    "backwards": (one(offsets=[8, 0]), ["'w'", "takes 8 bytes", "hold -8"]),
    "size": (one(shape=[3]), ["'w'", "F32 (3,)", "takes 12 bytes", "hold 8"]),
    "dtype": (one(dtype="F31"), ["'w'", "'F31'", "F32", "BF16"]),
    "dtype number": (one(dtype=5), ["'w'", "exactly a dtype"]),
    "complex": (one(dtype="C64", shape=[2]), ["'w'", "C64 (2,)", "takes 16 bytes", "hold 8"]),
    "packed": (one(dtype="F4", shape=[16]), ["'w'", "quantised (F4)", "Dequantise it first"]),
    "hole": (one(offsets=[8, 16]), ["'w'", "leaves a hole", "begin at 8, expected 0"]),
    "overlap": (
        packed(
            {
                "w": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
                "v": {"dtype": "U8", "shape": [4], "data_offsets": [3, 7]},
            },
            bytes(7),
        ),
        ["'v'", "overlaps", "begin at 3, expected 4"],
    ),
    "truncated": (one()[:-3], ["truncated", "describes 77", "has 74"]),
    "too long": (one() + b"xx", ["2 bytes after its last tensor", "ends at byte 77"]),
    "no tensors": (packed({}), ["holds no tensors"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_add_up_is_refused_by_name(tmp_path: Path, case: str) -> None:
    content, words = REFUSED[case]
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert "bad.safetensors" in message
    assert [word for word in words if word not in message] == [], message
    assert len(message) < 600


def test_a_message_cuts_and_escapes_a_long_name(tmp_path: Path) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(packed({"\x1b[2J\n" + "x" * 10**6: None}))
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert "\\x1b[2J\\n" in str(caught.value)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 600


@pytest.mark.parametrize(
    "content",
    [
        struct.pack("<Q", 99_999_999) + b"{",
        struct.pack("<Q", 2**63) + b"{",
        one(shape=[2**40], offsets=[0, 2**42]),
        one(dtype="U8", shape=[2**50], offsets=[0, 2**50]),
        packed(0, raw=b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    ],
)
def test_a_claim_allocates_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.safetensors"
    path.write_bytes(content)
    tracemalloc.start()
    with pytest.raises(CheckpointError):
        read_checkpoint(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 * 2**20


def test_a_file_cut_after_it_was_opened_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"w": torch.ones(1000)}, path)
    checkpoint = read_checkpoint(path)
    with path.open("r+b") as file:
        file.truncate(2000)
    assert checkpoint.files[0].changed()
    with pytest.raises(CheckpointError, match=r"m\.safetensors.*ended at byte 2000"):
        checkpoint.entries["w"].load()
