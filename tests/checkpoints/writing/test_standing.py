"""What stands at PATH, or at PATH.partial, and is not an output's own stays as it is."""

import fcntl
import os
import socket
from collections.abc import Callable
from pathlib import Path

import blake3
import pytest
import torch

from stockpot.checkpoints.formats.layout import OutputTensor, hub_shards, single_file
from stockpot.checkpoints.writing import partial as partials
from stockpot.checkpoints.writing.journal import Record
from stockpot.checkpoints.writing.partial import MARK, Partial
from stockpot.checkpoints.writing.writer import Output, clear_leftovers
from stockpot.errors import OutputError
from stockpot.system import linux


@pytest.fixture(params=["out", "out.safetensors"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / request.param


def opened(path: Path, **how: bool) -> Output:
    tensors = [OutputTensor("w", torch.float32, (2,))]
    is_file = path.suffix == ".safetensors"
    shards = single_file(tensors, path.name, {}) if is_file else hub_shards(tensors, 99, {})
    return Output(path, shards, "f", **how)


def snapshot(folder: Path) -> dict[str, object]:
    return {
        str(one.relative_to(folder)): one.readlink() if one.is_symlink() else one.lstat().st_mode
        for one in folder.rglob("*")
    }


def bound(path: Path) -> None:
    """A socket with that name."""
    folder = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"/proc/self/fd/{folder}/{path.name}")
    os.close(folder)


KINDS: dict[str, Callable[[Path], object]] = {
    "FIFO": os.mkfifo,
    "socket": bound,
    "link to ": lambda path: path.symlink_to("nowhere"),
    "link to": lambda path: (path.with_name("real").mkdir(), path.symlink_to("real")),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("overwrite", [False, True])
def test_what_is_neither_file_nor_directory_is_not_replaced(
    kind: str, overwrite: bool, path: Path
) -> None:
    KINDS[kind](path)
    before = snapshot(path.parent)
    with pytest.raises(OutputError, match=rf"out.* is a {kind}.*another --out"):
        opened(path, overwrite=overwrite)
    assert snapshot(path.parent) == before


@pytest.mark.parametrize("kind", KINDS)
def test_a_sidecar_of_another_kind_is_not_replaced(kind: str, tmp_path: Path) -> None:
    KINDS[kind](tmp_path / "out.safetensors.merge.json")
    with pytest.raises(OutputError, match=rf"merge\.json is a {kind}"):
        opened(tmp_path / "out.safetensors", overwrite=True)


def test_a_sidecar_without_its_file_is_not_replaced_unasked(tmp_path: Path) -> None:
    sidecar = tmp_path / "out.safetensors.merge.json"
    sidecar.write_text("mine")
    for how in ({}, {"resume": True}):
        with pytest.raises(OutputError, match=r"merge\.json exists: pass --overwrite"):
            opened(tmp_path / "out.safetensors", **how)
    assert sidecar.read_text() == "mine"
    opened(tmp_path / "out.safetensors", overwrite=True).close()


def foreign(partial: Path, what: str) -> None:
    match what:
        case "files":
            (partial / "out").mkdir(parents=True)
            (partial / "out" / "thesis.txt").write_text("mine")
        case "a journal of its own":
            partial.mkdir()
            (partial / "journal").write_text("Dear diary,\n")
        case "a file":
            partial.write_text("mine")
        case "a link":
            (partial.parent / "elsewhere" / "out").mkdir(parents=True)
            (partial.parent / "elsewhere" / "out" / "thesis.txt").write_text("mine")
            partial.symlink_to("elsewhere")
        case "an old lock":
            partial.mkdir()
            (partial / "lock").write_text("mine")
        case _:
            partial.mkdir()
            (partial / "lock").write_bytes(MARK)
            (partial / "notes.txt").write_text("mine")


@pytest.mark.parametrize(
    "what", ["files", "a journal of its own", "a file", "a link", "an old lock", "beside ours"]
)
@pytest.mark.parametrize("how", [{}, {"overwrite": True}, {"resume": True}], ids=str)
def test_a_partial_that_is_not_ours_is_kept(what: str, how: dict[str, bool], path: Path) -> None:
    partial = path.with_name(path.name + ".partial")
    foreign(partial, what)
    before = snapshot(path.parent)
    with pytest.raises(OutputError, match=r"(?i)move (it away|that elsewhere)"):
        opened(path, **how)
    clear_leftovers(path, "f")
    assert snapshot(path.parent) == before


def test_an_empty_partial_is_adopted(path: Path) -> None:
    partial = path.with_name(path.name + ".partial")
    partial.mkdir()
    opened(path).close()
    assert (partial / "lock").read_bytes() == MARK


def test_links_within_a_partial_are_not_followed(path: Path) -> None:
    partial = path.with_name(path.name + ".partial")
    opened(path).close()
    (partial / "out").rename(path.parent / "mine")
    (partial / "out").symlink_to("../mine")
    with pytest.raises(OutputError, match="'out' beside an unfinished merge"):
        opened(path, resume=True)
    assert (path.parent / "mine").is_dir()


def test_a_deleted_lock_file_lets_nobody_in(path: Path) -> None:
    with opened(path) as output:
        (path.with_name(path.name + ".partial") / "lock").unlink()
        with pytest.raises(OutputError, match="another merge is writing"):
            opened(path, overwrite=True)
        output.finish([Record("w", None)])


def test_where_directories_cannot_be_locked_the_file_is(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = fcntl.flock

    def flock(fd: int, how: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{fd}"):  # noqa: PTH112
            raise OSError(9, "Bad file descriptor")
        lock(fd, how)

    monkeypatch.setattr(fcntl, "flock", flock)
    partial = path.with_name(path.name + ".partial")
    with opened(path) as output:
        with pytest.raises(OutputError, match="another merge is writing"):
            opened(path, overwrite=True)
        (partial / "lock").unlink()
        with pytest.raises(OutputError, match="moved, deleted or changed while"):
            output.commit({})
    assert not path.exists()


@pytest.mark.parametrize("what", ["the directory", "a shard", "the whole", "a shard is longer"])
def test_what_was_deleted_meanwhile_is_not_committed(what: str, path: Path) -> None:
    partial = path.with_name(path.name + ".partial")
    with opened(path) as output:
        (weights,) = (partial / "out").iterdir()
        match what:
            case "the directory":
                (partial / "out").rename(path.parent / "moved")
            case "a shard":
                weights.rename(path.parent / "moved")
            case "the whole":
                partial.rename(path.parent / "moved")
            case _:
                os.truncate(weights, 10**4)
        with pytest.raises(OutputError, match="moved, deleted or changed while"):
            output.commit({})
    assert not path.exists()


def test_discarding_frees_the_name_before_it_deletes(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another merge may begin while this one deletes, and keeps what it writes."""
    others: list[Output] = []
    real = partials.Partial.set_aside

    def set_aside(held: Partial) -> Path:
        aside = real(held)
        monkeypatch.undo()
        others.append(opened(path))
        return aside

    monkeypatch.setattr(partials.Partial, "set_aside", set_aside)
    opened(path).discard()
    (other,) = others
    assert {p.name for p in path.parent.iterdir()} == {path.name + ".partial"}
    other.write("w", 0, memoryview(bytes(8)))
    other.finish([Record("w", blake3.blake3(bytes(8)).hexdigest())])
    other.close()
    with opened(path, resume=True) as again:
        assert set(again.done) == {"w"}


def test_what_a_kill_left_while_deleting_is_swept(path: Path) -> None:
    left = path.with_name(path.name + ".discarded-0123abcd.partial")
    (left / "out").mkdir(parents=True)
    mine = path.with_name(path.name + ".discarded-notes.partial")
    mine.mkdir()
    held = path.with_name(path.name + ".discarded-4567abcd.partial")
    held.mkdir()
    fd = os.open(held, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)  # somebody is deleting it
    opened(path).discard()
    assert {p.name for p in path.parent.iterdir()} == {mine.name, held.name}
    os.close(fd)


@pytest.mark.parametrize("system", ["renameat2", "links", "neither"])
def test_a_rename_that_replaces_nothing(
    system: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    if system != "renameat2":
        monkeypatch.setattr(linux.ctypes, "CDLL", lambda *_, **__: object())
    if system == "neither":
        monkeypatch.setattr(os, "link", refused)
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_text("new")
    target.write_text("old")
    with pytest.raises(FileExistsError):
        linux.rename_new(source, target)
    assert (source.read_text(), target.read_text()) == ("new", "old")
    target.unlink()
    linux.rename_new(source, target)
    assert target.read_text() == "new"
    assert not source.exists()
