"""Files changed at random: accepted as the format's own library does, or refused by name."""

import copy
import io
import json
import resource
import struct
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from stockpot.checkpoints.read import read_checkpoint
from stockpot.errors import CheckpointError

Contents = dict[str, tuple[str, tuple[int, ...], bytes]]

SIZES = {"F64": 8, "F32": 4, "BF16": 2, "F16": 2, "I64": 8, "U16": 2, "I8": 1, "BOOL": 1}
SIZES |= {"F8_E4M3": 1, "F8_E5M2": 1, "F8_E4M3FNUZ": 1}
WORDS = (*SIZES, "C64", "F4", "F6_E2M3", "F8_E8M0", "f32", "", "F33")
TOKENS = (
    b"", b" ", b'"', b"{", b"}", b"[", b"]", b",", b":", b"-", b"0", b"9", b".", b"1e400", b"NaN",
    b"Infinity", b"null", b"true", b"\\ud800", b"\\u0041", b"\\", b"\x00", b"\xff", b"\xc3\xa9",
    b"[" * 2000, b"9" * 30, b"9" * 5000, b'"a":1,', b"\n", b"-0", b"1.0", b"\xef\xbb\xbf",
)  # fmt: skip
NUMBERS = (0, 1, -1, 2, 3, 4, 8, 2**31, 2**32, 2**53, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64)
STRICTER = (
    "occurs twice",
    "exactly a dtype",
    "quantised",
    "stockpot can merge",
    "impossible shape",
    "holds no tensors",
    "begins with",
)
"""What the library lets through and stockpot does not."""

junk = st.one_of(
    st.sampled_from(NUMBERS),
    st.sampled_from(WORDS),
    st.none(),
    st.booleans(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.sampled_from(NUMBERS), max_size=4),
    st.dictionaries(st.text(max_size=3), st.integers(0, 9), max_size=2),
)
quick = settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(scope="module", autouse=True)
def memory_stays_bounded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    path = tmp_path_factory.mktemp("warm") / "m"
    for save in (torch.save, save_file):
        save({"w": torch.ones(2)}, path)
        read_checkpoint(path).entries["w"].load()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 128 * 1024, f"{grown} kB more than before the mutations"


@st.composite
def headers(draw: st.DrawFn) -> tuple[dict[str, object], int]:
    """A valid header and the number of bytes behind it."""
    names = draw(st.lists(st.text(max_size=4), min_size=1, max_size=4, unique=True))
    header: dict[str, object] = draw(
        st.sampled_from([{}, {"__metadata__": {"format": "pt"}}, {"__metadata__": None}])
    )
    header, end = copy.deepcopy(header), 0
    for name in names:
        word = draw(st.sampled_from(tuple(SIZES)))
        shape = draw(st.lists(st.integers(0, 3), max_size=3))
        size = SIZES[word] * torch.Size(shape).numel()
        header[name] = {"dtype": word, "shape": shape, "data_offsets": [end, end + size]}
        end += size
    return header, end


def change_meaning(draw: st.DrawFn, header: dict[str, object]) -> None:
    name = draw(st.sampled_from(list(header)))
    info = header[name]
    if not isinstance(info, dict) or "shape" not in info or draw(st.integers(0, 9)) == 0:
        header[name] = draw(junk)
        return
    field = draw(st.sampled_from(["dtype", "shape", "data_offsets", "shape", "data_offsets", "x"]))
    numbers = info.get(field)
    how = draw(st.integers(0, 3))
    if isinstance(numbers, list) and numbers and how:
        i = draw(st.integers(0, len(numbers) - 1))
        numbers[i] = draw(st.sampled_from(NUMBERS)) if how == 1 else numbers[i]
        if isinstance(numbers[i], int):
            numbers[i] += draw(st.integers(-2, 2))
    elif how == 3:
        info.pop(field, None)
    else:
        info[field] = draw(junk)


