"""Full disks, lost permissions, read errors, Ctrl-C, two writers, inputs that change: a message,
nothing at PATH that is not complete, and a resume that works."""

import contextlib
import errno
import gc
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from stockpot import system
from stockpot.checkpoints.source import FileSource
from stockpot.engine.merge import run_recipe
from stockpot.engine.options import Options
from stockpot.errors import CheckpointError, MergeError, NonFiniteError, OutputError
from stockpot.recipes.reading.recipe import parse_recipe

SMALL = {"memory": "4MiB", "workers": 2}
SHARDS = {"output": {"shard_size": 600_000}}
ONE = {"output": {"shard_size": "5GB"}}
Tree = Callable[[Path], dict[str, bytes]]
Make = Callable[..., dict[str, Any]]


def merge(plain: dict[str, Any], out: Path, **options: Any) -> Any:
    return run_recipe(parse_recipe(plain), out, Options(memory="4MiB", workers=2, **options))


@pytest.fixture
def expected(recipe: Make, tree: Tree, tmp_path: Path) -> dict[str, bytes]:
    (tmp_path / "unbroken").mkdir()
    merge(recipe(**SHARDS), tmp_path / "unbroken" / "out")
    return tree(tmp_path / "unbroken" / "out")


def test_the_allowed_file_size_is_exceeded(
    recipe: Make, driver: Any, tree: Tree, tmp_path: Path
) -> None:
    merge(recipe(), tmp_path / "unbroken" / "out")
    report = driver.run(recipe(), tmp_path / "out", fsize=500_000, options=SMALL)
    assert "allowed file size" in report["error"]
    assert "out.partial" in report["error"]
    assert not (tmp_path / "out").exists()
    again = driver.run(recipe(), tmp_path / "out", options=SMALL | {"resume": True})
    assert "error" not in again
    assert tree(tmp_path / "out") == tree(tmp_path / "unbroken" / "out")


