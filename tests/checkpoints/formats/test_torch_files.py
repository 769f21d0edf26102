import argparse
import base64
import os
import pickle
import struct
import tracemalloc
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from stockpot.checkpoints.formats import torch_files as torchfile
from stockpot.checkpoints.formats.strided import StridedSource
from stockpot.checkpoints.read import read_checkpoint
from stockpot.checkpoints.source import FileSource
from stockpot.errors import CheckpointError

FORMS = pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])

LEGACY = base64.b64decode(  # what torch.save(..., _use_new_zipfile_serialization=False) writes
    "gAKKCmz8nEb5IGqoUBkugAJN6QMugAJ9cQAoWBAAAABwcm90b2NvbF92ZXJzaW9ucQFN6QNYDQAAAGxpdHRsZV9lbmRpYW5x"
    "AohYCgAAAHR5cGVfc2l6ZXNxA31xBChYBQAAAHNob3J0cQVLAlgDAAAAaW50cQZLBFgEAAAAbG9uZ3EHSwR1dS6AAmNjb2xs"
    "ZWN0aW9ucwpPcmRlcmVkRGljdApxAClScQEoWBMAAABsaW4wLm1vZGVsLjEud2VpZ2h0cQJjdG9yY2guX3V0aWxzCl9yZWJ1"
    "aWxkX3RlbnNvcl92MgpxAygoWAcAAABzdG9yYWdlcQRjdG9yY2gKRmxvYXRTdG9yYWdlCnEFWA4AAAA5NDE3MDk3MDYxNDU2"
    "MHEGWAMAAABjcHVxB0sDTnRxCFFLAChLAUsDSwFLAXRxCShLA0sBSwFLAXRxColoAClScQt0cQxScQ1YEwAAAGxpbjEubW9k"
    "ZWwuMS53ZWlnaHRxDmgDKChoBGgFWA4AAAA5NDE3MDk3MDUyMjM4NHEPaAdLAk50cRBRSwAoSwFLAksBSwF0cREoSwJLAUsB"
    "SwF0cRKJaAApUnETdHEUUnEVdS6AAl1xAChYDgAAADk0MTcwOTcwNTIyMzg0cQFYDgAAADk0MTcwOTcwNjE0NTYwcQJlLgIA"
    "AAAAAAAAAABAQAAAgEADAAAAAAAAAAAAAD8AAIA/AAAAwA=="
)
PYTHON2 = (  # the form of the weights in lpips: Python 2 strings, saved on a GPU
    b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
    b"\x80\x02M\xe9\x03."
    b"\x80\x02}q\x01(U\x10protocol_versionq\x02M\xe9\x03U\x0dlittle_endianq\x03\x88u."
    b"\x80\x02ccollections\nOrderedDict\nq\x01]q\x02(]q\x03(U\x13lin0.model.1.weightq\x04"
    b"ctorch._utils\n_rebuild_tensor_v2\nq\x05((U\x07storageq\x06ctorch\nFloatStorage\nq\x07"
    b"U\x0a1933719376q\x08U\x06cuda:0q\x09\x8a\x01\x03NtQK\x00(K\x01K\x03K\x01K\x01t"
    b"(K\x03K\x01K\x01K\x01t\x89NtRq\x0aee\x85Rq\x0b."
    b"\x80\x02]q\x01U\x0a1933719376q\x02a." + struct.pack("<q3f", 3, 0.5, 1.0, -2.0)
)


def raw(tensor: Tensor) -> bytes:
    flat = tensor.detach().clone(memory_format=torch.contiguous_format).reshape(-1)
    return torch.as_strided(flat, flat.shape, (1,)).view(torch.uint8).numpy().tobytes()


def assert_holds(path: Path, state: dict[str, Tensor]) -> None:
    entries = read_checkpoint(path).entries
    assert list(entries) == list(state)
    for name, tensor in state.items():
        entry = entries[name]
        loaded = entry.load()
        assert (entry.name, loaded.dtype, loaded.shape) == (name, tensor.dtype, tensor.shape)
        assert raw(loaded) == raw(tensor), name


