"""What is no plain file is refused at once, wherever a file is read."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stockpot.checkpoints.read import read_checkpoint
from stockpot.data.load import load
from stockpot.engine.verify import verify
from stockpot.errors import StockpotError
from stockpot.files import read_file
from stockpot.recipes.reading.yaml import read_yaml


@pytest.fixture(autouse=True)
def watchdog() -> Iterator[None]:
    def bark(*_: object) -> None:
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, bark)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def pipe(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    os.mkfifo(path)
    return path


READERS: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a checkpoint": ("m.safetensors", lambda home: read_checkpoint(home / "m.safetensors")),
    "weights in a folder": ("model.safetensors", read_checkpoint),
    "shards": ("__0_0.distcp", read_checkpoint),
    "a recipe": ("r.yml", lambda home: read_yaml(home / "r.yml")),
    "a manifest": ("merge.json", verify),
    "an image": ("a/x.png", lambda home: load({"name": "image-folder", "path": str(home)})),
    "digits": ("t.csv", lambda home: load({"name": "mnist-5k", "path": str(home / "t.csv")})),
}


@pytest.mark.parametrize("kind", READERS)
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, kind: str) -> None:
    name, read = READERS[kind]
    pipe(tmp_path / name)
    with pytest.raises(StockpotError):
        read(tmp_path)


def test_a_device_a_directory_and_what_never_ends(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="a pipe or a device"):
        read_file(Path("/dev/zero"), 10)
    with pytest.raises(IsADirectoryError):
        read_file(tmp_path, 10)
    (tmp_path / "f").write_bytes(b"abc")
    assert read_file(tmp_path / "f", 3) == b"abc"
    with pytest.raises(OSError, match="more than 2 bytes"):
        read_file(tmp_path / "f", 2)
    assert read_file(Path("/proc/self/status"), 10) == b""  # says that it is empty


def test_a_class_folder_that_links_to_its_home_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(b"x")
    (tmp_path / "b").symlink_to(tmp_path)
    with pytest.raises(StockpotError, match="links to a folder that holds it"):
        load({"name": "image-folder", "path": str(tmp_path)})
