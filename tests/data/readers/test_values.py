"""What a user chooses of a data set is a frozen value, as a method is."""

import pytest

from stockpot.data.load import FAMILY
from stockpot.errors import FieldError
from stockpot.values.family import plain_value, required_fields

NEEDED = {"path": "folder", "tokenizer": "model"}


@pytest.mark.parametrize("name", FAMILY.by_name)
def test_a_reader_is_written_and_read_back(name):
    needed = {field: NEEDED[field] for field in required_fields(FAMILY.find(name))}
    reader = FAMILY.read({"name": name, **needed})
    assert plain_value(reader)["name"] == name
    assert FAMILY.read(plain_value(reader)) == reader
    assert eval(repr(reader), {type(reader).__name__: type(reader)}) == reader


def test_fields_are_bounded_in_python_as_in_a_file():
    with pytest.raises(FieldError, match=r"^cifar-10: path must be text; got 3"):
        FAMILY.find("cifar-10")(path=3)
    with pytest.raises(FieldError, match=r"^celeba: size must be a whole number in"):
        FAMILY.find("celeba")(path="folder", size=0)