def amid(driver: Any, recipe: Mapping[str, Any], out: Path) -> int:
    """The operation at which a quarter of what a merge writes is written."""
    log = driver.run(recipe, out, options=SMALL)["log"]
    writes = [number for number, name in enumerate(log, 1) if name == "pwrite"]
    return writes[len(writes) // 4]


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 3 MiB."""
    disk = Path(tempfile.mkdtemp())
    command = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        disk.rmdir()
        pytest.skip("this user may not mount a tmpfs")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)
    disk.rmdir()


def test_the_disk_fills_up_during_the_merge(
    small_disk: Path,
    recipe: Make,
    expected: dict[str, bytes],
    tree: Tree,
    driver: Any,
    tmp_path: Path,
) -> None:
    out = small_disk / "out"
    at = amid(driver, recipe(**SHARDS), tmp_path / "logged")
    pid = driver.held(recipe(**SHARDS), out, at, tmp_path, options=SMALL)
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:  # until there is no space left
            file.write(bytes(4096))
    report = driver.release(pid, tmp_path)
    assert "the disk is full" in report["error"]
    assert "--resume" in report["error"]
    assert not out.exists()
    filler.unlink()
    again = driver.run(recipe(**SHARDS), out, options=SMALL | {"resume": True})
    assert "error" not in again
    assert tree(out) == expected


def test_a_disk_that_is_too_small_is_refused_before_anything_is_written(
    small_disk: Path, tmp_path: Path
) -> None:
    big = tmp_path / "big.safetensors"
    save_file({"w": torch.zeros(1_000_000)}, big)
    plain = {"method": "average", "models": [str(big), str(big)]}
    with pytest.raises(OutputError, match=r"needs 4,000,\d+ bytes.*has .* free"):
        merge(plain, small_disk / "deep" / "out")
    assert list(small_disk.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "Input/output error"),
    ],
)
@pytest.mark.parametrize("call", ["pwrite", "write", "fsync", "replace"])
def test_every_kind_of_failed_write_says_so_and_resumes(
    number: int,
    words: str,
    call: str,
    recipe: Make,
    expected: dict[str, bytes],
    driver: Any,
    tree: Tree,
    tmp_path: Path,
) -> None:
    out = tmp_path / "out"
    at = {"pwrite": 12, "write": 5, "fsync": 5, "replace": 1}[call]
    fault = {"call": call, "at": at, "errno": number}
    report = driver.run(recipe(**SHARDS), out, fault=fault, options=SMALL)
    assert words in report["error"]
    assert str(out) in report["error"]
    assert "--resume" in report["error"]
    assert not out.exists()
    again = driver.run(recipe(**SHARDS), out, options=SMALL | {"resume": True})
    assert again["merged"]["resumed"] > 0
    assert tree(out) == expected


def test_a_failure_before_anything_is_finished(recipe: Make, driver: Any, tmp_path: Path) -> None:
    fault = {"call": "mkdir", "at": 1, "errno": errno.EACCES}
    report = driver.run(recipe(), tmp_path / "out", fault=fault, options=SMALL)
    assert "permission denied" in report["error"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["file/out", "file"])
def test_a_path_below_a_file(where: str, recipe: Make, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match="file"):
        merge(recipe(), tmp_path / where)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_read_error_in_the_middle(
    recipe: Make, tree: Tree, expected: dict[str, bytes], tmp_path: Path, monkeypatch: Any
) -> None:
    inner, calls, lock = system.here.read_at, [0], threading.Lock()

    def read_at(fd: int, buffer: memoryview, offset: int) -> int:
        with lock:
            calls[0] += (tmp_path / "out.partial").exists()
        if calls[0] > 30:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return inner(fd, buffer, offset)

    monkeypatch.setattr(system.here, "read_at", read_at)
    with pytest.raises(CheckpointError, match=r"model\.safetensors failed at byte \d+: Input"):
        merge(recipe(**SHARDS), tmp_path / "out")
    monkeypatch.undo()
    assert not (tmp_path / "out").exists()
    assert merge(recipe(**SHARDS), tmp_path / "out", resume=True).resumed > 0
    assert tree(tmp_path / "out") == expected


def test_short_reads_and_writes_are_completed(
    recipe: Make, tree: Tree, expected: dict[str, bytes], tmp_path: Path, monkeypatch: Any
) -> None:
    read, write = system.here.read_at, system.here.write_at
    monkeypatch.setattr(system.here, "read_at", lambda fd, into, at: read(fd, into[:50_001], at))
    monkeypatch.setattr(system.here, "write_at", lambda fd, data, at: write(fd, data[:40_003], at))
    merge(recipe(**SHARDS), tmp_path / "out")
    monkeypatch.undo()
    assert tree(tmp_path / "out") == expected


@pytest.fixture
def pair(tmp_path: Path) -> dict[str, Any]:
    """A recipe over two files that a test may spoil."""
    for k, name in enumerate("ab"):
        tensors = {f"w{i}": torch.full((40_000,), float(k + i)) for i in range(8)}
        save_file(tensors, tmp_path / f"{name}.safetensors")
    return {"method": "average", "models": [str(tmp_path / f"{n}.safetensors") for n in "ab"]}


def test_a_file_that_is_cut_during_the_merge(
    pair: dict[str, Any], driver: Any, tmp_path: Path
) -> None:
    pid = driver.held(pair, tmp_path / "out", 30, tmp_path, options={"workers": 1})
    os.truncate(tmp_path / "b.safetensors", 100_000)
    report = driver.release(pid, tmp_path)
    assert re.search(r"b\.safetensors ended at byte \d+: it was cut", report["error"])
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("how", ["touched", "edited in place", "replaced", "deleted"])
def test_an_input_that_changes_during_the_merge(
    how: str, pair: dict[str, Any], driver: Any, tmp_path: Path
) -> None:
    b = tmp_path / "b.safetensors"
    pid = driver.held(pair, tmp_path / "out", 30, tmp_path, options={"workers": 1})
    if how == "touched":
        os.utime(b)
    elif how == "deleted":
        b.unlink()
    elif how == "edited in place":
        before = b.stat()
        with b.open("r+b") as file:
            file.seek(-8, os.SEEK_END)
            file.write(b"\0" * 4)
        os.utime(b, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert b.stat().st_mtime_ns == before.st_mtime_ns
    else:
        save_file(load_file(tmp_path / "a.safetensors"), tmp_path / "new.safetensors")
        (tmp_path / "new.safetensors").replace(b)
    report = driver.release(pid, tmp_path)
    assert "b.safetensors changed while it was being merged" in report["error"]
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.partial").exists()  # nothing could resume it


def test_a_merge_after_an_input_changed_uses_the_new_one(
    pair: dict[str, Any], driver: Any, tmp_path: Path
) -> None:
    pid = driver.held(pair, tmp_path / "out", 30, tmp_path, options={"workers": 1})
    save_file({f"w{i}": torch.zeros(40_000) for i in range(8)}, tmp_path / "b.safetensors")
    assert "error" in driver.release(pid, tmp_path)
    assert "error" not in driver.run(pair, tmp_path / "out")
    merged = load_file(tmp_path / "out" / "model.safetensors")
    assert all(torch.equal(merged[f"w{i}"], torch.full((40_000,), i / 2)) for i in range(8))


def test_a_second_writer_is_refused_and_the_first_is_not_disturbed(
    recipe: Make, expected: dict[str, bytes], driver: Any, tree: Tree, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    at = amid(driver, recipe(**SHARDS), tmp_path / "logged")
    pid = driver.held(recipe(**SHARDS), out, at, tmp_path, options=SMALL)
    for options in ({}, {"resume": True}, {"overwrite": True}):
        with pytest.raises(OutputError, match=r"another merge is writing to .*out\.partial"):
            merge(recipe(**SHARDS), out, **options)
    report = driver.release(pid, tmp_path)
    assert "error" not in report
    assert tree(out) == expected


def test_a_failed_merge_lets_go_of_the_lock(pair: dict[str, Any], tmp_path: Path) -> None:
    save_file(
        {f"w{i}": torch.full((40_000,), torch.nan) for i in range(8)}, tmp_path / "b.safetensors"
    )
    for _ in range(2):
        with pytest.raises(NonFiniteError, match=r"'w\d' in .*b\.safetensors holds NaN"):
            merge(pair, tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []
    merge(pair, tmp_path / "out", allow_non_finite=True)
    assert load_file(tmp_path / "out" / "model.safetensors")["w0"].isnan().all()


def test_no_descriptor_and_no_thread_is_left_behind(
    recipe: Make, pair: dict[str, Any], tmp_path: Path
) -> None:
    merge(recipe(**SHARDS), tmp_path / "warm")
    gc.collect()  # of earlier tests too
    before, threads = len(list(Path("/proc/self/fd").iterdir())), threading.active_count()
    merge(recipe(**SHARDS), tmp_path / "out")
    save_file({"w0": torch.tensor([torch.nan])}, tmp_path / "b.safetensors")
    save_file({"w0": torch.tensor([1.0])}, tmp_path / "a.safetensors")
    with pytest.raises(NonFiniteError):
        merge(pair, tmp_path / "failed")
    gc.collect()  # the error held the frames that hold the files
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert threading.active_count() == threads


@pytest.mark.parametrize("role", ["copied", "merged"])
def test_a_result_beyond_the_range_of_its_dtype_is_named(role: str, tmp_path: Path) -> None:
    model = tmp_path / "m.safetensors"
    save_file({"x.weight": torch.full((4, 4), 1e30), "y.weight": torch.ones(4, 4)}, model)
    plain = {
        "method": "average",
        "models": [str(model), str(model)],
        "output": {"dtype": "float16"},
        "only": ["y.*"] if role == "copied" else [],
    }
    with pytest.raises(NonFiniteError, match=r"'x\.weight'.*range of float16") as caught:
        merge(plain, tmp_path / "out")
    assert ("average" in str(caught.value)) == (role == "merged")
    assert not (tmp_path / "out").exists()
    merge(plain, tmp_path / "out", overwrite=True, allow_non_finite=True)
    assert load_file(tmp_path / "out" / "model.safetensors")["x.weight"].isinf().all()


def test_a_copied_tensor_that_is_not_finite_is_refused_but_a_mask_is_not(tmp_path: Path) -> None:
    mask = torch.full((1, 1, 4, 4), -torch.inf).triu(1)
    for name, value in (("good", 1.0), ("bad", torch.inf)):
        tensors = {"attn.bias": mask, "w.weight": torch.full((4, 4), value), "x": torch.ones(3)}
        save_file(tensors, tmp_path / f"{name}.safetensors")
    plain = {"method": "average", "only": ["x"]}
    models = [str(tmp_path / f"{n}.safetensors") for n in ("bad", "good")]
    with pytest.raises(NonFiniteError, match=r"'w\.weight' in .*bad\.safetensors holds NaN or inf"):
        merge(plain | {"models": models}, tmp_path / "out")
    merge(plain | {"models": models[::-1]}, tmp_path / "out", overwrite=True)
    assert torch.equal(load_file(tmp_path / "out" / "model.safetensors")["attn.bias"], mask)


SAMPLED = ("merge.json", "README.md", "config.json", "model.safetensors")


@pytest.mark.parametrize("before", ["sharded", "single"])
def test_overwrite_leaves_nothing_of_what_was_there(
    before: str, recipe: Make, tree: Tree, tmp_path: Path
) -> None:
    old, new = (SHARDS, ONE) if before == "sharded" else (ONE, SHARDS)
    merge(recipe("median", **old), tmp_path / "out")
    (tmp_path / "out" / "stale.txt").write_text("mine")
    merge(recipe(**new), tmp_path / "other" / "out")
    with pytest.raises(OutputError, match=r"out exists: pass --overwrite"):
        merge(recipe(**new), tmp_path / "out")
    with pytest.raises(OutputError, match=r"holds 'stale.txt', which its merge.json does not list"):
        merge(recipe(**new), tmp_path / "out", overwrite=True)
    assert (tmp_path / "out" / "stale.txt").read_text() == "mine"
    (tmp_path / "out" / "stale.txt").unlink()
    merge(recipe(**new), tmp_path / "out", overwrite=True)
    assert tree(tmp_path / "out") == tree(tmp_path / "other" / "out")
    index = tmp_path / "out" / "model.safetensors.index.json"
    assert index.exists() == (before == "single")
    assert not (tmp_path / "out.partial").exists()


def test_path_is_complete_at_every_moment_of_an_overwrite(
    recipe: Make, tree: Tree, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    merge(recipe(**ONE), out)
    wanted = [out.joinpath("merge.json").read_bytes()]
    merge(recipe("median", **ONE), out, overwrite=True)
    wanted.append(out.joinpath("merge.json").read_bytes())
    stop, seen, torn = threading.Event(), set[int](), list[str]()

    def sample() -> None:
        while not stop.is_set():
            folder = os.open(out, os.O_RDONLY)  # one moment: names within it belong together
            try:
                fd = os.open("merge.json", os.O_RDONLY, dir_fd=folder)
                with os.fdopen(fd, "rb") as file:
                    seen.add(wanted.index(file.read()))
                names = set(os.listdir(folder))  # noqa: PTH208 - of an open directory
                torn.extend(sorted(set(SAMPLED) - names))
            except FileNotFoundError:  # deleted after the exchange, while we looked into it
                if not (out / "merge.json").exists():
                    torn.append("merge.json")
            finally:
                os.close(folder)
            if not all((out / name).exists() for name in SAMPLED):
                torn.append("a file at PATH")

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        for i in range(6):
            method = "average" if i % 2 else "median"
            merge(recipe(method, **ONE), out, overwrite=True)
    finally:
        stop.set()
        thread.join()
    assert seen == {0, 1}
    assert set(torn) <= {"model.safetensors", *SAMPLED} - {"a file at PATH"}
    assert "a file at PATH" not in torn


@pytest.mark.parametrize("renameat2", [True, False], ids=["exchange", "two renames"])
def test_a_kill_anywhere_in_the_commit_of_an_overwrite(
    renameat2: bool, recipe: Make, driver: Any, tree: Tree, tmp_path: Path
) -> None:
    plain = recipe(**SHARDS)
    merge(recipe("median", **ONE), tmp_path / "old" / "out")
    merge(plain, tmp_path / "new" / "out")
    new, old = (tree(tmp_path / name / "out") for name in ("new", "old"))
    job = {"options": SMALL | {"overwrite": True}, "no_exchange": not renameat2}
    shutil.copytree(tmp_path / "old" / "out", tmp_path / "dry" / "out")
    report = driver.run(plain, tmp_path / "dry" / "out", **job)
    first = report["log"].index("renameat2") + (1 if renameat2 else 2)
    last = report["operations"]
    moments = sorted({*range(first, min(first + 12, last)), last})
    for at in moments:
        out = tmp_path / f"{at}" / "out"
        shutil.copytree(tmp_path / "old" / "out", out)
        driver.killed(plain, out, at, **job)
        assert not renameat2 or tree(out) in (old, new)
        again = driver.run(plain, out, **job | {"options": job["options"] | {"resume": True}})
        assert "error" not in again, (at, again)
        assert tree(out) == new
        assert not out.with_name("out.partial").exists()


def test_what_was_replaced_is_never_taken_for_what_was_made(
    recipe: Make, driver: Any, tree: Tree, tmp_path: Path
) -> None:
    """Killed after the exchange; then PATH is deleted, and PATH.partial holds the old output."""
    out, options = tmp_path / "out", SMALL | {"digest": "none"}
    plain = recipe(**ONE)
    driver.run(plain, tmp_path / "new" / "out", options=options)
    expected = tree(tmp_path / "new" / "out")
    merge(recipe("median", **ONE), out)
    padded = out / "model.safetensors"
    padded.write_bytes(bytes(len(expected["model.safetensors"])))  # as long as the new one
    options |= {"overwrite": True}
    report = driver.run(plain, tmp_path / "dry", options=options)
    exchanged = report["log"].index("replace") + 2
    driver.killed(plain, out, exchanged, options=options)
    assert tree(out) == expected
    shutil.rmtree(out)
    driver.run(plain, out, options=options | {"resume": True})
    assert tree(out) == expected


def test_overwrite_of_a_file_and_its_sidecar(recipe: Make, tree: Tree, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    merge(recipe("median"), out)
    merge(recipe(), tmp_path / "other" / "out.safetensors")
    with pytest.raises(OutputError, match="exists"):
        merge(recipe(), out)
    merge(recipe(), out, overwrite=True)
    assert tree(out) == tree(tmp_path / "other" / "out.safetensors")
    assert {p.name for p in tmp_path.iterdir()} >= {"out.safetensors", "out.safetensors.merge.json"}
    assert not (tmp_path / "out.safetensors.partial").exists()


def test_an_empty_directory_counts_as_nothing(recipe: Make, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    merge(recipe(), tmp_path / "out")
    assert (tmp_path / "out" / "merge.json").exists()


@pytest.fixture
def inputs(tmp_path: Path, family: Path) -> Path:
    """A copy of one model that a careless --out might hit."""
    shutil.copytree(family / "a", tmp_path / "models" / "a")
    return tmp_path / "models" / "a"


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    ("out", "words"),
    [
        ("models/a", "contains the input|lies inside the input"),
        ("models/a/merged", "lies inside the input"),
        ("models/a/sub/merged.safetensors", "lies inside the input"),
        ("models/a/model.safetensors", "is an input|lies inside the input"),
        ("models", "contains the input"),
        ("models/a/../a/x", "lies inside the input"),
        ("link/x", "lies inside the input"),
    ],
)
def test_an_output_that_would_hit_an_input_is_refused(
    out: str, words: str, overwrite: bool, inputs: Path, tree: Tree, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(inputs)
    before = tree(tmp_path)
    plain = {"method": "average", "models": [str(inputs), str(inputs)]}
    with pytest.raises(OutputError, match=words):
        merge(plain, tmp_path / out, overwrite=overwrite)
    assert tree(tmp_path) == before


def test_a_file_that_is_an_input_is_not_overwritten(inputs: Path, tmp_path: Path) -> None:
    weights = inputs / "model.safetensors"
    (tmp_path / "alias.safetensors").symlink_to(weights)
    plain = {"method": "average", "models": [str(weights), str(weights)]}
    for out in (weights, tmp_path / "alias.safetensors"):
        with pytest.raises(OutputError, match="is an input"):
            merge(plain, out, overwrite=True)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".bin", ".ckpt", ".PT", ".pth.tar", ".gguf"])
def test_a_torch_file_is_no_output(suffix: str, recipe: Make, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"outputs are safetensors"):
        merge(recipe(), tmp_path / f"out{suffix}")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("out", [".", "..", "/", "x" * 300, "x" * 250, "a\ud800"])
def test_a_name_that_cannot_be_an_output(out: str, recipe: Make, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot be an output|is not UTF-8"):
        merge(recipe(), Path(out))


def test_disk_space_is_checked_first(recipe: Make, tmp_path: Path, monkeypatch: Any) -> None:
    usage = type(shutil.disk_usage(tmp_path))(10**9, 10**9 - 1000, 1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OutputError, match=r"needs [\d,]{9,} bytes.*1,000 free"):
        merge(recipe(), tmp_path / "deep" / "out")
    assert list(tmp_path.iterdir()) == []


SLOW = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
from stockpot.checkpoints.source import FileSource
inner = FileSource.read_into
def read_into(source, buffer, offset):
    time.sleep(0.1)
    inner(source, buffer, offset)
    if len(buffer) > 4096:
        print("reading", flush=True)
FileSource.read_into = read_into
from stockpot.cli import main
main(sys.argv[1:])
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_a_signal_to_the_command(
    number: int, recipe: Make, expected: dict[str, bytes], tree: Tree, tmp_path: Path
) -> None:
    out, plain = tmp_path / "out", recipe(**SHARDS)
    command = ["merge", "average", *plain["models"], "--base", plain["base"], "--out", str(out)]
    command += ["--shard-size", "600000", "--memory", "4MiB"]
    process = subprocess.Popen(
        [sys.executable, "-c", SLOW, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for _ in range(4):
        assert process.stdout.readline() == "reading\n"
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "stockpot: interrupted; what is finished is kept" in errors
        assert "--resume" in errors
        assert "Traceback" not in errors
    else:
        assert process.returncode == -signal.SIGKILL
    assert not out.exists()
    merge(plain, out, resume=True)
    assert tree(out) == expected


def test_a_merge_error_in_a_worker_stops_the_others(pair: dict[str, Any], tmp_path: Path) -> None:
    calls = [0]

    def progress(what: str, share: float) -> None:
        calls[0] += 1
        raise RuntimeError("the caller's own mistake")

    with pytest.raises(RuntimeError, match="the caller's own mistake"):
        merge(pair, tmp_path / "out", progress=progress)
    assert calls[0] <= 2
    assert not (tmp_path / "out").exists()


def test_a_changed_input_is_told_apart_from_an_unchanged_one(pair: dict[str, Any]) -> None:
    opened = FileSource(Path(pair["models"][0]))
    assert not opened.changed()
    time.sleep(0.01)
    os.utime(pair["models"][0])
    assert opened.changed()


def test_merge_error_is_what_a_changed_input_raises(
    pair: dict[str, Any], tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(FileSource, "changed", lambda _: True)
    with pytest.raises(MergeError, match=r"changed while it was being merged"):
        merge(pair, tmp_path / "out")
