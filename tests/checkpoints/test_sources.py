"""Files read by position: how many are open at once, copies, files that change meanwhile."""

import copy
import gc
import json
import os
import pickle
import resource
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from stockpot.checkpoints import source
from stockpot.checkpoints.read import read_checkpoint
from stockpot.checkpoints.source import FileSource
from stockpot.errors import CheckpointError


def a_file(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_an_unpickled_source_reads_its_own_file_whatever_the_number_is_used_for(
    tmp_path: Path,
) -> None:
    """A bare descriptor would read the file that got its number since."""
    source = FileSource(a_file(tmp_path / "a", b"mine"))
    text = pickle.dumps(source)
    del source
    gc.collect()
    other = FileSource(a_file(tmp_path / "b", b"else"))
    again = pickle.loads(text)
    assert (again.read(0, 4), other.read(0, 4)) == (b"mine", b"else")
    del again
    gc.collect()
    assert other.read(0, 4) == b"else"


def test_a_copy_and_its_original_close_a_file_each(tmp_path: Path) -> None:
    source = FileSource(a_file(tmp_path / "a", b"mine"))
    for twin in (copy.copy(source), copy.deepcopy(source)):
        assert twin.read(1, 3) == b"ine"
    del twin
    gc.collect()
    assert source.read(1, 3) == b"ine"


def test_entries_of_a_file_pickle_and_load_the_same(tmp_path: Path) -> None:
    save_file({"w": torch.arange(6.0)}, tmp_path / "m.safetensors")
    found = read_checkpoint(tmp_path / "m.safetensors").entries["w"]
    assert torch.equal(pickle.loads(pickle.dumps(found)).load(), torch.arange(6.0))


def test_an_unpickled_source_is_refused_where_another_file_stands(tmp_path: Path) -> None:
    source = FileSource(a_file(tmp_path / "a", b"mine"))
    text = pickle.dumps(source)
    a_file(tmp_path / "new", b"made").replace(tmp_path / "a")
    with pytest.raises(CheckpointError, match="is not the file that was opened before"):
        pickle.loads(text)
    (tmp_path / "a").unlink()
    with pytest.raises(CheckpointError, match="cannot open"):
        pickle.loads(text)


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> int:
    """A system that allows 20 more descriptors than are open already, and the half of that."""
    most = len(source._OPEN) + 10
    monkeypatch.setattr(resource, "getrlimit", lambda _: (2 * most, 2 * most))
    return most


def test_more_files_are_read_than_may_be_open(tmp_path: Path, few: int) -> None:
    paths = [a_file(tmp_path / str(i), f"{i:04}".encode()) for i in range(50)]
    sources = [FileSource(path) for path in paths]
    assert len(source._OPEN) <= few

    def read(i: int) -> bytes:
        return sources[i % 50].read(0, 4)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(read, range(1000)))
    assert found == [f"{i % 50:04}".encode() for i in range(1000)]
    assert len(source._OPEN) <= few + 4
    assert not any(source.changed() for source in sources)
    sources.clear()
    gc.collect()
    assert len(source._OPEN) <= few - 10


def test_a_file_that_changes_while_it_is_closed_is_noticed(tmp_path: Path) -> None:
    source = FileSource(a_file(tmp_path / "a", b"mine"))
    source.close()
    a_file(tmp_path / "new", b"else").replace(tmp_path / "a")
    assert source.changed()
    with pytest.raises(CheckpointError, match="changed or replaced meanwhile"):
        source.read(0, 4)


def test_a_hundred_models_of_shards_merge_where_few_files_may_be_open(tmp_path: Path) -> None:
    """64 models of 4 shards and an output of 4 are 260 files; the system allows 96."""
    names = [f"model-{i}-of-4.safetensors" for i in range(4)]
    where = {f"layers.{i}.weight": name for i, name in enumerate(names)}
    for k in range(64):
        (tmp_path / f"m{k}").mkdir()
        for tensor, name in where.items():
            save_file({tensor: torch.full((8,), float(k))}, tmp_path / f"m{k}" / name)
        index = json.dumps({"metadata": {}, "weight_map": where})
        (tmp_path / f"m{k}" / "model.safetensors.index.json").write_text(index)
    models = [f"m{k}" for k in range(64)]
    command = [sys.executable, "-m", "stockpot", "merge", "median", *models, "--out", "out"]
    limit = "import os, resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (96, 96)); "
    done = subprocess.run(
        [sys.executable, "-c", limit + "os.execv(sys.argv[1], sys.argv[1:])", *command],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    merged = read_checkpoint(tmp_path / "out").entries
    assert [merged[name].load()[0].item() for name in where] == [31.5] * 4
