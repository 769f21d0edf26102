"""The scan of pickles: what honest ones hold, and how each kind of bomb is refused."""

import argparse
import io
import pickle
import random
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path

import pytest
import torch
from bench.reliability.pickles import BOMBS, MAGIC, doubled, generated, name, number, text
from hypothesis import given, settings
from hypothesis import strategies as st

from stockpot.checkpoints.pickles import budget, machine, rules
from stockpot.checkpoints.pickles.budget import Budget, CutOffError, NamedError, PickleError
from stockpot.checkpoints.pickles.dialect import Dialect
from stockpot.checkpoints.pickles.scan import scan
from stockpot.checkpoints.pickles.shapes import Shape
from stockpot.checkpoints.pickles.torch_files import scan_record
from stockpot.checkpoints.pickles.torch_names import TorchNames
from stockpot.checkpoints.read import read_checkpoint
from stockpot.errors import CheckpointError

PLAIN = Dialect({"builtins.set": rules.distinct, "builtins.frozenset": rules.sizes}.get)


def zipped(path: Path, raw: bytes) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a/data.pkl", raw)
        archive.writestr("a/byteorder", b"little")
        archive.writestr("a/version", b"3\n")
    return path


literals = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary()
values = st.recursive(
    literals,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=4)
        | st.sets(st.integers(), max_size=3)
    ),
    max_leaves=20,
)


@given(values, st.integers(2, 5), st.binary(max_size=5))
@settings(deadline=None)
def test_what_python_pickles_is_let_through_to_its_last_byte(
    value: object, protocol: int, rest: bytes
) -> None:
    names = Dialect(lambda full: rules.encode if full == "_codecs.encode" else PLAIN.rule(full))
    if isinstance(value, bytes) and not value and protocol == 2:
        names = Dialect(lambda _: rules.record)  # bytes() is how protocol 2 has them
    try:
        found, end = scan(pickle.dumps(value, protocol) + rest, names, Budget(0))
    except NamedError as error:
        assert set(error.names) == {"builtins.bytes"}  # noqa: PT017
        return
    assert end == len(pickle.dumps(value, protocol))
    kinds = {list: "list", tuple: "tuple", dict: "dict", set: "set"}
    if type(value) in kinds:
        assert isinstance(found, Shape)
        assert found.kind == kinds[type(value)]
    elif type(value) in (int, str, bool):
        assert found == value


def test_what_a_training_script_saves_is_let_through() -> None:
    network = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
    optimizer = torch.optim.AdamW(network.parameters())
    network(torch.ones(2, 3)).sum().backward()
    optimizer.step()
    content = {
        "model": network.state_dict(),
        "parameters": dict(network.named_parameters()),
        "optimizer": optimizer.state_dict(),
        "scheduler": torch.optim.lr_scheduler.MultiStepLR(optimizer, [3, 5]).state_dict(),
        "random": torch.get_rng_state(),
        "rest": [b"abc", bytearray(b"xyz"), 1 + 2j, {1, 2}, torch.Size([1, 2]), Counter("aab")],
        "names": (torch.device("cpu"), torch.bfloat16, OrderedDict(a=None), 10**40, -0.5),
        "best": {(1, 2): 3, 0.5: 4},
    }
    buffer = io.BytesIO()
    torch.save(content, buffer)
    scan_record(zipfile.ZipFile(buffer).read("archive/data.pkl"))


def test_a_dict_of_many_tensors_is_within_every_bound() -> None:
    buffer = io.BytesIO()
    torch.save({f"layers.{i}.weight": torch.ones(2) for i in range(2000)}, buffer)
    raw = zipfile.ZipFile(buffer).read("archive/data.pkl")
    one = Budget(len(raw))
    scan(raw, TorchNames(in_memory=False).dialect(), one)
    before = Budget(len(raw))
    assert before._steps - one._steps < budget.STEPS / 75  # 150,000 such tensors
    assert before._bytes - one._bytes < 40 * len(raw)


