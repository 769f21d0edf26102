"""Small files in the exact format of each set."""

from functools import partial

import numpy as np
import pytest

from ...formats import picture


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def draw(rng):
    """Write a picture of random pixels; returns them as written, [H, W] or [H, W, C]."""
    return partial(picture, rng)
