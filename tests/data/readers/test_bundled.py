import sys

import pytest
import torch

from stockpot.data import digits
from stockpot.errors import ExtraError


def test_digits_are_the_ones_scikit_learn_ships():
    data = digits()
    assert data.images.shape == (1797, 1, 8, 8)
    assert (data.in_channels, data.image_size, data.num_classes) == (1, 8, 10)
    assert data.images.min() == 0
    assert data.images.max() == 1
    assert data.labels[:10].tolist() == list(range(10))
    assert torch.equal(data.originals, torch.arange(1797))


def test_without_scikit_learn_the_message_names_the_install_line(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    monkeypatch.setitem(sys.modules, "sklearn", None)
    with pytest.raises(ExtraError, match=r"pip install 'stockpot\[lab\]'"):
        digits()
