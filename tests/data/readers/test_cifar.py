import os
import pickle

import numpy as np
import pytest
import torch

from stockpot.data import load
from stockpot.errors import StockpotError

from ...formats import batch, cifar_10, cifar_100, dump


@pytest.fixture
def ten(tmp_path, rng):
    folder = tmp_path / "cifar-10-batches-py"
    return folder, cifar_10(folder, rng)


def test_cifar_10_joins_its_batches(ten):
    folder, batches = ten
    found = load({"name": "cifar-10", "path": str(folder)})
    rows = np.concatenate([content[b"data"] for content in batches])
    assert torch.equal(found.train.inputs, torch.tensor(rows).reshape(20, 3, 32, 32))
    assert found.train.labels.tolist() == [0, 1, 2, 3] * 5
    assert len(found.test) == 10
    assert found.train.classes[3] == "class 3"
    again = load({"name": "cifar-10", "path": str(folder.parent)})
    assert torch.equal(again.test.inputs, found.test.inputs)


def test_cifar_100_has_its_fine_labels(tmp_path, rng):
    cifar_100(tmp_path, rng)
    found = load({"name": "cifar-100", "path": str(tmp_path)})
    assert found.train.num_classes == 100
    assert found.train.labels[99] == 99


def test_a_python_2_pickle_is_read(ten):
    """Bytes as Python 2 wrote them: short strings, no codec."""
    folder, _ = ten
    head = b"\x80\x02}q\x01("
    names = b"U\x0blabel_namesq\x02]q\x03("
    names += b"".join(b"U\x01" + bytes([65 + number]) for number in range(10))
    (folder / "batches.meta").write_bytes(head + names + b"eu.")
    assert load({"name": "cifar-10", "path": str(folder)}).train.classes[:2] == ("A", "B")


class Evil:
    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    "function", [os.mkdir, eval, exec, getattr, __import__, pickle.loads, np.load, np.fromfile]
)
def test_a_pickle_that_calls_anything_is_refused_and_nothing_runs(ten, function, protocol):
    folder, _ = ten
    target = folder / "made"
    arguments = (str(target),) if function is os.mkdir else ("1",)
    dump(folder / "data_batch_1", {b"data": Evil(function, *arguments)}, protocol)
    with pytest.raises(StockpotError, match=r"data_batch_1 is refused .* names"):
        load({"name": "cifar-10", "path": str(folder)})
    assert not target.exists()


def test_bytes_in_a_codec_that_unpacks_are_refused(ten):
    folder, _ = ten
    # what pickle calls here is the codec zlib
    raw = b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00xX\x04\x00\x00\x00zlib\x86R."
    (folder / "data_batch_1").write_bytes(raw)
    with pytest.raises(StockpotError, match="codec 'zlib'"):
        load({"name": "cifar-10", "path": str(folder)})


def array_pickle(shape: tuple, raw: bytes, dtype: str = "u1") -> bytes:
    """An array as numpy pickles it, with a state of one's choice."""
    real = pickle.dumps(
        {b"data": np.zeros(2, np.uint8), b"labels": [0]}, protocol=2, fix_imports=False
    )
    assert b"u1" in real

    class State:
        def __reduce__(self):
            return (
                np.ndarray.__reduce__(np.zeros(0, np.uint8))[0],
                (np.ndarray, (0,), b"b"),
                (
                    1,
                    shape,
                    np.dtype(dtype),
                    False,
                    raw,
                ),
            )

    return pickle.dumps({b"data": State(), b"labels": [0]}, protocol=2)


@pytest.mark.parametrize(
    ("shape", "raw", "dtype", "words"),
    [
        ((1, 3072), bytes(3071), "u1", "3071 bytes in an array"),
        ((1 << 40, 1 << 40), b"x", "u1", "1 bytes in an array"),
        ((-1, 3072), bytes(3072), "u1", "shape"),
        ((1, 3072), bytes(4 * 3072), "f4", "no matrix of bytes"),
        ((1, 3072), [object], "O", "refused"),
        ((1, 3071), bytes(3071), "u1", r"1 labels for an array \(1, 3071\)"),
    ],
)
def test_an_array_that_lies_is_refused(ten, shape, raw, dtype, words):
    folder, _ = ten
    (folder / "data_batch_1").write_bytes(array_pickle(shape, raw, dtype))
    with pytest.raises(StockpotError, match=words):
        load({"name": "cifar-10", "path": str(folder)})


@pytest.mark.parametrize("content", [b"", b"\x80\x02", b"no pickle", b"\x80\x02]q\x01."])
def test_what_is_no_mapping_is_refused(ten, content):
    folder, _ = ten
    (folder / "data_batch_2").write_bytes(content)
    with pytest.raises(StockpotError, match="data_batch_2"):
        load({"name": "cifar-10", "path": str(folder)})


def test_labels_and_names_must_be_lists(ten, rng):
    folder, _ = ten
    dump(folder / "data_batch_1", batch(rng, 4) | {b"labels": ["0", 1, 2, 3]})
    with pytest.raises(StockpotError, match="labels that are not whole"):
        load({"name": "cifar-10", "path": str(folder)})
    dump(folder / "data_batch_1", batch(rng, 4) | {b"labels": None})
    with pytest.raises(StockpotError, match="no list labels"):
        load({"name": "cifar-10", "path": str(folder)})
    dump(folder / "batches.meta", {b"label_names": 3})
    with pytest.raises(StockpotError, match="no list label_names"):
        load({"name": "cifar-10", "path": str(folder)})


def test_a_missing_folder_or_batch_names_the_download(ten, tmp_path):
    folder, _ = ten
    (folder / "data_batch_3").unlink()
    for path in (folder, tmp_path / "nowhere"):
        with pytest.raises(StockpotError, match=r"cs\.toronto\.edu/~kriz/cifar-10-python"):
            load({"name": "cifar-10", "path": str(path)})
