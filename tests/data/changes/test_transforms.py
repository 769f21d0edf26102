import pytest
import torch

from stockpot.data import Channels, Dataset, Invert, Resize, Rotate, Shift, Skew, digits, mixture
from stockpot.errors import FieldError, StockpotError


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


def test_resizing_takes_the_middle_square_and_averages(data):
    assert Resize(size=8)(data) is data
    halves = Resize(size=4)(data)
    assert halves.inputs.shape == (200, 1, 4, 4)
    assert torch.equal(halves.originals, data.originals)
    assert halves.images.mean() == pytest.approx(float(data.images.mean()), rel=0.05)
    wide = data.with_images(torch.nn.functional.pad(data.images, (3, 3)))
    assert torch.equal(Resize(size=8)(wide).images, data.images)
    level = data.with_images(torch.full((200, 1, 8, 8), 0.25))
    assert torch.equal(Resize(size=13)(level).images, torch.full((200, 1, 13, 13), 0.25))


def test_channels_there_and_back(data):
    three = Channels(count=3)(data)
    assert torch.equal(three.images[:, 2], data.images[:, 0])
    torch.testing.assert_close(Channels(count=1)(three).images, data.images)
    assert Channels(count=3)(three) is three
    red = three.with_images(three.images * torch.tensor([1.0, 0, 0])[:, None, None])
    torch.testing.assert_close(Channels(count=1)(red).images, 0.299 * data.images)
    with pytest.raises(FieldError, match="count must be 1 or 3; got 2"):
        Channels(count=2)
    with pytest.raises(StockpotError, match="2 channels, not of 1 or 3"):
        Channels(count=1)(data.with_images(data.images.expand(-1, 2, -1, -1)))


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
