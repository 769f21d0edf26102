import io
import zipfile

import numpy as np
import pytest
import torch
from PIL import Image

from stockpot.data import load
from stockpot.errors import StockpotError

from ...formats import medmnist as arrays


def save(path, found):
    np.savez_compressed(path, **found)
    return {"name": "medmnist", "path": str(path)}


def test_three_official_parts_in_colour(tmp_path, rng):
    given = arrays(rng)
    found = load(save(tmp_path / "pathmnist.npz", given))
    assert [len(part) for part in (found.train, found.selection, found.test)] == [12, 4, 6]
    assert torch.equal(found.test.inputs, torch.tensor(given["test_images"]).permute(0, 3, 1, 2))
    assert found.train.labels.tolist() == [number % 4 for number in range(12)]
    assert (found.train.name, found.train.num_classes) == ("pathmnist", 4)


def test_grey_images_and_several_labels(tmp_path, rng):
    given = arrays(rng, (28, 28), width=14)
    found = load(save(tmp_path / "chestmnist.npz", given))
    assert found.train.is_multilabel
    assert found.train.num_classes == 14
    assert torch.equal(found.selection.labels, torch.tensor(given["val_labels"]).bool())
    assert found.train.inputs.shape == (12, 1, 28, 28)


@pytest.mark.parametrize("shape", [(28, 28, 3), (28, 28)])
def test_images_are_brought_to_a_size_as_files_are(tmp_path, rng, shape):
    given = arrays(rng, shape)
    given["test_images"][:] = 7
    found = load(save(tmp_path / "pathmnist.npz", given) | {"size": 32})
    channels = 3 if len(shape) == 3 else 1
    assert found.train.inputs.shape == (12, channels, 32, 32)
    assert torch.equal(found.test.inputs, torch.full((6, channels, 32, 32), 7, dtype=torch.uint8))
    folder = tmp_path / "files" / "a"
    folder.mkdir(parents=True)
    for number, pixels in enumerate(given["train_images"]):
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    spec = {"name": "image-folder", "path": str(folder.parent), "size": 32, "channels": channels}
    assert torch.equal(load(spec).train.inputs, found.train.inputs)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"train_images": np.zeros((12, 28, 28, 28), np.uint8)}, r"not uint8 \[N, H, W\]"),
        ({"train_images": np.zeros((12, 28, 28), np.float32)}, "not uint8"),
        ({"test_labels": np.zeros((6, 2), np.uint8)}, "unlike shapes"),
        ({"train_labels": np.full((12, 1), np.nan)}, "not whole"),
        ({"train_labels": np.zeros((11, 1), np.uint8)}, "one label"),
    ],
)
def test_other_arrays_are_refused(tmp_path, rng, change, words):
    with pytest.raises(StockpotError, match=words):
        load(save(tmp_path / "x.npz", arrays(rng) | change))


def test_labels_of_several_classes_are_0_or_1(tmp_path, rng):
    given = arrays(rng, width=3)
    given["val_labels"][0, 0] = 2
    with pytest.raises(StockpotError, match="not 0 or 1"):
        load(save(tmp_path / "x.npz", given))


def test_objects_are_never_unpickled(tmp_path, rng):
    given = arrays(rng) | {"train_labels": np.array([[print]] * 12, dtype=object)}
    with pytest.raises(StockpotError, match="of object"):
        load(save(tmp_path / "x.npz", given))


def test_a_header_that_promises_more_than_is_there_is_refused(tmp_path, rng):
    spec = save(tmp_path / "x.npz", arrays(rng))
    stream = io.BytesIO()
    header = {"descr": "|u1", "fortran_order": False, "shape": (1 << 50, 28, 28)}
    np.lib.format.write_array_header_1_0(stream, header)
    with zipfile.ZipFile(tmp_path / "x.npz") as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        for name, content in (members | {"train_images.npy": stream.getvalue()}).items():
            archive.writestr(name, content)
    with pytest.raises(StockpotError, match="train_images of uint8"):
        load(spec)


def test_what_is_no_npz_is_refused(tmp_path, rng):
    spec = save(tmp_path / "x.npz", arrays(rng))
    raw = (tmp_path / "x.npz").read_bytes()
    (tmp_path / "x.npz").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(StockpotError, match=r"no \.npz to read"):
        load(spec)
    np.savez(tmp_path / "x.npz", a=np.zeros(1))
    with pytest.raises(StockpotError, match="has no train_images"):
        load(spec)
    with pytest.raises(StockpotError, match=r"zenodo\.org"):
        load({"name": "medmnist", "path": str(tmp_path / "none.npz")})
