import sys

import pytest
import torch

from stockpot.data import Collection, Dataset, load
from stockpot.errors import ExtraError, FieldError, StockpotError


def test_digits_is_built_in_and_takes_no_option():
    assert len(load("digits").train) == len(load({"name": "digits"}).train) == 1797
    with pytest.raises(FieldError, match="data 'digits': unknown key 'path': there are none"):
        load({"name": "digits", "path": "x"})


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("digit", "there is no data set 'digit': did you mean 'digits'"),
        ({"path": "x"}, "data needs a name"),
        ({"name": 3}, "data needs a name"),
        (
            {"name": "cifar-10"},
            r"'cifar-10': path is required\. Download https://www\.cs\.tor",
        ),
        (
            {"name": "cifar-10", "pathh": "x"},
            "'cifar-10': unknown key 'pathh': did you mean 'path'",
        ),
        ({"name": "cifar-10", "path": 3}, "path must be text; got 3"),
        ({"name": "emoji", "path": [3]}, r"path\[0\] must be text; got 3"),
        (
            {"name": "emoji", "path": "x", "size": 0},
            r"size must be a whole .* \[1, 4096\]; got 0",
        ),
        ({"name": "emoji", "path": "x", "size": True}, "size must be a whole number"),
        (
            {"name": "image-folder", "path": "x", "size": "64"},
            r"whole .* \[1, 4096\], or nothing",
        ),
        ({"name": "image-folder", "path": "x", "channels": 2}, "channels must be one of 1, 3"),
    ],
)
def test_a_spec_that_does_not_fit_is_refused_by_name(spec, words):
    with pytest.raises(FieldError, match=words):
        load(spec)


SOURCE = """
import numpy as np
import torch
from stockpot.data import Collection, Dataset

def arrays(count=4):
    return np.arange(count * 4.0).reshape(count, 1, 2, 2), np.arange(count) % 2

def several():
    return torch.zeros(3, 1, 2, 2), torch.ones(3, 5, dtype=torch.bool)

def data():
    inputs, labels = arrays()
    return Dataset("mine", torch.tensor(inputs).float(), torch.tensor(labels), 2, torch.arange(4))

def collection():
    return Collection(data(), test=data())

def nothing():
    return None

def floats():
    return torch.zeros(3, 1, 2, 2), torch.zeros(3)

def lists():
    return [[1]], [0]

value = 3
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "module.py").write_text(SOURCE)
    (tmp_path / "broken.py").write_text("import not_installed_anywhere")
    monkeypatch.chdir(tmp_path)
    before = set(sys.modules)
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] in ("package", "broken"):
            del sys.modules[name]


@pytest.mark.usefixtures("here")
def test_the_users_function_gives_arrays_a_data_set_or_a_collection():
    path = list(sys.path)
    data = load("package.module:arrays").train
    assert data.inputs.dtype == torch.float32
    assert data.labels.tolist() == [0, 1, 0, 1]
    assert len(load({"name": "package.module:arrays", "count": 6}).train) == 6
    assert load("package.module:several").train.is_multilabel
    assert load("package.module:data").train.name == "mine"
    assert load("package.module:collection").test is not None
    assert sys.path == path


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("package.module:nothing", "got NoneType"),
        ("package.module:floats", "whole numbers"),
        ("package.module:lists", "must be arrays of numbers"),
        ("package.module:value", "has no function 'value'"),
        ("package.module:none", "has no function 'none'"),
        ("package.other:x", "no module 'package.other'"),
        ("nowhere_at_all:x", "no module 'nowhere_at_all'"),
        ("a b:c", "must be written package.module:function"),
        ("../x:c", "must be written package.module:function"),
        ({"name": "package.module:arrays", "cuont": 3}, "takes no 'cuont': did you mean 'count'"),
    ],
)
def test_a_function_that_does_not_fit_is_refused(place, words):
    with pytest.raises(StockpotError, match=words):
        load(place)


@pytest.mark.usefixtures("here")
def test_a_module_that_misses_a_package_says_so_itself():
    with pytest.raises(StockpotError, match="broken needs 'not_installed_anywhere', which is not"):
        load("broken:x")


def test_without_pillow_the_message_names_the_install_line(tmp_path, monkeypatch):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.png").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ExtraError, match=r"pip install 'stockpot\["):
        load({"name": "image-folder", "path": str(tmp_path)})


def test_parts_of_a_collection_are_alike():
    def part(classes=2, size=2):
        labels = torch.tensor([0, 1])
        return Dataset("x", torch.zeros(2, 1, size, size), labels, classes, torch.arange(2))

    with pytest.raises(StockpotError, match="its parts differ"):
        Collection(part(), part(classes=3))
    with pytest.raises(StockpotError, match="its parts differ"):
        Collection(part(), selection=part(size=3))