@pytest.mark.parametrize("content", [LEGACY, PYTHON2], ids=["python3", "python2"])
def test_golden_legacy_bytes(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "alex.pth"
    path.write_bytes(content)
    checkpoint = read_checkpoint(path)
    loaded = checkpoint.entries["lin0.model.1.weight"].load()
    assert torch.equal(loaded, torch.tensor([0.5, 1.0, -2.0]).reshape(1, 3, 1, 1))
    assert [file.path for file in checkpoint.files] == [path]
    assert checkpoint.notes == ()


@pytest.mark.parametrize("dtype", torchfile.DTYPES.values(), ids=str)
def test_every_dtype_of_a_zip_file_is_streamed(tmp_path: Path, dtype: torch.dtype) -> None:
    codes = (torch.arange(6 * dtype.itemsize) % 2).to(torch.uint8).view(dtype)
    state = {"w": codes.reshape(2, 3), "x": codes[0].clone(), "view": codes[1], "e": codes[:0]}
    torch.save(state, tmp_path / "m.pt")
    assert_holds(tmp_path / "m.pt", state)
    assert all(
        isinstance(e.source, FileSource)
        for e in read_checkpoint(tmp_path / "m.pt").entries.values()
    )


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool]
)
def test_dtypes_of_a_legacy_file(tmp_path: Path, dtype: torch.dtype) -> None:
    state = {"w": torch.ones(2, 3).to(dtype), "x": torch.tensor(0).to(dtype), "e": torch.ones(0, 3)}
    torch.save(state, tmp_path / "m.pt", _use_new_zipfile_serialization=False)
    assert_holds(tmp_path / "m.pt", state)


STRIDED = {
    "transposed": torch.arange(600_000.0).reshape(1000, 600).T,
    "channels_last": torch.randn(8, 3, 5, 7).to(memory_format=torch.channels_last),
    "expanded": torch.randn(3, 1).expand(3, 5),
    "stepped": torch.randn(10, 12, 14)[1::3, ::5, 2::4],
    "column": torch.randn(50, 3)[:, 1],
    "view": torch.randn(20)[4:9],
    "one": torch.tensor(5.0).expand(1),
    "half": torch.randn(6, 4).half().T,
}


@FORMS
def test_tensors_that_are_not_contiguous(tmp_path: Path, zipped: bool) -> None:
    state = {**STRIDED, "plain": torch.randn(4), "parameter": torch.nn.Parameter(torch.ones(2))}
    torch.save(state, tmp_path / "m.pt", _use_new_zipfile_serialization=zipped)
    assert_holds(tmp_path / "m.pt", state)
    if zipped:
        entries = read_checkpoint(tmp_path / "m.pt").entries
        strided = {n for n, e in entries.items() if isinstance(e.source, StridedSource)}
        assert strided == set(STRIDED) - {"view", "one"}


@pytest.mark.full
def test_a_torch_that_reads_storages_onto_the_meta_device(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torchfile, "SKIPS_STORAGES", False)
    tied = torch.randn(3)
    state = {"w": torch.randn(4, 5).T, "a": tied, "b": tied}
    torch.save(state, tmp_path / "m.pt")
    assert_holds(tmp_path / "m.pt", state)


@FORMS
def test_tied_weights_are_aliases_and_overlaps_are_not(tmp_path: Path, zipped: bool) -> None:
    weight = torch.randn(6, 4)
    state = {
        "embed": weight,
        "head": weight,
        "again": torch.nn.Parameter(weight),
        "rows": weight[2:],
        "flat": weight.flatten(),
        "transposed": weight.T,
        "transposed_too": weight.T,
        "e1": torch.empty(0),
        "e2": torch.empty(0),
    }
    torch.save(state, tmp_path / "m.pt", _use_new_zipfile_serialization=zipped)
    assert_holds(tmp_path / "m.pt", state)
    entries = read_checkpoint(tmp_path / "m.pt").entries
    aliases = {name: entry.alias_of for name, entry in entries.items() if entry.alias_of}
    assert aliases == {"head": "embed", "again": "embed", "transposed_too": "transposed"}


def test_a_zip_file_is_not_read_before_it_is_asked_for(tmp_path: Path) -> None:
    torch.save({"w": torch.zeros(2**24)}, tmp_path / "m.pt")
    tracemalloc.start()
    entry = read_checkpoint(tmp_path / "m.pt").entries["w"]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**21
    buffer = bytearray(b"x" * 8)
    entry.source.read_into(memoryview(buffer), entry.offset + 2**25)
    assert buffer == bytes(8)


@pytest.mark.parametrize(
    "name", ["m.pt", "m.pth", "m.bin", "m.ckpt", "m.pth.tar", "m", "m.safetensors"]
)
@FORMS
def test_the_name_does_not_matter(tmp_path: Path, name: str, zipped: bool) -> None:
    torch.save({"w": torch.ones(2)}, tmp_path / "m.x", _use_new_zipfile_serialization=zipped)
    (tmp_path / "m.x").rename(tmp_path / name)
    assert_holds(tmp_path / name, {"w": torch.ones(2)})


