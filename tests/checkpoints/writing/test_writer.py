"""One writer of PATH: nothing is at PATH before the commit, all of it after."""

import hashlib
import os
from pathlib import Path
from typing import Any

import blake3
import pytest
import torch
from safetensors.torch import load_file

from stockpot import system
from stockpot.checkpoints.formats.layout import OutputTensor, Shard, hub_shards, single_file
from stockpot.checkpoints.writing.journal import Record
from stockpot.checkpoints.writing.manifest import manifest_text
from stockpot.checkpoints.writing.writer import Output, clear_leftovers, is_committed
from stockpot.errors import OutputError
from stockpot.system import linux

TENSORS = {"a": torch.arange(6.0), "b": torch.arange(4.0) + 1, "c": torch.ones(3)}


def raw(name: str) -> memoryview:
    return memoryview(TENSORS[name].numpy().tobytes())


def layout(path: Path) -> tuple[Shard, ...]:
    tensors = [OutputTensor(n, t.dtype, tuple(t.shape)) for n, t in TENSORS.items()]
    if path.suffix == ".safetensors":
        return single_file(tensors, path.name, {})
    return hub_shards(tensors, 30, {})


def opened(path: Path, fingerprint: str = "f", **how: Any) -> Output:
    return Output(path, layout(path), fingerprint, **how)


def put(output: Output, *names: str) -> None:
    for name in names:
        half = len(raw(name)) // 2
        output.write(name, half, raw(name)[half:])
        output.write(name, 0, raw(name)[:half])
        output.finish([Record(name, blake3.blake3(raw(name)).hexdigest())])


def sidecar(path: Path) -> dict[str, bytes]:
    if path.suffix == ".safetensors":
        return {path.name + ".merge.json": manifest(path)}
    return {"merge.json": manifest(path), "README.md": b"card"}


def manifest(path: Path, fingerprint: str = "f") -> bytes:
    """Of this very output."""
    files = [{"name": s.filename, "bytes": s.size, "header": ""} for s in layout(path)]
    told = {"fingerprint": fingerprint, "recipe": {}, "device": "cpu", "key": None, "seed": 0}
    told |= {"methods": [], "digest": "none", "allow_non_finite": False, "inputs": []}
    card = {"README.md": {"bytes": 4, "digest": ""}} if path.suffix == "" else {}
    return manifest_text(told | {"output": {"files": files, "small": card}, "tensors": {}}).encode()


def replaced(path: Path) -> None:
    """An output of an earlier merge."""
    with opened(path, "before") as output:
        put(output, *TENSORS)
        output.commit(sidecar(path))
    (path / "README.md").write_text("old!")


