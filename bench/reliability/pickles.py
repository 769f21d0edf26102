"""Hostile pickles: known bombs, and generated ones, in every place where a pickle is read."""

import pickle
import random
import struct
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from stockpot.checkpoints.read import read_checkpoint
from stockpot.data.load import load

from .bounded import broken_in
from .campaign import Tried

PROMISE = "a pickle gives weights or a refusal, runs nothing, within 60 s and 800 MiB"
HEAD = b"\x80\x02"
MAGIC = (
    pickle.dumps(0x1950A86A20F9469CFC6C, 2)
    + pickle.dumps(1001, 2)
    + pickle.dumps({"protocol_version": 1001, "little_endian": True}, 2)
)
NAMES = (
    "builtins bytearray", "builtins set", "builtins complex", "builtins eval", "posix system",
    "_codecs encode", "collections Counter", "collections OrderedDict", "torch Size",
    "torch Tensor", "torch FloatTensor", "torch FloatStorage", "torch device", "torch float32",
    "torch.storage UntypedStorage", "torch.nn.parameter Parameter", "numpy dtype",
    "torch._utils _rebuild_tensor_v2", "torch._utils _rebuild_qtensor", "pathlib PosixPath",
    "torch._utils _rebuild_sparse_tensor", "torch._utils _rebuild_wrapper_subclass",
    "torch._utils _rebuild_nested_tensor", "torch._tensor _rebuild_from_type_v2",
    "torch._utils _rebuild_meta_tensor_no_storage", "numpy._core.multiarray _reconstruct",
    "torch.distributed.checkpoint.metadata MetadataIndex",
    "torch.distributed.checkpoint.metadata Metadata", "torch.serialization _get_layout",
)  # fmt: skip
NUMBERS = (0, 1, -1, 255, 2**16, 2**31 - 1, 2**32, 2**40, 2**61 - 1, 2**63, -(2**63), 2**70)


def campaign(work: Path, quick: bool) -> Iterator[Tried]:
    """One row for each place."""
    seeds = range(40 if quick else 400)
    made = {**BOMBS, **{f"generated {seed}": generated(random.Random(seed)) for seed in seeds}}
    for place, (write, read) in PLACES.items():
        tries: list[tuple[str, Callable[[], object]]] = []
        for number, (what, raw) in enumerate(made.items()):
            path = work / place.replace(" ", "-") / str(number)
            path.mkdir(parents=True)
            write(path, raw)
            tries.append((what, partial(read, path)))
        broken = broken_in(tries)
        if Path("PWNED").exists():
            broken.append("a system call: it ran")
        yield Tried(
            PROMISE,
            f"{place}: bombs, and generated ones",
            len(tries),
            len(tries) - len(broken),
            tuple(broken),
        )


def number(value: int) -> bytes:
    """A whole number of any size."""
    raw = pickle.encode_long(value)
    return b"\x8a" + bytes([len(raw)]) + raw


def text(value: str) -> bytes:
    """A text."""
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def name(module_and_name: str) -> bytes:
    """A global."""
    return b"c" + module_and_name.replace(" ", "\n").encode() + b"\n"


def doubled(count: int, empty: bytes = b")") -> bytes:
    """Tuples that hold the last one twice: few bytes, 2^count elements."""
    return empty + b"q\x00" + b"h\x00\x86q\x00" * count


def colliding(count: int) -> bytes:
    """A dict whose keys have one hash."""
    keys = b"".join(number(i * (2**61 - 1)) + b"N" for i in range(1, count))
    return b"}(" + keys + b"u"


