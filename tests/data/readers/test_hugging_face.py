import io

import numpy as np
import pytest
import torch
from PIL import Image

from stockpot.data import load
from stockpot.errors import StockpotError

datasets = pytest.importorskip("datasets")
parquet = pytest.importorskip("pyarrow.parquet")
NAMES = ["cat", "dog"]


@pytest.fixture(autouse=True)
def _quiet():
    datasets.disable_progress_bars()


def table(rng, count, label=None, image=None):
    pixels = rng.integers(0, 256, (count, 8, 8, 3), dtype=np.uint8)
    features = {
        "image": image or datasets.Image(),
        "label": label or datasets.ClassLabel(names=NAMES),
    }
    values = [number % 2 for number in range(count)]
    if isinstance(label, datasets.Value):
        values = ["b", "a"] * (count // 2)
    if label is not None and hasattr(label, "feature"):
        values = [[number % 2] * (number > 0) for number in range(count)]
    files = []
    for one in pixels:
        stream = io.BytesIO()
        Image.fromarray(one).save(stream, "PNG")
        files.append(stream.getvalue())
    if image is None:
        files = [{"bytes": one, "path": None} for one in files]
    made = datasets.Dataset.from_dict(
        {"image": files, "label": values}, features=datasets.Features(features)
    )
    return made, torch.tensor(pixels).permute(0, 3, 1, 2)


def read(path, **options):
    return load({"name": "hugging-face", "path": str(path), **options})


def test_saved_splits_keep_their_parts_and_names(tmp_path, rng):
    parts = {
        name: table(rng, count) for name, count in (("train", 6), ("validation", 4), ("test", 2))
    }
    saved = datasets.DatasetDict({name: made for name, (made, _) in parts.items()})
    saved.save_to_disk(tmp_path / "saved")
    found = read(tmp_path / "saved")
    assert torch.equal(found.train.inputs, parts["train"][1])
    assert torch.equal(found.selection.inputs, parts["validation"][1])
    assert torch.equal(found.test.inputs, parts["test"][1])
    assert found.train.classes == ("cat", "dog")
    assert found.train.labels.tolist() == [0, 1, 0, 1, 0, 1]


def test_other_splits_are_refused(tmp_path, rng):
    datasets.DatasetDict({"extra": table(rng, 2)[0]}).save_to_disk(tmp_path / "saved")
    with pytest.raises(StockpotError, match="has the splits 'extra'"):
        read(tmp_path / "saved")


def test_parquet_files_are_told_apart_by_their_names(tmp_path, rng):
    (tmp_path / "data").mkdir()
    pictures = []
    for name in ("train-00000-of-00002", "train-00001-of-00002", "test-00000-of-00001"):
        made, pixels = table(rng, 2)
        parquet.write_table(made.data.table, tmp_path / "data" / f"{name}.parquet")
        pictures.append(pixels)
    found = read(tmp_path)
    assert torch.equal(found.train.inputs, torch.cat(pictures[:2]))
    assert torch.equal(found.test.inputs, pictures[2])
    assert found.train.classes == ("cat", "dog")
    alone = read(tmp_path / "data" / "test-00000-of-00001.parquet")
    assert alone.test is None
    assert torch.equal(alone.train.inputs, pictures[2])


def test_plain_binary_columns_and_words_as_labels(tmp_path, rng):
    made, pixels = table(rng, 4, datasets.Value("string"), datasets.Value("binary"))
    parquet.write_table(made.data.table, tmp_path / "all.parquet")
    found = read(tmp_path / "all.parquet")
    assert torch.equal(found.train.inputs, pixels)
    assert found.train.classes == ("a", "b")
    assert found.train.labels.tolist() == [1, 0, 1, 0]


def test_lists_of_class_labels_are_several_labels(tmp_path, rng):
    made, _ = table(rng, 3, datasets.List(datasets.ClassLabel(names=NAMES)))
    made.save_to_disk(tmp_path / "saved")
    found = read(tmp_path / "saved")
    assert found.train.labels.tolist() == [[False, False], [False, True], [True, False]]


def test_a_label_that_was_not_published_is_refused(tmp_path, rng):
    made, _ = table(rng, 2)
    hidden = datasets.Dataset.from_dict(
        {"image": made.data.table["image"].to_pylist(), "label": [-1, 0]}, features=made.features
    )
    hidden.save_to_disk(tmp_path / "saved")
    with pytest.raises(StockpotError, match="may not be published"):
        read(tmp_path / "saved")


def test_columns_that_do_not_fit_are_named(tmp_path, rng):
    table(rng, 2)[0].save_to_disk(tmp_path / "saved")
    with pytest.raises(StockpotError, match="no column 'img'; there are 'image', 'label'"):
        read(tmp_path / "saved", image="img")
    with pytest.raises(StockpotError, match="must hold image files"):
        read(tmp_path / "saved", image="label")


def test_what_is_no_data_set_is_refused(tmp_path):
    with pytest.raises(StockpotError, match="hf download"):
        read(tmp_path / "nowhere")
    with pytest.raises(StockpotError, match="hf download"):
        read(tmp_path)
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    with pytest.raises(StockpotError, match="no parquet to read"):
        read(tmp_path)