@pytest.fixture(params=["out", "out.safetensors"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / "deep" / request.param


def state(path: Path) -> dict[str, torch.Tensor]:
    files = [path] if path.is_file() else sorted(path.glob("*.safetensors"))
    return {name: tensor for file in files for name, tensor in load_file(file).items()}


def test_a_commit_puts_everything_at_path(path: Path) -> None:
    with opened(path) as output:
        assert output.done == {}
        put(output, "c", "a", "b")
        assert not path.exists()
        assert not is_committed(path)
        found = output.digests()
        more = {"1_Pooling/config.json": b"words"} if path.suffix == "" else {}
        output.commit(sidecar(path) | more)
    assert all(torch.equal(state(path)[n], t) for n, t in TENSORS.items())
    assert is_committed(path)
    folder = path.parent if path.is_file() else path
    assert {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in found} == found
    assert {p.name for p in path.parent.iterdir()} == (
        {"out"} if path.is_dir() else {"out.safetensors", "out.safetensors.merge.json"}
    )
    if path.is_dir():
        assert (path / "1_Pooling" / "config.json").read_text() == "words"
        assert (path / "README.md").read_text() == "card"


def test_without_a_commit_there_is_nothing_at_path(path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), opened(path) as output:  # noqa: PT012
        put(output, "a")
        raise KeyboardInterrupt
    assert not path.exists()
    assert path.with_name(path.name + ".partial").is_dir()


def test_a_resume_knows_what_is_finished(path: Path) -> None:
    with opened(path) as output:
        put(output, "a", "b")
        output.write("c", 0, raw("c")[:5])
    with opened(path, resume=True) as output:
        assert set(output.done) == {"a", "b"}
        put(output, "c")
    with opened(path, resume=True) as output:
        assert set(output.done) == {"a", "b", "c"}
        output.commit(sidecar(path))
    assert all(torch.equal(state(path)[n], t) for n, t in TENSORS.items())


def test_what_is_not_what_was_written_is_not_done(path: Path) -> None:
    with opened(path) as output:
        put(output, "a", "b")
        output.write("a", 0, b"\xff")
    with opened(path, resume=True) as output:
        assert set(output.done) == {"b"}


def test_without_a_digest_this_boot_is_trusted(path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(system.here, "boot_id", lambda: "this")
    with opened(path) as output:
        output.finish([Record("a", None)])
    with opened(path, resume=True) as output:
        assert set(output.done) == {"a"}
    monkeypatch.setattr(system.here, "boot_id", lambda: "another")
    with opened(path, resume=True) as output:
        assert output.done == {}


def test_a_tensor_of_no_such_name_is_not_done(path: Path) -> None:
    with opened(path) as output:
        output.finish([Record("ghost", None)])
    with opened(path, resume=True) as output:
        assert output.done == {}


def test_who_may_open_it(path: Path) -> None:
    with opened(path) as output:
        put(output, "a")
    with pytest.raises(OutputError, match=r"holds an unfinished merge: --resume.*--overwrite"):
        opened(path)
    with pytest.raises(OutputError, match=r"another recipe, other inputs or other options"):
        opened(path, "g", resume=True)
    with opened(path, "g", overwrite=True) as output:
        assert output.done == {}
    with opened(path, "g", resume=True, overwrite=True) as output:
        output.commit(sidecar(path))
    with pytest.raises(OutputError, match="exists: pass --overwrite"):
        opened(path)
    with pytest.raises(OutputError, match="exists: pass --overwrite"):
        opened(path, resume=True)
    assert not path.with_name(path.name + ".partial").exists()


def test_one_writer_at_a_time(path: Path) -> None:
    with opened(path) as output:
        put(output, "a")
        for how in ({}, {"resume": True}, {"overwrite": True}):
            with pytest.raises(OutputError, match="another merge is writing"):
                opened(path, **how)
        assert output.done == {}
        put(output, "b")
    opened(path, resume=True).close()


@pytest.mark.parametrize("fallback", [False, True])
def test_a_directory_is_exchanged(fallback: bool, tmp_path: Path, monkeypatch: Any) -> None:
    if fallback:
        monkeypatch.setattr(linux.ctypes, "CDLL", lambda *_, **__: object())
    path = tmp_path / "out"
    replaced(path)
    with opened(path, overwrite=True) as output:
        put(output, *TENSORS)
        assert (path / "README.md").read_text() == "old!"
        output.commit(sidecar(path))
    assert (path / "README.md").read_text() == "card"
    assert set(state(path)) == set(TENSORS)
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_overwrite_spares_a_directory_without_a_model(tmp_path: Path) -> None:
    path = tmp_path / "home"
    path.mkdir()
    (path / "letters.txt").write_text("dear")
    with pytest.raises(OutputError, match=r"not written by stockpot.*another --out"):
        opened(path, overwrite=True)
    assert [p.name for p in tmp_path.rglob("*")] == ["home", "letters.txt"]


@pytest.mark.skipif(system.here is not linux, reason="only Linux swaps in one step")
def test_a_failed_exchange_leaves_what_was_there(tmp_path: Path, monkeypatch: Any) -> None:
    path = tmp_path / "out"
    replaced(path)

    class Libc:
        @staticmethod
        def renameat2(*_: object) -> int:
            linux.ctypes.set_errno(16)
            return -1

    monkeypatch.setattr(linux.ctypes, "CDLL", lambda *_, **__: Libc)
    with opened(path, overwrite=True) as output:
        put(output, *TENSORS)
        with pytest.raises(OutputError, match=r"busy.*--resume"):
            output.commit(sidecar(path))
    assert (path / "README.md").read_text() == "old!"
    monkeypatch.undo()
    with opened(path, overwrite=True, resume=True) as output:
        assert set(output.done) == set(TENSORS)
        output.commit(sidecar(path))
    assert is_committed(path)


def test_after_an_exchange_the_old_files_are_not_taken_for_the_new(tmp_path: Path) -> None:
    path = tmp_path / "out"
    with opened(path) as output:
        for name in TENSORS:
            output.finish([Record(name, None)])
    files = tmp_path / "out.partial" / "out"
    files.rename(tmp_path / "moved")
    files.mkdir()
    for shard in layout(path):
        (files / shard.filename).write_bytes(bytes(shard.size))
    with opened(path, resume=True) as output:
        assert output.done == {}


def test_small_files_of_an_earlier_attempt_are_removed(path: Path) -> None:
    with opened(path) as output:
        put(output, "a")
    stale = path.with_name(path.name + ".partial") / "out" / "stale.json"
    stale.write_text("{}")
    with opened(path, resume=True) as output:
        assert set(output.done) == {"a"}
        assert not stale.exists()


def test_leftovers_are_cleared_where_they_are_of_this_merge(path: Path) -> None:
    partial = path.with_name(path.name + ".partial")
    clear_leftovers(path, "f")
    with opened(path) as output:
        put(output, "a")
        with pytest.raises(OutputError, match="another merge"):
            clear_leftovers(path, "f")
    clear_leftovers(path, "g")
    assert partial.exists()
    clear_leftovers(path, "f")
    assert not partial.exists()


@pytest.mark.parametrize("call", ["write_at", "ftruncate", "sync"])
def test_errors_say_what_and_where(call: str, path: Path, monkeypatch: Any) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with opened(path) as output:
        put(output, "a")
    monkeypatch.setattr(os if call == "ftruncate" else system.here, call, fail)
    with (  # noqa: PT012 - which of the steps fails depends on the call
        pytest.raises(OutputError, match=r"writing .*out.*failed: the disk is full\."),
        opened(path, resume=True) as output,
    ):
        put(output, "b", "c")
        output.commit(sidecar(path))
    monkeypatch.undo()
    assert not path.exists()
    with opened(path, resume=True) as output:
        assert "a" in output.done
