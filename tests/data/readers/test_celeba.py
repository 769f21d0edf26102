import pytest

from stockpot.data import load
from stockpot.errors import StockpotError

from ...formats import ATTRIBUTES, celeba


@pytest.fixture(params=["txt", "csv"])
def folder(request, tmp_path, rng):
    celeba(tmp_path, rng, ending=request.param)
    return tmp_path


def test_all_attributes_are_several_labels(folder):
    found = load({"name": "celeba", "path": str(folder), "size": 16})
    assert [len(part) for part in (found.train, found.selection, found.test)] == [6, 2, 1]
    assert found.train.is_multilabel
    assert found.train.classes == ATTRIBUTES
    assert found.train.labels.tolist() == [[n % 2 == 1, n % 3 == 0, True] for n in range(1, 7)]
    assert found.train.inputs.shape == (6, 3, 16, 16)


def test_one_attribute_is_two_classes(folder):
    found = load({"name": "celeba", "path": str(folder), "attribute": "Male", "size": 8})
    assert found.train.labels.tolist() == [0, 0, 1, 0, 0, 1]
    assert found.test.classes == ("not Male", "Male")


def test_an_unknown_attribute_names_the_nearest(folder):
    with pytest.raises(StockpotError, match="did you mean 'Smiling'"):
        load({"name": "celeba", "path": str(folder), "attribute": "Smile"})


def test_a_list_that_is_damaged_is_refused(folder):
    file = next(folder.glob("list_eval_partition.*"))
    good = file.read_text()
    for line, words in (("000001.jpg 3", "0, 1 or 2"), ("other.jpg 0", "not a listed image")):
        file.write_text(f"{good}\n{line}")
        with pytest.raises(StockpotError, match=words):
            load({"name": "celeba", "path": str(folder)})
    file.write_text(good)
    file = next(folder.glob("list_attr_celeba.*"))
    file.write_text(file.read_text().replace("000003.jpg", "../000003.jpg"))
    with pytest.raises(StockpotError, match="no plain file name"):
        load({"name": "celeba", "path": str(folder)})


def test_signs_must_be_as_many_as_names(folder):
    file = next(folder.glob("list_attr_celeba.*"))
    file.write_text(file.read_text() + " 1")
    with pytest.raises(StockpotError, match=r"000009\.jpg that is not 3 signs"):
        load({"name": "celeba", "path": str(folder)})


def test_a_missing_image_is_named(folder):
    next(folder.rglob("000002.jpg")).unlink()
    with pytest.raises(StockpotError, match=r"000002\.jpg is not there"):
        load({"name": "celeba", "path": str(folder)})
