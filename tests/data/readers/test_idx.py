import gzip
import struct

import numpy as np
import pytest
import torch

from stockpot.data import load
from stockpot.errors import StockpotError


def idx(array: np.ndarray) -> bytes:
    head = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.tobytes()


@pytest.fixture
def folder(tmp_path, rng):
    arrays = {
        "train-images-idx3-ubyte": rng.integers(0, 256, (30, 28, 28), dtype=np.uint8),
        "train-labels-idx1-ubyte": np.arange(30, dtype=np.uint8) % 10,
        "t10k-images-idx3-ubyte": rng.integers(0, 256, (10, 28, 28), dtype=np.uint8),
        "t10k-labels-idx1-ubyte": np.arange(10, dtype=np.uint8),
    }
    for name, array in arrays.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
    return tmp_path, arrays


def test_both_official_parts_come_as_bytes(folder):
    path, arrays = folder
    found = load({"name": "fashion-mnist", "path": str(path)})
    assert found.test is not None
    assert found.selection is None
    images = arrays["train-images-idx3-ubyte"]
    assert torch.equal(found.train.inputs, torch.tensor(images)[:, None])
    assert found.train.labels.tolist() == [number % 10 for number in range(30)]
    assert len(found.test) == 10
    assert found.train.classes[9] == "ankle boot"
    assert found.train.images.max() <= 1


def test_files_that_are_not_compressed_are_read_too(folder):
    path, arrays = folder
    for name, array in arrays.items():
        (path / f"{name}.gz").unlink()
        (path / name).write_bytes(idx(array))
    assert len(load({"name": "mnist", "path": str(path)}).train) == 30


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda raw: gzip.compress(gzip.decompress(raw)[:-1]), "holds 23520 bytes and holds 23519"),
        (lambda raw: gzip.compress(gzip.decompress(raw) + b"x"), "and holds more"),
        (lambda raw: raw[: len(raw) // 2], "cut off"),
        (lambda raw: b"not gzip", "cut off or not gzip"),
        (lambda raw: gzip.compress(b"\0\0\x08"), "no idx file"),
        (lambda raw: gzip.compress(b"\0\0\x0d\x03" + bytes(12)), "no idx file"),
        (lambda raw: gzip.compress(b"\0\0\x08\x03" + b"\xff" * 12), "too many"),
    ],
)
def test_a_damaged_file_is_refused_by_name(folder, change, words):
    path, _ = folder
    file = path / "train-images-idx3-ubyte.gz"
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(StockpotError, match=rf"train-images-idx3-ubyte\.gz .*{words}"):
        load({"name": "fashion-mnist", "path": str(path)})


def test_images_and_labels_must_be_as_many(folder):
    path, arrays = folder
    labels = arrays["train-labels-idx1-ubyte"][:-1]
    (path / "train-labels-idx1-ubyte.gz").write_bytes(gzip.compress(idx(labels)))
    with pytest.raises(StockpotError, match="30 images and 29 labels"):
        load({"name": "fashion-mnist", "path": str(path)})


def test_what_is_not_there_names_the_debian_package(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(StockpotError, match="apt-get install dataset-fashion-mnist"):
            load({"name": "fashion-mnist", "path": str(path)})
