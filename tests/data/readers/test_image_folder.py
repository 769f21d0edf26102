import numpy as np
import pytest
import torch
from PIL import Image

from stockpot.data import load
from stockpot.errors import StockpotError


def read(path, **options):
    return load({"name": "image-folder", "path": str(path), **options})


def test_one_folder_per_class_at_any_depth(tmp_path, draw):
    cat = draw(tmp_path / "cat" / "a.png")
    deep = draw(tmp_path / "cat" / "deep" / "b.PNG")
    dog = draw(tmp_path / "dog" / "a.png")
    (tmp_path / "dog" / "notes.txt").write_text("no image")
    found = read(tmp_path)
    assert (found.test, found.selection) == (None, None)
    assert found.train.classes == ("cat", "dog")
    assert found.train.labels.tolist() == [0, 0, 1]
    expected = torch.tensor(np.stack([cat, deep, dog])).permute(0, 3, 1, 2)
    assert torch.equal(found.train.inputs, expected)


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_official_parts_are_told_by_their_folders(tmp_path, draw, val):
    for part, count in (("train", 3), (val, 2), ("test", 1)):
        for label in ("0", "10", "9"):
            for number in range(count):
                draw(tmp_path / part / label / f"{number}.png")
    found = read(tmp_path, channels=1)
    assert [len(part) for part in (found.train, found.selection, found.test)] == [9, 6, 3]
    assert found.train.classes == ("0", "9", "10")
    assert found.train.in_channels == 1


def test_a_class_that_training_does_not_have_is_refused(tmp_path, draw):
    draw(tmp_path / "train" / "cat" / "a.png")
    draw(tmp_path / "test" / "cow" / "a.png")
    with pytest.raises(StockpotError, match="'cow' are not among"):
        read(tmp_path)


def test_images_of_several_sizes_need_a_size(tmp_path, draw):
    draw(tmp_path / "a" / "1.png", (8, 8))
    wide = draw(tmp_path / "a" / "2.png", (16, 8))
    with pytest.raises(StockpotError, match="give a size"):
        read(tmp_path)
    found = read(tmp_path, size=8).train
    assert found.inputs.shape == (2, 3, 8, 8)
    middle = torch.tensor(wide[:, 4:12]).permute(2, 0, 1)
    assert torch.equal(found.inputs[1], middle)


def test_what_is_transparent_is_laid_on_white(tmp_path):
    (tmp_path / "a").mkdir()
    pixels = np.zeros((2, 2, 4), np.uint8)
    pixels[0, 0] = (10, 20, 30, 255)
    Image.fromarray(pixels).save(tmp_path / "a" / "1.png")
    image = read(tmp_path).train.inputs[0]
    assert image[:, 0, 0].tolist() == [10, 20, 30]
    assert image[:, 1, 1].tolist() == [255, 255, 255]


def test_pixels_of_16_bits_are_refused_not_cut(tmp_path):
    (tmp_path / "a").mkdir()
    Image.fromarray(np.full((2, 2), 3000, np.uint16)).save(tmp_path / "a" / "1.png")
    with pytest.raises(StockpotError, match="not of 8 bits"):
        read(tmp_path)


def test_an_image_that_unpacks_without_end_is_refused(tmp_path, monkeypatch, draw):
    draw(tmp_path / "a" / "1.png", (40, 40))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(StockpotError, match=r"1\.png is no image to read"):
        read(tmp_path)


def test_no_image_and_no_folder(tmp_path):
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(StockpotError, match="one folder of images per class"):
            read(path)