class Malice:
    """Writes a file when it is unpickled without care."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("form", ["zip", "legacy", "pickle"])
def test_a_malicious_pickle_is_named_and_does_not_run(
    tmp_path: Path, protocol: int, form: str
) -> None:
    marker, path = tmp_path / "ran", tmp_path / "evil.pt"
    content = {"w": torch.ones(2), "x": Malice(marker)}
    if form == "pickle":
        path.write_bytes(pickle.dumps(content["x"], protocol=protocol))
    else:
        zipped = form == "zip"
        torch.save(content, path, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"evil\.pt .*'(posix|nt)\.system'.*refused"):
        read_checkpoint(path)
    assert not marker.exists()
    if form == "pickle":  # the marker would have told
        pickle.loads(path.read_bytes())
        assert marker.exists()


@FORMS
@pytest.mark.parametrize(
    ("extra", "named"),
    [
        (argparse.Namespace(lr=1), "argparse.Namespace"),
        (np.float64(0.5), "multiarray.scalar"),
        (eval, "builtins.eval"),
    ],
    ids=["namespace", "numpy", "builtin"],
)
def test_a_refused_global_is_named(tmp_path: Path, zipped: bool, extra: object, named: str) -> None:
    path = tmp_path / "m.pt"
    torch.save({"w": torch.ones(2), "args": extra}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert named in str(caught.value)
    assert "If you trust where it comes from" in str(caught.value)
    assert "state dict" in str(caught.value)


def test_weights_in_a_protocol_that_torch_refuses(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(2)}, tmp_path / "m.pt", pickle_protocol=4)
    with pytest.raises(CheckpointError, match=r"m\.pt is pickled with a protocol"):
        read_checkpoint(tmp_path / "m.pt")


def repacked(source: Path, target: Path, **changes: bytes) -> None:
    """A copy of a torch zip file with records replaced, and compressed where asked."""
    compress = zipfile.ZIP_DEFLATED if "compress" in changes else zipfile.ZIP_STORED
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", compress) as new:
        for member in old.infolist():
            name = member.filename.partition("/")[2]
            capitals = "capitals" in changes and name == "byteorder"
            target = member.filename.upper() if capitals else member.filename
            new.writestr(target, changes.get(name, old.read(member)))


def test_records_that_moved_are_followed_or_refused(tmp_path: Path) -> None:
    state = {"w": torch.randn(300), "v": torch.randn(7, 5)}
    torch.save(state, tmp_path / "m.pt")
    repacked(tmp_path / "m.pt", tmp_path / "stored.pt")
    try:
        assert_holds(tmp_path / "stored.pt", state)
    except CheckpointError as error:
        assert "does not hold its bytes where it should" in str(error)  # noqa: PT017


def zip_with(path: Path, names: list[str]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"x")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda p, m: repacked(m, p, compress=b""), ["compressed", "save it again"]),
        (lambda p, m: repacked(m, p, byteorder=b"big"), ["big-endian"]),
        (lambda p, m: repacked(m, p, byteorder=b"big", capitals=b""), ["big-endian"]),
        (lambda p, m: repacked(m, p, **{".storage_alignment": b"0"}), ["damaged", "b'0'"]),
        (lambda p, m: repacked(m, p, **{".storage_alignment": b"+0_0"}), ["damaged", "b'+0_0'"]),
        (lambda p, _: zip_with(p, ["a/data.pkl", "a/constants.pkl"]), ["TorchScript"]),
        (lambda p, _: zip_with(p, ["photo.jpg"]), ["zip file", "'photo.jpg'", "unpack"]),
        (lambda p, _: zip_with(p, ["a/data.pkl"]), ["cannot be read as weights"]),
        (lambda p, m: p.write_bytes(m.read_bytes()[:-100]), ["truncated or damaged", "again"]),
        (lambda p, m: p.write_bytes(m.read_bytes()[:200]), ["truncated or damaged", "again"]),
        (lambda p, _: p.write_bytes(LEGACY[:-4]), ["cannot be read as weights", "again"]),
        (lambda p, _: p.write_bytes(LEGACY[:100]), ["cannot be read as weights", "again"]),
        (lambda p, _: p.write_bytes(pickle.dumps({"w": 1}, 2)), ["cannot be read as weights"]),
    ],
    ids=[
        "compressed", "big-endian", "capitals", "no alignment", "odd alignment", "script", "photo",
        "no pickle", "cut zip", "zip head", "cut data", "cut pickle", "plain pickle",
    ],
)  # fmt: skip
def test_damaged_files_say_what_they_are(
    tmp_path: Path, make: Callable[[Path, Path], None], words: list[str]
) -> None:
    model, path = tmp_path / "m.pt", tmp_path / "bad.pt"
    torch.save({"w": torch.randn(300)}, model)
    make(path, model)
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    message = str(caught.value)
    assert "bad.pt" in message
    assert [word for word in words if word not in message] == [], message


@FORMS
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: torch.ones(2, dtype=torch.complex64).conj(), "resolve_conj()"),
        (lambda: torch.eye(3).to_sparse(), "dense"),
        (lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8), "quantised"),
    ],
    ids=["conjugate", "sparse", "quantised"],
)
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")
def test_tensors_that_cannot_be_merged(
    tmp_path: Path, zipped: bool, make: Callable[[], Tensor], words: str
) -> None:
    path, state = tmp_path / "m.pt", {"fine": torch.ones(2), "odd": make()}
    torch.save(state, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError) as caught:
        read_checkpoint(path)
    assert "m.pt" in str(caught.value)
    assert words in str(caught.value)


@FORMS
@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_complex_numbers_are_read(tmp_path: Path, zipped: bool, dtype: torch.dtype) -> None:
    state = {"w": torch.randn(2, 3, dtype=dtype), "t": torch.randn(2, 3, dtype=dtype).T}
    torch.save(state, tmp_path / "m.pt", _use_new_zipfile_serialization=zipped)
    entries = read_checkpoint(tmp_path / "m.pt").entries
    for name, tensor in state.items():
        assert torch.equal(entries[name].load(), tensor)


def test_a_tensor_without_data_is_refused(tmp_path: Path) -> None:
    torch.save({"w": torch.empty(3, device="meta")}, tmp_path / "m.pt")
    with pytest.raises(CheckpointError, match=r"'w' in .*m\.pt .*does not hold its bytes"):
        read_checkpoint(tmp_path / "m.pt")


def test_a_storage_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    state = OrderedDict(w=torch.arange(3.0))
    torch.save(state, tmp_path / "m.pt")
    content = (tmp_path / "m.pt").read_bytes()
    with zipfile.ZipFile(tmp_path / "m.pt") as archive:
        pickled = archive.read("m/data.pkl")
    assert pickled.count(b"K\x03") == 2  # the storage's length, then the shape
    assert content.count(pickled) == 1
    bigger = content.replace(pickled, pickled.replace(b"K\x03", b"K\x7f"))
    with zipfile.ZipFile(tmp_path / "m.pt") as archive:
        old = archive.getinfo("m/data.pkl").CRC
    new = zipfile.crc32(pickled.replace(b"K\x03", b"K\x7f"))
    bigger = bigger.replace(struct.pack("<I", old), struct.pack("<I", new))
    (tmp_path / "bad.pt").write_bytes(bigger)
    with pytest.raises(CheckpointError, match=r"'w' in .*bad\.pt is torch\.float32 \(127,\)"):
        read_checkpoint(tmp_path / "bad.pt")


def test_a_legacy_storage_without_its_bytes_is_refused(tmp_path: Path) -> None:
    entry = PYTHON2[PYTHON2.index(b"]q\x03") : PYTHON2.index(b"ee\x85R")] + b"e"
    other = entry.replace(b"1933719376", b"1933719377").replace(b"lin0", b"lin1")
    (tmp_path / "bad.pt").write_bytes(PYTHON2.replace(entry, entry + other))
    loaded = torch.load(tmp_path / "bad.pt", map_location="cpu", weights_only=True)
    assert len(loaded) == 2  # torch gives whatever stood in memory
    with pytest.raises(CheckpointError, match=r"bad\.pt .*claims more bytes than it has"):
        read_checkpoint(tmp_path / "bad.pt")


def test_a_legacy_storage_that_claims_too_much_is_refused(tmp_path: Path) -> None:
    content = PYTHON2.replace(b"\x8a\x01\x03", b"\x8a\x06\x03\x00\x00\x00\x00\x01")
    (tmp_path / "bad.pt").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"bad\.pt"):
        read_checkpoint(tmp_path / "bad.pt")
