import pytest

from stockpot.data import load
from stockpot.errors import StockpotError

from ...formats import WNIDS, tiny_imagenet


@pytest.fixture
def folder(tmp_path, rng):
    tiny_imagenet(tmp_path, rng)
    return tmp_path


def test_the_validation_images_are_the_test_part(folder):
    found = load({"name": "tiny-imagenet", "path": str(folder)})
    assert found.train.inputs.shape == (9, 3, 64, 64)
    assert found.train.labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert found.test.labels.tolist() == [0, 1, 2, 0]
    assert found.train.classes == ("Egyptian cat", f"reel ({WNIDS[1]})", f"reel ({WNIDS[2]})")
    assert load({"name": "tiny-imagenet", "path": str(folder), "size": 32}).train.image_size == 32


def write_annotations(folder, text):
    (folder / "val" / "val_annotations.txt").write_text(text)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("../../words.txt\tn02124075\t0", "no plain file name"),
        ("val_0.JPEG\tn99999999\t0", "n99999999"),
        ("gone.JPEG\tn02124075\t0", r"gone\.JPEG is not there"),
        ("", "is empty"),
    ],
)
def test_annotations_that_do_not_fit_are_refused(folder, text, words):
    write_annotations(folder, text)
    with pytest.raises(StockpotError, match=words):
        load({"name": "tiny-imagenet", "path": str(folder)})


def test_missing_parts_name_the_download(folder):
    (folder / "words.txt").unlink()
    with pytest.raises(StockpotError, match=r"words\.txt is not there.*tiny-imagenet-200\.zip"):
        load({"name": "tiny-imagenet", "path": str(folder)})


def test_a_truncated_image_is_refused_by_name(folder):
    file = folder / "train" / WNIDS[1] / "images" / f"{WNIDS[1]}_2.JPEG"
    file.write_bytes(file.read_bytes()[:400])
    with pytest.raises(StockpotError, match=rf"{WNIDS[1]}_2\.JPEG is no image"):
        load({"name": "tiny-imagenet", "path": str(folder)})
