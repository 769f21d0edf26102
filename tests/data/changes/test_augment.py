import pytest
import torch

from stockpot.errors import FieldError
from stockpot.training import Augment


@pytest.fixture
def images():
    return torch.rand(16, 3, 8, 8, generator=torch.Generator().manual_seed(0)) + 0.5


def drawn(augment, images, seed=0):
    torch.manual_seed(seed)
    return augment(images)


def test_nothing_asked_changes_nothing(images):
    assert torch.equal(drawn(Augment(), images), images)


@pytest.mark.parametrize(
    "keys",
    [
        {"flip": 0.5},
        {"shift": 0.2},
        {"rotate": 20},
        {"scale": 0.2},
        {"noise": 0.1},
        {"erase": 0.5},
    ],
    ids=str,
)
def test_each_key_changes_images_repeatably_and_by_the_seed(keys, images):
    before = images.clone()
    first = drawn(Augment(**keys), images)
    assert first.shape == images.shape
    assert first.dtype == images.dtype
    assert not torch.equal(first, images)
    assert torch.equal(first, drawn(Augment(**keys), images))
    assert not torch.equal(first, drawn(Augment(**keys), images, seed=1))
    assert torch.equal(images, before)


def test_a_certain_flip_is_the_mirror_image(images):
    torch.testing.assert_close(drawn(Augment(flip=1), images), images.flip(3))


def test_a_shift_moves_by_at_most_its_fraction():
    dot = torch.zeros(200, 1, 9, 9)
    dot[:, :, 4, 4] = 1
    moved = drawn(Augment(shift=0.2), dot)  # at most 1.8 pixels, and a bilinear neighbour
    assert moved[:, :, :2].abs().max() == 0
    assert moved[:, :, :, 7:].abs().max() == 0
    assert moved[:, 0, 2].max() > 0


def test_a_turn_keeps_the_centre_and_the_right_angle():
    cross = torch.zeros(4, 1, 9, 9)
    cross[:, :, 4, :] = 1
    turned = drawn(Augment(rotate=90), cross)
    torch.testing.assert_close(turned[:, 0, 4, 4], torch.ones(4))


def test_erasing_sets_one_square_to_zero(images):
    gone = drawn(Augment(erase=0.5), images) == 0
    assert torch.equal(gone[:, 0], gone[:, 1])
    rows, columns = gone[:, 0].any(2).sum(1), gone[:, 0].any(1).sum(1)
    assert int(rows.max()) == 4
    assert int(columns.max()) == 4
    assert torch.equal(gone[:, 0].sum((1, 2)), rows * columns)


def test_bounds_are_refused_by_name():
    with pytest.raises(FieldError, match=r"flip must be in \[0, 1\]"):
        Augment(flip=2)