BOMBS = {
    "memo index": HEAD + b"Nr\xff\xff\xff\x07.",
    "frame": b"\x80\x04\x95" + struct.pack("<Q", 2**40) + b"N.",
    "bytes8": b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"x.",
    "bytearray8": b"\x80\x05\x96" + struct.pack("<Q", 2**62) + b"x.",
    "long4": HEAD + b"\x8b\xff\xff\xff\x7fx.",
    "long4 below zero": HEAD + b"\x8b\xff\xff\xff\xffx.",
    "digits": HEAD + b"I" + b"9" * 300_000 + b"\n.",
    "a key of doubled tuples": HEAD + b"}" + doubled(60) + b"Ns.",
    "a key of nested tuples": HEAD + b"})" + b"\x85" * 2_000_000 + b"Ns.",
    "a set of doubled tuples": HEAD + name("builtins set") + b"]" + doubled(60) + b"a\x85R.",
    "a counter of a bytearray": HEAD + name("collections Counter") + name("builtins bytearray")
    + number(2**30) + b"\x85R\x85R.",
    "a bytearray": HEAD + name("builtins bytearray") + number(2**33) + b"\x85R.",
    "a frozen set of doubled tuples": b"\x80\x04(" + doubled(60) + b"\x91.",
    "colliding keys": HEAD + colliding(200_000) + b".",
    "an ordered dict of doubled keys": HEAD + name("collections OrderedDict") + b"]"
    + doubled(60) + b"N\x86a\x85R.",
    "a shape of doubled tuples": HEAD + name("torch Size") + doubled(60) + b"\x85R.",
    "a sparse tensor of doubled lists": HEAD + name("torch._utils _rebuild_sparse_tensor")
    + name("torch.serialization _get_layout") + text("torch.sparse_coo") + b"\x85R"
    + doubled(40, b"]") + b"h\x00h\x00\x87\x86R.",
    "a tensor of numbers": HEAD + name("torch Tensor") + number(2**35) + b"\x85R.",
    "a tensor of its type": HEAD + name("torch._tensor _rebuild_from_type_v2") + b"("
    + name("builtins bytearray") + name("torch Tensor") + number(2**33) + b"\x85}tR.",
    "a storage": HEAD + name("torch.storage UntypedStorage") + number(2**35) + b"\x85R.",
    "a path of doubled tuples": HEAD + name("pathlib PosixPath") + doubled(60) + b"\x85R.",
    "a path doubled": HEAD + name("pathlib PosixPath") + b"q\x01" + text("a" * 16) + b"q\x00"
    + b"".join(b"h\x01h\x00h\x00\x86Rq\x00" for _ in range(40)) + b".",
    "a codec": HEAD + name("_codecs encode") + text("x") + text("zlib") + b"\x86R.",
    "a slow codec": HEAD + name("_codecs encode") + text("é" * 200_000) + text("idna") + b"\x86R.",
    "sets": HEAD + b"\x8f" * 2_000_000 + b".",
    "dicts": HEAD + b"}" * 2_000_000 + b".",
    "marks": HEAD + b"(" * 2_000_000 + b".",
    "a dict in itself": HEAD + b"}q\x00" + text("a") + b"h\x00s.",
    "dicts of dicts": HEAD + b"}q\x00(" + b"".join(text(f"{i}") + b"N" for i in range(30_000))
    + b"u}q\x01(" + b"".join(text(f"{i}") + b"h\x00" for i in range(30_000)) + b"u.",
    "methods of a dict": HEAD + name("collections OrderedDict") + b")R}" + text("items") + b"Nsb.",
    "the state of a name": HEAD + name("torch Size") + b"}" + text("__doc__") + b"Nsb.",
    "a system call": HEAD + name("posix system") + text("touch PWNED") + b"\x85R.",
    "a name below a name": HEAD + name("torch serialization.load") + text("x") + b"\x85R.",
    "an extension": HEAD + b"\x82\x01.",
    "a persistent id of doubled tuples": HEAD + b"(" + text("storage") + name("torch FloatStorage")
    + doubled(60) + text("cpu") + number(1) + b"tQ.",
    "nothing": b"",
    "no pickle": b"hello",
    "no end": HEAD + b"}" * 100,
}  # fmt: skip


def generated(draw: random.Random) -> bytes:
    """A pickle of a few dozen operations that mostly follow one another."""
    parts = [draw.choice([HEAD, b"\x80\x04"])]
    for _ in range(draw.randint(3, 60)):
        parts.append(draw.choice(PIECES)(draw))
    if draw.random() < 0.3:
        raw = bytearray(b"".join(parts))
        raw[draw.randrange(len(raw))] = draw.randrange(256)
        parts = [bytes(raw)]
    return b"".join(parts) + b"."


PIECES: tuple[Callable[[random.Random], bytes], ...] = (
    lambda draw: name(draw.choice(NAMES)),
    lambda draw: name(draw.choice(NAMES)) + number(draw.choice(NUMBERS)) + b"\x85R",
    lambda draw: name(draw.choice(NAMES)) + doubled(draw.randint(1, 60)) + b"\x85R",
    lambda draw: number(draw.choice(NUMBERS)),
    lambda draw: text(draw.choice(("", "a", "items", "__class__", "storage", "cpu", "x" * 999))),
    lambda draw: doubled(draw.randint(1, 60), draw.choice([b")", b"]", b"}", b"N"])),
    lambda draw: draw.choice([b"(", b"t", b"e", b"u", b"s", b"a", b"R", b"\x81", b"b", b"Q"]),
    lambda draw: draw.choice([b"}", b"]", b")", b"\x8f", b"N", b"\x88", b"0", b"2", b"1"]),
    lambda draw: draw.choice([b"\x85", b"\x86", b"\x87", b"d", b"l", b"o", b"\x90", b"\x91"]),
    lambda draw: draw.choice([b"q\x00", b"h\x00", b"q\x01", b"h\x01", b"\x94"]),
    lambda draw: b"r" + struct.pack("<I", draw.choice((0, 7, 2**16, 2**27, 2**32 - 1))),
    lambda draw: draw.choice([b"X", b"B", b"T"]) + struct.pack("<I", draw.choice((3, 2**31, 9)))
    + b"abc",
)  # fmt: skip


def _zip(path: Path, raw: bytes) -> None:
    with zipfile.ZipFile(path / "m.pt", "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a/data.pkl", raw)
        archive.writestr("a/byteorder", b"little")
        archive.writestr("a/version", b"3\n")


def _legacy(path: Path, raw: bytes) -> None:
    (path / "m.pt").write_bytes(MAGIC + raw + pickle.dumps([], 2))


def _metadata(path: Path, raw: bytes) -> None:
    (path / ".metadata").write_bytes(raw)


def _cifar(path: Path, raw: bytes) -> None:
    for file in ("batches.meta", *(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        (path / file).write_bytes(raw)


def _read_file(path: Path) -> object:
    return read_checkpoint(path / "m.pt")


def _read_cifar(path: Path) -> object:
    return load({"name": "cifar-10", "path": str(path)})


PLACES: dict[str, tuple[Callable[[Path, bytes], None], Callable[[Path], object]]] = {
    "torch zip": (_zip, _read_file),
    "torch legacy": (_legacy, _read_file),
    "torch.distributed": (_metadata, read_checkpoint),
    "cifar": (_cifar, _read_cifar),
}
