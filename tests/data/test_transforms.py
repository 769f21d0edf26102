import pytest
import torch

from stockpot.data import Dataset, Invert, Rotate, Shift, Skew, digits, mixture
from stockpot.errors import FieldError


@pytest.fixture(scope="module")
def data() -> Dataset:
    return digits().take(torch.arange(200))


@pytest.mark.parametrize("view", [Rotate(degrees=30), Shift(right=1), Invert()])
def test_a_view_keeps_labels_and_originals_and_changes_the_images_only(data, view):
    before = data.images.clone()
    seen = view(data)
    assert torch.equal(seen.labels, data.labels)
    assert torch.equal(seen.originals, data.originals)
    assert not torch.equal(seen.images, data.images)
    assert torch.equal(data.images, before)


def test_rotation_is_anticlockwise(data):
    turned = Rotate(degrees=90)(data).images
    torch.testing.assert_close(turned, torch.rot90(data.images, 1, (2, 3)), atol=1e-5, rtol=0)


def test_shift_moves_right_and_down_and_brings_in_zeros(data):
    moved = Shift(right=2, down=1)(data).images
    assert torch.equal(moved[:, :, 1:, 2:], data.images[:, :, :-1, :-2])
    assert moved[:, :, 0].count_nonzero() == 0
    assert moved[:, :, :, :2].count_nonzero() == 0
    back = Shift(right=-2, down=-1)(data).images
    assert torch.equal(back[:, :, :-1, :-2], data.images[:, :, 1:, 2:])


def test_inverting_twice_gives_the_image_back(data):
    assert torch.equal(Invert()(Invert()(data)).images, data.images)
    assert Invert()(data).images[data.images == 0].unique().tolist() == [1.0]


def test_a_transform_is_a_value():
    assert Rotate(degrees=30) == Rotate(degrees=30.0)
    assert repr(Shift(right=2)) == "Shift(right=2, down=0)"
    assert len({Invert(), Invert(), Skew(classes=(1,))}) == 2


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Rotate(degrees=400), "rotate: degrees"),
        (lambda: Rotate(degrees=float("nan")), "rotate: degrees"),
        (lambda: Shift(right=1.5), "shift: right"),
    ],
)
def test_bad_fields_are_refused_by_name(make, words):
    with pytest.raises(FieldError, match=words):
        make()


def test_a_mixture_lays_views_side_by_side(data):
    mixed = mixture(data, {"plain": None, "low": Skew(classes=(0,), keep=0), "dark": Invert()})
    plain, low, dark = (mixed.data.images[part] for part in mixed.parts.values())
    assert torch.equal(plain, data.images)
    assert torch.equal(dark, 1 - data.images)
    assert len(low) == (data.labels == 0).sum()
    assert len(mixed.data) == len(plain) + len(low) + len(dark)
    assert torch.equal(mixed.data.originals[mixed.parts["dark"]], data.originals)
