import pytest
import torch

from stockpot.data import Dataset
from stockpot.errors import StockpotError


def make(images=None, labels=None, classes=3):
    images = torch.zeros(4, 1, 2, 2) if images is None else images
    labels = torch.tensor([0, 1, 2, 0]) if labels is None else labels
    return Dataset("toy", images, labels, classes, torch.arange(len(labels)))


def test_take_keeps_images_labels_and_originals_together():
    images = torch.arange(16.0).reshape(4, 1, 2, 2)
    part = make(images).take(torch.tensor([3, 1]))
    assert torch.equal(part.images, images[[3, 1]])
    assert part.labels.tolist() == [0, 1]
    assert part.originals.tolist() == [3, 1]


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        ({"images": torch.zeros(3, 1, 2, 2)}, "one label"),
        ({"images": torch.zeros(4, 2, 2)}, r"\[N, C, H, W\]"),
        ({"images": torch.zeros(4, 1, 2, 2, dtype=torch.float64)}, "float32"),
        ({"images": torch.full((4, 1, 2, 2), torch.nan)}, "finite"),
        ({"labels": torch.tensor([0, 1, 2, 3])}, r"\[0, 3\)"),
        ({"labels": torch.tensor([0, 1, 2, -1])}, r"\[0, 3\)"),
    ],
)
def test_what_does_not_fit_together_is_refused(broken, words):
    with pytest.raises(StockpotError, match=words):
        make(**broken)
