from dataclasses import replace

import pytest
import torch

from stockpot.data import (
    CORRUPTIONS,
    Blur,
    Contrast,
    Dataset,
    Invert,
    Noise,
    Shift,
    Translate,
    corruption,
    digits,
)
from stockpot.errors import FieldError, StockpotError


@pytest.fixture(scope="module", params=["float", "bytes", "colour"])
def data(request) -> Dataset:
    data = digits().take(torch.arange(200))
    if request.param == "float":
        return data
    held = replace(data, inputs=data.inputs.mul(255).round().to(torch.uint8))
    return (
        replace(held, inputs=held.inputs.expand(-1, 3, -1, -1))
        if request.param == "colour"
        else held
    )


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_larger_severity_is_further_from_the_image(data, name):
    distances = []
    for severity in range(1, 6):
        seen = corruption(name, severity)(data)
        assert seen.inputs.dtype == data.inputs.dtype
        assert seen.inputs.shape == data.inputs.shape
        assert torch.equal(seen.labels, data.labels)
        assert 0 <= seen.images.min() <= seen.images.max() <= 1
        distances.append((seen.images - data.images).square().mean().item())
    assert distances[0] > 0
    assert distances == sorted(distances)
    assert distances[4] > 1.5 * distances[0]


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_a_corruption_is_a_value_and_repeats_bit_for_bit(data, name):
    before = data.inputs.clone()
    value = corruption(name, 3)
    assert value == CORRUPTIONS[name](severity=3)
    assert torch.equal(value(data).inputs, CORRUPTIONS[name](severity=3)(data).inputs)
    assert torch.equal(data.inputs, before)


def test_seeds_draw_other_noise_and_other_ways(data):
    for kind in (Noise, Translate):
        first, other = kind(severity=2)(data), kind(severity=2, seed=1)(data)
        assert not torch.equal(first.inputs, other.inputs)


def test_noise_has_its_deviation():
    grey = Dataset(
        "grey",
        torch.full((50, 1, 20, 20), 0.5),
        torch.zeros(50, dtype=torch.int64),
        1,
        torch.arange(50),
    )
    off = Noise(severity=1)(grey).images - 0.5
    assert abs(off.std() - 0.04) < 0.002
    assert abs(off.mean()) < 0.002


def test_blur_keeps_a_flat_image_and_the_sum_of_a_point():
    flat = torch.full((1, 1, 40, 40), 0.25)
    point = torch.zeros(1, 1, 40, 40)
    point[..., 20, 20] = 1
    made = Dataset(
        "x", torch.cat([flat, point]), torch.zeros(2, dtype=torch.int64), 1, torch.arange(2)
    )
    seen = Blur(severity=3)(made).images
    torch.testing.assert_close(seen[:1], flat)
    torch.testing.assert_close(seen[1].sum(), torch.tensor(1.0))
    rows = torch.arange(40.0) - 20
    spread = (seen[1, 0].sum(1) * rows.square()).sum().sqrt()
    assert abs(spread - 0.2 * 40**0.5) < 0.05


def test_contrast_keeps_the_mean(data):
    seen = Contrast(severity=5)(data).images
    torch.testing.assert_close(seen.mean((1, 2, 3)), data.images.mean((1, 2, 3)), atol=2e-3, rtol=0)
    assert seen.std() < 0.3 * data.images.std()


def test_every_translation_is_one_of_eight_shifts():
    data = digits().take(torch.arange(60))
    moved = Translate(severity=5)(data).images  # two pixels of eight
    ways = [(x, y) for x in (-2, 0, 2) for y in (-2, 0, 2) if x or y]
    shifts = torch.stack([Shift(right=x, down=y)(data).images for x, y in ways])
    fits = (shifts == moved).flatten(2).all(2)
    assert fits.any(0).all()
    assert fits.any(1).all()


def test_bytes_stay_bytes_in_every_view():
    data = replace(digits(), inputs=digits().inputs.mul(255).round().to(torch.uint8))
    assert torch.equal(Invert()(data).inputs, 255 - data.inputs)
    assert torch.equal(Shift(right=1)(data).inputs[..., 1:], data.inputs[..., :-1])


@pytest.mark.parametrize("value", [Noise(severity=1), Invert()])
def test_pixels_of_another_scale_are_refused_not_clipped(value):
    data = digits().take(torch.arange(5))
    with pytest.raises(StockpotError, match=r"pixels from -1 to 1; .* in \[0, 1\]"):
        value(replace(data, inputs=2 * data.inputs - 1))


def test_texts_cannot_be_blurred():
    ids = torch.ones(2, 2, 3, dtype=torch.int64)
    text = Dataset("words", ids, torch.tensor([0, 1]), 2, torch.arange(2))
    with pytest.raises(StockpotError, match="'words' holds texts"):
        Blur(severity=1)(text)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: corruption("blurr", 1), "did you mean 'blur'"),
        (lambda: corruption("blur", 6), r"severity must be a whole number in \[1, 5\]"),
        (lambda: corruption("noise", 0), "severity"),
    ],
)
def test_bad_fields_are_refused(make, words):
    with pytest.raises(FieldError, match=words):
        make()