def change_text(draw: st.DrawFn, text: bytes) -> bytes:
    at = draw(st.integers(0, len(text)))
    cut = draw(st.integers(0, 2))
    return text[:at] + draw(st.sampled_from(TOKENS)) + text[at + cut :]


@st.composite
def safetensors_files(draw: st.DrawFn) -> tuple[bytes, bool]:
    """The bytes of a file, and whether it was left as it should be."""
    header, size = draw(headers())
    changes = draw(st.lists(st.sampled_from("mmttlds"), max_size=2))
    for _ in range(changes.count("m")):
        change_meaning(draw, header)
    pairs = [f"{json.dumps(name)}:{json.dumps(info)}" for name, info in header.items()]
    if "s" in changes:
        pairs = draw(st.permutations([*pairs, draw(st.sampled_from(pairs))]))
    text = ("{" + ",".join(pairs) + "}").encode()
    for _ in range(changes.count("t")):
        text = change_text(draw, text)
    text += b" " * draw(st.sampled_from([0, 3]))
    length = len(text) + (
        draw(st.sampled_from([-9, -1, 1, 8, 2**40, 10**8])) if "l" in changes else 0
    )
    data = bytes(i % 2 for i in range(size + (draw(st.integers(-3, 3)) if "d" in changes else 0)))
    return struct.pack("<Q", max(length, 0)) + text + data, not changes


def as_stockpot_reads(path: Path) -> Contents | str:
    try:
        entries = read_checkpoint(path).entries
        return {name: (str(e.dtype), e.shape, bytes_of(e.load())) for name, e in entries.items()}
    except CheckpointError as error:
        return str(error)


def bytes_of(tensor: torch.Tensor) -> bytes:
    flat = tensor.detach().clone(memory_format=torch.contiguous_format).reshape(-1)
    return torch.as_strided(flat, flat.shape, (1,)).view(torch.uint8).numpy().tobytes()


def as_the_library_reads(path: Path) -> Contents | None:
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, RuntimeError, TypeError, ValueError, AttributeError):
        return None
    return {n: (str(t.dtype), tuple(t.shape), bytes_of(t)) for n, t in tensors.items()}


@given(safetensors_files())
@quick
def test_safetensors(tmp_path: Path, case: tuple[bytes, bool]) -> None:
    content, intact = case
    path = tmp_path / "m.safetensors"
    path.write_bytes(content)
    ours, theirs = as_stockpot_reads(path), as_the_library_reads(path)
    event("accepted" if isinstance(ours, dict) else "refused")
    if isinstance(ours, dict):
        assert ours == theirs
    else:
        assert len(ours) < 1500
        assert theirs is None or any(word in ours for word in STRICTER), ours
        assert not intact, ours


@given(st.data())
@quick
def test_safetensors_with_any_bytes_changed(tmp_path: Path, data: st.DataObject) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"a": torch.arange(6.0).reshape(2, 3), "é": torch.ones(3).half()}, path)
    content = path.read_bytes()
    path.write_bytes(change_bytes(data.draw, content))
    ours, theirs = as_stockpot_reads(path), as_the_library_reads(path)
    if isinstance(ours, dict):
        assert ours == theirs
    else:
        assert theirs is None or any(word in ours for word in STRICTER), ours


FILES = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
TRUTH = {"a": FILES[0], "b": FILES[0], "c": FILES[1]}


