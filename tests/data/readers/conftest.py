"""Small files in the exact format of each set."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def draw(rng):
    """Write a picture of random pixels; returns them as written, [H, W] or [H, W, C]."""

    def write(path: Path, size=(8, 8), mode="RGB") -> np.ndarray:
        path.parent.mkdir(parents=True, exist_ok=True)
        channels = {"L": (), "RGB": (3,), "RGBA": (4,)}[mode]
        pixels = rng.integers(0, 256, (size[1], size[0], *channels), dtype=np.uint8)
        Image.fromarray(pixels, mode=None).save(path)
        return pixels

    return write
