import pytest
import torch

from stockpot.data import load, split
from stockpot.data.readers.chestx_ray14 import FINDINGS
from stockpot.errors import StockpotError

from ...formats import chestx_ray14 as write


@pytest.fixture
def folder(tmp_path, rng):
    write(tmp_path, rng)
    return tmp_path


def read(folder):
    return load({"name": "chestx-ray14", "path": str(folder), "size": 16, "channels": 1})


def test_findings_are_labels_and_patients_are_originals(folder):
    found = read(folder)
    assert (len(found.train), len(found.test)) == (30, 6)
    assert found.train.inputs.shape == (30, 1, 16, 16)
    assert found.train.classes == FINDINGS
    held = [FINDINGS[place] for place in found.train.labels[0].nonzero().flatten()]
    assert held == ["Cardiomegaly", "Emphysema"]
    assert not found.train.labels[9].any()  # patient 4
    assert torch.equal(found.train.originals, torch.arange(10).repeat_interleave(3))
    colour = load({"name": "chestx-ray14", "path": str(folder), "size": 16})
    assert torch.equal(colour.train.inputs[:, :1], found.train.inputs)
    assert colour.train.in_channels == 3


def test_no_patient_is_in_two_splits(folder):
    splits = split(read(folder), selection=0.3)
    train, selection = (set(part.originals.tolist()) for part in (splits.train, splits.selection))
    assert not train & selection
    assert len(train | selection) == 10
    assert len(splits.test) == 6


def test_patients_in_both_lists_are_refused(folder):
    files = (folder / "train_val_list.txt").read_text().splitlines()
    tests = (folder / "test_list.txt").read_text().splitlines()
    (folder / "test_list.txt").write_text("\n".join([*tests, files[0]]))
    with pytest.raises(StockpotError, match=r"1 patient\(s\) are in both lists"):
        read(folder)


def test_a_finding_that_does_not_exist_is_refused(folder):
    table = folder / "Data_Entry_2017.csv"
    table.write_text(table.read_text().replace("Hernia", "Hernias"))
    with pytest.raises(StockpotError, match="'Hernias'"):
        read(folder)


def test_listed_images_must_be_there_and_in_the_table(folder):
    next(folder.rglob("00000003_001.png")).unlink()
    with pytest.raises(StockpotError, match=r"00000003_001\.png \(1 of 30.*nihcc\.app\.box\.com"):
        read(folder)
    with (folder / "train_val_list.txt").open("a") as file:
        file.write("\nunknown.png")
    with pytest.raises(StockpotError, match=r"unknown\.png, which the csv does not have"):
        read(folder)