@given(st.data())
@quick
def test_indexes(tmp_path: Path, data: st.DataObject) -> None:
    for file in FILES:
        if not (tmp_path / file).exists():
            state = {n: torch.full((2,), ord(n)) for n, where in TRUTH.items() if where == file}
            save_file(state, tmp_path / file)
    says: dict[str, object] = dict(TRUTH)
    for _ in range(data.draw(st.integers(0, 2))):
        name = data.draw(st.sampled_from(["a", "b", "c", "d", ""]))
        places = [*FILES, "../x", "/etc/passwd", "gone", "", ".", "\\x", f"./{FILES[0]}"]
        says[name] = data.draw(st.one_of(st.sampled_from(places), junk, st.text(max_size=3)))
        if data.draw(st.booleans()):
            says.pop(name)
    text = json.dumps({"metadata": {"total_size": 24}, "weight_map": says}).encode()
    for _ in range(data.draw(st.integers(0, 2))):
        text = change_text(data.draw, text)
    (tmp_path / "model.safetensors.index.json").write_bytes(text)
    ours = as_stockpot_reads(tmp_path)
    try:
        right = json.loads(text.decode())["weight_map"] == TRUTH
    except (ValueError, KeyError, TypeError, RecursionError):
        right = False
    event(f"{'accepted' if isinstance(ours, dict) else 'refused'}, {right}")
    if isinstance(ours, dict):
        assert {n: int.from_bytes(b[:8], "little") for n, (_, _, b) in ours.items()} == {
            n: ord(n) for n in TRUTH
        }
        named = json.loads(text.decode())["weight_map"]
        assert {n: Path(file).name for n, file in named.items()} == TRUTH
    else:
        assert not right or "not valid JSON" in ours, ours


@cache
def torch_bytes(zipped: bool) -> bytes:
    weight = torch.arange(12.0).reshape(3, 4)
    state = {"a": weight, "tied": weight, "t": weight.T, "b": torch.ones(2), "e": torch.ones(0)}
    buffer = io.BytesIO()
    torch.save({"model": state, "x": 3}, buffer, _use_new_zipfile_serialization=zipped)
    return buffer.getvalue()


def change_bytes(draw: st.DrawFn, content: bytes) -> bytes:
    """A few bytes changed, most often without moving the others."""
    changed = bytearray(content)
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, max(0, len(changed) - 1)))
        changed[at : at + 1] = draw(st.binary(min_size=1, max_size=1) | st.binary(max_size=2))
    return bytes(changed)


SETTINGS = (".format_version", ".storage_alignment", "byteorder")


def with_changed_record(draw: st.DrawFn, content: bytes) -> bytes:
    """The same zip file as torch would write it, checksums and all, around a changed record."""
    chosen = draw(st.sampled_from(["data.pkl", "data.pkl", "data.pkl", *SETTINGS]))
    target = io.BytesIO()
    writer = torch._C.PyTorchFileWriter(target)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        for name in archive.namelist():
            record = archive.read(name)
            name = name.partition("/")[2]
            if name == chosen:
                digits = st.integers(-1, 130).map(lambda n: str(n).encode())
                changed = change_bytes(draw, record)
                record = draw(digits) if name in SETTINGS and draw(st.booleans()) else changed
            if name not in ("version", ".data/serialization_id"):  # the writer's own
                writer.write_record(name, record, len(record))
    writer.write_end_of_file()
    return target.getvalue()


@pytest.mark.parametrize("form", ["zip", "record", "legacy"])
@given(data=st.data())
@settings(quick, max_examples=120)
@pytest.mark.filterwarnings("ignore")  # those of torch.load, called here to compare
def test_torch_files(tmp_path: Path, form: str, data: st.DataObject) -> None:
    content = torch_bytes(form != "legacy")
    change = with_changed_record if form == "record" else change_bytes
    content = change(data.draw, content)
    if data.draw(st.integers(0, 19)) == 0:
        content = content[: data.draw(st.integers(0, len(content)))]
    path = tmp_path / "m.pt"
    path.write_bytes(content)
    ours = as_stockpot_reads(path)
    event("accepted" if isinstance(ours, dict) else "refused")
    try:
        theirs = torch.load(path, weights_only=True)["model"]
    except Exception:  # such as of a checksum, which stockpot does not look at
        return
    if isinstance(ours, dict) and isinstance(theirs, dict):
        tensors = {n: t for n, t in theirs.items() if isinstance(t, torch.Tensor)}
        assert ours == {n: (str(t.dtype), tuple(t.shape), bytes_of(t)) for n, t in tensors.items()}
