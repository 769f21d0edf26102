"""Every system keeps the promises about files: Linux, its portable twin, and that as on Windows."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

import stockpot
from stockpot import system
from stockpot.checkpoints.source import FileSource
from stockpot.checkpoints.writing.partial import Partial, partial_of
from stockpot.engine.verify import verify
from stockpot.errors import CheckpointError, OutputError
from stockpot.files import read_file
from stockpot.methods import Average, Ties
from stockpot.system import linux, portable
from stockpot.training.jobs.folder import hold

from .windows import as_on_windows

SYSTEMS = ("linux", "portable", "as on Windows")
SUITES = (
    "checkpoints/writing", "checkpoints/test_sources.py", "checkpoints/formats", "test_files.py",
    "engine/test_resume.py", "engine/test_files.py", "engine/test_verify.py",
)  # fmt: skip


@pytest.fixture(params=SYSTEMS)
def named(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "as on Windows":
        as_on_windows(monkeypatch)
    else:
        monkeypatch.setattr(system, "here", {"linux": linux, "portable": portable}[request.param])
    return request.param


@pytest.fixture
def models(tmp_path: Path) -> list[str]:
    """Two and their base."""
    paths: list[str] = []
    for k in range(3):
        torch.manual_seed(k)
        tensors = {f"w{i}": torch.randn(300, 250) for i in range(6)} | {"b": torch.randn(7)}
        paths.append(str(tmp_path / f"m{k}.safetensors"))
        save_file(tensors, paths[-1])
    return paths


def tree(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(params=["out", "out.safetensors"])
def expected(request: pytest.FixtureRequest, models: list[str], tmp_path: Path) -> Path:
    """A merge as Linux makes it."""
    path = tmp_path / "expected" / request.param
    stockpot.merge_to(path, models[1:], Ties(), base=models[0])
    return path


def test_a_merge_and_one_that_replaces_it(
    expected: Path, named: str, models: list[str], tmp_path: Path
) -> None:
    """The bytes are those of Linux, and nothing else is left behind."""
    home, name = tmp_path / "home", expected.name
    for method in (Average(), Ties()):  # the second replaces the first
        stockpot.merge_to(home / name, models[1:], method, base=models[0], overwrite=True)
        assert verify(home / name).ok
        assert not partial_of(home / name).exists()
    with pytest.raises(OutputError, match="exists: pass --overwrite"):
        stockpot.merge_to(home / name, models[1:], Average())
    assert tree(home) == tree(expected.parent)


def test_an_interrupted_merge_is_resumed(
    named: str, models: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, written = tmp_path / "out", [0]
    write = system.here.write_at

    def write_at(fd: int, data: memoryview | bytes, offset: int) -> int:
        written[0] += len(data)
        if written[0] > 1_200_000:
            raise OSError(28, "No space left on device")
        return write(fd, data, offset)

    with monkeypatch.context() as full:
        full.setattr(system.here, "write_at", write_at)
        with pytest.raises(OutputError, match=r"the disk is full.*--resume"):
            stockpot.merge_to(out, models, Average(), workers=1)
    assert not out.exists()
    with pytest.raises(OutputError, match="--resume continues it"):
        stockpot.merge_to(out, models, Average())
    again = stockpot.merge_to(out, models, Average(), resume=True)
    assert 0 < again.resumed < again.tensors
    assert verify(out, recompute=True).ok
    assert not partial_of(out).exists()


@pytest.mark.parametrize("name", ["out", "out.safetensors"])
def test_what_appears_at_the_path_meanwhile_stays(
    named: str, name: str, models: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, write = tmp_path / name, system.here.write_at
    theirs = out if out.suffix else out / "theirs"

    def write_at(fd: int, data: memoryview | bytes, offset: int) -> int:
        if len(data) > 10_000:  # not the mark of the lock, which comes before the first look
            theirs.parent.mkdir(exist_ok=True)
            theirs.write_text("theirs")
        return write(fd, data, offset)

    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(system.here, "write_at", write_at)
        with pytest.raises(OutputError, match="is kept in"):
            stockpot.merge_to(out, models, Average())
    assert theirs.read_text() == "theirs"


def test_an_empty_directory_is_replaced_and_no_other(named: str, tmp_path: Path) -> None:
    for name in ("empty", "full"):
        (tmp_path / name).mkdir()
    (tmp_path / "full" / "mine").touch()
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "weights").touch()
    with pytest.raises(OSError, match=r"full|not empty"):
        system.here.put_folder(tmp_path / "new", tmp_path / "full")
    system.here.put_folder(tmp_path / "new", tmp_path / "empty")
    assert (tmp_path / "empty" / "weights").exists()
    assert (tmp_path / "full" / "mine").exists()


def test_a_rename_replaces_nothing(named: str, tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    source.write_text("new")
    target.write_text("old")
    with pytest.raises(FileExistsError):
        system.here.rename_new(source, target)
    assert (source.read_text(), target.read_text()) == ("new", "old")
    target.unlink()
    system.here.rename_new(source, target)
    assert (target.read_text(), source.exists()) == ("new", False)


def test_one_writer_and_one_run_at_a_time(named: str, tmp_path: Path) -> None:
    held = Partial.take(tmp_path / "out.partial")
    with pytest.raises(OutputError, match="another merge is writing"):
        Partial.take(tmp_path / "out.partial")
    held.leave()
    assert not (tmp_path / "out.partial").exists()
    run = hold(tmp_path / "run")
    with pytest.raises(OutputError, match="in use by another stockpot"):
        hold(tmp_path / "run")
    os.close(run)
    os.close(hold(tmp_path / "run"))


def test_many_threads_read_one_file_by_position(named: str, tmp_path: Path) -> None:
    content = os.urandom(2**16)
    (tmp_path / "f").write_bytes(content)
    source = FileSource(tmp_path / "f")
    places = [(17 * i) % (2**16 - 999) for i in range(2000)]
    with ThreadPoolExecutor(4) as pool:
        parts = list(pool.map(lambda at: source.read(at, 999), places))
    assert parts == [content[at : at + 999] for at in places]
    with pytest.raises(CheckpointError, match="ended at byte 65536"):
        source.read(2**16 - 1, 2)


def test_many_threads_write_one_file_by_position(named: str, tmp_path: Path) -> None:
    fd = os.open(tmp_path / "f", os.O_RDWR | os.O_CREAT)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: system.here.write_at(fd, bytes([i]) * 512, 512 * i), range(200)))
    os.close(fd)
    assert (tmp_path / "f").read_bytes() == b"".join(bytes([i]) * 512 for i in range(200))


def test_what_is_no_file_is_refused(named: str, tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError):
        read_file(tmp_path, 10)
    with pytest.raises(OSError, match="a pipe or a device"):
        read_file(Path("/dev/null"), 10)


def test_the_environment_takes_the_twin() -> None:
    code = "from stockpot import system; print(system.here.__name__)"
    for asked, name in (("portable", "stockpot.system.portable"), ("wine", "")):
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"STOCKPOT_SYSTEM": asked},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.stdout.strip() == name
        assert bool(done.returncode) == (not name)


@pytest.mark.full
@pytest.mark.parametrize("suite", SUITES)
def test_whole_suites_on_the_twin(suite: str) -> None:
    """The writer's, the readers' and the resume's, in a process that has the twin."""
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-m", "not full", str(tests / suite)],
        env=os.environ | {"STOCKPOT_SYSTEM": "portable"},
        cwd=tests.parent,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