KINDS = {
    "memo index": "numbers a value 134,217,727 after 3 operations",
    "frame": "is cut off",
    "bytes8": "is cut off",
    "long4": "a protocol that torch does not read",
    "digits": "a protocol that torch does not read",
    "a key of doubled tuples": "a key of more than 1,000 elements",
    "a key of nested tuples": "nests more than 100 containers",
    "a set of doubled tuples": "a key of more than 1,000 elements",
    "a bytearray": "makes bytes of what are none",
    "colliding keys": "more than 4,096 keys that are neither text nor numbers",
    "an ordered dict of doubled keys": "a key of more than 1,000 elements",
    "a shape of doubled tuples": "no list of whole numbers",
    "a sparse tensor of doubled lists": "no list of whole numbers",
    "a tensor of numbers": "a tensor of no storage",
    "a tensor of its type": "makes bytes of what are none",
    "a storage": "calls what is no function",
    "a codec": "by the codec 'zlib'",
    "marks": "nests more than 100 containers",
    "methods of a dict": "sets the methods of a dict",
    "the state of a name": "sets the state of what has none",
    "a system call": "names 'posix.system'",
    "a name below a name": "names 'torch.serialization.load'",
    "a persistent id of doubled tuples": "no storage",
    "no end": "is cut off",
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_bomb_is_refused_by_what_it_does(tmp_path: Path, kind: str) -> None:
    with pytest.raises(CheckpointError, match=KINDS[kind]):
        read_checkpoint(zipped(tmp_path / "m.pt", BOMBS[kind]))


def test_few_bytes_build_no_more_than_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "FREE", 2**20)
    with pytest.raises(PickleError, match="builds more than 1,208,576 bytes from 5,000"):
        scan(b"\x8f" * 10_000, PLAIN, Budget(5_000))
    monkeypatch.setattr(machine, "TALLEST", 100)
    with pytest.raises(PickleError, match="more than 100 values that wait"):
        scan(b"N" * 101, PLAIN, Budget(0))
    with pytest.raises(PickleError, match="takes more than 8,388,608 steps"):
        Budget(0).step(budget.STEPS + 1)


@pytest.mark.parametrize("kind", ["a bytearray", "a key of doubled tuples", "a system call"])
def test_legacy_files_and_metadata_are_scanned_too(tmp_path: Path, kind: str) -> None:
    (tmp_path / "m.pt").write_bytes(MAGIC + BOMBS[kind] + pickle.dumps([], 2))
    with pytest.raises(CheckpointError, match=KINDS[kind]):
        read_checkpoint(tmp_path / "m.pt")
    (tmp_path / ".metadata").write_bytes(BOMBS[kind])
    with pytest.raises(CheckpointError, match=r"names|key of more than"):
        read_checkpoint(tmp_path)


def test_dictionaries_that_hold_one_another_are_not_walked_without_end(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="nests more than 4,194,304 entries"):
        read_checkpoint(zipped(tmp_path / "m.pt", BOMBS["dicts of dicts"]))


def test_memory_that_nobody_wrote_is_not_taken_for_weights(tmp_path: Path) -> None:
    """A legacy file whose list of storages is empty, with bytes enough behind it."""
    torch.save({"w": torch.ones(3)}, tmp_path / "m.pt", _use_new_zipfile_serialization=False)
    raw = (tmp_path / "m.pt").read_bytes()
    at = raw.rindex(b"\x80\x02]")
    (tmp_path / "m.pt").write_bytes(raw[:at] + pickle.dumps([], 2) + bytes(100))
    with pytest.raises(CheckpointError, match="1 of which are not in the file"):
        read_checkpoint(tmp_path / "m.pt")


def test_attributes_in_the_place_of_methods_are_not_called(tmp_path: Path) -> None:
    weight = torch.nn.Parameter(torch.arange(3.0))
    weight.untyped_storage = weight.stride = weight.detach = 3  # type: ignore[assignment, method-assign]
    torch.save({"w": weight}, tmp_path / "m.pt")
    assert read_checkpoint(tmp_path / "m.pt").entries["w"].load().tolist() == [0, 1, 2]


def test_a_class_that_the_user_has_allowed_is_read(tmp_path: Path) -> None:
    torch.save({"w": torch.ones(2), "args": argparse.Namespace(lr=1)}, tmp_path / "m.pt")
    with torch.serialization.safe_globals([argparse.Namespace]):
        assert list(read_checkpoint(tmp_path / "m.pt").entries) == ["w"]


@pytest.mark.parametrize("cut", [3, 10, 30])
def test_what_is_cut_off_says_so(cut: int) -> None:
    with pytest.raises(CutOffError):
        scan(pickle.dumps({"a": [1, 2, 3], "b": "c" * 20}, 2)[:cut], PLAIN, Budget(0))


@pytest.mark.parametrize("seed", range(60))
def test_a_generated_pickle_ends_in_a_result_or_a_refusal(seed: int) -> None:
    try:
        scan_record(generated(random.Random(seed)))
    except PickleError as error:
        assert str(error)  # noqa: PT017


def test_the_budget_counts_what_is_shared() -> None:
    raw = (
        b"\x80\x02"
        + doubled(8)
        + b"0"
        + name("builtins set")
        + b"]("
        + b"h\x00" * 5000
        + b"e\x85R."
    )
    with pytest.raises(PickleError, match="more than 4,096 keys"):
        scan(raw, PLAIN, Budget(0))
    few = b"\x80\x02" + name("builtins set") + b"](" + number(1) + text("a") + b"e\x85R."
    found, _ = scan(few, PLAIN, Budget(0))
    assert isinstance(found, Shape)
    assert found.inside == [1, "a"]
