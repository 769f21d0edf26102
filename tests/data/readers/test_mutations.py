"""A file with a few bytes changed, cut or added is read, or refused in words: nothing else."""

import gzip
import pickle
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from stockpot.data import load
from stockpot.errors import StockpotError

PIXELS = np.arange(10 * 784, dtype=np.uint32).astype(np.uint8).reshape(10, 28, 28)
LABELS = np.arange(10, dtype=np.uint8)


def write_idx(folder, zipped):
    for prefix in ("train", "t10k"):
        for stem, array in (("images-idx3", PIXELS), ("labels-idx1", LABELS)):
            raw = struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
            raw += array.tobytes()
            path = folder / f"{prefix}-{stem}-ubyte{'.gz' if zipped else ''}"
            path.write_bytes(gzip.compress(raw, mtime=0) if zipped else raw)
    spec = {"name": "fashion-mnist", "path": str(folder)}
    return folder / f"train-images-idx3-ubyte{'.gz' if zipped else ''}", spec


def write_cifar(folder):
    rows = np.resize(PIXELS, (100, 3072))
    content = {b"data": rows, b"fine_labels": list(range(100))}
    for part in ("train", "test"):
        (folder / part).write_bytes(pickle.dumps(content, protocol=2))
    names = [str(number).encode() for number in range(100)]
    (folder / "meta").write_bytes(pickle.dumps({b"fine_label_names": names}, protocol=2))
    return folder / "train", {"name": "cifar-100", "path": str(folder)}


def write_npz(folder):
    parts = {f"{part}_images": PIXELS for part in ("train", "val", "test")}
    np.savez(
        folder / "x.npz",
        **parts,
        **{key.replace("images", "labels"): LABELS[:, None] for key in parts},
    )
    return folder / "x.npz", {"name": "medmnist", "path": str(folder / "x.npz")}


def write_picture(folder, ending):
    (folder / "a").mkdir()
    Image.fromarray(PIXELS[0]).save(folder / "a" / f"x.{ending}")
    return folder / "a" / f"x.{ending}", {"name": "image-folder", "path": str(folder), "size": 8}


FILES = {
    "idx": lambda folder: write_idx(folder, False),
    "idx.gz": lambda folder: write_idx(folder, True),
    "pickle": write_cifar,
    "npz": write_npz,
    "png": lambda folder: write_picture(folder, "png"),
    "jpg": lambda folder: write_picture(folder, "jpg"),
    "tif": lambda folder: write_picture(folder, "tif"),
    "gif": lambda folder: write_picture(folder, "gif"),
}


@pytest.mark.parametrize("kind", FILES)
def test_a_changed_file_is_read_or_refused(tmp_path_factory, kind):
    path, spec = FILES[kind](tmp_path_factory.mktemp(kind.replace(".", "-")))
    good = path.read_bytes()
    load(spec)
    # most of what matters is at the beginning and the end
    places = st.one_of(st.integers(0, 300), st.integers(-300, -1), st.integers(0, len(good)))

    @settings(max_examples=300)
    @given(
        st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=4),
        places,
        st.sampled_from([False, False, False, True]),
    )
    def changed(edits, cut, shorter):
        raw = bytearray(good)
        for place, value in edits:
            raw[place % len(raw)] = value
        path.write_bytes(raw[:cut] if shorter else raw)
        try:
            found = load(spec)
        except StockpotError as error:
            refused.append(str(error))
        else:
            assert len(found.train)

    refused: list[str] = []
    changed()
    assert refused
